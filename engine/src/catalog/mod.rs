//! Where tables are found by name: the warehouse itself, or a catalog that others read too.
//!
//! * [`warehouse`]: the directory or bucket is the catalog; a database is what has a commit log.
//! * [`memory`]: tables put in by hand, for tests and for what has no warehouse.
//! * [`glue`]: the AWS Glue Data Catalog, in which versions are published and the tables of others found.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;

pub mod glue;
pub mod memory;
pub mod warehouse;

pub use glue::GlueCatalog;
pub use memory::MemoryCatalog;
pub use warehouse::WarehouseCatalog;

use crate::error::Result;
use crate::table::{TableVersion, Version};

/// A table's full name, as in `calisphere.mapped`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The database.
    pub database: String,
    /// The table in it.
    pub table: String,
}

impl TableName {
    /// From its two parts.
    pub fn new(database: impl Into<String>, table: impl Into<String>) -> Self {
        Self { database: database.into(), table: table.into() }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// A table that was found.
#[derive(Debug, Clone)]
pub enum Found {
    /// One of ours, at a version of its log.
    Version(TableVersion),
    /// One that others wrote, as it is now.
    Other(Arc<dyn TableProvider>),
}

impl Found {
    /// What queries read.
    pub fn provider(self) -> Arc<dyn TableProvider> {
        match self {
            Self::Version(version) => Arc::new(version),
            Self::Other(provider) => provider,
        }
    }

    /// The version, if it is one of ours.
    pub fn version(&self) -> Option<&TableVersion> {
        match self {
            Self::Version(version) => Some(version),
            Self::Other(_) => None,
        }
    }
}

/// Finds tables by name.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// Names of the databases, sorted.
    async fn databases(&self) -> Result<Vec<String>>;

    /// Names of the tables of a database at its newest version, sorted; none if there is no such database.
    async fn tables(&self, database: &str) -> Result<Vec<String>>;

    /// A table at a version, or at the newest one; `None` if there is no such table.
    async fn table(&self, name: &TableName, version: Option<Version>) -> Result<Option<Found>>;
}
