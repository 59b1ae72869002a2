//! The files of one version of a table, in a location of their own: what readers see who list a prefix.
//!
//! A version's files may lie in several run folders, beside files of other versions and beside what a dead task still
//! writes. So they are copied, by the store itself, into `<table>/published/<version>/`, where nothing else ever writes; and
//! only when the location holds exactly the version is the catalog told. A copy that was broken off is finished by the next.
//!
//! A reader of Glue holds the location that Glue shows now, or one that was shown until a moment ago: a query that was
//! planned before the swap lists and reads the old one to its end. So `published/` may be cleared of a version that is
//! neither the one Glue shows nor was replaced less than 24 hours ago; a version is replaced when the next one that changed
//! the table was published, which is not before that one was committed.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::partition;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use schemas::problem::Problem;

use super::entry::{COLLECTION, folder};
use crate::error::{Error, Result};
use crate::storage::Location;
use crate::table::{DataFile, TableState};

/// Files copied at a time.
const COPIES: usize = 16;
/// Files taken apart at a time: each is in memory as a whole.
const SPLITS: usize = 2;

/// Name below a location → bytes.
type Files = BTreeMap<String, u64>;

/// Makes `place` hold exactly the files of `state`, whose own are below `data`.
///
/// # Errors
/// A file cannot be copied, or the location does not hold what it should after that.
pub(super) async fn fill(data: &Location, state: &TableState, place: &Location, by_collection: bool) -> Result<()> {
    let there = list(place).await?;
    let (mut copies, mut mixed): (Vec<(&DataFile, String)>, Vec<&DataFile>) = (Vec::new(), Vec::new());
    for file in &state.files {
        match &file.collections[..] {
            _ if !by_collection => copies.push((file, flat(&file.path))),
            [id] => copies.push((file, format!("{}/{}", folder(id), flat(&file.path)))),
            _ => mixed.push(file),
        }
    }
    let mut expected: Files = copies.iter().map(|(file, name)| (name.clone(), file.bytes)).collect();
    // An object is there as a whole or not at all, so parts that have their names are done.
    mixed.retain(|file| {
        let names: Vec<String> = file.collections.iter().map(|id| format!("{}/{}", folder(id), flat(&file.path))).collect();
        let done = !names.is_empty() && names.iter().all(|name| there.contains_key(name));
        expected.extend(names.into_iter().filter_map(|name| done.then(|| (name.clone(), there[&name]))));
        !done
    });
    let missing = copies.into_iter().filter(|(file, name)| there.get(name) != Some(&file.bytes));
    let copied = missing.map(|(file, name)| copy(data.join(&file.path), place.join(&name)));
    stream::iter(copied.collect::<Vec<_>>()).buffer_unordered(COPIES).try_collect::<()>().await?;
    let parts = mixed.into_iter().map(|file| take_apart(data.join(&file.path), file, place));
    let parts: Vec<Files> = stream::iter(parts.collect::<Vec<_>>()).buffer_unordered(SPLITS).try_collect().await?;
    expected.extend(parts.into_iter().flatten());
    settle(place, &expected).await
}

/// Removes what is not of the version, and looks whether all that is of it is there.
async fn settle(place: &Location, expected: &Files) -> Result<()> {
    let mut found = list(place).await?;
    let strays: Vec<String> = found.keys().filter(|name| !expected.contains_key(*name)).cloned().collect();
    for name in strays {
        let stray = place.join(&name);
        match stray.store.delete(&stray.prefix).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => found.remove(&name),
            Err(error) => return Err(stray.failed("delete", &error)),
        };
    }
    if found == *expected {
        return Ok(());
    }
    let wrong = expected.iter().find(|(name, bytes)| found.get(*name) != Some(bytes));
    let name = wrong.map_or("", |(name, _)| name.as_str());
    let message = format!("the copy for readers of Glue is not the version: {} is not as it was written", place.join(name).full());
    Err(Error::failed(Problem::error("PS571", message).hint("Glue still shows the version before; copy again with `pacha catalog repair`")))
}

