//! SQL behaviour, as sqllogictest files: `sql/function`, `sql/source` and `sql/statement`. `cluster/same.rs` has the same files
//! answered by executors.

use std::error::Error;

use engine::function;
use pacha_tests::backend::Place;
use pacha_tests::fixture::{self, Fixture};
use pacha_tests::slt;
use schemas::source::SourceSchema;

async fn pass(fixture: &Fixture, folder: &str) -> Result<(), Box<dyn Error>> {
    let files = slt::run(&Place::here(&fixture.session), fixture, &fixture::root().join("sql").join(folder)).await?;
    eprintln!("{files} files of {folder}");
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
    let fixture = slt::published().await.unwrap();
    let outcome = pass(&fixture, "statement").await;
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
