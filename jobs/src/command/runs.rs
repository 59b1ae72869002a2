//! `pacha runs`: what ran, newest first.

use engine::Result;
use engine::job::record;

use super::{DONE, show};
use crate::cli::{Form, Global};
use crate::printer::{Printer, table, thousands};

pub(crate) async fn runs(global: &Global, job: Option<&str>, limit: usize, form: Form, printer: &Printer) -> Result<u8> {
    let session = super::open_sound(global, printer)?;
    let mut all = record::all(&session.warehouse).await?;
    all.retain(|run| job.is_none_or(|job| run.job == job));
    // A job whose file is gone, or has a mistake, has run all the same.
    if let Some(job) = job.filter(|_| all.is_empty()) {
        session.project.job(job)?;
    }
    all.truncate(limit);
    if form == Form::Json {
        printer.json(&all);
        return Ok(DONE);
    }
    if all.is_empty() {
        printer.note("nothing has run yet; next: pacha run JOB");
        return Ok(DONE);
    }
    let rows: Vec<[String; 8]> = all
        .iter()
        .map(|run| {
            let total = run.counts.total;
            let remark = if run.unchanged {
                "unchanged".to_owned()
            } else {
                let first = run.state_detail.as_ref().or(run.problems.first().map(|problem| &problem.message));
                first.map_or(String::new(), |text| show::cut(text, 60))
            };
            [
                run.id.clone(),
                run.job.clone(),
                run.state.to_string(),
                run.started_at.map_or(String::new(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string()),
                format!("{:.1}", run.seconds),
                thousands(total.input),
                thousands(total.mapped),
                remark,
            ]
        })
        .collect();
    printer.data(&table(["run", "job", "state", "started (UTC)", "s", "in", "mapped", ""], &rows));
    Ok(DONE)
}
