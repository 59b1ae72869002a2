//! Partitions that are registered one by one: in batches, item by item, until Glue has exactly the wanted ones.
//!
//! No call covers them all, so a reader may see some of the new version and some of the old; each partition by itself is
//! swapped at once. What is new comes first and what is gone goes last, so that nothing is ever missing.

use std::collections::BTreeMap;

use aws_sdk_glue::types::{Partition, PartitionInput, StorageDescriptor};
use schemas::problem::Problem;

use super::client::{Client, DELETES, Item, WRITES};
use super::entry::Entry;
use crate::error::{Error, Result};

/// Times that what failed of a batch is tried.
const ROUNDS: usize = 4;

/// Failed items that a message names.
const NAMED: usize = 3;

/// Makes every wanted partition and points it at its location; false if there was nothing to do.
///
/// # Errors
/// Some stay as they were.
pub(super) async fn put(client: &Client, entry: &Entry) -> Result<bool> {
    let wanted = entry.partitions();
    let mut failed = Vec::new();
    for round in 0..ROUNDS {
        let there = registered(client, entry).await?;
        let (known, new): (Vec<_>, Vec<_>) = wanted
            .iter()
            .filter(|(id, input)| there.get(*id).map(String::as_str) != location(input.storage_descriptor()))
            .partition(|(id, _)| there.contains_key(*id));
        if known.is_empty() && new.is_empty() {
            return Ok(round > 0);
        }
        failed.clear();
        for batch in inputs(&new).chunks(WRITES) {
            failed.extend(client.create_partitions(&entry.database, &entry.table, batch).await?);
        }
        for batch in inputs(&known).chunks(WRITES) {
            failed.extend(client.update_partitions(&entry.database, &entry.table, batch).await?);
        }
        if failed.is_empty() {
            return Ok(true);
        }
        // Somebody else made or removed one meanwhile: the next look at what is there decides, not the answer.
    }
    Err(some_failed(entry, "registered", &failed))
}

/// In what the registered partitions are not the wanted ones, in words; `None` if they are.
pub(super) async fn difference(client: &Client, entry: &Entry) -> Result<Option<String>> {
    let (wanted, there) = (entry.partitions(), registered(client, entry).await?);
    let missing = wanted.keys().filter(|id| !there.contains_key(*id)).count();
    let gone = there.keys().filter(|id| !wanted.contains_key(*id)).count();
    let moved =
        wanted.iter().filter(|(id, input)| there.get(*id).is_some_and(|at| Some(at.as_str()) != location(input.storage_descriptor())));
    let counts = [(missing, "missing"), (moved.count(), "of another version"), (gone, "too many")];
    let words: Vec<String> = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    Ok((!words.is_empty()).then(|| format!("of {} partitions, {}", wanted.len(), words.join(", "))))
}

/// Removes the partitions that are not wanted any more; false if there were none.
///
/// # Errors
/// Some stay.
pub(super) async fn remove_others(client: &Client, entry: &Entry) -> Result<bool> {
    let wanted = entry.partitions();
    let mut failed = Vec::new();
    for round in 0..ROUNDS {
        let there = registered(client, entry).await?;
        let gone: Vec<Vec<String>> = there.into_keys().filter(|id| !wanted.contains_key(id)).map(|id| vec![id]).collect();
        if gone.is_empty() {
            return Ok(round > 0);
        }
        failed.clear();
        for batch in gone.chunks(DELETES) {
            failed.extend(client.delete_partitions(&entry.database, &entry.table, batch).await?);
        }
        failed.retain(|item| item.code != "EntityNotFoundException");
        if failed.is_empty() {
            return Ok(true);
        }
    }
    Err(some_failed(entry, "removed", &failed))
}

/// Collection → location, of all partitions that Glue has.
async fn registered(client: &Client, entry: &Entry) -> Result<BTreeMap<String, String>> {
    let partitions = client.partitions(&entry.database, &entry.table, None).await?;
    let known = |partition: Partition| {
        let location = location(partition.storage_descriptor()).unwrap_or_default().to_owned();
        Some((partition.values?.into_iter().next()?, location))
    };
    Ok(partitions.into_iter().filter_map(known).collect())
}

fn location(descriptor: Option<&StorageDescriptor>) -> Option<&str> {
    descriptor.and_then(StorageDescriptor::location)
}

fn inputs(of: &[(&String, &PartitionInput)]) -> Vec<PartitionInput> {
    of.iter().map(|(_, input)| PartitionInput::clone(input)).collect()
}

fn some_failed(entry: &Entry, what: &str, failed: &[Item]) -> Error {
    let named: Vec<String> =
        failed.iter().take(NAMED).map(|item| format!("{} ({}: {})", item.values.join("/"), item.code, item.message)).collect();
    let message = format!("{} partitions of {} in Glue could not be {what}: {}", failed.len(), entry.name(), named.join(", "));
    Error::failed(Problem::error("PS574", message).hint("what is registered can be read; go on with `pacha catalog repair`"))
}
