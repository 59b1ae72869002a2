//! A unit on a cluster: submitted, followed, judged, and submitted again if it does not count.
//!
//! Nothing relies on Ballista's own recovery. A task that failed with an error of ours fails the run, as it would in one
//! process; whatever else goes wrong costs this unit and an attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use schemas::problem::Problem;

use super::clean::{Observed, clean};
use super::client::{Cluster, Outcome};
use super::message;
use super::view::JobView;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::sink::Manifest;

/// How often a job is looked at: soon after it was submitted, as most are short, then less.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LATER_LOOK: Duration = Duration::from_millis(200);
/// How often executors are counted while a job makes no progress.
const COUNT: Duration = Duration::from_secs(1);

/// Why an attempt ended without a result that counts.
enum Fault {
    /// Something that another attempt may not meet.
    Again(String),
    /// Something that it would.
    Final(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        // The scheduler may come back.
        if error.problems.0.iter().any(|problem| problem.code == "PK701") {
            return Self::Again(error.problems.0.first().map(|problem| problem.message.clone()).unwrap_or_default());
        }
        Self::Final(error)
    }
}

/// What is followed while a job runs.
struct Watch {
    submitted: Instant,
    /// When tasks last began or ended.
    moved: Instant,
    last: (usize, usize, usize),
    /// When there was last an executor.
    peopled: Instant,
    counted: Option<Instant>,
    rows: u64,
    tasks: u64,
}

impl Cluster {
    /// Runs a plan under `name`, as often as it takes for an attempt to count. `read` makes of the results what they are
    /// for, and says if they do not add up.
    pub(crate) async fn execute<T>(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        name: &str,
        progress: &Progress,
        sink: bool,
        read: impl Fn(&[RecordBatch]) -> Result<T>,
    ) -> Result<T> {
        let mut faults: Vec<String> = Vec::new();
        for attempt in 1..=self.settings.attempts {
            match self.attempt(Arc::clone(&plan), &format!("{name}/{attempt}"), progress, sink, &read).await {
                Ok(done) => {
                    self.note(|used| used.units += 1);
                    return Ok(done);
                }
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Again(reason)) => {
                    tracing::warn!(target: "pacha", "{name}: attempt {attempt} does not count: {reason}");
                    self.note(|used| used.again.push(format!("{name}/{attempt}: {reason}")));
                    faults.push(reason);
                    self.scheduler_back().await?;
                }
            }
        }
        let times = if faults.len() == 1 { "once".to_owned() } else { format!("{} times", faults.len()) };
        let last = faults.pop().unwrap_or_default();
        let problem = Problem::error(
            "PK730",
            format!("{name} was tried {times} on {}, and never came to its end undisturbed; the last time: {last}", self.address),
        );
        Err(Error::failed(
            problem.hint("look at the logs of the executors that went, then run again; cluster.attempts sets how often is tried"),
        ))
    }

    async fn attempt<T>(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        name: &str,
        progress: &Progress,
        sink: bool,
        read: impl Fn(&[RecordBatch]) -> Result<T>,
    ) -> Result<T, Fault> {
        let partitions = plan.output_partitioning().partition_count();
        let id = self.submit(plan, name).await?;
        let ended = self.follow(&id, progress).await;
        let locations = match ended {
            Ok(locations) => locations,
            Err(fault) => {
                self.cancel(&id).await;
                if let Ok(Some(view)) = self.job(&id).await {
                    self.account(&view);
                }
                return Err(fault);
            }
        };
        let listed = locations.len();
        let results = self.results(locations).await;
        let view = self.job(&id).await.ok().flatten();
        self.ended(&id).await;
        if let Some(view) = &view {
            self.account(view);
        }
        let batches: Vec<RecordBatch> = results.iter().flatten().cloned().collect();
        let manifest = if sink { Some(Manifest::from_batches(&batches).map_err(Fault::Final)?) } else { None };
        let tasks = manifest.as_ref().map(|manifest| manifest.tasks.as_slice());
        clean(&Observed { partitions, listed, read: results.len(), tasks, view: view.as_ref() })
            .map_err(|unclean| Fault::Again(unclean.to_string()))?;
        if let Some(manifest) = &manifest {
            Progress::add(&progress.pages, manifest.pages.seen);
            Progress::add(&progress.bytes_written, manifest.files.iter().map(|file| file.bytes).sum());
        }
        // Counts that do not add up are a fault of this attempt before they are one of ours.
        read(&batches).map_err(|error| match error.problems.0.first() {
            Some(problem) if problem.code == "PG410" => Fault::Again(problem.message.clone()),
            _ => Fault::Final(error),
        })
    }

    fn account(&self, view: &JobView) {
        self.note(|used| {
            used.executors.extend(view.executors.iter().cloned());
            used.task_seconds += view.task_seconds;
            used.tasks += view.tasks().0 as u64;
            used.stages += view.stages.len() as u64;
        });
    }

    /// Follows a job to its end; returns where its results are.
    async fn follow(&self, id: &str, progress: &Progress) -> Result<Vec<ballista_core::serde::protobuf::PartitionLocation>, Fault> {
        let now = Instant::now();
        let mut watch = Watch { submitted: now, moved: now, last: (0, 0, 0), peopled: now, counted: None, rows: 0, tasks: 0 };
        let mut pause = FIRST_LOOK;
        loop {
            match self.outcome(id).await? {
                Outcome::Running => {}
                Outcome::Successful(locations) => return Ok(locations),
                Outcome::Unknown => return Err(Fault::Again("the scheduler was started again".into())),
                Outcome::Failed(text) => return Err(failed(&text)),
            }
            if let Some(view) = self.job(id).await? {
                watch.see(&view, progress);
                self.patience(&mut watch, &view).await?;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LATER_LOOK);
        }
    }

    /// Whether to wait longer.
    async fn patience(&self, watch: &mut Watch, view: &JobView) -> Result<(), Fault> {
        let settings = &self.settings;
        if watch.submitted.elapsed() > settings.timeout {
            let problem = Problem::error("PK732", format!("{} has run for {} s", view.name, settings.timeout.as_secs()));
            return Err(Fault::Final(Error::failed(problem.hint("raise cluster.timeout, or set cluster.unit_bytes lower"))));
        }
        if watch.counted.is_some_and(|at| at.elapsed() < COUNT) {
            return Ok(());
        }
        watch.counted = Some(Instant::now());
        let executors = self.executors().await?;
        let running: usize = view.stages.iter().map(|stage| stage.running).sum();
        if executors.iter().any(|executor| !executor.terminating) {
            watch.peopled = Instant::now();
        } else if watch.peopled.elapsed() > settings.wait {
            let problem = Problem::error("PK704", format!("no executor has come to {} in {} s", self.address, settings.wait.as_secs()));
            let hint = format!("start one with `pacha executor --scheduler {}`, or the scheduler with --fleet process", self.address);
            return Err(Fault::Final(Error::failed(problem.hint(hint))));
        }
        // While others take the executors, waiting is no sign of anything.
        let busy_elsewhere = running == 0 && executors.iter().any(|executor| executor.running > 0);
        if busy_elsewhere || executors.is_empty() {
            watch.moved = Instant::now();
        } else if watch.moved.elapsed() > settings.no_progress {
            return Err(Fault::Again(format!("no task has begun or ended for {} s", settings.no_progress.as_secs())));
        }
        Ok(())
    }

    /// Waits until the scheduler answers again, if it does not.
    async fn scheduler_back(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.executors().await {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > self.settings.wait => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        }
    }
}

