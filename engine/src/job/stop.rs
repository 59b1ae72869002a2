//! Stopping a run from another process: `pacha stop` leaves a note beside the run's record, and the run looks for it.
//!
//! The run may be on another machine, and what both see is the warehouse. A run that sees the note ends as by Ctrl-C:
//! its tasks are ended, what it wrote is removed, nothing is published.

use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStoreExt;

use crate::error::Result;
use crate::storage::Location;
use crate::table::Database;

/// How often a run looks, on a disk and elsewhere, where each look is a request.
const LOOK: Duration = Duration::from_millis(500);
const REMOTE_LOOK: Duration = Duration::from_secs(5);

fn note(database: &Database, run_id: &str) -> Location {
    database.location().join("_runs").join(&format!("{run_id}.stop"))
}

/// Asks a run to stop.
///
/// # Errors
/// The note cannot be written.
pub async fn ask(database: &Database, run_id: &str) -> Result<()> {
    note(database, run_id).write(Bytes::from_static(b"stop\n")).await
}

/// Resolves when somebody has asked the run to stop.
pub(super) async fn asked(database: &Database, run_id: &str) {
    let note = note(database, run_id);
    let pause = if database.location().remote() { REMOTE_LOOK } else { LOOK };
    loop {
        tokio::time::sleep(pause).await;
        // A store that does not answer now may answer later.
        if matches!(note.read().await, Ok(Some(_))) {
            return;
        }
    }
}

/// Removes the note of a run that was stopped, or cannot be; one stopped by Ctrl-C has none.
pub async fn forget(database: &Database, run_id: &str) {
    let note = note(database, run_id);
    let _ = note.store.delete(&note.prefix).await;
}
