//! What makes a job run. One trigger a file.

pub mod schedule;

pub use schedule::Schedule;
