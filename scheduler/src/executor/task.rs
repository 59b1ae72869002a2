//! A task, as this executor runs it: on threads with room for deep records, counted, and with its error in a form that the
//! client can read again.
//!
//! Ballista runs tasks on threads with a stack of 2 MiB, but a page nested as deeply as a codec allows takes more: it would
//! end the process, and then the next executor that is given the task.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::BallistaError;
use ballista_core::serde::protobuf::{RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;
use engine::cluster::message;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinError;

use super::connection::Connections;
use super::wanted::Wanted;

/// Stack of the threads that run tasks, as in a process that runs its plans itself.
const STACK: usize = 32 << 20;

/// Tasks of this process.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Run now.
    pub(super) running: AtomicU64,
    /// Ended well.
    pub(super) successful: AtomicU64,
    /// Ended with an error.
    pub(super) failed: AtomicU64,
    /// Were ended by the scheduler.
    pub(super) cancelled: AtomicU64,
}

/// The threads that run tasks. They end with the value, whatever they are at.
pub(super) struct Threads(Option<Runtime>);

impl Threads {
    /// As many as tasks run at a time.
    pub(super) fn new(vcores: usize) -> std::io::Result<Self> {
        let threads = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(vcores).thread_stack_size(STACK).build()?;
        Ok(Self(Some(threads)))
    }

    fn handle(&self) -> Handle {
        self.0.as_ref().expect("there until the value is dropped").handle().clone()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}

/// Tells all tasks to end, because their executor does. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct HandBack(watch::Sender<bool>);

impl HandBack {
    /// Ends all tasks, those to come too.
    pub(super) fn all(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when tasks are to end.
    async fn told(&self) {
        // The sender is in `self`.
        let _ = self.0.subscribe().wait_for(|told| *told).await;
    }
}

/// Ballista's engine, with tasks of ours.
pub(super) struct Tasks {
    inner: DefaultExecutionEngine,
    /// How a message names this executor.
    executor: Arc<str>,
    counts: Arc<Counts>,
    threads: Handle,
    hand_back: HandBack,
}

impl Tasks {
    /// Tasks of the executor that others find at `executor`.
    pub(super) fn new(executor: &str, counts: &Arc<Counts>, threads: &Threads, hand_back: &HandBack) -> Self {
        let inner = DefaultExecutionEngine::with_client_pool(Arc::new(Connections::default()));
        Self { inner, executor: executor.into(), counts: Arc::clone(counts), threads: threads.handle(), hand_back: hand_back.clone() }
    }
}

impl ExecutionEngine for Tasks {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        global_output_partition_ids: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let name = format!("{job_id}/{stage_id}/{task_id}");
        let (wanted, plan) = Wanted::under(plan)?;
        let inner = self.inner.create_query_stage_exec(job_id, stage_id, task_id, global_output_partition_ids, plan, work_dir, config)?;
        let (executor, counts) = (Arc::clone(&self.executor), Arc::clone(&self.counts));
        Ok(Arc::new(Task { name, executor, inner, wanted, counts, threads: self.threads.clone(), hand_back: self.hand_back.clone() }))
    }
}

#[derive(Debug)]
struct Task {
    name: String,
    executor: Arc<str>,
    inner: Arc<dyn QueryStageExecutor>,
    wanted: Wanted,
    counts: Arc<Counts>,
    threads: Handle,
    hand_back: HandBack,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl QueryStageExecutor for Task {
    async fn execute_query_stage(&self, task_id: usize, context: Arc<TaskContext>) -> Result<Vec<ShuffleWritePartition>> {
        let running = Running::begin(&self.counts);
        let inner = Arc::clone(&self.inner);
        let task = self.threads.spawn(async move { inner.execute_query_stage(task_id, context).await });
        // Ballista ends a task by dropping it.
        let end = (AbortOnDrop(task.abort_handle()), self.wanted.end());
        let result = tokio::select! {
            result = task => result.unwrap_or_else(|error| ended(error, &self.executor)),
            () = self.hand_back.told() => Err(lost(&self.executor)),
        };
        drop(end);
        running.end(result.is_ok());
        result.map_err(|error| {
            tracing::warn!(target: "pacha", "task {} failed: {}", self.name, first_line(&error));
            message::sent(error, &self.executor)
        })
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.wanted.metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.inner.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.inner.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.inner.collect_column_stats()
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Counts a task as running, and as cancelled if it is dropped before its end.
struct Running<'a>(Option<&'a Counts>);

impl<'a> Running<'a> {
    fn begin(counts: &'a Counts) -> Self {
        counts.running.fetch_add(1, Ordering::Relaxed);
        Self(Some(counts))
    }

    fn end(mut self, well: bool) {
        if let Some(counts) = self.0.take() {
            counts.running.fetch_sub(1, Ordering::Relaxed);
            if well { &counts.successful } else { &counts.failed }.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(counts) = self.0 {
            counts.running.fetch_sub(1, Ordering::Relaxed);
            counts.cancelled.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// It fails the job, as every error does here, and its client submits it again: this is none of the errors that a task itself
/// ends with, which would fail the run.
fn lost(executor: &str) -> DataFusionError {
    BallistaError::General(format!("ExecutorLost: {executor} was told to end before its task had")).into_datafusion()
}

/// A panic is told like any error of a task: it would come again.
fn ended<T>(error: JoinError, executor: &str) -> Result<T> {
    Err(if error.is_panic() { DataFusionError::ExecutionJoin(Box::new(error)) } else { lost(executor) })
}

fn first_line(error: &DataFusionError) -> String {
    error.strip_backtrace().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_a_task_is_told_where_the_run_is() {
        let broken = tokio::spawn(async { std::panic::resume_unwind(Box::new("no such row")) });
        let error = ended::<()>(broken.await.map(|(): ()| ()).unwrap_err(), "here:1").unwrap_err();
        let text = message::received(&message::sent(error, "here:1").to_string()).unwrap().to_string();
        assert!(text.contains("PR099") && text.contains("broke off: no such row (on executor here:1)"), "{text}");
    }

    #[tokio::test]
    async fn all_tasks_are_told_to_end_whenever_they_ask() {
        let hand_back = HandBack::default();
        let early = tokio::spawn({
            let hand_back = hand_back.clone();
            async move { hand_back.told().await }
        });
        hand_back.all();
        early.await.unwrap();
        hand_back.told().await;
        let text = format!("{:?}", message::sent(lost("10.0.0.7:1"), "10.0.0.7:1"));
        assert!(message::received(&text).is_none() && text.contains("ExecutorLost"), "{text}");
    }

    #[tokio::test]
    async fn a_task_has_room_for_deep_records() {
        fn down(depth: usize) -> usize {
            let level = std::hint::black_box([depth; 128]);
            if depth == 0 { level[1] } else { down(depth - 1) + level[127].min(1) }
        }
        let threads = Threads::new(1).unwrap();
        // A kilobyte a level at least, and twice what Ballista's threads have.
        assert_eq!(threads.handle().spawn(async { down(4_000) }).await.unwrap(), 4_000);
    }

    #[test]
    fn a_task_that_is_dropped_counts_as_cancelled() {
        let counts = Counts::default();
        Running::begin(&counts).end(true);
        Running::begin(&counts).end(false);
        drop(Running::begin(&counts));
        let read = [&counts.running, &counts.successful, &counts.failed, &counts.cancelled].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(read, [0, 1, 1, 1]);
    }
}
