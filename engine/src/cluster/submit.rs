//! A unit on a cluster: submitted, followed, judged, and submitted again if it does not count.
//!
//! Nothing relies on Ballista's own recovery. A task that failed with an error of ours fails the run, as it would in one
//! process; whatever else goes wrong costs this unit and an attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use ballista_core::serde::protobuf::PartitionLocation;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use schemas::problem::Problem;

use super::clean::{Observed, Unclean, clean, undisturbed};
use super::client::{Cluster, Outcome, UNHEARD};
use super::view::JobView;
use super::{message, travel};
use crate::error::{Error, Kind, Result};
use crate::job::record::RecordedProblem;
use crate::progress::Progress;

/// How often a job is looked at: soon after it was submitted, as most are short, then less.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LATER_LOOK: Duration = Duration::from_millis(200);
/// How long the outcome of a job with a failed task is waited for.
const HINDSIGHT: Duration = Duration::from_secs(1);
/// How often executors are counted while a job makes no progress.
const COUNT: Duration = Duration::from_secs(1);

/// Why an attempt ended without a result that counts.
enum Fault {
    /// Something that another attempt may not meet: in a few words, and the error if that says more.
    Again(String, Option<Error>),
    /// Something that it would.
    Final(Error),
}

impl Fault {
    fn again(reason: impl Into<String>) -> Self {
        Self::Again(reason.into(), None)
    }

    /// An error that another attempt may not meet.
    fn passing(error: Error) -> Self {
        let reason = error.problems.0.first().map(|problem| problem.message.clone()).unwrap_or_default();
        Self::Again(reason, Some(error))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        // The scheduler may come back.
        if error.problems.0.iter().any(|problem| problem.code == "PK701") { Self::passing(error) } else { Self::Final(error) }
    }
}

/// What a plan is submitted for.
pub(crate) struct Work<'a, T> {
    /// What the run calls it.
    pub(crate) name: &'a str,
    /// Counters that follow it.
    pub(crate) progress: &'a Progress,
    /// Makes of the results what they are for.
    pub(crate) read: &'a (dyn Fn(&[RecordBatch]) -> Result<T> + Sync),
    /// The tasks that the results say they are of; none for a plan without a sink.
    pub(crate) tasks: fn(&T) -> Option<&[Option<String>]>,
    /// Says if the results do not add up.
    pub(crate) check: &'a (dyn Fn(&T) -> Result<()> + Sync),
}

/// What is followed while a job runs.
struct Watch<'a> {
    progress: &'a Progress,
    /// Whether the attempt turned out to count.
    counts: bool,
    submitted: Instant,
    /// The scheduler has once known it.
    known: bool,
    /// When tasks last began or ended.
    moved: Instant,
    last: (usize, usize, usize),
    /// When there was last an executor.
    peopled: Instant,
    counted: Option<Instant>,
    /// Since when it is plain that the attempt cannot count.
    disturbed: Option<Instant>,
    records: u64,
    tasks: u64,
}

