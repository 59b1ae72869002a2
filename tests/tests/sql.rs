//! SQL behaviour, as sqllogictest files: `sql/function`, `sql/source` and `sql/statement`.

use std::error::Error;

use engine::function;
use engine::job::RunOptions;
use engine::job::prepare::Request;
use pacha_tests::backend::Backend;
use pacha_tests::fixture::{self, Fixture};
use pacha_tests::slt;
use schemas::source::SourceSchema;

const BACKENDS: [Backend; 1] = [Backend::Embedded];

async fn pass(fixture: &Fixture, folder: &str) -> Result<(), Box<dyn Error>> {
    for backend in BACKENDS {
        let outcome = slt::run(backend, fixture, &fixture::root().join("sql").join(folder)).await;
        let files = outcome.map_err(|error| format!("{backend:?}: {error}"))?;
        eprintln!("{backend:?}: {files} files of {folder}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_gives_what_its_file_says() {
    let outcome = pass(&Fixture::bare().unwrap(), "function").await;
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_function_has_a_file() {
    let folder = fixture::root().join("sql/function");
    let without: Vec<&str> = function::documentation()
        .iter()
        .map(|function| function.name)
        .filter(|name| !folder.join(format!("{name}.slt")).is_file())
        .collect();
    assert!(without.is_empty(), "no tests/sql/function/<name>.slt for {}", without.join(", "));
}

#[test]
fn every_source_schema_has_a_file() {
    let folder = fixture::root().join("sql/source");
    let without: Vec<&str> =
        SourceSchema::shipped_names().into_iter().filter(|name| !folder.join(format!("{name}.slt")).is_file()).collect();
    assert!(without.is_empty(), "no tests/sql/source/<name>.slt for {}", without.join(", "));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_gives_what_its_file_says() {
    let outcome = pass(&Fixture::project("harbour").unwrap(), "source").await;
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_gives_what_its_file_says() {
    let fixture = Fixture::project("harbour").unwrap();
    fixture.run("nightly", &RunOptions::default()).await.unwrap();
    fixture.run("report", &RunOptions::default()).await.unwrap();
    let request = Request { collections: vec!["oai_qdc".into()], force: true, ..Request::default() };
    fixture.run("nightly", &RunOptions { request, ..RunOptions::default() }).await.unwrap();
    let boats = "SELECT port, boats FROM (VALUES ('Marrow', 4), ('Sable', 1)) AS t(port, boats)";
    Box::pin(fixture.write_parquet(boats, "files/ports.parquet")).await.unwrap();
    let outcome = pass(&fixture, "statement").await;
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
