//! What an object store promises and a local disk does not: that what was written survives a power cut.
//!
//! S3, GCS and Azure answer a put when it is safe. `LocalFileSystem` of object_store 0.13 stages a file, links or renames
//! it, and never syncs (`with_fsync` comes with 0.14): after a power cut a commit could be there, empty, and the version
//! before it would be unreachable. So, on a disk only: the data files are synced before the commit that names them, the commit file
//! before it gets its name, and its directory after. Everything else in the engine goes through the store alone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutMode, PutPayload};
use uuid::Uuid;

use super::{Location, problem::io_error, refusal};
use crate::error::Result;
use crate::table::crash_point;

/// More files than this are flushed with the whole disk at once, where the system can: thousands of small files would
/// otherwise each wait for the disk's journal.
const SYNC_EACH: usize = 32;

/// Puts an object at `location` if there is none, and returns when it would survive a power cut.
///
/// # Errors
/// `AlreadyExists` if there is one, which may be our own from an attempt whose answer was lost: read it back.
/// `NotSupported` where the disk or the store has no such operation. After any other error it may or may not be there.
pub async fn create(location: &Location, bytes: Bytes) -> object_store::Result<()> {
    let (store, path) = (&location.store, &location.prefix);
    let Some(local) = location.local_path() else {
        let put = store.put_opts(path, PutPayload::from(bytes), PutMode::Create.into()).await;
        return put.map(drop).map_err(no_conditions);
    };
    let staged_name = format!(".{}.{}", path.filename().unwrap_or_default(), Uuid::now_v7());
    let staged: ObjectPath = path.parent().unwrap_or_default().join(staged_name.as_str());
    let staged_local = local.with_file_name(&staged_name);
    store.put(&staged, PutPayload::from(bytes)).await?;
    let linked = async {
        blocking(move || sync(&staged_local)).await?;
        crash_point("commit-staged");
        store.copy_if_not_exists(&staged, path).await.map_err(no_hard_links)
    };
    let linked = linked.await;
    // A staged file that stays behind is hidden from every reader, and swept with the next checkpoint.
    if let Err(error) = store.delete(&staged).await {
        tracing::debug!(%staged, %error, "staged commit stays behind");
    }
    linked?;
    blocking(move || local.parent().map_or(Ok(()), sync)).await
}

/// Makes written files survive a power cut, with the directories that lead to them from `root` down.
///
/// # Errors
/// A file is missing or the disk fails: then the files must not be published.
pub async fn persist(root: &Location, files: &[Location]) -> Result<()> {
    let Some(top) = root.local_path() else { return Ok(()) };
    let paths: Vec<PathBuf> = files.iter().filter_map(Location::local_path).collect();
    let Some(first) = files.first() else { return Ok(()) };
    let failed = move |error| first.failed("write", &error);
    let work = move || {
        paths.iter().try_for_each(|path| path.metadata().map(drop))?;
        if paths.len() > SYNC_EACH && sync_disk(&top)? { Ok(()) } else { sync_each(&top, &paths) }
    };
    blocking(work).await.map_err(failed)
}

/// Whether the place has the one operation that all else stands on; for `init` and `doctor`, before any work is lost.
///
/// # Errors
/// It cannot be written to, or a second create was not refused.
pub async fn probe(location: &Location) -> Result<()> {
    let file = location.join(&format!("_probe-{}", Uuid::now_v7()));
    let first = create(&file, Bytes::from_static(b"1")).await;
    let second = create(&file, Bytes::from_static(b"2")).await;
    let removed = file.store.delete(&file.prefix).await;
    first.map_err(|error| location.failed("write", &error))?;
    match second {
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            removed.map_err(|error| location.failed("delete", &error))
        }
        Err(error) => Err(location.failed("write", &error)),
        Ok(()) => {
            let source = "a second create replaced the first".into();
            Err(location.failed("publish to", &object_store::Error::NotSupported { source }))
        }
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_each(top: &Path, files: &[PathBuf]) -> io::Result<()> {
    files.iter().try_for_each(|file| sync(file))?;
    let above = files.iter().flat_map(|file| file.ancestors().skip(1).take_while(|directory| directory.starts_with(top)));
    let directories: BTreeSet<&Path> = above.chain(top.parent()).collect();
    // Directories cannot be opened, nor need they be synced, on Windows.
    if cfg!(unix) { directories.into_iter().try_for_each(sync) } else { Ok(()) }
}

/// Flushes the disk that `path` is on; false where the system has no such call.
#[cfg(target_os = "linux")]
fn sync_disk(path: &Path) -> io::Result<bool> {
    rustix::fs::syncfs(File::open(path)?)?;
    Ok(true)
}

#[cfg(not(target_os = "linux"))]
fn sync_disk(_path: &Path) -> io::Result<bool> {
    Ok(false)
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> object_store::Result<()> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|source| object_store::Error::JoinError { source })?;
    done.map_err(|source| object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(source) })
}

/// The directory could be written to a moment ago: what is denied is the link.
fn no_hard_links(error: object_store::Error) -> object_store::Error {
    match io_error(&error).map(io::Error::kind) {
        Some(io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => object_store::Error::NotSupported { source: Box::new(error) },
        _ => error,
    }
}

/// Whether the last answer says nothing of what earlier attempts at the same put have done.
pub fn repeated(error: &object_store::Error) -> bool {
    refusal::repeated(error)
}

/// The store says that it does not know the header: then it is the condition that it lacks.
fn no_conditions(error: object_store::Error) -> object_store::Error {
    if refusal::not_implemented(&error) { object_store::Error::NotSupported { source: Box::new(error) } } else { error }
}

#[cfg(test)]
mod tests {
    use super::super::Storage;
    use super::*;

    #[tokio::test]
    async fn the_first_create_wins_on_disk_and_in_memory_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::new();
        for place in [directory.path().to_str().unwrap(), "memory://warehouse"] {
            let location = storage.resolve(place, Path::new("/")).unwrap().join("deep/below/commit.json");
            create(&location, Bytes::from_static(b"one")).await.unwrap();
            let again = create(&location, Bytes::from_static(b"two")).await;
            assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })), "{again:?}");
            assert_eq!(location.read().await.unwrap().unwrap(), "one");
            persist(&storage.resolve(place, Path::new("/")).unwrap(), &[location]).await.unwrap();
        }
        let left = std::fs::read_dir(directory.path().join("deep/below")).unwrap().count();
        assert_eq!(left, 1, "a staged file stayed behind");
    }

    #[tokio::test]
    async fn a_data_file_that_is_gone_is_an_error_before_anything_is_published() {
        let directory = tempfile::tempdir().unwrap();
        let root = Storage::new().resolve("db", directory.path()).unwrap();
        let error = persist(&root, &[root.join("mapped/data/1.parquet")]).await.unwrap_err().to_string();
        assert!(error.starts_with("PS502 cannot write ") && error.contains("mapped/data/1.parquet"), "{error}");
    }

    #[tokio::test]
    async fn a_place_is_probed_and_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let root = Storage::new().resolve(".", directory.path()).unwrap();
        probe(&root).await.unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
