//! What others see of a run while it goes on: its record, written anew now and then with how far it has come.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::record::RunRecord;
use crate::backend::Backend;
use crate::progress::Progress;
use crate::table::Database;

/// How often the record is written, on a disk and elsewhere, where it is a request.
const WRITE: Duration = Duration::from_secs(2);
const REMOTE_WRITE: Duration = Duration::from_secs(20);

/// The record of a run that goes on, as it was when it began to.
#[derive(Debug, Default)]
pub(super) struct Watched(Mutex<Option<RunRecord>>);

impl Watched {
    /// The run goes on from here.
    pub(super) fn begin(&self, record: &RunRecord) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(record.clone());
    }

    /// Writes the record again and again. Ends never: whoever has it drops it before the run's end is written.
    pub(super) async fn report(&self, database: &Database, progress: &Progress, backend: &Backend) {
        let pause = if database.location().remote() { REMOTE_WRITE } else { WRITE };
        loop {
            tokio::time::sleep(pause).await;
            let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(mut record) = begun else { continue };
            record.age();
            record.progress = Some(progress.counts());
            record.cluster = backend.cluster().map(|cluster| cluster.used());
            // A report that cannot be written now is not worth an error: the next one may be.
            let _ = record.save(database).await;
        }
    }
}
