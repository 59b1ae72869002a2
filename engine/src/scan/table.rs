//! The `TableProvider` over pages of one or many collections of the same source schema.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, StructArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_datasource::PartitionedFile;
use datafusion_datasource::file_groups::FileGroup;
use datafusion_datasource::file_scan_config::FileScanConfigBuilder;
use datafusion_datasource::source::DataSourceExec;
use schemas::source::SourceSchema;

use super::pin::{PinnedCollection, PinnedPage};
use super::source::{HarvestSource, KIND, PAGE, page_type};
use crate::storage::remote;

/// Partition column with what the project says of the collection: `struct<id, title, institution, <values>…>`.
pub const COLLECTION: &str = "collection";
/// Partition column with the target values that fill empty fields: `struct<<field>…>`.
pub const FILL: &str = "_fill";
/// Partition column with the target values that replace fields: `struct<<field>…>`.
pub const OVERWRITE: &str = "_overwrite";

/// Which columns a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Those of the vernacular table, and `collection`: for ad-hoc SQL.
    Records,
    /// Also what a run needs to account for every record.
    Run,
}

/// Pages as a table.
pub struct HarvestTable {
    scan: HarvestSource,
    schema: SchemaRef,
    store: ObjectStoreUrl,
    pages: Vec<PartitionedFile>,
}

impl fmt::Debug for HarvestTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HarvestTable {{ source: {}, pages: {} }}", self.scan.source_schema().name, self.pages.len())
    }
}

impl HarvestTable {
    /// A table over the pages of `collections`, in their order. All pages are in one store.
    pub fn new(source: &Arc<SourceSchema>, store: ObjectStoreUrl, collections: &[PinnedCollection], view: View) -> Self {
        let constants = Constants::of(collections);
        let mut partitions: Vec<Arc<Field>> = constants.fields();
        partitions.push(Arc::new(Field::new(PAGE, page_type(), false)));
        let scan = HarvestSource::new(Arc::clone(source), partitions);
        let mut pages = Vec::new();
        for collection in collections {
            let values = constants.values(collection);
            for page in &collection.pages {
                let mut values = values.clone();
                values.push(page_value(page, pages.len()));
                pages.push(PartitionedFile::new_from_meta(page.meta.clone()).with_partition_values(values));
            }
        }
        let schema = visible(scan_schema(&scan), view);
        Self { scan, schema, store, pages }
    }

    /// Pages in order, cut where the bytes divide evenly, so that a group holds few collections and its output is sorted.
    fn groups(&self, partitions: usize) -> Vec<FileGroup> {
        let total: u64 = self.pages.iter().map(|page| page.object_meta.size.max(1)).sum();
        let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new(); partitions.max(1)];
        let mut seen = 0;
        for page in &self.pages {
            let middle = seen + page.object_meta.size / 2;
            let group = (u128::from(middle) * groups.len() as u128 / u128::from(total.max(1))) as usize;
            seen += page.object_meta.size.max(1);
            let last = groups.len() - 1;
            groups[group.min(last)].push(page.clone());
        }
        groups.into_iter().filter(|group| !group.is_empty()).map(FileGroup::new).collect()
    }
}

#[async_trait]
impl TableProvider for HarvestTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = scan_schema(&self.scan);
        let position = |index: usize| all.index_of(self.schema.field(index).name());
        let indices: Vec<usize> = match projection {
            Some(wanted) => wanted.iter().map(|&index| position(index)).collect::<Result<_, _>>()?,
            None => (0..self.schema.fields().len()).map(position).collect::<Result<_, _>>()?,
        };
        let conf = FileScanConfigBuilder::new(self.store.clone(), Arc::new(self.scan.clone()))
            .with_file_groups(self.groups(state.config().target_partitions()))
            .with_projection_indices(Some(indices))?
            // Partitions take pages from one another, which spoils what was asked for ahead of a network.
            .with_preserve_order(remote(self.store.as_ref()))
            .build();
        Ok(coalesced(DataSourceExec::from_data_source(conf), state.config().batch_size()))
    }
}

