//! The failure matrix of the commit protocol, on the real protocol of S3: a process killed after each step, answers that
//! are lost, writers that come late or at once, a store that refuses or throttles, credentials that expire, a vacuum while
//! others read and publish. What must hold is the same for all: nothing lost, nothing double, and a next command to type.
//!
//! The steps are those of the protocol: 1 pin, 2 write, 3 collect, 4 commit, 5 publish. What is shown in a catalog after a fault
//! is in `published.rs`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod cloud;
mod small_project;

use std::collections::BTreeSet;

use cloud::{AFTER, BEFORE, BUCKET, DATABASE, World, commit_put, data_put, data_read, ended, reached};
use pacha_tests::s3::{Fault, Gate};
use serde_json::Value;

/// A run is killed at a point; what it leaves is one version or the other, and the next run makes it good.
fn killed(point: &str, published: bool) {
    let world = World::published();
    world.harvest();
    world.dies(point, &["run", "nightly"]);
    assert_eq!((world.version(), world.rows()), if published { (2, AFTER) } else { (1, BEFORE) }, "{point}");
    let runs = world.json(&["runs"]);
    assert_eq!((&runs[0]["state"], &runs[0]["problems"][0]["code"]), (&"FAILED".into(), &"PS543".into()), "{point}: {runs:#}");
    let hint = runs[0]["problems"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("`pacha run nightly`") && hint.contains("`pacha commits`"), "{hint}");
    world.run_well();
    world.is_whole(2, AFTER);
}

#[test]
fn killed_after_the_inputs_are_pinned_the_next_run_starts_clean() {
    killed("before-data-files", false);
}

#[test]
fn killed_after_the_files_are_written_the_next_run_removes_them_and_starts_clean() {
    killed("after-data-files", false);
}

#[test]
fn killed_after_the_manifest_is_collected_nothing_was_published() {
    killed("before-commit", false);
}

#[test]
fn killed_after_the_commit_the_version_stands_and_the_next_run_has_nothing_to_do() {
    killed("after-commit", true);
}

#[test]
fn killed_before_its_record_the_version_stands() {
    killed("before-record", true);
}

#[test]
fn an_attempt_that_is_made_twice_publishes_once() {
    let world = World::published();
    world.harvest();
    // Both read the same version; the second comes when the first has published.
    let gate = Gate::new();
    world.server.fail(1, commit_put, Fault::Held(gate.clone()));
    let first = world.start(&["run", "nightly"]);
    reached(&gate, 1);
    let second = world.pacha(&["run", "nightly"]);
    assert_eq!(second.code, Some(0), "{second:?}");
    gate.open();
    let first = ended(first);
    first.failed(1, &["PS520", "published version 2 of database alder first", "nothing of this run was published", "`pacha run nightly`"]);
    world.is_whole(2, AFTER);
    let again = world.pacha(&["run", "nightly"]);
    assert!(again.stdout.contains("nothing has changed since the last run, version 2"), "{again:?}");
}

#[test]
fn a_file_that_a_dead_task_writes_late_is_no_part_of_any_version() {
    let world = World::published();
    let hashes = |world: &World| world.json(&["sql", "SELECT record_id, title FROM alder.mapped ORDER BY 1, 2"]);
    let before = hashes(&world);
    // A task of the run that everybody has forgotten finishes after the commit: a file with rows, in the run's own folder.
    let copy = world.server.buckets.keys(BUCKET, &format!("{DATABASE}/mapped/data")).remove(0);
    let late = copy.rsplit_once('/').unwrap().0.to_owned() + "/00000000-zombie.parquet";
    world.server.buckets.put(BUCKET, &late, world.server.buckets.get(BUCKET, &copy).unwrap());
    assert_eq!((hashes(&world), world.rows()), (before, BEFORE));
    world.harvest();
    world.run_well();
    assert_eq!((world.version(), world.rows()), (2, AFTER));
    // It is younger than what a vacuum looks at, and then it goes.
    let stays = world.json(&["vacuum", "alder"]);
    assert_eq!(stays["total"]["files"], 0, "{stays:#}");
    assert_eq!(world.strays(), BTreeSet::from([late]));
    let goes = world.json(&["vacuum", "alder", "--older-than", "0s"]);
    assert_eq!(goes["tables"]["mapped"]["strays"]["files"], 1, "{goes:#}");
    world.is_whole(2, AFTER);
}

#[test]
fn a_commit_whose_answer_is_lost_is_published_once() {
    let world = World::published();
    world.harvest();
    world.server.fail(1, commit_put, Fault::Lost);
    world.run_well();
    assert_eq!(world.server.faults_left(), 0);
    world.is_whole(2, AFTER);
}

#[test]
fn a_commit_of_which_nothing_is_known_is_looked_for_by_the_next_run() {
    let world = World::published();
    world.harvest();
    world.server.fail(1, commit_put, Fault::Lost);
    world.server.fail(usize::MAX, |request| request.path.ends_with("00000000000000000002.json"), Fault::access_denied());
    let run = world.pacha(&["run", "nightly"]);
    run.failed(1, &["PS522", "it is not known whether version 2 of database alder was published", "`pacha commits alder`"]);
    world.server.heal();
    assert_eq!((world.version(), world.rows()), (2, AFTER), "its files must not be removed");
    world.run_well();
    world.is_whole(2, AFTER);
}

#[test]
fn a_data_file_whose_answer_is_lost_is_there_once() {
    let world = World::published();
    world.harvest();
    world.server.fail(2, data_put, Fault::Lost);
    world.run_well();
    assert_eq!(world.server.faults_left(), 0);
    world.is_whole(2, AFTER);
}

