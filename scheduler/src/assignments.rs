//! Which tasks were handed out, and which of them have ended.
//!
//! Ballista forgets the tasks of a job that fails or is cancelled as soon as it has told executors to end them: once, and
//! without waiting. A word that comes before its task has begun changes nothing there, and the task runs on for nobody, and
//! writes. So what was handed out is kept here until its executor has told the end of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::{MultiTaskDefinition, TaskStatus, task_status};
use ballista_scheduler::cluster::BoundTask;
use ballista_scheduler::state::execution_graph::RunningTaskInfo;

/// How long after a job's end the end of its tasks is waited for: who cannot read a task never tells its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was handed out, by job.
#[derive(Debug, Default)]
pub(crate) struct Assignments(Mutex<HashMap<String, Job>>);

#[derive(Debug, Default)]
struct Job {
    /// Those that tasks of it are meant for, also if they never get them.
    executors: BTreeSet<String>,
    open: BTreeSet<Task>,
    over_at: Option<Instant>,
}

/// A task that was sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    executor: String,
    stage: u32,
    attempt: u32,
    number: u32,
}

impl Job {
    fn ends(&self) -> bool {
        self.over_at.is_some_and(|at| at.elapsed() < PATIENCE)
    }
}

impl Assignments {
    /// Executors that tasks of a job were meant for.
    pub(crate) fn executors(&self, job: &str) -> BTreeSet<String> {
        self.lock().get(job).map(|job| job.executors.clone()).unwrap_or_default()
    }

    /// Tasks of a job that executors were given and have not ended, as far as is known.
    pub(crate) fn open(&self, job: &str) -> usize {
        self.lock().get(job).filter(|job| job.over_at.is_none() || job.ends()).map_or(0, |job| job.open.len())
    }

    /// Jobs that are over and have tasks that are not.
    pub(crate) fn ending(&self) -> Vec<String> {
        self.lock().iter().filter(|(_, job)| job.ends() && !job.open.is_empty()).map(|(id, _)| id.clone()).collect()
    }

    /// Tasks that have not ended although their job has.
    pub(crate) fn left_over(&self, job: &str) -> Vec<RunningTaskInfo> {
        let info = |task: &Task| RunningTaskInfo {
            task_id: task.number as usize,
            job_id: job.into(),
            stage_id: task.stage as usize,
            executor_id: task.executor.clone(),
        };
        self.lock().get(job).filter(|job| job.ends()).map(|job| job.open.iter().map(info).collect()).unwrap_or_default()
    }

    /// Tasks are meant for executors.
    pub(crate) fn bound(&self, tasks: &[BoundTask]) {
        let mut jobs = self.lock();
        for (executor, task) in tasks {
            jobs.entry(task.key.job_id.to_string()).or_default().executors.insert(executor.clone());
        }
    }

    /// An executor is given tasks at once. Returns those that it is to be given: the others' jobs were over before.
    pub(crate) fn begin(&self, executor: &str, mut tasks: Vec<MultiTaskDefinition>) -> Vec<MultiTaskDefinition> {
        let mut jobs = self.lock();
        tasks.retain(|tasks| {
            let job = jobs.entry(tasks.job_id.clone()).or_default();
            if job.over_at.is_some() {
                return false;
            }
            let (stage, attempt) = (tasks.stage_id, tasks.stage_attempt_num);
            let task = |number| Task { executor: executor.to_owned(), stage, attempt, number };
            job.open.extend(tasks.task_ids.iter().map(|id| task(id.task_id)));
            true
        });
        tasks
    }

    /// An executor tells how tasks stand.
    pub(crate) fn told(&self, executor: &str, tasks: &[TaskStatus]) {
        let mut jobs = self.lock();
        for told in tasks {
            if matches!(told.status, None | Some(task_status::Status::Running(_))) {
                continue;
            }
            if let Some(job) = jobs.get_mut(&told.job_id) {
                let (stage, attempt, number) = (told.stage_id, told.stage_attempt_num, told.task_id);
                job.open.remove(&Task { executor: executor.to_owned(), stage, attempt, number });
            }
        }
    }

    /// An executor is gone, and its tasks with it.
    pub(crate) fn lost(&self, executor: &str) {
        self.lock().values_mut().for_each(|job| job.open.retain(|task| task.executor != executor));
    }

    /// A job is over: its tasks are to end, and no other begins.
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
    use ballista_core::serde::protobuf::{FailedTask, RunningTask, TaskId};

    use super::*;

    fn given(numbers: &[u32]) -> Vec<MultiTaskDefinition> {
        let id = |number: &u32| TaskId { task_id: *number, ..TaskId::default() };
        vec![MultiTaskDefinition {
            job_id: "job".into(),
            stage_id: 1,
            task_ids: numbers.iter().map(id).collect(),
            ..MultiTaskDefinition::default()
        }]
    }

    fn ended(number: u32) -> TaskStatus {
        let status = Some(task_status::Status::Failed(FailedTask::default()));
        TaskStatus { task_id: number, job_id: "job".into(), stage_id: 1, status, ..TaskStatus::default() }
    }

    #[test]
    fn a_task_is_open_until_its_executor_tells_its_end_or_is_lost() {
        let assignments = Assignments::default();
        assignments.begin("a", given(&[0, 1]));
        assignments.begin("b", given(&[2]));
        assert_eq!(assignments.open("job"), 3);
        let running = TaskStatus { status: Some(task_status::Status::Running(RunningTask::default())), ..ended(0) };
        assignments.told("a", &[running, ended(1)]);
        // Of a task that another executor has, and of one that was begun in another attempt at its stage.
        assignments.told("b", &[ended(0)]);
        assignments.told("a", &[TaskStatus { stage_attempt_num: 1, ..ended(0) }]);
        assert_eq!(assignments.open("job"), 2);
        assignments.lost("b");
        assert_eq!(assignments.open("job"), 1);
    }

    #[test]
    fn tasks_are_left_over_once_their_job_is_over_and_no_other_begins() {
        let assignments = Assignments::default();
        let left_over = || assignments.left_over("job").iter().map(|task| (task.executor_id.clone(), task.task_id)).collect::<Vec<_>>();
        assert_eq!(assignments.begin("a", given(&[0])).len(), 1);
        assert!(left_over().is_empty() && assignments.ending().is_empty());
        assignments.over("job");
        assert_eq!((left_over(), assignments.ending()), (vec![("a".to_owned(), 0)], vec!["job".to_owned()]));
        assert!(assignments.begin("b", given(&[1])).is_empty());
        assignments.told("a", &[ended(0)]);
        assert!(left_over().is_empty() && assignments.ending().is_empty() && assignments.open("job") == 0);
    }
}