impl Watch {
    fn see(&mut self, view: &JobView, progress: &Progress) {
        let (done, all) = view.tasks();
        let running = view.stages.iter().map(|stage| stage.running).sum();
        if (done, running, all) != self.last {
            (self.last, self.moved) = ((done, running, all), Instant::now());
        }
        // The last stage's rows are those of manifests; what its tasks wrote is in the sink's own metric.
        let rows = view.written_rows;
        Progress::add(&progress.records, rows.saturating_sub(self.rows));
        Progress::add(&progress.tasks, (done as u64).saturating_sub(self.tasks));
        (self.rows, self.tasks) = (self.rows.max(rows), self.tasks.max(done as u64));
    }
}

/// A job that failed: with an error of one of our tasks, or because of something around them.
fn failed(text: &str) -> Fault {
    if let Some(error) = message::received(text) {
        // That disk is this executor's; others may have room.
        return match error.problems.0.first() {
            Some(problem) if problem.code == "PR013" => Fault::Again(problem.message.clone()),
            _ => Fault::Final(error),
        };
    }
    tracing::debug!("job failed: {text}");
    Fault::Again(cause(text).to_owned())
}

/// Ballista's text in a few words.
fn cause(text: &str) -> &str {
    let known = [
        ("Cancelled", "its tasks were ended by the scheduler, which had not heard of this process for a minute"),
        ("os error 28", "the disk of an executor is full"),
        ("o space left on device", "the disk of an executor is full"),
        ("No executors", "all executors were lost"),
        ("no executors", "all executors were lost"),
        ("ExecutorLost", "an executor was lost"),
        ("xecutor lost", "an executor was lost"),
        ("FetchFailed", "an executor went with rows that others needed"),
        ("Fetch", "an executor went with rows that others needed"),
        ("could not be prepared or was rejected", "an executor cannot read the plan; its log says why"),
        ("onnection", "the connection to an executor broke"),
    ];
    known.iter().find(|(sign, _)| text.contains(sign)).map_or("a task failed outside pacha; the executor's log says why", |(_, said)| said)
}
