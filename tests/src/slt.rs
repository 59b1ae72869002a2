//! Runs the sqllogictest files of a folder and reports every file that fails, not only the first.
//!
//! The columns of a row are written with ` | ` between them: values hold spaces, and a value that slips into its
//! neighbour must not pass. `PACHA_SLT=update` writes what the engine answers into the files, for review as a diff.

use std::path::{Path, PathBuf};

use engine::job::RunOptions;
use engine::job::prepare::Request;
use sqllogictest::{DefaultColumnType, Normalizer, Runner};

use crate::backend::{Client, Mistake, Place};
use crate::fixture::Fixture;

const BETWEEN_COLUMNS: &str = " | ";

/// Runs every `.slt` file of `folder`, about the project of `fixture`; returns how many there were.
///
/// # Errors
/// What failed, each with file and line; or the folder cannot be read or is empty.
pub async fn run(place: &Place, fixture: &Fixture, folder: &Path) -> Result<usize, Box<dyn std::error::Error>> {
    let update = std::env::var("PACHA_SLT").is_ok_and(|value| value == "update");
    let files = files(folder)?;
    let mut failures = Vec::new();
    for file in &files {
        let mut runner = Runner::new(|| async { Ok::<_, Mistake>(Client(place.clone())) });
        runner.with_validator(validate);
        runner.with_column_validator(same_types);
        runner.set_var("PROJECT".into(), fixture.path().display().to_string());
        if update {
            runner.update_test_file(file, BETWEEN_COLUMNS, validate, sqllogictest::default_normalizer, same_types).await?;
        } else if let Err(error) = runner.run_file_async(file).await {
            failures.push(error.display(false).to_string());
        }
    }
    match failures.len() {
        0 => Ok(files.len()),
        failed => Err(format!("{failed} of {} files fail\n\n{}", files.len(), failures.join("\n\n")).into()),
    }
}

/// The project that the files of `statement` are about, with its tables published.
///
/// # Errors
/// A job fails, or a file cannot be written.
pub async fn published() -> Result<Fixture, Box<dyn std::error::Error>> {
    let fixture = Fixture::project("harbour")?;
    fixture.run("nightly", &RunOptions::default()).await?;
    fixture.run("report", &RunOptions::default()).await?;
    let request = Request { collections: vec!["oai_qdc".into()], force: true, ..Request::default() };
    fixture.run("nightly", &RunOptions { request, ..RunOptions::default() }).await?;
    let boats = "SELECT port, boats FROM (VALUES ('Marrow', 4), ('Sable', 1)) AS t(port, boats)";
    Box::pin(fixture.write_parquet(boats, "files/ports.parquet")).await?;
    Ok(fixture)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn std::error::Error>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "slt") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(format!("no .slt file in {}", folder.display()).into());
    }
    files.sort();
    Ok(files)
}

fn validate(normalizer: Normalizer, actual: &[Vec<String>], expected: &[String]) -> bool {
    let rows = actual.iter().map(|row| row.iter().map(normalizer).collect::<Vec<_>>().join(BETWEEN_COLUMNS));
    rows.eq(expected.iter().map(normalizer))
}

#[expect(clippy::ptr_arg, reason = "sqllogictest's type of a validator")]
fn same_types(actual: &Vec<DefaultColumnType>, expected: &Vec<DefaultColumnType>) -> bool {
    let same = |(actual, expected): (&DefaultColumnType, &DefaultColumnType)| *expected == DefaultColumnType::Any || actual == expected;
    actual.len() == expected.len() && actual.iter().zip(expected).all(same)
}
