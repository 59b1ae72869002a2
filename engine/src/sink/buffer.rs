//! The rows of one file in memory, until there are enough of them: as the batches they came in, with the rows that count.
//!
//! Rows that go elsewhere are not filtered out but left unnamed, so that each value is copied once, into its place in the
//! file. Only what would waste memory is copied before: scraps of batches, and arrays with much more room than content.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::{interleave, take_arrays};
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;

use super::hash::RowHasher;
use super::order::{Keys, order, ordered, rows};
use super::record::{texts, value};
use crate::table::RowHash;

/// Rows of a batch given to the Parquet writer.
const BATCH_ROWS: usize = 8_192;
/// Bytes of such a batch, as long as a row is smaller: large records make smaller batches.
const BATCH_BYTES: usize = 16 << 20;
/// Fewer rows are a scrap, kept only until there are enough of them to make a batch.
const SCRAP_ROWS: usize = 2_048;

/// Some rows of a batch.
#[derive(Debug)]
struct Chunk {
    columns: Vec<ArrayRef>,
    rows: usize,
    /// The rows that count; all if none are named.
    chosen: Option<Vec<u32>>,
    /// Bytes held in memory for its sake.
    held: usize,
}

/// A table of the run, with the rows of its next file.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    schema: SchemaRef,
    /// The column of the collection.
    collection: Option<usize>,
    /// Those of the collection and the record id, where both are texts: other types have another order.
    keys: Option<(usize, usize)>,
    hasher: RowHasher,
    chunks: Vec<Chunk>,
    scraps: Vec<Chunk>,
    tally: FileTally,
    held: usize,
}

/// What is known of the rows of a file before it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct FileTally {
    pub(super) rows: u64,
    pub(super) hash: RowHash,
    pub(super) collections: BTreeMap<String, u64>,
}

impl Table {
    pub(super) fn new(name: impl Into<String>, schema: SchemaRef) -> Self {
        let (collection, record) = (schema.index_of("collection_id").ok(), schema.index_of("record_id").ok());
        let keys = collection
            .zip(record)
            .filter(|(collection, record)| [collection, record].iter().all(|column| schema.field(**column).data_type().is_string()));
        Self {
            name: name.into(),
            schema,
            collection,
            keys,
            hasher: RowHasher::default(),
            chunks: Vec::new(),
            scraps: Vec::new(),
            tally: FileTally::default(),
            held: 0,
        }
    }

    /// Bytes held for the next file.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Adds the chosen rows of a batch.
    pub(super) fn push(&mut self, columns: Vec<ArrayRef>, row_count: usize, chosen: Option<Vec<u32>>) -> Result<()> {
        let count = chosen.as_ref().map_or(row_count, Vec::len);
        if count == 0 {
            return Ok(());
        }
        self.tally.rows += count as u64;
        if let Some(collection) = self.collection {
            count_collections(&texts(&columns[collection])?, chosen.as_deref(), &mut self.tally.collections);
        }
        let chunk = Chunk::new(columns, row_count, chosen);
        self.held += chunk.held;
        if count >= SCRAP_ROWS {
            return self.keep(chunk);
        }
        self.scraps.push(chunk);
        let (rows, bytes) = self.scraps.iter().fold((0, 0), |(rows, bytes), chunk| (rows + chunk.count(), bytes + chunk.held));
        if rows >= BATCH_ROWS || bytes >= BATCH_BYTES { self.gather_scraps() } else { Ok(()) }
    }

    /// Hashes a chunk and keeps it, or a copy where it holds much more than its rows take.
    fn keep(&mut self, chunk: Chunk) -> Result<()> {
        let hashed = self.hasher.hash(&chunk.columns, chunk.rows, chunk.chosen.as_deref())?;
        self.tally.hash = self.tally.hash.and(hashed.hash);
        let content = hashed.bytes as u64 * chunk.count() as u64 / chunk.rows as u64;
        let chunk = if chunk.held as u64 > 2 * content { self.compact(&[chunk])? } else { chunk };
        self.chunks.push(chunk);
        Ok(())
    }

    /// Copies the scraps into one chunk of just their size.
    fn gather_scraps(&mut self) -> Result<()> {
        let scraps = std::mem::take(&mut self.scraps);
        if scraps.is_empty() {
            return Ok(());
        }
        let chunk = self.compact(&scraps)?;
        let hashed = self.hasher.hash(&chunk.columns, chunk.rows, None)?;
        self.tally.hash = self.tally.hash.and(hashed.hash);
        self.chunks.push(chunk);
        Ok(())
    }

