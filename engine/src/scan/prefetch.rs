//! Pages of a remote store, asked for before they are needed.
//!
//! A request takes tens of milliseconds however small the page, and there are thousands of pages of a few kilobytes: read
//! one after the other they would take minutes in which nobody computes. So, while a partition decodes a page, its next
//! ones are on their way, in its order, bounded by number and by bytes. A large page is read in ranges, several at a time.
//! One request a page, or one for each started [`RANGE`] of a large one. A local disk answers at once and gets none of this.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion_datasource::file_scan_config::FileScanConfig;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore, Result};

use crate::storage::pinned::{open_local, unchanged};
use crate::storage::remote;

/// Pages up to this size are held whole, and then all their records.
const WHOLE: u64 = 8 << 20;
/// Pages of a partition that are asked for ahead.
const AHEAD: usize = 64;
/// Bytes of a partition's pages that are asked for ahead.
const AHEAD_BYTES: u64 = 8 << 20;
/// Bytes of a large page that one request asks for.
const RANGE: u64 = 8 << 20;
/// Ranges of a page under way at a time.
const RANGES: usize = 4;

/// A page's bytes.
pub(super) enum Opened {
    /// All of them.
    Whole(Bytes),
    /// As they come.
    Large(GetResultPayload),
}

/// The pages of a partition, opened one after the other.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) store: Arc<dyn ObjectStore>,
    /// `None` on a local disk.
    ahead: Option<Mutex<Ahead>>,
}

/// What is to be opened after the page that was opened last.
#[derive(Debug)]
struct Ahead {
    waiting: VecDeque<ObjectMeta>,
    coming: VecDeque<(ObjectMeta, SpawnedTask<Result<Bytes>>)>,
}

impl Pages {
    pub(super) fn new(store: Arc<dyn ObjectStore>, scan: &FileScanConfig, partition: usize) -> Self {
        let ahead = remote(scan.object_store_url.as_ref()).then(|| {
            let group = scan.file_groups.get(partition);
            let waiting = group.into_iter().flat_map(|group| group.iter()).map(|file| file.object_meta.clone()).collect();
            Mutex::new(Ahead { waiting, coming: VecDeque::new() })
        });
        Self { store, ahead }
    }

    /// Pages that are read when they are wanted.
    #[cfg(test)]
    pub(super) fn on_disk(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, ahead: None }
    }

    /// Begins to read a page, and whatever comes after it. Pages come in the partition's order; one that does not is read
    /// all the same.
    pub(super) fn open(&self, page: &ObjectMeta) -> BoxFuture<'static, Result<Opened>> {
        let store = Arc::clone(&self.store);
        let Some(ahead) = &self.ahead else { return local(store, page.clone()).boxed() };
        let mut ahead = ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let coming = ahead.take(page, &self.store);
        match coming {
            Some(task) => joined(task).map(|bytes| bytes.map(Opened::Whole)).boxed(),
            None if page.size > WHOLE => {
                let payload = GetResultPayload::Stream(ranges(store, page.clone()).boxed());
                async move { Ok(Opened::Large(payload)) }.boxed()
            }
            None => joined(SpawnedTask::spawn(whole(store, page.clone()))).map(|bytes| bytes.map(Opened::Whole)).boxed(),
        }
    }
}

impl Ahead {
    /// The page's bytes, if they were asked for already; then asks for what comes after it.
    fn take(&mut self, page: &ObjectMeta, store: &Arc<dyn ObjectStore>) -> Option<SpawnedTask<Result<Bytes>>> {
        let mut task = None;
        if let Some(position) = self.coming.iter().position(|(meta, _)| meta.location == page.location) {
            // Those before it were not wanted after all; dropping them ends their requests.
            task = self.coming.drain(..=position).next_back().map(|(_, task)| task);
        } else if let Some(position) = self.waiting.iter().position(|meta| meta.location == page.location) {
            self.coming.clear();
            self.waiting.drain(..=position);
        } else {
            // Not of this partition: what comes after it is not known.
            return None;
        }
        self.fill(store);
        task
    }

    fn fill(&mut self, store: &Arc<dyn ObjectStore>) {
        let mut bytes: u64 = self.coming.iter().map(|(meta, _)| meta.size).sum();
        while self.coming.len() < AHEAD
            && let Some(next) = self.waiting.front()
            && next.size <= WHOLE
            && (bytes + next.size <= AHEAD_BYTES || self.coming.is_empty())
            && let Some(next) = self.waiting.pop_front()
        {
            bytes += next.size;
            let task = SpawnedTask::spawn(whole(Arc::clone(store), next.clone()));
            self.coming.push_back((next, task));
        }
    }
}

async fn joined(task: SpawnedTask<Result<Bytes>>) -> Result<Bytes> {
    task.join().await.map_err(|source| object_store::Error::JoinError { source })?
}

/// From a disk: one look tells whether the page is read whole or as a stream.
async fn local(store: Arc<dyn ObjectStore>, page: ObjectMeta) -> Result<Opened> {
    let answer = open_local(store.as_ref(), &page).await?;
    if answer.meta.size > WHOLE { Ok(Opened::Large(answer.payload)) } else { Ok(Opened::Whole(answer.bytes().await?)) }
}

/// A page over the network, in one request.
async fn whole(store: Arc<dyn ObjectStore>, page: ObjectMeta) -> Result<Bytes> {
    store.get_opts(&page.location, unchanged(&page)).await?.bytes().await
}

/// A page in ranges, in order.
fn ranges(store: Arc<dyn ObjectStore>, page: ObjectMeta) -> impl futures::Stream<Item = Result<Bytes>> + Send + 'static {
    let page = Arc::new(page);
    let starts = (0..page.size).step_by(RANGE as usize);
    let parts: Vec<Range<u64>> = starts.map(|start| start..(start + RANGE).min(page.size)).collect();
    let reads = parts.into_iter().map(move |part| {
        let (store, page) = (Arc::clone(&store), Arc::clone(&page));
        async move {
            let options = GetOptions { range: Some(GetRange::Bounded(part)), ..unchanged(&page) };
            store.get_opts(&page.location, options).await?.bytes().await
        }
    });
    futures::stream::iter(reads).map(SpawnedTask::spawn).map(joined).buffered(RANGES)
}
