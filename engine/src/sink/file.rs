//! One Parquet file: encoded batch by batch, handed to the store in parts, and either whole or not there.
//!
//! A file of one row group, as most are, is put in one request: its bytes are in memory anyway until the group ends. A larger
//! one is a multipart upload, which is aborted when writing fails or is given up, as nobody else would remove its parts.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::metrics::Time;
use object_store::{ObjectStoreExt, WriteMultipart};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use schemas::problem::Problem;
use uuid::Uuid;

use super::buffer::FileRows;
use super::spec::SinkSpec;
use crate::error::Error;
use crate::storage::Location;

/// Bytes of one part of an upload.
const PART_BYTES: usize = 8 << 20;
/// Parts under way at a time.
const PARTS: usize = 2;
/// Rows of a row group: small enough to prune and to read in parallel.
const ROW_GROUP_ROWS: usize = 128 << 10;

/// Where the files of a run go, and how they are encoded.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    database: Location,
    run_id: String,
    compression: Compression,
}

/// A file that is there.
#[derive(Debug)]
pub(super) struct Written {
    /// Relative to the database.
    pub(super) path: String,
    pub(super) bytes: u64,
}

impl Destination {
    pub(super) fn of(spec: &SinkSpec, context: &TaskContext) -> Result<Self> {
        // The session's own store: it has the session's credentials, and on an executor the executor's.
        let database = Location::parse(&spec.database, Path::new("/"), |url| context.runtime_env().object_store_registry.get_store(url))?;
        let level = ZstdLevel::try_new(spec.compression_level).map_err(|error| {
            let problem = Problem::error("PS512", format!("no compression level {}: {error}", spec.compression_level));
            Error::configuration(problem.hint("choose a level from 1, fast, to 22, small"))
        })?;
        Ok(Self { database, run_id: spec.run_id.clone(), compression: Compression::ZSTD(level) })
    }

    /// Writes a file of a table under a name that nobody has used. `encoding` is the time that is not waiting.
    pub(super) async fn write(&self, table: &str, rows: FileRows, encoding: &Time) -> Result<Written> {
        let path = format!("{table}/data/{}/{}.parquet", self.run_id, Uuid::now_v7());
        let mut upload = Upload { destination: self, place: self.database.join(&path), parts: None };
        match upload.write(rows, encoding).await {
            Ok(bytes) => Ok(Written { path, bytes }),
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    fn properties(&self, schema: &SchemaRef, sorted: bool) -> Result<WriterProperties> {
        let mut properties = WriterProperties::builder()
            .set_compression(self.compression)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_created_by(format!("pachamama {}", env!("CARGO_PKG_VERSION")));
        // Nearly every row has its own: a dictionary would be built only to be thrown away. Sorted, they share beginnings.
        for unique in ["record_id", "harvest_id"].into_iter().filter(|name| sorted && text(schema, name)) {
            let column = ColumnPath::from(unique);
            properties =
                properties.set_column_dictionary_enabled(column.clone(), false).set_column_encoding(column, Encoding::DELTA_BYTE_ARRAY);
        }
        if sorted {
            properties = properties.set_sorting_columns(Some(sorting_columns(schema)?));
        }
        Ok(properties.build())
    }
}

/// A file on its way to the store.
#[derive(Debug)]
struct Upload<'a> {
    destination: &'a Destination,
    place: Location,
    /// The upload, once a row group has ended and the file goes on.
    parts: Option<WriteMultipart>,
}

impl Upload<'_> {
    async fn write(&mut self, rows: FileRows, encoding: &Time) -> Result<u64> {
        let properties = self.destination.properties(&rows.schema, rows.sorted)?;
        let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&rows.schema), Some(properties))?;
        for batch in rows {
            let timer = encoding.timer();
            writer.write(&batch?)?;
            timer.done();
            if writer.inner().len() >= PART_BYTES {
                let part = std::mem::take(writer.inner_mut());
                self.send(part).await?;
            }
        }
        let timer = encoding.timer();
        writer.finish()?;
        let bytes = writer.bytes_written() as u64;
        let rest = std::mem::take(writer.inner_mut());
        timer.done();
        self.finish(rest, bytes).await?;
        Ok(bytes)
    }

    async fn send(&mut self, part: Vec<u8>) -> Result<()> {
        let Self { place, parts, .. } = self;
        let failed = |error| DataFusionError::from(place.failed("write", &error));
        let upload = match parts {
            Some(upload) => upload,
            None => {
                let upload = place.store.put_multipart(&place.prefix).await.map_err(failed)?;
                parts.insert(WriteMultipart::new_with_chunk_size(upload, PART_BYTES))
            }
        };
        upload.wait_for_capacity(PARTS).await.map_err(failed)?;
        upload.put(Bytes::from(part));
        Ok(())
    }

    async fn finish(&mut self, rest: Vec<u8>, bytes: u64) -> Result<()> {
        let Self { place, parts, .. } = self;
        let failed = |error| DataFusionError::from(place.failed("write", &error));
        match parts {
            // Until this has succeeded the upload stays ours to abort.
            Some(upload) => {
                upload.wait_for_capacity(PARTS).await.map_err(failed)?;
                upload.put(Bytes::from(rest));
                upload.wait_for_capacity(0).await.map_err(failed)?;
            }
            None => _ = place.store.put(&place.prefix, rest.into()).await.map_err(failed)?,
        }
        let Some(upload) = parts.take() else { return Ok(()) };
        let Err(error) = upload.finish().await else { return Ok(()) };
        // Where the answer to its end was lost, the client's second try is told that there is no such upload. Nobody else has
        // the name: what is there, and is as large, is ours.
        match place.store.head(&place.prefix).await {
            Ok(there) if there.size == bytes => Ok(()),
            _ => Err(failed(error)),
        }
    }

    async fn abort(&mut self) {
        if let Some(upload) = self.parts.take()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(place = %self.place, %error, "an upload that failed could not be taken back");
        }
    }
}

impl Drop for Upload<'_> {
    /// The stream was given up in the middle of a file: the abort needs the store, so it goes on without us.
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.parts.take(), tokio::runtime::Handle::try_current()) {
            drop(runtime.spawn(upload.abort()));
        }
    }
}

fn text(schema: &SchemaRef, name: &str) -> bool {
    schema.field_with_name(name).is_ok_and(|field| field.data_type().is_string())
}

/// The leaf columns of collection and record id.
fn sorting_columns(schema: &SchemaRef) -> Result<Vec<SortingColumn>> {
    let leaves = ArrowSchemaConverter::new().convert(schema)?;
    let leaf = |name: &str| leaves.columns().iter().position(|leaf| leaf.path().parts() == [name]);
    let columns = ["collection_id", "record_id"].into_iter().filter_map(leaf);
    Ok(columns.map(|leaf| SortingColumn { column_idx: leaf as i32, descending: false, nulls_first: true }).collect())
}
