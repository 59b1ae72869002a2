//! A version of the log, shown in Glue: copy, look whether the copy is whole, swap the location in one call.
//!
//! The log is the truth and Glue a projection of it, so publishing can be repeated at any time, always shows the newest
//! version, and never goes backwards: a call that was based on another state than the present one is refused by Glue
//! (`VersionId`), and then everything is looked at anew. Whoever loses a race finds the winner's version and stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_glue::types::Table;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt, stream};
use schemas::problem::{Problem, Problems};
use serde::Serialize;

use super::entry::{DATABASE, Entry, Layout, VERSION, location};
use super::{GlueCatalog, copy, docs, names, partition, statistics};
use crate::error::{Error, Kind, Result};
use crate::table::{Database, Snapshot, TableVersion, Version, crash_point};

/// Tables published at a time.
const TABLES: usize = 4;
/// Times that a table is looked at anew because somebody else changed it.
const LOOKS: usize = 10;

/// What became of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was not in Glue.
    Created,
    /// It shows a newer version, or what was wrong is mended.
    Updated,
    /// Nothing was to be done.
    InStep,
    /// The newest version has no such table any more.
    Removed,
}

/// One table of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The database in Glue.
    pub database: String,
    /// The table.
    pub table: String,
    /// The version it shows.
    pub version: Version,
    /// What was done.
    pub outcome: Outcome,
}

/// What a publication has done.
#[derive(Debug, Clone, Default)]
pub struct Publication {
    /// The tables, sorted.
    pub tables: Vec<Published>,
    /// What was not possible and does no harm.
    pub warnings: Problems,
}

/// What is published, and over what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Publish<'a> {
    /// Only this table.
    pub only: Option<&'a str>,
    /// Whether a table that is not ours is taken over.
    pub adopt: bool,
    /// Whether the files behind an entry that is right are looked for too, and copied again if they are gone.
    pub thorough: bool,
}

/// One table of a publication that is to be.
#[derive(Debug, Clone, Copy)]
struct Wanted<'a> {
    database: &'a Database,
    name: &'a str,
    adopt: bool,
    thorough: bool,
}

/// The newest version of a log, and which runs its tables come from.
#[derive(Debug, Clone)]
pub(super) struct Newest {
    pub(super) snapshot: Arc<Snapshot>,
    runs: BTreeMap<Version, String>,
}

impl Newest {
    pub(super) async fn of(database: &Database) -> Result<Self> {
        let snapshot = Arc::new(database.snapshot(None).await?);
        let versions: BTreeSet<Version> = snapshot.tables.values().map(|table| table.changed_in).collect();
        let runs = versions.into_iter().map(|version| async move {
            let commit = database.read(version).await?;
            Ok::<_, Error>(commit.map(|commit| (version, commit.proposal.run_id)))
        });
        let runs: Vec<Option<(Version, String)>> = stream::iter(runs).buffered(TABLES).try_collect().await?;
        Ok(Self { snapshot, runs: runs.into_iter().flatten().collect() })
    }
}

/// What is to be done with a table that Glue shows as it does.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Create,
    Update,
    /// The partition keys are others, which Glue cannot change under partitions that exist.
    CreateAnew,
    Nothing,
    /// Glue shows a version that this state of the log does not have.
    Newer(Version),
}

