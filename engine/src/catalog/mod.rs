//! Where tables are found by name: the warehouse itself, or a catalog that others read too.
//!
//! * [`warehouse`]: the directory or bucket is the catalog; a database is what has a commit log.
//! * [`memory`]: tables put in by hand, for tests and for what has no warehouse.

use std::fmt::Debug;

use async_trait::async_trait;

pub mod memory;
pub mod warehouse;

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

/// Finds tables by name.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// Names of the databases, sorted.
    async fn databases(&self) -> Result<Vec<String>>;

    /// Names of the tables of a database at its newest version, sorted; none if there is no such database.
    async fn tables(&self, database: &str) -> Result<Vec<String>>;

    /// A table at a version, or at the newest one; `None` if there is no such table.
    async fn table(&self, name: &TableName, version: Option<Version>) -> Result<Option<TableVersion>>;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::Storage;
    use crate::table::{Columns, Database, Operation, Proposal, TableChange};

    /// What every catalog must do, given one that holds `calisphere.mapped` at versions 1 and 2, and `empty` nowhere.
    async fn suite(catalog: &dyn Catalog) {
        assert_eq!(catalog.databases().await.unwrap(), ["calisphere"]);
        assert_eq!(catalog.tables("calisphere").await.unwrap(), ["findings", "mapped"]);
        assert!(catalog.tables("nowhere").await.unwrap().is_empty());
        let mapped = TableName::new("calisphere", "mapped");
        assert_eq!(mapped.to_string(), "calisphere.mapped");
        let newest = catalog.table(&mapped, None).await.unwrap().unwrap();
        assert_eq!((newest.snapshot().version, newest.name()), (2, "mapped"));
        let old = catalog.table(&mapped, Some(1)).await.unwrap().unwrap();
        assert_eq!(old.snapshot().version, 1);
        assert!(catalog.table(&TableName::new("calisphere", "findings"), Some(1)).await.unwrap().is_none());
        assert!(catalog.table(&TableName::new("calisphere", "mapd"), None).await.unwrap().is_none());
        assert!(catalog.table(&TableName::new("nowhere", "mapped"), None).await.unwrap().is_none());
        let error = catalog.table(&mapped, Some(9)).await.unwrap_err().to_string();
        assert!(error.starts_with("PS525 database calisphere has no version 9: its versions are 1 to 2"), "{error}");
    }

    async fn publish(database: &Database, table: &str) {
        let mut proposal = Proposal::new("run", "nightly");
        let change = TableChange { operation: Operation::Replace, schema: Columns::default(), add: Vec::new(), remove: Vec::new() };
        proposal.tables.insert(table.into(), change);
        let base = database.snapshot(None).await.unwrap();
        database.commit(&base, proposal).await.unwrap();
    }

    #[tokio::test]
    async fn every_catalog_passes_the_suite() {
        let directory = tempfile::tempdir().unwrap();
        for place in [directory.path().to_str().unwrap(), "memory://warehouse/below"] {
            let warehouse = Storage::new().resolve(place, directory.path()).unwrap();
            let database = Database::open(warehouse.join("calisphere"));
            publish(&database, "mapped").await;
            publish(&database, "findings").await;
            warehouse.join("_env/prod.json").write(bytes::Bytes::new()).await.unwrap();
            warehouse.join("notes/readme.txt").write(bytes::Bytes::new()).await.unwrap();
            suite(&WarehouseCatalog::new(warehouse)).await;

            let memory = MemoryCatalog::default();
            for version in [1, 2] {
                memory.insert(&database, Arc::new(database.snapshot(Some(version)).await.unwrap()));
            }
            suite(&memory).await;
        }
    }
}
