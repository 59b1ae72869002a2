//! What is kept of a run: one JSON file in the database, written anew whenever the run's state moves on.
//!
//! There is no service to ask and no database to run: whoever sees the warehouse sees the runs. The states are AWS Glue's.
//! The record is for people and scripts and decides nothing; what is published is in the commit log alone.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use schemas::problem::{Problem, Problems};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::gate::GateResult;
use crate::catalog::{Catalog, WarehouseCatalog};
use crate::error::{Error, Kind, Result};
use crate::sink::FindingGroup;
use crate::storage::{Location, durable};
use crate::table::strays::Swept;
use crate::table::{Counts, Database, TableState, Version, crash_point, instant};

pub mod process;

pub use process::Process;

/// Directory of the records. Names with an underscore are never tables.
const RUNS: &str = "_runs";

/// Records read at once.
const READS: usize = 8;

/// Code of the problem that a reader adds to the record of a run whose process died.
const DIED: &str = "PS543";

/// Where a run stands, in AWS Glue's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the words are those of AWS Glue's JobRunState, and mean the same")]
pub enum RunState {
    #[default]
    Starting,
    Running,
    Stopping,
    Stopped,
    Succeeded,
    Failed,
    Timeout,
    Waiting,
    Error,
}

impl RunState {
    /// Whether the run is over.
    pub fn ended(self) -> bool {
        !matches!(self, Self::Starting | Self::Running | Self::Stopping | Self::Waiting)
    }

    /// The word itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Timeout => "TIMEOUT",
            Self::Waiting => "WAITING",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One run of a job, from its start to its report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunRecord {
    /// UUID of version 7: sorts by time.
    pub id: String,
    /// The job.
    pub job: String,
    /// The database it writes.
    pub database: String,
    /// Where it stands.
    pub state: RunState,
    /// Why it stands there, if that is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_detail: Option<String>,
    /// When it started.
    #[serde(with = "instant::option")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(with = "instant::option")]
    pub finished_at: Option<Timestamp>,
    /// How long it took.
    pub seconds: f64,
    /// Parameters of the run.
    pub parameters: BTreeMap<String, String>,
    /// What became of the records.
    pub counts: RunCounts,
    /// The tables of the version it published, or found.
    pub tables: BTreeMap<String, TableSize>,
    /// The version it published, or found unchanged.
    pub version: Option<Version>,
    /// The inputs were those of an earlier run: nothing was read.
    pub unchanged: bool,
    /// What went wrong.
    pub problems: Vec<RecordedProblem>,
    /// The findings, by cause.
    pub findings: Vec<FindingGroup>,
    /// What the gates said.
    pub gates: Vec<GateResult>,
    /// The warehouse, as a path or URL.
    pub warehouse: String,
    /// What to type next.
    pub next: String,
    /// The process that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
}

/// In total, and of each collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// All collections together.
    #[serde(flatten)]
    pub total: Counts,
    /// By collection id.
    pub collections: BTreeMap<String, Counts>,
}

impl RunCounts {
    /// The total of the collections.
    pub fn of(collections: BTreeMap<String, Counts>) -> Self {
        Self { total: collections.values().sum(), collections }
    }

    /// Whether every record is accounted for, in total and in each collection.
    pub fn add_up(&self) -> bool {
        self.total.adds_up() && self.collections.values().all(|counts| counts.adds_up())
    }
}

/// How large a table is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableSize {
    /// Rows.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

impl From<&TableState> for TableSize {
    fn from(table: &TableState) -> Self {
        Self { rows: table.rows(), files: table.files.len() as u64, bytes: table.bytes() }
    }
}

/// A problem, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordedProblem {
    /// Its code.
    pub code: String,
    /// What and where.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&Problem> for RecordedProblem {
    fn from(problem: &Problem) -> Self {
        let message = match &problem.place {
            Some(place) => format!("{place}: {}", problem.message),
            None => problem.message.clone(),
        };
        Self { code: problem.code.into(), message, hint: problem.hint.clone() }
    }
}

/// Records that were read, and what could not be.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    /// Newest first.
    pub records: Vec<RunRecord>,
    /// One warning for each record that is damaged.
    pub problems: Problems,
}

