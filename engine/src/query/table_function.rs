//! Table functions: what is known of the warehouse, as tables.
//!
//! DataFusion plans a table function without waiting for anything, and these must read commits and run records. So each
//! call in a statement is opened first, and the call is replaced by the name of the table it gave.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, TableAlias, TableFactor, Value, VisitMut, VisitorMut,
};
use schemas::problem::Problem;

use super::tables::{self, Overlay};
use crate::catalog::{Catalog, TableName, WarehouseCatalog};
use crate::error::{Error, Result};
use crate::format::sniff;
use crate::job::{input, record, shape};
use crate::scan::{HarvestTable, PinnedCollection, PinnedPage, View};
use crate::session::Session;
use crate::table::Database;
use object_store::ObjectStoreExt;

/// The functions, with what they take; for messages and documentation.
pub const FUNCTIONS: [(&str, &str, &str); 5] = [
    ("table_version", "table_version('calisphere.mapped', 41)", "A table as it was at an older version of its database."),
    ("runs", "runs() or runs('nightly')", "Runs of all jobs, or of one, newest first."),
    ("commits", "commits('calisphere')", "The versions of a database, newest first."),
    ("findings", "findings('calisphere')", "The findings of a database's newest version."),
    ("pages", "pages('pages/26001/') or pages('x.xml', 'oai_dc')", "Records of harvested pages that belong to no collection yet."),
];

struct Call {
    name: String,
    arguments: Vec<String>,
}

#[derive(Default)]
struct Calls {
    found: Vec<Call>,
}

impl VisitorMut for Calls {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args: Some(arguments), alias, .. } = factor else { return ControlFlow::Continue(()) };
        let called = name.to_string().to_lowercase();
        if !FUNCTIONS.iter().any(|(known, ..)| *known == called) {
            return ControlFlow::Continue(());
        }
        let arguments = arguments.args.iter().map(literal).collect();
        let table = format!("_call_{}", self.found.len());
        let alias =
            alias.take().or_else(|| Some(TableAlias { explicit: true, name: Ident::new(called.clone()), columns: Vec::new(), at: None }));
        let name = ObjectName(vec![ObjectNamePart::Identifier(Ident::with_quote('"', table))]);
        self.found.push(Call { name: called, arguments });
        if let TableFactor::Table { name: own, args, alias: own_alias, .. } = factor {
            *own = name;
            *args = None;
            *own_alias = alias;
        }
        ControlFlow::Continue(())
    }
}

fn literal(argument: &FunctionArg) -> String {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

/// Opens every call of [`FUNCTIONS`] in the statement and puts a table in its place.
///
/// # Errors
/// An argument is wrong, or what it names cannot be opened.
pub async fn replace(session: &Session, context: &SessionContext, statement: &mut ast::Statement, overlay: &Overlay) -> Result<()> {
    let mut calls = Calls::default();
    let _ = statement.visit(&mut calls);
    for (index, call) in calls.found.iter().enumerate() {
        let table = open(session, call, overlay).await?;
        tables::put(context, "public", &format!("_call_{index}"), table)?;
    }
    Ok(())
}

async fn open(session: &Session, call: &Call, overlay: &Overlay) -> Result<Arc<dyn TableProvider>> {
    let argument = |index: usize| call.arguments.get(index).map(String::as_str);
    match (call.name.as_str(), argument(0), argument(1)) {
        ("table_version", Some(table), Some(version)) => table_version(session, table, version).await,
        ("runs", job, None) => runs(session, job).await,
        ("commits", Some(database), None) => commits(session, database, overlay).await,
        ("findings", Some(database), None) => newest(session, database, "findings").await,
        ("pages", Some(path), source) => pages(session, path, source).await,
        _ => {
            let usage = FUNCTIONS.iter().find(|(name, ..)| *name == call.name).map_or("", |(_, usage, _)| usage);
            Err(Problem::error("PM214", format!("{}() is called with other arguments than it takes", call.name))
                .hint(format!("write {usage}"))
                .into())
        }
    }
}

fn table_name(written: &str) -> Result<TableName> {
    match written.split_once('.') {
        Some((database, table)) => Ok(TableName::new(database, table)),
        None => Err(Problem::error("PM214", format!("\"{written}\" is not database.table"))
            .hint("write table_version('calisphere.mapped', 41)")
            .into()),
    }
}

async fn table_version(session: &Session, table: &str, version: &str) -> Result<Arc<dyn TableProvider>> {
    let name = table_name(table)?;
    let wrong = || {
        Error::from(
            Problem::error("PM214", format!("\"{version}\" is not a version number"))
                .hint(format!("pacha commits {} lists them", name.database)),
        )
    };
    let version = version.parse().map_err(|_| wrong())?;
    let found = WarehouseCatalog::new(session.warehouse.clone()).table(&name, Some(version)).await?;
    let missing = || {
        Error::from(
            Problem::error("PM204", format!("no table {name} at version {version}"))
                .hint(format!("pacha commits {} lists the versions", name.database)),
        )
    };
    Ok(found.ok_or_else(missing)?.provider())
}

async fn newest(session: &Session, database: &str, table: &str) -> Result<Arc<dyn TableProvider>> {
    let name = TableName::new(database, table);
    let found = WarehouseCatalog::new(session.warehouse.clone()).table(&name, None).await?;
    let missing = || Error::from(Problem::error("PM204", format!("no table {name}")).hint("run a job that writes this database first"));
    Ok(found.ok_or_else(missing)?.provider())
}

fn in_memory(columns: Vec<(&str, ArrayRef)>) -> Result<Arc<dyn TableProvider>> {
    let failed = |error: String| Error::failed(Problem::error("PR013", format!("a table function cannot be shown: {error}")));
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .map_err(|error| failed(error.to_string()))?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(table))
}

