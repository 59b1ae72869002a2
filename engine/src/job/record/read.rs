//! The records of the runs of a warehouse: listed, found by the start of an id, and put right where a process died.

use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use schemas::problem::Problem;

use super::{DIED, RUNS, RunRecord, RunState, file};
use crate::error::Result;
use crate::storage::Location;
use crate::table::Database;
use crate::table::strays::Swept;
use crate::table::vacuum::Fate;

/// Records read at once.
const READS: usize = 8;

/// No run takes longer; of AWS Glue, none may. A process of another host that says nothing for so long has died there.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Records that a run looks at when it starts, where each look is a request. Every run does so, and one that died is
/// followed by the next: it is among the last ones.
const RECENT: usize = 50;

/// The runs of all databases of a warehouse, newest first. A record that cannot be read is listed with what is wrong.
///
/// # Errors
/// The warehouse cannot be listed, or the store fails.
pub async fn all(warehouse: &Location) -> Result<Vec<RunRecord>> {
    let mut all = Vec::new();
    for database in databases(warehouse).await? {
        all.extend(list(&database).await?);
    }
    all.sort_by(|one, other| other.id.cmp(&one.id));
    Ok(all)
}

/// The run of a warehouse whose id starts with `prefix`.
///
/// # Errors
/// None does, or several do.
pub async fn find(warehouse: &Location, prefix: &str) -> Result<RunRecord> {
    let mut found = Vec::new();
    for database in databases(warehouse).await? {
        let ids = ids(&database).await?.into_iter().filter(|id| id.starts_with(prefix));
        found.extend(ids.map(|id| (id, database.clone())));
    }
    match found.as_slice() {
        [] => {
            let message = format!("no run in {warehouse} has an id that starts with {prefix:?}");
            Err(Problem::error("PS540", message).hint("list the runs with `pacha runs`").into())
        }
        [(id, database)] => read(database, id).await,
        [(first, _), (second, _), ..] => {
            let message = format!("{} runs have an id that starts with {prefix:?}, such as {first} and {second}", found.len());
            Err(Problem::error("PS541", message).hint("write more of the id").into())
        }
    }
}

/// The runs of a database, newest first.
///
/// # Errors
/// They cannot be listed, or the store fails.
pub async fn list(database: &Database) -> Result<Vec<RunRecord>> {
    newest(database, usize::MAX).await
}

async fn newest(database: &Database, limit: usize) -> Result<Vec<RunRecord>> {
    let ids = ids(database).await?.into_iter().take(limit);
    stream::iter(ids).map(|id| async move { read(database, &id).await }).buffered(READS).try_collect().await
}

/// Runs whose process died, and that nobody has ended yet.
///
/// # Errors
/// The records cannot be read.
pub async fn dead(database: &Database) -> Result<Vec<RunRecord>> {
    let died = |record: &RunRecord| record.finished_at.is_none() && record.problems.last().is_some_and(|problem| problem.code == DIED);
    let limit = if database.location().remote() { RECENT } else { usize::MAX };
    Ok(newest(database, limit).await?.into_iter().filter(died).collect())
}

