//! Which executors may join, and which jobs they were given tasks of.
//!
//! Ballista's in-memory list of executors takes whoever speaks its protocol. But functions travel by name and our nodes as
//! bytes, so an executor of another build would fail in a task, or give other rows: it is refused when it registers, or
//! comes back to a scheduler that was started anew. What passes through here also shows every task that is handed out,
//! also those whose trace a graph loses when they are handed out again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::{BallistaError, Result};
use ballista_core::serde::protobuf::ExecutorHeartbeat;
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::memory::InMemoryClusterState;
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::state::task_manager::JobInfoCache;
use engine::cluster::Identity;
use engine::cluster::identity::digest_of;

/// Executors by job.
#[derive(Debug, Default)]
pub(crate) struct Assignments(Mutex<HashMap<String, BTreeSet<String>>>);

impl Assignments {
    /// Executors that were given tasks of a job.
    pub(crate) fn of(&self, job: &str) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(job).cloned().unwrap_or_default()
    }

    /// A job is over, and what is known of it kept elsewhere.
    pub(crate) fn forget(&self, job: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
    }

    fn note(&self, tasks: &[BoundTask]) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (executor, task) in tasks {
            jobs.entry(task.key.job_id.to_string()).or_default().insert(executor.clone());
        }
    }
}

/// Ballista's list of executors behind our door.
pub(crate) struct Admission {
    executors: InMemoryClusterState,
    ours: Identity,
    assignments: Arc<Assignments>,
}

impl Admission {
    /// Lets in executors of the build `ours`.
    pub(crate) fn new(ours: Identity, assignments: Arc<Assignments>) -> Self {
        Self { executors: InMemoryClusterState::default(), ours, assignments }
    }

    fn admit(&self, id: &str) -> Result<()> {
        match digest_of(id) {
            Some(digest) if digest == self.ours.digest => Ok(()),
            Some(digest) => {
                Err(BallistaError::Configuration(format!("this scheduler is pacha {}, executor {id} is of build {digest}", self.ours)))
            }
            None => {
                Err(BallistaError::Configuration(format!("this scheduler is pacha {}, executor {id} is no executor of pacha", self.ours)))
            }
        }
    }
}

#[async_trait]
impl ClusterState for Admission {
    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        active_jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        let tasks = self.executors.bind_schedulable_tasks(distribution, active_jobs, executors).await?;
        self.assignments.note(&tasks);
        Ok(tasks)
    }

    async fn unbind_tasks(&self, executor_slots: Vec<ExecutorSlot>) -> Result<()> {
        self.executors.unbind_tasks(executor_slots).await
    }

    async fn register_executor(&self, metadata: ExecutorMetadata, spec: ExecutorData) -> Result<()> {
        self.admit(&metadata.id)?;
        self.executors.register_executor(metadata, spec).await
    }

    async fn save_executor_metadata(&self, metadata: ExecutorMetadata) -> Result<()> {
        self.admit(&metadata.id)?;
        self.executors.save_executor_metadata(metadata).await
    }

    async fn get_executor_metadata(&self, executor_id: &str) -> Result<ExecutorMetadata> {
        self.executors.get_executor_metadata(executor_id).await
    }

    async fn registered_executor_metadata(&self) -> Vec<ExecutorMetadata> {
        self.executors.registered_executor_metadata().await
    }

    async fn save_executor_heartbeat(&self, heartbeat: ExecutorHeartbeat) -> Result<()> {
        self.executors.save_executor_heartbeat(heartbeat).await
    }

    async fn remove_executor(&self, executor_id: &str) -> Result<()> {
        self.executors.remove_executor(executor_id).await
    }

    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        self.executors.executor_heartbeats()
    }

    fn get_executor_heartbeat(&self, executor_id: &str) -> Option<ExecutorHeartbeat> {
        self.executors.get_executor_heartbeat(executor_id)
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.executors.cluster_state_events().await
    }
}

#[cfg(test)]
mod tests {
    use engine::cluster::identity::executor_id;

    use super::*;

    #[test]
    fn an_executor_of_another_build_is_not_let_in() {
        let ours = Identity::current();
        let door = Admission::new(ours.clone(), Arc::default());
        assert!(door.admit(&executor_id(&ours)).is_ok());
        let other = Identity { digest: "00ff00ff00ff".into(), ..ours.clone() };
        for (id, said) in [(executor_id(&other), "00ff00ff00ff"), ("4a1f-9".to_owned(), "no executor of pacha")] {
            let error = door.admit(&id).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains(&ours.digest), "{error}");
        }
    }
}
