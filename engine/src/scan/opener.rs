//! One page → batches of its records.
//!
//! A page of ordinary size is fetched whole ([`super::prefetch`]) and decoded at once. A larger one passes through a thread of its own, which
//! waits for its batches to be taken, so that memory stays bounded whatever the size of a page.

use std::io::Read;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray, StructArray, UInt8Array, new_null_array,
};
use arrow::array::{ListBuilder, StringBuilder, StructBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::{Buf, Bytes};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion_datasource::PartitionedFile;
use datafusion_datasource::file_stream::{FileOpenFuture, FileOpener};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::GetResultPayload;
use schemas::problem::Problem;
use schemas::source::{SourceSchema, problem_type};
use tokio::sync::mpsc;

use super::prefetch::{Opened, Pages};
use super::source::KIND;
use crate::error::Error;
use crate::format::{self, Page, PageBytes, PageTally, RecordFormat};
use crate::storage::{page_problem, page_reason};

/// Opens pages of one partition of a scan.
#[derive(Debug)]
pub(super) struct PageOpener {
    pages: Pages,
    columns: Arc<Columns>,
}

/// What the codec gives and what the scan wants of it.
#[derive(Debug)]
struct Columns {
    codec: Box<dyn RecordFormat>,
    /// The scan's file columns, in order.
    schema: SchemaRef,
    /// Position of the [`KIND`] column among them.
    kind: Option<usize>,
    /// The codec was given a column nobody asked for, because it must have one to count rows by.
    counting: bool,
}

impl PageOpener {
    /// An opener that yields the file columns `indices` of the scan: those of the source schema, then [`KIND`].
    pub(super) fn new(pages: Pages, source: &Arc<SourceSchema>, indices: &[usize], batch_rows: usize) -> Result<Self> {
        let all = source.table_schema();
        let kind_index = all.fields().len();
        let kind_field = Arc::new(Field::new(KIND, DataType::UInt8, false));
        let fields: Vec<_> = indices.iter().map(|&index| Arc::clone(all.fields().get(index).unwrap_or(&kind_field))).collect();
        let mut wanted: Vec<usize> = indices.iter().copied().filter(|&index| index < kind_index).collect();
        let counting = wanted.is_empty();
        if counting {
            wanted.push(all.index_of("page_seq")?);
        }
        let codec = format::decoder(source, &wanted, batch_rows)?;
        let kind = indices.iter().position(|&index| index == kind_index);
        let columns = Columns { codec, schema: Arc::new(Schema::new(fields)), kind, counting };
        Ok(Self { pages, columns: Arc::new(columns) })
    }
}

impl FileOpener for PageOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let page = page_of(&file)?;
        let columns = Arc::clone(&self.columns);
        let opened = self.pages.open(&file.object_meta);
        Ok(async move {
            let bytes = match opened.await.map_err(|error| unreadable(&page, &error))? {
                Opened::Whole(bytes) => bytes,
                Opened::Large(payload) => return Ok(streamed(columns, page, payload)),
            };
            let mut batches = Vec::new();
            columns.decode(&page, PageBytes::Whole(bytes), &mut |batch| {
                batches.push(Ok(batch));
                Ok(())
            })?;
            Ok(futures::stream::iter(batches).boxed())
        }
        .boxed())
    }
}

impl Columns {
    fn decode(&self, page: &Page, bytes: PageBytes, emit: format::Emit<'_>) -> crate::Result<()> {
        let tally = self.codec.decode(page, bytes, &mut |batch| {
            let batch = self.dress(&batch);
            emit(batch)
        })?;
        // A run has these among its findings; a query has no other place for them.
        for problem in tally.problems.iter().filter(|_| self.kind.is_none()) {
            tracing::warn!(target: "pacha::page", "{} {}: {}", problem.code, page.path, problem.message);
        }
        if self.kind.is_some() {
            emit(self.end_of_page(page, &tally))?;
        }
        Ok(())
    }

