//! `pacha catalog`: what the Glue catalog says of our databases, and bringing it up to date.

use std::sync::Arc;

use engine::catalog::glue::{Outcome, Publication, Publish, Published, Standing, State};
use engine::catalog::{Catalog, GlueCatalog, WarehouseCatalog};
use engine::error::Kind;
use engine::session::Session;
use engine::table::Database;
use engine::{Error, Result};
use schemas::problem::{Problem, Problems};
use serde_json::json;

use super::{DONE, check, rollback};
use crate::cli::{CatalogCommand, Form, Global};
use crate::printer::{Printer, table};

pub(crate) async fn catalog(global: &Global, command: CatalogCommand, printer: &Printer) -> Result<u8> {
    let session = super::open(global, printer)?;
    let Some(glue) = session.glue.clone() else {
        let problem =
            Problem::error("PC165", "this project registers its tables in the warehouse only: there is no Glue catalog to look at");
        return Err(Error::configuration(problem.hint("set catalog = \"glue\" in pacha.toml, or add --set catalog=glue")));
    };
    match command {
        CatalogCommand::Register { what, adopt, format } => register(&session, &glue, what.as_deref(), adopt, format.format, printer).await,
        CatalogCommand::Repair { database, format } => register(&session, &glue, database.as_deref(), false, format.format, printer).await,
        CatalogCommand::Unregister { what, format } => unregister(&session, &glue, &what, format.format, printer).await,
        CatalogCommand::Show { database, format } => {
            show(&standings(&session, &glue, database.as_deref()).await?, format.format, printer);
            Ok(DONE)
        }
        CatalogCommand::Diff { database, format } => {
            let mut standings = standings(&session, &glue, database.as_deref()).await?;
            standings.retain(|one| !matches!(one.state, State::InStep | State::NotListed));
            diff(&standings, format.format, printer);
            Ok(DONE)
        }
    }
}

/// The databases that are meant: the one that was named, or all of the warehouse.
async fn databases(session: &Session, named: Option<&str>) -> Result<Vec<Database>> {
    let names = match named {
        Some(name) => {
            rollback::known_database(session, name).await?;
            vec![name.to_owned()]
        }
        None => WarehouseCatalog::new(session.warehouse.clone()).databases().await?,
    };
    Ok(names.into_iter().map(|name| Database::open(session.warehouse.join(&name))).collect())
}

/// `calisphere` or `calisphere.mapped`.
fn parts(what: &str) -> (&str, Option<&str>) {
    what.split_once('.').map_or((what, None), |(database, table)| (database, Some(table)))
}

async fn register(
    session: &Session,
    glue: &Arc<GlueCatalog>,
    what: Option<&str>,
    adopt: bool,
    form: Form,
    printer: &Printer,
) -> Result<u8> {
    let (named, only) = what.map_or((None, None), |what| (Some(parts(what).0), parts(what).1));
    let mut done = Publication::default();
    let mut problems = Problems::default();
    for database in databases(session, named).await? {
        if let Some(table) = only {
            known_table(glue, &database, table).await?;
        }
        // One database that cannot be published does not keep the others from it.
        match Box::pin(glue.publish(&session.context, &database, Publish { only, adopt, thorough: true })).await {
            Ok(publication) => {
                done.tables.extend(publication.tables);
                done.warnings.extend(publication.warnings);
            }
            Err(error) => problems.extend(error.problems),
        }
    }
    printer.problems(&done.warnings.0);
    match form {
        Form::Json => printer.json(&json!({
            "tables": done.tables,
            "problems": done.warnings.0.iter().chain(&problems.0).map(check::as_json).collect::<Vec<_>>(),
        })),
        Form::Text => {
            let rows: Vec<[String; 3]> = done.tables.iter().map(row).collect();
            if !rows.is_empty() {
                printer.data(&table(["table in Glue", "version", ""], &rows));
            }
            let changed = done.tables.iter().filter(|table| table.outcome != Outcome::InStep).count();
            if changed == 0 && problems.0.is_empty() {
                printer.note("Glue shows the newest version of every table; nothing was changed");
            }
        }
    }
    if problems.0.is_empty() { Ok(DONE) } else { Err(Error { kind: Kind::Failed, problems }) }
}

fn row(published: &Published) -> [String; 3] {
    let outcome = match published.outcome {
        Outcome::Created => "registered",
        Outcome::Updated => "brought up to date",
        Outcome::InStep => "in step",
        Outcome::Removed => "removed: the newest version does not have it",
    };
    [format!("{}.{}", published.database, published.table), published.version.to_string(), outcome.to_owned()]
}

async fn known_table(glue: &GlueCatalog, database: &Database, table: &str) -> Result<()> {
    let snapshot = database.snapshot(None).await?;
    if snapshot.tables.contains_key(table) {
        if glue.wanted(table) {
            return Ok(());
        }
        let problem = Problem::error("PC166", format!("table {}.{table} is not among [glue] tables", database.name()));
        return Err(Error::configuration(problem.hint(format!("add \"{table}\" to tables in [glue] of pacha.toml"))));
    }
    let problem = Problem::error("PM204", format!("no table {}.{table}", database.name()));
    Err(Error::configuration(problem.hint(schemas::suggest::hint(table, snapshot.tables.keys().map(String::as_str)))))
}

async fn unregister(session: &Session, glue: &Arc<GlueCatalog>, what: &str, form: Form, printer: &Printer) -> Result<u8> {
    let (name, only) = parts(what);
    let database = Database::open(session.warehouse.join(name));
    let removed = glue.unregister(&database, only).await?;
    match form {
        Form::Json => printer.json(&json!({ "removed": removed })),
        Form::Text if removed.is_empty() => printer.note(&format!("Glue has no table of {name}; nothing was changed")),
        Form::Text => printer.note(&format!("removed from Glue, no data touched: {}", removed.join(", "))),
    }
    Ok(DONE)
}

async fn standings(session: &Session, glue: &Arc<GlueCatalog>, named: Option<&str>) -> Result<Vec<Standing>> {
    let mut standings = Vec::new();
    for database in databases(session, named).await? {
        standings.extend(glue.standing(&database).await?);
    }
    Ok(standings)
}

fn show(standings: &[Standing], form: Form, printer: &Printer) {
    if form == Form::Json {
        return printer.json(&standings);
    }
    let version = |version: Option<u64>| version.map_or_else(|| "–".to_owned(), |version| version.to_string());
    let rows: Vec<[String; 5]> = standings
        .iter()
        .map(|one| {
            [
                format!("{}.{}", one.database, one.table),
                one.in_glue.clone(),
                version(one.log_version),
                version(one.glue_version),
                one.state.as_str().to_owned(),
            ]
        })
        .collect();
    printer.data(&table(["table", "in Glue", "log", "Glue", ""], &rows));
    next(standings, printer);
}

fn diff(standings: &[Standing], form: Form, printer: &Printer) {
    if form == Form::Json {
        return printer.json(&standings);
    }
    if standings.is_empty() {
        return printer.note("Glue says of every table what the newest version is");
    }
    for one in standings {
        printer.data(&format!("{} {}", one.in_glue, one.state.as_str()));
        for difference in &one.differences {
            printer.data(&format!("  {difference}"));
        }
        if let (State::Foreign, Some(location)) = (one.state, &one.location) {
            printer.data(&format!("  it points at {location}"));
        }
    }
    next(standings, printer);
}

/// What to type next, if anything.
fn next(standings: &[Standing], printer: &Printer) {
    if standings.iter().any(|one| one.state.repairable()) {
        printer.note("bring Glue up to date with: pacha catalog repair");
    }
}