impl RunRecord {
    /// A run that starts now, in this process. It is not written yet.
    pub fn start(job: &str, database: &Database, parameters: BTreeMap<String, String>) -> Self {
        Self {
            id: new_id(),
            job: job.into(),
            started_at: Some(Timestamp::now()),
            parameters,
            database: database.name().into(),
            warehouse: database.location().full(),
            process: Some(Process::current()),
            ..Self::default()
        }
    }

    /// Ends the run with an error: its problems, and the state that follows from its kind.
    pub fn fail(&mut self, error: &Error) {
        self.problems.extend(error.problems.0.iter().map(RecordedProblem::from));
        self.become_state(if error.kind == Kind::Stopped { RunState::Stopped } else { RunState::Failed });
    }

    /// The tables of the version that a run published or found.
    pub fn remember_tables(&mut self, tables: &BTreeMap<String, TableState>) {
        self.tables = tables.iter().map(|(name, table)| (name.clone(), TableSize::from(table))).collect();
    }

    /// Moves to a state; an end sets the time and the duration.
    pub fn become_state(&mut self, state: RunState) {
        self.state = state;
        if state.ended() {
            let now = Timestamp::now();
            self.finished_at = Some(now);
            self.seconds = self.started_at.map_or(0.0, |started| now.duration_since(started).as_millis() as f64 / 1000.0);
        }
    }

    /// Writes the record to `<database>/_runs/<id>.json`, over the one of the state before; of a run that has ended, so
    /// that it survives a power cut.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn save(&self, database: &Database) -> Result<()> {
        crash_point("before-record");
        let file = file(database, &self.id);
        let text = serde_json::to_string_pretty(self).map_err(|error| {
            Error::failed(Problem::error("PS542", format!("the record of run {} cannot be written as JSON: {error}", self.id)))
        })?;
        file.write(Bytes::from(text + "\n")).await?;
        if self.state.ended() { durable::persist(database.location(), &[file]).await } else { Ok(()) }
    }

    /// The record as it should be shown: of a run whose process died, the failure that the process could not write.
    fn judged(mut self) -> Self {
        let dead = !self.state.ended() && self.process.as_ref().is_some_and(Process::dead);
        if dead {
            let pid = self.process.as_ref().map_or(0, |process| process.pid);
            let message = format!("the process {pid} that ran it died while {}", self.state);
            let hint = format!("run it again with `pacha run {}`; whether it published is in `pacha commits`", self.job);
            self.state = RunState::Failed;
            self.problems.push(RecordedProblem { code: DIED.into(), message, hint: Some(hint) });
        }
        self
    }
}

/// A new run id.
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// The runs of all databases of a warehouse, newest first.
///
/// # Errors
/// The warehouse cannot be listed, or the store fails.
pub async fn all(warehouse: &Location) -> Result<Vec<RunRecord>> {
    let mut records = Vec::new();
    for database in WarehouseCatalog::new(warehouse.clone()).databases().await? {
        let runs = list(&Database::open(warehouse.join(&database)), usize::MAX).await?;
        for problem in &runs.problems.0 {
            tracing::warn!(target: "pacha", "{problem}");
        }
        records.extend(runs.records);
    }
    records.sort_by(|one, other| other.id.cmp(&one.id));
    Ok(records)
}

/// The run of any database whose id starts with `prefix`.
///
/// # Errors
/// None does, or several do.
pub async fn find(warehouse: &Location, prefix: &str) -> Result<RunRecord> {
    let mut found: Vec<RunRecord> = all(warehouse).await?.into_iter().filter(|record| record.id.starts_with(prefix)).collect();
    match found.len() {
        0 => Err(Problem::error("PS540", format!("no run has an id that starts with {prefix:?}"))
            .hint("list the runs with `pacha runs`")
            .into()),
        1 => Ok(found.remove(0)),
        many => {
            let message = format!("{many} runs have an id that starts with {prefix:?}, such as {} and {}", found[0].id, found[1].id);
            Err(Problem::error("PS541", message).hint("write more of the id").into())
        }
    }
}

/// The runs of a database, newest first, at most `limit`.
///
/// # Errors
/// They cannot be listed, or the store fails. A damaged record is a warning.
pub async fn list(database: &Database, limit: usize) -> Result<Runs> {
    let mut ids = ids(database).await?;
    ids.truncate(limit);
    let read = stream::iter(ids).map(|id| async move { read(database, &id).await }).buffered(READS);
    let mut runs = Runs::default();
    for answer in read.try_collect::<Vec<_>>().await? {
        match answer {
            Ok(record) => runs.records.push(record),
            Err(problem) => runs.problems.push(problem),
        }
    }
    Ok(runs)
}

