//! What every store must do, whichever it is: one suite over disk, memory, S3 in this process, and a server outside of it.
//!
//! The one outside is named by `PACHA_TEST_S3_ENDPOINT` (as `http://127.0.0.1:5555`), with credentials in the environment;
//! `.ci/run` starts moto for it. Objects are kept below 16 MiB, above which moto's ranges are slow.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use engine::aws::Aws;
use engine::project::S3Settings;
use engine::storage::{Location, Storage, durable};
use engine::table::{CollectionState, Columns, DataFile, Database, Operation, Proposal, RowHash, TableChange};
use futures::{StreamExt, TryStreamExt};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use pacha_tests::s3::Server;

/// A place that nobody else uses, and what keeps it there.
struct Place {
    location: Location,
    server: Option<Server>,
    _folder: Option<tempfile::TempDir>,
}

fn disk() -> Option<Place> {
    let folder = tempfile::tempdir().unwrap();
    let location = Storage::new().resolve("warehouse", folder.path()).unwrap();
    Some(Place { location, server: None, _folder: Some(folder) })
}

fn memory() -> Option<Place> {
    let location = Storage::new().resolve("memory://warehouse/below", Path::new("/")).unwrap();
    Some(Place { location, server: None, _folder: None })
}

fn s3() -> Option<Place> {
    let server = Server::start();
    server.buckets.make("warehouse");
    let location = server.storage().resolve("s3://warehouse/below/it", Path::new("/")).unwrap();
    Some(Place { location, server: Some(server), _folder: None })
}

/// A server outside of this process, if there is one.
fn outside() -> Option<Place> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Ok(endpoint) = std::env::var("PACHA_TEST_S3_ENDPOINT") else {
        // Past the capture of the test harness: what was not tried must not look as if it had been.
        let _ = writeln!(std::io::stderr(), "SKIPPED on a server outside: set PACHA_TEST_S3_ENDPOINT=http://127.0.0.1:5555 (moto)");
        return None;
    };
    // moto makes a bucket for whoever asks; of another server it must be there already.
    let host = endpoint.trim_start_matches("http://").to_owned();
    if let Ok(mut stream) = TcpStream::connect(&host) {
        let _ = write!(stream, "PUT /pacha-tests HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
    let storage = Storage::with(Arc::new(Aws::default()), S3Settings { endpoint: Some(endpoint), ..S3Settings::default() });
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let url = format!("s3://pacha-tests/{}-{number}", std::process::id());
    Some(Place { location: storage.resolve(&url, Path::new("/")).unwrap(), server: None, _folder: None })
}

macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        on_every_store!(@ disk $($name)*);
        on_every_store!(@ memory $($name)*);
        on_every_store!(@ s3 $($name)*);
        on_every_store!(@ outside $($name)*);
    };
    (@ $store:ident $($name:ident)*) => {
        mod $store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(place) = super::$store() {
                    super::$name(&place).await;
                }
            })*
        }
    };
}

on_every_store!(
    what_is_written_is_read_and_what_is_missing_is_none,
    names_of_any_kind_come_back_from_a_listing_as_they_were,
    a_listing_of_more_than_a_thousand_is_whole_and_in_order,
    a_listing_by_folder_names_the_folders_below,
    of_many_creates_at_once_one_wins,
    a_probe_leaves_nothing,
    a_range_is_that_part,
    an_upload_in_parts_is_there_when_complete_and_never_when_aborted,
    a_copy_is_the_same_bytes,
    writers_of_different_collections_all_publish,
);

async fn names(place: &Location) -> Vec<String> {
    let found: Vec<_> = place.store.list(Some(&place.prefix)).try_collect().await.unwrap();
    found.iter().map(|meta| meta.location.as_ref()[place.prefix.as_ref().len() + 1..].to_owned()).collect()
}

async fn what_is_written_is_read_and_what_is_missing_is_none(place: &Place) {
    let file = place.location.join("a/b.txt");
    assert_eq!(file.read().await.unwrap(), None);
    file.write("one").await.unwrap();
    file.write("two").await.unwrap();
    assert_eq!(file.read().await.unwrap().unwrap(), "two");
    let meta = file.store.head(&file.prefix).await.unwrap();
    assert_eq!((meta.size, meta.e_tag.is_some()), (3, true));
    file.store.delete(&file.prefix).await.unwrap();
    assert_eq!(file.read().await.unwrap(), None);
}

async fn names_of_any_kind_come_back_from_a_listing_as_they_were(place: &Place) {
    let odd = ["with space.xml", "wärehouse.xml", "100%.xml", "a+b.xml", "q?x=1&y.xml", "hash#1.xml", "日本.xml", "quote'\".xml"];
    for name in odd {
        place.location.join(name).write(name).await.unwrap();
    }
    let found: Vec<_> = place.location.store.list(Some(&place.location.prefix)).try_collect().await.unwrap();
    assert_eq!(found.len(), odd.len());
    for name in odd {
        let file = place.location.join(name);
        assert!(found.iter().any(|meta| meta.location == file.prefix), "{name} is not listed");
        assert_eq!(file.read().await.unwrap().unwrap(), name);
    }
}

