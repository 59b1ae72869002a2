//! How buckets are talked to: what requests carry, how many there are at a time, and what the user reads when it fails.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::time::{Duration, Instant};

use engine::project::S3Settings;
use engine::storage::{Location, Storage};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt};
use pacha_tests::s3::{Fault, Gate, SECRET_KEY, Server};

fn place(storage: &Storage, url: &str) -> Location {
    storage.resolve(url, Path::new("/")).unwrap()
}

fn server() -> Server {
    let server = Server::start();
    server.buckets.put("raw", "26001/a.xml", "<records/>");
    server
}

#[tokio::test]
async fn settings_are_in_every_request() {
    let server = server();
    let storage =
        server.storage_with(S3Settings { request_payer: true, kms_key: Some("arn:aws:kms:x:1:key/2".into()), ..S3Settings::default() });
    place(&storage, "s3://raw/26001/a.xml").read().await.unwrap().unwrap();
    place(&storage, "s3://raw/new").write("x").await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| request.header("x-amz-request-payer") == Some("requester")), "{requests:?}");
    assert_eq!(requests[1].header("x-amz-server-side-encryption"), Some("aws:kms"));
    assert_eq!(requests[1].header("x-amz-server-side-encryption-aws-kms-key-id"), Some("arn:aws:kms:x:1:key/2"));
    assert!(requests.iter().all(|request| request.header("authorization").is_some_and(|text| text.contains("/us-east-1/s3/"))));
}

