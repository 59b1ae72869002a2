//! Runs the sqllogictest files of a folder and reports every file that fails, not only the first.
//!
//! The columns of a row are written with ` | ` between them: values hold spaces, and a value that slips into its
//! neighbour must not pass. `PACHA_SLT=update` writes what the engine answers into the files, for review as a diff.

use std::path::{Path, PathBuf};

use sqllogictest::{DefaultColumnType, Normalizer, Runner};

use crate::backend::{Backend, Client, Mistake};
use crate::fixture::Fixture;

const BETWEEN_COLUMNS: &str = " | ";

/// Runs every `.slt` file of `folder` on the fixture; returns how many there were.
///
/// # Errors
/// What failed, each with file and line; or the folder cannot be read or is empty.
pub async fn run(backend: Backend, fixture: &Fixture, folder: &Path) -> Result<usize, Box<dyn std::error::Error>> {
    let update = std::env::var("PACHA_SLT").is_ok_and(|value| value == "update");
    let files = files(folder)?;
    let mut failures = Vec::new();
    for file in &files {
        let mut runner = Runner::new(|| async { Ok::<_, Mistake>(Client::new(backend, &fixture.session)) });
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
