//! A catalog that holds what it was given: versions of databases, wherever their files are.
//!
//! Tests use it, and so may a query that must see one version throughout, whatever is published meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;

use super::{Catalog, Found, TableName};
use crate::error::Result;
use crate::table::{Database, Snapshot, TableVersion, Version};

/// Versions of databases, put in by hand.
#[derive(Debug, Default)]
pub struct MemoryCatalog {
    databases: RwLock<BTreeMap<String, Versions>>,
}

#[derive(Debug, Clone)]
struct Versions {
    database: Database,
    snapshots: BTreeMap<Version, Arc<Snapshot>>,
}

impl MemoryCatalog {
    /// Adds a version of a database.
    pub fn insert(&self, database: &Database, snapshot: Arc<Snapshot>) {
        let mut databases = self.databases.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Versions { database: database.clone(), snapshots: BTreeMap::new() };
        databases.entry(database.name().to_owned()).or_insert_with(new).snapshots.insert(snapshot.version, snapshot);
    }

    fn versions(&self, database: &str) -> Option<Versions> {
        self.databases.read().unwrap_or_else(PoisonError::into_inner).get(database).cloned()
    }
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn databases(&self) -> Result<Vec<String>> {
        Ok(self.databases.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect())
    }

    async fn tables(&self, database: &str) -> Result<Vec<String>> {
        let newest = self.versions(database).and_then(|versions| versions.snapshots.into_values().next_back());
        Ok(newest.map(|snapshot| snapshot.tables.keys().cloned().collect()).unwrap_or_default())
    }

    async fn table(&self, name: &TableName, version: Option<Version>) -> Result<Option<Found>> {
        let Some(Versions { database, snapshots }) = self.versions(&name.database) else { return Ok(None) };
        let Some((&head, newest)) = snapshots.last_key_value() else { return Ok(None) };
        let snapshot = match version {
            None => newest,
            Some(version) => snapshots.get(&version).ok_or_else(|| database.no_such_version(version, head))?,
        };
        Ok(TableVersion::new(&database, snapshot, &name.table)?.map(Found::Version))
    }
}
