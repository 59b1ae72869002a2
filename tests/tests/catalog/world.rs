//! A warehouse on disk, a Glue catalog, and databases that are committed by hand.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use arrow::util::pretty::pretty_format_batches;
use aws_credential_types::Credentials;
use datafusion::parquet::arrow::ArrowWriter;
use engine::aws::Aws;
use engine::catalog::glue::{Publication, Publish};
use engine::project::{CatalogKind, GlueSettings, Partitions, Project};
use engine::query::{self, tables::Overlay};
use engine::session::{Plans, Session, session_as};
use engine::table::{Columns, DataFile, Database, Operation, Proposal, RowHash, TableChange, Version};
use pacha_tests::glue::{FakeGlue, REGION};
use schemas::problem::Source;
use tempfile::TempDir;

/// One warehouse and one catalog.
pub(crate) struct World {
    pub(crate) glue: FakeGlue,
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { glue: FakeGlue::start().unwrap(), folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A session of its own, as another process would have.
    pub(crate) fn session(&self) -> Session {
        self.session_with(|_| {})
    }

    pub(crate) fn partitioned(&self, partitions: Partitions) -> Session {
        self.session_with(|glue| glue.partitions = partitions)
    }

    pub(crate) fn session_with(&self, change: impl FnOnce(&mut GlueSettings)) -> Session {
        let mut project = Project::bare(self.folder.path());
        project.settings.glue.endpoint = Some(self.glue.endpoint());
        change(&mut project.settings.glue);
        open(project, FakeGlue::credentials())
    }
}

/// The session of a project that registers its tables in Glue, wherever its warehouse is.
pub(crate) fn open(mut project: Project, credentials: Credentials) -> Session {
    project.catalog = CatalogKind::Glue;
    session_as(&Arc::new(project), Arc::new(Aws::with_credentials(credentials, REGION)), Plans::Embedded).unwrap()
}

pub(crate) fn database(session: &Session, name: &str) -> Database {
    Database::open(session.warehouse.join(name))
}

/// Rows of these collections, with a title and subjects each.
fn rows(ids: &[&str]) -> RecordBatch {
    let titles: ArrayRef = Arc::new(ids.iter().enumerate().map(|(row, id)| Some(format!("{id} {row}"))).collect::<StringArray>());
    let numbers: ArrayRef = Arc::new((0..ids.len() as i64).collect::<Int64Array>());
    let scores = ids.iter().map(|_| Some(vec![Some(1), None]));
    let scores: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(scores));
    let ids: ArrayRef = Arc::new(StringArray::from(ids.to_vec()));
    RecordBatch::try_from_iter_with_nullable([
        ("collection_id", ids, true),
        ("Title", titles, true),
        ("n", numbers, true),
        ("scores", scores, true),
    ])
    .unwrap()
}

/// Rows of Parquet.
pub(crate) fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// Commits a version in which a table is exactly these files, each with rows of these collections.
pub(crate) async fn commit(session: &Session, name: &str, table: &str, files: &[&[&str]]) -> Version {
    let database = database(session, name);
    let base = database.snapshot(None).await.unwrap();
    let run = format!("run{}", base.version + 1);
    let mut add = Vec::new();
    for (number, ids) in files.iter().enumerate() {
        let bytes = parquet(&rows(ids));
        let path = format!("{run}/{number}.parquet");
        let mut collections: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        collections.sort();
        collections.dedup();
        add.push(DataFile { path: path.clone(), rows: ids.len() as u64, bytes: bytes.len() as u64, row_hash: RowHash(0), collections });
        database.data(table).join(&path).write(bytes).await.unwrap();
    }
    let schema = Columns::new(&rows(&[]).schema()).unwrap();
    let mut proposal = Proposal::new(run, "by hand");
    proposal.tables.insert(table.into(), TableChange { operation: Operation::Replace, schema, add, remove: Vec::new() });
    database.commit(&base, proposal).await.unwrap()
}

/// Brings Glue up to date.
pub(crate) async fn publish(session: &Session, name: &str) -> engine::Result<Publication> {
    let glue = session.glue.as_ref().unwrap();
    Box::pin(glue.publish(&session.context, &database(session, name), Publish::default())).await
}

/// What a query shows, or its error.
pub(crate) async fn ask(session: &Session, sql: &str) -> Result<String, engine::Error> {
    let source = Arc::new(Source { path: "query".into(), text: sql.to_owned() });
    let mut shown = String::new();
    for statement in query::statements(&source)? {
        let overlay = Overlay::default();
        let frame = Box::pin(query::plan(session, &source, 0..sql.len(), statement, &overlay, &Default::default())).await?;
        let rows = frame.collect().await.map_err(|error| engine::sql::mistake::running(&error))?;
        shown += &pretty_format_batches(&rows).unwrap().to_string();
    }
    Ok(shown)
}

/// The files below a folder of the warehouse, sorted.
pub(crate) fn files(below: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(below).unwrap().display().to_string());
            }
        }
    }
    // A copy over a file that is the same file already leaves its staged name (`x#0`) on a disk; the store lists no such names.
    let staged = |name: &str| name.rsplit_once('#').is_some_and(|(_, number)| number.parse::<u32>().is_ok());
    found.retain(|name| !staged(name));
    found.sort();
    found
}

/// The local path of a location in Glue.
pub(crate) fn local(location: &str) -> &Path {
    Path::new(location.strip_prefix("file://").unwrap())
}