impl Cluster {
    /// Runs a plan as often as it takes for an attempt to count.
    pub(crate) async fn execute<T>(&self, plan: Arc<dyn ExecutionPlan>, work: &Work<'_, T>) -> Result<T> {
        let plan = travel::shared(plan)?;
        let name = work.name;
        let (mut tried, mut last) = (0, (String::new(), None));
        while tried < self.settings.attempts {
            tried += 1;
            match self.attempt(Arc::clone(&plan), &format!("{name}/{tried}"), work).await {
                Ok(done) => {
                    self.note(|used| used.units += 1);
                    return Ok(done);
                }
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Again(reason, error)) => {
                    tracing::warn!(target: "pacha", "{name}: attempt {tried} does not count: {reason}");
                    self.note(|used| used.again.push(format!("{name}/{tried}: {reason}")));
                    last = (reason, error);
                    self.scheduler_back().await?;
                }
            }
        }
        let times = if tried == 1 { "once".to_owned() } else { format!("{tried} times") };
        if let (_, Some(mut error)) = last {
            if let Some(problem) = error.problems.0.first_mut() {
                problem.message = format!("{}; {name} was tried {times} on {}", problem.message, self.address);
            }
            return Err(error);
        }
        let message =
            format!("{name} was tried {times} on {}, and never came to its end undisturbed; the last time: {}", self.address, last.0);
        let hint = "look at the logs of the executors that went, then run again; cluster.attempts sets how often is tried";
        Err(Error::failed(Problem::error("PK730", message).hint(hint)))
    }

    async fn attempt<T>(&self, plan: Arc<dyn ExecutionPlan>, name: &str, work: &Work<'_, T>) -> Result<T, Fault> {
        let partitions = plan.output_partitioning().partition_count();
        let id = self.submit(plan, name).await?;
        let mut watch = Watch::new(work.progress);
        let locations = match self.follow(&id, &mut watch).await {
            Ok(locations) => locations,
            Err(fault) => {
                if let Some(view) = self.cancel(&id).await {
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
            watch.see(view);
            cut_alike(work.name, partitions, view)?;
        }
        let read = results.len();
        let batches: Vec<RecordBatch> = results.into_iter().flatten().collect();
        let done = (work.read)(&batches).map_err(Fault::Final)?;
        clean(&Observed { partitions, listed, read, tasks: (work.tasks)(&done), view: view.as_ref() })
            .map_err(|unclean| Fault::again(unclean.to_string()))?;
        // Counts that do not add up are a fault of this attempt before they are one of ours.
        (work.check)(&done).map_err(|error| match error.problems.0.first() {
            Some(problem) if problem.code == "PG410" => Fault::passing(error),
            _ => Fault::Final(error),
        })?;
        watch.counts = true;
        Ok(done)
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
    async fn follow(&self, id: &str, watch: &mut Watch<'_>) -> Result<Vec<PartitionLocation>, Fault> {
        let mut pause = FIRST_LOOK;
        loop {
            match self.outcome(id).await? {
                Outcome::Running => watch.known = true,
                Outcome::Successful(locations) => return Ok(locations),
                Outcome::Unknown if !watch.known && watch.submitted.elapsed() < UNHEARD => {}
                Outcome::Unknown => return Err(Fault::again("the scheduler was started again")),
                Outcome::Failed(text) => return Err(failed(&text)),
            }
            if let Some(view) = self.job(id).await? {
                watch.see(&view);
                watch.disturbed(&view)?;
                self.patience(watch, &view).await?;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LATER_LOOK);
        }
    }

    /// Whether to wait longer.
    async fn patience(&self, watch: &mut Watch<'_>, view: &JobView) -> Result<(), Fault> {
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
        let known = |id: &String| executors.iter().any(|executor| executor.id == *id);
        if view.executors.iter().any(|id| !known(id)) {
            return Err(Fault::again(Unclean::Faults.to_string()));
        }
        let running: usize = view.stages.iter().map(|stage| stage.running).sum();
        if executors.iter().any(|executor| !executor.terminating) {
            watch.peopled = Instant::now();
            self.peopled();
        } else {
            let trouble = self.fleet().await?.trouble;
            if watch.peopled.elapsed() > settings.wait {
                return Err(Fault::Final(self.nobody(trouble)));
            }
            if let Some(trouble) = trouble {
                self.waits(trouble);
            }
        }
        // While others take the executors, waiting is no sign of anything.
        let busy_elsewhere = running == 0 && executors.iter().any(|executor| executor.running > 0);
        if busy_elsewhere || executors.is_empty() {
            watch.moved = Instant::now();
        } else if watch.moved.elapsed() > settings.no_progress {
            let message = format!("{}: no task has begun or ended for {} s", view.name, settings.no_progress.as_secs());
            let hint = "raise cluster.no_progress if its tasks are that long; else look at what its executors do";
            return Err(Fault::passing(Error::failed(Problem::error("PK731", message).hint(hint))));
        }
        Ok(())
    }

    /// No executor has come in the time that there is for it.
    fn nobody(&self, trouble: Option<RecordedProblem>) -> Error {
        let message = format!("no executor has come to {} in {} s", self.address, self.settings.wait.as_secs());
        Error::failed(match trouble {
            Some(RecordedProblem { code, message: why, hint }) => Problem::error("PK704", format!("{message}: {why} ({code})"))
                .hint(hint.unwrap_or_else(|| "the log of the scheduler says more".into())),
            None => Problem::error("PK704", message)
                .hint(format!("start one with `pacha executor --scheduler {}`, or the scheduler with --fleet process", self.address)),
        })
    }

    /// Waits until the scheduler answers again, if it does not. It may be another by then.
    async fn scheduler_back(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.same_build().await {
                Ok(()) => return Ok(()),
                Err(error) if error.kind == Kind::Configuration => return Err(error),
                Err(error) if begun.elapsed() > self.settings.wait => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        }
    }
}

impl<'a> Watch<'a> {
    fn new(progress: &'a Progress) -> Self {
        let now = Instant::now();
        Self {
            progress,
            counts: false,
            submitted: now,
            known: false,
            moved: now,
            last: (0, 0, 0),
            peopled: now,
            counted: None,
            disturbed: None,
            records: 0,
            tasks: 0,
        }
    }

    /// What cannot count any more need not come to its end. A task that failed with an error of ours ends the job at once,
    /// and is told by its outcome; so this waits a little.
    fn disturbed(&mut self, view: &JobView) -> Result<(), Fault> {
        let Err(unclean) = undisturbed(view) else { return Ok(()) };
        let since = *self.disturbed.get_or_insert_with(Instant::now);
        if since.elapsed() > HINDSIGHT { Err(Fault::again(unclean.to_string())) } else { Ok(()) }
    }

    fn see(&mut self, view: &JobView) {
        let (done, all) = view.tasks();
        let running = view.stages.iter().map(|stage| stage.running).sum();
        if (done, running, all) != self.last {
            (self.last, self.moved) = ((done, running, all), Instant::now());
        }
        let (records, tasks) = (self.records.max(view.records), self.tasks.max(done as u64));
        Progress::add(&self.progress.records, records - self.records);
        Progress::add(&self.progress.tasks, tasks - self.tasks);
        (self.records, self.tasks) = (records, tasks);
    }
}

/// An attempt that does not count leaves no trace in what is counted.
impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.counts {
            Progress::take(&self.progress.records, self.records);
            Progress::take(&self.progress.tasks, self.tasks);
        }
    }
}

