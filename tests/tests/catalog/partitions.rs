//! Tables that are partitioned by collection: registered one by one in batches, or computed by readers.

use std::collections::BTreeSet;

use engine::catalog::glue::{ACTIONS, Outcome, State};
use engine::catalog::{Catalog, TableName};
use engine::project::Partitions;
use engine::session::Session;
use pacha_tests::glue::Fault;
use serde_json::json;

use super::world::{World, commit, database, files, local, publish};

/// Commits a table of so many collections, two to a file.
async fn collections(session: &Session, ids: std::ops::Range<usize>) {
    let ids: Vec<String> = ids.map(|id| format!("{id:04}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let files: Vec<&[&str]> = ids.chunks(2).collect();
    commit(session, "d", "mapped", &files).await;
}

/// Every partition points at its collection's folder of the version, which holds a file.
fn all_at(world: &World, ids: std::ops::Range<usize>, version: u64) {
    let partitions = world.glue.partitions("d", "mapped");
    let found: Vec<&str> = partitions.iter().map(|(id, _)| id.as_str()).collect();
    let expected: Vec<String> = ids.map(|id| format!("{id:04}")).collect();
    assert_eq!(found, expected);
    for (id, location) in &partitions {
        assert!(location.ends_with(&format!("mapped/published/{version:020}/by_collection/collection_id={id}/")), "{location}");
        assert_eq!(files(local(location)).len(), 1, "{location}");
    }
}

#[tokio::test]
async fn more_partitions_than_a_batch_holds_are_registered_changed_and_removed() {
    let world = World::new();
    let session = world.partitioned(Partitions::Registered);
    collections(&session, 0..230).await;
    publish(&session, "d").await.unwrap();
    all_at(&world, 0..230, 1);
    let sizes = |operation: &str, list: &str| -> Vec<usize> {
        world.glue.asked(operation).iter().map(|body| body[list].as_array().unwrap().len()).collect()
    };
    assert_eq!(sizes("BatchCreatePartition", "PartitionInputList"), [100, 100, 30]);
    let table = world.glue.table("d", "mapped").unwrap();
    assert_eq!(table["PartitionKeys"], json!([{ "Name": "collection_id", "Type": "string", "Comment": "The collection." }]));
    let columns = table["StorageDescriptor"]["Columns"].as_array().unwrap();
    assert!(columns.iter().all(|column| column["Name"] != "collection_id"), "a partition column is no column");

    // 180 go, 50 stay, 10 come: what comes and changes is there before the swap, what goes goes after it.
    world.glue.forget_requests();
    collections(&session, 180..240).await;
    publish(&session, "d").await.unwrap();
    all_at(&world, 180..240, 2);
    assert_eq!(sizes("BatchCreatePartition", "PartitionInputList"), [10]);
    assert_eq!(sizes("BatchUpdatePartition", "Entries"), [50]);
    assert_eq!(sizes("BatchDeletePartition", "PartitionsToDelete"), [25, 25, 25, 25, 25, 25, 25, 5]);
    let order: Vec<String> = world.glue.requests().into_iter().map(|one| one.operation).collect();
    let place = |operation: &str| order.iter().position(|one| one == operation).unwrap();
    assert!(place("BatchCreatePartition") < place("UpdateTable") && place("BatchUpdatePartition") < place("UpdateTable"), "{order:?}");
    assert!(place("UpdateTable") < place("BatchDeletePartition"), "{order:?}");
}

#[tokio::test]
async fn errors_of_single_items_are_tried_again_and_named_if_they_stay() {
    let world = World::new();
    let session = world.partitioned(Partitions::Registered);
    collections(&session, 0..4).await;
    world.glue.fail("BatchCreatePartition", 1, &Fault::Item("0002", "InternalServiceException"));
    publish(&session, "d").await.unwrap();
    all_at(&world, 0..4, 1);

    collections(&session, 0..4).await;
    world.glue.fail("BatchUpdatePartition", 100, &Fault::Item("0001", "InvalidInputException"));
    let error = publish(&session, "d").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "PS574 1 partitions of d.mapped in Glue could not be registered: 0001 (InvalidInputException: this one does not work); hint: what is registered can be read; go on with `pacha catalog repair`"
    );
    assert_eq!(world.glue.table("d", "mapped").unwrap()["Parameters"]["pachamama.version"], "1", "the swap has not happened");
    world.glue.recover();
    publish(&session, "d").await.unwrap();
    all_at(&world, 0..4, 2);
}

#[tokio::test]
async fn a_partition_that_somebody_made_first_is_fine_only_at_our_location() {
    let world = World::new();
    let session = world.partitioned(Partitions::Registered);
    collections(&session, 0..2).await;
    publish(&session, "d").await.unwrap();
    let elsewhere = json!({ "Values": ["0002"], "StorageDescriptor": { "Location": "s3://elsewhere/x/", "Columns": [] } });
    // Between our look and our call somebody registers a partition of the new version, and at another place.
    let held = world.glue.hold("BatchCreatePartition");
    collections(&session, 0..3).await;
    let meddle = async {
        held.arrived().await;
        world
            .glue
            .call("BatchCreatePartition", &json!({ "DatabaseName": "d", "TableName": "mapped", "PartitionInputList": [elsewhere] }))
            .unwrap();
        held.release();
    };
    let (publication, ()) = tokio::join!(publish(&session, "d"), meddle);
    publication.unwrap();
    all_at(&world, 0..3, 2);
}

#[tokio::test]
async fn partitions_that_a_dead_publisher_left_are_mended_although_the_table_is_in_step() {
    let world = World::new();
    let session = world.partitioned(Partitions::Registered);
    collections(&session, 0..40).await;
    publish(&session, "d").await.unwrap();
    collections(&session, 0..4).await;
    // It dies after the swap, before what is gone was removed.
    let held = world.glue.hold("BatchDeletePartition");
    tokio::select! {
        _ = publish(&session, "d") => panic!("it was to die"),
        () = held.arrived() => {}
    }
    let deleted = json!([{ "Values": ["0001"] }]);
    world.glue.call("BatchDeletePartition", &json!({ "DatabaseName": "d", "TableName": "mapped", "PartitionsToDelete": deleted })).unwrap();
    let standing = session.glue.as_ref().unwrap().standing(&database(&session, "d")).await.unwrap();
    assert_eq!(
        (standing[0].state, &standing[0].differences[..]),
        (State::Behind, &["of 4 partitions, 1 missing, 36 too many".to_owned()][..])
    );
    let publication = publish(&world.partitioned(Partitions::Registered), "d").await.unwrap();
    assert_eq!(publication.tables[0].outcome, Outcome::Updated);
    all_at(&world, 0..4, 2);
}

#[tokio::test]
async fn projected_partitions_are_swapped_in_one_call() {
    let world = World::new();
    let session = world.partitioned(Partitions::Projected);
    commit(&session, "d", "mapped", &[&["a", "b"], &["b"]]).await;
    publish(&session, "d").await.unwrap();
    commit(&session, "d", "mapped", &[&["a", "c"], &["b"]]).await;
    world.glue.forget_requests();
    publish(&session, "d").await.unwrap();
    let table = world.glue.table("d", "mapped").unwrap();
    let parameters = &table["Parameters"];
    let place = table["StorageDescriptor"]["Location"].as_str().unwrap();
    assert_eq!(parameters["projection.enabled"], "true");
    assert_eq!(parameters["projection.collection_id.type"], "enum");
    assert_eq!(parameters["projection.collection_id.values"], "a,b,c");
    assert_eq!(parameters["storage.location.template"], format!("{place}collection_id=${{collection_id}}/"));
    assert_eq!(files(local(place)), ["collection_id=a/run2-0.parquet", "collection_id=b/run2-1.parquet", "collection_id=c/run2-0.parquet"]);
    assert_eq!(world.glue.asked("UpdateTable").len(), 1);
    assert!(world.glue.asked("BatchCreatePartition").is_empty());
}

#[tokio::test]
async fn too_many_collections_for_a_parameter_are_asked_of_the_query() {
    let world = World::new();
    let session = world.partitioned(Partitions::Projected);
    collections(&session, 0..1_001).await;
    publish(&session, "d").await.unwrap();
    let parameters = world.glue.table("d", "mapped").unwrap()["Parameters"].clone();
    assert_eq!(parameters["projection.collection_id.type"], "injected");
    assert_eq!(parameters["projection.collection_id.values"], json!(null));
}

#[tokio::test]
async fn a_change_of_the_setting_makes_the_table_anew_at_a_location_of_its_own() {
    let world = World::new();
    let plain = world.session();
    commit(&plain, "d", "mapped", &[&["a"], &["b"]]).await;
    commit(&plain, "d", "by_decade", &[&["a"]]).await;
    publish(&plain, "d").await.unwrap();
    let registered = world.partitioned(Partitions::Registered);
    publish(&registered, "d").await.unwrap();
    assert_eq!(world.glue.partitions("d", "mapped").len(), 2);
    assert_eq!(world.glue.table("d", "by_decade").unwrap()["PartitionKeys"], json!([]), "a step's table is not by collection");
    publish(&world.partitioned(Partitions::Projected), "d").await.unwrap();
    publish(&plain, "d").await.unwrap();
    let table = world.glue.table("d", "mapped").unwrap();
    assert_eq!(table["PartitionKeys"], json!([]));
    assert_eq!(table["Parameters"]["projection.enabled"], json!(null));
    assert_eq!(files(local(table["StorageDescriptor"]["Location"].as_str().unwrap())), ["run1-0.parquet", "run1-1.parquet"]);
}

#[tokio::test]
async fn the_actions_of_the_policy_are_the_calls_that_are_made() {
    let world = World::new();
    let session = world.partitioned(Partitions::Registered);
    collections(&session, 0..3).await;
    publish(&session, "d").await.unwrap();
    collections(&session, 1..5).await;
    publish(&session, "d").await.unwrap();
    let glue = session.glue.as_ref().unwrap();
    glue.databases().await.unwrap();
    glue.table(&TableName::new("d", "mapped"), None).await.unwrap();
    glue.unregister(&database(&session, "d"), None).await.unwrap();
    let called: BTreeSet<String> = world.glue.requests().into_iter().map(|one| format!("glue:{}", one.operation)).collect();
    assert_eq!(called, ACTIONS.map(str::to_owned).into());
}
