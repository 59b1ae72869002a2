//! The xml codec: one streaming pass over a page, decoding only the columns a query asks for.
//!
//! * [`plan`]: a source schema and a projection, compiled to a trie of element names.
//! * [`states`]: the trie as a state machine. [`walker`]: follows the events of a page through it.
//! * [`source`]: the events, from a slice or a stream. Tokenising is quick-xml's.
//! * [`names`]: the names a schema knows. [`namespace`], [`attributes`], [`entity`]: what a page's names and values mean.
//! * [`column`]: builders of the parsed columns. [`record`]: the envelope of the record at hand.
//! * [`report`]: what is wrong with a page, in words.
//!
//! A broken page gives its complete records, and says where it breaks.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use quick_xml::errors::Error as XmlError;
use quick_xml::events::{BytesStart, Event};
use schemas::problem::Problem;
use schemas::source::SourceSchema;

use self::column::is_blank;
use self::plan::Plan;
use self::source::{Slice, Source, Stream};
use self::walker::Walker;
use super::encoding::PageText;
use super::envelope::{Envelope, EnvelopeBuilder};
use super::page::{self, Unpacked};
use super::{Emit, Page, PageBytes, PageProblem, PageTally, RecordFormat};
use crate::error::{Error, Result};

mod attributes;
mod column;
mod entity;
mod names;
mod namespace;
mod plan;
mod record;
mod report;
mod source;
mod states;
#[cfg(test)]
mod tests;
mod walker;

/// A batch is emitted when it covers this much of a page, full or not: the bound on memory for large pages.
const BATCH_BYTES: u64 = 32 << 20;

/// Decodes XML pages.
#[derive(Debug)]
pub struct XmlFormat {
    plan: Arc<Plan>,
    format: String,
    projection: Vec<usize>,
    /// For each projected column, whether it is one of the envelope.
    enveloped: Vec<bool>,
    schema: SchemaRef,
    batch_rows: usize,
    /// Pages up to this size are held whole.
    whole: usize,
    /// Walkers that are not at work; their states and buffers are warm.
    idle: Mutex<Vec<Walking>>,
}

/// All that one page at a time needs.
#[derive(Debug)]
struct Walking {
    walker: Walker,
    envelope: EnvelopeBuilder,
    rows: usize,
}

impl XmlFormat {
    /// Compiles the source schema's paths for one projection.
    ///
    /// # Errors
    /// A path of the schema is wrong, or the projection names a column that is not there.
    pub fn new(source: &Arc<SourceSchema>, projection: &[usize], batch_rows: usize) -> Result<Self> {
        let schema = source
            .table_schema()
            .project(projection)
            .map_err(|error| Error::configuration(Problem::error("PX001", format!("source schema {}: {error}", source.name))))?;
        let width = EnvelopeBuilder::width();
        let fields: Vec<usize> = projection.iter().filter_map(|index| index.checked_sub(width)).collect();
        Ok(Self {
            plan: Arc::new(Plan::new(source, &fields)?),
            format: source.format.clone(),
            projection: projection.to_vec(),
            enveloped: projection.iter().map(|&index| index < width).collect(),
            schema: Arc::new(schema),
            batch_rows: batch_rows.max(1),
            whole: page::WHOLE,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Pages over this size are read as a stream, where [`page::WHOLE`] is the usual limit.
    #[must_use]
    pub fn streaming_over(mut self, bytes: usize) -> Self {
        self.whole = bytes;
        self
    }

    fn take_walking(&self) -> Walking {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Walking { walker: Walker::new(&self.plan), envelope: EnvelopeBuilder::new(&self.projection), rows: 0 })
    }

    fn walk(&self, page: &Page, source: &mut impl Source, emit: Emit<'_>) -> Result<PageTally> {
        let mut walking = self.take_walking();
        walking.walker.reset(source.carriage_returns());
        let walked = Walk { format: self, page, source, walking: &mut walking, emit, tally: PageTally::default(), flushed: 0 }.run();
        // Whatever happened, no half record may be left for the next page.
        walking.take(self);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(walking);
        walked
    }
}

impl RecordFormat for XmlFormat {
    fn name(&self) -> &'static str {
        "xml"
    }

    fn decode(&self, page: &Page, bytes: PageBytes, emit: Emit<'_>) -> Result<PageTally> {
        match bytes.unpack(self.whole).map_err(|error| unreadable(page, &error))? {
            Unpacked::Whole { bytes, fault: None } if bytes.is_empty() => {
                Ok(PageTally { problems: vec![report::empty()], ..PageTally::default() })
            }
            Unpacked::Whole { bytes, fault } => {
                let text = PageText::decode(&bytes);
                let mut tally = self.walk(page, &mut Slice::new(&text), emit)?;
                if let Some(fault) = fault {
                    // That the XML breaks off as well goes without saying.
                    tally.problems.retain(|problem| problem.code != "PX101");
                    tally.problems.insert(0, report::unpacking(&fault, tally.records));
                }
                tally.problems.extend(text.unknown.iter().map(|label| report::encoding(label)));
                Ok(tally)
            }
            Unpacked::Stream(reader) => {
                let (mut stream, unknown) = Stream::new(reader).map_err(|error| unreadable(page, &error))?;
                let mut tally = self.walk(page, &mut stream, emit)?;
                tally.problems.extend(unknown.iter().map(|label| report::encoding(label)));
                Ok(tally)
            }
        }
    }
}

fn unreadable(page: &Page, error: &std::io::Error) -> Error {
    let problem = Problem::error("PX104", format!("page {} of collection {} cannot be read: {error}", page.path, page.collection_id));
    Error::failed(problem.hint("run again; if it fails again, look at the storage"))
}

impl Walking {
    /// The records so far as a batch, and none are left.
    fn take(&mut self, format: &XmlFormat) -> RecordBatch {
        let rows = std::mem::take(&mut self.rows);
        let mut envelope = self.envelope.finish().into_iter();
        let mut fields = format.plan.projected.iter().map(|&slot| self.walker.columns.finish(slot, rows));
        let columns: Vec<ArrayRef> = format
            .enveloped
            .iter()
            .map(|&enveloped| if enveloped { envelope.next() } else { fields.next() })
            .map(|column| column.expect("every projected column has a builder"))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&format.schema), columns, &options).expect("the builders follow the schema")
    }
}

