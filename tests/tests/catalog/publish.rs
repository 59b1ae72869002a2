//! Publication: one swap, forward only, whatever fails and whoever else is at it.

use std::sync::Arc;

use engine::catalog::glue::{Outcome, Publication, Publish, State};
use engine::catalog::{Catalog, TableName};
use engine::session::Session;
use pacha_tests::glue::Fault;
use serde_json::{Value, json};

use super::world::{World, commit, database, files, local, publish};

fn outcomes(publication: &Publication) -> Vec<(&str, u64, Outcome)> {
    publication.tables.iter().map(|table| (table.table.as_str(), table.version, table.outcome)).collect()
}

fn shown(world: &World, table: &str) -> (String, String) {
    let table = world.glue.table("d", table).unwrap();
    let location = table["StorageDescriptor"]["Location"].as_str().unwrap().to_owned();
    (table["Parameters"]["pachamama.version"].as_str().unwrap().to_owned(), location)
}

/// What must hold whenever nothing is under way: Glue shows the newest version, and its location holds exactly that.
async fn in_step(world: &World, session: &Session) {
    let standing = session.glue.as_ref().unwrap().standing(&database(session, "d")).await.unwrap();
    for one in &standing {
        assert_eq!(one.state, State::InStep, "{one:?}");
    }
    let snapshot = database(session, "d").snapshot(None).await.unwrap();
    for (name, state) in &snapshot.tables {
        let mut names: Vec<String> = state.files.iter().map(|file| file.path.replace('/', "-")).collect();
        names.sort();
        assert_eq!(files(local(&shown(world, name).1)), names);
    }
}

#[tokio::test]
async fn a_table_is_registered_as_athena_spark_and_trino_read_it() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"], &["2", "2"]]).await;
    let publication = publish(&session, "d").await.unwrap();
    assert_eq!(outcomes(&publication), [("mapped", 1, Outcome::Created)]);
    let table = world.glue.table("d", "mapped").unwrap();
    let root = format!("file://{}/warehouse/d/", world.path().display());
    let descriptor = &table["StorageDescriptor"];
    assert_eq!(descriptor["Location"], format!("{root}mapped/published/00000000000000000001/all/"));
    assert_eq!(table["TableType"], "EXTERNAL_TABLE");
    assert_eq!(table["PartitionKeys"], json!([]));
    let expected = json!({
        "pachamama.version": "1", "pachamama.run": "run1", "pachamama.database": root,
        "classification": "parquet", "compressionType": "zstd", "typeOfData": "file", "EXTERNAL": "TRUE",
    });
    assert_eq!(table["Parameters"], expected);
    let columns: Vec<(&str, &str)> = descriptor["Columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| (column["Name"].as_str().unwrap(), column["Type"].as_str().unwrap()))
        .collect();
    assert_eq!(columns, [("collection_id", "string"), ("title", "string"), ("n", "bigint"), ("scores", "array<int>")]);
    assert_eq!(descriptor["Columns"][0]["Comment"], "The collection.");
    assert_eq!(descriptor["SerdeInfo"]["SerializationLibrary"], "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe");
    assert_eq!(descriptor["InputFormat"], "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat");
    in_step(&world, &session).await;
}

#[tokio::test]
async fn a_new_version_is_one_swap_that_archives_nothing_and_an_unchanged_table_is_left_alone() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    commit(&session, "d", "findings", &[&["1"]]).await;
    publish(&session, "d").await.unwrap();
    commit(&session, "d", "mapped", &[&["1"], &["2"]]).await;
    world.glue.forget_requests();
    let publication = publish(&session, "d").await.unwrap();
    assert_eq!(outcomes(&publication), [("findings", 2, Outcome::InStep), ("mapped", 3, Outcome::Updated)]);
    let updates = world.glue.asked("UpdateTable");
    assert_eq!(updates.len(), 1);
    assert_eq!((&updates[0]["VersionId"], &updates[0]["SkipArchive"]), (&json!("0"), &json!(true)));
    let table = world.glue.table("d", "mapped").unwrap();
    assert_eq!((&table["VersionId"], &table["ArchivedVersions"]), (&json!("1"), &json!(0)));
    in_step(&world, &session).await;
    world.glue.forget_requests();
    assert!(publish(&session, "d").await.unwrap().tables.iter().all(|table| table.outcome == Outcome::InStep));
    assert_eq!(world.glue.requests().len(), 1, "an unchanged database costs one look: {:?}", world.glue.requests());
}

