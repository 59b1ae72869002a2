//! `pacha commits`: the versions of a database, newest first.

use engine::Result;
use engine::table::{Commit, Database, Proposal};

use super::{DONE, show};
use crate::cli::{Form, Global};
use crate::printer::{Printer, table, thousands};

pub(crate) async fn commits(global: &Global, database: &str, limit: usize, form: Form, printer: &Printer) -> Result<u8> {
    let session = super::open_sound(global, printer)?;
    super::rollback::known_database(&session, database).await?;
    let history = Database::open(session.warehouse.join(database)).history(limit).await?;
    if form == Form::Json {
        printer.json(&history);
        return Ok(DONE);
    }
    // A vacuum is newer than what it removes, so it is in the list if that is.
    let oldest = history.iter().filter_map(|commit| commit.proposal.vacuum.as_ref()).map(|vacuum| vacuum.oldest).max().unwrap_or(0);
    let rows: Vec<[String; 7]> = history.iter().map(|commit| row(commit, commit.version < oldest)).collect();
    printer.data(&table(["version", "at (UTC)", "job", "collections", "mapped", "quarantined", ""], &rows));
    Ok(DONE)
}

fn row(commit: &Commit, gone: bool) -> [String; 7] {
    let proposal = &commit.proposal;
    let remark = if gone { "removed".to_owned() } else { remark(proposal) };
    [
        commit.version.to_string(),
        commit.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        proposal.job.clone(),
        thousands(proposal.collections.len() as u64),
        thousands(proposal.counts.mapped),
        thousands(proposal.counts.quarantined),
        show::cut(&remark, 60),
    ]
}

fn remark(proposal: &Proposal) -> String {
    match proposal.rollback_to {
        Some(version) => {
            let why = proposal.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            format!("back to version {version}{why}")
        }
        None => proposal.message.clone().unwrap_or_else(|| proposal.overrides.join("; ")),
    }
}