/// One walk over one page.
struct Walk<'a, S> {
    format: &'a XmlFormat,
    page: &'a Page,
    source: &'a mut S,
    walking: &'a mut Walking,
    emit: Emit<'a>,
    tally: PageTally,
    /// Where the last batch ended.
    flushed: u64,
}

/// What an event asks the walk to do, once it is no longer borrowed.
enum Step {
    Go,
    /// An element ended.
    End,
    /// An element began and ended; if true, it is a record.
    Empty(bool),
    /// A record began.
    Record,
    /// Something stands outside of the root element.
    Trailing(String),
    /// It is HTML.
    Html,
    Eof,
    Broken(XmlError),
}

impl<S: Source> Walk<'_, S> {
    fn run(mut self) -> Result<PageTally> {
        loop {
            let at = self.source.position();
            let walker = &mut self.walking.walker;
            let step = match self.source.next() {
                Ok(Event::Text(text)) if !walker.outside() => {
                    walker.text(&text);
                    Step::Go
                }
                Ok(Event::Text(text)) if is_blank(&text) => Step::Go,
                Ok(Event::Text(text)) => Step::Trailing(text.chars().take(200).collect()),
                Ok(Event::Start(tag)) => match outside(walker, &tag) {
                    Some(step) => step,
                    None if walker.start(&tag, at) => Step::Record,
                    None => Step::Go,
                },
                Ok(Event::End(_)) => Step::End,
                Ok(Event::Empty(tag)) => outside(walker, &tag).unwrap_or_else(|| Step::Empty(walker.start(&tag, at))),
                Ok(Event::GeneralRef(name)) => {
                    walker.reference(&name);
                    Step::Go
                }
                Ok(Event::CData(text)) => {
                    walker.cdata(&text);
                    Step::Go
                }
                Ok(Event::DocType(name)) if is_html(name.split_whitespace().next().unwrap_or_default()) => Step::Html,
                Ok(Event::DocType(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_)) => Step::Go,
                Ok(Event::Eof) => Step::Eof,
                Err(error) => Step::Broken(error),
            };
            match step {
                Step::Go => {}
                Step::Record => self.source.record(true),
                Step::End => self.end()?,
                Step::Empty(record) => {
                    self.source.record(record || self.walking.walker.record.depth.is_some());
                    self.end()?;
                }
                Step::Html if self.walking.walker.seen.root.is_none() => return Ok(self.html()),
                Step::Html => {}
                Step::Trailing(text) => return self.trailing(at, &text),
                Step::Eof => return self.eof(),
                Step::Broken(error) => return self.broken(&error),
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        let at = self.source.position();
        if self.walking.walker.end(self.source, at) {
            self.finish_record(at)?;
        }
        Ok(())
    }

    /// The record is complete: its row joins the batch.
    fn finish_record(&mut self, end: u64) -> Result<()> {
        let Walker { record, columns, .. } = &mut self.walking.walker;
        let plan = &self.format.plan;
        record.check(plan, columns, self.source.repairs(), end);
        let envelope = Envelope {
            record_id: record.id(),
            datestamp: record.datestamp(),
            sets: record.sets(),
            deleted: record.deleted,
            byte_start: self.source.page_offset(record.start),
            raw: self.source.page_bytes(record.start, end),
            problems: &record.problems,
        };
        let seq = u32::try_from(self.tally.records).unwrap_or(u32::MAX);
        self.walking.envelope.append(self.page, &self.format.format, seq, &envelope);
        for &slot in &plan.projected {
            columns.end_row(slot);
        }
        record.depth = None;
        self.source.record(false);
        self.tally.records += 1;
        self.walking.rows += 1;
        if self.walking.rows >= self.format.batch_rows || end - self.flushed > BATCH_BYTES {
            self.flushed = end;
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.walking.rows == 0 {
            return Ok(());
        }
        let batch = self.walking.take(self.format);
        (self.emit)(batch)
    }

    fn done(mut self, problems: Vec<PageProblem>) -> Result<PageTally> {
        self.flush()?;
        self.tally.empty_values = std::mem::take(&mut self.walking.walker.columns.empty);
        self.tally.problems.extend(problems);
        Ok(self.tally)
    }

    fn eof(self) -> Result<PageTally> {
        let walker = &self.walking.walker;
        let problems = match &walker.seen.root {
            Some((root, _)) if !walker.outside() => vec![report::cut_off(self.source, root, self.tally.records)],
            _ if self.tally.records == 0 => report::no_records(&walker.seen, &self.format.plan),
            _ => Vec::new(),
        };
        self.done(problems)
    }

    fn broken(self, error: &XmlError) -> Result<PageTally> {
        if let XmlError::Io(error) = error {
            if page::storage_fault(error) {
                return Err(unreadable(self.page, error));
            }
            let records = self.tally.records;
            let problem = match error.kind() {
                std::io::ErrorKind::Other => report::too_long(self.source, error, records),
                _ => report::unpacking(&error.to_string(), records),
            };
            return self.done(vec![problem]);
        }
        let walker = &self.walking.walker;
        if walker.outside() && walker.seen.root.is_some() {
            let at = self.source.error_position();
            return self.trailing(at, &error.to_string());
        }
        let problem = report::broken(self.source, error, self.tally.records);
        self.done(vec![problem])
    }

    /// Text or an element after the end of the document, or text before its beginning.
    fn trailing(self, at: u64, text: &str) -> Result<PageTally> {
        let seen = &self.walking.walker.seen;
        let mut problems = Vec::new();
        if seen.root.is_some() {
            if self.tally.records == 0 {
                problems = report::no_records(seen, &self.format.plan);
            }
            problems.push(report::trailing(self.source, at, text, self.tally.records));
        } else {
            problems.push(report::not_xml(self.source, at, text));
        }
        self.done(problems)
    }

    /// Reads on for the text of an HTML page, without minding its tags.
    fn html(self) -> PageTally {
        self.source.relax();
        let mut text = String::new();
        let mut hidden = false;
        while text.len() < 400 {
            match self.source.next() {
                Ok(Event::Start(tag)) => hidden = is_hidden(&tag),
                Ok(Event::End(_)) => hidden = false,
                Ok(Event::Text(piece)) if !hidden && !is_blank(&piece) => {
                    text.push_str(piece.trim());
                    text.push(' ');
                }
                Ok(Event::Eof) | Err(_) => break,
                Ok(_) => {}
            }
        }
        PageTally { problems: vec![report::html(&text)], ..self.tally }
    }
}

/// What an element outside of any other means: HTML, another document, or junk. None: walk on.
fn outside(walker: &Walker, tag: &BytesStart<'_>) -> Option<Step> {
    if !walker.outside() {
        return None;
    }
    if walker.seen.root.is_none() {
        return is_html(tag.local_name().as_ref()).then_some(Step::Html);
    }
    // One document after the other, as in files of one document a line, is fine.
    (!walker.like_root(tag)).then(|| Step::Trailing(format!("<{}>", tag.name().0)))
}

fn is_html(name: &str) -> bool {
    name.eq_ignore_ascii_case("html")
}

fn is_hidden(tag: &BytesStart<'_>) -> bool {
    let name = tag.name().0;
    name.eq_ignore_ascii_case("script") || name.eq_ignore_ascii_case("style")
}
