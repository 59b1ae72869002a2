//! The S3 server of the tests itself: a test that leans on it proves nothing if it lies.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::sync::Arc;

use aws_credential_types::Credentials;
use bytes::Bytes;
use engine::aws::Aws;
use engine::project::S3Settings;
use engine::storage::{Location, Storage, durable};
use object_store::{MultipartUpload, ObjectStoreExt};
use pacha_tests::s3::{ACCESS_KEY, Fault, SECRET_KEY, Server, access_key};

fn place(storage: &Storage, url: &str) -> Location {
    storage.resolve(url, Path::new("/")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_conditional_puts_at_once_one_wins_every_time() {
    let server = Server::start();
    server.buckets.make("warehouse");
    let storage = server.storage();
    for round in 0..20 {
        let file = place(&storage, &format!("s3://warehouse/commit-{round}"));
        let puts = (0..8).map(|writer| {
            let file = file.clone();
            tokio::spawn(async move { durable::create(&file, Bytes::from(writer.to_string())).await })
        });
        let outcomes = futures::future::join_all(puts.collect::<Vec<_>>()).await;
        let won: Vec<usize> = (0..8).filter(|writer| outcomes[*writer].as_ref().unwrap().is_ok()).collect();
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(server.buckets.get("warehouse", &format!("commit-{round}")).unwrap(), won[0].to_string(), "round {round}");
    }
}

#[tokio::test]
async fn a_signature_with_another_secret_is_refused() {
    let server = Server::start();
    server.buckets.make("warehouse");
    let aws = Arc::new(Aws::with_credentials(Credentials::new(ACCESS_KEY, "another secret", None, None, "tests"), "us-east-1"));
    let storage = Storage::with(aws, S3Settings { endpoint: Some(server.endpoint()), ..S3Settings::default() });
    let error = place(&storage, "s3://warehouse/x").read().await.unwrap_err().to_string();
    assert!(
        error.starts_with("PS501 cannot read s3://warehouse/x: the store does not accept the credentials (SignatureDoesNotMatch)"),
        "{error}"
    );
    assert!(!error.contains("another secret") && !error.contains(ACCESS_KEY), "{error}");
}

#[tokio::test]
async fn a_lost_answer_has_had_its_effect_and_a_refused_request_none() {
    let server = Server::start();
    server.buckets.make("warehouse");
    let storage = server.storage();
    server.fail(1, |request| request.method == "PUT", Fault::Lost);
    place(&storage, "s3://warehouse/lost").write("1").await.unwrap();
    assert_eq!(server.requests().iter().filter(|request| request.method == "PUT").count(), 2, "the client put it again");
    server.fail(100, |request| request.method == "PUT", Fault::access_denied());
    place(&storage, "s3://warehouse/denied").write("1").await.unwrap_err();
    assert_eq!(server.buckets.keys("warehouse", ""), ["lost"]);
    assert_eq!(server.faults_left(), 99);
}

#[tokio::test]
async fn a_request_at_a_closed_gate_waits_until_it_is_opened() {
    let server = Server::start();
    server.buckets.make("warehouse");
    let storage = server.storage();
    let gate = server.hold(1, |request| request.method == "PUT");
    let held = place(&storage, "s3://warehouse/held");
    let put = tokio::spawn(async move { held.write("1").await });
    gate.reached(1).await;
    assert_eq!(server.buckets.keys("warehouse", ""), Vec::<String>::new());
    gate.open();
    put.await.unwrap().unwrap();
    assert_eq!(server.buckets.keys("warehouse", ""), ["held"]);
}

#[tokio::test]
async fn requests_of_several_processes_are_told_apart_by_their_keys() {
    let server = Server::start();
    server.buckets.make("warehouse");
    server.fail(usize::MAX, |request| request.signed_by(&access_key(1)), Fault::access_denied());
    for (other, written) in [(0, true), (1, false)] {
        let credentials = Credentials::new(access_key(other), SECRET_KEY, None, None, "tests");
        let aws = Arc::new(Aws::with_credentials(credentials, "us-east-1"));
        let storage = Storage::with(aws, S3Settings { endpoint: Some(server.endpoint()), ..S3Settings::default() });
        let put = place(&storage, &format!("s3://warehouse/{other}")).write("1").await;
        assert_eq!(put.is_ok(), written, "{put:?}");
    }
    assert_eq!(server.buckets.keys("warehouse", ""), ["0"]);
    assert!(server.requests().iter().any(|request| request.signed_by(&access_key(1)) && !request.signed_by(&access_key(0))));
}

#[tokio::test]
async fn an_upload_is_seen_until_it_is_completed_or_aborted() {
    let server = Server::start();
    server.buckets.make("warehouse");
    let file = place(&server.storage(), "s3://warehouse/large");
    let mut upload = file.store.put_multipart(&file.prefix).await.unwrap();
    upload.put_part(vec![0; 6 << 20].into()).await.unwrap();
    assert_eq!(server.buckets.uploads(), ["warehouse/large"]);
    upload.abort().await.unwrap();
    assert_eq!((server.buckets.uploads(), server.buckets.get("warehouse", "large")), (vec![], None));
}
