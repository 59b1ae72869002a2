//! A plan as bytes, and which plans have none.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result as DataFusionResult};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, PartitionMode};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, InputOrderMode};
use datafusion_datasource::memory::MemorySourceConfig;
use datafusion_datasource::source::{DataSource, DataSourceExec};
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use schemas::problem::Problem;

use super::MESSAGE_BYTES;
use crate::codec::gathered::GatheredExec;
use crate::codec::{codec, packed};
use crate::error::{Error, Result};
use crate::sql::mistake;

/// What [`refusal`] and [`bytes`] name alike.
const RECURSIVE: &str = "WITH RECURSIVE";

/// The plan as tasks may share it: nothing in it knows of anything that is not in its own task.
///
/// # Errors
/// A node takes no other child; none of DataFusion's does that.
pub(super) fn shared(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let shared = plan.transform_up(|node| {
        let other = gathered(&node).transpose().or_else(|| sorted(&node).transpose());
        match other.or_else(|| merged(&node).or_else(|| limited(&node)).map(Ok)) {
            Some(other) => other.map(Transformed::yes),
            None => Ok(Transformed::no(node)),
        }
    });
    Ok(shared.map_err(|error| mistake::running(&error))?.data)
}

/// A join without an equality keeps which rows of its left side have found a partner, in one place for all partitions of its
/// right side; cut into tasks each would know its own, and the rest would come again as if they had none. So the right side
/// of such a join is one partition. Inner joins and right ones need no such memory.
///
/// A join that is planned for one task, as all are where a step is to be one, and NOT IN, which keeps whether there was any
/// NULL, Ballista makes one task of; so that is what it is here too.
fn gathered(node: &Arc<dyn ExecutionPlan>) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    let (left, right) = match (node.downcast_ref::<NestedLoopJoinExec>(), node.downcast_ref::<HashJoinExec>()) {
        (Some(join), _) if remembers(*join.join_type()) => (join.left(), join.right()),
        (_, Some(join)) if join.null_aware || *join.partition_mode() == PartitionMode::CollectLeft => (join.left(), join.right()),
        _ => return Ok(None),
    };
    let (left, right) = (Arc::clone(left), Arc::clone(right));
    if right.output_partitioning().partition_count() < 2 {
        return Ok(None);
    }
    let right: Arc<dyn ExecutionPlan> = Arc::new(GatheredExec::all_of(right));
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(node).replace_children(vec![left, right], options).map(Some)
}

fn remembers(join: JoinType) -> bool {
    !matches!(join, JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark)
}

/// Rows that were brought together in an order stay so: nothing that skips the first of them says that it needs one.
fn merged(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let merge = node.downcast_ref::<SortPreservingMergeExec>().filter(|merge| merge.fetch().is_none())?;
    Some(Arc::new(GatheredExec::over(Arc::new(merge.clone()))))
}

/// A limit on rows in memory is a setting of their source, which Ballista makes anew for each task without it.
fn limited(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let rows = node.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<MemorySourceConfig>()?;
    Some(Arc::new(LocalLimitExec::new(Arc::clone(node), rows.fetch()?)))
}

/// A window takes its rows as sorted by what it is partitioned by, if the plan below says that they are: because a column was
/// set to one value there, perhaps. In a task that part of the plan may be another stage, of which nothing is known. So the
/// rows are sorted just below the window, where they are not yet.
fn sorted(node: &Arc<dyn ExecutionPlan>) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    let bounded = node.downcast_ref::<BoundedWindowAggExec>();
    let (windows, input, may_be_cut) = match (bounded, node.downcast_ref::<WindowAggExec>()) {
        (Some(window), _) => (window.window_expr(), window.input(), !window.partition_keys().is_empty()),
        (None, Some(window)) => (window.window_expr(), window.input(), !window.partition_keys().is_empty()),
        (None, None) => return Ok(None),
    };
    let linear = bounded.is_some_and(|window| window.input_order_mode == InputOrderMode::Linear);
    let Some(first) = windows.first().filter(|first| !first.partition_by().is_empty() && !linear) else { return Ok(None) };
    let (by, then) = (first.partition_by(), first.order_by());
    if let Some(sort) = input.downcast_ref::<SortExec>()
        && sort.expr().len() >= by.len()
        && sort.expr().iter().take(by.len()).all(|sorted| by.contains(&sorted.expr))
    {
        return Ok(None);
    }
    let wanted = by.iter().map(|column| PhysicalSortExpr::new_default(Arc::clone(column))).chain(then.iter().cloned());
    let Some(ordering) = LexOrdering::new(wanted) else { return Ok(None) };
    let sort = Arc::new(SortExec::new(ordering, Arc::clone(input)).with_preserve_partitioning(true));
    Ok(Some(match bounded {
        Some(_) => Arc::new(BoundedWindowAggExec::try_new(windows.to_vec(), sort, InputOrderMode::Sorted, may_be_cut)?),
        None => Arc::new(WindowAggExec::try_new(windows.to_vec(), sort, may_be_cut)?),
    }))
}

