//! `pacha vacuum`: removes files that no reader can want, and says which.

use std::collections::BTreeSet;

use engine::table::Database;
use engine::table::strays::Swept;
use engine::table::vacuum::{self, Retention, Vacuumed};
use engine::{Error, Result};
use schemas::problem::Problem;

use super::DONE;
use crate::cli::{Form, Global};
use crate::printer::{Printer, table, thousands};

/// What was typed.
pub(crate) struct Wanted {
    pub(crate) database: String,
    pub(crate) keep: u32,
    pub(crate) older_than: String,
    pub(crate) dry_run: bool,
}

pub(crate) async fn vacuum(global: &Global, wanted: &Wanted, form: Form, printer: &Printer) -> Result<u8> {
    let Some(age) = vacuum::age(&wanted.older_than) else {
        let message = format!("--older-than cannot be \"{}\": it is no length of time", wanted.older_than);
        return Err(Error::configuration(Problem::error("PC011", message).hint("write --older-than 24h, 7d or 90m")));
    };
    let session = super::open(global, printer)?;
    super::rollback::known_database(&session, &wanted.database).await?;
    let database = Database::open(session.warehouse.join(&wanted.database));
    let retention = Retention::new(wanted.keep as usize, age);
    let done = engine::job::vacuum(&session, &database, &retention, wanted.dry_run).await?;
    match form {
        Form::Json => printer.json(&done),
        Form::Text => {
            let rows = rows(&done);
            if !rows.is_empty() {
                printer.data(&table(["table", "what", "files", "MB"], &rows));
            }
            printer.note(&summary(&done));
        }
    }
    Ok(DONE)
}

fn rows(done: &Vacuumed) -> Vec<[String; 4]> {
    let row = |table: &str, what: &str, size: &Swept| {
        [table.to_owned(), what.to_owned(), thousands(size.files), format!("{:.1}", size.bytes as f64 / 1e6)]
    };
    let mut rows = Vec::new();
    for (name, kinds) in &done.tables {
        for (what, size) in [("of versions", &kinds.versions), ("of dead runs", &kinds.strays), ("published once", &kinds.published)] {
            if size.files > 0 {
                rows.push(row(name, what, size));
            }
        }
    }
    if done.staged.files > 0 {
        rows.push(row("_commits", "never named", &done.staged));
    }
    rows
}

fn summary(done: &Vacuumed) -> String {
    let stays = match (done.oldest, done.newest) {
        (oldest, newest) if oldest == newest => format!("version {newest} stays"),
        (oldest, newest) => format!("versions {oldest} to {newest} stay"),
    };
    let mut lines = vec![match (done.total.files, done.dry_run) {
        (0, _) => format!("nothing to remove; {stays}"),
        (files, dry_run) => {
            let removed = if dry_run { "would be removed" } else { "removed" };
            format!("{} files, {:.1} MB {removed}; {stays}", thousands(files), done.total.bytes as f64 / 1e6)
        }
    }];
    let runs = |runs: &BTreeSet<String>| runs.iter().cloned().collect::<Vec<_>>().join(", ");
    if !done.alive.is_empty() {
        lines.push(format!("may still be running, so what they wrote stays: {}; look with `pacha runs`", runs(&done.alive)));
    }
    if !done.abandoned.is_empty() {
        lines.push(format!("taken for dead, and can no longer publish: {}", runs(&done.abandoned)));
    }
    if done.published_stays {
        lines.push("what is published for a catalog stays: the project has none to ask what it shows".to_owned());
    }
    if done.dry_run && done.total.files > 0 {
        lines.push("nothing was changed; the same without --dry-run removes them".to_owned());
    }
    lines.join("\n")
}
