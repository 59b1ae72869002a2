//! How Glue stands to the log: what is behind, what is missing, what is in the way. Nothing is changed by looking.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_glue::types::Table;
use schemas::problem::Problem;
use serde::Serialize;

use super::entry::location;
use super::publish::{Newest, owner, shown};
use super::{GlueCatalog, names, partition};
use crate::error::{Error, Result};
use crate::table::{Database, Version};

/// How one table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Glue shows the newest version.
    InStep,
    /// Glue shows an older version, or says something else that is not so.
    Behind,
    /// Glue shows a version that the log does not have.
    Ahead,
    /// Glue does not have it.
    Missing,
    /// Glue has a table of this name that is not ours.
    Foreign,
    /// The newest version does not have it any more; Glue still does.
    Dropped,
    /// It is not among `[glue] tables`.
    NotListed,
}

impl State {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InStep => "in step",
            Self::Behind => "behind",
            Self::Ahead => "ahead of the log",
            Self::Missing => "missing",
            Self::Foreign => "not ours",
            Self::Dropped => "dropped",
            Self::NotListed => "not in [glue] tables",
        }
    }

    /// Whether a publication would change something.
    pub fn repairable(self) -> bool {
        matches!(self, Self::Behind | Self::Missing | Self::Dropped)
    }
}

/// One table, in the log and in Glue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// Both, as Glue calls them.
    pub in_glue: String,
    /// How it stands.
    pub state: State,
    /// The version that changed it last, in the log.
    pub log_version: Option<Version>,
    /// The version that Glue shows.
    pub glue_version: Option<Version>,
    /// Where Glue points.
    pub location: Option<String>,
    /// What differs, in words.
    pub differences: Vec<String>,
}

impl GlueCatalog {
    /// How every table of a database stands.
    ///
    /// # Errors
    /// The log or Glue cannot be read.
    pub async fn standing(&self, database: &Database) -> Result<Vec<Standing>> {
        let newest = Newest::of(database).await?;
        let snapshot = &newest.snapshot;
        let in_glue = names::database(&self.settings, database.name());
        let root = location(database.location());
        let seen: BTreeMap<String, Table> =
            self.client.tables(&in_glue).await?.into_iter().map(|table| (table.name.clone(), table)).collect();
        let ours = seen.iter().filter(|(_, table)| owner(table) == Some(&root)).map(|(name, _)| name);
        let names: BTreeSet<&String> = snapshot.tables.keys().chain(ours).collect();
        let mut standings = Vec::new();
        for name in names {
            let table = seen.get(name);
            let mine = table.filter(|table| owner(table) == Some(&root));
            let mut standing = Standing {
                database: database.name().to_owned(),
                table: name.clone(),
                in_glue: format!("{in_glue}.{name}"),
                state: State::InStep,
                log_version: snapshot.tables.get(name).map(|table| table.changed_in),
                glue_version: mine.and_then(shown),
                location: table.and_then(|table| Some(table.storage_descriptor()?.location()?.to_owned())),
                differences: Vec::new(),
            };
            standing.state = match (table, mine, self.wanted(name)) {
                (_, _, false) => State::NotListed,
                (None, ..) => State::Missing,
                (Some(_), None, _) => State::Foreign,
                (Some(_), Some(table), _) => match self.entry(database, &newest, name)? {
                    None => State::Dropped,
                    Some(entry) => {
                        standing.differences = entry.differences(table);
                        if entry.registers() && entry.same_keys(table) {
                            standing.differences.extend(partition::difference(&self.client, &entry).await?);
                        }
                        match (standing.glue_version > Some(entry.version), standing.differences.is_empty()) {
                            (true, _) => State::Ahead,
                            (false, true) => State::InStep,
                            (false, false) => State::Behind,
                        }
                    }
                },
            };
            standings.push(standing);
        }
        Ok(standings)
    }

    /// Removes tables of ours from Glue, and no data. Returns what was removed.
    ///
    /// # Errors
    /// The table that was asked for is not there, or not ours.
    pub async fn unregister(&self, database: &Database, only: Option<&str>) -> Result<Vec<String>> {
        let in_glue = names::database(&self.settings, database.name());
        let root = location(database.location());
        let tables = self.client.tables(&in_glue).await?;
        if let Some(only) = only {
            let Some(table) = tables.iter().find(|table| table.name == only) else {
                let problem = Problem::error("PS570", format!("Glue has no table {in_glue}.{only}"));
                return Err(Error::configuration(problem.hint(format!("pacha catalog show {} lists what it has", database.name()))));
            };
            if owner(table) != Some(&root) {
                let problem = Problem::error("PS566", format!("table {in_glue}.{only} in Glue is not this warehouse's"));
                return Err(Error::configuration(problem.hint("remove it with the tool that made it")));
            }
        }
        let mut removed = Vec::new();
        for table in tables.iter().filter(|table| owner(table) == Some(&root) && only.is_none_or(|only| only == table.name)) {
            self.client.delete(&in_glue, &table.name).await?;
            removed.push(format!("{in_glue}.{}", table.name));
        }
        Ok(removed)
    }

    /// Whether the project wants a table in Glue.
    pub fn wanted(&self, table: &str) -> bool {
        names::wanted(&self.settings, table)
    }
}
