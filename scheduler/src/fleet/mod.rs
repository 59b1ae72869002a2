//! The fleet: executors that come when there is work and go when there is none.
//!
//! * [`Fleet`]: how executors are started and stopped; [`ProcessFleet`] on this machine, [`EcsFleet`] on AWS; [`choose`] makes
//!   the one that the settings ask for.
//! * [`size`]: how many there should be. Pure.
//! * [`roster`]: who belongs to the fleet and where each stands, from start to end. Pure.
//! * [`mod@follow`]: the loop that looks at the scheduler and makes the one like the other.
//! * [`metrics`]: what of it can be seen from outside, for dashboards and for other scalers.
//!
//! An executor is stopped only when it runs nothing and holds nothing that somebody still needs: shuffle files and results
//! lie on the disks of executors. Nothing here knows of jobs, and no job of who started its executors.

use std::fmt::Debug;

use async_trait::async_trait;
use engine::error::{Error, Result};

mod choose;
pub mod ecs;
pub mod follow;
pub mod metrics;
pub mod process;
pub mod roster;
pub mod size;

pub use choose::{FleetOptions, Place, choose};
pub use ecs::EcsFleet;
pub use follow::{Sight, View, follow};
pub use metrics::FleetMetrics;
pub use process::ProcessFleet;

/// An executor of a fleet, whether it has registered already or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name that it was started under, which its id ends with: see [`engine::cluster::identity::named`].
    pub name: String,
    /// What it is to whoever looks for it: `process 4711`, `ECS task` and its id.
    pub place: String,
    /// It has ended, and why. It is told once.
    pub ended: Option<String>,
}

/// What came of starting some.
#[derive(Debug, Default)]
pub struct Started {
    /// Those that are on their way.
    pub members: Vec<Member>,
    /// Why there are fewer than wanted.
    pub failure: Option<Error>,
}

/// Starts and stops executors.
#[async_trait]
pub trait Fleet: Debug + Send + Sync {
    /// Its word in `[fleet] kind`.
    fn name(&self) -> &'static str;

    /// Every executor of the fleet that has not ended, and, once, each that has. A fleet that outlives its scheduler finds
    /// those that an earlier one has started.
    ///
    /// # Errors
    /// It cannot be known now.
    async fn members(&self) -> Result<Vec<Member>>;

    /// Starts so many, and does not wait until they have registered.
    async fn start(&self, count: usize) -> Started;

    /// Asks these to end. They finish what they run; those that have ended already are no mistake.
    ///
    /// # Errors
    /// One of them could not be asked.
    async fn stop(&self, members: &[Member]) -> Result<()>;
}
