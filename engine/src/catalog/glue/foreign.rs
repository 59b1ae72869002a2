//! Tables that others have registered: Parquet, CSV and JSON, partitioned or not, read where they lie.
//!
//! What Glue says of columns, types and separators is believed, as every engine of the Hive family does. Partitions are
//! asked for with the query's own filters, so that a query for one day does not learn of ten years.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use aws_sdk_glue::types::{Column, StorageDescriptor, Table};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::functions::core::expr_fn::nullif;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, cast, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion_datasource::TableSchema;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore};
use schemas::problem::Problem;

use super::client::Client;
use super::expression::expression;
use super::hive::arrow_type;
use crate::catalog::TableName;
use crate::error::{Error, Result};
use crate::storage::{Location, Storage};

/// Locations listed at a time.
const LISTINGS: usize = 16;

/// What Hive writes for a partition value that is null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The form of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Format {
    Parquet,
    /// `null` is the text that stands for none.
    Csv {
        delimiter: u8,
        quote: u8,
        escape: Option<u8>,
        header: bool,
        null: Option<&'static str>,
    },
    Json,
}

/// How partitions are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Partitions {
    /// There are none.
    None,
    /// By asking Glue.
    Asked,
    /// By the names of folders: the table says that readers compute them.
    Folders,
}

/// A table that Glue knows and we did not write.
#[derive(Debug, Clone)]
pub(super) struct ForeignTable {
    name: TableName,
    client: Arc<Client>,
    storage: Arc<Storage>,
    location: String,
    format: Format,
    columns: SchemaRef,
    keys: Vec<(String, DataType)>,
    partitions: Partitions,
    schema: SchemaRef,
}

