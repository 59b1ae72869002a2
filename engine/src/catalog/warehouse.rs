//! The warehouse as its own catalog: a directory that has a commit log is a database, and its log knows its tables.
//!
//! It needs no service and cannot drift from the data, which is why it is the default.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Catalog, Found, TableName};
use crate::error::Result;
use crate::storage::Location;
use crate::table::{Database, TableVersion, Version};

/// Finds tables below a warehouse.
#[derive(Debug, Clone)]
pub struct WarehouseCatalog {
    warehouse: Location,
}

impl WarehouseCatalog {
    /// The catalog of a warehouse.
    pub fn new(warehouse: Location) -> Self {
        Self { warehouse }
    }

    /// A database of it, whether or not anything was published there yet.
    pub fn database(&self, name: &str) -> Database {
        Database::open(self.warehouse.join(name))
    }
}

#[async_trait]
impl Catalog for WarehouseCatalog {
    async fn databases(&self) -> Result<Vec<String>> {
        let found = self.warehouse.store.list_with_delimiter(Some(&self.warehouse.prefix)).await;
        let found = found.map_err(|error| self.warehouse.failed("list", &error))?;
        let mut databases = Vec::new();
        for name in found.common_prefixes.iter().filter_map(|prefix| prefix.filename()) {
            if !name.starts_with(['_', '.']) && self.database(name).head().await? > 0 {
                databases.push(name.to_owned());
            }
        }
        databases.sort();
        Ok(databases)
    }

    async fn tables(&self, database: &str) -> Result<Vec<String>> {
        Ok(self.database(database).snapshot(None).await?.tables.into_keys().collect())
    }

    async fn table(&self, name: &TableName, version: Option<Version>) -> Result<Option<Found>> {
        let database = self.database(&name.database);
        if version.is_some() && database.head().await? == 0 {
            return Ok(None);
        }
        let snapshot = match version {
            Some(version) => database.kept(version).await?,
            None => database.snapshot(None).await?,
        };
        let snapshot = Arc::new(snapshot);
        Ok(TableVersion::new(&database, &snapshot, &name.table)?.map(Found::Version))
    }
}
