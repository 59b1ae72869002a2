//! What a commit file says: what a run changed, from what, and how it is accounted for.
//!
//! It is JSON, indented, with sorted names and nothing left to chance, so that the same change is the same text and an
//! operator can read the history with `less`. Unknown fields are ignored, so that an older pacha reads what a newer one
//! wrote; what it must not misread raises [`FORMAT`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use super::counts::Counts;
use super::instant;
use super::schema::Columns;

/// Number of a version of a database; 0 is the empty one before the first commit.
pub type Version = u64;

/// The form of the commit files that this code writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// One published version: the proposal of a run, and where in the log it found its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// This version.
    pub version: Version,
    /// The version that this one changes.
    pub parent: Version,
    /// When it was published, by the publisher's clock.
    #[serde(with = "instant")]
    pub at: Timestamp,
    /// Version of pacha that wrote it.
    pub engine: String,
    /// What the run wants to be so.
    #[serde(flatten)]
    pub proposal: Proposal,
}

impl Commit {
    /// The commit that a proposal would be on top of `parent`.
    pub(super) fn new(parent: Version, proposal: &Proposal) -> Self {
        let engine = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, version: parent + 1, parent, at: Timestamp::now(), engine, proposal: proposal.clone() }
    }
}

/// What a run wants to publish. [`super::Database::commit`] gives it a version, or says why it cannot have one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Proposal {
    /// Identity of this proposal: a file that carries it is ours, whatever the answer to the put was.
    pub id: String,
    /// The run.
    pub run_id: String,
    /// The job of the run.
    pub job: String,
    /// What people should know, one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The version whose state this commit restores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<Version>,
    /// What a vacuum takes away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vacuum: Option<Vacuum>,
    /// Digest of everything that the result depends on: a run that finds its own key published has nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_key: Option<String>,
    /// Fingerprint of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What was read.
    pub inputs: Inputs,
    /// Parameters of the run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Gates that were overridden, with the reasons given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
    /// What became of the records, in total.
    pub counts: Counts,
    /// The change, table by table.
    pub tables: BTreeMap<String, TableChange>,
    /// The collections that this commit replaces or adds, with their new state.
    pub collections: BTreeMap<String, CollectionState>,
    /// The collections that are gone.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub removed_collections: BTreeSet<String>,
    /// Run keys that a rollback brings back; null where the job had not run yet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub restored_keys: BTreeMap<String, Option<String>>,
}

impl Proposal {
    /// An empty proposal of a run.
    pub fn new(run_id: impl Into<String>, job: impl Into<String>) -> Self {
        Self { id: Uuid::now_v7().to_string(), run_id: run_id.into(), job: job.into(), ..Self::default() }
    }

    /// Every collection that this proposal speaks about: replaced, removed, or rewritten together with others in one file.
    pub fn touched(&self) -> BTreeSet<&str> {
        let in_files = self.tables.values().flat_map(|change| &change.add).flat_map(|file| &file.collections);
        self.collections.keys().chain(&self.removed_collections).chain(in_files).map(String::as_str).collect()
    }
}

/// What a vacuum takes away. It is published before anything is removed, so that the log decides between it and a rollback
/// to what it removes, or a run that it took for dead: one of them is first, and the other is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vacuum {
    /// The oldest version that stays: those before it can no longer be read.
    pub oldest: Version,
    /// Runs that were taken for dead, and can no longer publish because their files are removed.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub abandoned: BTreeSet<String>,
}

/// What was read, all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inputs {
    /// Digest over key, etag and size of every page.
    pub digest: String,
    /// Pages.
    pub pages: u64,
    /// Bytes of the pages, as stored.
    pub bytes: u64,
}

/// The change of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChange {
    /// How it combines with what is there, and with what others do at the same time.
    pub operation: Operation,
    /// The columns from this version on.
    pub schema: Columns,
    /// Files that become part of the table.
    pub add: Vec<DataFile>,
    /// Paths that cease to be part of it. Filled in by the commit for [`Operation::Replace`] and [`Operation::Drop`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// How a change combines with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The table is exactly the added files.
    Replace,
    /// The removed files go and the added ones come, for the collections that the proposal names; others stay.
    ReplaceCollections,
    /// The added files come; nothing goes.
    Append,
    /// The table is gone. A rollback to before its time does that.
    Drop,
}

/// One immutable Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Path below `<table>/data/`: `<run id>/<uuid>.parquet`.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Sum over the hashes of its rows.
    #[serde(default)]
    pub row_hash: RowHash,
    /// The collections that have rows in it, sorted; none if the table is not by collection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<String>,
}

/// The state of one collection, as its last run left it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectionState {
    /// Run key of this collection alone: inputs, mapping, schemas, parameters, engine.
    pub key: String,
    /// What became of its records.
    pub counts: Counts,
    /// Pages read.
    pub pages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// When it was harvested, if known.
    #[serde(skip_serializing_if = "Option::is_none", with = "instant::option")]
    pub harvested: Option<Timestamp>,
}

/// Hash of a set of rows that does not depend on their order: the wrapping sum of one hash a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RowHash(pub u128);

impl RowHash {
    /// The hash of both sets together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

impl fmt::Display for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::str::FromStr for RowHash {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for RowHash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> Commit {
        let mut proposal = Proposal::new("019a", "nightly");
        proposal.id = "fixed".into();
        proposal.run_key = Some("k1".into());
        let file = DataFile {
            path: "019a/f.parquet".into(),
            rows: 3,
            bytes: 900,
            row_hash: RowHash(u128::MAX).and(RowHash(17)),
            collections: vec!["26773".into()],
        };
        let change =
            TableChange { operation: Operation::ReplaceCollections, schema: Columns::default(), add: vec![file], remove: Vec::new() };
        proposal.tables.insert("mapped".into(), change);
        proposal.collections.insert("26773".into(), CollectionState { key: "c1".into(), ..CollectionState::default() });
        let mut commit = Commit::new(41, &proposal);
        commit.at = "2026-11-01T02:03:04.5Z".parse().unwrap();
        commit
    }

    #[test]
    fn a_commit_is_read_back_as_it_was_written_and_written_the_same_again() {
        let text = serde_json::to_string_pretty(&commit()).unwrap();
        let back: Commit = serde_json::from_str(&text).unwrap();
        assert_eq!(back, commit());
        assert_eq!(serde_json::to_string_pretty(&back).unwrap(), text);
        for line in ["\"version\": 42", "\"parent\": 41", "\"at\": \"2026-11-01T02:03:04.500Z\"", "\"operation\": \"replace_collections\""]
        {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(text.contains("\"row_hash\": \"00000000000000000000000000000010\""), "{text}");
    }

    #[test]
    fn a_field_of_a_newer_version_is_ignored() {
        let text = serde_json::to_string(&commit()).unwrap().replacen('{', "{\"weather\": {\"sunny\": true},", 1);
        assert_eq!(serde_json::from_str::<Commit>(&text).unwrap(), commit());
    }

    #[test]
    fn a_collection_rewritten_along_with_another_counts_as_touched() {
        let mut proposal = commit().proposal;
        proposal.removed_collections.insert("1".into());
        proposal.tables.get_mut("mapped").unwrap().add[0].collections.push("99".into());
        assert_eq!(proposal.touched().into_iter().collect::<Vec<_>>(), ["1", "26773", "99"]);
    }
}
