//! What is in a database that no reader can want: looked for, sorted by why it may go, and not touched.
//!
//! The order in which it looks matters. Files are listed first and the log is read after, so that a file of which the log
//! says nothing was not published before it was seen.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;

use super::super::commit::{Commit, DataFile, Version};
use super::super::log::Database;
use super::super::snapshot::Snapshot;
use super::{Held, Retention};
use crate::error::Result;

/// Directory of a table below which its published versions are, one directory each.
const PUBLISHED: &str = "published";

/// Directory of a table below which its files are, one directory for each run.
const DATA: &str = "data";

/// Why something may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Kinds<T> {
    /// Only versions that are gone name it.
    pub versions: T,
    /// No version names it, and its run has ended.
    pub strays: T,
    /// A catalog showed it once, and shows a newer one.
    pub published: T,
}

impl<T> Kinds<T> {
    /// The three in order.
    pub fn all(&self) -> [&T; 3] {
        [&self.versions, &self.strays, &self.published]
    }

    pub(super) fn map<U>(&self, each: impl Fn(&T) -> U) -> Kinds<U> {
        Kinds { versions: each(&self.versions), strays: each(&self.strays), published: each(&self.published) }
    }
}

/// What may go, as it stood at a version.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The newest version, and its state.
    pub snapshot: Snapshot,
    /// The oldest version that stays.
    pub oldest: Version,
    /// Files by table. Those of runs are here whether or not the run has ended: see [`Survey::runs`].
    pub tables: BTreeMap<String, Kinds<Vec<ObjectMeta>>>,
    /// Commit files that were written and never named.
    pub staged: Vec<ObjectMeta>,
    /// No catalog was asked what it shows, and something is published for one.
    pub published_stays: bool,
    /// Files below `<table>/data/` that no version names, by run; [`Kinds::strays`] holds the same.
    strays: BTreeMap<String, HashSet<ObjectPath>>,
    settled: BTreeSet<String>,
}

impl Survey {
    /// Runs with files that no version names, and of which the log does not say that they have ended.
    pub fn runs(&self) -> BTreeSet<String> {
        self.strays.keys().filter(|run| !self.settled.contains(*run)).cloned().collect()
    }

    /// The same without the files of these runs.
    pub(super) fn without(mut self, runs: &BTreeSet<String>) -> Self {
        let stay: HashSet<_> = runs.iter().filter_map(|run| self.strays.remove(run)).flatten().collect();
        for kinds in self.tables.values_mut() {
            kinds.strays.retain(|meta| !stay.contains(&meta.location));
        }
        self.tables.retain(|_, kinds| kinds.all().iter().any(|files| !files.is_empty()));
        self
    }
}

/// The files below a table.
struct Listed {
    table: String,
    prefix: ObjectPath,
    files: Vec<ObjectMeta>,
}

/// A file below a table, by where it lies.
enum Place<'a> {
    Data { run: &'a str },
    Published(Version),
    Elsewhere,
}

impl Database {
    /// Looks for what may go. `held` is what readers of a catalog may hold, if it could be asked.
    ///
    /// # Errors
    /// The database cannot be listed, or a commit cannot be read.
    pub async fn survey(&self, retention: &Retention, held: Option<&Held>) -> Result<Survey> {
        let mut listed = Vec::new();
        for table in self.directories().await? {
            let place = self.location().join(&table);
            let files: Vec<ObjectMeta> =
                place.store.list(Some(&place.prefix)).try_collect().await.map_err(|error| place.failed("list", &error))?;
            listed.push(Listed { table, prefix: place.prefix, files });
        }
        let mut staged = self.staged().await?;
        staged.retain(|meta| older(meta, retention));
        let snapshot = self.snapshot(None).await?;
        let mut history = self.history(usize::MAX).await?;
        // Somebody may have published between the two: the vacuum sees that by the number of the snapshot.
        history.retain(|commit| commit.version <= snapshot.version);
        history.reverse();
        let oldest = oldest(&history, retention).max(snapshot.oldest);
        let mut log = Log::read(self, &history, oldest).await?;
        if let Some(held) = held {
            log.hold(self, &listed, held, snapshot.version).await?;
        }

        let mut survey = Survey { snapshot, oldest, staged, settled: std::mem::take(&mut log.ended), ..Survey::default() };
        for Listed { table, prefix, files } in listed {
            let mut published: BTreeMap<Version, Vec<ObjectMeta>> = BTreeMap::new();
            for meta in files {
                let below = below(&meta, &prefix);
                match place(&below) {
                    Place::Data { .. } if log.stays.contains(&meta.location) => {}
                    Place::Data { .. } if log.named.contains(&meta.location) => {
                        survey.tables.entry(table.clone()).or_default().versions.push(meta);
                    }
                    Place::Data { run } => {
                        survey.strays.entry(run.to_owned()).or_default().insert(meta.location.clone());
                        survey.tables.entry(table.clone()).or_default().strays.push(meta);
                    }
                    Place::Published(version) => published.entry(version).or_default().push(meta),
                    Place::Elsewhere => {}
                }
            }
            match held.and_then(|held| held.get(&table)) {
                None => survey.published_stays |= !published.is_empty(),
                Some(shown) => {
                    let kept = log.locations.get(&table);
                    let stays = |version: &Version| {
                        let kept = kept.is_some_and(|locations| locations.contains(version));
                        kept || *version >= shown.settled || shown.now.contains(version)
                    };
                    let gone =
                        published.into_iter().filter(|(version, files)| !stays(version) && files.iter().all(|meta| older(meta, retention)));
                    survey.tables.entry(table).or_default().published.extend(gone.flat_map(|(_, files)| files));
                }
            }
        }
        survey.keep_young_runs(retention);
        Ok(survey)
    }
}

