//! Executes one unit: the planned mapping under the sink, once; again if records occurred more than once.
//!
//! Which of two records with one identifier counts can only be known when all are seen. So the first attempt assumes
//! there are none, which is nearly always so; if its manifest names some, its files are dropped and the unit runs
//! again with the superseded ones named. The last occurrence in page order counts: a server that changes a record
//! during a harvest lists it again later.

use schemas::problem::Problem;

use super::unit::Unit;
use super::write::Writing;
use crate::error::{Error, Kind, Result};
use crate::mapping::MappingPlan;
use crate::sink::{Manifest, SinkMode};

/// Runs a unit to its manifest, and sees that every page and record is accounted for.
///
/// # Errors
/// The plan failed, or the counts do not add up.
pub async fn attempt(writing: &Writing<'_>, name: &str, unit: &Unit, planned: &MappingPlan, vernacular: bool) -> Result<Manifest> {
    let reread = (!vernacular).then(|| Box::new(unit.reread()));
    let mode = |duplicates| SinkMode::Records {
        source: unit.source.name.clone(),
        vernacular,
        duplicates,
        at: planned.at.clone(),
        reread: reread.clone(),
    };
    let check = |manifest: &Manifest| account(unit, manifest);
    let first = writing.write(name, &mode(Vec::new()), &planned.plan, check).await?;
    let duplicates = first.duplicates();
    if duplicates.is_empty() {
        return Ok(first);
    }
    let count = duplicates.len();
    tracing::info!(target: "pacha", "{count} {}; mapping once more without", if count == 1 { "record occurs again later" } else { "records occur again later" });
    writing.to.discard(&first).await?;
    writing.write(&format!("{name}-again"), &mode(duplicates), &planned.plan, check).await
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