/// The run whose id starts with `prefix`.
///
/// # Errors
/// None does, or several do, or its record is damaged.
pub async fn get(database: &Database, prefix: &str) -> Result<RunRecord> {
    let found: Vec<String> = ids(database).await?.into_iter().filter(|id| id.starts_with(prefix)).collect();
    match found.as_slice() {
        [] => {
            let message = format!("database {} has no run whose id starts with {prefix:?}", database.name());
            Err(Problem::error("PS540", message).hint("list the runs with `pacha runs`").into())
        }
        [id] => Ok(read(database, id).await?.map_err(Error::failed)?),
        [first, second, ..] => {
            let message = format!("{} runs have an id that starts with {prefix:?}, such as {first} and {second}", found.len());
            Err(Problem::error("PS541", message).hint("write more of the id").into())
        }
    }
}

/// Ends what dead processes left: their records become FAILED, and their unpublished files are removed. A run does this
/// when it starts; what cannot be cleaned up now stays for the next.
///
/// # Errors
/// The records or the commit log cannot be read.
pub async fn sweep(database: &Database) -> Result<Vec<(RunRecord, Swept)>> {
    let died = |record: &RunRecord| record.finished_at.is_none() && record.problems.last().is_some_and(|problem| problem.code == DIED);
    let dead: Vec<RunRecord> = list(database, usize::MAX).await?.records.into_iter().filter(died).collect();
    if dead.is_empty() {
        return Ok(Vec::new());
    }
    let history = database.history(usize::MAX).await?;
    let mut swept = Vec::new();
    for mut record in dead {
        let files = database.remove_strays(&record.id).await?;
        record.version = history.iter().find(|commit| commit.proposal.run_id == record.id).map(|commit| commit.version);
        record.state_detail = record.version.map(|version| format!("it had published version {version}; only its report is missing"));
        record.finished_at = Some(Timestamp::now());
        record.save(database).await?;
        swept.push((record, files));
    }
    Ok(swept)
}

/// Ids of all runs, newest first.
async fn ids(database: &Database) -> Result<Vec<String>> {
    let directory = database.location().join(RUNS);
    let found = directory.store.list_with_delimiter(Some(&directory.prefix)).await;
    let found = found.map_err(|error| directory.failed("list", &error))?;
    let names = found.objects.iter().filter_map(|meta| meta.location.filename()?.strip_suffix(".json"));
    let mut ids: Vec<String> = names.filter(|name| !name.starts_with('.')).map(str::to_owned).collect();
    ids.sort_unstable_by_key(|id| Reverse(id.clone()));
    Ok(ids)
}

async fn read(database: &Database, id: &str) -> Result<Result<RunRecord, Problem>> {
    let file = file(database, id);
    let bytes = file.read().await?.unwrap_or_default();
    Ok(serde_json::from_slice::<RunRecord>(&bytes).map(RunRecord::judged).map_err(|error| damaged(&file, &error.to_string())))
}

fn file(database: &Database, id: &str) -> Location {
    database.location().join(RUNS).join(&format!("{id}.json"))
}

