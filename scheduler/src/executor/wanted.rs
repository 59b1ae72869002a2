//! What really ends a task that is not wanted any more.
//!
//! Ballista drops the future that waits for a task; but its writer reads the plan in tasks that nobody owns, which go on to
//! their end: they would write files for a run that was stopped long ago, and take the place of others. So a node under the
//! writer ends its streams, and with them all below, as soon as the waiting future is dropped.
//!
//! The node also finds what is told of a task's metrics. Ballista wants as many of them from each task of a stage, but cuts
//! what a task does not need out of its plan, such as the other inputs of a union: then it loses the task's end, and waits
//! for it for ever. So every task tells one: that of its sink, or nothing.

use std::fmt;
use std::sync::{Arc, OnceLock};

use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use engine::sink::SinkExec;
use futures::{StreamExt, stream};
use tokio::sync::watch;

/// Whether a task is wanted. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    ended: watch::Sender<bool>,
    sink: Arc<OnceLock<Arc<dyn ExecutionPlan>>>,
}

/// Ends the streams of a task when it is dropped.
pub(super) struct End(watch::Sender<bool>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

impl Wanted {
    /// Puts the node under the writer, which is the root of `plan`.
    ///
    /// # Errors
    /// The root takes no other child.
    pub(super) fn under(plan: Arc<dyn ExecutionPlan>) -> Result<(Self, Arc<dyn ExecutionPlan>)> {
        let wanted = Self::default();
        let child = |input: &Arc<dyn ExecutionPlan>| -> Arc<dyn ExecutionPlan> {
            Arc::new(WantedExec { input: Arc::clone(input), wanted: wanted.clone() })
        };
        let children = plan.children().into_iter().map(child).collect();
        Ok((wanted, replace_children_if_necessary(plan, children)?))
    }

    /// For as long as this is kept, the task is wanted.
    pub(super) fn end(&self) -> End {
        End(self.ended.clone())
    }

    /// What is told of the task: one set, whatever its plan.
    pub(super) fn metrics(&self) -> Vec<MetricsSet> {
        vec![self.sink.get().and_then(|sink| sink.metrics()).unwrap_or_default()]
    }
}

/// Passes rows on while they are wanted.
#[derive(Debug)]
struct WantedExec {
    input: Arc<dyn ExecutionPlan>,
    wanted: Wanted,
}

impl DisplayAs for WantedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WantedExec")
    }
}

impl ExecutionPlan for WantedExec {
    fn name(&self) -> &'static str {
        "WantedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self { input, wanted: self.wanted.clone() })),
            Err(children) => internal_err!("WantedExec has one child, not {}", children.len()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if self.input.downcast_ref::<SinkExec>().is_some() {
            // The same one for all partitions of the task.
            let _ = self.wanted.sink.set(Arc::clone(&self.input));
        }
        let (input, ended) = (self.input.execute(partition, context)?, self.wanted.ended.subscribe());
        let rows = stream::unfold(Some((input, ended)), async |state| {
            let (mut input, mut ended) = state?;
            let next = tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended) => Err(unwanted()),
                batch = input.next() => Ok(batch?),
            };
            match next {
                Ok(batch) => Some((batch, Some((input, ended)))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.input.schema(), rows)))
    }
}

/// An error, not the end of the rows: nobody may take what came so far for all.
fn unwanted() -> DataFusionError {
    DataFusionError::Execution("the task is not wanted any more".into())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int32Array, RecordBatch};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
    use futures::StreamExt;

    use super::*;

    /// A row, and then nothing for ever; `held` is gone when the stream is.
    #[derive(Debug)]
    struct Endless {
        schema: Arc<Schema>,
        held: Arc<()>,
    }

    impl PartitionStream for Endless {
        fn schema(&self) -> &Arc<Schema> {
            &self.schema
        }

        fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::new(Int32Array::from(vec![1]))]).unwrap();
            let held = Arc::clone(&self.held);
            let rows = stream::iter([Ok(batch)]).chain(stream::pending()).map(move |row| {
                let _ = &held;
                row
            });
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
        }
    }

    #[tokio::test]
    async fn what_is_not_wanted_ends_with_an_error_and_lets_go_of_all_below() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, false)]));
        let held = Arc::new(());
        let endless = Arc::new(Endless { schema: Arc::clone(&schema), held: Arc::clone(&held) });
        let scan = StreamingTableExec::try_new(schema, vec![endless], None, [], true, None).unwrap();
        let (wanted, plan) = Wanted::under(Arc::new(CoalescePartitionsExec::new(Arc::new(scan)))).unwrap();
        let end = wanted.end();
        // As Ballista's writer reads it: in a task that nobody ends.
        let mut rows = plan.execute(0, Arc::new(TaskContext::default())).unwrap();
        drop(plan);
        assert_eq!(rows.next().await.unwrap().unwrap().num_rows(), 1);
        let reading = tokio::spawn(async move { rows.next().await });
        drop(end);
        let error = reading.await.unwrap().unwrap().unwrap_err().to_string();
        assert!(error.contains("not wanted any more"), "{error}");
        assert_eq!(Arc::strong_count(&held), 1, "the scan goes on");
        assert_eq!(wanted.metrics().len(), 1);
    }
}
