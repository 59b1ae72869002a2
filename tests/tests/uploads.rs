//! Data files on S3: a large one goes up in parts, no part is left behind when it does not arrive,
//! and one whose last answer was lost is there once.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use engine::sink::{Manifest, SinkExec, SinkMode, SinkSpec};
use pacha_tests::fixture::Fixture;
use pacha_tests::s3::{Fault, Gate, Request, Server};

/// More than one row group, and more than one part: values that do not compress.
const ROWS: &str = "SELECT value, sha512(concat('a', value)) AS a, sha512(concat('b', value)) AS b FROM generate_series(1, 140000)";

/// A session without a project whose bucket is the server's, and a sink that writes the rows there.
async fn sink(server: &Server) -> (Fixture, Arc<dyn ExecutionPlan>) {
    server.buckets.make("warehouse");
    let fixture = Fixture::bare().unwrap();
    let place = server.storage().resolve("s3://warehouse/calisphere", Path::new("/")).unwrap();
    fixture.session.context.runtime_env().register_object_store(&place.url, place.store);
    let rows = fixture.session.context.sql(ROWS).await.unwrap().create_physical_plan().await.unwrap();
    let spec = SinkSpec {
        database: "s3://warehouse/calisphere".into(),
        run_id: "run-1".into(),
        mode: SinkMode::Rows { table: "noise".into() },
        file_bytes: 1 << 40,
        compression_level: 1,
    };
    let rows = Arc::new(CoalescePartitionsExec::new(rows));
    (fixture, Arc::new(SinkExec::new(rows, Arc::new(spec))))
}

fn part(request: &Request) -> bool {
    request.method == "PUT" && request.query.contains("partNumber=")
}

fn completion(request: &Request) -> bool {
    request.method == "POST" && request.query.contains("uploadId=")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_goes_up_in_parts_and_is_whole() {
    let server = Server::start();
    let (fixture, sink) = sink(&server).await;
    let rows = collect(sink, fixture.session.context.task_ctx()).await.unwrap();
    arrived(&server, &rows);
    assert!(server.requests().iter().any(part), "no file was large enough for this test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_parts_fail_is_aborted() {
    let server = Server::start();
    let (fixture, sink) = sink(&server).await;
    server.fail(usize::MAX, part, Fault::access_denied());
    let error = collect(sink, fixture.session.context.task_ctx()).await.unwrap_err().to_string();
    assert!(error.contains("PS535 cannot write s3://warehouse/calisphere/noise/data/run-1/"), "{error}");
    assert!(server.requests().iter().any(part));
    gone(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_given_up_half_way_is_aborted() {
    let server = Server::start();
    let (fixture, sink) = sink(&server).await;
    let gate = Gate::new();
    server.fail(usize::MAX, part, Fault::Held(gate.clone()));
    let context = fixture.session.context.task_ctx();
    let written: tokio::task::JoinHandle<Result<_>> = tokio::spawn(collect(sink, context));
    gate.reached(1).await;
    assert_eq!(server.buckets.uploads().len(), 1);
    written.abort();
    gate.open();
    assert!(written.await.unwrap_err().is_cancelled());
    gone(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_completion_was_not_answered_is_completed_once() {
    let server = Server::start();
    let (fixture, sink) = sink(&server).await;
    server.fail(1, completion, Fault::Lost);
    let rows = collect(sink, fixture.session.context.task_ctx()).await.unwrap();
    assert_eq!(server.faults_left(), 0, "nothing was uploaded in parts");
    arrived(&server, &rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_completion_was_refused_is_no_file() {
    let server = Server::start();
    let (fixture, sink) = sink(&server).await;
    server.fail(usize::MAX, completion, Fault::access_denied());
    let error = collect(sink, fixture.session.context.task_ctx()).await.unwrap_err().to_string();
    assert!(error.contains("PS535 cannot write s3://warehouse/calisphere/noise/data/run-1/"), "{error}");
    gone(&server).await;
}

/// What the manifest names is there, whole, and nothing else is.
fn arrived(server: &Server, rows: &[RecordBatch]) {
    let manifest = Manifest::from_batches(rows).unwrap();
    assert_eq!(manifest.files.iter().map(|file| file.rows).sum::<u64>(), 140_000);
    for file in &manifest.files {
        let bytes = server.buckets.get("warehouse", &format!("calisphere/{}", file.path)).unwrap();
        assert_eq!((bytes.len() as u64, &bytes[bytes.len() - 4..]), (file.bytes, b"PAR1".as_slice()));
    }
    assert_eq!(server.buckets.keys("warehouse", "").len(), manifest.files.len());
    assert_eq!(server.buckets.uploads(), Vec::<String>::new());
}

/// The abort is a request that nobody waits for.
async fn gone(server: &Server) {
    let gone = async {
        while !server.buckets.uploads().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("an upload stays behind");
    assert!(server.buckets.keys("warehouse", "").iter().all(|key| !key.contains("noise")), "a file that failed is there");
}