/// Ends what dead processes left: their records become FAILED, and their unpublished files are removed. A run does this
/// when it starts; what cannot be cleaned up now stays for the next.
///
/// # Errors
/// The records or the commit log cannot be read.
pub async fn sweep(database: &Database) -> Result<Vec<(RunRecord, Swept)>> {
    let dead = dead(database).await?;
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

/// Whether a run may still publish, as far as its record tells.
///
/// # Errors
/// The store fails.
pub async fn fate(database: &Database, id: &str) -> Result<Fate> {
    let bytes = file(database, id).read().await?.unwrap_or_default();
    let Ok(record) = serde_json::from_slice::<RunRecord>(&bytes) else { return Ok(Fate::Lost) };
    let lost = record.started_at.is_none_or(|started| Timestamp::now().duration_since(started) > LONGEST);
    Ok(match record.judged().state.ended() {
        true => Fate::Ended,
        false if lost => Fate::Lost,
        false => Fate::Alive,
    })
}

/// Whatever may be a database: one whose first run failed has records, and no commit yet.
async fn databases(warehouse: &Location) -> Result<Vec<Database>> {
    let found = warehouse.store.list_with_delimiter(Some(&warehouse.prefix)).await;
    let found = found.map_err(|error| warehouse.failed("list", &error))?;
    let names = found.common_prefixes.iter().filter_map(|prefix| prefix.filename()).filter(|name| !name.starts_with(['_', '.']));
    Ok(names.map(|name| Database::open(warehouse.join(name))).collect())
}

/// Ids of all runs, newest first.
async fn ids(database: &Database) -> Result<Vec<String>> {
    let directory = database.location().join(RUNS);
    let found = directory.store.list_with_delimiter(Some(&directory.prefix)).await;
    let found = found.map_err(|error| directory.failed("list", &error))?;
    let names = found.objects.iter().filter_map(|meta| meta.location.filename()?.strip_suffix(".json"));
    let mut ids: Vec<String> = names.filter(|name| !name.starts_with('.')).map(str::to_owned).collect();
    ids.sort_unstable_by(|one, other| other.cmp(one));
    Ok(ids)
}

/// A record that is damaged is shown as what it is: a report is not worth an error, and not to be passed over.
async fn read(database: &Database, id: &str) -> Result<RunRecord> {
    let file = file(database, id);
    let bytes = file.read().await?.unwrap_or_default();
    Ok(serde_json::from_slice(&bytes).map(RunRecord::judged).unwrap_or_else(|error| {
        let problem = Problem::warning("PS542", format!("the run record {} cannot be read: {error}", file.full()))
            .hint("remove the file; it is only a report, nothing published depends on it");
        let database = database.name().to_owned();
        RunRecord { id: id.into(), database, state: RunState::Error, problems: vec![(&problem).into()], ..RunRecord::default() }
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use bytes::Bytes;

    use super::super::Process;
    use super::*;
    use crate::storage::Storage;
    use crate::table::{Columns, DataFile, Operation, Proposal, RowHash, TableChange};

    fn record(database: &Database) -> RunRecord {
        RunRecord::start("nightly", database, BTreeMap::new())
    }

    #[tokio::test]
    async fn runs_of_all_databases_are_listed_newest_first_with_those_that_cannot_be_read() {
        let warehouse = Storage::new().resolve("memory://warehouse/below", Path::new("/")).unwrap();
        let mut saved = Vec::new();
        for name in ["a", "b", "a"] {
            let database = Database::open(warehouse.join(name));
            let run = record(&database);
            run.save(&database).await.unwrap();
            saved.insert(0, run.id);
        }
        file(&Database::open(warehouse.join("b")), "zzz").write(Bytes::from_static(b"{\"id\":")).await.unwrap();
        let runs = all(&warehouse).await.unwrap();
        assert_eq!(runs[1..].iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), saved);
        assert_eq!((runs[0].id.as_str(), runs[0].state), ("zzz", RunState::Error));
        let problem = &runs[0].problems[0];
        assert!(problem.message.starts_with("the run record memory://warehouse/below/b/_runs/zzz.json cannot be read"), "{problem:?}");
        let ambiguous = find(&warehouse, "").await.unwrap_err().to_string();
        assert!(ambiguous.starts_with("PS541 4 runs"), "{ambiguous}");
        let none = find(&warehouse, "nope").await.unwrap_err();
        assert_eq!((none.exit_code(), none.to_string().starts_with("PS540")), (2, true));
    }

    #[tokio::test]
    async fn a_run_whose_process_died_is_shown_as_failed_and_swept_once() {
        let directory = tempfile::tempdir().unwrap();
        let warehouse = Storage::new().resolve(".", directory.path()).unwrap();
        let database = Database::open(warehouse.join("db"));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let mut run = record(&database);
        run.process = Some(Process { pid: child.id(), started: None, ..Process::current() });
        run.state = RunState::Running;
        run.save(&database).await.unwrap();
        let stray = database.data("mapped").join(&run.id).join("x.parquet");
        stray.write(Bytes::from_static(b"PAR1")).await.unwrap();
        std::fs::write(stray.local_path().unwrap().with_file_name("y.parquet#1"), "PA").unwrap();
        let published = database.data("mapped").join("other/z.parquet");
        published.write(Bytes::from_static(b"PAR1")).await.unwrap();
        publish(&database, "other/z.parquet").await;

        let shown = find(&warehouse, &run.id).await.unwrap();
        assert_eq!(shown.state, RunState::Failed);
        assert!(shown.problems[0].message.ends_with("died while RUNNING"), "{:?}", shown.problems);

        let swept = sweep(&database).await.unwrap();
        assert_eq!(swept.len(), 1);
        assert_eq!(swept[0].1, Swept { files: 2, bytes: 6 });
        assert!(!directory.path().join("db/mapped/data").join(&run.id).exists());
        assert!(published.read().await.unwrap().is_some());
        assert!(sweep(&database).await.unwrap().is_empty(), "swept twice");
        assert_eq!(find(&warehouse, &run.id).await.unwrap().problems.len(), 1);
    }

    #[tokio::test]
    async fn a_run_of_another_host_lives_for_a_week_and_one_without_a_record_not_at_all() {
        let database = Database::open(Storage::new().resolve("memory://warehouse/db", Path::new("/")).unwrap());
        let mut run = record(&database);
        run.process = Some(Process { host: "elsewhere".into(), place: None, pid: 1, started: None });
        run.state = RunState::Running;
        run.save(&database).await.unwrap();
        assert_eq!(fate(&database, &run.id).await.unwrap(), Fate::Alive);
        run.started_at = Timestamp::now().checked_sub(LONGEST + SignedDuration::from_mins(1)).ok();
        run.save(&database).await.unwrap();
        assert_eq!(fate(&database, &run.id).await.unwrap(), Fate::Lost);
        run.become_state(RunState::Failed);
        run.save(&database).await.unwrap();
        assert_eq!(fate(&database, &run.id).await.unwrap(), Fate::Ended);
        assert_eq!(fate(&database, "nobody").await.unwrap(), Fate::Lost);
    }

    async fn publish(database: &Database, path: &str) {
        let file = DataFile { path: path.into(), rows: 1, bytes: 4, row_hash: RowHash(1), collections: Vec::new() };
        let change = TableChange { operation: Operation::Replace, schema: Columns::default(), add: vec![file], remove: Vec::new() };
        let mut proposal = Proposal::new("other", "nightly");
        proposal.tables.insert("mapped".into(), change);
        database.commit(&database.snapshot(None).await.unwrap(), proposal).await.unwrap();
    }
}
