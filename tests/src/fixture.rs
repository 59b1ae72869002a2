//! Projects to test on: copies of `projects/<name>` in a temporary folder, because runs write a warehouse and lock files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::dataframe::{DataFrame, DataFrameWriteOptions};
use engine::job::record::RunRecord;
use engine::job::{self, RunOptions};
use engine::project::Project;
use engine::query::{self, tables::Overlay};
use engine::session::{Session, session};
use schemas::problem::Source;
use tempfile::TempDir;

/// The folder of this crate, in which `sql/` and `projects/` are.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A project that nobody else writes to; it is removed with this value.
#[derive(Debug)]
pub struct Fixture {
    /// The open project.
    pub session: Session,
    folder: TempDir,
}

impl Fixture {
    /// A copy of `projects/<name>`, loaded.
    ///
    /// # Errors
    /// It cannot be copied, or has mistakes.
    pub fn project(name: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        copy(&root().join("projects").join(name), folder.path())?;
        Ok(Self { session: session(&Arc::new(Project::load(folder.path(), &[])?))?, folder })
    }

    /// No project at all, but for the lookups that the tests of functions name.
    ///
    /// # Errors
    /// The lookups cannot be read.
    pub fn bare() -> Result<Self, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut project = Project::bare(folder.path());
        for entry in std::fs::read_dir(root().join("sql/lookups"))? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let source = Source { path: path.display().to_string(), text: std::fs::read_to_string(&path)? };
            project.lookups.insert(name, Arc::new(source));
        }
        Ok(Self { session: session(&Arc::new(project))?, folder })
    }

    /// Where the project is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a job to its end.
    ///
    /// # Errors
    /// There is no such job, or it failed.
    pub async fn run(&self, job: &str, options: &RunOptions) -> engine::Result<RunRecord> {
        let job = self.session.project.job(job)?;
        let (record, error) = Box::pin(job::run(&self.session, job, options, std::future::pending())).await?;
        error.map_or(Ok(record), Err)
    }

    /// The rows of a query, planned as `pacha sql` plans it.
    ///
    /// # Errors
    /// The query fails.
    pub async fn query(&self, sql: &str) -> Result<Vec<RecordBatch>, Box<dyn std::error::Error>> {
        let mut rows = Vec::new();
        for frame in Box::pin(self.frames(sql)).await? {
            rows.extend(frame.collect().await?);
        }
        Ok(rows)
    }

    async fn frames(&self, sql: &str) -> engine::Result<Vec<DataFrame>> {
        let source = Arc::new(Source { path: "query".into(), text: sql.to_owned() });
        let mut frames = Vec::new();
        for statement in query::statements(&source)? {
            frames.push(query::plan(&self.session, &source, 0..sql.len(), statement, &Overlay::default(), &BTreeMap::new()).await?);
        }
        Ok(frames)
    }

    /// Writes the rows of a query to a Parquet file of the project.
    ///
    /// # Errors
    /// The query fails, or the file cannot be written.
    pub async fn write_parquet(&self, sql: &str, file: &str) -> Result<(), Box<dyn std::error::Error>> {
        for frame in Box::pin(self.frames(sql)).await? {
            let path = self.folder.path().join(file);
            frame.write_parquet(&path.to_string_lossy(), DataFrameWriteOptions::new().with_single_file_output(true), None).await?;
        }
        Ok(())
    }
}

/// Copies a folder into another.
///
/// # Errors
/// A file cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let into: PathBuf = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy(&entry.path(), &into)? } else { std::fs::copy(entry.path(), &into).map(drop)? }
    }
    Ok(())
}
