//! Named points at which the process can be made to die, as a power cut would kill it.
//!
//! It is in the product, not only in its tests, because what must be shown is that the very binary that users run leaves
//! the last version readable wherever it is killed: the crash tests start it with `PACHA_CRASH_AT=before-commit` and look
//! at what is left. The points, in the order in which a run passes them: `before-data-files`, `after-data-files`,
//! `before-commit`, `commit-staged` (on a disk: written, not yet named), `after-commit`, `before-checkpoint`, then, where tables
//! are shown in Glue, `after-copy`, `after-partitions` and `after-swap`, and `before-record`; of a vacuum, `vacuum-announced`. Without
//! the variable a point costs one comparison.

use std::sync::OnceLock;

/// Aborts the process, without unwinding or flushing, if `PACHA_CRASH_AT` is `name`.
pub fn crash_point(name: &str) {
    static WANTED: OnceLock<Option<String>> = OnceLock::new();
    if WANTED.get_or_init(|| std::env::var("PACHA_CRASH_AT").ok()).as_deref() == Some(name) {
        std::process::abort();
    }
}