#[tokio::test]
async fn what_others_have_noted_about_a_table_stays() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    publish(&session, "d").await.unwrap();
    let mut table = world.glue.table("d", "mapped").unwrap();
    table["Parameters"]["owner.of.the.budget"] = json!("maps");
    world.glue.call("UpdateTable", &json!({ "DatabaseName": "d", "TableInput": table })).unwrap();
    commit(&session, "d", "mapped", &[&["1"], &["1"]]).await;
    publish(&session, "d").await.unwrap();
    assert_eq!(world.glue.table("d", "mapped").unwrap()["Parameters"]["owner.of.the.budget"], "maps");
}

#[tokio::test]
async fn a_stale_version_id_is_looked_at_anew_and_the_catalog_never_goes_backwards() {
    let world = World::new();
    let (slow, fast) = (world.session(), world.session());
    commit(&slow, "d", "mapped", &[&["1"]]).await;
    publish(&slow, "d").await.unwrap();
    commit(&slow, "d", "mapped", &[&["1"], &["2"]]).await;
    // The slow publisher of version 2 is held just before its swap, until version 3 is committed and shown.
    let held = world.glue.hold("UpdateTable");
    let slowly = publish(&slow, "d");
    let quickly = async {
        held.arrived().await;
        commit(&fast, "d", "mapped", &[&["3"]]).await;
        let publication = publish(&fast, "d").await.unwrap();
        assert_eq!(outcomes(&publication), [("mapped", 3, Outcome::Updated)]);
        held.release();
    };
    let (late, ()) = tokio::join!(slowly, quickly);
    assert_eq!(outcomes(&late.unwrap()), [("mapped", 3, Outcome::InStep)]);
    let versions: Vec<Value> =
        world.glue.asked("UpdateTable").iter().map(|body| body["TableInput"]["Parameters"]["pachamama.version"].clone()).collect();
    assert_eq!(versions, ["2", "3"], "the late one was refused and did not try again");
    assert_eq!(shown(&world, "mapped").0, "3");
    in_step(&world, &slow).await;
}

#[tokio::test]
async fn two_that_create_the_same_table_at_once_agree() {
    let world = World::new();
    let (one, other) = (world.session(), world.session());
    commit(&one, "d", "mapped", &[&["1"]]).await;
    let held = world.glue.hold("CreateTable");
    let second = async {
        held.arrived().await;
        publish(&other, "d").await.unwrap();
        held.release();
    };
    let (first, ()) = tokio::join!(publish(&one, "d"), second);
    assert_eq!(outcomes(&first.unwrap()), [("mapped", 1, Outcome::InStep)]);
    in_step(&world, &one).await;
}

#[tokio::test]
async fn many_publishers_at_once_end_at_the_newest_version() {
    let world = World::new();
    let first = world.session();
    for round in 0..4 {
        let ids = ["1", "2", "3", "4"];
        commit(&first, "d", "mapped", &[&ids[..=round]]).await;
        let sessions = [world.session(), world.session(), world.session()];
        let all = sessions.iter().map(|session| publish(session, "d"));
        for publication in futures::future::join_all(all).await {
            publication.unwrap();
        }
    }
    assert_eq!(shown(&world, "mapped").0, "4");
    in_step(&world, &first).await;
    let updates = world.glue.asked("UpdateTable");
    let versions: Vec<u64> =
        updates.iter().map(|body| body["TableInput"]["Parameters"]["pachamama.version"].as_str().unwrap().parse().unwrap()).collect();
    assert!(versions.is_sorted(), "{versions:?}");
}

