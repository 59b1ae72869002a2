//! Step 5, as readers of Glue see it: a process killed around the swap, tasks that write late, answers of Glue that are lost,
//! stale, throttled or refused, and a vacuum. Whoever knows nothing of the log sees one whole version at any time.

use std::collections::BTreeSet;
use std::time::Duration;

use pacha_tests::glue::{FakeGlue, Fault, Held};
use pacha_tests::s3;
use serde_json::json;

use crate::world::{AFTER, BEFORE, BUCKET, DATABASE, World, commit_put, ended};

/// What a reader finds who knows Glue alone: the version of `mapped`, its rows, and the keys at its place.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    version: u64,
    rows: u64,
    keys: BTreeSet<String>,
}

fn find(world: &World, glue: &FakeGlue) -> Found {
    let table = glue.table("alder", "mapped").unwrap();
    let location = table["StorageDescriptor"]["Location"].as_str().unwrap().to_owned();
    let keys = world.server.buckets.keys(BUCKET, location.strip_prefix(&format!("s3://{BUCKET}/")).unwrap().trim_end_matches('/'));
    let files: Vec<String> = keys.iter().map(|key| format!("SELECT record_id FROM 's3://{BUCKET}/{key}'")).collect();
    assert!(!files.is_empty(), "nothing is at {location}");
    let sql = format!("SELECT count(*) AS n, count(DISTINCT record_id) AS ids FROM ({})", files.join(" UNION ALL "));
    let count = world.json(&["sql", &sql]);
    assert_eq!(count[0]["n"], count[0]["ids"], "a record is there twice");
    Found {
        version: table["Parameters"]["pachamama.version"].as_str().unwrap().parse().unwrap(),
        rows: count[0]["n"].as_u64().unwrap(),
        keys: keys.into_iter().collect(),
    }
}

/// Glue shows this version, whole and nothing else, in every table; and the log says the same.
fn shows(world: &World, glue: &FakeGlue, version: u64, rows: u64) {
    let found = find(world, glue);
    assert_eq!((found.version, found.rows), (version, rows), "{found:?}");
    let log = &world.json(&["sql", "SELECT count(*) AS n FROM alder.mapped"])[0]["n"];
    assert_eq!(*log, rows);
    let standing = world.json(&["catalog", "show", "alder"]);
    let standing = standing.as_array().unwrap();
    assert!(standing.len() >= 4 && standing.iter().all(|table| table["state"] == "in_step"), "{standing:#?}");
    let asked: BTreeSet<String> = glue.requests().into_iter().map(|request| format!("glue:{}", request.operation)).collect();
    let allowed: BTreeSet<String> = engine::catalog::glue::ACTIONS.map(str::to_owned).into();
    assert!(asked.is_subset(&allowed), "the policy of `pacha doctor --policy` does not allow {:?}", asked.difference(&allowed));
}

/// A run is killed at a point; Glue shows one version or the other, whole, and the next run brings it up to date.
fn killed(point: &str, swapped: bool) {
    let (world, glue) = World::in_catalog();
    world.harvest();
    world.dies(point, &["run", "nightly"]);
    let found = find(&world, &glue);
    assert_eq!((found.version, found.rows), if swapped { (2, AFTER) } else { (1, BEFORE) }, "{point}");
    world.run_well();
    shows(&world, &glue, 2, AFTER);
    world.is_whole(2, AFTER);
}

#[test]
fn killed_before_the_commit_glue_shows_the_version_before() {
    for point in ["before-data-files", "after-data-files", "before-commit"] {
        killed(point, false);
    }
}

#[test]
fn killed_between_commit_and_copy_the_next_run_publishes_although_nothing_has_changed() {
    killed("after-commit", false);
}

#[test]
fn killed_before_its_record_glue_shows_the_version() {
    killed("before-record", true);
}

#[test]
fn killed_between_copy_and_swap_repair_finishes_it() {
    let (world, glue) = World::in_catalog();
    world.harvest();
    world.dies("after-copy", &["run", "nightly"]);
    let found = find(&world, &glue);
    assert_eq!((found.version, found.rows, world.version()), (1, BEFORE, 2));
    let repair = world.pacha(&["catalog", "repair", "alder"]);
    assert_eq!(repair.code, Some(0), "{repair:?}");
    shows(&world, &glue, 2, AFTER);
}

