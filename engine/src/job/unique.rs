//! Values that two records share although their target says that none may: a finding for each record of this run.
//!
//! Only a query over the whole table can know, the collections that did not run included. DataFusion's grouping spills, so
//! memory stays bounded. The findings are rows of the same version; nothing is withheld for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, JoinType, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::functions::string::expr_fn::concat;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, cast, lit};
use schemas::target::{Level, TargetField};

use super::step;
use super::write::Writing;
use crate::error::Result;
use crate::sink::Manifest;
use crate::sql::mistake;
use crate::table::{Snapshot, TableVersion};

/// Writes a finding for each record of the collections that `ran` whose value of `field` another record has too.
///
/// # Errors
/// The table that is to be cannot be read, or the findings cannot be written.
pub async fn findings(
    writing: &Writing<'_>,
    after: &Arc<Snapshot>,
    field: &TargetField,
    level: Level,
    ran: &BTreeSet<String>,
) -> Result<Manifest> {
    let name = field.name.as_str();
    let failed = |error: DataFusionError| mistake::running(&error);
    let Some(mapped) = TableVersion::new(&writing.to.database, after, "mapped")? else { return Ok(Manifest::default()) };
    let named = |name: &str| Expr::Column(Column::from_name(name));
    let mapped: Arc<dyn TableProvider> = Arc::new(mapped);
    let all = || writing.session.context.read_table(Arc::clone(&mapped)).map_err(failed);
    let shared = all()?
        .filter(named(name).is_not_null())
        .and_then(|rows| rows.aggregate(vec![named(name).alias("_shared")], vec![count(lit(1)).alias("_times")]))
        .and_then(|groups| groups.filter(named("_times").gt(lit(1_i64))))
        .map_err(failed)?;
    let ids: Vec<Expr> = ran.iter().map(|id| lit(id.as_str())).collect();
    let message = concat(vec![lit("the value is shared by "), cast(named("_times"), DataType::Utf8), lit(" records")]);
    let null = || lit(ScalarValue::Utf8(None));
    let rows = all()?
        .join(shared, JoinType::Inner, &[name], &["_shared"], None)
        .and_then(|rows| rows.filter(named("collection_id").in_list(ids, false)))
        .and_then(|rows| {
            rows.select(vec![
                named("collection_id"),
                named("record_id"),
                named("page"),
                named("page_seq"),
                lit(level.as_str()).alias("severity"),
                lit("PV321").alias("code"),
                lit(name).alias("field"),
                named(name).alias("value"),
                message.alias("message"),
                null().alias("mapping"),
            ])
        })
        .map_err(failed)?;
    step::execute(writing, &format!("unique-{name}"), "findings", &rows).await
}
