//! When and where jobs run. Today: the schedules of jobs, read and checked.
//!
//! * [`trigger`]: what makes a job run; a [`trigger::Schedule`] is a cron expression.

pub mod trigger;
