//! Property tests of the vacuum: histories of any kind, in which runs publish, go back, die and are swept up after, and what
//! must hold after every step: what stays reads in full, what may go is gone, and nothing that is gone comes back.
//!
//! The model knows each file by who wrote it, when, and which versions name it, and nothing of how the vacuum finds out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use object_store::ObjectStore;
use proptest::prelude::*;

use super::vacuum::{Fate, Held, Retention, Shown};
use super::{Columns, DataFile, Database, Operation, Proposal, RowHash, TableChange, Version};
use crate::storage::Storage;

const TABLES: [&str; 2] = ["mapped", "findings"];

#[derive(Debug, Clone)]
enum Step {
    /// A run publishes a table, whole or one collection of it.
    Publish {
        table: usize,
        collection: Option<u8>,
    },
    /// A version comes back, given as a share of the history.
    Rollback {
        share: u8,
    },
    /// A run leaves a file behind.
    Leave {
        fate: Fate,
    },
    /// A catalog is told of a table, or would have been.
    Show {
        table: usize,
        told: bool,
    },
    /// Time goes by.
    Wait {
        hours: u8,
    },
    Vacuum {
        versions: usize,
        hours: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![Just(Fate::Ended), Just(Fate::Alive), Just(Fate::Lost)];
    prop_oneof![
        8 => (0..2usize, prop::option::weighted(0.7, 0..4u8)).prop_map(|(table, collection)| Step::Publish { table, collection }),
        2 => any::<u8>().prop_map(|share| Step::Rollback { share }),
        2 => fate.prop_map(|fate| Step::Leave { fate }),
        2 => (0..2usize, prop::bool::weighted(0.8)).prop_map(|(table, told)| Step::Show { table, told }),
        4 => (1..30u8).prop_map(|hours| Step::Wait { hours }),
        3 => (1..5usize, prop_oneof![Just(0u8), Just(24u8)]).prop_map(|(versions, hours)| Step::Vacuum { versions, hours }),
    ]
}

/// The files of each table.
type Files = BTreeMap<&'static str, BTreeSet<String>>;

/// A version as the model knows it.
struct Published {
    files: Files,
    at: Timestamp,
    by_vacuum: bool,
}

/// A database, and what should be in it.
struct World {
    database: Database,
    now: Timestamp,
    /// Files below the database with the time at which they seem to have been written.
    files: BTreeMap<String, Timestamp>,
    /// From 1 on.
    versions: Vec<Published>,
    left: BTreeMap<String, (String, Fate)>,
    /// By table: versions published for a catalog, and when each was shown.
    shown: BTreeMap<&'static str, BTreeMap<Version, Option<Timestamp>>>,
    oldest: Version,
    steps: usize,
}

impl World {
    fn new(database: Database) -> Self {
        let now = match database.location().local_path() {
            Some(_) => Timestamp::now().checked_sub(SignedDuration::from_hours(5000)).unwrap(),
            // Memory does not let a file be older than it is: there all else happens later.
            None => Timestamp::now().checked_add(SignedDuration::from_hours(1)).unwrap(),
        };
        let (files, versions, left, shown) = (BTreeMap::new(), Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { database, now, files, versions, left, shown, oldest: 0, steps: 0 }
    }

    fn head(&self) -> Version {
        self.versions.len() as Version
    }

    fn state(&self, version: Version) -> Files {
        version.checked_sub(1).map(|index| self.versions[index as usize].files.clone()).unwrap_or_default()
    }

    async fn write(&mut self, below: &str) {
        let place = self.database.location().join(below);
        place.write(Bytes::from(below.to_owned())).await.unwrap();
        let at = match place.local_path() {
            Some(path) => {
                let file = std::fs::File::options().write(true).open(path).unwrap();
                file.set_modified(self.now.into()).unwrap();
                self.now
            }
            None => Timestamp::now(),
        };
        self.files.insert(below.to_owned(), at);
    }

    /// Gives the newest commit the time that it is here.
    async fn date(&self) {
        let version = self.head();
        let mut commit = self.database.read(version).await.unwrap().unwrap();
        commit.at = self.now;
        self.database.commit_file(version).write(serde_json::to_vec(&commit).unwrap()).await.unwrap();
    }

    async fn publish(&mut self, table: usize, collection: Option<u8>) {
        let (table, run) = (TABLES[table], format!("run-{}", self.steps));
        let base = self.database.snapshot(None).await.unwrap();
        let collections: Vec<String> = collection.iter().map(u8::to_string).collect();
        let path = format!("{run}/{}.parquet", uuid::Uuid::now_v7());
        self.write(&format!("{table}/data/{path}")).await;
        let mut proposal = Proposal::new(run, "nightly");
        let touched: BTreeSet<String> = collections.iter().cloned().collect();
        let remove: Vec<String> = base.affected(table, &touched).whole.iter().map(|file| file.path.clone()).collect();
        let mut state = self.state(self.head());
        let files = state.entry(table).or_default();
        if collection.is_none() {
            files.clear();
        }
        remove.iter().for_each(|path| _ = files.remove(path));
        files.insert(path.clone());
        let operation = if collection.is_some() { Operation::ReplaceCollections } else { Operation::Replace };
        let add = vec![DataFile { path, rows: 1, bytes: 1, row_hash: RowHash(1), collections }];
        proposal.tables.insert(table.into(), TableChange { operation, schema: Columns::default(), add, remove });
        let version = self.database.commit(&base, proposal).await.unwrap();
        self.versions.push(Published { files: state, at: self.now, by_vacuum: false });
        assert_eq!(version, self.head());
        self.date().await;
    }

    async fn rollback(&mut self, share: u8) {
        let to = u64::from(share) * (self.head() + 1) / 256;
        match self.database.rollback(to, &format!("run-{}", self.steps), None).await {
            Ok(version) => {
                assert!(to == 0 || to >= self.oldest, "version {to} came back, although those before {} are gone", self.oldest);
                self.versions.push(Published { files: self.state(to), at: self.now, by_vacuum: false });
                assert_eq!(version, self.head());
                self.date().await;
            }
            Err(error) => {
                let said = error.to_string();
                let (oldest, newest) = (self.oldest, self.head());
                let expected = format!(
                    "PS526 version {to} of database db was removed by a vacuum: its versions are {oldest} to {newest}; hint: choose"
                );
                assert!(to < oldest && said.starts_with(&expected), "{said}");
            }
        }
    }

    async fn show(&mut self, table: usize, told: bool) {
        let snapshot = self.database.snapshot(None).await.unwrap();
        let Some(state) = snapshot.tables.get(TABLES[table]) else { return };
        let version = state.changed_in;
        let shown = self.shown.entry(TABLES[table]).or_default();
        if shown.last_key_value().is_none_or(|(last, at)| *last < version || (*last == version && at.is_none())) {
            shown.insert(version, told.then_some(self.now));
            self.write(&format!("{}/published/{version:020}/{}.parquet", TABLES[table], self.steps)).await;
        }
    }

    /// What readers of the catalog may hold: what is shown, and what was until lately.
    fn held(&self, since: Timestamp) -> Held {
        let held = |shown: &BTreeMap<Version, Option<Timestamp>>| {
            let told: Vec<(Version, Timestamp)> = shown.iter().filter_map(|(version, at)| Some((*version, (*at)?))).collect();
            let settled = told.iter().filter(|(_, at)| *at <= since).map(|(version, _)| *version).max().unwrap_or(0);
            Shown { now: told.last().map(|(version, _)| *version).into_iter().collect(), settled }
        };
        self.shown.iter().map(|(table, shown)| ((*table).to_owned(), held(shown))).collect()
    }

    async fn vacuum(&mut self, versions: usize, hours: u8) {
        let since = self.now.checked_sub(SignedDuration::from_hours(hours.into())).unwrap();
        let (retention, held) = (Retention { versions, since }, self.held(since));
        let fates: BTreeMap<String, Fate> = self.left.iter().map(|(run, (_, fate))| (run.clone(), *fate)).collect();
        let tried = self.database.vacuum(self.database.survey(&retention, Some(&held)).await.unwrap(), &fates, true).await.unwrap();
        assert_eq!(self.list().await, self.files.keys().cloned().collect(), "a dry run removed something");
        let done = self.database.vacuum(self.database.survey(&retention, Some(&held)).await.unwrap(), &fates, false).await.unwrap();
        assert_eq!((tried.tables, tried.total, tried.abandoned), (done.tables.clone(), done.total, done.abandoned.clone()));
        let may_go = self.expect(&retention, &held);
        assert_eq!(done.total.files as usize, may_go.len(), "{may_go:?}");
        if let Some(version) = done.version {
            self.versions.push(Published { files: self.state(self.head()), at: self.now, by_vacuum: true });
            assert_eq!(version, self.head());
            self.date().await;
        }
        self.oldest = self.database.snapshot(None).await.unwrap().oldest;
        assert!(done.version.is_none() || self.oldest.max(1) == done.oldest);
        for gone in may_go {
            self.files.remove(&gone);
        }
        self.left.retain(|_, (file, _)| self.files.contains_key(file));
    }

    /// The files that may go, found the naive way.
    fn expect(&self, retention: &Retention, held: &Held) -> BTreeSet<String> {
        let asked_for: Vec<Version> = (1..=self.head()).filter(|version| !self.versions[*version as usize - 1].by_vacuum).collect();
        let counted = asked_for.iter().rev().nth(retention.versions - 1).or(asked_for.first()).copied().unwrap_or(0);
        let lately = |version: &Version| self.versions.get(*version as usize).is_some_and(|next| next.at > retention.since);
        let oldest = (0..=self.head()).find(lately).unwrap_or(self.head()).min(counted).max(self.oldest);
        let mut needed = BTreeSet::new();
        let need = |needed: &mut BTreeSet<String>, table: &str, version: Version| {
            let files = self.state(version).get(table).cloned().unwrap_or_default();
            needed.extend(files.into_iter().map(|path| format!("{table}/data/{path}")));
        };
        for version in oldest..=self.head() {
            TABLES.iter().for_each(|table| need(&mut needed, table, version));
        }
        for (table, shown) in held {
            shown.now.iter().for_each(|version| need(&mut needed, table, *version));
            let table_at = |version: Version| self.state(version).get(table.as_str()).cloned();
            for path in self.files.keys().filter(|path| path.starts_with(&format!("{table}/published/"))) {
                let version: Version = path.split('/').nth(2).unwrap().parse().unwrap();
                // It is a kept version's, if the table has not changed from then to some version that is kept.
                let kept = (oldest.max(version)..=self.head()).any(|kept| (version..kept).all(|v| table_at(v) == table_at(v + 1)));
                let (young, held) = (self.files[path] >= retention.since, version >= shown.settled);
                if held || shown.now.contains(&version) || kept || young {
                    needed.insert(path.clone());
                }
                if held {
                    need(&mut needed, table, version);
                }
            }
        }
        for (file, fate) in self.left.values() {
            if *fate == Fate::Alive || self.files[file] >= retention.since {
                needed.insert(file.clone());
            }
        }
        self.files.keys().filter(|path| !needed.contains(*path)).cloned().collect()
    }

    /// Everything below the tables.
    async fn list(&self) -> BTreeSet<String> {
        let place = self.database.location();
        let listed: Vec<_> = place.store.list(Some(&place.prefix)).try_collect().await.unwrap();
        let below = |path: &object_store::path::Path| {
            path.prefix_match(&place.prefix).unwrap().map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/")
        };
        listed.iter().map(|meta| below(&meta.location)).filter(|path| !path.starts_with('_')).collect()
    }

    async fn check(&self) {
        assert_eq!(self.list().await, self.files.keys().cloned().collect(), "step {}", self.steps);
        for version in self.oldest.max(1)..=self.head() {
            let snapshot = self.database.kept(version).await.unwrap();
            let tables = snapshot.tables.iter();
            let files =
                tables.map(|(name, table)| (name.as_str(), table.files.iter().map(|file| file.path.clone()).collect::<BTreeSet<_>>()));
            assert_eq!(files.collect::<BTreeMap<_, _>>(), self.state(version), "version {version}");
            for (table, file) in snapshot.tables.iter().flat_map(|(name, table)| table.files.iter().map(move |file| (name, file))) {
                let bytes = self.database.data(table).join(&file.path).read().await.unwrap();
                assert_eq!(bytes.unwrap(), format!("{table}/data/{}", file.path), "version {version}");
            }
        }
    }

    async fn play(mut self, steps: &[Step]) {
        for step in steps {
            self.steps += 1;
            match step {
                Step::Publish { table, collection } => self.publish(*table, *collection).await,
                Step::Rollback { share } => self.rollback(*share).await,
                Step::Leave { fate } => {
                    let run = format!("run-{}", self.steps);
                    let file = format!("mapped/data/{run}/left.parquet");
                    self.write(&file).await;
                    self.left.insert(run, (file, *fate));
                }
                Step::Show { table, told } => self.show(*table, *told).await,
                Step::Wait { hours } => self.now = self.now.checked_add(SignedDuration::from_hours((*hours).into())).unwrap(),
                Step::Vacuum { versions, hours } => self.vacuum(*versions, *hours).await,
            }
            // Nothing happens at the same instant.
            self.now = self.now.checked_add(SignedDuration::from_secs(1)).unwrap();
        }
        self.check().await;
        self.vacuum(1, 0).await;
        self.check().await;
        self.vacuum(1, 0).await;
        self.check().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn after_a_vacuum_every_version_that_stays_reads_in_full_and_nothing_else_is_left(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        for place in ["memory://warehouse/db", "db"] {
            let place = Storage::new().resolve(place, Path::new(directory.path())).unwrap();
            runtime.block_on(World::new(Database::open(place)).play(&steps));
        }
    }
}
