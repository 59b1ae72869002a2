//! The commit on S3 when S3, or the network before it, does not do what one hopes: nothing lost, nothing double.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use engine::storage::durable;
use engine::table::{CollectionState, Columns, DataFile, Database, Operation, Proposal, RowHash, Snapshot, TableChange};
use pacha_tests::s3::{Fault, Request, Server};

fn server() -> (Server, Database) {
    let server = Server::start();
    server.buckets.make("warehouse");
    let database = Database::open(server.storage().resolve("s3://warehouse/calisphere", Path::new("/")).unwrap());
    (server, database)
}

/// A proposal with one file of one collection, which is written.
async fn proposal(database: &Database, run: &str, collection: &str) -> Proposal {
    let path = format!("{run}/{collection}.parquet");
    database.data("mapped").join(&path).write("PAR1").await.unwrap();
    let file = DataFile { path, rows: 1, bytes: 4, row_hash: RowHash(1), collections: vec![collection.into()] };
    let mut proposal = Proposal::new(run, "nightly");
    let change = TableChange { operation: Operation::ReplaceCollections, schema: Columns::default(), add: vec![file], remove: Vec::new() };
    proposal.tables.insert("mapped".into(), change);
    proposal.collections.insert(collection.into(), CollectionState { key: run.into(), ..CollectionState::default() });
    proposal
}

fn commit_put(request: &Request) -> bool {
    request.method == "PUT" && request.path.contains("/_commits/")
}

fn commit_read(request: &Request) -> bool {
    request.method == "GET" && request.path.ends_with(".json")
}