#[tokio::test]
async fn throttling_faults_and_lost_answers_are_repeated_until_it_is_done() {
    for (operation, fault) in [
        ("GetTables", Fault::throttled()),
        ("GetTables", Fault::broken()),
        ("CreateDatabase", Fault::Lost),
        ("CreateTable", Fault::throttled()),
        ("CreateTable", Fault::Lost),
        ("UpdateTable", Fault::broken()),
        ("UpdateTable", Fault::Lost),
        ("UpdateTable", Fault::Refuse(400, "OperationTimeoutException", "The operation timed out.")),
        ("UpdateTable", Fault::Refuse(400, "ConcurrentModificationException", "Somebody else was first.")),
    ] {
        let world = World::new();
        let session = world.session();
        world.glue.fail(operation, 2, &fault);
        commit(&session, "d", "mapped", &[&["1"]]).await;
        publish(&session, "d").await.unwrap_or_else(|error| panic!("{operation} {fault:?}: {error}"));
        commit(&session, "d", "mapped", &[&["1"], &["2"]]).await;
        publish(&session, "d").await.unwrap_or_else(|error| panic!("{operation} {fault:?}: {error}"));
        in_step(&world, &session).await;
        assert_eq!(world.glue.table("d", "mapped").unwrap()["VersionId"], "1", "{operation} {fault:?} swapped more than once");
    }
}

#[tokio::test]
async fn an_update_whose_answer_is_lost_for_good_is_found_done_by_the_next() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    publish(&session, "d").await.unwrap();
    commit(&session, "d", "mapped", &[&["2"]]).await;
    // The first update is carried out; its answer and those of every repetition are lost.
    world.glue.fail("UpdateTable", 100, &Fault::Lost);
    let error = publish(&session, "d").await.unwrap_err().to_string();
    assert!(error.starts_with("PS561 Glue cannot be reached at http://127.0.0.1"), "{error}");
    world.glue.recover();
    world.glue.forget_requests();
    assert_eq!(outcomes(&publish(&session, "d").await.unwrap()), [("mapped", 2, Outcome::InStep)]);
    assert!(world.glue.asked("UpdateTable").is_empty());
    in_step(&world, &session).await;
}

#[tokio::test]
async fn a_publisher_that_dies_between_copy_and_swap_is_finished_by_the_next() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    publish(&session, "d").await.unwrap();
    let before = shown(&world, "mapped");
    commit(&session, "d", "mapped", &[&["1"], &["2"], &["3"]]).await;
    // It is stopped with the copy made and the swap under way: the future is dropped where a process would be killed.
    let held = world.glue.hold("UpdateTable");
    tokio::select! {
        _ = publish(&session, "d") => panic!("it was to die"),
        () = held.arrived() => {}
    }
    assert_eq!(shown(&world, "mapped"), before, "readers see the old version, whole");
    assert_eq!(files(local(&before.1)), ["run1-0.parquet"]);
    // Half a copy and a file that is none of ours are what a death at another moment leaves.
    let place = world.path().join("warehouse/d/mapped/published/00000000000000000002/all");
    std::fs::remove_file(place.join("run2-1.parquet")).unwrap();
    // A copy on a disk is a second name of the same file, so it must go before another takes its place.
    std::fs::remove_file(place.join("run2-2.parquet")).unwrap();
    std::fs::write(place.join("run2-2.parquet"), "half").unwrap();
    std::fs::write(place.join("stray.parquet"), "x").unwrap();
    publish(&world.session(), "d").await.unwrap();
    in_step(&world, &session).await;
}

#[tokio::test]
async fn a_file_that_a_dead_task_writes_late_is_in_no_location_that_readers_list() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    publish(&session, "d").await.unwrap();
    std::fs::copy(
        world.path().join("warehouse/d/mapped/data/run1/0.parquet"),
        world.path().join("warehouse/d/mapped/data/run1/zombie.parquet"),
    )
    .unwrap();
    in_step(&world, &session).await;
}

