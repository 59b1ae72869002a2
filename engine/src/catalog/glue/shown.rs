//! What Glue shows of a database now, for who removes what nobody can see any more: see [`crate::table::vacuum`].

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_glue::types::Table;

use super::entry::location;
use super::publish::{owner, shown};
use super::{GlueCatalog, names};
use crate::error::Result;
use crate::table::vacuum::shown::Now;
use crate::table::{Database, Version};

impl GlueCatalog {
    /// Of each table that the database has or had: the version that Glue shows, and the locations that it points at.
    ///
    /// # Errors
    /// The database or Glue cannot be listed.
    pub async fn shown(&self, database: &Database) -> Result<BTreeMap<String, Now>> {
        let in_glue = names::database(&self.settings, database.name());
        let root = location(database.location());
        let mut all: BTreeMap<String, Now> = database.directories().await?.into_iter().map(|table| (table, Now::default())).collect();
        for table in self.client.tables(&in_glue).await?.iter().filter(|table| owner(table) == Some(&root)) {
            let mut locations: BTreeSet<Version> = pointed_at(table.storage_descriptor().and_then(|place| place.location())).collect();
            if !table.partition_keys().is_empty() {
                for partition in self.client.partitions(&in_glue, &table.name, None).await? {
                    locations.extend(pointed_at(partition.storage_descriptor().and_then(|place| place.location())));
                }
            }
            let now = Now { version: shown(table), locations, since: told_at(table) };
            all.insert(table.name.clone(), now);
        }
        Ok(all)
    }
}

/// When the table was last changed, and so the latest time at which it can have begun to show what it shows.
fn told_at(table: &Table) -> Option<jiff::Timestamp> {
    let told = table.update_time().or(table.create_time())?;
    // To the second after: Glue's times have no fraction on some servers.
    jiff::Timestamp::from_second(told.secs().saturating_add(1)).ok()
}

/// The version of a published location.
fn pointed_at(location: Option<&str>) -> impl Iterator<Item = Version> {
    let below = location.and_then(|location| location.split_once("/published/")).map(|(_, below)| below.to_owned());
    below.and_then(|below| below.split('/').next()?.parse().ok()).into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_tells_its_version() {
        let version = |location: &str| pointed_at(Some(location)).next();
        assert_eq!(version("s3://lake/warehouse/alder/mapped/published/00000000000000000042/all/"), Some(42));
        assert_eq!(version("s3://lake/w/alder/mapped/published/00000000000000000007/by_collection/collection_id=1/"), Some(7));
        assert_eq!((version("s3://lake/elsewhere/"), pointed_at(None).next()), (None, None));
    }
}
