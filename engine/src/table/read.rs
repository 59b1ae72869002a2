//! A table at a version, as DataFusion scans it.
//!
//! The commit log knows every file with its size, rows and collections, so nothing is listed and no footer is read to
//! plan: a count needs no file at all, and a query for some collections opens theirs only. The scan itself is
//! DataFusion's own Parquet source, which a cluster takes apart as it does any other.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::commit::DataFile;
use super::log::Database;
use super::snapshot::{Snapshot, TableState};
use crate::error::Result;

/// The column by which files are left out.
const COLLECTION: &str = "collection_id";

/// One table of a snapshot. It stays what it is while newer versions are published.
#[derive(Debug, Clone)]
pub struct TableVersion {
    database: Database,
    snapshot: Arc<Snapshot>,
    name: String,
    schema: SchemaRef,
}

impl TableVersion {
    /// The table of this name, or `None` if the snapshot has none.
    ///
    /// # Errors
    /// A column has a type that this version of pacha does not know.
    pub fn new(database: &Database, snapshot: &Arc<Snapshot>, name: &str) -> Result<Option<Self>> {
        let Some(table) = snapshot.tables.get(name) else { return Ok(None) };
        let schema = table.schema.to_arrow()?;
        Ok(Some(Self { database: database.clone(), snapshot: Arc::clone(snapshot), name: name.into(), schema }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The version of the database, with all its tables.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Columns and files.
    pub fn state(&self) -> &TableState {
        &self.snapshot.tables[&self.name]
    }

    fn file(&self, file: &DataFile) -> PartitionedFile {
        let location = self.database.data(&self.name).join(&file.path).prefix;
        let rows = usize::try_from(file.rows).map_or(Precision::Absent, Precision::Exact);
        let statistics = Statistics::new_unknown(&self.schema).with_num_rows(rows);
        // Its time is left at 1970: a file never changes, so any constant serves the cache of footers, which compares it.
        let mut scanned = PartitionedFile::new("", file.bytes).with_statistics(Arc::new(statistics));
        scanned.object_meta.location = location;
        scanned
    }
}

#[async_trait]
impl TableProvider for TableVersion {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        let rows = usize::try_from(self.state().rows()).ok()?;
        Some(Statistics::new_unknown(&self.schema).with_num_rows(Precision::Exact(rows)))
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let wanted = filters.iter().filter_map(collections).reduce(|one, other| &one & &other);
        let wanted = |file: &&DataFile| match &wanted {
            Some(wanted) => file.collections.is_empty() || file.collections.iter().any(|id| wanted.contains(id)),
            None => true,
        };
        let files: Vec<PartitionedFile> = self.state().files.iter().filter(wanted).map(|file| self.file(file)).collect();
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let rows = files.iter().filter_map(|file| file.statistics.as_ref()).fold(Precision::Exact(0), |sum, one| sum.add(&one.num_rows));
        let statistics = Statistics::new_unknown(&self.schema).with_num_rows(rows);
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let format = ParquetFormat::new().with_options(state.default_table_options().parquet);
        let source = format.file_source(Arc::clone(&self.schema).into());
        let scan = FileScanConfigBuilder::new(self.database.location().store_url(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        format.create_physical_plan(state, scan).await
    }
}

/// The collections that a filter lets through, if it is about them: `collection_id = 'a'`, `collection_id IN ('a', 'b')`,
/// and these under AND and OR. `None` is not known, hence all.
fn collections(filter: &Expr) -> Option<BTreeSet<String>> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Eq if is_collection(left) => text(right).map(|id| [id].into()),
            Operator::Eq if is_collection(right) => text(left).map(|id| [id].into()),
            Operator::And => match (collections(left), collections(right)) {
                (Some(one), Some(other)) => Some(&one & &other),
                (one, other) => one.or(other),
            },
            Operator::Or => Some(&collections(left)? | &collections(right)?),
            _ => None,
        },
        Expr::InList(list) if !list.negated && is_collection(&list.expr) => list.list.iter().map(text).collect(),
        _ => None,
    }
}

fn is_collection(expression: &Expr) -> bool {
    matches!(expression, Expr::Column(column) if column.name == COLLECTION)
}

fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text), _) => text.clone(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::storage::{Location, Storage};
    use crate::table::{Columns, Operation, Proposal, RowHash, TableChange};

    async fn write(place: &Location, ids: &[&str], numbers: &[i64]) -> DataFile {
        let ids_column: ArrayRef = Arc::new(StringArray::from(ids.to_vec()));
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        let batch = RecordBatch::try_from_iter([(COLLECTION, ids_column), ("n", numbers)]).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let path = format!("run/{}.parquet", uuid::Uuid::now_v7());
        let size = bytes.len() as u64;
        place.join(&path).write(bytes).await.unwrap();
        let collections = ids.iter().map(|id| (*id).to_owned()).collect();
        DataFile { path, rows: ids.len() as u64, bytes: size, row_hash: RowHash(0), collections }
    }

    /// A context with the table `t` of a warehouse: collection 1 and 2 in a file, 3 in another.
    #[expect(clippy::disallowed_methods, reason = "the product's own session has more than this test is about")]
    async fn context() -> SessionContext {
        let storage = Arc::new(Storage::new());
        let database = Database::open(storage.resolve("memory://warehouse/db", Path::new("/")).unwrap());
        let data = database.data("t");
        let add = vec![write(&data, &["1", "2"], &[10, 20]).await, write(&data, &["3"], &[30]).await];
        let schema = arrow::datatypes::Schema::new(vec![
            arrow::datatypes::Field::new(COLLECTION, arrow::datatypes::DataType::Utf8, true),
            arrow::datatypes::Field::new("n", arrow::datatypes::DataType::Int64, true),
            arrow::datatypes::Field::new("added_later", arrow::datatypes::DataType::Utf8, true),
        ]);
        let change = TableChange { operation: Operation::Replace, schema: Columns::new(&schema).unwrap(), add, remove: Vec::new() };
        let mut proposal = Proposal::new("run", "nightly");
        proposal.tables.insert("t".into(), change);
        database.commit(&Snapshot::default(), proposal).await.unwrap();
        let runtime = RuntimeEnvBuilder::new().with_object_store_registry(storage).build_arc().unwrap();
        let context = SessionContext::new_with_config_rt(SessionConfig::new().with_target_partitions(2), runtime);
        let snapshot = Arc::new(database.snapshot(None).await.unwrap());
        context.register_table("t", Arc::new(TableVersion::new(&database, &snapshot, "t").unwrap().unwrap())).unwrap();
        context
    }

    async fn plan(context: &SessionContext, sql: &str) -> String {
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        displayable(plan.as_ref()).indent(false).to_string()
    }

    #[tokio::test]
    async fn a_table_is_read_with_columns_that_its_files_do_not_have_yet() {
        let context = context().await;
        let batches = context.sql("SELECT n, added_later FROM t WHERE n > 10 ORDER BY n").await.unwrap().collect().await.unwrap();
        let expected = "+----+-------------+\n| n  | added_later |\n+----+-------------+\n| 20 |             |\n| 30 |             |\n+----+-------------+";
        assert_eq!(pretty_format_batches(&batches).unwrap().to_string(), expected);
    }

    #[tokio::test]
    async fn a_query_for_some_collections_opens_their_files_only() {
        let context = context().await;
        let files = async |sql: &str| plan(&context, sql).await.matches(".parquet").count();
        assert_eq!(files("SELECT * FROM t").await, 2);
        assert_eq!(files("SELECT * FROM t WHERE collection_id = '3'").await, 1);
        assert_eq!(files("SELECT * FROM t WHERE collection_id IN ('2', '9') AND n > 0").await, 1);
        assert_eq!(files("SELECT * FROM t WHERE collection_id = '1' OR collection_id = '3'").await, 2);
        assert_eq!(files("SELECT * FROM t WHERE collection_id = '1' OR n = 30").await, 2);
        assert_eq!(files("SELECT * FROM t WHERE collection_id <> '1'").await, 2);
        assert_eq!(files("SELECT * FROM t WHERE collection_id = 'nobody'").await, 0);
        let batches = context.sql("SELECT n FROM t WHERE '2' = collection_id").await.unwrap().collect().await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    }

    #[tokio::test]
    async fn a_count_reads_no_file() {
        let plan = plan(&context().await, "SELECT count(*) FROM t").await;
        assert!(!plan.contains("DataSourceExec"), "{plan}");
    }
}
