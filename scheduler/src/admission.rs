//! Which executors may join, what they are given, and how many vcores of each are taken.
//!
//! Ballista's in-memory list of executors takes whoever speaks its protocol. But functions travel by name and our nodes as
//! bytes, so an executor of another build would fail in a task, or give other rows: it is refused when it registers, or
//! comes back to a scheduler that was started anew. One that its fleet is about to stop is passed over. What passes through
//! here also shows every task that is handed out, also those whose trace a graph loses when they are handed out again:
//! Ballista would never give their vcores back, and an executor that had survived another would get no task any more.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

use crate::assignments::Assignments;
use crate::view;

/// Executors that are registered and get no tasks: their fleet wants to stop them.
#[derive(Debug, Default)]
pub(crate) struct Fenced(Mutex<HashSet<String>>);

impl Fenced {
    /// Whether the executor of an id gets no tasks from now on.
    pub(crate) fn set(&self, id: &str, fenced: bool) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if fenced {
            ids.insert(id.to_owned());
        } else {
            ids.remove(id);
        }
    }

    /// Those of `executors` that may get tasks.
    fn others(&self, mut executors: HashSet<String>) -> HashSet<String> {
        let ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        executors.retain(|id| !ids.contains(id));
        executors
    }
}

/// Ballista's list of executors behind our door.
pub(crate) struct Admission {
    executors: InMemoryClusterState,
    ours: Identity,
    assignments: Arc<Assignments>,
    /// Vcores that are taken, by executor, as far as Ballista was told.
    taken: Mutex<Vcores>,
    fenced: Arc<Fenced>,
}

/// Vcores by executor.
type Vcores = HashMap<String, u32>;

impl Admission {
    /// Lets in executors of the build `ours`.
    pub(crate) fn new(ours: Identity, assignments: Arc<Assignments>, fenced: Arc<Fenced>) -> Self {
        Self { executors: InMemoryClusterState::default(), ours, assignments, fenced, taken: Mutex::default() }
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

impl Admission {
    fn taken(&self) -> MutexGuard<'_, Vcores> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back what is taken by tasks that no graph knows any more. Graphs and vcores change in one event loop, which is
    /// here at the moment, so they agree but for what was lost.
    async fn give_back(&self, active_jobs: &HashMap<JobId, JobInfoCache>) -> Result<()> {
        let mut used = Vcores::new();
        for job in active_jobs.values() {
            let graph = job.execution_graph.read().await;
            for (executor, vcores) in view::read(graph.as_ref()).running {
                *used.entry(executor).or_default() += vcores;
            }
        }
        let lost = lost(&mut self.taken(), &used);
        if !lost.is_empty() {
            tracing::debug!(?lost, "vcores were taken by tasks that are no more");
            self.executors.unbind_tasks(lost).await?;
        }
        Ok(())
    }
}

/// Brings what is taken down to what is used; returns the difference.
fn lost(taken: &mut Vcores, used: &Vcores) -> Vec<ExecutorSlot> {
    let mut lost = Vec::new();
    for (executor, taken) in taken {
        let used = used.get(executor).copied().unwrap_or(0);
        if *taken > used {
            lost.push((executor.clone(), *taken - used));
            *taken = used;
        }
    }
    lost
}

#[async_trait]
impl ClusterState for Admission {
    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        active_jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        self.give_back(&active_jobs).await?;
        let executors = executors.unwrap_or_else(|| self.executor_heartbeats().into_keys().collect());
        let tasks = self.executors.bind_schedulable_tasks(distribution, active_jobs, Some(self.fenced.others(executors))).await?;
        self.assignments.bound(&tasks);
        for (executor, task) in &tasks {
            *self.taken().entry(executor.clone()).or_default() += task.vcores_consumed;
        }
        Ok(tasks)
    }

    async fn unbind_tasks(&self, executor_slots: Vec<ExecutorSlot>) -> Result<()> {
        for (executor, vcores) in &executor_slots {
            if let Some(taken) = self.taken().get_mut(executor) {
                *taken = taken.saturating_sub(*vcores);
            }
        }
        self.executors.unbind_tasks(executor_slots).await
    }

    async fn register_executor(&self, metadata: ExecutorMetadata, spec: ExecutorData) -> Result<()> {
        self.admit(&metadata.id)?;
        self.taken().remove(&metadata.id);
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
        self.taken().remove(executor_id);
        self.fenced.set(executor_id, false);
        let removed = self.executors.remove_executor(executor_id).await;
        // What it was given until then.
        self.assignments.lost(executor_id);
        removed
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
    fn vcores_of_tasks_that_are_no_more_are_given_back_once() {
        let vcores = |of: &[(&str, u32)]| of.iter().map(|(executor, vcores)| ((*executor).to_owned(), *vcores)).collect::<Vcores>();
        let mut taken = vcores(&[("a", 3), ("b", 1), ("c", 2)]);
        let used = vcores(&[("a", 1), ("b", 1), ("d", 1)]);
        let mut given = lost(&mut taken, &used);
        given.sort();
        assert_eq!(given, [("a".to_owned(), 2), ("c".to_owned(), 2)]);
        assert_eq!(taken, vcores(&[("a", 1), ("b", 1), ("c", 0)]));
        assert!(lost(&mut taken, &used).is_empty());
    }

    #[test]
    fn an_executor_of_another_build_is_not_let_in() {
        let ours = Identity::current();
        let door = Admission::new(ours.clone(), Arc::default(), Arc::default());
        assert!(door.admit(&executor_id(&ours)).is_ok());
        let other = Identity { digest: "00ff00ff00ff".into(), ..ours.clone() };
        for (id, said) in [(executor_id(&other), "00ff00ff00ff"), ("4a1f-9".to_owned(), "no executor of pacha")] {
            let error = door.admit(&id).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains(&ours.digest), "{error}");
        }
    }

    #[test]
    fn a_fenced_executor_gets_no_tasks_until_it_is_freed() {
        let fenced = Fenced::default();
        let all = || HashSet::from(["a".to_owned(), "b".to_owned()]);
        fenced.set("a", true);
        assert_eq!(fenced.others(all()), HashSet::from(["b".to_owned()]));
        fenced.set("a", false);
        assert_eq!(fenced.others(all()), all());
    }
}
