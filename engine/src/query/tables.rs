//! Finds what a statement names, and registers it on the statement's own context.
//!
//! | name | table |
//! |---|---|
//! | `collection."26001"` | the records of a collection, read from its pages |
//! | `calisphere.mapped` | a table of the warehouse, at its newest version; else one of Glue, if that is the project's catalog |
//! | `calisphere.vernacular` | the envelopes of all its vernacular tables |
//! | `'files/x.parquet'` | a Parquet, CSV or JSON Lines file, or a directory of them |
//! | `x` | an input declared in the job |

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::file_format::options::{CsvReadOptions, JsonReadOptions, ParquetReadOptions};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use schemas::problem::Problem;
use schemas::source::envelope_fields;

use crate::catalog::{Catalog, TableName, WarehouseCatalog};
use crate::error::{Error, Result};
use crate::job::{input, shape};
use crate::scan::{HarvestTable, View};
use crate::session::Session;
use crate::sql::mistake;
use crate::storage::Location;
use crate::table::{Database, Snapshot, TableVersion};

/// The schema under which collections are read.
pub const COLLECTIONS: &str = "collection";

/// The view over the vernacular tables of a database, which are one for each source schema.
const VERNACULAR: &str = "vernacular";

/// What a job's step sees beyond the warehouse: tables its own run has written but not published yet, and its inputs.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// The database of the run, as it will be.
    pub database: Option<(Database, Arc<Snapshot>)>,
    /// Name → path or URL of Parquet, CSV or JSON files.
    pub inputs: BTreeMap<String, String>,
}

/// Registers every table that `statement` names and that exists; returns the names it could have used.
///
/// # Errors
/// Something it names is there and cannot be opened.
pub async fn register(session: &Session, context: &SessionContext, statement: &ast::Statement, overlay: &Overlay) -> Result<Vec<String>> {
    let statement = Statement::Statement(Box::new(statement.clone()));
    let Ok(references) = context.state().resolve_table_references(&statement) else { return Ok(Vec::new()) };
    let mut known: Vec<String> = session.project.collections.keys().map(|id| format!("{COLLECTIONS}.\"{id}\"")).collect();
    known.extend(overlay.inputs.keys().cloned());
    for reference in references {
        match &reference {
            TableReference::Bare { table } => register_file(session, context, table, overlay).await?,
            TableReference::Partial { schema, table } if schema.as_ref() == COLLECTIONS => {
                put(context, schema, table, Arc::new(records(session, table).await?))?;
            }
            TableReference::Partial { schema, table } => {
                let (found, others) = published(session, schema, table, overlay).await?;
                known.extend(others);
                match found {
                    Some(found) => put(context, schema, table, found)?,
                    None if table.as_ref() == VERNACULAR => {
                        if let Some(view) = envelopes(session, context, schema, overlay).await? {
                            put(context, schema, table, view)?;
                        }
                    }
                    None => {}
                }
            }
            TableReference::Full { .. } => {}
        }
    }
    Ok(known)
}

/// Members of the structs of every table that was registered, for suggestions.
pub async fn members(context: &SessionContext) -> Vec<String> {
    let mut found = Vec::new();
    let Some(catalog) = context.catalog("datafusion") else { return found };
    for schema in catalog.schema_names().into_iter().filter_map(|name| catalog.schema(&name)) {
        for table in schema.table_names() {
            if let Ok(Some(table)) = schema.table(&table).await {
                found.extend(mistake::members(table.schema().fields()));
            }
        }
    }
    found
}

/// Registers a provider as `schema.table`.
///
/// # Errors
/// The context has no catalog of ours; a mistake of this code.
pub fn put(context: &SessionContext, schema: &str, table: &str, provider: Arc<dyn TableProvider>) -> Result<()> {
    let failed = |what: String| Error::failed(Problem::error("PR013", format!("table {schema}.{table} cannot be registered: {what}")));
    let catalog = context.catalog("datafusion").ok_or_else(|| failed("there is no catalog".into()))?;
    let tables = match catalog.schema(schema) {
        Some(tables) => tables,
        None => {
            let tables: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
            catalog.register_schema(schema, Arc::clone(&tables)).map_err(|error| failed(error.to_string()))?;
            tables
        }
    };
    tables.register_table(table.to_owned(), provider).map_err(|error| failed(error.to_string()))?;
    Ok(())
}

/// A collection's records, read from its pages.
async fn records(session: &Session, id: &str) -> Result<HarvestTable> {
    let collection = session.project.collection(id)?;
    let pinned = input::pin(session, Arc::clone(collection)).await?;
    let source = shape::resolved(session, collection, &pinned).await?;
    let store = input::store_of(session, collection)?;
    Ok(HarvestTable::new(&source, store, &[pinned], View::Records))
}