#[tokio::test]
async fn a_table_that_is_not_ours_is_never_overwritten_unless_it_is_adopted() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    let theirs = json!({
        "Name": "mapped", "PartitionKeys": [], "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": { "Location": "s3://theirs/place/", "Columns": [] },
    });
    world.glue.call("CreateDatabase", &json!({ "DatabaseInput": { "Name": "d" } })).unwrap();
    world.glue.call("CreateTable", &json!({ "DatabaseName": "d", "TableInput": theirs })).unwrap();
    let error = publish(&session, "d").await.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert_eq!(
        error.to_string(),
        "PS566 table d.mapped in Glue was not made by pacha; it points at s3://theirs/place/; hint: set another prefix in [glue] of pacha.toml, or take it over: pacha catalog register d.mapped --adopt"
    );
    assert!(world.glue.asked("UpdateTable").is_empty() && world.glue.asked("DeleteTable").is_empty());
    let glue = session.glue.as_ref().unwrap();
    assert_eq!(glue.standing(&database(&session, "d")).await.unwrap()[0].state, State::Foreign);
    let error = glue.unregister(&database(&session, "d"), Some("mapped")).await.unwrap_err().to_string();
    assert!(error.starts_with("PS566 table d.mapped in Glue is not this warehouse's"), "{error}");
    // Another warehouse's is not ours either.
    let other = World::new();
    let elsewhere = other.session_with(|settings| settings.endpoint = Some(world.glue.endpoint()));
    commit(&elsewhere, "e", "mapped", &[&["1"]]).await;
    publish(&elsewhere, "e").await.unwrap();
    commit(&session, "e", "mapped", &[&["1"]]).await;
    let error = publish(&session, "e").await.unwrap_err().to_string();
    assert!(error.contains("PS566 table e.mapped in Glue belongs to another warehouse, file://"), "{error}");
    let adopted = Publish { adopt: true, ..Publish::default() };
    Box::pin(glue.publish(&session.context, &database(&session, "d"), adopted)).await.unwrap();
    in_step(&world, &session).await;
}

#[tokio::test]
async fn a_table_that_a_rollback_drops_leaves_the_catalog_and_comes_back() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    commit(&session, "d", "extra", &[&["1"]]).await;
    publish(&session, "d").await.unwrap();
    let log = database(&session, "d");
    log.rollback(1, "back", None).await.unwrap();
    assert_eq!(outcomes(&publish(&session, "d").await.unwrap()), [("extra", 3, Outcome::Removed), ("mapped", 1, Outcome::InStep)]);
    assert!(world.glue.table("d", "extra").is_none());
    log.rollback(2, "forth", None).await.unwrap();
    assert_eq!(outcomes(&publish(&session, "d").await.unwrap()), [("extra", 4, Outcome::Created), ("mapped", 1, Outcome::InStep)]);
    in_step(&world, &session).await;
}

#[tokio::test]
async fn a_table_that_comes_back_while_it_is_taken_away_is_there_in_the_end() {
    let world = World::new();
    let (slow, fast) = (world.session(), world.session());
    commit(&slow, "d", "mapped", &[&["1"]]).await;
    commit(&slow, "d", "extra", &[&["1"]]).await;
    publish(&slow, "d").await.unwrap();
    let log = database(&slow, "d");
    log.rollback(1, "back", None).await.unwrap();
    let held = world.glue.hold("DeleteTable");
    let forth = async {
        held.arrived().await;
        log.rollback(2, "forth", None).await.unwrap();
        publish(&fast, "d").await.unwrap();
        held.release();
    };
    let (late, ()) = tokio::join!(publish(&slow, "d"), forth);
    late.unwrap();
    assert_eq!(shown(&world, "extra").0, "4");
    in_step(&world, &slow).await;
}

#[tokio::test]
async fn a_thorough_publication_copies_again_what_is_gone_from_under_an_entry() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"], &["2"]]).await;
    publish(&session, "d").await.unwrap();
    std::fs::remove_dir_all(world.path().join("warehouse/d/mapped/published")).unwrap();
    let thorough = Publish { thorough: true, ..Publish::default() };
    let glue = session.glue.as_ref().unwrap();
    let publication = Box::pin(glue.publish(&session.context, &database(&session, "d"), thorough)).await.unwrap();
    assert_eq!(outcomes(&publication), [("mapped", 1, Outcome::InStep)]);
    in_step(&world, &session).await;
}

