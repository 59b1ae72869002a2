//! The plan node: an inner node with one child, so that Ballista may cut a stage beneath it without harm.
//!
//! It asks for no distribution and no order, and each of its partitions writes files of its own; the rows it returns are
//! few and small. Its codec is with the scan's, as one codec carries both.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};

use super::manifest::manifest_schema;
use super::partition::{self, Metrics};
use super::spec::SinkSpec;

/// Routes and writes the rows of its input; its own rows are those of [`manifest_schema`].
#[derive(Debug)]
pub struct SinkExec {
    input: Arc<dyn ExecutionPlan>,
    spec: Arc<SinkSpec>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SinkExec {
    /// Name of the metric that counts the records it took in.
    pub const RECORDS: &str = "records";

    /// A sink for the rows of `input`.
    pub fn new(input: Arc<dyn ExecutionPlan>, spec: Arc<SinkSpec>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(manifest_schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, spec, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }

    /// Where the rows come from.
    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// What the sink was told.
    pub fn spec(&self) -> &Arc<SinkSpec> {
        &self.spec
    }
}

impl DisplayAs for SinkExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SinkExec: {}", self.spec.database)
    }
}

impl ExecutionPlan for SinkExec {
    fn name(&self) -> &'static str {
        "SinkExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    /// More partitions would only mean more and smaller files.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::new(input, Arc::clone(&self.spec)))),
            Err(children) => datafusion::common::internal_err!("SinkExec has one child, not {}", children.len()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        // For the metrics only: on a cluster the number counts inside the task.
        let metrics = Metrics::new(&self.metrics, partition);
        let spec = Arc::clone(&self.spec);
        let rows = async move {
            let batches = Box::pin(partition::write(&spec, &context, input, &metrics)).await?;
            Ok::<_, DataFusionError>(stream::iter(batches).map(Ok))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(manifest_schema(), stream::once(rows).try_flatten())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