#[test]
fn two_writers_of_different_collections_follow_each_other() {
    let world = World::published();
    let gate = Gate::new();
    world.server.fail(1, commit_put, Fault::Held(gate.clone()));
    let maps = world.start(&["run", "nightly", "--collection", "maps", "--force"]);
    reached(&gate, 1);
    let letters = world.pacha(&["run", "nightly", "--collection", "letters", "--force"]);
    assert_eq!(letters.code, Some(0), "{letters:?}");
    gate.open();
    let maps = ended(maps);
    // Small collections may share a file; then the second cannot follow, and says so.
    match maps.code {
        Some(0) => world.is_whole(3, BEFORE),
        _ => {
            maps.failed(1, &["PS520", "`pacha run nightly`"]);
            world.is_whole(2, BEFORE);
        }
    }
}

#[test]
fn a_throttled_store_is_waited_for() {
    let world = World::published();
    world.harvest();
    // Every third request, whatever it is.
    let asked = std::sync::atomic::AtomicUsize::new(0);
    world.server.fail(12, move |_| asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 3 == 2, Fault::slow_down());
    world.run_well();
    assert_eq!(world.server.faults_left(), 0);
    world.is_whole(2, AFTER);
}

#[test]
fn credentials_that_expire_during_a_run_lose_nothing_and_it_says_what_to_type() {
    for expires_at in [data_put, commit_put] {
        let world = World::published();
        world.harvest();
        let expired = std::sync::atomic::AtomicBool::new(false);
        let from_then_on = move |request: &pacha_tests::s3::Request| {
            expired.fetch_or(expires_at(request), std::sync::atomic::Ordering::Relaxed) || expires_at(request)
        };
        world.server.fail(usize::MAX, from_then_on, Fault::expired_token());
        let run = world.pacha(&["run", "nightly"]);
        run.failed(1, &["PS532", "the credentials have expired", "log in again"]);
        world.server.heal();
        assert_eq!((world.version(), world.rows()), (1, BEFORE), "nothing was published");
        world.run_well();
        assert_eq!((world.version(), world.rows()), (2, AFTER));
    }
}

#[test]
fn credentials_that_are_renewed_in_time_are_used_from_then_on() {
    let mut world = World::published();
    world.harvest();
    // A process gives keys that live for two minutes: too short to be kept, so each request asks anew.
    let script = world.dir().join("keys");
    let calls = world.dir().join("calls");
    let (id, secret) = (world.environment["AWS_ACCESS_KEY_ID"].clone(), world.environment["AWS_SECRET_ACCESS_KEY"].clone());
    let text = format!(
        "#!/bin/sh\necho >> '{}'\nat=$(date -u -d '+2 minutes' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v+2M +%Y-%m-%dT%H:%M:%SZ)\n\
         echo '{{\"Version\": 1, \"AccessKeyId\": \"{id}\", \"SecretAccessKey\": \"{secret}\", \"Expiration\": \"'$at'\"}}'\n",
        calls.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = world.dir().join("aws.ini");
    std::fs::write(&config, format!("[default]\nregion = us-east-1\ncredential_process = {}\n", script.display())).unwrap();
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        world.environment.remove(name);
    }
    world.environment.insert("AWS_CONFIG_FILE".into(), config.display().to_string());
    world.run_well();
    let asked = std::fs::read_to_string(&calls).unwrap().lines().count();
    assert!(asked >= 2, "the keys were asked for {asked} times");
    world.is_whole(2, AFTER);
}

#[test]
fn a_vacuum_during_a_read_leaves_the_reader_its_files() {
    let world = World::published();
    let gate = Gate::new();
    world.server.fail(1, data_read("mapped"), Fault::Held(gate.clone()));
    let reader = world.start(&["sql", "SELECT count(DISTINCT title) > 0 AS any, count(*) AS n FROM alder.mapped", "--format", "csv"]);
    reached(&gate, 1);
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
    let gate = Gate::new();
    world.server.fail(1, commit_put, Fault::Held(gate.clone()));
    let run = world.start(&["run", "nightly"]);
    reached(&gate, 1);
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
    let gate = Gate::new();
    world.server.fail(1, commit_put, Fault::Held(gate.clone()));
    let run = world.start(&["run", "nightly"]);
    reached(&gate, 1);
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
    run.failed(1, &["PS520", "a vacuum that took this run for dead and removed its files; nothing of this run was published", "`pacha run nightly`"]);
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
    let gate = Gate::new();
    world.server.fail(1, commit_put, Fault::Held(gate.clone()));
    let rollback = world.start(&["rollback", "alder", "--to", "1"]);
    reached(&gate, 1);
    let done = world.json(&["vacuum", "alder", "--keep", "1", "--older-than", "0s"]);
    assert_eq!((done["version"].as_u64(), done["oldest"].as_u64()), (Some(4), Some(3)), "{done:#}");
    gate.open();
    ended(rollback).failed(1, &["PS520", "`pacha commits alder`", "`pacha rollback alder --to 1`"]);
    assert_eq!((world.version(), world.rows()), (4, BEFORE));
    world.pacha(&["rollback", "alder", "--to", "1"]).failed(2, &["PS526", "its versions are 3 to 4"]);
    // The other way round the vacuum looks again, and keeps what has come back.
    let back = Gate::new();
    assert_eq!(world.pacha(&["run", "nightly", "--force"]).code, Some(0));
    world.server.fail(1, commit_put, Fault::Held(back.clone()));
    let vacuum = world.start(&["vacuum", "alder", "--keep", "1", "--older-than", "0s", "--format", "json"]);
    reached(&back, 1);
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
