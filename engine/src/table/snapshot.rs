//! The state of a database at a version: which files its tables are, and how its collections stand.
//!
//! It is a fold of the log, and pure: [`Snapshot::apply`] is the only thing that a commit means. A checkpoint is a
//! snapshot written down, and can be thrown away at any time.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use schemas::problem::Problem;
use serde::{Deserialize, Serialize};

use super::commit::{CollectionState, Commit, DataFile, Operation, RowHash, TableChange, Version};
use super::instant;
use super::schema::Columns;

/// A database at a version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version; 0 before the first commit.
    pub version: Version,
    /// The run that published it.
    pub run_id: String,
    /// When.
    #[serde(with = "instant::option", default)]
    pub at: Option<Timestamp>,
    /// Tables by name.
    pub tables: BTreeMap<String, TableState>,
    /// Collections by id.
    #[serde(default)]
    pub collections: BTreeMap<String, CollectionState>,
    /// The run key that each job published last.
    #[serde(default)]
    pub run_keys: BTreeMap<String, String>,
    /// The oldest version that a vacuum left; 0 while none has removed any.
    #[serde(default)]
    pub oldest: Version,
    /// The checkpoint that this was folded from; decides when the next one is due.
    #[serde(skip)]
    pub(super) checkpoint: Version,
}

/// A table at a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    /// Its columns.
    pub schema: Columns,
    /// Its files, sorted by path.
    pub files: Vec<DataFile>,
    /// The version that changed it last.
    pub changed_in: Version,
}

impl TableState {
    /// Rows of all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Hash of all rows, whatever their order and distribution over files.
    pub fn row_hash(&self) -> RowHash {
        self.files.iter().fold(RowHash::default(), |sum, file| sum.and(file.row_hash))
    }

    /// The file of this path.
    pub fn file(&self, path: &str) -> Option<&DataFile> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|index| &self.files[index])
    }
}

/// The files that replacing some collections touches.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Affected<'a> {
    /// They hold these collections only: removed as they are.
    pub whole: Vec<&'a DataFile>,
    /// They hold others too: the others' rows must be written anew.
    pub mixed: Vec<&'a DataFile>,
}

impl Snapshot {
    /// Whether the files of a version up to this one are still there: no vacuum has removed it. Version 0 has none to miss.
    pub fn keeps(&self, version: Version) -> bool {
        version == 0 || version >= self.oldest
    }

    /// The files of a table that hold rows of `collections`. Files that name no collection are not by collection.
    pub fn affected(&self, table: &str, collections: &BTreeSet<String>) -> Affected<'_> {
        let mut affected = Affected::default();
        for file in self.tables.get(table).map_or(&[][..], |table| &table.files) {
            let of_these = file.collections.iter().filter(|id| collections.contains(*id)).count();
            if of_these == 0 {
                continue;
            }
            let list = if of_these == file.collections.len() { &mut affected.whole } else { &mut affected.mixed };
            list.push(file);
        }
        affected
    }

    /// The next version: this one changed by the next commit.
    ///
    /// # Errors
    /// The commit is not the next one, or removes or adds what it cannot: the log is damaged.
    pub(super) fn apply(&mut self, commit: &Commit) -> Result<(), Problem> {
        if commit.version != self.version + 1 || commit.parent != self.version {
            let claims = format!("claims to be version {} after {}", commit.version, commit.parent);
            return Err(damaged(self.version + 1, &claims));
        }
        let proposal = &commit.proposal;
        for (name, change) in &proposal.tables {
            self.change(name, change, commit.version).map_err(|what| damaged(commit.version, &what))?;
        }
        for id in &proposal.removed_collections {
            self.collections.remove(id);
        }
        self.collections.extend(proposal.collections.iter().map(|(id, state)| (id.clone(), state.clone())));
        for (job, key) in &proposal.restored_keys {
            match key {
                Some(key) => _ = self.run_keys.insert(job.clone(), key.clone()),
                None => _ = self.run_keys.remove(job),
            }
        }
        if let Some(vacuum) = &proposal.vacuum {
            self.oldest = self.oldest.max(vacuum.oldest);
        }
        // Neither a rollback nor a vacuum is a job, even where one has such a name.
        if proposal.rollback_to.is_none() && proposal.vacuum.is_none() {
            match &proposal.run_key {
                Some(key) => _ = self.run_keys.insert(proposal.job.clone(), key.clone()),
                // What the job published last is no longer what its key stood for.
                None => _ = self.run_keys.remove(&proposal.job),
            }
        }
        (self.version, self.at) = (commit.version, Some(commit.at));
        self.run_id.clone_from(&proposal.run_id);
        Ok(())
    }

    fn change(&mut self, name: &str, change: &TableChange, version: Version) -> Result<(), String> {
        if change.operation == Operation::Drop {
            self.tables.remove(name);
            return Ok(());
        }
        let table = self.tables.entry(name.to_owned()).or_default();
        if change.operation == Operation::Replace {
            table.files.clear();
        } else {
            let gone: HashSet<&str> = change.remove.iter().map(String::as_str).collect();
            let before = table.files.len();
            table.files.retain(|file| !gone.contains(file.path.as_str()));
            if before - table.files.len() != gone.len() {
                return Err(format!("removes files of {name} that the version before it does not have"));
            }
        }
        table.files.extend(change.add.iter().cloned());
        table.files.sort_by(|a, b| a.path.cmp(&b.path));
        if let Some(twice) = table.files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(format!("adds {} to {name}, which has it already", twice[0].path));
        }
        table.schema = change.schema.clone();
        table.changed_in = version;
        Ok(())
    }
}

fn damaged(version: Version, what: &str) -> Problem {
    Problem::error("PS521", format!("the commit log is damaged: version {version} {what}"))
        .hint("restore the directory _commits from a backup; the data files are not touched")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, collections: &[&str]) -> DataFile {
        let collections = collections.iter().map(|id| (*id).to_owned()).collect();
        DataFile { path: path.into(), rows: 2, bytes: 10, row_hash: RowHash(u128::MAX), collections }
    }

    #[test]
    fn files_of_a_collection_are_told_from_files_it_shares() {
        let files = vec![file("a", &["1"]), file("b", &["1", "2"]), file("c", &["2"]), file("d", &[])];
        let table = TableState { files, ..TableState::default() };
        assert_eq!((table.rows(), table.bytes(), table.row_hash()), (8, 40, RowHash(u128::MAX - 3)));
        assert_eq!(table.file("c").unwrap().collections, ["2"]);
        let snapshot = Snapshot { tables: [("mapped".to_owned(), table)].into(), ..Snapshot::default() };
        let affected = snapshot.affected("mapped", &["1".to_owned()].into());
        assert_eq!(affected.whole.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(affected.mixed.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(snapshot.affected("nowhere", &["1".to_owned()].into()), Affected::default());
    }
}
