//! A part of a plan that must see all its rows in one task, and stays so.
//!
//! Ballista makes a stage of what is below a node that joins partitions, and then lets DataFusion's rules look at the rest
//! again, which take such a node away where nothing above it asks for one partition, and the order of its rows with it: an
//! OFFSET then skipped any rows. This node asks for both.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, LexOrdering, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements, PlanProperties,
};

/// Above what has one partition, and must keep it.
#[derive(Debug)]
pub(crate) struct GatheredExec {
    input: Arc<dyn ExecutionPlan>,
    /// The order that its input had first.
    ordering: Option<LexOrdering>,
}

impl GatheredExec {
    /// All rows of a plan in one partition.
    pub(crate) fn all_of(input: Arc<dyn ExecutionPlan>) -> Self {
        Self::over(Arc::new(CoalescePartitionsExec::new(input)))
    }

    /// The node over what has one partition, and perhaps an order.
    pub(crate) fn over(input: Arc<dyn ExecutionPlan>) -> Self {
        let ordering = input.output_ordering().cloned();
        Self { input, ordering }
    }
}

impl DisplayAs for GatheredExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatheredExec")
    }
}

impl ExecutionPlan for GatheredExec {
    fn name(&self) -> &'static str {
        "GatheredExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.ordering.clone().map(OrderingRequirements::from)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self { input, ordering: self.ordering.clone() })),
            Err(children) => internal_err!("GatheredExec has one child, not {}", children.len()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