async fn runs(database: &Database) -> Vec<String> {
    database.history(10).await.unwrap().iter().map(|commit| commit.proposal.run_id.clone()).collect()
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_recognised_as_our_own() {
    let (server, database) = server();
    server.fail(1, commit_put, Fault::Lost);
    let proposal = proposal(&database, "run-1", "26001").await;
    assert_eq!(database.commit(&Snapshot::default(), proposal).await.unwrap(), 1);
    assert_eq!(runs(&database).await, ["run-1"]);
    let puts: Vec<Request> = server.requests().into_iter().filter(commit_put).collect();
    assert_eq!(puts.len(), 2, "the lost one, and the client's second, which was refused by the first");
    assert!(puts.iter().all(|put| put.header("if-none-match") == Some("*")));
    assert!(server.requests().iter().any(commit_read), "the refusal is not believed: the file is read back");
}

#[tokio::test]
async fn a_conflict_that_nobody_won_is_tried_again() {
    let (server, database) = server();
    server.fail(2, commit_put, Fault::conditional_conflict());
    let proposal = proposal(&database, "run-1", "26001").await;
    assert_eq!(database.commit(&Snapshot::default(), proposal).await.unwrap(), 1);
    assert_eq!((runs(&database).await, server.faults_left()), (vec!["run-1".to_owned()], 0));
}

#[tokio::test]
async fn a_conflict_for_ever_says_so_and_publishes_nothing() {
    let (server, database) = server();
    server.fail(usize::MAX, commit_put, Fault::conditional_conflict());
    let proposal = proposal(&database, "run-1", "26001").await;
    let error = database.commit(&Snapshot::default(), proposal).await.unwrap_err().to_string();
    assert!(error.starts_with("PS505 cannot write s3://warehouse/calisphere/_commits/00000000000000000001.json"), "{error}");
    assert_eq!(database.head().await.unwrap(), 0);
}

#[tokio::test]
async fn who_comes_second_follows_with_another_collection_and_fails_with_the_same() {
    for (collection, expected) in [("26002", Ok(2)), ("26001", Err("PS520 run run-1 published version 1"))] {
        let (server, database) = server();
        // While the second's put is on its way the first publishes: its file stands there when the put arrives.
        let other = Server::start();
        other.buckets.make("warehouse");
        let elsewhere = Database::open(other.storage().resolve("s3://warehouse/calisphere", Path::new("/")).unwrap());
        let first = proposal(&elsewhere, "run-1", "26001").await;
        elsewhere.commit(&Snapshot::default(), first).await.unwrap();
        let key = "calisphere/_commits/00000000000000000001.json";
        let published = other.buckets.get("warehouse", key).unwrap();
        server.fail(1, commit_put, Fault::before(move |buckets, _| buckets.put("warehouse", key, published.clone())));
        let second = proposal(&database, "run-2", collection).await;
        match (database.commit(&Snapshot::default(), second).await, expected) {
            (Ok(version), Ok(expected)) => assert_eq!(version, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().starts_with(expected), "{error}"),
            (outcome, expected) => assert_eq!(format!("{outcome:?}"), format!("{expected:?}")),
        }
        let expected: &[&str] = if expected.is_ok() { &["run-2", "run-1"] } else { &["run-1"] };
        assert_eq!(runs(&database).await, expected);
    }
}

#[tokio::test]
async fn a_commit_that_can_neither_be_written_nor_read_back_is_unknown_and_a_second_run_finds_it() {
    let (server, database) = server();
    server.fail(1, commit_put, Fault::Lost);
    server.fail(usize::MAX, |request| commit_put(request) || commit_read(request), Fault::expired_token());
    let first = proposal(&database, "run-1", "26001").await;
    let error = database.commit(&Snapshot::default(), first).await.unwrap_err().to_string();
    assert!(error.starts_with("PS522 it is not known whether version 1 of database calisphere was published"), "{error}");
    assert!(error.contains("the credentials have expired") && error.contains("hint: look with `pacha commits calisphere`"), "{error}");
    server.heal();
    assert_eq!(runs(&database).await, ["run-1"], "it was published, and nobody has removed it");
}

#[tokio::test]
async fn a_refusal_ends_the_commit_at_once_with_its_reason() {
    let cases = [
        (Fault::expired_token(), "PS532", "the credentials have expired; hint: log in again"),
        (Fault::access_denied(), "PS535", "access denied: s3:PutObject on arn:aws:s3:::warehouse/calisphere/_commits/0"),
        (Fault::clock_skew(), "PS537", "this machine's clock is wrong: there it is 2026-11-01T03:03:04Z"),
        (Fault::no_such_bucket(), "PS534", "there is no bucket warehouse"),
        (Fault::wrong_region("eu-west-1"), "PS533", "bucket warehouse is in region eu-west-1"),
        (Fault::permanent_redirect("eu-west-1"), "PS533", "bucket warehouse is in region eu-west-1"),
        (Fault::not_implemented(), "PS507", "this store has no conditional writes"),
    ];
    for (fault, code, text) in cases {
        let (server, database) = server();
        let proposal = proposal(&database, "run-1", "26001").await;
        server.fail(usize::MAX, commit_put, fault);
        server.forget();
        let error = database.commit(&Snapshot::default(), proposal).await.unwrap_err().to_string();
        assert!(error.starts_with(code) && error.contains(text), "{error}");
        assert_eq!(server.requests().len(), 1, "{code}: tried again");
        assert!(!error.contains('<') && !error.contains("Generic"), "{error}");
        server.heal();
        assert_eq!(database.head().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_store_in_trouble_for_a_moment_is_waited_for() {
    for fault in [Fault::slow_down(), Fault::internal_error(), Fault::Refused] {
        let (server, database) = server();
        let proposal = proposal(&database, "run-1", "26001").await;
        server.fail(3, commit_put, fault.clone());
        assert_eq!(database.commit(&Snapshot::default(), proposal).await.unwrap(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused_before_anything_is_published() {
    let (server, database) = server();
    server.buckets.ignore_conditions();
    let error = durable::probe(database.location()).await.unwrap_err().to_string();
    assert!(error.starts_with("PS507 cannot publish to s3://warehouse/calisphere: this store has no conditional writes"), "{error}");
    assert_eq!(server.buckets.keys("warehouse", ""), Vec::<String>::new());
}
