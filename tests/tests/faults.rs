//! A large data file whose last answer is lost: it is there, whole and once.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, collect};
use engine::sink::{Manifest, SinkExec, SinkMode, SinkSpec};
use pacha_tests::fixture::Fixture;
use pacha_tests::s3::{Fault, Request, Server};

/// More than one part: values that do not compress.
const ROWS: &str = "SELECT value, sha512(concat('a', value)) AS a, sha512(concat('b', value)) AS b FROM generate_series(1, 140000)";

fn completion(request: &Request) -> bool {
    request.method == "POST" && request.query.contains("uploadId=")
}

/// A session without a project whose bucket is the server's, and a sink that writes the rows there.
async fn sink(server: &Server) -> (Fixture, Arc<dyn ExecutionPlan>) {
    server.buckets.make("warehouse");
    let fixture = Fixture::bare().unwrap();
    let place = server.storage().resolve("s3://warehouse/calisphere", Path::new("/")).unwrap();
    fixture.session.context.runtime_env().register_object_store(&place.url, place.store);
    // One file, so that it is large enough.
    fixture.session.context.sql("SET datafusion.execution.target_partitions = 1").await.unwrap();
    let rows = fixture.session.context.sql(ROWS).await.unwrap().create_physical_plan().await.unwrap();
    let spec = SinkSpec {
        database: "s3://warehouse/calisphere".into(),
        run_id: "run-1".into(),
        mode: SinkMode::Rows { table: "noise".into() },
        file_bytes: 1 << 40,
        compression_level: 1,
    };
    (fixture, Arc::new(SinkExec::new(rows, Arc::new(spec))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_completion_was_not_answered_is_completed_once() {
    let server = Server::start();
    let (fixture, sink) = sink(&server).await;
    server.fail(1, completion, Fault::Lost);
    let written = collect(sink, fixture.session.context.task_ctx()).await;
    assert_eq!(server.faults_left(), 0, "nothing was uploaded in parts");
    let manifest = Manifest::from_batches(&written.unwrap()).unwrap();
    assert_eq!(manifest.files.iter().map(|file| file.rows).sum::<u64>(), 140_000);
    let keys = server.buckets.keys("warehouse", "");
    assert_eq!(keys.len(), manifest.files.len(), "{keys:?}");
    for file in &manifest.files {
        let bytes = server.buckets.get("warehouse", &format!("calisphere/{}", file.path)).unwrap();
        assert_eq!((bytes.len() as u64, &bytes[bytes.len() - 4..]), (file.bytes, b"PAR1".as_slice()));
    }
    assert_eq!(server.buckets.uploads(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_completion_was_refused_is_no_file() {
    let server = Server::start();
    let (fixture, sink) = sink(&server).await;
    server.fail(usize::MAX, completion, Fault::access_denied());
    let error = collect(sink, fixture.session.context.task_ctx()).await.unwrap_err().to_string();
    assert!(error.contains("PS535 cannot write s3://warehouse/calisphere/noise/data/run-1/"), "{error}");
    assert_eq!((server.buckets.keys("warehouse", ""), server.buckets.uploads()), (Vec::<String>::new(), Vec::<String>::new()));
}
