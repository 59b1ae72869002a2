//! Executes one unit: the planned mapping under the sink, once; again if records occurred more than once.
//!
//! Which of two records with one identifier counts can only be known when all are seen. So the first attempt assumes
//! there are none, which is nearly always so; if its manifest names some, its files are dropped and the unit runs
//! again with the superseded ones named. The last occurrence in page order counts: a server that changes a record
//! during a harvest lists it again later.

use std::sync::Arc;

use object_store::ObjectStoreExt;
use schemas::problem::Problem;

use super::unit::Unit;
use crate::backend::Backend;
use crate::error::{Error, Kind, Result};
use crate::mapping::MappingPlan;
use crate::project::Output;
use crate::session::Session;
use crate::sink::{Manifest, SinkExec, SinkMode, SinkSpec};
use crate::sql::mistake;
use crate::table::Database;

/// Where an attempt writes.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The database.
    pub database: Database,
    /// The run.
    pub run_id: String,
    /// File size and compression.
    pub output: Output,
}

impl Destination {
    /// The sink's instructions.
    pub fn spec(&self, mode: SinkMode) -> SinkSpec {
        let mut database = self.database.location().url.to_string();
        if !database.ends_with('/') {
            database.push('/');
        }
        SinkSpec {
            database,
            run_id: self.run_id.clone(),
            mode,
            file_bytes: self.output.file_size,
            compression_level: i32::from(self.output.compression_level),
        }
    }
}

/// Runs a unit to its manifest, and sees that every page and record is accounted for.
///
/// # Errors
/// The plan failed, or the counts do not add up.
pub async fn attempt(
    session: &Session,
    backend: Backend,
    to: &Destination,
    unit: &Unit,
    planned: &MappingPlan,
    vernacular: bool,
) -> Result<Manifest> {
    let reread = (!vernacular).then(|| Box::new(unit.reread()));
    let mode = |duplicates| SinkMode::Records {
        source: unit.source.name.clone(),
        vernacular,
        duplicates,
        at: planned.at.clone(),
        reread: reread.clone(),
    };
    let first = execute(session, backend, to.spec(mode(Vec::new())), planned).await?;
    let duplicates = first.duplicates();
    let manifest = if duplicates.is_empty() {
        first
    } else {
        let count = duplicates.len();
        tracing::info!(target: "pacha", "{count} {}; mapping once more without", if count == 1 { "record occurs again later" } else { "records occur again later" });
        discard(to, &first).await?;
        execute(session, backend, to.spec(mode(duplicates)), planned).await?
    };
    account(unit, &manifest)?;
    Ok(manifest)
}

async fn execute(session: &Session, backend: Backend, spec: SinkSpec, planned: &MappingPlan) -> Result<Manifest> {
    let state = session.context.state();
    let plan = state.create_physical_plan(&planned.plan).await.map_err(|error| mistake::running(&error))?;
    let sink = Arc::new(SinkExec::new(plan, Arc::new(spec)));
    let batches = backend.execute(sink, session.context.task_ctx()).await?;
    Manifest::from_batches(&batches)
}

/// Removes the files of an attempt that does not count.
async fn discard(to: &Destination, manifest: &Manifest) -> Result<()> {
    for file in &manifest.files {
        let place = to.database.location().join(&file.path);
        place.store.delete(&place.prefix).await.map_err(|error| place.failed("remove", &error))?;
    }
    Ok(())
}

/// The guard before every commit: pages seen are pages pinned, records of pages are records counted, counts add up.
fn account(unit: &Unit, manifest: &Manifest) -> Result<()> {
    let pinned: u64 = unit.collections.iter().map(|collection| collection.pinned.pages.len() as u64).sum();
    let totals = manifest.totals();
    let mut faults = Vec::new();
    if manifest.pages.seen != pinned {
        faults.push(format!("{pinned} pages were to be read, {} were", manifest.pages.seen));
    }
    if manifest.pages.records != totals.input {
        faults.push(format!("the pages hold {} records, {} were counted", manifest.pages.records, totals.input));
    }
    faults.extend(manifest.counts.iter().filter(|(_, counts)| !counts.adds_up()).map(|(id, counts)| format!("collection {id}: {counts}")));
    let mapped: u64 = manifest.files.iter().filter(|file| file.table == "mapped").map(|file| file.rows).sum();
    if mapped != totals.mapped {
        faults.push(format!("{} records were mapped, {mapped} rows were written", totals.mapped));
    }
    if faults.is_empty() {
        return Ok(());
    }
    let problem = Problem::error("PG410", format!("the counts do not add up: {}", faults.join("; ")));
    Err(Error::new(Kind::Failed, problem.hint("nothing was published; this is a fault of pacha: please report it with the run record")))
}
