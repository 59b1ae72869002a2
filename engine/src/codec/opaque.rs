//! What the client's plan may not rely on, because a stage of its own does not know it.
//!
//! DataFusion sorts and divides rows only where they are not sorted and divided yet, as far as it knows. Two things that it
//! knows of a whole plan are lost when that is cut into stages, and each gave wrong rows without an error:
//!
//! * **The order of a hash join** is that of its right side. But the scheduler swaps the sides when it knows how large they have
//!   become, and puts no sort where there was none: a window above took rows in one order for rows in another.
//! * **What is equal or constant below a shuffle.** Its reader knows by which columns rows are divided, and no more. Where rows
//!   are divided by `a` and a group is of `b`, which equals `a`, the scheduler divided them once more inside a task, of which
//!   Ballista runs the first part alone.
//!
//! So the client plans with a node above each of them that knows nothing of the kind.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements, PlanProperties,
};

/// DataFusion's rules, where the one that sorts and divides rows knows no more than a stage does.
pub(crate) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let ours = |rule: Arc<dyn PhysicalOptimizerRule + Send + Sync>| -> Arc<dyn PhysicalOptimizerRule + Send + Sync> {
        if rule.name() == EnsureRequirements::new().name() { Arc::new(EnsureWithinStages) } else { rule }
    };
    PhysicalOptimizer::new().rules.into_iter().map(ours).collect()
}

#[derive(Debug)]
struct EnsureWithinStages;

impl PhysicalOptimizerRule for EnsureWithinStages {
    /// Once as DataFusion does it; then each shuffle, from below, is taken for a leaf, and what is above it is looked at again.
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let ensure = EnsureRequirements::new();
        let joins = plan.transform_up(|node| {
            Ok(match node.downcast_ref::<HashJoinExec>() {
                Some(_) => Transformed::yes(Arc::new(OpaqueExec::over_join(node)) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        });
        let mut plan = ensure.optimize(joins?.data, config)?;
        loop {
            let sealed = plan.transform_down(|node| {
                // One above another has its turn when what is between them is right. Looked for from above: below a sealed one nothing is seen.
                let lowest = keys(&node).is_some() && !node.children().into_iter().any(holds_a_shuffle);
                Ok(if lowest { Transformed::yes(Arc::new(Sealed::over(node)) as Arc<dyn ExecutionPlan>) } else { Transformed::no(node) })
            })?;
            if !sealed.transformed {
                return opened(sealed.data);
            }
            plan = ensure.optimize(sealed.data, config)?;
        }
    }

    fn name(&self) -> &'static str {
        "ensure_within_stages"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn holds_a_shuffle(plan: &Arc<dyn ExecutionPlan>) -> bool {
    keys(plan).is_some() || plan.children().into_iter().any(holds_a_shuffle)
}

/// The plan with its shuffles, each below a node that knows no more than its reader.
fn opened(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let opened = plan.transform_down(|node| {
        Ok(match node.downcast_ref::<Sealed>() {
            Some(sealed) => Transformed::yes(Arc::new(OpaqueExec::over_shuffle(Arc::clone(&sealed.shuffle))) as Arc<dyn ExecutionPlan>),
            None => Transformed::no(node),
        })
    });
    Ok(opened?.data)
}

/// What is above a plan after it was cut: nothing is known of its rows but how they are divided.
fn as_read(plan: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
    let nothing = EquivalenceProperties::new(plan.schema());
    Arc::new(PlanProperties::clone(plan.properties()).with_eq_properties(nothing))
}

/// A shuffle and all below it, while a plan is made.
#[derive(Debug)]
struct Sealed {
    shuffle: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Sealed {
    fn over(shuffle: Arc<dyn ExecutionPlan>) -> Self {
        Self { properties: as_read(&shuffle), shuffle }
    }
}

impl DisplayAs for Sealed {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed")
    }
}

impl ExecutionPlan for Sealed {
    fn name(&self) -> &'static str {
        "Sealed"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        internal_err!("a plan that is still being made is not executed")
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        StatisticsContext::new().compute(self.shuffle.as_ref(), args)
    }
}

/// By what a node divides rows among tasks.
fn keys(node: &Arc<dyn ExecutionPlan>) -> Option<Vec<Arc<dyn PhysicalExpr>>> {
    let Partitioning::Hash(keys, _) = node.downcast_ref::<RepartitionExec>()?.partitioning() else { return None };
    Some(keys.clone())
}

/// Rows as they come.
#[derive(Debug)]
pub(crate) struct OpaqueExec {
    input: Arc<dyn ExecutionPlan>,
    /// Over a shuffle: the columns by which it divides, so that it is not taken for one that nobody asked for.
    keys: Option<Vec<Arc<dyn PhysicalExpr>>>,
    properties: Arc<PlanProperties>,
}

impl OpaqueExec {
    /// Over a join: its order is not known.
    pub(super) fn over_join(join: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(join, None)
    }

    /// Over a shuffle, or what a stage has instead: nothing is known but how rows are divided.
    pub(super) fn over_shuffle(shuffle: Arc<dyn ExecutionPlan>) -> Self {
        let keys = match shuffle.output_partitioning() {
            Partitioning::Hash(keys, _) => keys.clone(),
            _ => Vec::new(),
        };
        Self::new(shuffle, Some(keys))
    }

    fn new(input: Arc<dyn ExecutionPlan>, keys: Option<Vec<Arc<dyn PhysicalExpr>>>) -> Self {
        let properties = if keys.is_some() {
            as_read(&input)
        } else {
            let mut facts = input.properties().eq_properties.clone();
            facts.clear_orderings();
            Arc::new(PlanProperties::clone(input.properties()).with_eq_properties(facts))
        };
        Self { input, keys, properties }
    }

    /// Whether it is over a shuffle.
    pub(super) fn is_over_shuffle(&self) -> bool {
        self.keys.is_some()
    }
}

impl DisplayAs for OpaqueExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueExec")
    }
}

