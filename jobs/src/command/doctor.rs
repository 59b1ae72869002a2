//! `pacha doctor`: what would not work, found before a run finds it.

use std::sync::Arc;
use std::time::Instant;

use engine::Result;
use engine::project::Project;
use engine::session::{Session, session};
use engine::storage::free_space;
use engine::table::counted;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
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

/// Tries what a commit needs, in a scratch place: put-if-absent twice, read back, remove.
async fn warehouse(session: &Session, found: &mut Vec<Finding>) {
    let scratch = session.warehouse.join("_doctor").join(&engine::job::record::new_id());
    let put = || scratch.store.put_opts(&scratch.prefix, "x".into(), PutOptions::from(PutMode::Create));
    let outcome = match put().await {
        Ok(_) => match put().await {
            Err(object_store::Error::AlreadyExists { .. }) => Ok("can be written; put-if-absent works"),
            Ok(_) => Err("a second put-if-absent succeeded: this store cannot hold a commit log".to_owned()),
            Err(error) => Err(scratch.failed("write", &error).to_string()),
        },
        Err(error) => Err(scratch.failed("write", &error).to_string()),
    };
    // The scratch object may not be there; a leftover harms nobody and is below a name that readers skip.
    let _ = scratch.store.delete(&scratch.prefix).await;
    if let Some(dir) = scratch.local_path().and_then(|path| path.parent().map(std::path::Path::to_owned)) {
        let _ = std::fs::remove_dir(dir);
    }
    let good = outcome.is_ok();
    let text = outcome.map_or_else(|text| text, str::to_owned);
    found.push(Finding { what: "warehouse", good, text: format!("{}: {text}", session.warehouse) });
    if let Some(path) = session.warehouse.local_path()
        && let Some(free) = free_space(&path)
    {
        found.push(Finding { what: "disk", good: free >= LITTLE, text: format!("{:.1} GB free for the warehouse", free as f64 / 1e9) });
    }
}