fn damaged(file: &Location, why: &str) -> Problem {
    Problem::warning("PS542", format!("the run record {} cannot be read: {why}", file.full()))
        .hint("remove the file; it is only a report, nothing published depends on it")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::storage::Storage;
    use crate::table::{Columns, DataFile, Operation, Proposal, RowHash, TableChange};

    fn database() -> Database {
        Database::open(Storage::new().resolve("memory://warehouse/calisphere", Path::new("/")).unwrap())
    }

    fn record(database: &Database) -> RunRecord {
        RunRecord::start("nightly", database, [("day".to_owned(), "monday".to_owned())].into())
    }

    #[tokio::test]
    async fn a_record_follows_its_run_and_is_found_by_the_start_of_its_id() {
        let database = database();
        let mut run = record(&database);
        run.save(&database).await.unwrap();
        assert_eq!(get(&database, &run.id).await.unwrap().state, RunState::Starting);
        let counts = Counts { input: 3, mapped: 2, deleted: 1, ..Counts::default() };
        run.counts = RunCounts::of([("26773".to_owned(), counts), ("26774".to_owned(), counts)].into());
        run.problems.push((&Problem::error("PG401", "gate").hint("look")).into());
        run.become_state(RunState::Succeeded);
        run.save(&database).await.unwrap();
        let mut back = get(&database, &run.id[..20]).await.unwrap();
        assert!(back.counts.add_up() && back.finished_at.is_some());
        // Instants are kept to the millisecond.
        (back.started_at, back.finished_at) = (run.started_at, run.finished_at);
        assert_eq!(back, run);
    }

    #[tokio::test]
    async fn scripts_find_the_fields_they_expect() {
        let database = database();
        let mut run = record(&database);
        run.counts = RunCounts::of([("26773".to_owned(), Counts { input: 1, mapped: 1, ..Counts::default() })].into());
        run.become_state(RunState::Timeout);
        let json = serde_json::to_value(&run).unwrap();
        assert_eq!(json["state"], "TIMEOUT");
        assert_eq!(json["counts"]["in"], 1);
        assert_eq!(json["counts"]["duplicates"], 0);
        assert_eq!(json["counts"]["collections"]["26773"]["mapped"], 1);
        for field in ["id", "job", "started_at", "finished_at", "seconds", "tables", "version", "unchanged", "warehouse", "next"] {
            assert!(json.get(field).is_some(), "{field}");
        }
        assert_eq!(format!("{:>9}|", RunState::Failed), "   FAILED|");
    }

    #[tokio::test]
    async fn runs_are_listed_newest_first_and_a_damaged_record_is_a_warning() {
        let database = database();
        let mut saved = Vec::new();
        for _ in 0..3 {
            let run = record(&database);
            run.save(&database).await.unwrap();
            saved.insert(0, run.id);
        }
        file(&database, "zzz").write(Bytes::from_static(b"{\"id\":")).await.unwrap();
        let runs = list(&database, 3).await.unwrap();
        assert_eq!(runs.records.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), saved[..2]);
        assert!(runs.problems.0[0].to_string().starts_with("PS542 the run record memory://warehouse/calisphere/_runs/zzz.json"));
        assert!(!runs.problems.fatal());
        let ambiguous = get(&database, "").await.unwrap_err().to_string();
        assert!(ambiguous.starts_with("PS541 4 runs"), "{ambiguous}");
        let none = get(&database, "nope").await.unwrap_err();
        assert_eq!((none.exit_code(), none.to_string().starts_with("PS540")), (2, true));
    }

    #[tokio::test]
    async fn a_run_whose_process_died_is_shown_as_failed_and_swept_once() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(Storage::new().resolve("db", directory.path()).unwrap());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let mut run = record(&database);
        run.process = Some(Process { pid: child.id(), started: None, ..Process::current() });
        run.become_state(RunState::Running);
        run.save(&database).await.unwrap();
        let stray = database.data("mapped").join(&run.id).join("x.parquet");
        stray.write(Bytes::from_static(b"PAR1")).await.unwrap();
        std::fs::write(stray.local_path().unwrap().with_file_name("y.parquet#1"), "PA").unwrap();
        let published = database.data("mapped").join("other/z.parquet");
        published.write(Bytes::from_static(b"PAR1")).await.unwrap();
        publish(&database, "other/z.parquet").await;

        let shown = get(&database, &run.id).await.unwrap();
        assert_eq!(shown.state, RunState::Failed);
        assert!(shown.problems[0].message.ends_with("died while RUNNING"), "{:?}", shown.problems);

        let swept = sweep(&database).await.unwrap();
        assert_eq!(swept.len(), 1);
        assert_eq!(swept[0].1, Swept { files: 2, bytes: 6 });
        assert!(!directory.path().join("db/mapped/data").join(&run.id).exists());
        assert!(published.read().await.unwrap().is_some());
        assert!(sweep(&database).await.unwrap().is_empty(), "swept twice");
        assert_eq!(get(&database, &run.id).await.unwrap().problems.len(), 1);
    }

    async fn publish(database: &Database, path: &str) {
        let file = DataFile { path: path.into(), rows: 1, bytes: 4, row_hash: RowHash(1), collections: Vec::new() };
        let change = TableChange { operation: Operation::Replace, schema: Columns::default(), add: vec![file], remove: Vec::new() };
        let mut proposal = Proposal::new("other", "nightly");
        proposal.tables.insert("mapped".into(), change);
        database.commit(&database.snapshot(None).await.unwrap(), proposal).await.unwrap();
    }
}
