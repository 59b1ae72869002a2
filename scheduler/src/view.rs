//! Ballista's graph of a job → what is shown of it: counts of tasks, and who ran them.
//!
//! Nothing of a plan, a setting or a path gets into a view, as everybody who reaches the scheduler may read it.

use std::collections::{BTreeMap, BTreeSet};

use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::task_status;
use ballista_scheduler::state::execution_graph::ExecutionGraph;
use ballista_scheduler::state::execution_stage::{ExecutionStage, TaskInfo};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use engine::cluster::view::{JobState, JobView, StageView};
use engine::sink::SinkExec;

/// A job at a moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    /// What is shown.
    pub(crate) view: JobView,
    /// Executors that hold rows of it.
    pub(crate) holders: BTreeSet<String>,
    /// Tasks that run, by executor.
    pub(crate) running: BTreeMap<String, u32>,
}

impl Reading {
    /// Vcores that would be busy if there were enough: its tasks that run, and those that could.
    pub(crate) fn wanted(&self) -> u32 {
        if self.view.state.ended() {
            return 0;
        }
        self.view.stages.iter().map(|stage| small(stage.running + stage.pending)).sum()
    }
}

/// Reads a graph.
pub(crate) fn read(graph: &dyn ExecutionGraph) -> Reading {
    let mut reading = Reading {
        view: JobView {
            id: graph.job_id().to_string(),
            name: graph.job_name().to_owned(),
            state: state(graph.status().status.as_ref()),
            ..JobView::default()
        },
        ..Reading::default()
    };
    let mut executors = BTreeSet::new();
    for (id, stage) in graph.stages() {
        let mut shown = whole(*id, stage);
        for task in stage.task_infos().unwrap_or_default() {
            count(task, &mut shown, &mut executors, &mut reading);
        }
        reading.view.records += records(stage);
        reading.view.stages.push(shown);
    }
    reading.view.stages.sort_by_key(|stage| stage.id);
    reading.view.executors = executors.into_iter().collect();
    reading
}

/// Ballista's word for where a job stands.
pub(crate) fn state(status: Option<&Status>) -> JobState {
    match status {
        None | Some(Status::Queued(_)) => JobState::Queued,
        Some(Status::Running(_)) => JobState::Running,
        Some(Status::Successful(_)) => JobState::Successful,
        Some(Status::Failed(_)) => JobState::Failed,
    }
}

/// A stage without its tasks.
fn whole(id: usize, stage: &ExecutionStage) -> StageView {
    let (attempt, partitions, pending) = match stage {
        // What it reads is not there yet: none of its tasks could run.
        ExecutionStage::UnResolved(stage) => (stage.stage_attempt_num, inputs(stage.plan.as_ref()), 0),
        ExecutionStage::Resolved(stage) => (stage.stage_attempt_num, stage.partitions, stage.partitions),
        ExecutionStage::Running(stage) => (stage.stage_attempt_num, stage.partitions, stage.pending.remaining()),
        ExecutionStage::Successful(stage) => (stage.stage_attempt_num, stage.partitions, 0),
        ExecutionStage::Failed(stage) => (stage.stage_attempt_num, stage.partitions, 0),
    };
    StageView { id, attempt, partitions, pending, ..StageView::default() }
}

/// Partitions that a stage's writer reads, as Ballista counts them once its inputs are there.
fn inputs(plan: &dyn ExecutionPlan) -> usize {
    plan.children().first().map_or(1, |input| input.output_partitioning().partition_count()).max(1)
}

fn count(task: &TaskInfo, shown: &mut StageView, executors: &mut BTreeSet<String>, reading: &mut Reading) {
    match &task.task_status {
        task_status::Status::Running(running) => {
            shown.running += 1;
            executors.insert(running.executor_id.clone());
            *reading.running.entry(running.executor_id.clone()).or_default() += task.vcores_consumed;
        }
        task_status::Status::Successful(done) => {
            shown.successful += 1;
            shown.rows += done.partitions.iter().map(|partition| partition.num_rows).sum::<u64>();
            executors.insert(done.executor_id.clone());
            reading.holders.insert(done.executor_id.clone());
        }
        task_status::Status::Failed(_) => shown.failed += 1,
    }
    let millis = task.end_exec_time.saturating_sub(task.start_exec_time);
    if task.start_exec_time > 0 && millis > 0 {
        let millis = u32::try_from(millis).unwrap_or(u32::MAX);
        reading.view.task_seconds += f64::from(millis) / 1000.0 * f64::from(task.vcores_consumed);
    }
}

/// Records that the sinks of a stage's finished tasks took in. Of a task nothing but its sink's metrics are told.
fn records(stage: &ExecutionStage) -> u64 {
    let metrics: &[MetricsSet] = match stage {
        ExecutionStage::Running(stage) => stage.stage_metrics.as_deref().unwrap_or_default(),
        ExecutionStage::Successful(stage) => &stage.stage_metrics,
        ExecutionStage::Failed(stage) => stage.stage_metrics.as_deref().unwrap_or_default(),
        ExecutionStage::UnResolved(_) | ExecutionStage::Resolved(_) => return 0,
    };
    metrics.iter().filter_map(|set| set.sum_by_name(SinkExec::RECORDS)).map(|sum| sum.as_usize() as u64).sum()
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_wants_what_runs_and_what_could_run_until_it_is_over() {
        let stage = StageView { partitions: 8, pending: 5, running: 2, successful: 1, ..StageView::default() };
        let later = StageView { id: 2, partitions: 4, ..StageView::default() };
        let mut reading =
            Reading { view: JobView { state: JobState::Running, stages: vec![stage, later], ..JobView::default() }, ..Reading::default() };
        assert_eq!(reading.wanted(), 7);
        reading.view.state = JobState::Failed;
        assert_eq!(reading.wanted(), 0);
    }
}