impl GlueCatalog {
    /// Brings Glue up to date with the newest version of a database.
    ///
    /// # Errors
    /// Every table that could not be published; the others are.
    pub async fn publish(&self, context: &SessionContext, database: &Database, how: Publish<'_>) -> Result<Publication> {
        let newest = Newest::of(database).await?;
        let snapshot = &newest.snapshot;
        let in_glue = names::database(&self.settings, database.name());
        let seen: BTreeMap<String, Table> =
            self.client.tables(&in_glue).await?.into_iter().map(|table| (table.name.clone(), table)).collect();
        let listed = snapshot.tables.keys().filter(|name| names::wanted(&self.settings, name));
        // What the log has dropped goes, whatever the settings say: there is nothing left to show.
        let root = location(database.location());
        let dropped = seen.iter().filter(|(name, table)| !snapshot.tables.contains_key(*name) && owner(table) == Some(&root));
        let names = listed.chain(dropped.map(|(name, _)| name)).filter(|name| how.only.is_none_or(|only| only == *name));
        let work = names.map(|name| {
            let table = Wanted { database, name, adopt: how.adopt, thorough: how.thorough };
            self.publish_table(context, table, newest.clone(), seen.get(name).cloned())
        });
        let outcomes: Vec<Result<(Published, Option<String>)>> =
            stream::iter(work.collect::<Vec<_>>()).buffer_unordered(TABLES).collect().await;
        let (mut publication, mut problems, mut plain) = (Publication::default(), Problems::default(), Vec::new());
        for outcome in outcomes {
            match outcome {
                Ok((published, without_statistics)) => {
                    plain.extend(without_statistics.map(|why| (published.table.clone(), why)));
                    publication.tables.push(published);
                }
                // An identity that is refused is refused for every table: once is enough.
                Err(error) => {
                    problems.extend(error.problems.into_iter().filter(|problem| !problems.0.contains(problem)).collect::<Vec<_>>())
                }
            }
        }
        plain.sort();
        publication.warnings.extend(statistics::missing(&plain));
        publication.tables.sort_by(|one, other| one.table.cmp(&other.table));
        if problems.fatal() { Err(Error { kind: Kind::Failed, problems }) } else { Ok(publication) }
    }

    /// Publishes one table. `newest` and `seen` are how log and Glue were a moment ago; they need not be so any more.
    async fn publish_table(
        &self,
        context: &SessionContext,
        Wanted { database, name, adopt, thorough }: Wanted<'_>,
        mut newest: Newest,
        mut seen: Option<Table>,
    ) -> Result<(Published, Option<String>)> {
        let in_glue = names::database(&self.settings, database.name());
        let mut created = false;
        for _ in 0..LOOKS {
            let snapshot = &newest.snapshot;
            let done = |version, outcome| Published { database: in_glue.clone(), table: name.to_owned(), version, outcome };
            let Some(entry) = self.entry(database, &newest, name)? else {
                if seen.take().as_ref().and_then(owner).is_some_and(|root| *root == location(database.location())) {
                    self.client.delete(&in_glue, name).await?;
                }
                let (version, now) = (snapshot.version, Newest::of(database).await?);
                // A delete knows no VersionId: if the table has come back meanwhile, it is made again.
                if now.snapshot.tables.contains_key(name) {
                    newest = now;
                    continue;
                }
                return Ok((done(version, Outcome::Removed), None));
            };
            let swapped = match judge(&entry, seen.as_ref(), adopt)? {
                Step::Nothing => {
                    if thorough {
                        self.fill(database, snapshot, &entry).await?;
                    }
                    let aligned = self.align(&entry).await?;
                    return Ok((done(entry.version, if aligned { Outcome::Updated } else { Outcome::InStep }), None));
                }
                Step::Newer(shown) => {
                    self.newer_exists(database, snapshot, &entry, shown).await?;
                    false
                }
                Step::CreateAnew => {
                    self.client.delete(&entry.database, name).await?;
                    false
                }
                Step::Create => {
                    created = self.create(database, snapshot, &entry).await?;
                    created && !entry.registers()
                }
                Step::Update => self.update(database, snapshot, &entry, seen.as_ref()).await?,
            };
            if swapped {
                let table = TableVersion::new(database, snapshot, name)?;
                let warning = match table {
                    Some(table) => statistics::push(&self.client, context, &entry, table).await,
                    None => None,
                };
                return Ok((done(entry.version, if created { Outcome::Created } else { Outcome::Updated }), warning));
            }
            (newest, seen) = (Newest::of(database).await?, self.client.table(&in_glue, name).await?);
        }
        let message = format!("{in_glue}.{name} in Glue is being changed by others again and again");
        Err(Error::failed(Problem::error("PS572", message).hint("see who else writes it; then `pacha catalog repair`")))
    }

    /// What Glue is to say of a table, or `None` if the log has none.
    pub(super) fn entry(&self, database: &Database, newest: &Newest, name: &str) -> Result<Option<Entry>> {
        let Some(state) = newest.snapshot.tables.get(name) else { return Ok(None) };
        let run = newest.runs.get(&state.changed_in).unwrap_or(&newest.snapshot.run_id).clone();
        let docs = docs::of(&self.project, database.name(), name);
        Entry::new(&self.settings, database, name, state, run, &docs).map(Some)
    }

