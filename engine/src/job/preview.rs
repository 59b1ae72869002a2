//! A few records, as harvested and as mapped, without writing anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::{Expr, lit};
use schemas::problem::{Problem, Problems};
use schemas::target::TargetSchema;

use super::prepare::{parameters, plan_unit};
use super::unit::{Bounds, RunCollection, levels, units};
use super::{input, shape};
use crate::error::{Error, Result};
use crate::mapping::compose::{KEPT, RECORD};
use crate::mapping::plan::FINDINGS;
use crate::project::{Collection, Job};
use crate::session::Session;
use crate::sql::mistake;

/// Which records to show.
#[derive(Debug, Clone)]
pub struct PreviewRequest {
    /// At most so many.
    pub records: usize,
    /// Only the record with this identifier.
    pub id: Option<String>,
    /// Only this collection.
    pub collection: Option<String>,
    /// Parameters.
    pub parameters: BTreeMap<String, String>,
}

/// Records of one collection; each batch has the target's fields, `_record` with the harvested columns, `_kept` perhaps, and `_findings`.
///
/// # Errors
/// A mistake in the mapping, or there is nothing to show.
pub async fn preview(
    session: &Session,
    job: &Job,
    target: &Arc<TargetSchema>,
    collection: &Arc<Collection>,
    mapping: &str,
    request: &PreviewRequest,
) -> Result<Vec<RecordBatch>> {
    let failed = |error: datafusion::error::DataFusionError| mistake::running(&error);
    let mut problems = Problems::default();
    let parameters = parameters(job, &request.parameters, &mut problems);
    if problems.fatal() {
        return Err(Error::mistakes(problems));
    }
    let pinned = input::pin(session, Arc::clone(collection)).await?;
    if pinned.pages.is_empty() {
        let problem = Problem::error("PX103", format!("collection {} has no pages", collection.id));
        return Err(Error::configuration(problem.hint("harvest it, or correct pages in its file")));
    }
    let levels = Arc::new(levels(&session.project, target, &collection.source, mapping, &collection.id)?);
    let source = shape::resolved(session, collection, &pinned).await?;
    let store = input::store_of(session, collection)?;
    let run = RunCollection { collection: Arc::clone(collection), source, levels, store, pinned, key: String::new() };
    let unit = units(vec![run], Bounds::of(session)).remove(0);
    let mut with_vernacular = job.clone();
    with_vernacular.output.vernacular = true;
    let planned = plan_unit(session, &with_vernacular, target, &unit, &parameters).await.map_err(Error::mistakes)?;
    let frame = session.context.execute_logical_plan(planned.plan).await.map_err(failed)?;
    let record = |member: &str| get_field(Expr::Column(Column::from_name(RECORD)), member);
    let mut frame = frame.filter(record("kind").eq(lit(0_u8)).and(record("deleted").is_false())).map_err(failed)?;
    if let Some(id) = &request.id {
        frame = frame.filter(record("record_id").eq(lit(id.as_str()))).map_err(failed)?;
    }
    // One partition reads the pages in their order, so that the first records are always the same.
    let (mut state, plan) = frame.limit(0, Some(request.records)).map_err(failed)?.into_parts();
    state.config_mut().options_mut().execution.target_partitions = 1;
    let batches = DataFrame::new(state, plan).collect().await.map_err(failed)?;
    if batches.iter().all(|batch| batch.num_rows() == 0) {
        let what = request.id.as_ref().map_or_else(|| "no live records".to_owned(), |id| format!("no record {id}"));
        let problem = Problem::error("PX108", format!("collection {} has {what}", collection.id));
        return Err(Error::configuration(problem.hint(format!("pacha inspect {} shows what it holds", collection.id))));
    }
    Ok(batches)
}

/// The columns of a preview that are not the target's.
pub const OWN_COLUMNS: [&str; 3] = [RECORD, KEPT, FINDINGS];
