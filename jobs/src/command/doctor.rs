//! `pacha doctor`: what would not work, found before a run finds it.

use std::sync::Arc;
use std::time::Instant;

use engine::Result;
use engine::project::Project;
use engine::session::{Session, session};
use engine::storage::{free_space, trial};
use engine::table::counted;
use serde_json::json;

use super::DONE;
use crate::cli::{Form, Global};
use crate::printer::{Printer, thousands};

/// Below this much free space a run of ordinary size may not end.
const LITTLE: u64 = 1 << 30;

struct Finding {
    what: &'static str,
    good: bool,
    text: String,
}

pub(crate) async fn doctor(global: &Global, form: Form, printer: &Printer) -> Result<u8> {
    let mut found = vec![Finding {
        what: "pacha",
        good: true,
        text: format!("{} (DataFusion {})", env!("CARGO_PKG_VERSION"), datafusion::DATAFUSION_VERSION),
    }];
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    found.push(Finding { what: "cores", good: true, text: cores.to_string() });
    match super::root(global).and_then(|root| Project::load(&root, &global.set)) {
        Ok(project) => look(&Arc::new(project), &mut found).await,
        Err(error) => found.push(Finding { what: "project", good: false, text: error.to_string() }),
    }
    match form {
        Form::Json => {
            printer.json(&found.iter().map(|one| json!({ "what": one.what, "ok": one.good, "text": one.text })).collect::<Vec<_>>())
        }
        Form::Text => {
            let lines: Vec<String> =
                found.iter().map(|one| format!("{} {:<10} {}", if one.good { "ok  " } else { "FAIL" }, one.what, one.text)).collect();
            printer.data(&lines.join("\n"));
        }
    }
    Ok(if found.iter().all(|one| one.good) { DONE } else { 2 })
}

async fn look(project: &Arc<Project>, found: &mut Vec<Finding>) {
    let counts = format!(
        "{} in {}: {}, {}, {}",
        project.name,
        project.root.display(),
        counted(project.collections.len() as u64, "collection"),
        counted(project.mappings.len() as u64, "mapping"),
        counted(project.jobs.len() as u64, "job")
    );
    found.push(Finding { what: "project", good: true, text: counts });
    for problem in project.warnings() {
        found.push(Finding { what: "warning", good: true, text: problem.to_string() });
    }
    found.push(Finding {
        what: "memory",
        good: true,
        text: format!("queries spill to disk beyond {} MB", thousands(project.settings.limits.memory >> 20)),
    });
    let begun = Instant::now();
    match session(project) {
        Ok(session) => {
            found.push(Finding { what: "session", good: true, text: format!("ready in {} ms", begun.elapsed().as_millis()) });
            warehouse(&session, found).await;
        }
        Err(error) => found.push(Finding { what: "session", good: false, text: error.to_string() }),
    }
}

/// Who we are and whom we ask, where the warehouse is in a bucket.
async fn bucket(session: &Session, found: &mut Vec<Finding>) {
    let settings = &session.project.settings.s3;
    let endpoint = session.aws.endpoint(settings.endpoint.as_deref(), "AWS_ENDPOINT_URL_S3").await;
    // A server of one's own is no part of Amazon's, and its keys mean nothing to STS, unless that is said to be there too.
    let foreign = settings.endpoint.is_some() || endpoint.as_ref().is_some_and(|found| found.origin == "AWS_ENDPOINT_URL_S3");
    let from = session.aws.credentials_from();
    let (good, text) = if settings.anonymous {
        (true, "none: requests are not signed ([s3] anonymous = true)".to_owned())
    } else if foreign {
        let credentials = session.aws.credentials().await;
        (credentials.is_ok(), credentials.map_or_else(|error| error.to_string(), |_| format!("credentials from {from}")))
    } else {
        let caller = session.aws.caller().await;
        let shown = |caller: engine::aws::Caller| format!("{} in account {}; credentials from {from}", caller.arn, caller.account);
        (caller.is_ok(), caller.map_or_else(|error| error.to_string(), shown))
    };
    found.push(Finding { what: "identity", good, text });
    let region = session.aws.region().await;
    let text = region.map_or_else(|| "us-east-1 (nothing says another)".to_owned(), |found| format!("{} ({})", found.value, found.origin));
    found.push(Finding { what: "region", good: true, text });
    let text = endpoint.map_or_else(|| "Amazon's".to_owned(), |found| format!("{} ({})", found.value, found.origin));
    found.push(Finding { what: "endpoint", good: true, text });
}

/// Tries what a run needs of the warehouse: of a remote one each operation is a right of its own, and has a line of its own.
async fn warehouse(session: &Session, found: &mut Vec<Finding>) {
    let place = &session.warehouse;
    if matches!(place.url.scheme(), "s3" | "s3a") {
        bucket(session, found).await;
    }
    let trials = trial::operations(place).await;
    if place.remote() {
        found.extend(trials.into_iter().map(|trial| match trial.outcome {
            Ok(text) => Finding { what: trial.what, good: true, text: format!("{place}: {text}") },
            Err(error) => Finding { what: trial.what, good: false, text: error.to_string() },
        }));
        return;
    }
    let wrong = trials.into_iter().find_map(|trial| trial.outcome.err());
    let good = wrong.is_none();
    let text = wrong.map_or_else(|| "can be written; put-if-absent works".to_owned(), |error| error.to_string());
    found.push(Finding { what: "warehouse", good, text: format!("{place}: {text}") });
    if let Some(path) = place.local_path() {
        let _ = std::fs::remove_dir(path.join("_doctor"));
        if let Some(free) = free_space(&path) {
            found.push(Finding { what: "disk", good: free >= LITTLE, text: format!("{:.1} GB free for the warehouse", free as f64 / 1e9) });
        }
    }
}
