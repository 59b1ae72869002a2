//! Property tests of the commit log: two writers do what they like, and the log is compared with a naive model.
//!
//! The model is a list of states, one a version, and knows nothing of files, rebasing or checkpoints: it says of a
//! proposal whether it may follow, by comparing what it and each version since its base have touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;

use super::{CollectionState, Columns, DataFile, Database, Operation, Proposal, RowHash, Snapshot, TableChange};
use crate::error::Kind;
use crate::storage::Storage;

const TABLES: [&str; 2] = ["mapped", "findings"];

#[derive(Debug, Clone)]
enum Action {
    /// The writer looks at the newest version; until then it works on the one that it saw last.
    Look { writer: usize },
    /// The table becomes one file.
    Replace { writer: usize, table: usize, key: Option<u8> },
    /// One more file.
    Append { writer: usize, table: usize, key: Option<u8> },
    /// Some collections of a table are written anew, in one file or in a file each.
    Collections { writer: usize, table: usize, ids: BTreeSet<u8>, one_file: bool },
    /// Back to an older version, given as a share of the history.
    Rollback { share: u8 },
}

fn action() -> impl Strategy<Value = Action> {
    let (writer, table, key) = (0..2usize, 0..2usize, prop::option::weighted(0.3, 0..3u8));
    let ids = prop::collection::btree_set(0..5u8, 1..4);
    prop_oneof![
        4 => writer.clone().prop_map(|writer| Action::Look { writer }),
        1 => (writer.clone(), table.clone(), key.clone()).prop_map(|(writer, table, key)| Action::Replace { writer, table, key }),
        2 => (writer.clone(), table.clone(), key).prop_map(|(writer, table, key)| Action::Append { writer, table, key }),
        6 => (writer, table, ids, any::<bool>())
            .prop_map(|(writer, table, ids, one_file)| Action::Collections { writer, table, ids, one_file }),
        1 => any::<u8>().prop_map(|share| Action::Rollback { share }),
    ]
}

/// A version as the model sees it.
#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    tables: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    collections: BTreeMap<String, String>,
    keys: BTreeMap<String, String>,
}

impl State {
    fn of(snapshot: &Snapshot) -> Self {
        let files = |table: &super::TableState| table.files.iter().map(|file| (file.path.clone(), file.collections.clone())).collect();
        Self {
            tables: snapshot.tables.iter().map(|(name, table)| (name.clone(), files(table))).collect(),
            collections: snapshot.collections.iter().map(|(id, state)| (id.clone(), state.key.clone())).collect(),
            keys: snapshot.run_keys.clone(),
        }
    }
}

/// What a version touched, in the terms of the rules.
#[derive(Debug, Clone, Default)]
struct Touched {
    everything: bool,
    whole: Option<usize>,
    table: Option<usize>,
    appended: bool,
    collections: BTreeSet<String>,
    job: usize,
    key: Option<u8>,
}

impl Touched {
    fn overlaps(&self, other: &Self) -> bool {
        let same_table = self.table == other.table;
        self.everything
            || other.everything
            || (same_table && (self.whole.is_some() || other.whole.is_some()))
            || (same_table && self.appended && other.appended && self.job == other.job)
            || (self.job == other.job && self.key.is_some() && self.key == other.key)
            || !self.collections.is_disjoint(&other.collections)
    }
}

/// The model: all versions, and what each touched.
struct Model {
    states: Vec<State>,
    touched: Vec<Touched>,
}

fn file(path: String, collections: Vec<String>) -> DataFile {
    DataFile { path, rows: 1, bytes: 1, row_hash: RowHash(1), collections }
}

/// The proposal of an action on top of `base`, with what it touches.
fn propose(action: &Action, base: &Snapshot, step: usize) -> Option<(usize, Proposal, Touched)> {
    let path = |part: &str| format!("run-{step}/{part}.parquet");
    let new = |writer: usize, key: Option<u8>| {
        let mut proposal = Proposal::new(format!("run-{step}"), format!("job-{writer}"));
        proposal.run_key = key.map(|key| key.to_string());
        proposal
    };
    let (writer, table, mut proposal, change, touched) = match action {
        Action::Look { .. } | Action::Rollback { .. } => return None,
        Action::Replace { writer, table, key } => {
            let add = vec![file(path("all"), Vec::new())];
            let change = TableChange { operation: Operation::Replace, schema: Columns::default(), add, remove: Vec::new() };
            let touched = Touched { whole: Some(*table), key: *key, ..Touched::default() };
            (*writer, *table, new(*writer, *key), change, touched)
        }
        Action::Append { writer, table, key } => {
            let add = vec![file(path("more"), Vec::new())];
            let change = TableChange { operation: Operation::Append, schema: Columns::default(), add, remove: Vec::new() };
            (*writer, *table, new(*writer, *key), change, Touched { appended: true, key: *key, ..Touched::default() })
        }
        Action::Collections { writer, table, ids, one_file } => {
            let ids: BTreeSet<String> = ids.iter().map(u8::to_string).collect();
            let affected = base.affected(TABLES[*table], &ids);
            let remove = affected.whole.iter().chain(&affected.mixed).map(|file| file.path.clone()).collect();
            let others: BTreeSet<String> =
                affected.mixed.iter().flat_map(|file| file.collections.clone()).filter(|id| !ids.contains(id)).collect();
            let mut add: Vec<DataFile> = if *one_file {
                vec![file(path("some"), ids.iter().cloned().collect())]
            } else {
                ids.iter().map(|id| file(path(id), vec![id.clone()])).collect()
            };
            if !others.is_empty() {
                add.push(file(path("others"), others.iter().cloned().collect()));
            }
            let mut proposal = new(*writer, None);
            let state = |id: &String| (id.clone(), CollectionState { key: format!("{id}@{step}"), ..CollectionState::default() });
            proposal.collections = ids.iter().map(state).collect();
            let change = TableChange { operation: Operation::ReplaceCollections, schema: Columns::default(), add, remove };
            (*writer, *table, proposal, change, Touched { collections: &ids | &others, ..Touched::default() })
        }
    };
    proposal.tables.insert(TABLES[table].into(), change);
    Some((writer, proposal, Touched { table: Some(table), job: writer, ..touched }))
}