async fn copy(from: Location, to: Location) -> Result<()> {
    from.store.copy(&from.prefix, &to.prefix).await.map_err(|error| from.failed("copy", &error))
}

/// Writes the rows of each collection of a file into a file of their own.
async fn take_apart(from: Location, file: &DataFile, place: &Location) -> Result<Files> {
    let Some(bytes) = from.read().await? else {
        return Err(Error::failed(
            Problem::error("PS502", format!("cannot read {}: there is no such file", from.full()))
                .hint("the newest version names it: restore it from a backup, or roll back"),
        ));
    };
    let split = tokio::task::spawn_blocking(move || split(bytes)).await;
    let (parts, rows) = match split {
        Ok(Ok(split)) => split,
        Ok(Err(why)) => return Err(unreadable(&from, &why)),
        Err(error) => return Err(unreadable(&from, &error.to_string())),
    };
    if rows != file.rows {
        return Err(unreadable(&from, &format!("it has {rows} rows, and the log says {}", file.rows)));
    }
    let mut written = Files::new();
    for (id, bytes) in parts {
        let name = format!("{}/{}", folder(&id), flat(&file.path));
        written.insert(name.clone(), bytes.len() as u64);
        place.join(&name).write(bytes).await?;
    }
    Ok(written)
}

/// A Parquet file for each collection, and how many rows they have together.
fn split(file: Bytes) -> std::result::Result<(BTreeMap<String, Bytes>, u64), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(file).and_then(ParquetRecordBatchReaderBuilder::build).map_err(|error| text(&error))?;
    let mut parts: BTreeMap<String, ArrowWriter<Vec<u8>>> = BTreeMap::new();
    let mut rows = 0;
    for batch in reader {
        let batch = batch.map_err(|error| text(&error))?;
        rows += batch.num_rows() as u64;
        for (id, run) in runs(&batch).map_err(|error| text(&error))? {
            let writer = match parts.entry(id) {
                std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    let level = ZstdLevel::try_new(3).map_err(|error| text(&error))?;
                    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
                    new.insert(ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).map_err(|error| text(&error))?)
                }
            };
            writer.write(&run).map_err(|error| text(&error))?;
        }
    }
    let finish = |(id, writer): (String, ArrowWriter<Vec<u8>>)| Ok((id, Bytes::from(writer.into_inner().map_err(|error| text(&error))?)));
    Ok((parts.into_iter().map(finish).collect::<std::result::Result<_, String>>()?, rows))
}

/// The runs of rows of one collection.
fn runs(batch: &RecordBatch) -> std::result::Result<Vec<(String, RecordBatch)>, arrow::error::ArrowError> {
    let missing = || arrow::error::ArrowError::SchemaError(format!("there is no column {COLLECTION}"));
    let column = batch.column_by_name(COLLECTION).ok_or_else(missing)?;
    let ids = column.as_string_opt::<i32>().ok_or_else(missing)?;
    let ranges = partition(&[std::sync::Arc::clone(column)])?.ranges();
    Ok(ranges.into_iter().map(|range| (ids.value(range.start).to_owned(), batch.slice(range.start, range.len()))).collect())
}

/// A name for a file in a folder without folders.
fn flat(path: &str) -> String {
    path.replace('/', "-")
}

