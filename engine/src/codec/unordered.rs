//! A join whose order nobody may rely on.
//!
//! A hash join gives its rows in the order of its right side, and DataFusion does not sort again what is in order. But the
//! scheduler swaps the sides of a join when it knows how large they have become, and puts no sort where there was none: what
//! stands above, a window or a merge of sorted parts, would take rows in one order for rows in another, without an error.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// DataFusion's rules, with the one of this file where sides have been chosen and nothing was sorted yet.
pub(crate) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let chosen = rules.iter().position(|rule| rule.name() == "join_selection").map_or(0, |at| at + 1);
    rules.insert(chosen, Arc::new(Unordered));
    rules
}

#[derive(Debug)]
struct Unordered;

impl PhysicalOptimizerRule for Unordered {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let hidden = plan.transform_up(|node| {
            Ok(match node.downcast_ref::<HashJoinExec>() {
                Some(_) => Transformed::yes(Arc::new(UnorderedExec::over(node)) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        });
        Ok(hidden?.data)
    }

    fn name(&self) -> &'static str {
        "unordered_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Rows as they come, of which nobody knows an order.
#[derive(Debug)]
pub(crate) struct UnorderedExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl UnorderedExec {
    /// The node over a plan.
    pub(super) fn over(input: Arc<dyn ExecutionPlan>) -> Self {
        let known = input.properties();
        let mut equalities = known.eq_properties.clone();
        equalities.clear_orderings();
        let properties = PlanProperties::clone(known).with_eq_properties(equalities);
        Self { input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for UnorderedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnorderedExec")
    }
}

impl ExecutionPlan for UnorderedExec {
    fn name(&self) -> &'static str {
        "UnorderedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::over(input))),
            Err(children) => internal_err!("UnorderedExec has one child, not {}", children.len()),
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

    #[tokio::test]
    async fn what_wants_an_order_above_a_join_sorts_though_one_side_is_in_order() {
        let session = cluster_session(&Arc::new(Project::bare(Path::new("/"))), 4).unwrap();
        for name in ["a", "b"] {
            let column: ArrayRef = Arc::new(Int32Array::from(vec![3, 1, 2]));
            let batch = RecordBatch::try_from_iter([("k", column)]).unwrap();
            let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()], vec![batch]]).unwrap();
            session.context.register_table(name, Arc::new(table)).unwrap();
        }
        let sql = "SELECT w.k, row_number() OVER (ORDER BY w.k) AS place FROM a
            JOIN (SELECT k, row_number() OVER (PARTITION BY k ORDER BY k) AS r FROM b) AS w ON a.k = w.k";
        let plan = session.context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        let above = shown.split("UnorderedExec").next().unwrap();
        assert!(above.len() < shown.len() && above.contains("SortExec: "), "{shown}");
    }
}
