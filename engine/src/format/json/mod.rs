//! The json codec: arrays, JSON Lines, single and concatenated documents, records under a path.
//!
//! * `input`: bytes → text, by lines or whole; `stretch`: a piece of it and its place in the page.
//! * `locate`: where the records are. `reader`: the tokens.
//! * `decode`: one record after the other into `column`s, `object`s and `list`s; `envelope_paths`, `number` and `notes`
//!   (drift from the lock) help.
//! * [`inference`]: the shape of `doc` over all pages; [`lock`]: the file that keeps it.
//!
//! `doc` is one typed column, so a misspelt key is an error when the query is planned and not a silent null. What does
//! not fit the locked shape is a problem of its record, together with the value: see `docs/json.md`.

use std::sync::Arc;

use schemas::problem::Problem;
use schemas::source::SourceSchema;

use super::{Emit, Page, PageBytes, PageTally, RecordFormat};
use crate::error::{Error, Result};

mod column;
mod decode;
mod envelope_paths;
pub mod inference;
mod input;
mod list;
mod locate;
pub mod lock;
mod notes;
mod number;
mod object;
mod reader;
mod stretch;
#[cfg(test)]
mod tests;

pub use inference::{Inference, infer};

/// Decodes JSON pages.
#[derive(Debug)]
pub struct JsonFormat {
    plan: decode::Plan,
    paths: Vec<Vec<String>>,
}

impl JsonFormat {
    /// Compiles the source schema's paths for one projection. [`SourceSchema::shape`] says what of `doc` is built; where
    /// it is only a part ([`SourceSchema::with_part`]), the rest is passed over unread.
    ///
    /// # Errors
    /// `doc` is asked for and its shape is not known, or a record path has a metadata path, which is for XML.
    pub fn new(source: &Arc<SourceSchema>, projection: &[usize], batch_rows: usize) -> Result<Self> {
        Ok(Self { plan: decode::Plan::new(source, projection, batch_rows)?, paths: record_paths(source)? })
    }
}

impl RecordFormat for JsonFormat {
    fn name(&self) -> &'static str {
        "json"
    }

    fn decode(&self, page: &Page, bytes: PageBytes, emit: Emit<'_>) -> Result<PageTally> {
        self.decode_within(page, bytes, input::Limits::default(), emit)
    }
}

impl JsonFormat {
    fn decode_within(&self, page: &Page, bytes: PageBytes, limits: input::Limits, emit: Emit<'_>) -> Result<PageTally> {
        let mut decoder = self.plan.decoder(page, emit);
        let mut locator = locate::Locator::new(&self.paths, &mut decoder);
        input::read(page, bytes, limits, &mut locator)?;
        let tally = locator.finish();
        decoder.finish()?;
        Ok(tally)
    }
}

fn record_paths(source: &SourceSchema) -> Result<Vec<Vec<String>>> {
    if let Some(path) = source.records.iter().find(|path| path.metadata != ".") {
        let problem = Problem::error("PX118", format!("source schema \"{}\": metadata = \"{}\" is for xml", source.name, path.metadata));
        return Err(Error::configuration(problem.hint("leave it out; the whole record is in doc, so write doc.key in SQL")));
    }
    Ok(locate::record_paths(source.records.iter().map(|path| path.path.as_str())))
}
