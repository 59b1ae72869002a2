//! How far a run has come: counters that the plan's nodes add to and a progress bar reads.
//!
//! It travels as an extension of the session's configuration, because a plan node sees nothing else of the process it
//! runs in. Where nobody set one, nothing is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::execution::TaskContext;
use serde::{Deserialize, Serialize};

/// Counters of one run, over all its partitions.
#[derive(Debug, Default)]
pub struct Progress {
    /// Records that reached the sink.
    pub records: AtomicU64,
    /// Pages that are wholly through.
    pub pages: AtomicU64,
    /// Bytes of finished output files.
    pub bytes_written: AtomicU64,
    /// Tasks that ended on a cluster.
    pub tasks: AtomicU64,
    /// Units of the run.
    pub units: AtomicU64,
    /// Units that came to their end.
    pub units_done: AtomicU64,
}

/// The counters at a moment, as a run's record keeps them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressCounts {
    /// Units of the run.
    pub units: u64,
    /// Units that came to their end.
    pub units_done: u64,
    /// Tasks that ended on a cluster.
    pub tasks: u64,
    /// Records that reached the sink.
    pub records: u64,
    /// Pages that are wholly through.
    pub pages: u64,
    /// Bytes of finished output files.
    pub bytes_written: u64,
}

impl Progress {
    /// Takes back what was added for nothing.
    pub fn take(counter: &AtomicU64, amount: u64) {
        counter.fetch_sub(amount, Ordering::Relaxed);
    }

    /// All counters.
    pub fn counts(&self) -> ProgressCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProgressCounts {
            units: of(&self.units),
            units_done: of(&self.units_done),
            tasks: of(&self.tasks),
            records: of(&self.records),
            pages: of(&self.pages),
            bytes_written: of(&self.bytes_written),
        }
    }

    /// The counters of the session that a task belongs to, or some that nobody reads.
    pub fn of(context: &TaskContext) -> Arc<Self> {
        context.session_config().get_extension::<Self>().unwrap_or_default()
    }

    /// Adds to a counter; the counters are independent, so no order between them is promised.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}