    /// The codec's batch with the columns of the scan.
    fn dress(&self, batch: &RecordBatch) -> RecordBatch {
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = if self.counting { Vec::new() } else { batch.columns().to_vec() };
        if let Some(kind) = self.kind {
            columns.insert(kind, Arc::new(UInt8Array::from_value(0, rows)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).expect("a codec gives the columns of its projection")
    }

    /// The row that ends a page: how many records it gave, and what is wrong with it.
    fn end_of_page(&self, page: &Page, tally: &PageTally) -> RecordBatch {
        let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let columns = self.schema.fields().iter().map(|field| match field.name().as_str() {
            KIND => Arc::new(UInt8Array::from(vec![1])),
            "page" => text(&page.path),
            "collection_id" => text(&page.collection_id),
            "page_seq" => Arc::new(Int32Array::from(vec![i32::try_from(tally.records).unwrap_or(i32::MAX)])),
            "deleted" => Arc::new(BooleanArray::from(vec![false])),
            "problems" => page_problems(tally),
            _ if field.is_nullable() => new_null_array(field.data_type(), 1),
            _ => text(""),
        });
        RecordBatch::try_new(Arc::clone(&self.schema), columns.collect()).expect("every column has one row of its type")
    }
}

fn page_problems(tally: &PageTally) -> ArrayRef {
    let DataType::Struct(fields) = problem_type() else { return new_null_array(&problem_type(), 1) };
    let mut list = ListBuilder::new(StructBuilder::from_fields(fields, tally.problems.len()));
    for problem in &tally.problems {
        let values = list.values();
        for (index, text) in [Some(problem.code), Some(problem.message.as_str()), None].into_iter().enumerate() {
            if let Some(builder) = values.field_builder::<StringBuilder>(index) {
                builder.append_option(text);
            }
        }
        values.append(true);
    }
    list.append(true);
    Arc::new(list.finish())
}

/// The page's partition value, see [`super::source::page_type`].
fn page_of(file: &PartitionedFile) -> Result<Page> {
    let Some(ScalarValue::Struct(page)) = file.partition_values.last() else {
        return Err(DataFusionError::Internal(format!("page {} came without its description", file.object_meta.location)));
    };
    let collection_id = match file.partition_values.first() {
        Some(ScalarValue::Struct(collection)) => string(collection, "id").unwrap_or_default(),
        _ => String::new(),
    };
    let path = string(page, "path").unwrap_or_else(|| file.object_meta.location.to_string());
    let harvested_at =
        match ScalarValue::try_from_array(page.column_by_name("harvested_at").unwrap_or(&new_null_array(&DataType::Int64, 1)), 0)? {
            ScalarValue::Int64(seconds) => seconds,
            _ => None,
        };
    Ok(Page { collection_id, path, source_url: string(page, "source_url"), harvested_at })
}

fn string(values: &StructArray, member: &str) -> Option<String> {
    let column = values.column_by_name(member)?.as_any().downcast_ref::<StringArray>()?;
    column.is_valid(0).then(|| column.value(0).to_owned())
}

fn unreadable(page: &Page, error: &object_store::Error) -> DataFusionError {
    Error::failed(page_problem(&page.path, &page.collection_id, error)).into()
}

/// Decodes on a blocking thread while the bytes arrive; one batch waits while the next is built.
fn streamed(columns: Arc<Columns>, page: Page, payload: GetResultPayload) -> BoxStream<'static, Result<RecordBatch>> {
    let (send, receive) = mpsc::channel(1);
    let mut tasks = tokio::task::JoinSet::new();
    let reader: Box<dyn Read + Send> = match payload {
        // As a stream it would come in pieces of 8 KiB, each by way of another thread.
        GetResultPayload::File(file, _) => Box::new(file),
        GetResultPayload::Stream(bytes) => {
            let (send_bytes, receive_bytes) = mpsc::channel(4);
            tasks.spawn(pump(page.path.clone(), bytes, send_bytes));
            Box::new(ChunkReader { chunks: receive_bytes, current: Bytes::new() })
        }
    };
    tasks.spawn_blocking(move || {
        let mut emit = |batch| send.blocking_send(Ok(batch)).map_err(|_| stopped());
        if let Err(error) = columns.decode(&page, PageBytes::Stream(reader), &mut emit) {
            // The receiver is gone when the query was dropped; then nobody waits for the error either.
            let _ = send.blocking_send(Err(error.into()));
        }
    });
    futures::stream::unfold((receive, tasks), |(mut receive, mut tasks)| async move {
        if let Some(batch) = receive.recv().await {
            return Some((batch, (receive, tasks)));
        }
        // A task that panicked must not pass for the end of the page.
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                return Some((Err(DataFusionError::ExecutionJoin(Box::new(error))), (receive, tasks)));
            }
        }
        None
    })
    .boxed()
}

