//! When and where jobs run: the processes of a cluster, and the schedules of jobs.
//!
//! * [`trigger`]: what makes a job run; a [`trigger::Schedule`] is a cron expression.
//! * [`scheduler`]: the process that hands out tasks. [`state`] is what it knows, read from Ballista by `view`; `http` and
//!   `metrics` show it; `admission` lets executors in, and `assignments`
//!   is what they were given; `service` is what they call.
//! * [`executor`]: the process that runs them.
//! * [`fleet`]: executors that come when there is work and go when there is none.
//! * [`local`]: a cluster of this machine, for one run.
//! * `member`: what its processes take from a session; `listen`: where they may listen, and `tls`: to whom; `folder`: what they leave behind.
//!
//! All of Ballista's servers are called from here, and from nowhere else.

mod admission;
mod assignments;
pub mod executor;
pub mod fleet;
mod folder;
mod http;
mod listen;
pub mod local;
mod member;
mod metrics;
pub mod scheduler;
mod service;
pub mod state;
mod tls;
pub mod trigger;
mod view;

pub use executor::{ExecutorOptions, ExecutorReady, Stop};
pub use local::LocalCluster;
pub use scheduler::{SchedulerOptions, SchedulerReady};
pub use state::SchedulerState;