impl Model {
    /// Whether what was touched on top of version `base` may follow what has happened since.
    fn may_follow(&self, touched: &Touched, base: usize) -> bool {
        self.touched[base + 1..].iter().all(|since| !touched.overlaps(since))
    }

    fn publish(&mut self, proposal: &Proposal, touched: Touched) {
        let mut state = self.states.last().cloned().unwrap_or_default();
        for (name, change) in &proposal.tables {
            let files = state.tables.entry(name.clone()).or_default();
            if change.operation == Operation::Replace {
                files.clear();
            }
            change.remove.iter().for_each(|path| _ = files.remove(path));
            files.extend(change.add.iter().map(|file| (file.path.clone(), file.collections.clone())));
        }
        state.collections.extend(proposal.collections.iter().map(|(id, state)| (id.clone(), state.key.clone())));
        match &proposal.run_key {
            Some(key) => state.keys.insert(proposal.job.clone(), key.clone()),
            None => state.keys.remove(&proposal.job),
        };
        self.states.push(state);
        self.touched.push(touched);
    }
}

async fn play(actions: &[Action]) -> Result<(), TestCaseError> {
    let place = Storage::new().resolve("memory://warehouse/db", Path::new("/")).unwrap();
    let database = Database::open(place);
    let mut seen = [Snapshot::default(), Snapshot::default()];
    let mut model = Model { states: vec![State::default()], touched: vec![Touched::default()] };
    for (step, action) in actions.iter().enumerate() {
        match action {
            Action::Look { writer } => seen[*writer] = database.snapshot(None).await.unwrap(),
            Action::Rollback { share } => {
                let to = usize::from(*share) * model.states.len() / 256;
                let version = database.rollback(to as u64, &format!("run-{step}"), None).await.unwrap();
                model.states.push(model.states[to].clone());
                model.touched.push(Touched { everything: true, ..Touched::default() });
                prop_assert_eq!(version as usize, model.states.len() - 1);
            }
            _ => {
                let writer = match action {
                    Action::Replace { writer, .. } | Action::Append { writer, .. } | Action::Collections { writer, .. } => *writer,
                    _ => 0,
                };
                let Some((_, proposal, touched)) = propose(action, &seen[writer], step) else { continue };
                for (table, file) in proposal.tables.iter().flat_map(|(table, change)| change.add.iter().map(move |file| (table, file))) {
                    database.data(table).join(&file.path).write(Bytes::from_static(b"x")).await.unwrap();
                }
                let may = model.may_follow(&touched, seen[writer].version as usize);
                match database.commit(&seen[writer], proposal.clone()).await {
                    Ok(version) => {
                        prop_assert!(may, "step {} must have conflicted", step);
                        model.publish(&proposal, touched);
                        prop_assert_eq!(version as usize, model.states.len() - 1);
                    }
                    Err(error) => {
                        prop_assert_eq!(error.kind, Kind::Conflict);
                        prop_assert!(!may, "step {} must not have conflicted: {}", step, error);
                    }
                }
            }
        }
        prop_assert_eq!(&State::of(&database.snapshot(None).await.unwrap()), model.states.last().unwrap());
    }
    every_version_is_as_it_was(&database, &model).await?;
    // Checkpoints are a convenience: broken or absent they must not matter.
    for version in 0..model.states.len() as u64 {
        if database.checkpoint_file(version).read().await.unwrap().is_some() {
            let broken = if version % 2 == 0 { "{\"format\": 1, \"snapshot\": {" } else { "" };
            database.checkpoint_file(version).write(Bytes::from_static(broken.as_bytes())).await.unwrap();
        }
    }
    every_version_is_as_it_was(&database, &model).await
}

async fn every_version_is_as_it_was(database: &Database, model: &Model) -> Result<(), TestCaseError> {
    for (version, state) in model.states.iter().enumerate() {
        let snapshot = database.snapshot(Some(version as u64)).await.unwrap();
        prop_assert_eq!(&State::of(&snapshot), state, "version {}", version);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_log_agrees_with_a_naive_model_whatever_two_writers_do(actions in prop::collection::vec(action(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(&actions))?;
    }
}
