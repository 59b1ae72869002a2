//! `pacha check`: the walk of a run, stopped before it reads a record. All mistakes of all jobs at once.

use std::sync::Arc;

use engine::job::prepare::{self, Request};
use engine::project::{Job, Project};
use engine::session::Session;
use engine::table::{Database, counted};
use engine::{Error, Result};
use schemas::problem::{Problem, Problems, Severity};
use serde_json::json;

use super::DONE;
use crate::cli::{Form, Global};
use crate::printer::Printer;

pub(crate) async fn check(global: &Global, names: &[String], form: Form, printer: &Printer) -> Result<u8> {
    let project = match super::load(global, printer) {
        Ok(project) => project,
        Err(error) if form == Form::Json => return Ok(report(&error.problems, 0, form, printer)),
        Err(error) => return Err(error),
    };
    let session = engine::session::session(&project)?;
    let jobs: Vec<Arc<Job>> = match names {
        [] => project.jobs.values().cloned().collect(),
        names => names.iter().map(|name| project.job(name).cloned()).collect::<Result<_>>()?,
    };
    let mut problems = Problems::default();
    for job in &jobs {
        problems.extend(check_job(&session, job).await.into_iter().map(|problem| not_yet(problem, &project, job)));
    }
    problems.0.sort_by_key(|problem| problem.severity);
    problems.0.dedup();
    Ok(report(&problems, jobs.len(), form, printer))
}

async fn check_job(session: &Session, job: &Arc<Job>) -> Problems {
    let mut problems = Problems::default();
    if let Some(schedule) = &job.schedule
        && let Err(problem) = scheduler::trigger::Schedule::parse(&schedule.value)
    {
        problems.push(problem.at(&job.file, schedule.span.clone()));
    }
    // Required parameters are asked for at the run; here a stand-in lets the SQL be planned.
    let parameters = job.params.iter().filter(|param| param.default.is_none()).map(|param| (param.name.clone(), "1".to_owned())).collect();
    let request = Request { collections: Vec::new(), parameters, force: true };
    let before = match Database::open(session.warehouse.join(&job.database)).snapshot(None).await {
        Ok(before) => before,
        Err(error) => {
            problems.extend(error.problems);
            return problems;
        }
    };
    match prepare::prepare(session, job, &request, &before).await {
        Ok(prepared) => problems.extend(prepared.warnings),
        Err(Error { problems: found, .. }) => problems.extend(found),
    }
    problems
}

/// A table that another job of the project writes is not there before its first run: no mistake of this job.
fn not_yet(mut problem: Problem, project: &Project, job: &Job) -> Problem {
    let Some((name, (database, table))) =
        problem.message.strip_prefix("no table ").and_then(|name| Some((name.to_owned(), name.split_once('.')?)))
    else {
        return problem;
    };
    let writes = |other: &Job| {
        let of_target = matches!(table, "mapped" | "quarantine" | "findings") || table.starts_with("vernacular");
        other.target.is_some() && of_target || other.steps.iter().any(|step| step.table.value == table)
    };
    let mut others = project.jobs.values().filter(|other| other.name != job.name && other.database == database);
    if let Some(writer) = others.find(|other| writes(other)) {
        problem.severity = Severity::Warning;
        problem.message = format!("{name} is not there yet: job {} writes it", writer.name);
        problem.hint = Some(format!("run it first: pacha run {}", writer.name));
    }
    problem
}

fn report(problems: &Problems, jobs: usize, form: Form, printer: &Printer) -> u8 {
    let errors = problems.0.iter().filter(|problem| problem.severity == Severity::Error).count();
    match form {
        Form::Json => printer.json(&json!({ "errors": errors, "warnings": problems.0.len() - errors, "problems": problems.0.iter().map(as_json).collect::<Vec<_>>() })),
        Form::Text => {
            printer.problems(&problems.0);
            let counted = |count: usize, word: &str| counted(count as u64, word);
            printer.note(&format!("{} checked: {}, {}", counted(jobs, "job"), counted(errors, "error"), counted(problems.0.len() - errors, "warning")));
        }
    }
    if errors == 0 { DONE } else { 2 }
}

/// A problem for scripts.
pub(crate) fn as_json(problem: &Problem) -> serde_json::Value {
    let place = problem.place.as_ref().map(|place| {
        let (line, column) = place.line_column();
        json!({ "file": place.source.path, "line": line, "column": column })
    });
    let severity = if problem.severity == Severity::Error { "error" } else { "warning" };
    json!({ "severity": severity, "code": problem.code, "message": problem.message, "place": place, "hint": problem.hint })
}
