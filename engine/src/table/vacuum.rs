//! Vacuum: removes what no reader can want any more, and says in the log that it is gone.
//!
//! Publishing never removes anything, so files of old versions stay, and so does what a killed run has left. Three things
//! make it safe to remove some of it while others read and publish. A reader that began before a version was replaced holds
//! its files: so a version stays while it is among the last ones, and while it was replaced only lately. A rollback
//! could bring back what is being removed, and a run that was taken for dead could publish after all: so the vacuum first
//! publishes a commit that says what goes ([`Vacuum`]), and the log decides who was first. And what it has looked at may be
//! out of date: so where the log has moved on meanwhile, it looks again.
//!
//! [`survey`] looks, [`shown`] knows what a catalog's readers may hold; here is what is done about it. Who lives is not known here: see [`crate::job::vacuum()`].

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore};
use schemas::problem::Problem;
use serde::Serialize;

use super::commit::{Proposal, Vacuum, Version};
use super::counts::Thousands;
use super::crash_point;
use super::log::Database;
use super::strays::{Swept, remove_unfinished};
use crate::error::{Error, Kind, Result};

pub mod shown;
pub mod survey;

pub use shown::{Held, Seen, Shown};
pub use survey::{Kinds, Survey};

/// Name under which a vacuum stands in the log.
pub const JOB: &str = "vacuum";

/// What stays although it is not current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many newest versions.
    pub versions: usize,
    /// Whatever was replaced, or left behind, after this instant.
    pub since: Timestamp,
}

impl Retention {
    /// The last `versions`, and what was replaced less than `age` ago.
    pub fn new(versions: usize, age: SignedDuration) -> Self {
        // An age beyond the beginning of time keeps everything.
        Self { versions: versions.max(1), since: Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN) }
    }
}

/// Whether a run may still publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has ended.
    Ended,
    /// It lives, as far as can be told.
    Alive,
    /// It must be dead, but nobody has seen it die.
    Lost,
}

/// What a vacuum removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Vacuumed {
    /// The database.
    pub database: String,
    /// Nothing was removed: this is what would be.
    pub dry_run: bool,
    /// The oldest version that can be read.
    pub oldest: Version,
    /// The newest version.
    pub newest: Version,
    /// The version by which the vacuum is in the log; none if it took nothing that a version or a run could miss.
    pub version: Option<Version>,
    /// By table.
    pub tables: BTreeMap<String, Kinds<Swept>>,
    /// Commit files that were written and never named.
    pub staged: Swept,
    /// All of it.
    pub total: Swept,
    /// Runs taken for dead: if one lives after all, it cannot publish.
    pub abandoned: BTreeSet<String>,
    /// Runs that may live: their files stay.
    pub alive: BTreeSet<String>,
    /// No catalog could be asked what it shows: what is published for one stays.
    pub published_stays: bool,
}

/// The length of time that a text such as `24h` or `7d` says; none for what says no such thing.
pub fn age(text: &str) -> Option<SignedDuration> {
    let span: jiff::Span = text.trim().parse().ok()?;
    let age = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    (!age.is_negative()).then_some(age)
}