#[test]
fn killed_after_a_swap_the_other_tables_follow_with_the_next_run() {
    let (world, glue) = World::in_catalog();
    world.harvest();
    world.dies("after-swap", &["run", "nightly"]);
    let found = find(&world, &glue);
    assert!(matches!((found.version, found.rows), (1, BEFORE) | (2, AFTER)), "{found:?}");
    world.run_well();
    shows(&world, &glue, 2, AFTER);
}

#[test]
fn a_file_that_a_dead_task_writes_late_is_seen_neither_by_the_log_nor_in_glue() {
    let (world, glue) = World::in_catalog();
    let run = world.commits()[0]["run_id"].as_str().unwrap().to_owned();
    let copy = world.server.buckets.keys(BUCKET, &format!("{DATABASE}/mapped/data/{run}")).remove(0);
    let bytes = world.server.buckets.get(BUCKET, &copy).unwrap();
    // One comes between the commit and the copy, one after the swap.
    let (early, late) = (copy.replace(".parquet", "-early.parquet"), copy.replace(".parquet", "-late.parquet"));
    let put = (early.clone(), bytes.clone());
    world.server.fail(1, commit_put, s3::Fault::after(move |buckets, _| buckets.put(BUCKET, &put.0, put.1.clone())));
    world.harvest();
    world.run_well();
    assert_eq!(world.server.faults_left(), 0);
    let found = find(&world, &glue);
    world.server.buckets.put(BUCKET, &late, bytes);
    assert_eq!(find(&world, &glue), found);
    shows(&world, &glue, 2, AFTER);
    assert_eq!(world.rows(), AFTER);
    assert_eq!(world.strays(), BTreeSet::from([early, late]));
}

#[test]
fn an_update_whose_answer_is_lost_is_made_once() {
    let (world, glue) = World::in_catalog();
    world.harvest();
    glue.fail("UpdateTable", 2, &Fault::Lost);
    world.run_well();
    shows(&world, &glue, 2, AFTER);
}

#[test]
fn a_table_that_was_made_without_an_answer_is_recognised() {
    let glue = FakeGlue::start().unwrap();
    let mut world = World::new("catalog = \"glue\"\n");
    world.environment.insert("AWS_ENDPOINT_URL_GLUE".into(), glue.endpoint());
    glue.fail("CreateDatabase", 1, &Fault::Lost);
    glue.fail("CreateTable", 2, &Fault::Lost);
    world.run_well();
    shows(&world, &glue, 1, BEFORE);
}

#[test]
fn a_stale_version_is_refused_and_looked_at_again() {
    let (world, glue) = World::in_catalog();
    world.harvest();
    let held = glue.hold("UpdateTable");
    let run = world.start(&["run", "nightly"]);
    arrived(&held);
    // Somebody else changes every table: what the run has seen of them is stale.
    let tables = glue.call("GetTables", &json!({ "DatabaseName": "alder" })).unwrap();
    for table in tables["TableList"].as_array().unwrap() {
        let mut input = table.clone();
        for read_only in
            ["DatabaseName", "CreateTime", "UpdateTime", "VersionId", "CatalogId", "IsRegisteredWithLakeFormation", "CreatedBy"]
        {
            input.as_object_mut().unwrap().remove(read_only);
        }
        input["Description"] = "changed by another".into();
        glue.call("UpdateTable", &json!({ "DatabaseName": "alder", "TableInput": input })).unwrap();
    }
    held.release();
    let run = ended(run);
    assert_eq!(run.code, Some(0), "{run:?}");
    shows(&world, &glue, 2, AFTER);
}

#[test]
fn glue_never_goes_back_to_the_version_of_a_slower_run() {
    let (world, glue) = World::in_catalog();
    world.harvest();
    let held = glue.hold("UpdateTable");
    let slower = world.start(&["run", "nightly"]);
    arrived(&held);
    let faster = world.pacha(&["run", "nightly", "--force"]);
    assert_eq!(faster.code, Some(0), "{faster:?}");
    held.release();
    let slower = ended(slower);
    assert_eq!(slower.code, Some(0), "{slower:?}");
    shows(&world, &glue, 3, AFTER);
    world.is_whole(3, AFTER);
}

#[test]
fn a_throttled_catalog_is_waited_for() {
    let (world, glue) = World::in_catalog();
    world.harvest();
    glue.fail("GetTables", 2, &Fault::throttled());
    glue.fail("UpdateTable", 3, &Fault::throttled());
    glue.fail("UpdateTable", 1, &Fault::broken());
    world.run_well();
    shows(&world, &glue, 2, AFTER);
}