/// A job that failed: with an error of one of our tasks, or because of something around them.
fn failed(text: &str) -> Fault {
    if let Some(error) = message::received(text) {
        // That disk is this executor's; others may have room.
        let full = error.problems.0.first().is_some_and(|problem| problem.code == "PR015");
        return if full { Fault::passing(error) } else { Fault::Final(error) };
    }
    tracing::debug!("job failed: {text}");
    // No task ran: the next attempt would end in the same way.
    if text.starts_with("Error planning job") {
        let not_in = text.contains("Null-aware");
        let hint = if not_in {
            "write NOT EXISTS (SELECT 1 FROM … WHERE …) instead of NOT IN, or run the job in this process, without --cluster"
        } else {
            "run the job in this process, without --cluster, and report this with its SQL; the scheduler's log says more"
        };
        let what = if not_in { "a NOT IN over so many rows" } else { "a plan" };
        return Fault::Final(Error::failed(Problem::error("PK738", format!("the scheduler cannot cut {what} into tasks")).hint(hint)));
    }
    Fault::again(cause(text))
}

/// That the scheduler has made as many tasks of the last stage as the client wants results. If not, no attempt will do.
fn cut_alike(name: &str, partitions: usize, view: &JobView) -> Result<(), Fault> {
    let Some(last) = view.stages.last().filter(|last| last.partitions != partitions) else { return Ok(()) };
    let message = format!("the scheduler has cut {name} into {} tasks where its client wants {partitions}", last.partitions);
    let hint = "run the job in this process, without --cluster, and report this with its SQL";
    Err(Fault::Final(Error::failed(Problem::error("PK738", message).hint(hint))))
}

/// Ballista's text in a few words.
fn cause(text: &str) -> &str {
    let known = [
        ("Cancelled", "it was ended by its scheduler"),
        ("os error 28", "the disk of an executor is full"),
        ("o space left on device", "the disk of an executor is full"),
        ("No executors", "all executors were lost"),
        ("no executors", "all executors were lost"),
        ("ExecutorLost", "an executor was lost"),
        ("xecutor lost", "an executor was lost"),
        ("Fetch", "an executor went with rows that others needed"),
        ("could not be prepared or was rejected", "an executor refused a task; its log says why"),
        ("onnection", "the connection to an executor broke"),
    ];
    let said = known.iter().find(|(sign, _)| text.contains(sign)).map(|(_, said)| *said);
    said.unwrap_or("a task failed outside pacha; the executor's log says why")
}