impl Database {
    /// Removes what a survey found, except what belongs to runs that live.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if somebody has published since the survey: nothing was removed, and another survey is due.
    /// Otherwise a store failed; what is left then is removed by the next vacuum.
    pub async fn vacuum(&self, survey: Survey, fates: &BTreeMap<String, Fate>, dry_run: bool) -> Result<Vacuumed> {
        let fate = |run: &str| fates.get(run).copied().unwrap_or(Fate::Lost);
        let (alive, ended): (BTreeSet<String>, BTreeSet<String>) = survey.runs().into_iter().partition(|run| fate(run) == Fate::Alive);
        let found = survey.without(&alive);
        let abandoned: BTreeSet<String> = ended.into_iter().filter(|run| fate(run) == Fate::Lost).collect();
        let newest = found.snapshot.version;
        if self.head().await? != newest {
            let problem = Problem::error("PS520", format!("somebody published in database {} during the vacuum", self.name()));
            return Err(Error::new(Kind::Conflict, problem.hint(format!("nothing was removed; again: `pacha vacuum {}`", self.name()))));
        }
        let mut outcome = Vacuumed {
            database: self.name().to_owned(),
            dry_run,
            oldest: found.oldest.max(1).min(newest),
            newest,
            version: None,
            tables: found.tables.iter().map(|(name, kinds)| (name.clone(), kinds.map(|files| size(files)))).collect(),
            staged: size(&found.staged),
            total: Swept::default(),
            abandoned,
            alive,
            published_stays: found.published_stays,
        };
        outcome.total =
            outcome.tables.values().flat_map(Kinds::all).chain([&outcome.staged]).fold(Swept::default(), |sum, one| sum.and(*one));
        if dry_run {
            return Ok(outcome);
        }
        let takes_versions = found.oldest > found.snapshot.oldest && found.tables.values().any(|kinds| !kinds.versions.is_empty());
        if takes_versions || !outcome.abandoned.is_empty() {
            outcome.version = Some(self.announce(&found, &outcome).await?);
            outcome.newest = outcome.newest.max(outcome.version.unwrap_or_default());
            outcome.oldest = found.oldest.max(1);
        }
        crash_point("vacuum-announced");
        self.remove(&found).await?;
        Ok(outcome)
    }

    async fn announce(&self, found: &Survey, outcome: &Vacuumed) -> Result<Version> {
        let mut proposal = Proposal::new(uuid::Uuid::now_v7().to_string(), JOB);
        proposal.vacuum = Some(Vacuum { oldest: found.oldest, abandoned: outcome.abandoned.clone() });
        let removed = format!("{} files removed, {:.1} MB", Thousands(outcome.total.files), outcome.total.bytes as f64 / 1e6);
        proposal.message = Some(match found.oldest {
            0 | 1 => removed,
            oldest => format!("versions before {oldest} are gone; {removed}"),
        });
        self.commit(&found.snapshot, proposal).await
    }

    async fn remove(&self, found: &Survey) -> Result<()> {
        let store = &self.location().store;
        let all: Vec<&ObjectMeta> = found.tables.values().flat_map(Kinds::all).flatten().chain(&found.staged).collect();
        let paths: Vec<object_store::Result<ObjectPath>> = all.iter().map(|meta| Ok(meta.location.clone())).collect();
        let mut removed = store.delete_stream(stream::iter(paths).boxed());
        let mut failed = None;
        while let Some(answer) = removed.next().await {
            match answer {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                // The others are still tried: what can be removed is.
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
        if let Some(error) = failed {
            return Err(self.location().failed("delete", &error));
        }
        self.remove_empty(&all).await;
        Ok(())
    }

    /// On a disk: the directories that are empty now, and uploads in them that nobody will finish.
    async fn remove_empty(&self, removed: &[&ObjectMeta]) {
        let Some(root) = self.location().local_path() else { return };
        let tops = removed.iter().filter_map(|meta| {
            let parts: Vec<_> = meta.location.prefix_match(&self.location().prefix)?.take(3).collect();
            (parts.len() == 3).then(|| parts.iter().fold(root.clone(), |path, part| path.join(part.as_ref())))
        });
        let tops: BTreeSet<std::path::PathBuf> = tops.filter(|path| path.is_dir()).collect();
        // They are in nobody's way: what cannot be removed now is looked at again next time.
        let _ = tokio::task::spawn_blocking(move || tops.iter().for_each(|top| _ = remove_unfinished(top))).await;
    }
}

fn size(files: &[ObjectMeta]) -> Swept {
    Swept { files: files.len() as u64, bytes: files.iter().map(|meta| meta.size).sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_with_a_unit() {
        for (text, hours) in [("24h", 24), ("7d", 168), ("2 weeks", 336), ("0s", 0), (" 90m ", 1)] {
            assert_eq!(age(text).map(|age| age.as_hours()), Some(hours), "{text}");
        }
        for wrong in ["", "24", "soon", "-1h", "1 month"] {
            assert_eq!(age(wrong), None, "{wrong}");
        }
    }
}