#[test]
fn credentials_that_expire_before_the_swap_leave_the_commit_and_say_what_to_type() {
    let (world, glue) = World::in_catalog();
    world.harvest();
    glue.fail("UpdateTable", 1_000, &Fault::Refuse(400, "ExpiredTokenException", "The security token included in the request is expired"));
    let run = world.pacha(&["run", "nightly"]);
    run.failed(1, &["PS560", "version 2 of alder is committed, and Glue does not show all of it yet", "pacha catalog repair alder"]);
    glue.recover();
    let found = find(&world, &glue);
    assert_eq!((found.version, found.rows, world.version(), world.rows()), (1, BEFORE, 2, AFTER));
    let runs = world.json(&["runs"]);
    assert_eq!((&runs[0]["state"], &runs[0]["version"]), (&"FAILED".into(), &2.into()));
    let repair = world.pacha(&["catalog", "repair", "alder"]);
    assert_eq!(repair.code, Some(0), "{repair:?}");
    shows(&world, &glue, 2, AFTER);
}

#[test]
fn a_copy_that_is_refused_leaves_glue_at_the_version_before() {
    let (world, glue) = World::in_catalog();
    world.harvest();
    let copies = |request: &s3::Request| request.header("x-amz-copy-source").is_some();
    world.server.fail(usize::MAX, copies, s3::Fault::access_denied());
    let run = world.pacha(&["run", "nightly"]);
    run.failed(1, &["PS560", "version 2 of alder is committed", "PS535", "access denied", "pacha catalog repair alder"]);
    world.server.heal();
    assert_eq!(find(&world, &glue).version, 1);
    world.run_well();
    shows(&world, &glue, 2, AFTER);
}

#[test]
fn a_vacuum_leaves_what_a_reader_of_glue_may_hold() {
    let (world, glue) = World::in_catalog();
    let first = find(&world, &glue);
    for _ in 0..5 {
        let run = world.pacha(&["run", "nightly", "--force"]);
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    let done = world.json(&["vacuum", "alder"]);
    assert_eq!(done["total"]["files"], 0, "{done:#}");
    assert!(first.keys.iter().all(|key| world.server.buckets.get(BUCKET, key).is_some()), "a reader of version 1 may go on");
    // The vacuum has seen which version Glue shows; what came before it can go once that is long ago, here at once.
    let done = world.json(&["vacuum", "alder", "--keep", "1", "--older-than", "0s"]);
    assert!(done["tables"]["mapped"]["published"]["files"].as_u64().unwrap() >= 4, "{done:#}");
    assert!(done["tables"]["mapped"]["versions"]["files"].as_u64().unwrap() >= 4, "{done:#}");
    assert!(first.keys.iter().all(|key| world.server.buckets.get(BUCKET, key).is_none()));
    shows(&world, &glue, 6, BEFORE);
    let left: BTreeSet<String> = world.server.buckets.keys(BUCKET, &format!("{DATABASE}/mapped/published")).into_iter().collect();
    assert_eq!(left, find(&world, &glue).keys);
}

#[test]
fn a_vacuum_keeps_the_version_that_a_catalog_is_behind_at() {
    let (world, glue) = World::in_catalog();
    let first = find(&world, &glue);
    glue.fail("UpdateTable", 1_000, &Fault::Refuse(400, "AccessDeniedException", "not authorized to perform: glue:UpdateTable"));
    for _ in 0..2 {
        world.pacha(&["run", "nightly", "--force"]).failed(1, &["PS560"]);
    }
    for _ in 0..2 {
        world.json(&["vacuum", "alder", "--keep", "1", "--older-than", "0s"]);
    }
    assert_eq!(find(&world, &glue), first, "Glue still shows it");
    glue.recover();
    world.run_well();
    shows(&world, &glue, world.version(), BEFORE);
}

#[test]
fn a_vacuum_that_cannot_ask_the_catalog_removes_nothing_and_says_why() {
    let (world, glue) = World::in_catalog();
    assert_eq!(world.pacha(&["run", "nightly", "--force"]).code, Some(0));
    let keys = world.server.buckets.keys(BUCKET, DATABASE);
    glue.fail("GetTables", 1_000, &Fault::Refuse(400, "AccessDeniedException", "not authorized to perform: glue:GetTables"));
    world.pacha(&["vacuum", "alder", "--keep", "1", "--older-than", "0s"]).failed(1, &["glue:GetTables"]);
    assert_eq!(world.server.buckets.keys(BUCKET, DATABASE), keys);
}

fn arrived(held: &Held) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let arrived = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), held.arrived()).await });
    arrived.expect("the request that was waited for never came");
}