async fn pump(page: String, mut bytes: BoxStream<'static, object_store::Result<Bytes>>, to: mpsc::Sender<std::io::Result<Bytes>>) {
    while let Some(chunk) = bytes.next().await {
        // Which page it is about says the codec.
        let chunk = chunk.map_err(|error| std::io::Error::other(page_reason(&page, &error).0));
        if to.send(chunk).await.is_err() {
            return;
        }
    }
}

fn stopped() -> Error {
    Error::new(crate::error::Kind::Stopped, Problem::error("PR001", "the query was stopped"))
}

/// Chunks that arrive asynchronously, read from a blocking thread.
struct ChunkReader {
    chunks: mpsc::Receiver<std::io::Result<Bytes>>,
    current: Bytes,
}

impl Read for ChunkReader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::local::LocalFileSystem;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt};

    use super::*;

    const PAGE: &str = r#"<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><ListRecords>
        <record><header><identifier>oai:a</identifier></header></record>
        <record><header><identifier>oai:b</identifier></header></record>
        <record><header><identifier>oai:c</identifier></header></record>
        </ListRecords></OAI-PMH>"#;

    /// The scan's columns `record_id`, `page_seq` and [`KIND`], in batches of two records.
    async fn opener(store: Arc<dyn ObjectStore>) -> PageOpener {
        store.put(&Path::from("page.xml"), PAGE.into()).await.unwrap();
        let source = SourceSchema::shipped("oai_dc").unwrap();
        let schema = source.table_schema();
        let indices = [schema.index_of("record_id").unwrap(), schema.index_of("page_seq").unwrap(), schema.fields().len()];
        PageOpener::new(Pages::on_disk(store), &source, &indices, 2).unwrap()
    }

    async fn streamed_page(opener: &PageOpener) -> Result<Vec<RecordBatch>> {
        let answer = opener.pages.store.get(&Path::from("page.xml")).await.unwrap();
        streamed(Arc::clone(&opener.columns), Page::default(), answer.payload).try_collect().await
    }

    #[tokio::test]
    async fn a_page_that_passes_through_gives_what_a_page_held_whole_gives() {
        let directory = tempfile::tempdir().unwrap();
        let stores: [Arc<dyn ObjectStore>; 2] =
            [Arc::new(LocalFileSystem::new_with_prefix(directory.path()).unwrap()), Arc::new(InMemory::new())];
        for store in stores {
            let opener = opener(store).await;
            let mut whole = Vec::new();
            let decoded = opener.columns.decode(&Page::default(), PageBytes::Whole(PAGE.into()), &mut |batch| {
                whole.push(batch);
                Ok(())
            });
            decoded.unwrap();
            assert_eq!(whole.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 1, 1]);
            assert_eq!(streamed_page(&opener).await.unwrap(), whole);
        }
    }

    #[derive(Debug)]
    struct Failing;

    impl RecordFormat for Failing {
        fn name(&self) -> &'static str {
            "failing"
        }

        fn decode(&self, _: &Page, _: PageBytes, _: format::Emit<'_>) -> crate::Result<PageTally> {
            panic!("a fault of the codec")
        }
    }

    #[tokio::test]
    async fn a_codec_that_panics_is_an_error_and_not_the_end_of_the_page() {
        let mut opener = opener(Arc::new(InMemory::new())).await;
        let columns = Columns { codec: Box::new(Failing), schema: Arc::new(Schema::empty()), kind: None, counting: false };
        opener.columns = Arc::new(columns);
        assert!(matches!(streamed_page(&opener).await, Err(DataFusionError::ExecutionJoin(_))));
    }
}
