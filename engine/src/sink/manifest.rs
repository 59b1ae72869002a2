//! What a sink returns: a row per file, and one summary a partition, which together decide what may be committed.
//!
//! A record's identity travels as 24 bytes, so that the client can find what occurs twice over all partitions without
//! a shuffle of records. They come in rows of a few megabytes, because a cluster bounds its messages.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, UInt64Array, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use schemas::problem::Problem;
use xxhash_rust::xxh3::xxh3_128;

use super::summary::{FindingGroup, Pages, Summary};
use crate::error::{Error, Result};
use crate::table::Counts;
use crate::table::RowHash;

/// Bytes of one record's identity: hash of collection and record id, page number, ordinal in the page.
const ID_BYTES: usize = 24;
/// Identities of one row of the manifest.
const IDS_PER_ROW: usize = 128 << 10;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("task", DataType::Utf8),
        field("table", DataType::Utf8),
        field("path", DataType::Utf8),
        field("rows", DataType::UInt64),
        field("bytes", DataType::UInt64),
        field("row_hash", DataType::Utf8),
        field("collections", DataType::Utf8),
        field("summary", DataType::Utf8),
        field("ids", DataType::Binary),
    ]))
});

/// Columns of the manifest. A row is a file (`path`), a partition's summary (`summary`), or more of its `ids`.
pub fn manifest_schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// A file that was written, not yet committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// The table.
    pub table: String,
    /// Relative to the database.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// Size.
    pub bytes: u64,
    /// Order-insensitive hash of its rows.
    pub row_hash: RowHash,
    /// Rows of each collection; empty for a table without collections.
    pub collections: BTreeMap<String, u64>,
}

/// What all partitions of an attempt returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The files, by path.
    pub files: Vec<ManifestFile>,
    /// The task of each partition that came to its end, where a cluster named it.
    pub tasks: Vec<Option<String>>,
    /// Counts of each collection.
    pub counts: BTreeMap<String, Counts>,
    /// Pages.
    pub pages: Pages,
    /// Findings by severity, code and field.
    pub findings: Vec<FindingGroup>,
    /// Identities of all records, sorted.
    ids: Vec<Identity>,
}

/// Hash, page number, ordinal: big-endian, so that bytes sort as they should.
type Identity = [u8; ID_BYTES];

impl Manifest {
    /// Reads the rows of all partitions.
    ///
    /// # Errors
    /// They were written by another version.
    pub fn from_batches(batches: &[RecordBatch]) -> Result<Self> {
        let mut manifest = Self::default();
        let mut summaries = Vec::new();
        for batch in batches {
            manifest.read(batch, &mut summaries).map_err(|what| malformed(&what))?;
        }
        let Summary { counts, pages, findings } = Summary::merged(summaries);
        manifest.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        manifest.tasks.sort_unstable();
        manifest.ids.sort_unstable();
        Ok(Self { counts, pages, findings, ..manifest })
    }

    fn read(&mut self, batch: &RecordBatch, summaries: &mut Vec<Summary>) -> Result<(), String> {
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("it has no column {name}"));
        let text = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(|| format!("{name} is not text"));
        let number = |name: &str| column(name)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| format!("{name} is not a number"));
        let (tasks, tables, paths) = (text("task")?, text("table")?, text("path")?);
        let (hashes, collections, summary) = (text("row_hash")?, text("collections")?, text("summary")?);
        let (rows, bytes) = (number("rows")?, number("bytes")?);
        let ids = column("ids")?.as_binary_opt::<i32>().ok_or("ids is not binary")?;
        for row in 0..batch.num_rows() {
            if paths.is_valid(row) {
                self.files.push(ManifestFile {
                    table: tables.value(row).to_owned(),
                    path: paths.value(row).to_owned(),
                    rows: rows.value(row),
                    bytes: bytes.value(row),
                    row_hash: hashes.value(row).parse().map_err(|error| format!("row_hash: {error}"))?,
                    collections: json(collections.value(row))?,
                });
            }
            if summary.is_valid(row) {
                self.tasks.push(tasks.is_valid(row).then(|| tasks.value(row).to_owned()));
                summaries.push(json(summary.value(row))?);
            }
            if ids.is_valid(row) {
                let (ids, rest) = ids.value(row).as_chunks::<ID_BYTES>();
                if !rest.is_empty() {
                    return Err(format!("ids end with {} odd bytes", rest.len()));
                }
                self.ids.extend(ids.iter().map(sortable));
            }
        }
        Ok(())
    }

    /// The tasks that its partitions were of.
    pub fn task_names(&self) -> Option<&[Option<String>]> {
        Some(&self.tasks)
    }

    /// Counts of all collections together.
    pub fn totals(&self) -> Counts {
        let mut totals = Counts::default();
        for counts in self.counts.values() {
            totals += *counts;
        }
        totals
    }

    /// Page number and ordinal of each record that occurs again later, sorted. The last occurrence of an id, by page and
    /// then ordinal, is the one that counts.
    pub fn duplicates(&self) -> Vec<(u32, u32)> {
        let mut duplicates = Vec::new();
        for pair in self.ids.windows(2) {
            if pair[0][..16] == pair[1][..16] {
                duplicates.push((number(&pair[0][16..20]), number(&pair[0][20..])));
            }
        }
        duplicates.sort_unstable();
        duplicates
    }
}

