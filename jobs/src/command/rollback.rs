//! `pacha rollback`: publishes an older version again, as a new one.

use engine::catalog::{Catalog, WarehouseCatalog};
use engine::session::Session;
use engine::table::Database;
use engine::{Error, Result};
use schemas::problem::Problem;
use serde_json::json;

use super::DONE;
use crate::cli::{Form, Global};
use crate::printer::Printer;

pub(crate) async fn rollback(
    global: &Global,
    database: &str,
    to: u64,
    message: Option<String>,
    form: Form,
    printer: &Printer,
) -> Result<u8> {
    let session = super::open_sound(global, printer)?;
    known_database(&session, database).await?;
    let log = Database::open(session.warehouse.join(database));
    let version = log.rollback(to, &engine::job::record::new_id(), message).await?;
    let published = engine::job::register::publish(&session, &log).await;
    match form {
        Form::Json => printer.json(&json!({ "database": database, "version": version, "rollback_to": to })),
        Form::Text => printer.note(&format!("version {version} of {database} is version {to} again; nothing was removed")),
    }
    // What is committed is said first: it stays so, even if Glue could not be told.
    printer.problems(&published?.warnings.0);
    Ok(DONE)
}

/// An error if the warehouse has no such database.
pub(crate) async fn known_database(session: &Session, database: &str) -> Result<()> {
    let known = WarehouseCatalog::new(session.warehouse.clone()).databases().await?;
    if known.iter().any(|name| name == database) {
        return Ok(());
    }
    let problem = Problem::error("PC140", format!("no database \"{database}\" in {}", session.warehouse));
    let hint = if known.is_empty() {
        "nothing was published yet; run a job first".to_owned()
    } else {
        schemas::suggest::hint(database, known.iter().map(String::as_str))
    };
    Err(Error::configuration(problem.hint(hint)))
}
