//! The AWS Glue Data Catalog: where Athena, Spark and Trino find our tables, and where we find theirs.
//!
//! The commit log stays the truth. After each commit the newest version is shown in Glue: forward only, retriable, and never
//! in part.
//!
//! * [`publish`]: the protocol. [`copy`] makes the location that readers list; [`entry`] is what Glue is to say of it;
//!   [`partition`] registers partitions where the project wants them; [`statistics`] come last and may fail.
//! * [`names`], [`hive`] and [`docs`]: names, types and words, checked before any record is read.
//! * [`standing`]: what is behind, missing or in the way, for `pacha catalog`; [`shown`]: what readers may hold, for a vacuum.
//! * [`foreign`]: tables that others have registered; [`expression`] asks for their partitions.
//! * [`client`]: the calls; [`problem`]: what their errors mean.

use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_glue::types::Table;
use schemas::problem::Problem;

mod client;
mod copy;
mod docs;
mod entry;
mod expression;
mod foreign;
pub mod hive;
pub mod names;
mod partition;
mod problem;
pub mod publish;
mod shown;
pub mod standing;
mod statistics;

pub use client::ACTIONS;
pub use publish::{Outcome, Publication, Publish, Published};
pub use standing::{Standing, State};

use super::{Catalog, Found, TableName};
use crate::aws::Aws;
use crate::error::{Error, Result};
use crate::project::{GlueSettings, Project};
use crate::storage::Storage;
use crate::table::{Database, TableVersion, Version};
use client::Client;
use foreign::ForeignTable;

/// The catalog of an account, as a project uses it.
#[derive(Debug)]
pub struct GlueCatalog {
    project: Arc<Project>,
    settings: GlueSettings,
    storage: Arc<Storage>,
    client: Arc<Client>,
}

impl GlueCatalog {
    /// The catalog that a project names. Nothing is asked before it must be.
    pub fn new(project: &Arc<Project>, storage: &Arc<Storage>, aws: &Arc<Aws>) -> Self {
        let settings = project.settings.glue.clone();
        let client = Arc::new(Client::new(Arc::clone(aws), settings.clone()));
        Self { project: Arc::clone(project), settings, storage: Arc::clone(storage), client }
    }

    /// The database in Glue of a database of ours.
    pub fn database_of(&self, database: &str) -> String {
        names::database(&self.settings, database)
    }

    /// What changes whenever the rows of a table do; `None` if there is no such table.
    ///
    /// # Errors
    /// Glue or the table's files cannot be listed.
    pub async fn fingerprint(&self, name: &TableName) -> Result<Option<String>> {
        let Some(table) = self.look(name).await? else { return Ok(None) };
        if let (Some(root), Some(version)) = (publish::owner(&table), publish::shown(&table)) {
            return Ok(Some(format!("{root} {version}")));
        }
        let foreign = ForeignTable::new(&self.client, &self.storage, name, &table)?;
        let mut text = format!("{:?} {:?}\n", table.version_id(), table.update_time());
        for (store, file) in foreign.files(&[]).await? {
            let meta = file.object_meta;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{store:?} {} {:?} {} {}", meta.location, meta.e_tag, meta.size, meta.last_modified);
        }
        Ok(Some(text))
    }

    async fn look(&self, name: &TableName) -> Result<Option<Table>> {
        self.client.table(&name.database, &name.table).await
    }

    /// A table of ours, in this warehouse or another, at the version that Glue shows or the one asked for.
    async fn version_of(&self, name: &TableName, table: &Table, root: &str, version: Option<Version>) -> Result<Option<TableVersion>> {
        let database = Database::open(foreign::place(&self.storage, root)?);
        let version = version.or_else(|| publish::shown(table)).unwrap_or(0);
        if version == 0 {
            let problem = Problem::error("PS577", format!("table {name} is in Glue, but no version of it was published yet"));
            return Err(Error::failed(problem.hint("finish its publication with `pacha catalog repair` in its project")));
        }
        let snapshot = Arc::new(database.snapshot(Some(version)).await?);
        TableVersion::new(&database, &snapshot, &name.table)
    }
}

#[async_trait]
impl Catalog for GlueCatalog {
    async fn databases(&self) -> Result<Vec<String>> {
        let mut names = self.client.databases().await?;
        names.sort();
        Ok(names)
    }

    async fn tables(&self, database: &str) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.client.tables(database).await?.into_iter().map(|table| table.name).collect();
        names.sort();
        Ok(names)
    }

    async fn table(&self, name: &TableName, version: Option<Version>) -> Result<Option<Found>> {
        let Some(table) = self.look(name).await? else { return Ok(None) };
        if let Some(root) = publish::owner(&table) {
            return Ok(self.version_of(name, &table, root, version).await?.map(Found::Version));
        }
        if version.is_some() {
            let problem = Problem::error("PS578", format!("table {name} of Glue was not written by pacha: it has no versions"));
            return Err(Error::configuration(problem.hint(format!("query it as it is now: SELECT … FROM {name}"))));
        }
        let foreign = ForeignTable::new(&self.client, &self.storage, name, &table)?;
        Ok(Some(Found::Other(Arc::new(foreign))))
    }
}