impl Survey {
    /// A run that wrote lately may live, whatever its record says.
    fn keep_young_runs(&mut self, retention: &Retention) {
        let strays = self.tables.values().flat_map(|kinds| &kinds.strays);
        let young: HashSet<_> = strays.filter(|meta| !older(meta, retention)).map(|meta| meta.location.clone()).collect();
        let runs = self.strays.iter().filter(|(_, files)| files.iter().any(|file| young.contains(file)));
        let runs = runs.map(|(run, _)| run.clone()).collect();
        *self = std::mem::take(self).without(&runs);
    }
}

/// What the log says of files, locations and runs.
#[derive(Default)]
struct Log {
    /// Files that a version that stays, or a reader of a catalog, needs.
    stays: HashSet<ObjectPath>,
    /// Files that some version named.
    named: HashSet<ObjectPath>,
    /// Versions in which a table changed, as far as versions that stay go back to them.
    locations: BTreeMap<String, BTreeSet<Version>>,
    /// Runs that have published, which they do once, or that an earlier vacuum has shut out.
    ended: BTreeSet<String>,
}

impl Log {
    /// `history` is in order.
    async fn read(database: &Database, history: &[Commit], oldest: Version) -> Result<Self> {
        let mut log = Self::default();
        let first = database.snapshot(Some(oldest)).await?;
        for (table, state) in &first.tables {
            log.stays.extend(paths(database, table, &state.files));
            log.locations.entry(table.clone()).or_default().insert(state.changed_in);
        }
        for commit in history {
            log.ended.insert(commit.proposal.run_id.clone());
            log.ended.extend(commit.proposal.vacuum.iter().flat_map(|vacuum| vacuum.abandoned.iter().cloned()));
            for (table, change) in &commit.proposal.tables {
                log.named.extend(paths(database, table, &change.add));
                if commit.version > oldest {
                    log.stays.extend(paths(database, table, &change.add));
                    log.locations.entry(table.clone()).or_default().insert(commit.version);
                }
            }
        }
        Ok(log)
    }

    /// Keeps the files of versions that readers of a catalog may hold: pacha itself reads them by the log.
    async fn hold(&mut self, database: &Database, listed: &[Listed], held: &Held, newest: Version) -> Result<()> {
        for Listed { table, prefix, files } in listed {
            let Some(shown) = held.get(table) else { continue };
            let published = files.iter().filter_map(|meta| match place(&below(meta, prefix)) {
                Place::Published(version) => Some(version),
                _ => None,
            });
            let lately = published.filter(|version| *version >= shown.settled);
            let versions: BTreeSet<Version> = shown.now.iter().copied().chain(lately).filter(|version| *version <= newest).collect();
            for version in versions {
                let then = database.snapshot(Some(version)).await?;
                if let Some(state) = then.tables.get(table) {
                    self.stays.extend(paths(database, table, &state.files));
                }
            }
        }
        Ok(())
    }
}

/// Where files of a table are.
fn paths(database: &Database, table: &str, files: &[DataFile]) -> impl Iterator<Item = ObjectPath> {
    let data = database.data(table);
    files.iter().map(move |file| data.join(&file.path).prefix)
}

/// The oldest version that stays: one of the last, or one that was replaced lately. `history` is in order.
fn oldest(history: &[Commit], retention: &Retention) -> Version {
    // A vacuum is no version that anybody asked for: counting it would leave fewer of those.
    let published = history.iter().rev().filter(|commit| commit.proposal.vacuum.is_none());
    let counted = published.take(retention.versions).last().map_or(0, |commit| commit.version);
    let replaced_lately = history.iter().find(|commit| commit.at > retention.since).map(|commit| commit.parent);
    counted.min(replaced_lately.unwrap_or(Version::MAX))
}

fn older(meta: &ObjectMeta, retention: &Retention) -> bool {
    Timestamp::from_millisecond(meta.last_modified.timestamp_millis()).is_ok_and(|at| at < retention.since)
}

/// Its path below a prefix; empty if it is not below it.
fn below(meta: &ObjectMeta, prefix: &ObjectPath) -> String {
    let parts = meta.location.prefix_match(prefix).map(|parts| parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>());
    parts.unwrap_or_default().join("/")
}

fn place(below: &str) -> Place<'_> {
    match below.split_once('/') {
        Some((DATA, path)) => path.split_once('/').map_or(Place::Elsewhere, |(run, _)| Place::Data { run }),
        Some((PUBLISHED, rest)) => {
            let version = rest.split('/').next().filter(|part| part.len() == 20).and_then(|part| part.parse().ok());
            version.map_or(Place::Elsewhere, Place::Published)
        }
        _ => Place::Elsewhere,
    }
}
