//! Steps 1 to 4, up to the commit: killed processes, attempts made twice, late writes, lost answers, several writers, a store
//! that throttles, credentials that expire.

use std::collections::BTreeSet;

use pacha_tests::s3::Fault;

use crate::world::{AFTER, BEFORE, BUCKET, DATABASE, World, commit_put, data_put, ended};

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
    let (first, gate) = world.start_up_to_commit(&["run", "nightly"]);
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
    let (maps, gate) = world.start_up_to_commit(&["run", "nightly", "--collection", "maps", "--force"]);
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
    // Every third request, whatever it is: fewer than a run makes in any order of its tasks.
    let asked = std::sync::atomic::AtomicUsize::new(0);
    world.server.fail(6, move |_| asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 3 == 2, Fault::slow_down());
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