impl ForeignTable {
    /// The table as Glue describes it.
    ///
    /// # Errors
    /// It is of a kind that is not read here; the text says which, and what would read it.
    pub(super) fn new(client: &Arc<Client>, storage: &Arc<Storage>, name: &TableName, table: &Table) -> Result<Self> {
        let unread =
            |what: &str, hint: &str| Error::from(Problem::error("PS575", format!("cannot read {name} of Glue: {what}")).hint(hint));
        let parameters = Parameters::of(table);
        let descriptor = table.storage_descriptor();
        let location = descriptor.and_then(StorageDescriptor::location).unwrap_or_default().to_owned();
        if table.table_type() == Some("VIRTUAL_VIEW") || location.is_empty() {
            return Err(unread("it is a view, or a table without a place", "query the tables that it is made of"));
        }
        if parameters.get("table_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("hive")) {
            let kind = parameters.get("table_type").unwrap_or_default();
            return Err(unread(
                &format!("it is a table of {kind}, whose files need its own log"),
                "query it with Athena or Spark, or export it as Parquet",
            ));
        }
        let Some(format) = format(descriptor, &parameters) else {
            let serde = descriptor.and_then(StorageDescriptor::serde_info).and_then(|serde| serde.serialization_library());
            let what = format!("its files are written by {}", serde.unwrap_or("nobody named"));
            return Err(unread(&what, "Parquet, CSV and JSON are read: export it in one of these"));
        };
        let typed = |column: &Column| {
            let kind = column.r#type().unwrap_or("string");
            let problem = || {
                unread(
                    &format!("column {} is {kind}, a type that is not known", column.name),
                    "leave the column out with a view, or change its type",
                )
            };
            arrow_type(kind).map(|kind| Field::new(column.name.clone(), kind, true)).ok_or_else(problem)
        };
        // Hive's own separators inside a cell are not taken apart.
        let nested =
            |column: &&Column| matches!(column.r#type().unwrap_or_default().split(['<', '(']).next(), Some("array" | "map" | "struct"));
        if let (Format::Csv { .. }, Some(column)) = (&format, descriptor.and_then(|descriptor| descriptor.columns().iter().find(nested))) {
            let what = format!("column {} is {} in a text file", column.name, column.r#type().unwrap_or_default());
            return Err(unread(&what, "leave the column out with a view, or export the table as Parquet"));
        }
        let columns: Vec<Field> =
            descriptor.map(StorageDescriptor::columns).unwrap_or_default().iter().map(typed).collect::<Result<_>>()?;
        let keys: Vec<Field> = table.partition_keys().iter().map(typed).collect::<Result<_>>()?;
        let projected = parameters.get("projection.enabled").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if projected && parameters.get("storage.location.template").is_some() {
            return Err(unread(
                "its partitions are projected by a template",
                "register its partitions, or name its files: 's3://bucket/…/x.parquet'",
            ));
        }
        let partitions = match (keys.is_empty(), projected) {
            (true, _) => Partitions::None,
            (false, false) => Partitions::Asked,
            (false, true) => Partitions::Folders,
        };
        let schema = Arc::new(Schema::new(columns.iter().chain(&keys).cloned().collect::<Vec<_>>()));
        let keys = keys.into_iter().map(|key| (key.name().clone(), key.data_type().clone())).collect();
        Ok(Self {
            name: name.clone(),
            client: Arc::clone(client),
            storage: Arc::clone(storage),
            location,
            format,
            columns: Arc::new(Schema::new(columns)),
            keys,
            partitions,
            schema,
        })
    }

    /// The files that a query with these filters has to look at.
    pub(super) async fn files(&self, filters: &[Expr]) -> Result<Vec<(ObjectStoreUrl, PartitionedFile)>> {
        if self.partitions != Partitions::Asked {
            return self.list(&self.location, None).await;
        }
        let expression = expression(filters, &self.keys);
        let found = self.client.partitions(&self.name.database, &self.name.table, expression.as_deref()).await?;
        let listings = found.iter().map(|partition| {
            let location = partition.storage_descriptor().and_then(StorageDescriptor::location).unwrap_or(&self.location);
            self.list(location, Some(partition.values()))
        });
        let files: Vec<_> = stream::iter(listings.collect::<Vec<_>>()).buffered(LISTINGS).try_collect().await?;
        Ok(files.into_iter().flatten().collect())
    }

    /// The files below a location; names that begin with `_` or `.` are hidden.
    async fn list(&self, location: &str, values: Option<&[String]>) -> Result<Vec<(ObjectStoreUrl, PartitionedFile)>> {
        let place = place(&self.storage, location)?;
        let listed: std::result::Result<Vec<ObjectMeta>, _> = place.store.list(Some(&place.prefix)).try_collect().await;
        let mut listed = match listed {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(place.failed("list", &error)),
        };
        listed.sort_by(|one, other| one.location.cmp(&other.location));
        let mut files = Vec::new();
        for meta in listed.into_iter().filter(|meta| meta.size > 0) {
            let below: Vec<String> = match meta.location.prefix_match(&place.prefix) {
                Some(parts) => parts.map(|part| part.as_ref().to_owned()).collect(),
                None => continue,
            };
            if below.iter().any(|part| part.starts_with(['_', '.']) && !part.contains('=')) {
                continue;
            }
            let mut file = PartitionedFile::from(meta);
            file.partition_values = match (values, self.partitions) {
                (Some(values), _) => self.typed(values)?,
                (None, Partitions::Folders) => match self.of_folders(&below) {
                    Some(values) => self.typed(&values)?,
                    None => continue,
                },
                (None, _) => Vec::new(),
            };
            files.push((place.store_url(), file));
        }
        Ok(files)
    }

    /// The partition values in the names of folders, as in `day=2026-11-01/`.
    fn of_folders(&self, below: &[String]) -> Option<Vec<String>> {
        let value = |name: &String| below.iter().find_map(|part| part.strip_prefix(name.as_str())?.strip_prefix('=')).map(unescaped);
        self.keys.iter().map(|(name, _)| value(name)).collect()
    }

    fn typed(&self, values: &[String]) -> Result<Vec<ScalarValue>> {
        let wrong = |why: String| {
            let message = format!("cannot read {} of Glue: the partition {} {why}", self.name, values.join("/"));
            Error::from(Problem::error("PS575", message).hint("mend the partition in Glue, or remove it"))
        };
        if values.len() != self.keys.len() {
            return Err(wrong(format!("has {} values, and the table {} keys", values.len(), self.keys.len())));
        }
        let value = |(text, (name, kind)): (&String, &(String, DataType))| {
            if text == NULL {
                return ScalarValue::try_from(kind).map_err(|error| wrong(format!("has no null for {name}: {error}")));
            }
            ScalarValue::try_from_string(text.clone(), kind).map_err(|_| wrong(format!("has {text:?} for {name}, which is {kind}")))
        };
        values.iter().zip(&self.keys).map(value).collect()
    }

    fn source(&self, state: &dyn Session, first: &str) -> Arc<dyn FileFormat> {
        let packed = if first.ends_with(".gz") { FileCompressionType::GZIP } else { FileCompressionType::UNCOMPRESSED };
        match &self.format {
            Format::Parquet => Arc::new(ParquetFormat::new().with_options(state.default_table_options().parquet)),
            Format::Json => Arc::new(JsonFormat::default().with_file_compression_type(packed)),
            Format::Csv { delimiter, quote, escape, header, .. } => {
                let format = CsvFormat::default().with_delimiter(*delimiter).with_quote(*quote).with_escape(*escape);
                let format = format.with_has_header(*header).with_newlines_in_values(*quote != 0);
                Arc::new(format.with_file_compression_type(packed))
            }
        }
    }

    /// The columns as the files have them: where a text stands for null, all are text first; in Parquet they are called as
    /// their writer did, with capitals that Glue does not know. Files of one table are written alike, so the first one tells.
    async fn columns_of_files(
        &self,
        state: &dyn Session,
        format: &dyn FileFormat,
        store: &ObjectStoreUrl,
        first: &PartitionedFile,
    ) -> Result<SchemaRef, DataFusionError> {
        let fields = self.columns.fields();
        match self.format {
            Format::Csv { null: Some(_), .. } => {
                let text = |field: &FieldRef| Field::new(field.name(), DataType::Utf8, true);
                Ok(Arc::new(Schema::new(fields.iter().map(text).collect::<Vec<_>>())))
            }
            Format::Parquet => {
                let store = state.runtime_env().object_store(store)?;
                let written = format.infer_schema(state, &store, std::slice::from_ref(&first.object_meta)).await?;
                let named = |field: &FieldRef| {
                    let same = written.fields().iter().find(|other| other.name().eq_ignore_ascii_case(field.name()));
                    Field::new(same.map_or(field.name(), |same| same.name()), field.data_type().clone(), true)
                };
                Ok(Arc::new(Schema::new(fields.iter().map(named).collect::<Vec<_>>())))
            }
            _ => Ok(Arc::clone(&self.columns)),
        }
    }

    /// Gives the columns of the files the names and types of the table, with null where a text stands for it.
    fn as_described(
        &self,
        state: &dyn Session,
        scan: Arc<dyn ExecutionPlan>,
        wanted: &SchemaRef,
        in_files: &SchemaRef,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        if in_files == &self.columns {
            return Ok(scan);
        }
        let schema = DFSchema::try_from(scan.schema())?;
        let mut items = Vec::new();
        for (field, described) in scan.schema().fields().iter().zip(wanted.fields()) {
            let column = Expr::Column(datafusion::common::Column::from_name(field.name()));
            let of_files = in_files.field_with_name(field.name()).is_ok();
            let item = match self.format {
                Format::Csv { null: Some(null), .. } if of_files => cast(nullif(column, lit(null)), described.data_type().clone()),
                _ => column,
            };
            items.push((state.create_physical_expr(item, &schema)?, described.name().clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(items, scan)?))
    }
}

#[async_trait]
impl TableProvider for ForeignTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let mut stores: BTreeMap<String, Vec<PartitionedFile>> = BTreeMap::new();
        for (store, file) in self.files(filters).await? {
            stores.entry(store.as_str().to_owned()).or_default().push(file);
        }
        let wanted = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let keys: Vec<FieldRef> = self.keys.iter().map(|(name, kind)| Arc::new(Field::new(name, kind.clone(), true))).collect();
        let mut scans = Vec::new();
        for (store, files) in stores {
            let (store, Some(first)) = (ObjectStoreUrl::parse(&store)?, files.first()) else { continue };
            let format = self.source(state, first.object_meta.location.as_ref());
            let in_files = self.columns_of_files(state, format.as_ref(), &store, first).await?;
            let schema = TableSchema::builder(Arc::clone(&in_files)).with_table_partition_cols(keys.clone()).build();
            let groups = FileGroup::new(files).split_files(state.config().target_partitions());
            let scan = FileScanConfigBuilder::new(store, format.file_source(schema))
                .with_file_groups(groups)
                .with_projection_indices(projection.cloned())?
                .with_limit(limit)
                .build();
            let scan = format.create_physical_plan(state, scan).await?;
            scans.push(self.as_described(state, scan, &wanted, &in_files)?);
        }
        match scans.len() {
            0 => Ok(Arc::new(EmptyExec::new(wanted))),
            1 => Ok(scans.remove(0)),
            _ => UnionExec::try_new(scans),
        }
    }
}

/// The place of a location: Glue has keys as they are, where a URL would have them encoded.
pub(super) fn place(storage: &Storage, location: &str) -> Result<Location> {
    let (scheme, rest) = location.split_once("://").unwrap_or(("s3", location));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    Ok(storage.resolve(&format!("{scheme}://{authority}/"), Path::new("/"))?.join(path))
}

/// Parameters of the table, of its files and of what reads them, the innermost first.
struct Parameters(Vec<BTreeMap<String, String>>);

impl Parameters {
    fn of(table: &Table) -> Self {
        let descriptor = table.storage_descriptor();
        let serde = descriptor.and_then(StorageDescriptor::serde_info).and_then(|serde| serde.parameters());
        let all = [serde, descriptor.and_then(|descriptor| descriptor.parameters()), table.parameters()];
        Self(all.into_iter().flatten().map(|some| some.iter().map(|(name, value)| (name.clone(), value.clone())).collect()).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|some| some.get(name)).map(String::as_str)
    }

