//! The xml codec.

use std::sync::Arc;

use schemas::source::SourceSchema;

use super::{Emit, Page, PageBytes, PageTally, RecordFormat};
use crate::error::Result;

/// Decodes XML pages.
#[derive(Debug)]
pub struct XmlFormat {}

impl XmlFormat {
    /// Compiles the source schema's paths for one projection.
    pub fn new(_source: &Arc<SourceSchema>, _projection: &[usize], _batch_rows: usize) -> Result<Self> {
        Ok(Self {})
    }
}

impl RecordFormat for XmlFormat {
    fn name(&self) -> &'static str {
        "xml"
    }

    fn decode(&self, _page: &Page, _bytes: PageBytes, _emit: Emit<'_>) -> Result<PageTally> {
        Ok(PageTally::default())
    }
}
