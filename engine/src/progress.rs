//! How far a run has come: counters that the plan's nodes add to and a progress bar reads.
//!
//! It travels as an extension of the session's configuration, because a plan node sees nothing else of the process it
//! runs in. Where nobody set one, nothing is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::execution::TaskContext;

/// Counters of one run, over all its partitions.
#[derive(Debug, Default)]
pub struct Progress {
    /// Records that reached the sink.
    pub records: AtomicU64,
    /// Pages that are wholly through.
    pub pages: AtomicU64,
    /// Bytes of finished output files.
    pub bytes_written: AtomicU64,
}

impl Progress {
    /// The counters of the session that a task belongs to, or some that nobody reads.
    pub fn of(context: &TaskContext) -> Arc<Self> {
        context.session_config().get_extension::<Self>().unwrap_or_default()
    }

    /// Adds to a counter; the counters are independent, so no order between them is promised.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// Records, pages and bytes so far.
    pub fn read(&self) -> (u64, u64, u64) {
        let [records, pages, bytes] = [&self.records, &self.pages, &self.bytes_written].map(|counter| counter.load(Ordering::Relaxed));
        (records, pages, bytes)
    }
}
