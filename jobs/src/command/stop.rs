//! `pacha stop`: asks a run to end, wherever it runs.

use std::time::{Duration, Instant};

use engine::Result;
use engine::cluster::Cluster;
use engine::error::{Error, Kind};
use engine::job::record::{self, RunRecord};
use engine::job::stop;
use engine::session::Session;
use engine::table::Database;
use schemas::problem::Problem;

use super::DONE;
use crate::cli::{Form, Global};
use crate::printer::Printer;

/// A run looks every few seconds, and then ends its tasks and removes what it wrote.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);

pub(crate) async fn stop(global: &Global, id: &str, form: Form, printer: &Printer) -> Result<u8> {
    let session = super::open_sound(global, printer)?;
    let found = record::find(&session.warehouse, id).await?;
    let ended = if found.state.ended() { Ok(Some(found.clone())) } else { end(&session, &found).await };
    // A run that ended by itself has ended its tasks too.
    let by_itself = matches!(&ended, Ok(Some(ended)) if ended.finished_at.is_some());
    let tasks = if by_itself { 0 } else { tasks_ended(&session, &found, printer).await };
    let Some(ended) = ended? else {
        let message = format!("run {} has not ended in {} s", found.id, PATIENCE.as_secs());
        let those = if tasks > 0 { "; what it had on the cluster was ended" } else { "" };
        let hint = format!("its process may be gone, or cannot reach the warehouse{those}. See: pacha show {}", found.id);
        return Err(Error::new(Kind::Failed, Problem::error("PR002", message).hint(hint)));
    };
    match form {
        Form::Json => printer.json(&ended),
        Form::Text => printer.data(&format!("run {} of {}: {}", ended.id, ended.job, ended.state)),
    }
    Ok(DONE)
}

/// Asks a run to end; `None` if it has not, in the time that it may take.
async fn end(session: &Session, run: &RunRecord) -> Result<Option<RunRecord>> {
    let database = Database::open(session.warehouse.join(&run.database));
    stop::ask(&database, &run.id).await?;
    let asked = Instant::now();
    loop {
        let now = record::find(&session.warehouse, &run.id).await?;
        if now.state.ended() {
            return Ok(Some(now));
        }
        if asked.elapsed() > PATIENCE {
            stop::forget(&database, &run.id).await;
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Ends what a run has left on a cluster although its own process cannot do so any more; returns the number of its jobs there.
async fn tasks_ended(session: &Session, run: &RunRecord, printer: &Printer) -> usize {
    let Some(used) = &run.cluster else { return 0 };
    let ended = async {
        let cluster = Cluster::connect(&used.scheduler, &session.project.settings.cluster, &session.project.root).await?;
        cluster.cancel_run(&run.id).await
    };
    ended.await.unwrap_or_else(|error: Error| {
        tracing::debug!("{error}");
        printer.note(&format!("its scheduler cannot be reached; if it lives, it ends the tasks of run {} by itself in a minute", run.id));
        0
    })
}
