//! Objects as they were when they were listed: who reads another than was pinned is told so.

use object_store::{GetOptions, GetResult, ObjectMeta, ObjectStore, Result};

/// The conditions under which a remote store gives the object that was pinned, by its etag.
pub(crate) fn unchanged(pinned: &ObjectMeta) -> GetOptions {
    GetOptions { if_match: pinned.e_tag.clone(), ..GetOptions::default() }
}

/// Opens an object that is still the one that was pinned.
///
/// # Errors
/// It has changed since, or cannot be opened.
pub async fn open(store: &dyn ObjectStore, remote: bool, pinned: &ObjectMeta) -> Result<GetResult> {
    if remote { store.get_opts(&pinned.location, unchanged(pinned)).await } else { open_local(store, pinned).await }
}

/// Opens a file of a local disk that is still the one that was pinned, by size and time to the microsecond. Not by etag: that
/// has the number of the file on its disk, and another machine that shares the files may see them on another.
///
/// # Errors
/// It has changed since, or cannot be opened.
pub(crate) async fn open_local(store: &dyn ObjectStore, pinned: &ObjectMeta) -> Result<GetResult> {
    let found = store.get_opts(&pinned.location, GetOptions::default()).await?;
    let known = |meta: &ObjectMeta| (meta.size, meta.last_modified.timestamp_micros());
    if known(&found.meta) == known(pinned) {
        return Ok(found);
    }
    let differs = format!("{:?} was pinned, {:?} is there", known(pinned), known(&found.meta));
    Err(object_store::Error::Precondition { path: pinned.location.to_string(), source: differs.into() })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use object_store::ObjectStoreExt;
    use object_store::local::LocalFileSystem;

    use super::*;
    use crate::storage::page_problem;

    #[tokio::test]
    async fn a_file_of_another_size_or_time_is_not_the_one_that_was_pinned() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page-1.xml");
        let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        let write = |text: &str, second: u64| {
            std::fs::write(&path, text).unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
        };
        write("<one/>", 100);
        let pinned = store.head(&"page-1.xml".into()).await.unwrap();
        assert_eq!(open_local(&store, &pinned).await.unwrap().bytes().await.unwrap(), "<one/>");
        for (text, second) in [("<two/>", 101), ("<three/>", 100)] {
            write(text, second);
            let error = open_local(&store, &pinned).await.unwrap_err();
            let told = page_problem("pages/page-1.xml", "letters", &error).to_string();
            assert!(told.contains("PX104") && told.contains("it has changed since the run began"), "{told}");
        }
        // The same bytes at the same time in another file, as on another machine.
        std::fs::remove_file(&path).unwrap();
        write("<one/>", 100);
        assert!(open_local(&store, &pinned).await.is_ok());
    }
}
