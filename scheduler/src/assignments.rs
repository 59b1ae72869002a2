//! Which tasks were handed out, and which of them have ended.
//!
//! Ballista forgets the tasks of a job that fails or is cancelled as soon as it has told executors to end them: once, and
//! without waiting. A word that comes before its task has begun changes nothing there, and the task runs on for nobody, and
//! writes. So what was handed out is kept here until its executor has told the end of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::{TaskStatus, task_status};
use ballista_scheduler::cluster::BoundTask;
use ballista_scheduler::state::execution_graph::RunningTaskInfo;

/// How long after a job's end the end of its tasks is asked for: an executor may never have got one.
const ASKED: Duration = Duration::from_secs(60);

/// What was handed out, by job.
#[derive(Debug, Default)]
pub(crate) struct Assignments(Mutex<HashMap<String, Job>>);

#[derive(Debug, Default)]
struct Job {
    executors: BTreeSet<String>,
    open: BTreeSet<Task>,
    over_at: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    executor: String,
    stage: usize,
    number: usize,
}

impl Assignments {
    /// Executors that were given tasks of a job.
    pub(crate) fn executors(&self, job: &str) -> BTreeSet<String> {
        self.lock().get(job).map(|job| job.executors.clone()).unwrap_or_default()
    }

    /// Tasks of a job that were handed out and have not ended, as far as is known.
    pub(crate) fn open(&self, job: &str) -> usize {
        self.lock().get(job).map_or(0, |job| job.open.len())
    }

    /// Tasks that have not ended although their job has.
    pub(crate) fn left_over(&self) -> Vec<RunningTaskInfo> {
        let jobs = self.lock();
        let over = jobs.iter().filter(|(_, job)| job.over_at.is_some_and(|at| at.elapsed() < ASKED));
        let tasks = over.flat_map(|(id, job)| job.open.iter().map(move |task| (id, task)));
        let info = |(job, task): (&String, &Task)| RunningTaskInfo {
            task_id: task.number,
            job_id: job.as_str().into(),
            stage_id: task.stage,
            executor_id: task.executor.clone(),
        };
        tasks.map(info).collect()
    }

    /// Tasks are handed out.
    pub(crate) fn begin(&self, tasks: &[BoundTask]) {
        let mut jobs = self.lock();
        for (executor, task) in tasks {
            let key = &task.key;
            let job = jobs.entry(key.job_id.to_string()).or_default();
            job.executors.insert(executor.clone());
            job.open.insert(Task { executor: executor.clone(), stage: key.stage_id, number: key.task_id });
        }
    }

    /// An executor tells how tasks stand.
    pub(crate) fn told(&self, executor: &str, tasks: &[TaskStatus]) {
        let mut jobs = self.lock();
        for told in tasks {
            if matches!(told.status, None | Some(task_status::Status::Running(_))) {
                continue;
            }
            if let Some(job) = jobs.get_mut(&told.job_id) {
                job.open.remove(&Task { executor: executor.to_owned(), stage: told.stage_id as usize, number: told.task_id as usize });
            }
        }
    }

    /// An executor is gone, and its tasks with it.
    pub(crate) fn lost(&self, executor: &str) {
        self.lock().values_mut().for_each(|job| job.open.retain(|task| task.executor != executor));
    }

    /// A job is over; its tasks are to end.
    pub(crate) fn over(&self, job: &str) {
        self.lock().entry(job.to_owned()).or_default().over_at.get_or_insert_with(Instant::now);
    }

    /// Nobody will ask for a job again.
    pub(crate) fn forget(&self, job: &str) {
        self.lock().remove(job);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ballista_core::serde::protobuf::{FailedTask, RunningTask};
    use ballista_core::serde::scheduler::TaskKey;
    use ballista_scheduler::state::execution_graph::TaskDescription;
    use datafusion::arrow::datatypes::Schema;
    use datafusion::physical_plan::empty::EmptyExec;

    use super::*;

    fn bound(executor: &str, number: usize) -> BoundTask {
        let task = TaskDescription {
            session_id: String::new(),
            key: TaskKey { job_id: "job".into(), stage_id: 1, task_id: number },
            stage_attempt_num: 0,
            task_attempt: 0,
            global_input_partition_ids: vec![number],
            vcores_consumed: 1,
            plan: Arc::new(EmptyExec::new(Arc::new(Schema::empty()))),
            session_config: Default::default(),
        };
        (executor.to_owned(), task)
    }

    fn status(number: u32, status: task_status::Status) -> TaskStatus {
        TaskStatus { task_id: number, job_id: "job".into(), stage_id: 1, status: Some(status), ..TaskStatus::default() }
    }

    #[test]
    fn a_task_is_open_until_its_executor_tells_its_end_or_is_lost() {
        let assignments = Assignments::default();
        assignments.begin(&[bound("a", 0), bound("a", 1), bound("b", 2)]);
        assert_eq!(assignments.open("job"), 3);
        let running = status(0, task_status::Status::Running(RunningTask::default()));
        let ended = status(1, task_status::Status::Failed(FailedTask::default()));
        assignments.told("a", &[running, ended.clone()]);
        // Of a task that another executor has.
        assignments.told("b", &[status(0, task_status::Status::Failed(FailedTask::default()))]);
        assert_eq!(assignments.open("job"), 2);
        assignments.lost("b");
        assert_eq!(assignments.open("job"), 1);
        assert_eq!(assignments.executors("job").len(), 2);
    }

    #[test]
    fn tasks_are_left_over_once_their_job_is_over_also_those_that_are_handed_out_after_it() {
        let assignments = Assignments::default();
        let left_over = || assignments.left_over().iter().map(|task| (task.executor_id.clone(), task.task_id)).collect::<Vec<_>>();
        assignments.begin(&[bound("a", 0)]);
        assert!(left_over().is_empty());
        assignments.over("job");
        assert_eq!(left_over(), [("a".to_owned(), 0)]);
        assignments.begin(&[bound("b", 1)]);
        assignments.told("a", &[status(0, task_status::Status::Failed(FailedTask::default()))]);
        assert_eq!(left_over(), [("b".to_owned(), 1)]);
        assignments.forget("job");
        assert!(left_over().is_empty() && assignments.open("job") == 0);
    }
}
