//! Pages as a file source: what DataFusion (and Ballista) see of a harvest scan.
//!
//! DataFusion's `FileScanConfig` carries the file groups; this adds the source schema, which is all an executor needs
//! to decode a page. Plain column selections are pushed down, so that only those columns are decoded; expressions stay
//! above the scan, where they run once per batch instead of being planned anew for every page.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, apply_expression_roots};
use datafusion_datasource::TableSchema;
use datafusion_datasource::file::FileSource;
use datafusion_datasource::file_scan_config::FileScanConfig;
use datafusion_datasource::file_stream::FileOpener;
use datafusion_datasource::projection::{ProjectionOpener, SplitProjection};
use object_store::ObjectStore;
use schemas::source::SourceSchema;

use super::opener::PageOpener;
use super::prefetch::Pages;

/// File column after those of the source schema: 0 for a record, 1 for the row that ends a page. Decoded only where asked
/// for; without it no such rows exist.
pub const KIND: &str = "_kind";
/// Partition column: which page, and what is known of its fetch.
pub const PAGE: &str = "_page";

/// `struct<no, path, source_url, harvested_at>`.
pub fn page_type() -> DataType {
    DataType::Struct(Fields::from(vec![
        Field::new("no", DataType::UInt32, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("source_url", DataType::Utf8, true),
        Field::new("harvested_at", DataType::Int64, true),
    ]))
}

/// A scan of pages of one source schema.
#[derive(Debug, Clone)]
pub struct HarvestSource {
    source: Arc<SourceSchema>,
    schema: TableSchema,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl HarvestSource {
    /// A scan that yields every column. `partitions` are constant per page; the last is [`PAGE`].
    pub fn new(source: Arc<SourceSchema>, partitions: Vec<Arc<Field>>) -> Self {
        let mut fields: Vec<Arc<Field>> = source.table_schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(KIND, DataType::UInt8, false)));
        let schema = TableSchema::builder(Arc::new(Schema::new(fields))).with_table_partition_cols(partitions).build();
        Self::from_table_schema(source, schema)
    }

    /// A scan whose table schema is known already, as on an executor.
    pub fn from_table_schema(source: Arc<SourceSchema>, schema: TableSchema) -> Self {
        let projection = SplitProjection::unprojected(&schema);
        Self { source, projection, schema, batch_rows: 8192, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// How the pages are decoded.
    pub fn source_schema(&self) -> &Arc<SourceSchema> {
        &self.source
    }
}

impl FileSource for HarvestSource {
    fn create_file_opener(&self, store: Arc<dyn ObjectStore>, scan: &FileScanConfig, partition: usize) -> Result<Arc<dyn FileOpener>> {
        let pages = Pages::new(store, scan, partition);
        let opener = PageOpener::new(pages, &self.source, &self.projection.file_indices, self.batch_rows)?;
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), self.schema.file_schema())
    }

    fn table_schema(&self) -> &TableSchema {
        &self.schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_rows: batch_size, ..self.clone() })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &'static str {
        "harvest"
    }

    fn fmt_extra(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, ", source={}", self.source.name)
    }

    fn supports_repartitioning(&self) -> bool {
        false // a page is decoded from its first byte to its last
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        if !projection.iter().all(|column| column.expr.downcast_ref::<Column>().is_some()) {
            return Ok(None);
        }
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.schema.file_schema(), &merged);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn apply_expressions(&self, f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), f)
    }
}
