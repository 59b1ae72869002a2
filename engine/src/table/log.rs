//! A database: finding its newest version, reading any version, and publishing the next.
//!
//! Publishing is one put-if-absent of `_commits/<N+1>.json`. Its answer is never trusted alone: "already exists" may be
//! our own first attempt whose answer was lost, or a race that nobody won, and a broken connection says nothing at all.
//! So whatever the answer, the file is read back, and the proposal's id in it decides. Reading needs no lock and no
//! clean-up: files are immutable, so a version stays what it was while others are published.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::{ObjectMeta, ObjectStoreExt};
use schemas::problem::Problem;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::commit::{Commit, FORMAT, Proposal, Version};
use super::rebase::{fit, overlap};
use super::snapshot::Snapshot;
use crate::error::{Error, Kind, Result};
use crate::storage::{Location, durable};
use crate::table::crash_point;

/// Directory of the log. Names with an underscore are never tables.
pub(super) const COMMITS: &str = "_commits";

/// A checkpoint is due this many versions after the last one.
const CHECKPOINT_EVERY: Version = 20;

/// How often a put is tried whose outcome cannot be told.
const ATTEMPTS: u32 = 4;

/// Commit files read at once.
const READS: usize = 8;

/// Age in seconds at which a staged commit file cannot belong to a writer that lives.
const STAGED_FOR: i64 = 24 * 60 * 60;

/// The tables that one job, or a family of jobs, writes, with their one log.
#[derive(Debug, Clone)]
pub struct Database {
    location: Location,
}

/// A snapshot, written down so that the log need not be read from its start.
#[derive(Serialize, Deserialize)]
struct Checkpoint<S> {
    format: u32,
    snapshot: S,
}

/// What is in the directory of the log.
#[derive(Debug, Default)]
struct Listing {
    commits: BTreeSet<Version>,
    checkpoints: BTreeSet<Version>,
    staged: Vec<ObjectMeta>,
}

/// Whose file has the number that was tried for.
enum Published {
    Ours,
    Theirs(Box<Commit>),
}

impl Database {
    /// The database at a place. Nothing is read: a place with nothing there is a database at version 0.
    pub fn open(location: Location) -> Self {
        Self { location }
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Its name: the last part of its place.
    pub fn name(&self) -> &str {
        self.location.prefix.filename().unwrap_or("database")
    }

    /// Where the files of a table are; [`super::DataFile::path`] is below it.
    pub fn data(&self, table: &str) -> Location {
        self.location.join(table).join("data")
    }

    /// The newest version; 0 if nothing was published yet.
    ///
    /// # Errors
    /// The log cannot be listed.
    pub async fn head(&self) -> Result<Version> {
        Ok(self.list().await?.commits.last().copied().unwrap_or(0))
    }

    /// The state at a version, or at the newest one.
    ///
    /// # Errors
    /// There is no such version, or a commit that leads to it is missing or unreadable.
    pub async fn snapshot(&self, version: Option<Version>) -> Result<Snapshot> {
        let listing = self.list().await?;
        let head = listing.commits.last().copied().unwrap_or(0);
        let version = version.unwrap_or(head);
        if version > head {
            return Err(self.no_such_version(version, head).into());
        }
        let mut snapshot = self.checkpoint(&listing, version).await;
        let commits = stream::iter(snapshot.version + 1..=version).map(|version| self.read_existing(version)).buffered(READS);
        let mut commits = std::pin::pin!(commits);
        while let Some(commit) = commits.try_next().await? {
            snapshot.apply(&commit).map_err(|problem| self.of_this(problem))?;
        }
        Ok(snapshot)
    }

    /// The state at a version whose files are all there still.
    ///
    /// # Errors
    /// As for [`Self::snapshot`], or a vacuum has removed the version.
    pub async fn kept(&self, version: Version) -> Result<Snapshot> {
        let now = self.snapshot(None).await?;
        self.check_kept(&now, version)?;
        if version == now.version { Ok(now) } else { self.snapshot(Some(version)).await }
    }

    /// The commits, newest first, at most `limit` of them.
    ///
    /// # Errors
    /// One is missing or unreadable.
    pub async fn history(&self, limit: usize) -> Result<Vec<Commit>> {
        let head = self.head().await?;
        let oldest = head.saturating_sub(limit as Version);
        stream::iter((oldest + 1..=head).rev()).map(|version| self.read_existing(version)).buffered(READS).try_collect().await
    }

    /// One commit, or `None` if there is no such version.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub async fn read(&self, version: Version) -> Result<Option<Commit>> {
        let file = self.commit_file(version);
        let Some(bytes) = file.read().await? else { return Ok(None) };
        let commit: Commit = parse(&bytes).map_err(|why| Error::failed(self.unreadable(version, &file, &why)))?;
        if commit.version != version {
            let why = format!("it says that it is version {}", commit.version);
            return Err(Error::failed(self.unreadable(version, &file, &Unreadable::Damaged(why))));
        }
        Ok(Some(commit))
    }

