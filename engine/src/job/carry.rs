//! Rows carried over: a file may hold many small collections, and only some of them run.
//!
//! The rows of the others are written anew, as they are, into a file of this run. Nothing is mapped again, and the
//! count of rows that left the old files must be the count that arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, lit};
use schemas::problem::Problem;

use super::write::Writing;
use crate::error::{Error, Result};
use crate::sink::{ManifestFile, SinkMode};
use crate::sql::mistake;
use crate::table::{Snapshot, TableVersion};

/// Files that take the place of others in one table.
#[derive(Debug, Default)]
pub struct Carried {
    /// Paths that go.
    pub remove: Vec<String>,
    /// Files that hold the rows that stay.
    pub add: Vec<ManifestFile>,
}

/// For every table that is by collection: which files the `touched` collections take along, and the rows rescued.
///
/// # Errors
/// An old file cannot be read, or not every row that stays arrived.
pub async fn carry(writing: &Writing<'_>, before: &Arc<Snapshot>, touched: &BTreeSet<String>) -> Result<BTreeMap<String, Carried>> {
    let mut all = BTreeMap::new();
    for table in before.tables.keys() {
        let affected = before.affected(table, touched);
        let mut carried =
            Carried { remove: affected.whole.iter().chain(&affected.mixed).map(|file| file.path.clone()).collect(), add: Vec::new() };
        if !affected.mixed.is_empty() {
            let mixed: Vec<_> = affected.mixed.iter().map(|file| (*file).clone()).collect();
            let mut part = Snapshot::clone(before);
            if let Some(state) = part.tables.get_mut(table) {
                state.files = mixed;
            }
            carried.add = rewrite(writing, Arc::new(part), table, touched).await?;
        }
        if !carried.remove.is_empty() {
            all.insert(table.clone(), carried);
        }
    }
    Ok(all)
}

async fn rewrite(writing: &Writing<'_>, part: Arc<Snapshot>, table: &str, touched: &BTreeSet<String>) -> Result<Vec<ManifestFile>> {
    let failed = |error: datafusion::error::DataFusionError| mistake::running(&error);
    let Some(old) = TableVersion::new(&writing.to.database, &part, table)? else { return Ok(Vec::new()) };
    let collection = || Expr::Column(Column::from_name("collection_id"));
    let ids: Vec<Expr> = touched.iter().map(|id| lit(id.as_str())).collect();
    let old: Arc<dyn datafusion::catalog::TableProvider> = Arc::new(old);
    let read = || writing.session.context.read_table(Arc::clone(&old));
    let expected =
        read().map_err(failed)?.filter(collection().in_list(ids.clone(), true)).map_err(failed)?.count().await.map_err(failed)?;
    let stays = read().map_err(failed)?.filter(collection().in_list(ids, true)).map_err(failed)?;
    let mode = SinkMode::Rows { table: table.to_owned() };
    let manifest = writing.write(&format!("kept-{table}"), &mode, stays.logical_plan(), |_| Ok(())).await?;
    let arrived: u64 = manifest.files.iter().map(|file| file.rows).sum();
    if arrived != expected as u64 {
        let problem = Problem::error("PG410", format!("{expected} rows of {table} were to be carried over, {arrived} were written"));
        return Err(Error::failed(problem.hint("nothing was published; run again, and report this if it stays")));
    }
    Ok(manifest.files)
}
