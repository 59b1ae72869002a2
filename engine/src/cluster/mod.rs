//! Running plans on a cluster: what client, scheduler and executors must agree on, and the client itself.
//!
//! * [`address`]: where a scheduler is; [`mod@get`]: questions to it.
//! * [`identity`]: what a process is; client, scheduler and executors work together only if they are the same.
//! * [`view`]: what a scheduler shows of its jobs and executors, read only.
//! * [`message`]: an error that leaves the process.
//! * [`tls`]: how the processes know one another.
//! * [`client`]: submits plans; `submit` sees each unit through, `travel` makes bytes of its plan, `cancel` ends it; [`clean`] is the
//!   rule by which an attempt counts.
//!
//! The processes themselves are in the `scheduler` crate.

pub mod address;
mod cancel;
pub mod clean;
pub mod client;
pub mod get;
pub mod identity;
pub mod message;
mod submit;
pub mod tls;
mod travel;
pub mod view;

pub use address::Address;
pub use client::{Cluster, Used};
pub use identity::Identity;
pub(crate) use submit::Work;
pub use tls::Tls;
pub(crate) use travel::refusal;

/// Messages between the processes may have so many bytes: a plan carries the list of its pages.
pub const MESSAGE_BYTES: usize = 64 << 20;
