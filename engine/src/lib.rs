//! How jobs are planned, run, checked and committed.
//!
//! [`project`] is what an operator writes. Then read in the order in which a record travels: [`mod@format`] turns the bytes of
//! a page into batches, [`scan`] is the table over a collection's pages, [`function`] holds what a mapping may call,
//! [`mapping`] plans it, [`sink`] writes what came out, [`table`] is the commit log, [`job`] is one run from start to report, and
//! [`cost`] what it cost. [`backend`] is where plans run: here, or on a [`cluster`], to which [`codec`] brings what is ours in a plan.

pub mod aws;
pub mod backend;
pub mod catalog;
pub mod cluster;
pub mod codec;
pub mod cost;
pub mod error;
pub mod format;
pub mod function;
pub mod job;
pub mod mapping;
pub mod policy;
pub mod progress;
pub mod project;
pub mod query;
pub mod scan;
pub mod session;
pub mod sink;
pub mod sql;
pub mod storage;
pub mod table;

pub use error::{Error, Result};
