//! The pages of a scan ⇄ bytes: one Arrow batch, a row a page.
//!
//! DataFusion's message would carry what is constant for a collection once for each of its pages, each time as an Arrow file
//! of its own: some four kilobytes a page, and a unit has thousands. As columns of one compressed batch it is a hundred bytes.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array, new_empty_array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit, TimestampMicrosecondType, UInt32Type, UInt64Type};
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err};
use datafusion_datasource::PartitionedFile;
use datafusion_datasource::file_groups::FileGroup;
use jiff::Timestamp;
use object_store::ObjectMeta;
use object_store::path::Path;

/// Columns before those of the table's partition values.
const OWN: usize = 6;

/// The groups of a scan; `partitions` are the fields of the partition values.
pub(super) fn encode(groups: &[FileGroup], partitions: &[FieldRef]) -> Result<Vec<u8>> {
    let pages: Vec<(u32, &PartitionedFile)> =
        groups.iter().zip(0..).flat_map(|(group, number)| group.iter().map(move |page| (number, page))).collect();
    let meta = || pages.iter().map(|(_, page)| &page.object_meta);
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(pages.iter().map(|(group, _)| *group))),
        Arc::new(StringArray::from_iter_values(meta().map(|meta| meta.location.as_ref()))),
        Arc::new(UInt64Array::from_iter_values(meta().map(|meta| meta.size))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(meta().map(|meta| meta.last_modified.timestamp_micros()))),
        Arc::new(StringArray::from_iter(meta().map(|meta| meta.e_tag.as_deref()))),
        Arc::new(StringArray::from_iter(meta().map(|meta| meta.version.as_deref()))),
    ];
    for (index, field) in partitions.iter().enumerate() {
        let values = pages.iter().map(|(_, page)| {
            let value = page.partition_values.get(index).cloned();
            value.ok_or_else(|| internal_datafusion_err!("page {} has no {}", page.object_meta.location, field.name()))
        });
        let values: Vec<ScalarValue> = values.collect::<Result<_>>()?;
        let column = if values.is_empty() { new_empty_array(field.data_type()) } else { ScalarValue::iter_to_array(values)? };
        columns.push(column);
    }
    let own = [
        ("group", DataType::UInt32, false),
        ("location", DataType::Utf8, false),
        ("size", DataType::UInt64, false),
        ("modified", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        ("e_tag", DataType::Utf8, true),
        ("version", DataType::Utf8, true),
    ];
    let own = own.into_iter().map(|(name, data_type, nullable)| Arc::new(Field::new(name, data_type, nullable)));
    let schema = Arc::new(Schema::new(own.chain(partitions.iter().cloned()).collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options)?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// What [`encode`] was given.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<FileGroup>> {
    let mut groups: Vec<Vec<PartitionedFile>> = Vec::new();
    for batch in StreamReader::try_new(Cursor::new(bytes), None)? {
        let batch = batch?;
        let mismatched = || internal_datafusion_err!("the pages of a scan are not as they were sent");
        let text = |column: usize| batch.column(column).as_string_opt::<i32>().ok_or_else(mismatched);
        let (location, e_tag, version) = (text(1)?, text(4)?, text(5)?);
        let group = batch.column(0).as_primitive_opt::<UInt32Type>().ok_or_else(mismatched)?;
        let size = batch.column(2).as_primitive_opt::<UInt64Type>().ok_or_else(mismatched)?;
        let modified = batch.column(3).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(mismatched)?;
        for row in 0..batch.num_rows() {
            let written = |column: &StringArray| column.is_valid(row).then(|| column.value(row).to_owned());
            let micros = Timestamp::from_microsecond(modified.value(row)).unwrap_or_default();
            let meta = ObjectMeta {
                location: Path::parse(location.value(row)).map_err(|_| mismatched())?,
                last_modified: std::time::SystemTime::from(micros).into(),
                size: size.value(row),
                e_tag: written(e_tag),
                version: written(version),
            };
            let values = (OWN..batch.num_columns()).map(|column| ScalarValue::try_from_array(batch.column(column), row));
            let values = values.collect::<Result<_>>()?;
            let number = group.value(row) as usize;
            if groups.len() <= number {
                groups.resize_with(number + 1, Vec::new);
            }
            groups[number].push(PartitionedFile::new_from_meta(meta).with_partition_values(values));
        }
    }
    Ok(groups.into_iter().map(FileGroup::new).collect())
}
