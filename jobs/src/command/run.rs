//! `pacha run`: runs a job and says what became of every record.

use engine::Result;
use engine::cost::Requests;
use engine::job::RunOptions;
use engine::job::record::{RunRecord, RunState};

use super::{DONE, show};
use crate::cli::{Form, Global};
use crate::printer::Printer;
use crate::{progress, signal};

pub(crate) async fn run(global: &Global, name: &str, options: &RunOptions, form: Form, printer: &Printer) -> Result<u8> {
    let session = super::open(global, printer)?;
    let job = session.project.job(name)?;
    let shown = progress::Shown::begin(&session.progress, form == Form::Json);
    let outcome = Box::pin(engine::job::run(&session, job, options, signal::stop())).await;
    drop(shown);
    let (record, error) = outcome?;
    // A mistake in the project is all there is to say: nothing ran.
    let ran = error.as_ref().is_none_or(|error| error.kind != engine::error::Kind::Configuration);
    match form {
        Form::Json => printer.json(&record),
        Form::Text if ran => printer.data(&summary(&record, error.as_ref())),
        Form::Text => {}
    }
    Ok(match error {
        Some(error) => {
            printer.error(&error);
            error.exit_code()
        }
        None => DONE,
    })
}

/// The run; what its error says follows in full, and is not said twice.
fn summary(record: &RunRecord, error: Option<&engine::Error>) -> String {
    if record.state == RunState::Succeeded && record.unchanged {
        let version = record.version.map_or(String::new(), |version| format!(", version {version}"));
        return format!("{}: nothing has changed since the last run{version}; nothing was read. --force runs it all the same", record.job);
    }
    let said = error.map_or(0, |error| error.problems.0.len());
    let problems = record.problems[..record.problems.len().saturating_sub(said)].to_vec();
    // On a disk nothing was bought: `pacha show` has the comparison for who wants it.
    let bought = record.receipt.as_ref().is_some_and(|receipt| receipt.requests != Requests::default());
    let gates = record.gates.iter().filter(|gate| error.is_none() || !gate.halts).cloned().collect();
    show::text(&RunRecord { problems, gates, ..record.clone() }, bought)
}