    fn byte(&self, name: &str) -> Option<u8> {
        self.get(name).and_then(|value| match value {
            "\\t" => Some(b'\t'),
            value => value.bytes().next(),
        })
    }
}

fn format(descriptor: Option<&StorageDescriptor>, parameters: &Parameters) -> Option<Format> {
    let serde = descriptor?.serde_info()?.serialization_library().unwrap_or_default();
    let class = serde.rsplit('.').next().unwrap_or_default();
    let header = parameters.get("skip.header.line.count").is_some_and(|lines| lines.trim() == "1");
    Some(match class {
        "ParquetHiveSerDe" => Format::Parquet,
        "JsonSerDe" => Format::Json,
        "OpenCSVSerde" => Format::Csv {
            delimiter: parameters.byte("separatorChar").unwrap_or(b','),
            quote: parameters.byte("quoteChar").unwrap_or(b'"'),
            escape: parameters.byte("escapeChar").filter(|escape| Some(*escape) != parameters.byte("quoteChar")),
            header,
            null: None,
        },
        "LazySimpleSerDe" => Format::Csv {
            delimiter: parameters.byte("field.delim").or_else(|| parameters.byte("serialization.format")).unwrap_or(1),
            // It knows no quotes: a byte that no text has takes their place.
            quote: 0,
            escape: parameters.byte("escape.delim"),
            header,
            null: Some("\\N"),
        },
        _ => return None,
    })
}

/// `a%2Fb` → `a/b`.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(code) if first == b'%' => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