#[tokio::test]
async fn a_log_that_ends_before_what_glue_shows_is_said_and_not_published_over() {
    let world = World::new();
    let session = world.session();
    for _ in 0..3 {
        commit(&session, "d", "mapped", &[&["1"]]).await;
    }
    publish(&session, "d").await.unwrap();
    std::fs::remove_dir_all(world.path().join("warehouse")).unwrap();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    let error = publish(&session, "d").await.unwrap_err().to_string();
    assert!(error.starts_with("PS568 Glue shows version 3 of d.mapped, and the log of warehouse/d ends at version 1"), "{error}");
    assert!(error.contains("pacha catalog unregister d.mapped, then pacha catalog register d.mapped"), "{error}");
    let glue = session.glue.as_ref().unwrap();
    assert_eq!(glue.standing(&database(&session, "d")).await.unwrap()[0].state, State::Ahead);
    assert_eq!(glue.unregister(&database(&session, "d"), None).await.unwrap(), ["d.mapped"]);
    publish(&session, "d").await.unwrap();
    in_step(&world, &session).await;
}

#[tokio::test]
async fn the_second_life_of_a_warehouse_is_told_from_the_first_at_the_same_version() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    publish(&session, "d").await.unwrap();
    let run = |world: &World| world.glue.table("d", "mapped").unwrap()["Parameters"]["pachamama.run"].clone();
    assert_eq!(run(&world), "run1");
    std::fs::remove_dir_all(world.path().join("warehouse")).unwrap();
    let database = database(&session, "d");
    let again = engine::table::Proposal { run_id: "another".into(), ..engine::table::Proposal::new("another", "by hand") };
    let mut again = again;
    let schema = engine::table::Columns::default();
    let change = engine::table::TableChange { operation: engine::table::Operation::Replace, schema, add: Vec::new(), remove: Vec::new() };
    again.tables.insert("mapped".into(), change);
    database.commit(&database.snapshot(None).await.unwrap(), again).await.unwrap();
    publish(&session, "d").await.unwrap();
    assert_eq!(run(&world), "another");
    in_step(&world, &session).await;
}

#[tokio::test]
async fn only_the_tables_of_the_setting_are_registered_under_its_prefix() {
    let world = World::new();
    let session = world.session_with(|glue| {
        glue.tables = vec!["mapped".into()];
        glue.prefix = "lib_".into();
    });
    commit(&session, "d", "mapped", &[&["1"]]).await;
    commit(&session, "d", "findings", &[&["1"]]).await;
    let publication = publish(&session, "d").await.unwrap();
    assert_eq!(outcomes(&publication), [("mapped", 1, Outcome::Created)]);
    assert!(world.glue.table("lib_d", "mapped").is_some() && world.glue.table("lib_d", "findings").is_none());
    let standing = session.glue.as_ref().unwrap().standing(&database(&session, "d")).await.unwrap();
    assert_eq!(standing.iter().map(|one| one.state).collect::<Vec<_>>(), [State::NotListed, State::InStep]);
}

#[tokio::test]
async fn statistics_are_pushed_and_their_failure_is_a_warning() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1", "1", "22"]]).await;
    let publication = publish(&session, "d").await.unwrap();
    assert!(publication.warnings.0.is_empty(), "{}", publication.warnings);
    let ids = &world.glue.statistics("d", "mapped", "collection_id").unwrap()["StringColumnStatisticsData"];
    assert_eq!((&ids["MaximumLength"], &ids["NumberOfNulls"], &ids["NumberOfDistinctValues"]), (&json!(2), &json!(0), &json!(2)));
    let numbers = &world.glue.statistics("d", "mapped", "n").unwrap()["LongColumnStatisticsData"];
    assert_eq!((&numbers["MaximumValue"], &numbers["NumberOfDistinctValues"]), (&json!(2), &json!(3)));
    assert!(world.glue.statistics("d", "mapped", "title").is_some(), "a column with a capital in the file has them too");
    assert!(world.glue.statistics("d", "mapped", "scores").is_none());
    world.glue.fail("UpdateColumnStatisticsForTable", 100, &Fault::broken());
    commit(&session, "d", "mapped", &[&["1"]]).await;
    let publication = publish(&session, "d").await.unwrap();
    assert_eq!(outcomes(&publication), [("mapped", 2, Outcome::Updated)]);
    let warning = publication.warnings.to_string();
    assert!(
        warning
            .starts_with("PS573 no column statistics in Glue for mapped: Glue failed at glue:UpdateColumnStatisticsForTable of d.mapped"),
        "{warning}"
    );
    in_step(&world, &session).await;
}