    /// Makes the table, false if somebody else did first. Readers may come as soon as it is there, so what it points at is
    /// whole; one with partitions of its own is not, and shows version 0 until an update comes after them.
    async fn create(&self, database: &Database, snapshot: &Snapshot, entry: &Entry) -> Result<bool> {
        self.client.ensure_database(&entry.database).await?;
        self.fill(database, snapshot, entry).await?;
        crash_point("after-copy");
        let version = if entry.registers() { 0 } else { entry.version };
        self.client.create(&entry.database, &entry.input(None, version)?).await
    }

    /// Copies, then swaps; false if the table is not as it was seen any more.
    async fn update(&self, database: &Database, snapshot: &Snapshot, entry: &Entry, seen: Option<&Table>) -> Result<bool> {
        self.fill(database, snapshot, entry).await?;
        crash_point("after-copy");
        if entry.registers() {
            partition::put(&self.client, entry).await?;
            crash_point("after-partitions");
        }
        let version = seen.and_then(|table| table.version_id.as_deref());
        if !self.client.update(&entry.database, &entry.input(seen, entry.version)?, version).await? {
            return Ok(false);
        }
        crash_point("after-swap");
        if entry.registers() {
            partition::remove_others(&self.client, entry).await?;
        }
        Ok(true)
    }

    async fn fill(&self, database: &Database, snapshot: &Snapshot, entry: &Entry) -> Result<()> {
        let Some(state) = snapshot.tables.get(&entry.table) else { return Ok(()) };
        copy::fill(&database.data(&entry.table), state, &entry.place, entry.layout != Layout::Whole).await
    }

    /// Mends partitions of a table that is in step itself: a publisher that died, or one that was late, may have left some.
    async fn align(&self, entry: &Entry) -> Result<bool> {
        if !entry.registers() {
            return Ok(false);
        }
        let put = partition::put(&self.client, entry).await?;
        Ok(partition::remove_others(&self.client, entry).await? || put)
    }

    /// Glue shows a version that `snapshot` does not have. If the log has gone on meanwhile, that is well.
    async fn newer_exists(&self, database: &Database, snapshot: &Snapshot, entry: &Entry, shown: Version) -> Result<()> {
        let head = database.head().await?;
        if head > snapshot.version {
            return Ok(());
        }
        let message = format!(
            "Glue shows version {shown} of {}, and the log of {} ends at version {head}: it is not the log it was",
            entry.name(),
            database.location()
        );
        let hint = format!(
            "if the warehouse was made anew: pacha catalog unregister {0}.{1}, then pacha catalog register {0}.{1}",
            database.name(),
            entry.table
        );
        Err(Error::failed(Problem::error("PS568", message).hint(hint)))
    }
}

/// The database of ours that a table belongs to.
pub(super) fn owner(table: &Table) -> Option<&String> {
    table.parameters.as_ref()?.get(DATABASE)
}

/// The version that Glue shows of a table of ours.
pub(super) fn shown(table: &Table) -> Option<Version> {
    table.parameters.as_ref()?.get(VERSION)?.parse().ok()
}

/// What is to be done. A table that is not ours is never touched unless it is adopted.
fn judge(entry: &Entry, seen: Option<&Table>, adopt: bool) -> Result<Step> {
    let Some(table) = seen else { return Ok(Step::Create) };
    let ours = owner(table).is_some_and(|root| root == entry.root());
    if !ours && !adopt {
        return Err(Error::failed(foreign(entry, table)));
    }
    let version = if ours { shown(table).unwrap_or(0) } else { 0 };
    if version > entry.version {
        return Ok(Step::Newer(version));
    }
    if !entry.same_keys(table) {
        return Ok(Step::CreateAnew);
    }
    Ok(if entry.differences(table).is_empty() { Step::Nothing } else { Step::Update })
}

fn foreign(entry: &Entry, table: &Table) -> Problem {
    let place = table.storage_descriptor().and_then(|descriptor| descriptor.location()).filter(|place| !place.is_empty());
    let whose = match owner(table) {
        Some(root) => format!("belongs to another warehouse, {root}"),
        None => format!("was not made by pacha; it points at {}", place.unwrap_or("no place")),
    };
    let hint =
        format!("set another prefix in [glue] of pacha.toml, or take it over: pacha catalog register {}.{} --adopt", entry.of, entry.table);
    Problem::error("PS566", format!("table {} in Glue {whose}", entry.name())).hint(hint)
}
