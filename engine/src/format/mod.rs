//! Codecs: the bytes of a page → record batches, driven by a source schema.
//!
//! * [`page`]: what a page is, how its bytes are unpacked. [`encoding`]: how they become UTF-8.
//! * [`envelope`]: the builder of the columns that every vernacular table starts with.
//! * [`room`]: text builders that keep their size from batch to batch.
//! * [`xml`], [`json`]: the codecs. [`decoder`] is the list. [`sniff`]: which source schema a page is likely of.
//!
//! A codec is synchronous and pure. A page that is broken gives its good records and says what is wrong; only a failure
//! that is not the page's fault is an `Err`.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use schemas::source::{Codec, SourceSchema};

pub mod encoding;
pub mod envelope;
pub mod json;
pub mod page;
mod room;
pub mod sniff;
pub mod xml;

pub use page::{Page, PageBytes, PageProblem, PageTally};

use crate::error::Result;

/// Takes each batch of decoded records, in page order.
pub type Emit<'a> = &'a mut dyn FnMut(RecordBatch) -> Result<()>;

/// Decodes pages of one source schema into the columns a query needs.
pub trait RecordFormat: Debug + Send + Sync {
    /// Name of the codec, as in a source schema.
    fn name(&self) -> &'static str;

    /// Decodes one page. Every batch has exactly the projected columns of
    /// [`SourceSchema::table_schema`], in the order of the projection, and at most `batch_rows` rows.
    ///
    /// # Errors
    /// Reading the bytes failed, or `emit` did. A fault in the page itself is in the tally.
    fn decode(&self, page: &Page, bytes: PageBytes, emit: Emit<'_>) -> Result<PageTally>;
}

/// The codec of a source schema. `projection` lists columns of [`SourceSchema::table_schema`]; nothing else is decoded.
pub fn decoder(source: &Arc<SourceSchema>, projection: &[usize], batch_rows: usize) -> Result<Box<dyn RecordFormat>> {
    Ok(match source.codec {
        Codec::Xml => Box::new(xml::XmlFormat::new(source, projection, batch_rows)?),
        Codec::Json => Box::new(json::JsonFormat::new(source, projection, batch_rows)?),
    })
}
