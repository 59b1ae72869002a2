//! The form of a collection's JSON documents: from the lock file beside the collection, or inferred over all its pages.
//!
//! Inference reads every page once, for a field that is a scalar on 900 pages and a list on the last must be a list
//! everywhere. What it finds is written to `collections/<id>.lock.json`; from then on, what differs is a finding.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use schemas::problem::Problem;
use schemas::source::SourceSchema;

use crate::error::{Error, Result};
use crate::format::json::inference::{Inference, infer};
use crate::format::json::lock;
use crate::format::{Page, PageBytes};
use crate::mapping::plan::needs_shape;
use crate::project::Collection;
use crate::scan::{PinnedCollection, PinnedPage};
use crate::session::Session;
use crate::storage::{page_problem, pinned, remote};

/// Pages read at the same time while inferring.
const CONCURRENT: usize = 4;

/// The collection's source schema with the shape of its documents known. A new shape is locked.
///
/// # Errors
/// The lock cannot be read or written, or a page cannot be read.
pub async fn resolved(session: &Session, collection: &Collection, pinned: &PinnedCollection) -> Result<Arc<SourceSchema>> {
    if !needs_shape(&collection.source) {
        return Ok(Arc::clone(&collection.source));
    }
    let path = lock_path(session, &collection.id);
    if let Ok(text) = std::fs::read_to_string(&path) {
        let shape = lock::read(&text).map_err(|problem| {
            let problem = Problem::error(problem.code, format!("{}: {}", path.display(), problem.message));
            Error::from(problem.hint("remove the file to infer the shape again, or restore it from version control"))
        })?;
        return Ok(Arc::new(collection.source.with_shape(shape)));
    }
    let store = super::input::store_of(session, collection)?;
    let found = of_pages(session, &collection.source, &store, pinned).await?;
    if let Some(shape) = found.shape.as_ref().filter(|_| !pinned.pages.is_empty()) {
        std::fs::write(&path, lock::write(shape)).map_err(|error| {
            let problem = Problem::error("PS503", format!("the inferred schema cannot be locked in {}: {error}", path.display()));
            Error::failed(problem.hint("make the collections directory writable; the lock is what makes drift visible"))
        })?;
        tracing::info!(target: "pacha", "collection {}: schema inferred and locked in {}", collection.id, path.display());
    }
    Ok(found)
}

/// Where the lock of a collection is.
pub fn lock_path(session: &Session, id: &str) -> PathBuf {
    session.project.root.join("collections").join(format!("{id}.lock.json"))
}

/// A source schema with the shape of the documents on these pages.
///
/// # Errors
/// A page cannot be read.
pub async fn of_pages(
    session: &Session,
    source: &Arc<SourceSchema>,
    store: &ObjectStoreUrl,
    pinned: &PinnedCollection,
) -> Result<Arc<SourceSchema>> {
    if !needs_shape(source) {
        return Ok(Arc::clone(source));
    }
    let remote = remote(store.as_ref());
    let store = session.storage.get_store(store.as_ref()).map_err(|error| crate::sql::mistake::running(&error))?;
    let parts = pinned.pages.iter().map(|page| infer_page(&store, remote, source, &pinned.id, page));
    let parts = futures::stream::iter(parts).buffered(CONCURRENT);
    let whole = parts
        .try_fold(Inference::default(), |mut whole, part| async move {
            whole.merge(part);
            Ok(whole)
        })
        .await?;
    Ok(Arc::new(source.with_shape(whole.finish())))
}

async fn infer_page(
    store: &Arc<dyn ObjectStore>,
    remote: bool,
    source: &Arc<SourceSchema>,
    collection: &str,
    page: &PinnedPage,
) -> Result<Inference> {
    let unreadable = |error: object_store::Error| Error::failed(page_problem(&page.path, collection, &error));
    let answer = pinned::open(store.as_ref(), remote, &page.meta).await.map_err(unreadable)?;
    let bytes = answer.bytes().await.map_err(unreadable)?;
    let described = Page { collection_id: collection.to_owned(), path: page.path.clone(), ..Page::default() };
    let source = Arc::clone(source);
    let joined = tokio::task::spawn_blocking(move || {
        let mut inference = Inference::default();
        infer(&source, &described, PageBytes::Whole(bytes), &mut inference).map(|_| inference)
    });
    joined.await.map_err(|error| Error::failed(Problem::error("PR099", format!("inference of {} ended early: {error}", page.path))))?
}