    /// The rows of `chunks` in their order, copied; they are held instead of `chunks`.
    fn compact(&mut self, chunks: &[Chunk]) -> Result<Chunk> {
        let places: Vec<(usize, usize)> = chunks.iter().enumerate().flat_map(|(index, chunk)| chunk.places(index)).collect();
        let compact = Chunk::new(gather(chunks, &places)?, places.len(), None);
        self.held += compact.held;
        self.held -= chunks.iter().map(|chunk| chunk.held).sum::<usize>();
        Ok(compact)
    }

    /// The rows gathered so far, as the batches of a file; the table is empty again.
    pub(super) fn take_file(&mut self) -> Result<Option<(FileTally, FileRows)>> {
        self.gather_scraps()?;
        if self.chunks.is_empty() {
            return Ok(None);
        }
        let chunks = std::mem::take(&mut self.chunks);
        let tally = std::mem::take(&mut self.tally);
        let held = std::mem::take(&mut self.held);
        let mut file = FileRows { schema: Arc::clone(&self.schema), chunks, order: None, sorted: false, next: 0, step: BATCH_ROWS };
        file.step = BATCH_ROWS.min(BATCH_BYTES / (held as u64 / tally.rows).max(1) as usize).max(1);
        if let Some((collection, record)) = self.keys {
            file.sort(collection, record)?;
        }
        Ok(Some((tally, file)))
    }
}

impl Chunk {
    fn new(columns: Vec<ArrayRef>, rows: usize, chosen: Option<Vec<u32>>) -> Self {
        let held = columns.iter().map(|column| column.get_array_memory_size()).sum();
        Self { columns, rows, chosen, held }
    }

    fn count(&self) -> usize {
        self.chosen.as_ref().map_or(self.rows, Vec::len)
    }

    fn places(&self, index: usize) -> impl Iterator<Item = (usize, usize)> {
        rows(self.chosen.as_deref(), self.rows).map(move |row| (index, row))
    }
}

/// The batches of one file, in its order.
#[derive(Debug)]
pub(super) struct FileRows {
    pub(super) schema: SchemaRef,
    chunks: Vec<Chunk>,
    /// Chunk and row of each row; none where the rows are to be written as they lie.
    order: Option<Vec<(usize, usize)>>,
    /// Whether the rows come by collection and record id.
    pub(super) sorted: bool,
    next: usize,
    step: usize,
}

impl FileRows {
    fn sort(&mut self, collection: usize, record: usize) -> Result<()> {
        let columns: Vec<(StringArray, StringArray)> = self
            .chunks
            .iter()
            .map(|chunk| Ok((texts(&chunk.columns[collection])?, texts(&chunk.columns[record])?)))
            .collect::<Result<_>>()?;
        let pairs = columns.iter().zip(&self.chunks);
        let keys: Vec<Keys<'_>> =
            pairs.map(|((collection, record), chunk)| Keys { collection, record, chosen: chunk.chosen.as_deref() }).collect();
        self.order = (!ordered(&keys)).then(|| order(&keys));
        self.sorted = true;
        Ok(())
    }

    fn columns(&mut self) -> Result<Option<Vec<ArrayRef>>> {
        let Some(order) = &self.order else {
            let Some(chunk) = self.chunks.get_mut(self.next) else { return Ok(None) };
            self.next += 1;
            let columns = std::mem::take(&mut chunk.columns);
            return match chunk.chosen.take() {
                None => Ok(Some(columns)),
                Some(chosen) => Ok(Some(take_arrays(&columns, &arrow::array::UInt32Array::from(chosen), None)?)),
            };
        };
        if self.next >= order.len() {
            return Ok(None);
        }
        let places = &order[self.next..order.len().min(self.next + self.step)];
        let columns = gather(&self.chunks, places)?;
        self.next += places.len();
        Ok(Some(columns))
    }
}

impl Iterator for FileRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let columns = self.columns().transpose()?;
        Some(columns.and_then(|columns| Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)))
    }
}

/// The rows at `places`, copied out of the chunks.
fn gather(chunks: &[Chunk], places: &[(usize, usize)]) -> Result<Vec<ArrayRef>> {
    let width = chunks.first().map_or(0, |chunk| chunk.columns.len());
    let column = |index: usize| {
        let arrays: Vec<&dyn Array> = chunks.iter().map(|chunk| chunk.columns[index].as_ref()).collect();
        Ok(interleave(&arrays, places)?)
    };
    (0..width).map(column).collect()
}