impl ExecutionPlan for OpaqueExec {
    fn name(&self) -> &'static str {
        "OpaqueExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![match &self.keys {
            Some(keys) if !keys.is_empty() => Distribution::KeyPartitioned(keys.clone()),
            _ => Distribution::UnspecifiedDistribution,
        }])
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(&self, f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        for key in self.keys.iter().flatten() {
            if f(key)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::new(input, self.keys.clone()))),
            Err(children) => internal_err!("OpaqueExec has one child, not {}", children.len()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use arrow::array::{ArrayRef, Int32Array, RecordBatch};
    use datafusion::datasource::MemTable;
    use datafusion::physical_plan::displayable;

    use super::*;
    use crate::project::Project;
    use crate::session::cluster_session;

    async fn planned(sql: &str) -> String {
        let session = cluster_session(&Arc::new(Project::bare(Path::new("/"))), 4).unwrap();
        for name in ["a", "b"] {
            let column: ArrayRef = Arc::new(Int32Array::from(vec![3, 1, 2]));
            let batch = RecordBatch::try_from_iter([("k", Arc::clone(&column)), ("g", column)]).unwrap();
            let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()], vec![batch]]).unwrap();
            session.context.register_table(name, Arc::new(table)).unwrap();
        }
        let plan = session.context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        displayable(plan.as_ref()).indent(false).to_string()
    }

    #[tokio::test]
    async fn what_wants_an_order_above_a_join_sorts_though_one_side_is_in_order() {
        let shown = planned(
            "SELECT w.k, row_number() OVER (ORDER BY w.k) AS place FROM a
            JOIN (SELECT k, row_number() OVER (PARTITION BY k ORDER BY k) AS r FROM b) AS w ON a.k = w.k",
        )
        .await;
        let above = shown.split("HashJoinExec").next().unwrap();
        assert!(above.len() < shown.len() && above.contains("SortExec: "), "{shown}");
    }

    #[tokio::test]
    async fn a_group_is_shuffled_though_its_column_equals_one_that_rows_are_divided_by() {
        let shown = planned(
            "SELECT b, max(r) AS r FROM (SELECT a.g AS a, b.g AS b, row_number() OVER (PARTITION BY a.g ORDER BY a.k) AS r
            FROM a JOIN b ON a.k = b.k AND a.g = b.g) GROUP BY b",
        )
        .await;
        let above = shown.split("WindowAggExec").next().unwrap();
        assert!(above.len() < shown.len() && above.contains("Hash([b@0]"), "{shown}");
    }
}