    /// Publishes a proposal that was made on top of `base`, and gives its version. The data files must be complete.
    ///
    /// Others may have published meanwhile: the proposal follows them if they changed other tables or collections.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if they did not: nothing is published. Otherwise the proposal makes no sense, or the store
    /// failed, and then the problem says whether it is known that nothing was published.
    pub async fn commit(&self, base: &Snapshot, mut proposal: Proposal) -> Result<Version> {
        fit(&mut proposal, base).map_err(|problem| Error::failed(self.of_this(problem)))?;
        let added = proposal.tables.iter().flat_map(|(table, change)| {
            let data = self.data(table);
            change.add.iter().map(move |file| data.join(&file.path))
        });
        // What a rollback adds was made durable when it was first published, and syncing it again is cheap.
        durable::persist(&self.location, &added.collect::<Vec<_>>()).await?;
        crash_point("before-commit");
        let mut base = Cow::Borrowed(base);
        let version = loop {
            let commit = Commit::new(base.version, &proposal);
            match self.publish(&commit).await? {
                Published::Ours => {
                    base.to_mut().apply(&commit).map_err(|problem| self.of_this(problem))?;
                    break commit.version;
                }
                Published::Theirs(theirs) => {
                    let after = base.to_mut();
                    after.apply(&theirs).map_err(|problem| self.of_this(problem))?;
                    if let Some(why) = overlap(&proposal, &theirs.proposal, after) {
                        return Err(self.conflict(&proposal, &theirs, &why));
                    }
                    tracing::debug!(version = theirs.version, run = theirs.proposal.run_id, "another run published first; following it");
                }
            }
        };
        crash_point("after-commit");
        if version - base.checkpoint >= CHECKPOINT_EVERY {
            self.write_checkpoint(&base).await;
        }
        Ok(version)
    }

