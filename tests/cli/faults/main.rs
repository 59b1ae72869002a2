//! The failure matrix of the commit protocol, on the real protocols of S3 and Glue: a process killed after each step, answers
//! that are lost, writers that come late or at once, stores and catalogs that refuse or throttle, credentials that expire, a
//! vacuum while others read and publish. What must hold is the same for all: nothing lost, nothing double, and a next
//! command to type.
//!
//! The steps are those of the protocol: 1 pin, 2 write, 3 collect, 4 commit, 5 publish.
//!
//! * [`commit`]: up to the commit, by the log. [`published`]: what Glue shows. [`vacuum`]: who removes.
//! * [`world`]: the project, its bucket and its catalog.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod commit;
mod published;
#[path = "../small_project/mod.rs"]
mod small_project;
mod vacuum;
mod world;