fn texts<T: Into<Option<String>>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(values.map(Into::into).collect::<StringArray>())
}

fn numbers(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(values.collect::<Vec<u64>>().into_iter().collect::<UInt64Array>())
}

async fn commits(session: &Session, database: &str, _: &Overlay) -> Result<Arc<dyn TableProvider>> {
    let history = Database::open(session.warehouse.join(database)).history(usize::MAX).await?;
    if history.is_empty() {
        let known = WarehouseCatalog::new(session.warehouse.clone()).databases().await?;
        let problem = Problem::error("PM204", format!("no database \"{database}\" in {}", session.warehouse));
        return Err(problem.hint(schemas::suggest::hint(database, known.iter().map(String::as_str))).into());
    }
    let all = || history.iter();
    in_memory(vec![
        ("version", numbers(all().map(|commit| commit.version))),
        ("at", texts(all().map(|commit| commit.at.to_string()))),
        ("job", texts(all().map(|commit| commit.proposal.job.clone()))),
        ("run_id", texts(all().map(|commit| commit.proposal.run_id.clone()))),
        ("mapped", numbers(all().map(|commit| commit.proposal.counts.mapped))),
        ("quarantined", numbers(all().map(|commit| commit.proposal.counts.quarantined))),
        ("collections", numbers(all().map(|commit| commit.proposal.collections.len() as u64))),
        ("message", texts(all().map(|commit| commit.proposal.message.clone()))),
    ])
}

async fn runs(session: &Session, job: Option<&str>) -> Result<Arc<dyn TableProvider>> {
    let mut all = record::all(&session.warehouse).await?;
    all.retain(|run| job.is_none_or(|job| run.job == job));
    let all = || all.iter();
    in_memory(vec![
        ("id", texts(all().map(|run| run.id.clone()))),
        ("job", texts(all().map(|run| run.job.clone()))),
        ("state", texts(all().map(|run| run.state.to_string()))),
        ("started_at", texts(all().map(|run| run.started_at.map(|at| at.to_string())))),
        ("seconds", Arc::new(all().map(|run| run.seconds).collect::<Float64Array>())),
        ("version", Arc::new(all().map(|run| run.version.and_then(|version| i64::try_from(version).ok())).collect::<Int64Array>())),
        ("in", numbers(all().map(|run| run.counts.total.input))),
        ("mapped", numbers(all().map(|run| run.counts.total.mapped))),
        ("quarantined", numbers(all().map(|run| run.counts.total.quarantined))),
        ("withheld", numbers(all().map(|run| run.withheld.len() as u64))),
        ("problem", texts(all().map(|run| run.problems.first().map(|problem| problem.message.clone())))),
    ])
}

/// Pages that no collection declares yet, read as if one did.
async fn pages(session: &Session, path: &str, source: Option<&str>) -> Result<Arc<dyn TableProvider>> {
    let found = input::list(session, path).await?;
    let Some((place, first)) = found.first() else {
        return Err(Problem::error("PX103", format!("there are no pages at {path}")).hint("name a file, a directory or a pattern").into());
    };
    let store = place.store_url();
    let name = match source {
        Some(name) => name.to_owned(),
        None => guess(place, first).await?.ok_or_else(|| {
            let known = session.project.sources.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Error::from(
                Problem::error("PX107", format!("the format of {path} is not recognised"))
                    .hint(format!("name it: pages('{path}', '…'); known: {known}")),
            )
        })?,
    };
    let known: Vec<&str> = session.project.sources.keys().map(String::as_str).collect();
    let schema = session.project.sources.get(&name).ok_or_else(|| Error::from(schemas::source::unknown(&name, &known)))?;
    let pages = found.iter().map(|(_, meta)| PinnedPage {
        // The whole URL, as messages say it.
        path: if place.remote() { input::shown(&session.project, place, meta) } else { meta.location.to_string() },
        meta: meta.clone(),
        source_url: None,
        harvested_at: None,
    });
    let pinned = PinnedCollection { id: "pages".into(), pages: pages.collect(), ..PinnedCollection::default() };
    let schema = shape::of_pages(session, schema, &store, &pinned).await?;
    Ok(Arc::new(HarvestTable::new(&schema, store, &[pinned], View::Records)))
}

/// The source schema that the first bytes of a page look like.
///
/// # Errors
/// The page cannot be read.
pub async fn guess(place: &crate::storage::Location, page: &object_store::ObjectMeta) -> Result<Option<String>> {
    use std::io::Read;
    let end = page.size.min(1 << 16);
    let bytes = place.store.get_range(&page.location, 0..end).await.map_err(|error| place.failed("read", &error))?;
    let Ok(reader) = crate::format::PageBytes::Whole(bytes).reader() else { return Ok(None) };
    let mut start = Vec::new();
    // A cut-off gzip stream ends in an error; what came before it is what is wanted.
    let _ = reader.take(1 << 15).read_to_end(&mut start);
    Ok(sniff::sniff(&start).map(str::to_owned))
}
