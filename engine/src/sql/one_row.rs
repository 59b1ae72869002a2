//! A subquery that stands for a value gives one row at most: `SELECT (SELECT title FROM a.mapped)` is a mistake if there are two.
//!
//! DataFusion has a node that looks, but it cannot travel to a cluster. Without it the subquery becomes a join, and every row
//! above it would be there once for each row that it gives, without an error. So this rule puts the look into the subquery
//! itself, here as there: its rows are counted, and a function takes the value only if there is no second.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, exec_err};
use datafusion::functions_aggregate::expr_fn::{count, first_value};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Subquery, Volatility,
    col, lit,
};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// The rule; it must come before the one that makes joins of subqueries.
#[derive(Debug, Default)]
pub struct OneRow;

impl OptimizerRule for OneRow {
    fn name(&self) -> &'static str {
        "pacha_one_row"
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.transform_up_with_subqueries(|node| node.map_expressions(|expression| expression.transform_up(looked_at)))
    }
}

fn looked_at(expression: Expr) -> Result<Transformed<Expr>> {
    match expression {
        // One that depends on the row above it must be an aggregate anyway.
        Expr::ScalarSubquery(subquery)
            if subquery.outer_ref_columns.is_empty() && subquery.subquery.max_rows().is_none_or(|rows| rows > 1) =>
        {
            Ok(Transformed::yes(Expr::ScalarSubquery(with_look(subquery)?)))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn with_look(subquery: Subquery) -> Result<Subquery> {
    let (value, name) = (subquery.subquery.schema().columns().swap_remove(0), subquery.subquery.schema().field(0).name().clone());
    let all = vec![first_value(Expr::Column(value), vec![]).alias("value"), count(lit(1)).alias("rows")];
    let one = function().call(vec![col("value"), col("rows")]).alias(name);
    let plan = LogicalPlanBuilder::from(Arc::clone(&subquery.subquery)).aggregate(Vec::<Expr>::new(), all)?.project([one])?.build()?;
    Ok(Subquery { subquery: Arc::new(plan), ..subquery })
}

/// The function `pacha_one(value, rows)`.
pub fn function() -> ScalarUDF {
    ScalarUDF::from(One { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct One {
    signature: Signature,
}

impl ScalarUDFImpl for One {
    fn name(&self) -> &'static str {
        "pacha_one"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, rows] = args.args.as_slice() else { return exec_err!("pacha_one wants a value and a number of rows") };
        let rows = rows.to_array(args.number_rows)?;
        match rows.as_primitive_opt::<Int64Type>() {
            // As DataFusion says it.
            Some(rows) if rows.iter().flatten().any(|rows| rows > 1) => exec_err!("Scalar subquery returned more than one row"),
            Some(_) => Ok(value.clone()),
            None => exec_err!("pacha_one wants a number of rows, not {}", rows.data_type()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use arrow::util::pretty::pretty_format_batches;

    use super::*;
    use crate::project::Project;
    use crate::session::{cluster_session, session};
    use crate::sql::mistake;

    async fn both(sql: &str) -> [String; 2] {
        let project = Arc::new(Project::bare(Path::new("/")));
        let mut answers = Vec::new();
        for session in [session(&project).unwrap(), cluster_session(&project, 3).unwrap()] {
            let frame = session.context.sql(sql).await.unwrap();
            answers.push(match frame.collect().await {
                Ok(rows) => pretty_format_batches(&rows).unwrap().to_string(),
                Err(error) => mistake::running(&error).to_string(),
            });
        }
        answers.try_into().unwrap()
    }

    #[tokio::test]
    async fn a_subquery_gives_what_it_gives_in_one_process() {
        for sql in [
            "SELECT (SELECT x FROM (VALUES (7)) AS t(x)) AS x",
            "SELECT (SELECT x FROM (VALUES (7)) AS t(x) WHERE x > 8) AS x",
            "SELECT (SELECT max(x) FROM (VALUES (7), (8)) AS t(x)) AS x",
            "SELECT (SELECT x FROM (VALUES (7), (8)) AS t(x) ORDER BY x LIMIT 1) AS x",
            "SELECT y FROM (VALUES (1), (2), (3)) AS s(y) WHERE y > (SELECT x FROM (VALUES (1)) AS t(x)) ORDER BY y",
            "SELECT y, (SELECT (SELECT x FROM (VALUES ('a')) AS t(x)) AS x) AS x FROM (VALUES (1), (2)) AS s(y) ORDER BY y",
        ] {
            let [here, there] = both(sql).await;
            assert_eq!(here, there, "{sql}");
            assert!(here.contains("| x") || here.contains("| y"), "{sql}: {here}");
        }
    }

    #[tokio::test]
    async fn a_second_row_is_the_same_mistake_in_both() {
        for sql in [
            "SELECT (SELECT x FROM (VALUES (7), (8)) AS t(x)) AS x",
            "SELECT y FROM (VALUES (1), (2)) AS s(y) WHERE y < (SELECT x FROM (VALUES (7), (8)) AS t(x) WHERE x > 0)",
        ] {
            let [here, there] = both(sql).await;
            assert_eq!(here, there, "{sql}");
            assert!(here.contains("PM222"), "{sql}: {here}");
        }
    }
}
