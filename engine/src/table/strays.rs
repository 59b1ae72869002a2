//! Files that a run left behind and no version names: of an attempt that was thrown away, or a process that died.
//!
//! They are invisible to readers, and cost room. They are looked for run by run, never by age or by what the newest
//! version does not name: an older version's files are still needed, and another run's may be about to be published.

use std::collections::{BTreeMap, HashSet};

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore};
use schemas::problem::Problem;
use serde::Serialize;

use super::log::Database;
use crate::error::{Error, Result};

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Swept {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { files: self.files + other.files, bytes: self.bytes + other.bytes }
    }
}

impl Database {
    /// The files that a run wrote below its tables and no commit names.
    ///
    /// # Errors
    /// The database cannot be listed, or a commit cannot be read.
    pub async fn strays(&self, run_id: &str) -> Result<Vec<ObjectMeta>> {
        let mut found = Vec::new();
        for table in self.directories().await? {
            let directory = self.data(&table).join(run_id);
            let files: Vec<ObjectMeta> =
                directory.store.list(Some(&directory.prefix)).try_collect().await.map_err(|error| directory.failed("list", &error))?;
            found.extend(files);
        }
        if found.is_empty() {
            return Ok(found);
        }
        let named: HashSet<ObjectPath> = self.named(run_id).await?;
        found.retain(|file| !named.contains(&file.location));
        Ok(found)
    }

    /// Compares what lies in a run's folders with the files that it is about to publish: path below the database, and bytes.
    /// Files that are not among them are of attempts that did not count, and are removed.
    ///
    /// # Errors
    /// A file that is to be published is not there, or not as long as was said; or the store fails.
    pub async fn keep_only(&self, run_id: &str, publish: &BTreeMap<String, u64>) -> Result<Swept> {
        let mut wanted: BTreeMap<ObjectPath, u64> =
            publish.iter().map(|(path, bytes)| (self.location().join(path).prefix, *bytes)).collect();
        let mut strays = Vec::new();
        for file in self.strays(run_id).await? {
            match wanted.remove(&file.location) {
                Some(bytes) if bytes == file.size => {}
                Some(bytes) => {
                    let message = format!("{} has {} bytes, and should have {bytes}", file.location, file.size);
                    return Err(Error::failed(
                        Problem::error("PG412", message).hint("nothing was published; run again, and report this if it stays"),
                    ));
                }
                None => strays.push(file),
            }
        }
        if let Some((path, _)) = wanted.first_key_value() {
            let problem = Problem::error("PG412", format!("{path} was written by an executor and is not in the warehouse"));
            return Err(Error::failed(
                problem.hint("give all executors the same warehouse as this client: a bucket, or a directory that all share"),
            ));
        }
        let swept = Swept { files: strays.len() as u64, bytes: strays.iter().map(|file| file.size).sum() };
        self.delete(strays).await.map(|()| swept)
    }

    /// Removes [`Self::strays`]. Only for a run that has ended: one that lives would lose what it is about to publish.
    ///
    /// # Errors
    /// As for [`Self::strays`], or a file cannot be removed.
    pub async fn remove_strays(&self, run_id: &str) -> Result<Swept> {
        let strays = self.strays(run_id).await?;
        let mut swept = Swept { files: strays.len() as u64, bytes: strays.iter().map(|file| file.size).sum() };
        self.delete(strays).await?;
        if let Some(root) = self.location().local_path() {
            for table in self.directories().await? {
                let directory = root.join(&table).join("data").join(run_id);
                let cleaned = tokio::task::spawn_blocking(move || remove_unfinished(&directory));
                let half = cleaned.await.unwrap_or_default();
                swept = swept.and(half);
            }
        }
        Ok(swept)
    }

    async fn delete(&self, files: Vec<ObjectMeta>) -> Result<()> {
        // By the thousand, where the store has a request for that.
        let paths = futures::stream::iter(files.into_iter().map(|file| Ok(file.location))).boxed();
        let mut removed = self.location().store.delete_stream(paths);
        while let Some(outcome) = removed.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.location().failed("delete", &error)),
            }
        }
        Ok(())
    }

    /// Names of the directories that may be tables.
    pub(crate) async fn directories(&self) -> Result<Vec<String>> {
        let location = self.location();
        let found = location.store.list_with_delimiter(Some(&location.prefix)).await;
        let found = found.map_err(|error| location.failed("list", &error))?;
        let names = found.common_prefixes.iter().filter_map(|prefix| prefix.filename());
        Ok(names.filter(|name| !name.starts_with(['_', '.'])).map(str::to_owned).collect())
    }

    /// Every path of the run that some version names.
    async fn named(&self, run_id: &str) -> Result<HashSet<ObjectPath>> {
        let mut named = HashSet::new();
        let below = format!("{run_id}/");
        for commit in self.history(usize::MAX).await? {
            for (table, change) in &commit.proposal.tables {
                let data = self.data(table);
                named.extend(change.add.iter().filter(|file| file.path.starts_with(&below)).map(|file| data.join(&file.path).prefix));
            }
        }
        Ok(named)
    }
}

/// Removes what the local store does not list: uploads that a dead process did not finish (`<name>#1`), and directories
/// that are empty now.
pub(super) fn remove_unfinished(directory: &std::path::Path) -> Swept {
    let mut swept = Swept::default();
    let Ok(entries) = std::fs::read_dir(directory) else { return swept };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let staged = name.to_str().and_then(|name| name.rsplit_once('#')).is_some_and(|(_, number)| number.parse::<u32>().is_ok());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            swept = swept.and(remove_unfinished(&path));
        } else if staged {
            let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
            if std::fs::remove_file(&path).is_ok() {
                swept = Swept { files: swept.files + 1, bytes: swept.bytes + bytes };
            }
        }
    }
    // Fails, as it should, where files of a version are left.
    let _ = std::fs::remove_dir(directory);
    swept
}