    /// Tries for one number of the log until it is known whose it is.
    async fn publish(&self, commit: &Commit) -> Result<Published> {
        let file = self.commit_file(commit.version);
        let text = serde_json::to_string_pretty(commit)
            .map_err(|error| Error::failed(Problem::error("PS523", format!("the commit cannot be written as JSON: {error}"))))?;
        let text = Bytes::from(text + "\n");
        for attempt in 1..=ATTEMPTS {
            let Err(error) = durable::create(&file, text.clone()).await else { return Ok(Published::Ours) };
            let problem = file.failed("write", &error);
            // An earlier attempt whose answer was lost may have done what this one was refused.
            if attempt == 1 && !durable::repeated(&error) && is_final(&problem) {
                return Err(problem);
            }
            match self.read(commit.version).await {
                Ok(Some(found)) if found.proposal.id == commit.proposal.id => return Ok(Published::Ours),
                Ok(Some(found)) => return Ok(Published::Theirs(Box::new(found))),
                // Nobody has the number, so a put that is still under way cannot win against our next one unseen.
                Ok(None) if attempt == ATTEMPTS => return Err(problem),
                Err(unread) if attempt == ATTEMPTS => return Err(self.unknown(commit, &problem, &unread)),
                Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(20 << attempt)).await,
            }
        }
        Err(Error::failed(Problem::error("PS500", format!("cannot write {}: no attempt was answered", file.full()))))
    }

    async fn read_existing(&self, version: Version) -> Result<Commit> {
        match self.read(version).await? {
            Some(commit) => Ok(commit),
            None => {
                let file = self.commit_file(version);
                Err(Error::failed(self.unreadable(version, &file, &Unreadable::Damaged("there is no such file".into()))))
            }
        }
    }

    /// The newest usable checkpoint not after `version`, or the empty state. A broken one is as good as none.
    async fn checkpoint(&self, listing: &Listing, version: Version) -> Snapshot {
        for &candidate in listing.checkpoints.range(..=version).rev() {
            let file = self.checkpoint_file(candidate);
            let checkpoint = match file.read().await {
                Ok(Some(bytes)) => serde_json::from_slice::<Checkpoint<Snapshot>>(&bytes).ok(),
                _ => None,
            };
            match checkpoint {
                Some(Checkpoint { format, snapshot }) if format <= FORMAT && snapshot.version == candidate => {
                    return Snapshot { checkpoint: candidate, ..snapshot };
                }
                _ => tracing::debug!(file = file.full(), "checkpoint cannot be used, reading the commits instead"),
            }
        }
        Snapshot::default()
    }

    /// Best effort: the log is whole without it.
    async fn write_checkpoint(&self, snapshot: &Snapshot) {
        crash_point("before-checkpoint");
        let file = self.checkpoint_file(snapshot.version);
        let written = match serde_json::to_string_pretty(&Checkpoint { format: FORMAT, snapshot }) {
            Ok(text) => file.write(Bytes::from(text + "\n")).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = written {
            tracing::debug!(file = file.full(), error, "checkpoint not written");
        }
        let Ok(listing) = self.list().await else { return };
        let old = |meta: &&ObjectMeta| Timestamp::now().as_second() - meta.last_modified.timestamp() > STAGED_FOR;
        for meta in listing.staged.iter().filter(old) {
            // Another writer may sweep at the same time: gone is gone.
            let _ = self.location.store.delete(&meta.location).await;
        }
    }

    async fn list(&self) -> Result<Listing> {
        let directory = self.location.join(COMMITS);
        let found = directory.store.list_with_delimiter(Some(&directory.prefix)).await;
        let found = found.map_err(|error| directory.failed("list", &error))?;
        let mut listing = Listing::default();
        for meta in found.objects {
            let name = meta.location.filename().unwrap_or_default();
            if name.starts_with('.') {
                listing.staged.push(meta);
            } else if let Some(version) = numbered(name, ".checkpoint.json") {
                listing.checkpoints.insert(version);
            } else if let Some(version) = numbered(name, ".json") {
                listing.commits.insert(version);
            }
        }
        Ok(listing)
    }

    /// Commit files that a writer staged and did not get to name, each with its age.
    pub(super) async fn staged(&self) -> Result<Vec<ObjectMeta>> {
        Ok(self.list().await?.staged)
    }

    pub(super) fn commit_file(&self, version: Version) -> Location {
        self.location.join(COMMITS).join(&format!("{version:020}.json"))
    }

    pub(super) fn checkpoint_file(&self, version: Version) -> Location {
        self.location.join(COMMITS).join(&format!("{version:020}.checkpoint.json"))
    }

    /// Says which database it is about.
    pub(super) fn of_this(&self, problem: Problem) -> Problem {
        let message = format!("database {} at {}: {}", self.name(), self.location.full(), problem.message);
        Problem { message, ..problem }
    }

    pub(crate) fn no_such_version(&self, version: Version, head: Version) -> Problem {
        let name = self.name();
        let have = match head {
            0 => "nothing was published there yet".to_owned(),
            1 => "its only version is 1".to_owned(),
            head => format!("its versions are 1 to {head}"),
        };
        Problem::error("PS525", format!("database {name} has no version {version}: {have}"))
            .hint(format!("list them with `pacha commits {name}`"))
    }

    /// Refuses a version that a vacuum has removed.
    pub(super) fn check_kept(&self, now: &Snapshot, version: Version) -> Result<()> {
        if now.keeps(version) {
            return Ok(());
        }
        let (name, oldest, newest) = (self.name(), now.oldest, now.version);
        let message = format!("version {version} of database {name} was removed by a vacuum: its versions are {oldest} to {newest}");
        Err(Problem::error("PS526", message).hint(format!("choose one of those; list them with `pacha commits {name}`")).into())
    }

    fn unreadable(&self, version: Version, file: &Location, why: &Unreadable) -> Problem {
        let name = self.name();
        match why {
            Unreadable::Newer(format) => {
                let message =
                    format!("version {version} of database {name} was written by a newer pacha (format {format}): {}", file.full());
                Problem::error("PS524", message).hint("upgrade this pacha")
            }
            Unreadable::Damaged(why) => {
                let message = format!("the commit log of database {name} is damaged at version {version}: {}: {why}", file.full());
                let hint = "restore this file from a backup; the data files and the other commits are not touched";
                Problem::error("PS521", message).hint(hint)
            }
        }
    }

    fn conflict(&self, ours: &Proposal, theirs: &Commit, why: &str) -> Error {
        let (run, version) = (&theirs.proposal.run_id, theirs.version);
        let message =
            format!("run {run} published version {version} of database {} first and {why}; nothing of this run was published", self.name());
        let hint = match (ours.rollback_to, &ours.vacuum) {
            (Some(to), _) => format!("look with `pacha commits {name}`, then again: `pacha rollback {name} --to {to}`", name = self.name()),
            (None, Some(_)) => format!("again: `pacha vacuum {}`", self.name()),
            (None, None) => format!("run again: `pacha run {}`", ours.job),
        };
        Error::new(Kind::Conflict, Problem::error("PS520", message).hint(hint))
    }

    fn unknown(&self, commit: &Commit, wrote: &Error, read: &Error) -> Error {
        let text = |error: &Error| error.problems.0.first().map_or_else(String::new, |problem| problem.message.clone());
        let message = format!(
            "it is not known whether version {} of database {} was published: {}; and then {}",
            commit.version,
            self.name(),
            text(wrote),
            text(read)
        );
        let hint = format!("look with `pacha commits {}`; running again is safe, what was published is not done twice", self.name());
        Error::failed(Problem::error("PS522", message).hint(hint))
    }
}

/// Why a commit file cannot be used.
enum Unreadable {
    Newer(u32),
    Damaged(String),
}

/// The format is looked at first: what is newer must not be misread as damaged.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    #[derive(Deserialize)]
    struct Header {
        format: u32,
    }
    if bytes.is_empty() {
        return Err(Unreadable::Damaged("the file is empty".into()));
    }
    let header: Header = serde_json::from_slice(bytes).map_err(|error| Unreadable::Damaged(error.to_string()))?;
    if header.format > FORMAT {
        return Err(Unreadable::Newer(header.format));
    }
    serde_json::from_slice(bytes).map_err(|error| Unreadable::Damaged(error.to_string()))
}

/// `00000000000000000042.json` → 42.
fn numbered(name: &str, suffix: &str) -> Option<Version> {
    let digits = name.strip_suffix(suffix)?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Refusals: no credentials, no right, no room, no bucket, no such operation, another clock.
const FINAL: [&str; 11] = ["PS501", "PS503", "PS504", "PS506", "PS507", "PS531", "PS532", "PS533", "PS534", "PS535", "PS537"];

/// Nothing was written, and trying again would not change that.
fn is_final(error: &Error) -> bool {
    error.problems.0.iter().any(|problem| FINAL.contains(&problem.code))
}
