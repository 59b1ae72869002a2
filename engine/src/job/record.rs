//! What is kept of a run: one JSON file in the database, written anew whenever the run's state moves on.
//!
//! There is no service to ask and no database to run: whoever sees the warehouse sees the runs. The states are AWS Glue's.
//! The record is for people and scripts and decides nothing; what is published is in the commit log alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use schemas::problem::Problem;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::gate::GateResult;
use crate::cost::Receipt;
use crate::error::{Error, Kind, Result};
use crate::progress::ProgressCounts;
use crate::sink::FindingGroup;
use crate::storage::traffic::TrafficCounts;
use crate::storage::{Location, durable};
use crate::table::{Counts, Database, TableState, Version, counted, crash_point, instant};

pub mod process;
pub mod read;

pub use process::Process;
pub use read::{all, dead, fate, find, list, sweep};

/// Directory of the records. Names with an underscore are never tables.
const RUNS: &str = "_runs";

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
    /// Collections that ran and were not published, because of a gate: theirs are counts and findings, but no rows.
    pub withheld: BTreeSet<String>,
    /// What was asked of remote stores, but for this record itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficCounts>,
    /// What it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// How far it had come when this was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressCounts>,
    /// What it used of a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<crate::cluster::Used>,
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

    /// Ends the run with what it published, which is all but what gates `withheld`.
    pub fn succeed(&mut self, withheld: Option<&Error>) {
        if let Some(error) = withheld {
            self.problems.extend(error.problems.0.iter().map(RecordedProblem::from));
            let all = self.counts.collections.keys().filter(|id| !self.withheld.contains(*id)).count() + self.withheld.len();
            let of = counted(all as u64, "collection");
            self.state_detail = Some(format!("{} of {of} withheld by a gate", self.withheld.len()));
        }
        self.become_state(RunState::Succeeded);
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
            self.finished_at = Some(self.age());
        }
    }

    /// Sets how long the run has taken so far; returns now.
    pub(super) fn age(&mut self) -> Timestamp {
        let now = Timestamp::now();
        self.seconds = self.started_at.map_or(0.0, |started| now.duration_since(started).as_millis() as f64 / 1000.0);
        now
    }

    /// Writes the record to `<database>/_runs/<id>.json`, over the one of the state before; of a run that has ended, so
    /// that it survives a power cut.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn save(&self, database: &Database) -> Result<()> {
        if self.state.ended() {
            crash_point("before-record");
        }
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

fn file(database: &Database, id: &str) -> Location {
    database.location().join(RUNS).join(&format!("{id}.json"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::storage::Storage;

    fn warehouse() -> Location {
        Storage::new().resolve("memory://warehouse/below", Path::new("/")).unwrap()
    }

    fn record(database: &Database) -> RunRecord {
        RunRecord::start("nightly", database, [("day".to_owned(), "monday".to_owned())].into())
    }

    #[tokio::test]
    async fn a_record_follows_its_run_and_is_found_by_the_start_of_its_id() {
        let warehouse = warehouse();
        let database = Database::open(warehouse.join("calisphere"));
        let mut run = record(&database);
        run.save(&database).await.unwrap();
        assert_eq!(find(&warehouse, &run.id).await.unwrap().state, RunState::Starting);
        let counts = Counts { input: 3, mapped: 2, deleted: 1, ..Counts::default() };
        run.counts = RunCounts::of([("26773".to_owned(), counts), ("26774".to_owned(), counts)].into());
        run.problems.push((&Problem::error("PG401", "gate").hint("look")).into());
        run.become_state(RunState::Succeeded);
        run.save(&database).await.unwrap();
        let mut back = find(&warehouse, &run.id[..20]).await.unwrap();
        assert!(back.counts.add_up() && back.finished_at.is_some());
        // Instants are kept to the millisecond.
        (back.started_at, back.finished_at) = (run.started_at, run.finished_at);
        assert_eq!(back, run);
    }

    #[test]
    fn scripts_find_the_fields_they_expect() {
        let mut run = record(&Database::open(warehouse().join("calisphere")));
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

    #[test]
    fn a_run_that_was_stopped_has_not_failed() {
        let mut run = record(&Database::open(warehouse().join("calisphere")));
        run.fail(&Error::new(Kind::Stopped, Problem::error("PR001", "the run was stopped")));
        assert_eq!((run.state, run.problems.len()), (RunState::Stopped, 1));
    }
}
