//! The sink: routes the rows of a run to its tables, writes them as Parquet, and returns a row per file.
//!
//! In the order in which a row travels:
//!
//! * [`exec`]: [`SinkExec`], the plan node, and [`spec`]: what it carries to an executor.
//! * `partition`: one partition from its first batch to its manifest rows.
//! * `route`: where a row goes; `record`: the columns it is decided by. `finding` and `quarantine` collect what is said
//!   of a record, and the records withheld.
//! * `buffer`: the rows of one file in memory; `order` sorts them; [`hash`] sums them; `file` writes them.
//! * [`schema`]: the columns of the tables. [`manifest`] and [`summary`]: what comes back, and how partitions are merged.
//!
//! Nothing that is written here can be seen before a commit names it, so a failed run leaves strays and no harm. No name
//! comes from a partition number: on a cluster it counts inside the task.

mod buffer;
mod exec;
mod file;
mod finding;
pub mod hash;
pub mod manifest;
mod order;
mod partition;
mod quarantine;
mod record;
pub mod reread;
mod route;
pub mod schema;
mod spec;
pub mod summary;
#[cfg(test)]
mod tests;

pub use exec::SinkExec;
pub use manifest::{Manifest, ManifestFile, manifest_schema};
pub use reread::{Reread, RereadPage};
pub use schema::{findings_schema, mapped_schema, quarantine_schema};
pub use spec::{COMPRESSION_LEVEL, FILE_BYTES, SinkMode, SinkSpec};
pub use summary::{Example, FindingGroup, Pages, Summary};