/// Adds the chosen rows of each collection; collections come in long runs.
fn count_collections(collections: &StringArray, chosen: Option<&[u32]>, counts: &mut BTreeMap<String, u64>) {
    let mut rows = rows(chosen, collections.len()).peekable();
    while let Some(first) = rows.next() {
        let name = value(collections, first).unwrap_or_default();
        let mut count = 1;
        while rows.next_if(|&row| value(collections, row).unwrap_or_default() == name).is_some() {
            count += 1;
        }
        match counts.get_mut(name) {
            Some(known) => *known += count,
            None => _ = counts.insert(name.to_owned(), count),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn ids_that_are_no_texts_are_left_in_the_order_in_which_they_come() {
        let schema =
            Arc::new(Schema::new(vec![Field::new("collection_id", DataType::Int64, true), Field::new("record_id", DataType::Utf8, true)]));
        let mut table = Table::new("joined", schema);
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![10, 2])), Arc::new(StringArray::from(vec!["a", "b"]))];
        table.push(columns, 2, None).unwrap();
        let (tally, file) = table.take_file().unwrap().unwrap();
        assert!(!file.sorted && tally.collections.contains_key("10"));
        let batches: Vec<RecordBatch> = file.collect::<Result<_>>().unwrap();
        assert_eq!(batches[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().values(), &[10, 2]);
    }

    fn table() -> Table {
        let text = |name| Field::new(name, DataType::Utf8, true);
        Table::new("mapped", Arc::new(Schema::new(vec![text("collection_id"), text("record_id")])))
    }

    fn columns(ids: &[&str]) -> Vec<ArrayRef> {
        vec![Arc::new(StringArray::from(vec!["c"; ids.len()])), Arc::new(StringArray::from(ids.to_vec()))]
    }

    fn written(table: &mut Table) -> (FileTally, Vec<String>) {
        let (tally, file) = table.take_file().unwrap().unwrap();
        assert!(file.sorted);
        let batches: Vec<RecordBatch> = file.map(Result::unwrap).collect();
        let ids = batches.iter().flat_map(|batch| batch.column(1).as_string::<i32>().iter().map(|id| id.unwrap().to_owned())).collect();
        (tally, ids)
    }

    #[test]
    fn chosen_rows_of_scraps_and_slices_come_out_sorted() {
        let mut table = table();
        table.push(columns(&["d", "b", "x"]), 3, Some(vec![0, 1])).unwrap();
        let long = columns(&["z", "a", "c", "y"]);
        table.push(long.iter().map(|column| column.slice(1, 2)).collect(), 2, None).unwrap();
        table.push(columns(&["n"]), 1, Some(vec![])).unwrap();
        let (tally, ids) = written(&mut table);
        assert_eq!(ids, ["a", "b", "c", "d"]);
        assert_eq!((tally.rows, tally.collections["c"]), (4, 4));
        assert!(table.take_file().unwrap().is_none());
        assert_eq!(table.held(), 0);
    }

    #[test]
    fn rows_in_order_are_not_moved() {
        let mut table = table();
        let ids: Vec<String> = (0..3_000).map(|id| format!("{id:05}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let columns = columns(&ids);
        table.push(columns.clone(), 3_000, None).unwrap();
        let (_, mut file) = table.take_file().unwrap().unwrap();
        assert!(file.sorted);
        assert!(Arc::ptr_eq(file.next().unwrap().unwrap().column(1), &columns[1]));
    }

    #[test]
    fn a_slice_of_something_large_is_not_held() {
        let mut table = table();
        let ids: Vec<String> = (0..400_000).map(|id| format!("{id:032}")).collect();
        let large = columns(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        let slice = |at: usize| large.iter().map(|column| column.slice(at, 4_096)).collect::<Vec<_>>();
        for at in [0, 40_960, 20_480] {
            table.push(slice(at), 4_096, None).unwrap();
        }
        assert!(table.held() < 2 << 20, "{}", table.held());
        let (tally, ids) = written(&mut table);
        assert_eq!((tally.rows, ids.len()), (12_288, 12_288));
        assert!(ids.is_sorted());
    }

    #[test]
    fn large_rows_make_small_batches() {
        let mut table = table();
        let large = "x".repeat(1 << 20);
        let ids: Vec<String> = (0..40).rev().map(|id| format!("{id:02}{large}")).collect();
        table.push(columns(&ids.iter().map(String::as_str).collect::<Vec<_>>()), 40, None).unwrap();
        let (_, file) = table.take_file().unwrap().unwrap();
        assert!(file.map(Result::unwrap).all(|batch| batch.num_rows() <= 16));
    }
}