/// Page number and ordinal travel little-endian; the hash has no order that matters.
fn sortable(id: &Identity) -> Identity {
    let mut id = *id;
    id[16..20].reverse();
    id[20..].reverse();
    id
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

fn json<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn malformed(what: &str) -> Error {
    let problem = Problem::error("PE610", format!("the manifest of the run cannot be read: {what}"));
    Error::failed(problem.hint("run the same version of pacha on client and executors"))
}

/// Identities of the records of a partition.
#[derive(Debug, Default)]
pub(super) struct Identities {
    bytes: Vec<u8>,
    scratch: Vec<u8>,
}

impl Identities {
    pub(super) fn push(&mut self, collection_id: &str, record_id: &str, page_no: u32, page_seq: u32) {
        self.scratch.clear();
        self.scratch.extend_from_slice(collection_id.as_bytes());
        self.scratch.push(0x1f);
        self.scratch.extend_from_slice(record_id.as_bytes());
        self.bytes.extend_from_slice(&xxh3_128(&self.scratch).to_le_bytes());
        self.bytes.extend_from_slice(&page_no.to_le_bytes());
        self.bytes.extend_from_slice(&page_seq.to_le_bytes());
    }
}

/// The manifest rows of one partition, in batches of bounded size.
///
/// # Errors
/// Never in practice: counts and names are always JSON.
pub(super) fn to_batches(
    task: Option<&str>,
    files: &[ManifestFile],
    summary: &Summary,
    ids: &Identities,
) -> datafusion::error::Result<Vec<RecordBatch>> {
    let mut ids = ids.bytes.chunks(IDS_PER_ROW * ID_BYTES);
    let rows = files.len() + 1;
    let to_json = |error: serde_json::Error| datafusion::error::DataFusionError::External(Box::new(error));
    let collections = files.iter().map(|file| serde_json::to_string(&file.collections)).collect::<Result<Vec<_>, _>>().map_err(to_json)?;
    let summary = serde_json::to_string(summary).map_err(to_json)?;
    let texts = |values: &mut dyn Iterator<Item = Option<String>>| Arc::new(StringArray::from_iter(values)) as ArrayRef;
    let numbers = |values: &mut dyn Iterator<Item = Option<u64>>| Arc::new(UInt64Array::from_iter(values)) as ArrayRef;
    // The summary comes last, and with it the first of the ids.
    let nothing = || std::iter::repeat_n(None, files.len());
    let first = RecordBatch::try_new(
        manifest_schema(),
        vec![
            texts(&mut std::iter::repeat_n(task.map(str::to_owned), rows)),
            texts(&mut files.iter().map(|file| Some(file.table.clone())).chain([None])),
            texts(&mut files.iter().map(|file| Some(file.path.clone())).chain([None])),
            numbers(&mut files.iter().map(|file| Some(file.rows)).chain([None])),
            numbers(&mut files.iter().map(|file| Some(file.bytes)).chain([None])),
            texts(&mut files.iter().map(|file| Some(file.row_hash.to_string())).chain([None])),
            texts(&mut collections.into_iter().map(Some).chain([None])),
            texts(&mut nothing().chain([Some(summary)])),
            Arc::new(BinaryArray::from_iter(std::iter::repeat_n(None, files.len()).chain([Some(ids.next().unwrap_or_default())]))),
        ],
    )?;
    let mut batches = vec![first];
    for more in ids {
        let mut columns: Vec<ArrayRef> = SCHEMA.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
        columns[0] = texts(&mut std::iter::once(task.map(str::to_owned)));
        columns[8] = Arc::new(BinaryArray::from_vec(vec![more]));
        batches.push(RecordBatch::try_new(manifest_schema(), columns)?);
    }
    Ok(batches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(records: &[(&str, &str, u32, u32)]) -> Identities {
        let mut ids = Identities::default();
        for (collection, record, page, seq) in records {
            ids.push(collection, record, *page, *seq);
        }
        ids
    }

    #[test]
    fn all_but_the_last_occurrence_of_an_id_is_a_duplicate() {
        let one = ids(&[("a", "1", 300, 1), ("a", "2", 0, 7), ("a", "1", 2, 9)]);
        let two = ids(&[("b", "1", 1, 1), ("a", "1", 2, 258), ("a", "2", 0, 8)]);
        let mut batches = to_batches(None, &[], &Summary::default(), &one).unwrap();
        batches.extend(to_batches(Some("TID j/1.0/1.0"), &[], &Summary::default(), &two).unwrap());
        let manifest = Manifest::from_batches(&batches).unwrap();
        assert_eq!(manifest.duplicates(), [(0, 7), (2, 9), (2, 258)]);
        assert_eq!(manifest.tasks, [None, Some("TID j/1.0/1.0".to_owned())]);
    }

    #[test]
    fn a_collection_and_a_record_id_do_not_run_together() {
        let manifest = ids(&[("a", "bc", 0, 0), ("ab", "c", 0, 1)]);
        let batches = to_batches(None, &[], &Summary::default(), &manifest).unwrap();
        assert!(Manifest::from_batches(&batches).unwrap().duplicates().is_empty());
    }

    #[test]
    fn many_ids_come_in_batches_that_fit_a_message() {
        let mut many = Identities::default();
        for record in 0..300_000 {
            many.push("c", &format!("{}", record % 299_999), record / 100, record % 100);
        }
        let batches = to_batches(None, &[], &Summary::default(), &many).unwrap();
        assert_eq!(batches.len(), 3);
        assert!(batches.iter().all(|batch| batch.get_array_memory_size() < 8 << 20));
        let manifest = Manifest::from_batches(&batches).unwrap();
        assert_eq!(manifest.duplicates(), [(0, 0)]);
        assert_eq!(manifest.tasks.len(), 1);
    }

    #[test]
    fn a_manifest_that_is_not_ours_is_an_error_with_a_hint() {
        let schema = Arc::new(Schema::new(vec![Field::new("count", DataType::Utf8, true)]));
        let error = Manifest::from_batches(&[RecordBatch::new_empty(schema)]).unwrap_err().to_string();
        assert!(error.starts_with("PE610") && error.contains("hint: "), "{error}");
    }
}