#[tokio::test]
async fn one_table_that_cannot_be_published_does_not_keep_the_others_back() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    commit(&session, "d", "findings", &[&["1"]]).await;
    std::fs::remove_file(world.path().join("warehouse/d/findings/data/run2/0.parquet")).unwrap();
    let error = publish(&session, "d").await.unwrap_err().to_string();
    assert!(error.contains("PS502") && error.contains("findings/data/run2/0.parquet"), "{error}");
    assert_eq!(shown(&world, "mapped").0, "1");
    assert!(world.glue.table("d", "findings").is_none());
}

#[tokio::test]
async fn every_refusal_of_glue_is_said_in_words_that_help() {
    let arn = "arn:aws:glue:us-west-2:123456789012:table/d/mapped";
    let denied = "User: arn:aws:iam::123456789012:user/nightly is not authorized to perform: glue:GetTables on resource: arn:aws:glue:us-west-2:123456789012:table/d/mapped because no identity-based policy allows it";
    for (fault, expected) in [
        (
            Fault::Refuse(400, "AccessDeniedException", denied),
            format!("PS562 access denied: this identity may not do glue:GetTables on {arn} (d); hint: allow it in the identity's policy: `pacha doctor --policy` prints the whole policy"),
        ),
        (
            Fault::Refuse(400, "AccessDeniedException", "Insufficient Lake Formation permission(s): Required Describe on d"),
            "PS563 Lake Formation denies glue:GetTables of d: Insufficient Lake Formation permission(s): Required Describe on d; hint: an administrator".into(),
        ),
        (Fault::throttled(), "PS564 Glue answers too slowly for what is asked of it: glue:GetTables of d was throttled to the end; hint: ".into()),
        (Fault::broken(), "PS565 Glue failed at glue:GetTables of d, again and again: InternalServiceException (status 500); hint: ".into()),
        (
            Fault::Refuse(400, "ExpiredTokenException", "The security token included in the request is expired"),
            "PS576 Glue does not accept the credentials at glue:GetTables of d: The security token included in the request is expired".into(),
        ),
        (
            Fault::Refuse(400, "GlueEncryptionException", "No key."),
            "PS567 Glue refuses glue:GetTables of d: No key (GlueEncryptionException); hint: ".into(),
        ),
    ] {
        let world = World::new();
        let session = world.session();
        commit(&session, "d", "mapped", &[&["1"]]).await;
        world.glue.fail("GetTables", 100, &fault);
        let error = publish(&session, "d").await.unwrap_err().to_string();
        assert!(error.starts_with(&expected), "{error}\nnot\n{expected}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_and_a_wrong_key_are_told_apart() {
    let world = World::new();
    let nowhere = world.session_with(|glue| glue.endpoint = Some("http://127.0.0.1:9".into()));
    commit(&nowhere, "d", "mapped", &[&["1"]]).await;
    let error = publish(&nowhere, "d").await.unwrap_err().to_string();
    assert!(error.starts_with("PS561 Glue cannot be reached at http://127.0.0.1:9 for d: connection refused"), "{error}");
    let mut project = engine::project::Project::bare(world.path());
    project.settings.glue.endpoint = Some(world.glue.endpoint());
    let wrong = aws_credential_types::Credentials::new(pacha_tests::s3::ACCESS_KEY, "another-secret", None, None, "test");
    let error = publish(&super::world::open(project, wrong), "d").await.unwrap_err().to_string();
    assert!(error.starts_with("PS576 Glue does not accept the credentials"), "{error}");
    assert!(!error.contains("another-secret"), "{error}");
}

#[tokio::test]
async fn a_reader_who_began_before_the_swap_reads_the_old_version_to_its_end() {
    let world = World::new();
    let session = world.session();
    commit(&session, "d", "mapped", &[&["1"]]).await;
    publish(&session, "d").await.unwrap();
    let glue = Arc::clone(session.glue.as_ref().unwrap());
    let held = glue.table(&TableName::new("d", "mapped"), None).await.unwrap().unwrap();
    let location = shown(&world, "mapped").1;
    commit(&session, "d", "mapped", &[&["2"]]).await;
    publish(&session, "d").await.unwrap();
    assert_eq!(held.version().unwrap().snapshot().version, 1);
    assert_eq!(files(local(&location)), ["run1-0.parquet"]);
}
