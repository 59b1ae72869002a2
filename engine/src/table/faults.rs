//! An object store that fails or lies at the n-th operation, and what must hold when it does.
//!
//! The three faults are those of a network: a request that never arrives, an answer that never comes back, and a refusal
//! that is about nothing (S3 answers 409 to a race that nobody won, which `object_store` calls "already exists").

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is not done, and an error is answered.
    NotDone,
    /// It is done, and an error is answered.
    AnswerLost,
    /// It is not done, and "already exists" is answered to a write, an error to the rest.
    FalseRefusal,
}

/// The store, and which of its operations go wrong.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn ObjectStore>,
    fault: Fault,
    when: Range<usize>,
    operations: AtomicUsize,
}

impl Faulty {
    fn new(inner: &Arc<dyn ObjectStore>, fault: Fault, when: Range<usize>) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), fault, when, operations: AtomicUsize::new(0) })
    }

    fn fault(&self) -> Option<Fault> {
        let operation = self.operations.fetch_add(1, Ordering::SeqCst);
        self.when.contains(&operation).then_some(self.fault)
    }

    async fn run<T>(&self, path: &ObjectPath, writes: bool, operation: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let broken = || Error::Generic { store: "Faulty", source: "the connection broke".into() };
        match self.fault() {
            None => operation.await,
            Some(Fault::AnswerLost) => operation.await.and_then(|_| Err(broken())),
            Some(Fault::FalseRefusal) if writes => Err(Error::AlreadyExists { path: path.to_string(), source: "409".into() }),
            Some(Fault::NotDone | Fault::FalseRefusal) => Err(broken()),
        }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &ObjectPath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.run(location, true, self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(&self, location: &ObjectPath, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        self.run(location, false, self.inner.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<ObjectPath>>) -> BoxStream<'static, Result<ObjectPath>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        let path = prefix.cloned().unwrap_or_default();
        self.run(&path, false, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> Result<()> {
        self.run(to, true, self.inner.copy_opts(from, to, options)).await
    }
}

mod tests {
    use std::path::Path;

    use super::super::{Columns, Database, Operation, Proposal, TableChange};
    use super::*;
    use crate::error::Kind;
    use crate::storage::{Location, Storage};

    /// More operations than a commit needs, with all its retries.
    const OPERATIONS: usize = 9;

    fn proposal(run: &str, table: &str) -> Proposal {
        let mut proposal = Proposal::new(run, run);
        let change = TableChange { operation: Operation::Replace, schema: Columns::default(), add: Vec::new(), remove: Vec::new() };
        proposal.tables.insert(table.into(), change);
        proposal
    }

    /// Commits `ours` through a faulty store, after `theirs` took the version that it wants; gives what is in the log
    /// then of ours, with what the commit said.
    async fn attempt(place: &Location, fault: Fault, when: Range<usize>, theirs: Option<&str>) -> (usize, crate::error::Result<u64>) {
        let sound = Database::open(place.clone());
        let base = sound.snapshot(None).await.unwrap();
        if let Some(table) = theirs {
            sound.commit(&base, proposal("theirs", table)).await.unwrap();
        }
        let faulty = Database::open(place.through(Faulty::new(&place.store, fault, when)));
        let said = faulty.commit(&base, proposal("ours", "mapped")).await;
        let log = sound.history(usize::MAX).await.unwrap();
        let ours: Vec<u64> = log.iter().filter(|commit| commit.proposal.run_id == "ours").map(|commit| commit.version).collect();
        if let Ok(version) = said {
            assert_eq!(ours, [version], "{fault:?}");
        }
        assert_eq!(sound.snapshot(None).await.unwrap().version as usize, log.len());
        (ours.len(), said)
    }

    fn places(directory: &Path) -> Vec<Location> {
        let mut places = Vec::new();
        for index in 0..OPERATIONS * 3 {
            places.push(Storage::new().resolve(&format!("db-{index}"), directory).unwrap());
            places.push(Storage::new().resolve("memory://warehouse/db", directory).unwrap());
        }
        places
    }

    #[tokio::test]
    async fn one_fault_at_any_operation_never_hides_or_doubles_a_commit() {
        let directory = tempfile::tempdir().unwrap();
        let mut places = places(directory.path());
        for fault in [Fault::NotDone, Fault::AnswerLost, Fault::FalseRefusal] {
            for operation in 0..OPERATIONS {
                for place in places.split_off(places.len() - 2) {
                    let (published, said) = attempt(&place, fault, operation..operation + 1, Some("other")).await;
                    // On a disk the staging of the file may fail for good: then the run fails, cleanly.
                    assert_eq!(published, usize::from(said.is_ok()), "{fault:?} at {operation}: {said:?}");
                    assert!(said.is_ok(), "{fault:?} at {operation}: {said:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn another_run_on_the_same_table_is_seen_through_any_fault() {
        let directory = tempfile::tempdir().unwrap();
        let mut places = places(directory.path());
        for fault in [Fault::NotDone, Fault::AnswerLost, Fault::FalseRefusal] {
            for operation in 0..OPERATIONS {
                for place in places.split_off(places.len() - 2) {
                    let (published, said) = attempt(&place, fault, operation..operation + 1, Some("mapped")).await;
                    let error = said.unwrap_err();
                    assert_eq!((published, error.kind), (0, Kind::Conflict), "{fault:?} at {operation}: {error}");
                    let text = error.to_string();
                    assert!(
                        text.starts_with("PS520 run theirs published version 1 of database db") && text.contains("run again"),
                        "{text}"
                    );
                }
            }
        }
    }

    #[tokio::test]
    async fn a_store_that_stays_away_fails_the_commit_and_says_whether_it_is_published() {
        let place = || Storage::new().resolve("memory://warehouse/db", Path::new("/")).unwrap();
        let (published, said) = attempt(&place(), Fault::NotDone, 0..usize::MAX, None).await;
        let text = said.unwrap_err().to_string();
        assert_eq!(published, 0);
        assert!(text.starts_with("PS522 it is not known whether version 1 of database db was published: cannot write memory://"), "{text}");
        let (published, said) = attempt(&place(), Fault::AnswerLost, 0..usize::MAX, None).await;
        let text = said.unwrap_err().to_string();
        assert_eq!(published, 1);
        assert!(text.starts_with("PS522 it is not known") && text.contains("pacha commits db"), "{text}");
        assert!(!text.contains("Generic"), "{text}");
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_listed_or_read_is_an_error_not_an_empty_database() {
        let place = Storage::new().resolve("memory://warehouse/db", Path::new("/")).unwrap();
        let sound = Database::open(place.clone());
        sound.commit(&sound.snapshot(None).await.unwrap(), proposal("ours", "mapped")).await.unwrap();
        for operation in 0..2 {
            let faulty = Database::open(place.through(Faulty::new(&place.store, Fault::NotDone, operation..operation + 1)));
            let text = faulty.snapshot(None).await.unwrap_err().to_string();
            assert!(text.starts_with("PS500 cannot ") && text.contains("the connection broke"), "{text}");
        }
    }
}
