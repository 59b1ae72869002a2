//! The commit log of a database: the one place where something is published.
//!
//! A database is a directory with a log, `_commits/`, and a directory of immutable Parquet files per table. A version is
//! published by putting the next numbered file into the log, if none has that number yet: object stores and local disks
//! alike do that atomically, and it is the only thing asked of them. Everything before it is invisible, everything after
//! it is repeatable; readers take the highest number and never list data.
//!
//! * [`commit`]: what a commit file says; [`counts`], [`schema`] and [`instant`] are parts of it.
//! * [`snapshot`]: the state at a version, folded from commits; [`rebase`]: whether two changes can follow each other.
//! * [`log`]: the [`Database`]: reading versions, committing, checkpoints; [`rollback`], [`strays`] and [`vacuum`] are its other verbs.
//! * [`read`]: a table at a version, as DataFusion scans it.
//! * [`crash`]: where the process can be made to die, for the tests that prove the above.

pub mod commit;
pub mod counts;
pub mod crash;
#[cfg(test)]
mod faults;
pub mod instant;
pub mod log;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod protocol;
pub mod read;
pub mod rebase;
pub mod rollback;
pub mod schema;
pub mod snapshot;
pub mod strays;
pub mod vacuum;
#[cfg(test)]
mod vacuum_properties;

pub use commit::{CollectionState, Commit, DataFile, Inputs, Operation, Proposal, RowHash, TableChange, Vacuum, Version};
pub use counts::{Counts, Thousands, counted};
pub use crash::crash_point;
pub use log::Database;
pub use read::TableVersion;
pub use schema::Columns;
pub use snapshot::{Affected, Snapshot, TableState};
