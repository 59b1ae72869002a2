//! A vacuum while others read, run and go back, and one that is killed or refused.

use std::collections::BTreeSet;

use pacha_tests::s3::Fault;
use serde_json::Value;

use crate::world::{AFTER, BEFORE, BUCKET, DATABASE, World, data_read, ended};

#[test]
fn a_vacuum_during_a_read_leaves_the_reader_its_files() {
    let world = World::published();
    let gate = world.server.hold(1, data_read("mapped"));
    let reader = world.start(&["sql", "SELECT count(DISTINCT title) > 0 AS any, count(*) AS n FROM alder.mapped", "--format", "csv"]);
    gate.wait(1);
    // Five versions later the one that is being read is not among the last four; but it was replaced a moment ago.
    for _ in 0..5 {
        let run = world.pacha(&["run", "nightly", "--force"]);
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    let done = world.json(&["vacuum", "alder"]);
    assert_eq!((done["total"]["files"].as_u64(), done["oldest"].as_u64()), (Some(0), Some(1)), "{done:#}");
    gate.open();
    let read = ended(reader);
    assert_eq!((read.code, read.stdout.as_str()), (Some(0), "any,n\ntrue,6\n"), "{read:?}");
    // A day later it would go, and does where no time is given.
    let done = world.json(&["vacuum", "alder", "--older-than", "0s"]);
    assert_eq!(done["oldest"], 3, "{done:#}");
    assert!(done["tables"]["mapped"]["versions"]["files"].as_u64().unwrap() >= 2, "{done:#}");
    world.pacha(&["rollback", "alder", "--to", "2"]).failed(2, &["PS526", "its versions are 3 to 7", "`pacha commits alder`"]);
    for version in 3..=6 {
        let count = world.json(&["sql", &format!("SELECT count(*) AS n FROM table_version('alder.mapped', {version})")]);
        assert_eq!(count[0]["n"], BEFORE, "version {version}");
    }
    assert_eq!(world.rows(), BEFORE);
}

#[test]
fn a_vacuum_spares_the_files_of_a_run_that_is_about_to_publish() {
    let world = World::published();
    world.harvest();
    let (run, gate) = world.start_up_to_commit(&["run", "nightly"]);
    let written = world.strays();
    assert!(!written.is_empty());
    let done = world.json(&["vacuum", "alder", "--keep", "1", "--older-than", "0s"]);
    assert_eq!((done["total"]["files"].as_u64(), done["alive"].as_array().unwrap().len()), (Some(0), 1), "{done:#}");
    assert_eq!(world.strays(), written);
    gate.open();
    let run = ended(run);
    assert_eq!(run.code, Some(0), "{run:?}");
    world.is_whole(2, AFTER);
}

#[test]
fn a_run_that_a_vacuum_took_for_dead_cannot_publish() {
    let world = World::published();
    world.harvest();
    let (run, gate) = world.start_up_to_commit(&["run", "nightly"]);
    // As if it had begun on another machine, long ago: its record has not changed since.
    let runs = world.server.buckets.keys(BUCKET, &format!("{DATABASE}/_runs"));
    let key = runs.last().unwrap();
    let mut record: Value = serde_json::from_slice(&world.server.buckets.get(BUCKET, key).unwrap()).unwrap();
    assert_eq!(record["state"], "RUNNING");
    record["process"]["host"] = "elsewhere".into();
    record["started_at"] = "2026-01-01T00:00:00.000Z".into();
    world.server.buckets.put(BUCKET, key, serde_json::to_vec(&record).unwrap());
    let done = world.json(&["vacuum", "alder", "--older-than", "0s"]);
    assert_eq!((done["version"].as_u64(), done["abandoned"][0].as_str()), (Some(2), record["id"].as_str()), "{done:#}");
    assert_eq!(world.strays(), BTreeSet::new());
    gate.open();
    let run = ended(run);
    run.failed(
        1,
        &["PS520", "a vacuum that took this run for dead and removed its files; nothing of this run was published", "`pacha run nightly`"],
    );
    assert_eq!((world.version(), world.rows()), (2, BEFORE));
    world.run_well();
    world.is_whole(3, AFTER);
}

#[test]
fn of_a_rollback_and_a_vacuum_at_once_the_second_is_told() {
    let world = World::published();
    for _ in 0..2 {
        assert_eq!(world.pacha(&["run", "nightly", "--force"]).code, Some(0));
    }
    // The rollback has seen that all its files are there; then they go.
    let (rollback, gate) = world.start_up_to_commit(&["rollback", "alder", "--to", "1"]);
    let done = world.json(&["vacuum", "alder", "--keep", "1", "--older-than", "0s"]);
    assert_eq!((done["version"].as_u64(), done["oldest"].as_u64()), (Some(4), Some(3)), "{done:#}");
    gate.open();
    ended(rollback).failed(1, &["PS520", "`pacha commits alder`", "`pacha rollback alder --to 1`"]);
    assert_eq!((world.version(), world.rows()), (4, BEFORE));
    world.pacha(&["rollback", "alder", "--to", "1"]).failed(2, &["PS526", "its versions are 3 to 4"]);
    // The other way round the vacuum looks again, and keeps what has come back.
    assert_eq!(world.pacha(&["run", "nightly", "--force"]).code, Some(0));
    let (vacuum, back) = world.start_up_to_commit(&["vacuum", "alder", "--keep", "1", "--older-than", "0s", "--format", "json"]);
    let rollback = world.pacha(&["rollback", "alder", "--to", "3"]);
    assert_eq!(rollback.code, Some(0), "{rollback:?}");
    back.open();
    let vacuum = ended(vacuum);
    assert_eq!(vacuum.code, Some(0), "{vacuum:?}");
    assert_eq!(world.rows(), BEFORE);
}

#[test]
fn a_vacuum_that_is_killed_is_finished_by_the_next() {
    let world = World::published();
    assert_eq!(world.pacha(&["run", "nightly", "--force"]).code, Some(0));
    let files = world.server.buckets.keys(BUCKET, DATABASE).len();
    world.dies("vacuum-announced", &["vacuum", "alder", "--keep", "1", "--older-than", "0s"]);
    assert_eq!(world.server.buckets.keys(BUCKET, DATABASE).len(), files + 1, "only its commit is new");
    assert_eq!((world.version(), world.rows()), (3, BEFORE));
    let done = world.json(&["vacuum", "alder", "--keep", "1", "--older-than", "0s"]);
    assert!(done["tables"]["mapped"]["versions"]["files"].as_u64().unwrap() > 0 && done["version"].is_null(), "{done:#}");
    let left = world.json(&["vacuum", "alder", "--keep", "1", "--older-than", "0s"]);
    assert_eq!(left["total"]["files"], 0, "{left:#}");
    world.is_whole(3, BEFORE);
}

#[test]
fn a_vacuum_that_may_not_remove_says_which_right_is_missing_and_the_next_goes_on() {
    let world = World::published();
    assert_eq!(world.pacha(&["run", "nightly", "--force"]).code, Some(0));
    world.server.fail(usize::MAX, |request| request.method == "POST" && request.query.contains("delete"), Fault::access_denied());
    let refused = world.pacha(&["vacuum", "alder", "--keep", "1", "--older-than", "0s"]);
    refused.failed(1, &["PS535", "access denied: s3:DeleteObject"]);
    world.server.heal();
    assert_eq!(world.rows(), BEFORE);
    let done = world.json(&["vacuum", "alder", "--keep", "1", "--older-than", "0s"]);
    assert!(done["total"]["files"].as_u64().unwrap() > 0, "{done:#}");
    world.is_whole(3, BEFORE);
}
