//! Going back: a new version whose state is that of an older one.
//!
//! Nothing is undone: the versions between stay readable, and going back can itself be gone back on. It conflicts with
//! everything that is published meanwhile, since nobody has looked at that.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use schemas::problem::Problem;

use super::commit::{Operation, Proposal, TableChange, Version};
use super::log::Database;
use super::snapshot::{Snapshot, TableState};
use crate::error::{Error, Result};

/// Files looked for at once.
const LOOKS: usize = 16;

impl Database {
    /// Publishes a version that equals version `to`, and gives its number.
    ///
    /// # Errors
    /// There is no such version, files of it are gone, or another run published meanwhile.
    pub async fn rollback(&self, to: Version, run_id: &str, message: Option<String>) -> Result<Version> {
        let now = self.snapshot(None).await?;
        if to > now.version {
            return Err(self.no_such_version(to, now.version).into());
        }
        self.check_kept(&now, to)?;
        let then = self.snapshot(Some(to)).await?;
        self.still_there(&now, &then).await?;
        let mut proposal = difference(&now, &then, run_id);
        proposal.message = message;
        self.commit(&now, proposal).await
    }

    /// The files that come back must exist: a version that cannot be read is not published.
    async fn still_there(&self, now: &Snapshot, then: &Snapshot) -> Result<()> {
        let none = TableState::default();
        let coming_back = then.tables.iter().flat_map(|(name, table)| {
            let current = now.tables.get(name).unwrap_or(&none);
            let data = self.data(name);
            table.files.iter().filter(|file| current.file(&file.path).is_none()).map(move |file| data.join(&file.path))
        });
        let looks = stream::iter(coming_back.collect::<Vec<_>>()).map(|file| async move {
            match file.store.head(&file.prefix).await {
                Ok(_) => Ok(()),
                Err(object_store::Error::NotFound { .. }) => {
                    let message = format!("version {} of database {} cannot come back: {} is gone", then.version, self.name(), file.full());
                    Err(Error::failed(
                        Problem::error("PS526", message).hint(format!("choose another with `pacha commits {}`", self.name())),
                    ))
                }
                Err(error) => Err(file.failed("read", &error)),
            }
        });
        looks.buffer_unordered(LOOKS).try_collect().await
    }
}

/// The proposal that makes `then` of `now`.
fn difference(now: &Snapshot, then: &Snapshot, run_id: &str) -> Proposal {
    let mut proposal = Proposal::new(run_id, "rollback");
    proposal.rollback_to = Some(then.version);
    let none = TableState::default();
    let names: BTreeSet<&String> = now.tables.keys().chain(then.tables.keys()).collect();
    for name in names {
        let (current, target) = (now.tables.get(name).unwrap_or(&none), then.tables.get(name));
        let change = match target {
            None => TableChange { operation: Operation::Drop, schema: current.schema.clone(), add: Vec::new(), remove: Vec::new() },
            Some(target) if now.tables.contains_key(name) && same(current, target) => continue,
            Some(target) => {
                // Not `Replace`, which would list every file that stays twice.
                let add = target.files.iter().filter(|file| current.file(&file.path).is_none()).cloned().collect();
                let gone = current.files.iter().filter(|file| target.file(&file.path).is_none());
                let remove = gone.map(|file| file.path.clone()).collect();
                TableChange { operation: Operation::ReplaceCollections, schema: target.schema.clone(), add, remove }
            }
        };
        proposal.tables.insert(name.clone(), change);
    }
    let differing = then.collections.iter().filter(|(id, state)| now.collections.get(*id) != Some(state));
    proposal.collections = differing.map(|(id, state)| (id.clone(), state.clone())).collect();
    proposal.removed_collections = now.collections.keys().filter(|id| !then.collections.contains_key(*id)).cloned().collect();
    let jobs: BTreeSet<&String> = now.run_keys.keys().chain(then.run_keys.keys()).collect();
    let restored = jobs.into_iter().filter(|job| now.run_keys.get(*job) != then.run_keys.get(*job));
    proposal.restored_keys = restored.map(|job| (job.clone(), then.run_keys.get(job).cloned())).collect::<BTreeMap<_, _>>();
    proposal
}

fn same(one: &TableState, other: &TableState) -> bool {
    one.schema == other.schema && one.files == other.files
}
