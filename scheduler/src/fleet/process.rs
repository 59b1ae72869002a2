//! Executors as processes of this machine, each started with the command that its scheduler was given.
//!
//! The standard input of each is a pipe from here, and an executor ends when it is closed: so none outlives its scheduler,
//! however that ends.

use std::fmt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use engine::error::{Error, Result};
use rustix::process::{Pid, Signal, kill_process};
use schemas::problem::Problem;

use super::{Fleet, Member, Started};

/// The command that starts the executor of a name.
pub type Launch = Box<dyn Fn(&str) -> Command + Send + Sync>;

/// Processes of this machine.
pub struct ProcessFleet {
    launch: Launch,
    children: Mutex<Vec<Running>>,
}

struct Running {
    name: String,
    child: Child,
}

impl Running {
    fn member(&self, ended: Option<String>) -> Member {
        Member { name: self.name.clone(), place: format!("process {}", self.child.id()), ended }
    }
}

impl fmt::Debug for ProcessFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcessFleet {{ processes: {} }}", self.children().len())
    }
}

impl ProcessFleet {
    /// No process yet. `launch` gives the whole command, but for its standard input.
    pub fn new(launch: Launch) -> Self {
        Self { launch, children: Mutex::default() }
    }

    fn children(&self) -> MutexGuard<'_, Vec<Running>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn launch(&self) -> Result<Running> {
        let name = uuid::Uuid::now_v7().simple().to_string();
        let mut command = (self.launch)(&name);
        match command.stdin(Stdio::piped()).spawn() {
            Ok(child) => Ok(Running { name, child }),
            Err(error) => {
                let program = command.get_program().display();
                let problem = Problem::error("PK748", format!("no executor can be started: {program}: {error}"));
                Err(Error::failed(problem.hint("see that this file is there and that this machine can run more processes")))
            }
        }
    }
}

#[async_trait]
impl Fleet for ProcessFleet {
    fn name(&self) -> &'static str {
        "process"
    }

    async fn members(&self) -> Result<Vec<Member>> {
        let mut children = self.children();
        let (mut members, mut left) = (Vec::with_capacity(children.len()), Vec::with_capacity(children.len()));
        for mut running in std::mem::take(&mut *children) {
            let ended = match running.child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(status.to_string()),
                Err(error) => Some(format!("it is no process of ours any more: {error}")),
            };
            members.push(running.member(ended));
            if members.last().is_some_and(|member| member.ended.is_none()) {
                left.push(running);
            }
        }
        *children = left;
        Ok(members)
    }

    async fn start(&self, count: usize) -> Started {
        let mut started = Started::default();
        for _ in 0..count {
            match self.launch() {
                Ok(running) => {
                    started.members.push(running.member(None));
                    self.children().push(running);
                }
                Err(error) => {
                    started.failure = Some(error);
                    break;
                }
            }
        }
        started
    }

    async fn stop(&self, members: &[Member]) -> Result<()> {
        for running in self.children().iter_mut() {
            let asked = members.iter().any(|member| member.name == running.name);
            // Whoever has been waited for has no number any more, and its number may be another's.
            if asked && matches!(running.child.try_wait(), Ok(None)) {
                kill_process(Pid::from_child(&running.child), Signal::TERM).map_err(|error| {
                    let problem = Problem::error("PK747", format!("process {} cannot be asked to end: {error}", running.child.id()));
                    Error::failed(problem.hint("end it by hand"))
                })?;
            }
        }
        Ok(())
    }
}