/// A page has a hundred records or so; what comes after works best on thousands at a time.
#[expect(
    deprecated,
    reason = "operators of DataFusion coalesce on their own now, but a projection does not, and this node travels to a cluster"
)]
fn coalesced(scan: Arc<dyn ExecutionPlan>, rows: usize) -> Arc<dyn ExecutionPlan> {
    Arc::new(datafusion::physical_plan::coalesce_batches::CoalesceBatchesExec::new(scan, rows))
}

fn scan_schema(scan: &HarvestSource) -> &SchemaRef {
    use datafusion_datasource::file::FileSource;
    scan.table_schema().table_schema()
}

fn visible(all: &SchemaRef, view: View) -> SchemaRef {
    let hidden = |name: &str| [KIND, PAGE, FILL, OVERWRITE].contains(&name);
    let fields: Vec<_> = all.fields().iter().filter(|field| view == View::Run || !hidden(field.name())).cloned().collect();
    Arc::new(Schema::new(fields))
}

fn page_value(page: &PinnedPage, no: usize) -> ScalarValue {
    let DataType::Struct(fields) = page_type() else { return ScalarValue::Null };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from(vec![u32::try_from(no).unwrap_or(u32::MAX)])),
        Arc::new(StringArray::from(vec![page.path.as_str()])),
        Arc::new(StringArray::from(vec![page.source_url.as_deref()])),
        Arc::new(Int64Array::from(vec![page.harvested_at])),
    ];
    ScalarValue::Struct(Arc::new(StructArray::new(fields, columns, None)))
}

/// The struct columns that are constant for a collection; their members are those that any collection of the scan has.
struct Constants {
    groups: Vec<(&'static str, Fields)>,
}

impl Constants {
    fn of(collections: &[PinnedCollection]) -> Self {
        let members = |pick: fn(&PinnedCollection) -> &Vec<(String, ScalarValue)>| {
            let mut fields: Vec<Field> = Vec::new();
            for (name, value) in collections.iter().flat_map(pick) {
                match fields.iter_mut().find(|field| field.name() == name) {
                    // One value in one collection and a list in another: a list for both.
                    Some(field) if value.data_type().is_nested() => *field = Field::new(name, value.data_type(), true),
                    Some(_) => {}
                    None => fields.push(Field::new(name, value.data_type(), true)),
                }
            }
            Fields::from(fields)
        };
        let groups = [(COLLECTION, members(|c| &c.values)), (FILL, members(|c| &c.fill)), (OVERWRITE, members(|c| &c.overwrite))];
        Self { groups: groups.into_iter().filter(|(name, fields)| *name == COLLECTION || !fields.is_empty()).collect() }
    }

    fn fields(&self) -> Vec<Arc<Field>> {
        self.groups.iter().map(|(name, fields)| Arc::new(Field::new(*name, DataType::Struct(fields.clone()), true))).collect()
    }

    fn values(&self, collection: &PinnedCollection) -> Vec<ScalarValue> {
        let of = |name: &str| match name {
            FILL => &collection.fill,
            OVERWRITE => &collection.overwrite,
            _ => &collection.values,
        };
        self.groups.iter().map(|(name, fields)| constant(fields, of(name))).collect()
    }
}

fn constant(fields: &Fields, values: &[(String, ScalarValue)]) -> ScalarValue {
    let columns: Vec<ArrayRef> = fields
        .iter()
        .map(|field| {
            let given = values.iter().find(|(name, _)| name == field.name()).map(|(_, value)| value);
            let value = match given {
                Some(one) if !one.data_type().is_nested() && field.data_type().is_nested() && !one.is_null() => {
                    ScalarValue::List(ScalarValue::new_list(std::slice::from_ref(one), &one.data_type(), true)).to_array().ok()
                }
                Some(value) if &value.data_type() == field.data_type() => value.to_array().ok(),
                _ => None,
            };
            value.unwrap_or_else(|| arrow::array::new_null_array(field.data_type(), 1))
        })
        .collect();
    if fields.is_empty() {
        return ScalarValue::Struct(Arc::new(StructArray::new_empty_fields(1, None)));
    }
    ScalarValue::Struct(Arc::new(StructArray::new(fields.clone(), columns, None)))
}