/// The plan as it is submitted; `name` is what the run calls it.
///
/// # Errors
/// It cannot run on a cluster, or is larger than a message.
pub(super) fn bytes(plan: Arc<dyn ExecutionPlan>, name: &str) -> Result<Vec<u8>> {
    divisible(&plan)?;
    let mut bytes = Vec::new();
    packed::labelled(plan)
        .and_then(|plan| PhysicalPlanNode::try_from_physical_plan(plan, codec().as_ref()))
        .and_then(|plan| plan.try_encode(&mut bytes))
        .map_err(|error| cannot_travel(&error))?;
    if bytes.len() > MESSAGE_BYTES {
        let message = format!("the plan of {name} has {} bytes, and a message {MESSAGE_BYTES} at most", bytes.len());
        return Err(Error::configuration(
            Problem::error("PK735", message)
                .hint("set cluster.unit_bytes lower, or join small pages; lookups travel too, and may be large"),
        ));
    }
    Ok(bytes)
}

/// Ballista cuts a stage into tasks at leaves that it knows. Any other leaf of several partitions would be whole in every
/// task, and its rows many times in the result, without an error. DataFusion's messages have 32 bits for a limit.
fn divisible(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let children = plan.children();
    let skip = plan.downcast_ref::<GlobalLimitExec>().map(GlobalLimitExec::skip);
    if let Some(rows) = plan.fetch().into_iter().chain(skip).find(|rows| u32::try_from(*rows).is_err()) {
        return Err(Error::configuration(stays_here(&format!("a LIMIT or OFFSET of {rows} rows"))));
    }
    if children.is_empty() && plan.output_partitioning().partition_count() > 1 && plan.downcast_ref::<DataSourceExec>().is_none() {
        let problem = Problem::error("PK734", format!("{} cannot run on a cluster: nothing there can divide it", plan.name()));
        return Err(Error::configuration(problem.hint("run the job in this process, without --cluster")));
    }
    children.into_iter().try_for_each(divisible)
}

/// A node that has no form as bytes.
fn cannot_travel(error: &DataFusionError) -> Error {
    let text = error.strip_backtrace();
    let recursive = text.contains("RecursiveQueryExec") || text.contains("WorkTable");
    tracing::debug!("no form as bytes: {text}");
    match mistake::ours(error) {
        Some(error) => error.clone(),
        None => Error::configuration(stays_here(if recursive { RECURSIVE } else { "a part of this query" })),
    }
}

/// Why no cluster can run a query, as far as its text tells; without a place.
pub(crate) fn refusal(query: &LogicalPlan) -> Option<Problem> {
    let mut recursive = false;
    // Nothing in it fails.
    let _ = query.apply_with_subqueries(|node| {
        recursive |= matches!(node, LogicalPlan::RecursiveQuery(_));
        Ok(if recursive { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    recursive.then(|| stays_here(RECURSIVE))
}

fn stays_here(what: &str) -> Problem {
    Problem::error("PK734", format!("{what} cannot run on a cluster"))
        .hint("run the job in this process, without --cluster; other jobs can still use the cluster")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::project::Project;
    use crate::session::cluster_session;

    async fn refused(sql: &str) -> String {
        let session = cluster_session(&Arc::new(Project::bare(Path::new("/"))), 4).unwrap();
        let plan = session.context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        bytes(plan, "run/step-x").unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_join_that_remembers_its_left_rows_is_one_task() {
        let session = cluster_session(&Arc::new(Project::bare(Path::new("/"))), 4).unwrap();
        let rows = |name: &str| {
            let column: arrow::array::ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![1, 2, 3]));
            let batch = arrow::array::RecordBatch::try_from_iter([("x", column)]).unwrap();
            let table = datafusion::datasource::MemTable::try_new(batch.schema(), vec![vec![batch.clone()], vec![batch]]).unwrap();
            session.context.register_table(name, Arc::new(table)).unwrap();
        };
        rows("a");
        rows("b");
        for (join, tasks) in [("LEFT JOIN", 1), ("FULL JOIN", 1), ("JOIN", 2), ("RIGHT JOIN", 2)] {
            let sql = format!("SELECT a.x, b.x AS other FROM a {join} b ON a.x < b.x");
            let plan = session.context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
            let found = shared(plan).unwrap().output_partitioning().partition_count();
            assert_eq!(found, tasks, "{join}");
        }
    }

    #[tokio::test]
    async fn a_recursive_query_is_known_before_it_is_planned_wherever_it_stands() {
        let session = cluster_session(&Arc::new(Project::bare(Path::new("/"))), 4).unwrap();
        let recursive = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n";
        for (sql, refused) in [
            (recursive.to_owned(), true),
            (format!("SELECT 1 AS one WHERE 3 IN ({recursive})"), true),
            (format!("SELECT max(i) FROM ({recursive})"), true),
            ("WITH RECURSIVE n AS (SELECT 1 AS i) SELECT i FROM n".to_owned(), false),
        ] {
            let frame = session.context.sql(&sql).await.unwrap();
            assert_eq!(refusal(frame.logical_plan()).is_some(), refused, "{sql}");
        }
    }

    #[tokio::test]
    async fn a_limit_that_a_message_has_no_room_for_is_refused() {
        for sql in ["LIMIT 4294967296", "LIMIT 9223372036854775807 OFFSET 1"] {
            let text = refused(&format!("SELECT x FROM (VALUES (1), (2)) AS t(x) {sql}")).await;
            assert!(text.contains("PK734") && text.contains("a LIMIT or OFFSET of ") && text.contains("without --cluster"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_recursive_query_is_refused_by_name_with_a_way_out() {
        let text = refused("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n").await;
        assert!(text.contains("PK734") && text.contains("WITH RECURSIVE") && text.contains("without --cluster"), "{text}");
    }
}
