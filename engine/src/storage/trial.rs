//! Every operation that a run needs of its warehouse, tried once in a scratch place that no reader looks at.

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt};
use schemas::problem::Problem;
use uuid::Uuid;

use super::{Location, durable};
use crate::error::Error;
use crate::table::counted;

/// An operation, and what came of it.
#[derive(Debug)]
pub struct Trial {
    /// The operation: `list`, `create`, `read`, `remove`.
    pub what: &'static str,
    /// What it showed, or what is wrong.
    pub outcome: Result<String, Error>,
}

/// Tries the operations below `warehouse`. What was written is removed, if that may be done.
pub async fn operations(warehouse: &Location) -> Vec<Trial> {
    let scratch = warehouse.join("_doctor").join(&Uuid::now_v7().to_string());
    let mut trials = vec![Trial { what: "list", outcome: list(warehouse).await }];
    let created = create(&scratch).await;
    let there = created.is_ok();
    trials.push(Trial { what: "create", outcome: created });
    // Nothing can be read or removed that could not be written, and what stands in the way was said already.
    if there {
        let read = scratch.read().await.and_then(|bytes| match bytes {
            Some(bytes) if bytes == CONTENT => Ok("what was written can be read".to_owned()),
            _ => Err(Error::failed(
                Problem::error("PS500", format!("cannot read {}: it is not what was written a moment ago", scratch.full()))
                    .hint("use a store that shows what was written at once, as Amazon S3 does"),
            )),
        });
        trials.push(Trial { what: "read", outcome: read });
        let removed = scratch.store.delete(&scratch.prefix).await;
        let removed = removed.map(|()| "it can be removed again".to_owned()).map_err(|error| scratch.failed("delete", &error));
        trials.push(Trial { what: "remove", outcome: removed });
    }
    trials
}

const CONTENT: &str = "written by pacha doctor";

async fn list(warehouse: &Location) -> Result<String, Error> {
    let databases = warehouse.store.list_with_delimiter(Some(&warehouse.prefix)).await;
    let databases = databases.map_err(|error| warehouse.failed("list", &error))?;
    let count = databases.common_prefixes.iter().filter(|name| !name.filename().is_some_and(|name| name.starts_with('_'))).count();
    Ok(counted(count as u64, "database"))
}

/// Puts if absent, twice: the second must be refused.
async fn create(scratch: &Location) -> Result<String, Error> {
    let put = || durable::create(scratch, Bytes::from_static(CONTENT.as_bytes()));
    put().await.map_err(|error| scratch.failed("write", &error))?;
    match put().await {
        Err(object_store::Error::AlreadyExists { .. }) => Ok("put-if-absent works".to_owned()),
        Err(error) => Err(scratch.failed("write", &error)),
        Ok(()) => {
            let source = "a second create replaced the first".into();
            let failed = scratch.failed("publish to", &object_store::Error::NotSupported { source });
            // It may be left: its place is one that readers skip.
            let _ = scratch.store.delete(&scratch.prefix).await;
            Err(failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures::TryStreamExt;

    use super::super::Storage;
    use super::*;

    #[tokio::test]
    async fn every_operation_is_tried_and_nothing_is_left() {
        let warehouse = Storage::new().resolve("memory://warehouse/below", Path::new("/")).unwrap();
        warehouse.join("calisphere/_commits/1.json").write("{}").await.unwrap();
        let trials = operations(&warehouse).await;
        let said: Vec<String> = trials.into_iter().map(|trial| format!("{}: {}", trial.what, trial.outcome.unwrap())).collect();
        assert_eq!(
            said,
            ["list: 1 database", "create: put-if-absent works", "read: what was written can be read", "remove: it can be removed again"]
        );
        let left: Vec<_> = warehouse.store.list(None).try_collect().await.unwrap();
        assert_eq!(left.len(), 1);
    }
}