#[tokio::test]
async fn a_public_bucket_is_read_without_a_signature() {
    let server = Server::start();
    server.buckets.put("public-pages", "a.xml", "<records/>");
    let storage = server.storage_with(S3Settings { anonymous: true, ..S3Settings::default() });
    assert_eq!(place(&storage, "s3://public-pages/a.xml").read().await.unwrap().unwrap(), "<records/>");
    assert!(server.requests()[0].header("authorization").is_none());
    let error = place(&storage, "s3://public-pages/b.xml").write("x").await.unwrap_err().to_string();
    assert!(error.starts_with("PS535 cannot write s3://public-pages/b.xml: access denied: s3:PutObject on"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_requests_are_under_way_than_the_settings_say() {
    let server = server();
    let storage = server.storage_with(S3Settings { requests: 5, ..S3Settings::default() });
    let (file, gate) = (place(&storage, "s3://raw/26001/a.xml"), Gate::new());
    server.fail(usize::MAX, |_| true, Fault::Held(gate.clone()));
    let reads = (0..40).map(|_| file.read());
    let reads = futures::stream::iter(reads).buffer_unordered(40).try_collect::<Vec<_>>();
    let opened = async {
        gate.reached(5).await;
        gate.open();
    };
    let (read, ()) = tokio::join!(reads, opened);
    assert_eq!((read.unwrap().len(), server.requests().len()), (40, 40));
    assert_eq!(server.most_at_once(), 5);
}

#[tokio::test]
async fn every_request_is_counted_by_its_verb_with_its_bytes_and_its_retries() {
    let server = server();
    let storage = server.storage();
    let before = storage.traffic();
    assert_eq!(before.requests(), 0, "naming a place asks nobody");
    let file = place(&storage, "s3://raw/26001/a.xml");
    server.fail(2, |request| request.method == "GET", Fault::slow_down());
    file.read().await.unwrap();
    let new = place(&storage, "s3://raw/new");
    new.write("12345").await.unwrap();
    new.store.copy(&new.prefix, &file.prefix).await.unwrap();
    new.store.head(&new.prefix).await.unwrap();
    new.store.list(None).try_collect::<Vec<_>>().await.unwrap();
    new.store.delete(&new.prefix).await.unwrap();
    let counts = storage.traffic() - before;
    let verbs: Vec<_> = counts.verbs().collect();
    assert_eq!(verbs, [("PUT", 1), ("COPY", 1), ("LIST", 1), ("GET", 3), ("HEAD", 1), ("DELETE", 1)]);
    assert_eq!(counts.requests(), server.requests().len() as u64);
    let sent: usize = server.requests().iter().map(|request| request.bytes).sum();
    assert_eq!(counts.bytes_out, sent as u64);
    assert!(counts.bytes_in > "<records/>".len() as u64);
}

#[tokio::test]
async fn each_failure_has_its_code_its_place_and_its_remedy() {
    let cases = [
        (Fault::expired_token(), "PS532", "the credentials have expired; hint: log in again (`aws sso login`)"),
        (
            Fault::wrong_region("eu-west-1"),
            "PS533",
            "bucket raw is in region eu-west-1, and that is not the one that was asked; hint: set AWS_REGION=eu-west-1",
        ),
        (Fault::permanent_redirect("eu-west-1"), "PS533", "bucket raw is in region eu-west-1"),
        (Fault::no_such_bucket(), "PS534", "there is no bucket raw; hint: check its name, account and region"),
        (Fault::access_denied(), "PS535", "access denied: s3:GetObject on arn:aws:s3:::raw/26001/a.xml; hint: allow it in the policy"),
        (Fault::clock_skew(), "PS537", "this machine's clock is wrong: there it is 2026-11-01T03:03:04Z; hint: set the clock"),
        (Fault::slow_down(), "PS538", "the store asks for fewer requests (SlowDown), and still did after ten attempts; hint: wait, or set"),
        (Fault::internal_error(), "PS500", "the store failed in itself (InternalError), ten times; hint: run again"),
        (Fault::Refused, "PS536", "the connection to 127.0.0.1:"),
        (Fault::answer(418, "Teapot", "I am a teapot."), "PS500", "the store answered Teapot: I am a teapot; hint: `pacha doctor`"),
    ];
    for (fault, code, text) in cases {
        let server = server();
        server.fail(usize::MAX, |_| true, fault);
        let error = place(&server.storage(), "s3://raw/26001/a.xml").read().await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{code} cannot read s3://raw/26001/a.xml: ")) && error.contains(text), "{error}");
        assert!(!error.contains('<') && !error.contains("Generic") && !error.contains("AKID"), "{error}");
    }
}

#[tokio::test]
async fn no_secret_is_in_what_is_printed_for_debugging() {
    let server = server();
    let storage = server.storage();
    let file = place(&storage, "s3://raw/26001/a.xml");
    file.read().await.unwrap();
    let shown = format!("{storage:?} {file:?}");
    assert!(shown.contains("us-east-1") && !shown.contains(SECRET_KEY), "{shown}");
}

#[tokio::test]
async fn what_a_retry_cannot_change_is_asked_once() {
    for fault in [Fault::permanent_redirect("eu-west-1"), Fault::not_implemented(), Fault::expired_token(), Fault::access_denied()] {
        let server = server();
        server.fail(usize::MAX, |_| true, fault.clone());
        place(&server.storage(), "s3://raw/x").write("x").await.unwrap_err();
        assert_eq!(server.requests().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_empty_place() {
    let server = server();
    let storage = server.storage();
    let file = place(&storage, "s3://elsewhere/db/_commits/1.json");
    let error = file.read().await.unwrap_err().to_string();
    assert!(error.starts_with("PS534 cannot read s3://elsewhere/db/_commits/1.json: there is no bucket elsewhere"), "{error}");
    assert_eq!(place(&storage, "s3://raw/nothing").read().await.unwrap(), None);
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_named_within_seconds() {
    let begun = Instant::now();
    let gone = Server::start().endpoint();
    let settings = S3Settings { endpoint: Some(gone.clone()), anonymous: true, ..S3Settings::default() };
    let storage = Storage::with(std::sync::Arc::default(), settings);
    let error = place(&storage, "s3://raw/x").read().await.unwrap_err().to_string();
    let host = gone.trim_start_matches("http://");
    assert!(error.starts_with(&format!("PS536 cannot read s3://raw/x: cannot connect to {host}: connection refused")), "{error}");
    assert!(error.contains("hint: check the network, and the endpoint"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
