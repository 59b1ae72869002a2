//! What every catalog must do, given one that holds `<database>.mapped` at versions 1 and 2, and `empty` nowhere.

use std::sync::Arc;

use aws_credential_types::Credentials;
use engine::catalog::{Catalog, MemoryCatalog, TableName, WarehouseCatalog};
use engine::project::Project;
use engine::session::Session;

use super::world::{World, commit, database, open, publish};

async fn suite(catalog: &dyn Catalog, name: &str) {
    let databases = catalog.databases().await.unwrap();
    assert!(databases.is_sorted() && databases.iter().filter(|found| *found == name).count() == 1, "{databases:?}");
    assert_eq!(catalog.tables(name).await.unwrap(), ["findings", "mapped"]);
    assert!(catalog.tables("nowhere").await.unwrap().is_empty());
    let mapped = TableName::new(name, "mapped");
    assert_eq!(mapped.to_string(), format!("{name}.mapped"));
    let newest = catalog.table(&mapped, None).await.unwrap().unwrap();
    let newest = newest.version().unwrap();
    assert_eq!((newest.snapshot().version, newest.name(), newest.state().rows()), (3, "mapped", 2));
    let old = catalog.table(&mapped, Some(1)).await.unwrap().unwrap();
    assert_eq!((old.version().unwrap().snapshot().version, old.version().unwrap().state().rows()), (1, 1));
    assert!(catalog.table(&TableName::new(name, "findings"), Some(1)).await.unwrap().is_none());
    assert!(catalog.table(&TableName::new(name, "mapd"), None).await.unwrap().is_none());
    assert!(catalog.table(&TableName::new("nowhere", "mapped"), None).await.unwrap().is_none());
    let error = catalog.table(&mapped, Some(9)).await.unwrap_err().to_string();
    assert!(error.starts_with("PS525 database calisphere has no version 9: its versions are 1 to 3"), "{error}");
}

async fn commit_all(session: &Session) {
    commit(session, "calisphere", "mapped", &[&["1"]]).await;
    commit(session, "calisphere", "findings", &[&["1"]]).await;
    commit(session, "calisphere", "mapped", &[&["1"], &["2"]]).await;
}

#[tokio::test]
async fn the_warehouse_memory_and_glue_pass_the_suite() {
    let world = World::new();
    let session = world.session();
    commit_all(&session).await;
    suite(&WarehouseCatalog::new(session.warehouse.clone()), "calisphere").await;

    let memory = MemoryCatalog::default();
    let log = database(&session, "calisphere");
    for version in [1, 2, 3] {
        memory.insert(&log, Arc::new(log.snapshot(Some(version)).await.unwrap()));
    }
    suite(&memory, "calisphere").await;

    for name in ["a_database", "b_database", "c_database", "d_database", "z_database"] {
        world.glue.call("CreateDatabase", &serde_json::json!({ "DatabaseInput": { "Name": name } })).unwrap();
    }
    publish(&session, "calisphere").await.unwrap();
    suite(session.glue.as_deref().unwrap(), "calisphere").await;
    assert!(world.glue.asked("GetDatabases").len() > 1, "the names came in pages");
}

#[tokio::test]
async fn a_catalog_elsewhere_passes_the_suite_and_follows_new_versions() {
    let Ok(endpoint) = std::env::var("PACHA_TEST_GLUE_ENDPOINT") else {
        eprintln!("NOT TESTED: no Glue server outside of this process; PACHA_TEST_GLUE_ENDPOINT=http://127.0.0.1:5000 names one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut project = Project::bare(folder.path());
    project.settings.glue.endpoint = Some(endpoint);
    project.settings.glue.prefix = format!("t{}_", uuid());
    let from_environment = |name: &str| std::env::var(name).unwrap_or_else(|_| "testing".to_owned());
    let credentials =
        Credentials::new(from_environment("AWS_ACCESS_KEY_ID"), from_environment("AWS_SECRET_ACCESS_KEY"), None, None, "test");
    let session = open(project, credentials);
    commit_all(&session).await;
    publish(&session, "calisphere").await.unwrap();
    let glue = session.glue.as_deref().unwrap();
    let name = glue.database_of("calisphere");
    suite(glue, &name).await;
    commit(&session, "calisphere", "mapped", &[&["1"]]).await;
    publish(&session, "calisphere").await.unwrap();
    let newest = glue.table(&TableName::new(name, "mapped"), None).await.unwrap().unwrap();
    assert_eq!(newest.version().unwrap().snapshot().version, 4);
}

/// A name that no earlier test of the same server has used.
fn uuid() -> String {
    engine::job::record::new_id().replace('-', "")
}
