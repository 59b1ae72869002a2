//! An ECS cluster in this process: the protocol, the rules that a fleet must keep to, faults, and tasks that may be real
//! processes of this machine.
//!
//! It is stricter than ECS where ECS is vague: what a request names must exist, tokens make it idempotent, lists come in
//! pages of a few, and a new task can be shown late, as it is by ECS on a bad day.
//!
//! * [`state`]: what runs on the cluster, and one function for each operation.

mod state;

use std::process::Command;

use serde_json::Value;

use crate::json::{self, Server};
pub use crate::json::{Fault, Held, Logged, REGION};
use state::State;

/// The cluster that there is.
pub const CLUSTER: &str = "library";
/// The task definition that there is, and its container.
pub const DEFINITION: &str = "pacha-executor";
/// The container of [`DEFINITION`].
pub const CONTAINER: &str = "pacha";

/// The command that runs a task, given the one that its container was started with.
pub type Launch = Box<dyn Fn(&[String]) -> Command + Send>;

/// A running cluster. Processes of its tasks end with it.
pub type FakeEcs = Server<State>;

/// A task, as a test wants to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its ARN.
    pub arn: String,
    /// `FARGATE` or `FARGATE_SPOT`.
    pub provider: String,
    /// The command that its container was started with.
    pub command: Vec<String>,
    /// `RUNNING`, `STOPPED`…
    pub status: String,
}

impl FakeEcs {
    /// The key whose signatures it accepts.
    pub fn credentials() -> aws_credential_types::Credentials {
        json::credentials()
    }

    /// Tasks that are started from now on are processes of this machine.
    pub fn launch(&self, launch: Launch) {
        self.state().launch = Some(launch);
    }

    /// The next so many looks at a task that was just started do not show it.
    pub fn hide_new(&self, looks: usize) {
        self.state().hidden = looks;
    }

    /// All tasks in the order of their start, ended ones too.
    pub fn tasks(&self) -> Vec<Shown> {
        self.state().shown()
    }

    /// Fargate Spot takes the machine of a task back: its process gets SIGTERM, a task without one has ended.
    pub fn reclaim(&self, arn: &str) {
        self.state().end(arn, "SpotInterruption", "Your Spot Task was interrupted.", None);
    }

    /// The container of a task without a process ends with this exit code.
    pub fn crash(&self, arn: &str, exit_code: i32) {
        self.state().end(arn, "EssentialContainerExited", "Essential container in task exited", Some(exit_code));
    }

    /// A task as `DescribeTasks` shows it.
    pub fn task(&self, arn: &str) -> Value {
        self.state().described(arn).unwrap_or_default()
    }
}
