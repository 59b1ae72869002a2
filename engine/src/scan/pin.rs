//! Which pages a run reads: listed once, before anything is planned, with size and etag.
//!
//! Whatever is added while the run goes on belongs to the next one; a page that changes in between is noticed by its
//! etag. The pinned list is also what the run key is made of, so that an unchanged collection is never read again.

use datafusion::common::ScalarValue;
use object_store::ObjectMeta;

/// One page, as it was when the run began.
#[derive(Debug, Clone)]
pub struct PinnedPage {
    /// Where its bytes are, with size, etag and time.
    pub meta: ObjectMeta,
    /// Path as shown to the user: relative to the project where it lies inside it.
    pub path: String,
    /// The request it answered, if known.
    pub source_url: Option<String>,
    /// Seconds since 1970 of the fetch, if known.
    pub harvested_at: Option<i64>,
}

/// A collection's pages, and what the project says of it.
#[derive(Debug, Clone, Default)]
pub struct PinnedCollection {
    /// Its id.
    pub id: String,
    /// Its pages, in order.
    pub pages: Vec<PinnedPage>,
    /// Members of the SQL column `collection`; `id` first.
    pub values: Vec<(String, ScalarValue)>,
    /// Target values that fill empty fields.
    pub fill: Vec<(String, ScalarValue)>,
    /// Target values that replace fields.
    pub overwrite: Vec<(String, ScalarValue)>,
}

impl PinnedCollection {
    /// Bytes of all pages, as stored.
    pub fn bytes(&self) -> u64 {
        self.pages.iter().map(|page| page.meta.size).sum()
    }
}