async fn published(
    session: &Session,
    database: &str,
    table: &str,
    overlay: &Overlay,
) -> Result<(Option<Arc<dyn TableProvider>>, Vec<String>)> {
    if let Some((own, snapshot)) = &overlay.database
        && own.name() == database
    {
        let names = snapshot.tables.keys().map(|name| format!("{database}.{name}")).collect();
        let found = TableVersion::new(own, snapshot, table)?;
        return Ok((found.map(|found| Arc::new(found) as _), names));
    }
    let catalog = WarehouseCatalog::new(session.warehouse.clone());
    let found = catalog.table(&TableName::new(database, table), None).await?;
    if let Some(found) = found {
        return Ok((Some(found.provider()), Vec::new()));
    }
    // The warehouse's names win: a job reads what it wrote, whatever Glue has under the same name.
    if let Some(glue) = &session.glue
        && let Some(found) = glue.table(&TableName::new(database, table), None).await?
    {
        return Ok((Some(found.provider()), Vec::new()));
    }
    let mut names: Vec<String> = catalog.tables(database).await?.into_iter().map(|name| format!("{database}.{name}")).collect();
    if names.is_empty() {
        for database in catalog.databases().await? {
            names.extend(catalog.tables(&database).await?.into_iter().map(|name| format!("{database}.{name}")));
        }
    }
    if let Some(glue) = &session.glue {
        names.extend(glue.tables(database).await?.into_iter().map(|name| format!("{database}.{name}")));
    }
    Ok((None, names))
}

/// Everything that was harvested, whatever its source: the envelope, because the columns after it differ.
async fn envelopes(
    session: &Session,
    context: &SessionContext,
    database: &str,
    overlay: &Overlay,
) -> Result<Option<Arc<dyn TableProvider>>> {
    // The view's own name is no table, so the names of those that are come back.
    let (_, names) = published(session, database, VERNACULAR, overlay).await?;
    let ours = format!("{database}.{VERNACULAR}_");
    let mut tables = Vec::new();
    for name in names.iter().filter(|name| name.starts_with(&ours)) {
        let (found, _) = published(session, database, &name[database.len() + 1..], overlay).await?;
        tables.extend(found);
    }
    let stored = |name: &str| tables.iter().all(|table| table.schema().column_with_name(name).is_some());
    let columns: Vec<String> = envelope_fields().iter().map(|field| field.name().clone()).filter(|name| stored(name)).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut all: Option<DataFrame> = None;
    for table in tables {
        let frame = context.read_table(table).and_then(|frame| frame.select_columns(&columns));
        let joined = frame.and_then(|frame| match all {
            Some(all) => all.union(frame),
            None => Ok(frame),
        });
        all = Some(joined.map_err(|error| mistake::running(&error))?);
    }
    Ok(all.map(DataFrame::into_view))
}

/// Registers an input of the job, or a file named by its path.
async fn register_file(session: &Session, context: &SessionContext, name: &str, overlay: &Overlay) -> Result<()> {
    let written = match overlay.inputs.get(name) {
        Some(location) => location.as_str(),
        None if name.contains(['/', '.']) => name,
        None => return Ok(()),
    };
    let base = if overlay.inputs.contains_key(name) { session.project.root.clone() } else { std::env::current_dir().unwrap_or_default() };
    let place = session.storage.resolve(written, &base)?;
    let url = place.url.to_string();
    let plain = written.trim_end_matches(".gz").trim_end_matches(".zst").to_lowercase();
    let table = TableReference::bare(name.to_owned());
    let extension = plain.rsplit('.').next().unwrap_or_default().to_owned();
    let packed = written.ends_with(".gz");
    let compression = || {
        if packed {
            datafusion::datasource::file_format::file_compression_type::FileCompressionType::GZIP
        } else {
            datafusion::datasource::file_format::file_compression_type::FileCompressionType::UNCOMPRESSED
        }
    };
    let suffix = std::path::Path::new(written).extension().map(|ext| ext.to_string_lossy().into_owned()).unwrap_or_default();
    let suffix = if packed { format!("{extension}.gz") } else { suffix };
    let registered = match extension.as_str() {
        "csv" => {
            context.register_csv(table, &url, CsvReadOptions::new().file_extension(&suffix).file_compression_type(compression())).await
        }
        "tsv" => {
            context
                .register_csv(
                    table,
                    &url,
                    CsvReadOptions::new().delimiter(b'\t').file_extension(&suffix).file_compression_type(compression()),
                )
                .await
        }
        "json" | "jsonl" | "ndjson" => {
            context
                .register_json(table, &url, JsonReadOptions::default().file_extension(&suffix).file_compression_type(compression()))
                .await
        }
        "parquet" => context.register_parquet(table, &url, ParquetReadOptions::default()).await,
        _ => {
            let problem = Problem::error("PM213", format!("{written}: a file is read by its ending, and this has none that is known"));
            return Err(problem
                .hint("known: .parquet, .csv, .tsv, .json, .jsonl, .ndjson, each also with .gz; pages are read with pages('…')")
                .into());
        }
    };
    registered.map_err(|error| unreadable(written, &place, &error))
}

fn unreadable(written: &str, place: &Location, error: &datafusion::error::DataFusionError) -> Error {
    if let Some(refused) = mistake::store_error(error).filter(|_| place.remote()) {
        return place.failed("read", refused);
    }
    let inner = mistake::running(error);
    let reason = inner.problems.0.first().map_or("nothing was said of why", |problem| problem.message.as_str());
    if reason.contains("No files found") {
        let problem = Problem::error("PS502", format!("there is no file {written}"));
        return problem.hint("check the path; it starts at the folder in which pacha runs, that of an input at the project's").into();
    }
    Problem::error("PS505", format!("cannot read {written}: {reason}"))
        .hint("check the path, and that the file is of the kind its ending says")
        .into()
}
