//! What runs leave behind that were not published: files, and on a cluster tasks that still write some.

use super::record;
use crate::backend::Backend;
use crate::error::{Error, Kind};
use crate::table::Database;

/// How often, and how long apart, a stopped run looks for files that its last tasks still wrote.
const CLEANINGS: usize = 3;
/// The same where executors must hear of it first.
const CLEANINGS_ON_A_CLUSTER: usize = 20;
const CLEANING_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Removes what a run wrote and did not publish. Tasks of a run that was stopped may still be closing a file, so it looks
/// again until nothing more appears; where it is not known whether the commit was published, nothing is removed.
pub(super) async fn remove(database: &Database, backend: &Backend, run_id: &str, error: &Error) {
    if error.problems.0.iter().any(|problem| problem.code == "PS522") {
        return;
    }
    let times = if backend.cluster().is_some() { CLEANINGS_ON_A_CLUSTER } else { CLEANINGS };
    for _ in 0..times {
        match database.remove_strays(run_id).await {
            Ok(swept) if swept.files == 0 && error.kind != Kind::Stopped => return,
            Ok(_) => tokio::time::sleep(CLEANING_PAUSE).await,
            Err(_) => {
                tracing::warn!(target: "pacha", "what run {run_id} has written cannot be removed now; no version names it");
                return;
            }
        }
    }
}

/// Ends what runs whose process died have left. It is not this run's business to fail for them.
/// Returns those whose tasks still ran on the cluster: one or the other may be closing a file, for a moment.
pub(super) async fn of_the_dead(database: &Database, backend: &Backend) -> Vec<String> {
    let mut cancelled = Vec::new();
    if let Some(cluster) = backend.cluster() {
        // Before their files are looked for. The scheduler ends such tasks in time, too.
        for dead in record::dead(database).await.unwrap_or_default() {
            if cluster.cancel_run(&dead.id).await.is_ok_and(|jobs| jobs > 0) {
                cancelled.push(dead.id);
            }
        }
    }
    match record::sweep(database).await {
        Ok(swept) => {
            for (dead, files) in swept {
                tracing::info!(target: "pacha", "run {} had died: {} files of it removed", dead.id, files.files);
            }
        }
        Err(error) => tracing::debug!("what dead runs have left cannot be removed now: {error}"),
    }
    cancelled
}
