//! The one way in which a run writes rows: a plan under the sink, into the run's folder.
//!
//! Where a run is to be verified, each plan is made and executed a second time in this process. What that wrote is removed;
//! what is compared are counts, findings, and rows and row hash of every table, which no order changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use object_store::ObjectStoreExt;
use schemas::problem::Problem;

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::project::Output;
use crate::session::Session;
use crate::sink::{Manifest, SinkExec, SinkMode, SinkSpec};
use crate::sql::mistake;
use crate::table::{Database, RowHash};

/// Where a run writes.
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
    fn spec(&self, mode: SinkMode) -> SinkSpec {
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

    /// Removes files that do not count.
    ///
    /// # Errors
    /// One is there and cannot be removed.
    pub async fn discard(&self, manifest: &Manifest) -> Result<()> {
        for file in &manifest.files {
            let place = self.database.location().join(&file.path);
            place.store.delete(&place.prefix).await.map_err(|error| place.failed("remove", &error))?;
        }
        Ok(())
    }
}

/// How a run writes: what plans it, where that is executed, and where the rows go.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    /// Plans.
    pub session: &'a Session,
    /// Executes.
    pub backend: &'a Backend,
    /// Plans and executes here once more, to compare.
    pub twin: Option<&'a Session>,
    /// Where the rows go.
    pub to: &'a Destination,
}

impl Writing<'_> {
    /// Writes the rows of a plan. `part` names it within the run; `check` says if a manifest does not add up.
    ///
    /// # Errors
    /// The plan failed, its manifest does not add up, or it gives other rows in this process.
    pub async fn write(
        &self,
        part: &str,
        mode: &SinkMode,
        plan: &LogicalPlan,
        check: impl Fn(&Manifest) -> Result<()> + Sync,
    ) -> Result<Manifest> {
        let name = format!("{}/{part}", self.to.run_id);
        let sink = self.sink(self.session, mode, plan).await?;
        let manifest = self.backend.write(sink, self.session.context.task_ctx(), &name, &check).await?;
        if let Some(twin) = self.twin {
            let sink = self.sink(twin, mode, plan).await?;
            let here = Backend::Embedded.write(sink, twin.context.task_ctx(), &name, &check).await?;
            self.to.discard(&here).await?;
            compare(part, &manifest, &here)?;
        }
        Ok(manifest)
    }

    async fn sink(&self, session: &Session, mode: &SinkMode, plan: &LogicalPlan) -> Result<Arc<SinkExec>> {
        let plan = session.context.state().create_physical_plan(plan).await.map_err(|error| mistake::running(&error))?;
        Ok(Arc::new(SinkExec::new(plan, Arc::new(self.to.spec(mode.clone())))))
    }
}

/// That two manifests say the same of their rows, however these are spread over files.
fn compare(part: &str, there: &Manifest, here: &Manifest) -> Result<()> {
    let mut faults = Vec::new();
    let (of_there, of_here) = (tables(there), tables(here));
    for table in of_there.keys().chain(of_here.keys().filter(|table| !of_there.contains_key(*table))) {
        let rows = |tables: &BTreeMap<&str, (u64, RowHash)>| tables.get(table).copied().unwrap_or_default();
        let (one, other) = (rows(&of_there), rows(&of_here));
        if one != other {
            faults.push(format!("{table} has {} rows with hash {} there, {} with hash {} here", one.0, one.1, other.0, other.1));
        }
    }
    if there.counts != here.counts {
        faults.push("the counts of its collections differ".into());
    }
    let causes = |manifest: &Manifest| -> BTreeMap<(String, Option<String>), u64> {
        manifest.findings.iter().map(|group| ((group.code.clone(), group.field.clone()), group.count)).collect()
    };
    if causes(there) != causes(here) {
        faults.push("its findings differ".into());
    }
    if faults.is_empty() {
        return Ok(());
    }
    let problem = Problem::error("PG411", format!("{part} gives other rows on the cluster than in this process: {}", faults.join("; ")));
    // Most often it is the query: ties may fall either way, also from one run to the next in one process.
    Err(Error::failed(problem.hint(
        "nothing was published; rows that are equal in the ORDER BY of a window or LIMIT may come in any order: add a column that tells \
         them apart, such as record_id. If there is one, run without --cluster and report this with the run record",
    )))
}

fn tables(manifest: &Manifest) -> BTreeMap<&str, (u64, RowHash)> {
    let mut tables: BTreeMap<&str, (u64, RowHash)> = BTreeMap::new();
    for file in &manifest.files {
        let (rows, hash) = tables.entry(&file.table).or_default();
        (*rows, *hash) = (*rows + file.rows, hash.and(file.row_hash));
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::ManifestFile;
    use crate::table::Counts;

    fn manifest(files: &[(&str, u64, u64)]) -> Manifest {
        let file = |&(table, rows, hash): &(&str, u64, u64)| ManifestFile {
            table: table.into(),
            path: String::new(),
            rows,
            bytes: 1,
            row_hash: RowHash(hash.into()),
            collections: BTreeMap::new(),
        };
        let mut manifest = Manifest::default();
        manifest.files = files.iter().map(file).collect();
        manifest
    }

    #[test]
    fn the_same_rows_in_other_files_are_the_same() {
        let one = manifest(&[("mapped", 3, 5), ("mapped", 2, 7), ("findings", 1, 1)]);
        assert!(compare("unit-1", &one, &manifest(&[("findings", 1, 1), ("mapped", 5, 12)])).is_ok());
    }

    #[test]
    fn another_row_or_count_is_told_with_table_and_hash() {
        let one = manifest(&[("mapped", 3, 5)]);
        let mut other = manifest(&[("mapped", 3, 6), ("findings", 1, 0)]);
        other.counts = [("a".to_owned(), Counts::default())].into();
        let error = compare("unit-1", &one, &other).unwrap_err().to_string();
        assert!(error.contains("PG411") && error.contains("mapped has 3 rows") && error.contains("findings has 0 rows"), "{error}");
        assert!(error.contains("counts of its collections differ"), "{error}");
        assert!(error.contains("add a column that tells them apart, such as record_id. If there is one, run without"), "{error}");
    }
}
