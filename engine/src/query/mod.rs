//! Ad-hoc SQL, and the SQL steps of jobs: any query over collections, tables of the warehouse, and files.
//!
//! * [`tables`]: finds what a statement names (`collection."26001"`, `calisphere.mapped`, `'x.parquet'`) and registers it
//!   on a context of its own, so that only what is used is opened.
//! * [`table_function`]: `table_version(…)`, `runs()`, `commits(…)`, `findings(…)`, `pages(…)`.

pub mod table_function;
pub mod tables;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use schemas::problem::{Problem, Source};

use crate::error::{Error, Result};
use crate::session::{self, Session};
use crate::sql::mistake::{self, Known};
use crate::sql::parse;
use tables::Overlay;

/// The statements of a text, at least one.
///
/// # Errors
/// The first mistake, with its place.
pub fn statements(source: &Arc<Source>) -> Result<Vec<ast::Statement>> {
    let parsed = parse::statements(source)?;
    if parsed.is_empty() {
        let problem = Problem::error("PM200", "there is no SQL here").hint("write a query, such as pacha sql \"SELECT 1\"");
        return Err(problem.into());
    }
    Ok(parsed)
}

/// Plans one statement. `within` is where it stands in `source`, for messages.
///
/// # Errors
/// A mistake in the SQL, or something it names cannot be opened.
pub async fn plan(
    session: &Session,
    source: &Arc<Source>,
    within: Range<usize>,
    mut statement: ast::Statement,
    overlay: &Overlay,
    parameters: &BTreeMap<String, String>,
) -> Result<DataFrame> {
    refuse_writing(&statement, source, &within)?;
    let context = session::private(&session.context);
    table_function::replace(session, &context, &mut statement, overlay).await.map_err(|error| at(error, source, &within))?;
    let known = tables::register(session, &context, &statement, overlay).await.map_err(|error| at(error, source, &within))?;
    let state = context.state();
    let functions = state.scalar_functions().keys().chain(state.aggregate_functions().keys()).cloned().collect();
    let known = Known { functions, tables: known, members: tables::members(&context).await };
    let wrong = |error: datafusion::error::DataFusionError| Error::configuration(mistake::planning(&error, source, &within, &known));
    if let Some(replaced) = replaced(&statement) {
        state.statement_to_plan(Statement::Statement(Box::new(replaced))).await.map_err(wrong)?;
    }
    let plan = state.statement_to_plan(Statement::Statement(Box::new(statement))).await.map_err(wrong)?;
    let values: Vec<(String, ScalarValue)> =
        parameters.iter().map(|(name, value)| (name.clone(), ScalarValue::Utf8(Some(value.clone())))).collect();
    let plan = plan.with_param_values(values).map_err(wrong)?;
    let frame = context.execute_logical_plan(plan).await.map_err(wrong)?;
    // Optimised once here so that a mistake only the optimizer sees is reported as one of the SQL, not of the run.
    state.optimize(frame.logical_plan()).map_err(wrong)?;
    Ok(frame)
}

/// The columns that `* REPLACE (…)` names, as a query of their own. The planner passes over those that do not exist; asked
/// for by name, they are a mistake.
fn replaced(statement: &ast::Statement) -> Option<ast::Statement> {
    let ast::Statement::Query(query) = statement else { return None };
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return None };
    let wildcards = select.projection.iter().filter_map(|item| match item {
        ast::SelectItem::Wildcard(options) | ast::SelectItem::QualifiedWildcard(_, options) => options.opt_replace.as_ref(),
        _ => None,
    });
    let names = wildcards.flat_map(|replace| &replace.items).map(|item| item.column_name.clone());
    let names: Vec<ast::SelectItem> = names.map(|name| ast::SelectItem::UnnamedExpr(ast::Expr::Identifier(name))).collect();
    if names.is_empty() {
        return None;
    }
    let mut asked = ast::Select::clone(select);
    asked.projection = names;
    (asked.having, asked.qualify) = (None, None);
    let body = Box::new(ast::SetExpr::Select(Box::new(asked)));
    let query = ast::Query { body, order_by: None, limit_clause: None, ..ast::Query::clone(query) };
    Some(ast::Statement::Query(Box::new(query)))
}

fn at(mut error: Error, source: &Arc<Source>, within: &Range<usize>) -> Error {
    error.problems.0 = error.problems.0.into_iter().map(|problem| problem.at(source, within.clone())).collect();
    error
}

/// Only reading is allowed: tables are written by jobs, so that there is always an accounting.
fn refuse_writing(statement: &ast::Statement, source: &Arc<Source>, within: &Range<usize>) -> Result<()> {
    use ast::Statement as S;
    match statement {
        S::Query(_)
        | S::Explain { .. }
        | S::ExplainTable { .. }
        | S::ShowTables { .. }
        | S::ShowColumns { .. }
        | S::ShowVariable { .. }
        | S::ShowFunctions { .. } => Ok(()),
        other => {
            let word = other.to_string().split_whitespace().next().unwrap_or_default().to_uppercase();
            let problem =
                Problem::error("PM209", format!("{word} is not for ad-hoc SQL: it would change something")).at(source, within.clone());
            Err(problem.hint("queries read; tables are written by a job with [[step]], files by pacha sql -o FILE").into())
        }
    }
}