/// Every object below a place.
async fn list(place: &Location) -> Result<Files> {
    let listed: std::result::Result<Vec<_>, _> = place.store.list(Some(&place.prefix)).try_collect().await;
    let listed = match listed {
        Ok(listed) => listed,
        Err(object_store::Error::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(place.failed("list", &error)),
    };
    let name = |meta: &object_store::ObjectMeta| {
        let parts = meta.location.prefix_match(&place.prefix)?;
        Some(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
    };
    Ok(listed.iter().filter_map(|meta| Some((name(meta)?, meta.size))).collect())
}

fn unreadable(file: &Location, why: &str) -> Error {
    let message = format!("{} cannot be divided by collection: {why}", file.full());
    Error::failed(Problem::error("PS571", message).hint("set partitions = \"none\" in [glue] of pacha.toml, or write it anew with --force"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;
    use crate::storage::Storage;
    use crate::table::RowHash;

    fn parquet(ids: &[&str]) -> Bytes {
        let numbers: ArrayRef = Arc::new((0..ids.len() as i64).collect::<Int64Array>());
        let ids: ArrayRef = Arc::new(StringArray::from(ids.to_vec()));
        let batch = RecordBatch::try_from_iter([(COLLECTION, ids), ("n", numbers)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap().into()
    }

    async fn table(root: &Location, files: &[(&str, &[&str], &[&str])]) -> TableState {
        let mut state = TableState::default();
        for (path, ids, collections) in files {
            let bytes = parquet(ids);
            let collections = collections.iter().map(|id| (*id).to_owned()).collect();
            state.files.push(DataFile {
                path: (*path).into(),
                rows: ids.len() as u64,
                bytes: bytes.len() as u64,
                row_hash: RowHash(0),
                collections,
            });
            root.join("data").join(path).write(bytes).await.unwrap();
        }
        state
    }

    async fn names(place: &Location) -> Vec<String> {
        list(place).await.unwrap().into_keys().collect()
    }

    #[tokio::test]
    async fn the_location_holds_exactly_the_files_of_the_version_whatever_was_there_before() {
        let directory = tempfile::tempdir().unwrap();
        for url in [directory.path().to_str().unwrap(), "memory://warehouse/copies"] {
            let root = Storage::new().resolve(url, Path::new("/")).unwrap();
            let state = table(&root, &[("r1/a.parquet", &["1"], &["1"]), ("r2/a.parquet", &["2", "2"], &["2"])]).await;
            let place = root.join("published/00000000000000000002/all");
            place.join("r1-a.parquet").write("half").await.unwrap();
            place.join("left-over.parquet").write("x").await.unwrap();
            fill(&root.join("data"), &state, &place, false).await.unwrap();
            assert_eq!(names(&place).await, ["r1-a.parquet", "r2-a.parquet"]);
            assert_eq!(place.join("r1-a.parquet").read().await.unwrap(), root.join("data/r1/a.parquet").read().await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_file_of_several_collections_is_taken_apart_and_no_row_is_lost() {
        let root = Storage::new().resolve("memory://warehouse/parts", Path::new("/")).unwrap();
        let state = table(&root, &[("r/mixed.parquet", &["1", "2", "2", "1"], &["1", "2"]), ("r/own.parquet", &["2"], &["2"])]).await;
        let place = root.join("published/00000000000000000002/by_collection");
        fill(&root.join("data"), &state, &place, true).await.unwrap();
        let expected = ["collection_id=1/r-mixed.parquet", "collection_id=2/r-mixed.parquet", "collection_id=2/r-own.parquet"];
        assert_eq!(names(&place).await, expected);
        let bytes = place.join(expected[0]).read().await.unwrap().unwrap();
        let (parts, rows) = split(bytes).unwrap();
        assert_eq!((parts.into_keys().collect::<Vec<_>>(), rows), (vec!["1".to_owned()], 2));
    }

    #[tokio::test]
    async fn a_file_that_lost_rows_is_not_published() {
        let root = Storage::new().resolve("memory://warehouse/lost", Path::new("/")).unwrap();
        let mut state = table(&root, &[("r/mixed.parquet", &["1", "2"], &["1", "2"])]).await;
        state.files[0].rows = 3;
        let error = fill(&root.join("data"), &state, &root.join("published/1"), true).await.unwrap_err().to_string();
        assert!(error.contains("PS571") && error.contains("it has 2 rows, and the log says 3"), "{error}");
    }
}