async fn a_listing_of_more_than_a_thousand_is_whole_and_in_order(place: &Place) {
    let puts = (0..1003).map(|number| {
        let file = place.location.join(&format!("{number:04}"));
        async move { file.write("x").await }
    });
    futures::stream::iter(puts).buffer_unordered(32).try_collect::<Vec<()>>().await.unwrap();
    let mut found = names(&place.location).await;
    if place.location.remote() {
        assert!(found.is_sorted(), "S3 lists in order");
    }
    found.sort();
    assert_eq!(found, (0..1003).map(|number| format!("{number:04}")).collect::<Vec<_>>());
}

async fn a_listing_by_folder_names_the_folders_below(place: &Place) {
    for name in ["mapped/data/1", "mapped/data/2", "findings/data/1", "top"] {
        place.location.join(name).write("x").await.unwrap();
    }
    let found = place.location.store.list_with_delimiter(Some(&place.location.prefix)).await.unwrap();
    let mut folders: Vec<&str> = found.common_prefixes.iter().filter_map(|prefix| prefix.filename()).collect();
    folders.sort_unstable();
    assert_eq!(folders, ["findings", "mapped"]);
    assert_eq!(found.objects.len(), 1);
}

async fn of_many_creates_at_once_one_wins(place: &Place) {
    let file = place.location.join("_commits/1.json");
    let writers = (0..8).map(|writer| {
        let file = file.clone();
        tokio::spawn(async move { durable::create(&file, Bytes::from(writer.to_string())).await })
    });
    let outcomes = futures::future::join_all(writers.collect::<Vec<_>>()).await;
    let mut won = Vec::new();
    for (writer, outcome) in outcomes.into_iter().enumerate() {
        match outcome.unwrap() {
            Ok(()) => won.push(writer.to_string()),
            Err(error) => assert!(matches!(error, object_store::Error::AlreadyExists { .. }), "{error}"),
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(file.read().await.unwrap().unwrap(), won[0]);
}

async fn a_probe_leaves_nothing(place: &Place) {
    if let Some(path) = place.location.local_path() {
        std::fs::create_dir_all(path).unwrap();
    }
    durable::probe(&place.location).await.unwrap();
    assert_eq!(names(&place.location).await, Vec::<String>::new());
}

async fn a_range_is_that_part(place: &Place) {
    let file = place.location.join("page.xml");
    file.write(Bytes::from((0..=255).collect::<Vec<u8>>())).await.unwrap();
    let (store, path) = (&file.store, &file.prefix);
    assert_eq!(store.get_range(path, 10..13).await.unwrap(), [10, 11, 12].as_slice());
    let ranges = store.get_ranges(path, &[0..2, 254..256]).await.unwrap();
    assert_eq!(ranges, [[0, 1].as_slice(), &[254, 255]]);
}

async fn an_upload_in_parts_is_there_when_complete_and_never_when_aborted(place: &Place) {
    let part = |byte: u8| Bytes::from(vec![byte; 5 << 20]);
    for complete in [true, false] {
        let file = place.location.join(if complete { "complete" } else { "aborted" });
        let mut upload = file.store.put_multipart(&file.prefix).await.unwrap();
        futures::future::try_join(upload.put_part(part(1).into()), upload.put_part(part(2).into())).await.unwrap();
        assert_eq!(file.read().await.unwrap(), None, "seen before it is complete");
        if complete {
            upload.complete().await.unwrap();
            let bytes = file.read().await.unwrap().unwrap();
            assert_eq!((bytes.len(), bytes[0], bytes[bytes.len() - 1]), (10 << 20, 1, 2));
        } else {
            upload.abort().await.unwrap();
            assert_eq!(file.read().await.unwrap(), None);
        }
    }
    assert_eq!(names(&place.location).await, ["complete"]);
    if let Some(server) = &place.server {
        assert_eq!(server.buckets.uploads(), Vec::<String>::new());
    }
}

async fn a_copy_is_the_same_bytes(place: &Place) {
    let (from, to) = (place.location.join("from it"), place.location.join("below/to it"));
    from.write("bytes").await.unwrap();
    place.location.store.copy(&from.prefix, &to.prefix).await.unwrap();
    assert_eq!((from.read().await.unwrap().unwrap(), to.read().await.unwrap().unwrap()), ("bytes".into(), "bytes".into()));
}

async fn writers_of_different_collections_all_publish(place: &Place) {
    let database = Database::open(place.location.join("calisphere"));
    let base = database.snapshot(None).await.unwrap();
    let writers = (0..4).map(|writer| {
        let (database, base) = (database.clone(), base.clone());
        tokio::spawn(async move {
            let path = format!("run-{writer}/{writer}.parquet");
            database.data("mapped").join(&path).write("PAR1").await.unwrap();
            let file = DataFile { path, rows: 1, bytes: 4, row_hash: RowHash(1), collections: vec![writer.to_string()] };
            let mut proposal = Proposal::new(format!("run-{writer}"), "nightly");
            let change =
                TableChange { operation: Operation::ReplaceCollections, schema: Columns::default(), add: vec![file], remove: Vec::new() };
            proposal.tables.insert("mapped".into(), change);
            proposal.collections.insert(writer.to_string(), CollectionState { key: writer.to_string(), ..CollectionState::default() });
            database.commit(&base, proposal).await.unwrap()
        })
    });
    let mut versions: Vec<u64> = futures::future::join_all(writers.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4]);
    assert_eq!(database.snapshot(None).await.unwrap().tables["mapped"].rows(), 4);
}
