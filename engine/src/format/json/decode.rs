//! The records of a page → record batches.
//!
//! Only what the projection names is built: without `doc`, or for the members of it that the query does not read, values
//! are checked and passed over.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::{Schema, SchemaRef};
use schemas::problem::Problem;
use schemas::source::{Shape, SourceSchema, envelope_fields};

use super::column::{Column, Unpack};
use super::envelope_paths::{Places, Wanted};
use super::locate::{Found, Visit};
use super::notes::Notes;
use super::object::Object;
use super::reader::{Fault, Reader};
use crate::error::{Error, Result};
use crate::format::envelope::{Envelope, EnvelopeBuilder};
use crate::format::{Emit, Page};

/// A batch is given out once its records take this many bytes, so that its offsets stay far below 31 bits.
const BATCH_BYTES: u64 = 32 << 20;

/// What to build, compiled for one projection.
#[derive(Debug)]
pub(super) struct Plan {
    source: Arc<SourceSchema>,
    schema: SchemaRef,
    projection: Vec<usize>,
    batch_rows: usize,
    shape: Option<Shape>,
    unpack: Vec<Vec<String>>,
    places: Places,
}

/// Decodes the records of one page.
pub(super) struct Decoder<'d> {
    plan: &'d Plan,
    page: &'d Page,
    emit: Emit<'d>,
    doc: Option<Column>,
    doc_rows: usize,
    /// Rows of `doc` of records that broke off.
    dropped: Vec<usize>,
    /// Notes where the envelope's values stand, if `doc` does not.
    captures: Option<Object>,
    notes: Notes,
    sets: Vec<String>,
    envelope: EnvelopeBuilder,
    bytes: u64,
    seq: u32,
}

impl Plan {
    /// Compiles the paths of `source` for the columns in `projection`.
    pub(super) fn new(source: &Arc<SourceSchema>, projection: &[usize], batch_rows: usize) -> Result<Self> {
        let names = envelope_fields();
        let asks =
            |wanted: &[&str]| projection.iter().filter_map(|&index| names.get(index)).any(|name| wanted.contains(&name.name().as_str()));
        let wanted = Wanted {
            record_id: asks(&["record_id", "harvest_id", "problems"]),
            datestamp: asks(&["datestamp", "datestamp_ts"]),
            sets: asks(&["sets"]),
            deleted: asks(&["deleted"]),
        };
        let doc = projection.contains(&EnvelopeBuilder::width());
        if doc && source.shape.is_none() {
            let problem = Problem::error("PX117", format!("the shape of doc of source schema \"{}\" is not known", source.name));
            return Err(Error::configuration(problem.hint("infer it from the pages first and keep it in the collection's lock file")));
        }
        let schema: Schema = source.table_schema().project(projection).map_err(|error| {
            Error::failed(Problem::error("PX117", format!("a column that source schema \"{}\" has not: {error}", source.name)))
        })?;
        Ok(Self {
            source: Arc::clone(source),
            schema: Arc::new(schema),
            projection: projection.to_vec(),
            batch_rows: batch_rows.max(1),
            shape: source.shape.clone().filter(|_| doc),
            unpack: unpack_paths(source),
            places: Places::new(&source.envelope, wanted),
        })
    }

    /// Ready to decode `page`.
    pub(super) fn decoder<'d>(&'d self, page: &'d Page, emit: Emit<'d>) -> Decoder<'d> {
        let unpack: Unpack<'_> = self.unpack.iter().map(Vec::as_slice).collect();
        let mut doc = self.shape.as_ref().map(|shape| Column::new(shape, self.source.locked.as_ref(), &unpack));
        let captures = match doc.as_mut().and_then(Column::as_object) {
            Some(object) => {
                self.places.mark(object);
                None
            }
            None => (doc.is_none() || !self.places.is_empty()).then(|| {
                let mut object = Object::captures();
                self.places.mark(&mut object);
                object
            }),
        };
        Decoder {
            plan: self,
            page,
            emit,
            doc,
            doc_rows: 0,
            dropped: Vec::new(),
            captures,
            notes: Notes::default(),
            sets: Vec::new(),
            envelope: EnvelopeBuilder::new(&self.projection),
            bytes: 0,
            seq: 0,
        }
    }
}

/// Paths of strings that hold JSON, as keys.
pub(super) fn unpack_paths(source: &SourceSchema) -> Vec<Vec<String>> {
    source.unpack.iter().map(|path| path.split('/').map(str::to_owned).collect()).collect()
}

impl Decoder<'_> {
    fn flush(&mut self) -> Result<()> {
        let rows = self.envelope.rows();
        self.bytes = 0;
        let mut envelope = self.envelope.finish().into_iter();
        let doc = self.finish_doc()?;
        if rows == 0 {
            return Ok(());
        }
        let width = EnvelopeBuilder::width();
        let columns: Vec<ArrayRef> = (self.plan.projection.iter())
            .filter_map(|&index| if index < width { envelope.next() } else { doc.as_ref().map(Arc::clone) })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.plan.schema), columns, &options);
        (self.emit)(batch.expect("columns are built from the schema's own types"))
    }

    fn finish_doc(&mut self) -> Result<Option<ArrayRef>> {
        let rows = std::mem::take(&mut self.doc_rows);
        let Some(doc) = self.doc.as_mut().map(|doc| doc.finish(rows)) else { return Ok(None) };
        if self.dropped.is_empty() {
            return Ok(Some(doc));
        }
        let mut keep = vec![true; rows];
        for row in self.dropped.drain(..) {
            keep[row] = false;
        }
        let kept = filter(&doc, &BooleanArray::from(keep));
        Ok(Some(kept.map_err(|error| Error::failed(Problem::error("PX119", format!("broken records could not be left out: {error}"))))?))
    }

    /// Gives out what is left.
    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()
    }
}

impl Visit for Decoder<'_> {
    fn record(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let first = reader.peek()?;
        let mark = reader.mark();
        if let Some(doc) = &mut self.doc {
            doc.read(reader, self.doc_rows, &mut self.notes)?;
            if first == b'n' {
                self.notes.drift("an object", first, "null", "the record is empty");
            }
            if self.captures.is_some() {
                reader.go(mark, mark.at);
            }
        }
        match &mut self.captures {
            Some(captures) if first == b'{' => captures.read(reader, 0, &mut self.notes).inspect(|()| {
                captures.restart();
            }),
            Some(_) => reader.skip(),
            None => Ok(()),
        }
    }

    fn accept(&mut self, record: &Found<'_>) -> Result<()> {
        self.doc_rows += 1;
        if record.repaired {
            self.notes.replaced("bytes that are not UTF-8 are replaced by U+FFFD");
        }
        let problems = self.notes.problems();
        let (places, spans) = (&self.plan.places, &self.notes.spans);
        // Without a column that needs it no digest may be computed in its place.
        let record_id = if places.wants_record_id() { places.record_id(record.text, spans) } else { Some(Cow::Borrowed("")) };
        let datestamp = places.datestamp(record.text, spans);
        let sets = places.sets(record.text, spans, &mut self.sets);
        let envelope = Envelope {
            record_id: record_id.as_deref(),
            datestamp: datestamp.as_deref(),
            sets: &self.sets[..sets],
            deleted: places.deleted(record.text, spans),
            byte_start: record.start,
            raw: record.raw,
            problems: &problems,
        };
        self.envelope.append(self.page, &self.plan.source.format, self.seq, &envelope);
        self.seq = self.seq.saturating_add(1);
        self.bytes += record.raw.len() as u64;
        self.notes.clear();
        if self.envelope.rows() >= self.plan.batch_rows || self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn abandon(&mut self, bytes: usize) -> Result<()> {
        self.notes.clear();
        if let Some(captures) = &mut self.captures {
            captures.restart();
        }
        if self.doc.is_some() {
            self.dropped.push(self.doc_rows);
            self.doc_rows += 1;
            self.bytes += bytes as u64;
        }
        // A page of nothing but broken records must not pile them up.
        if self.doc_rows >= 2 * self.plan.batch_rows || self.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }
}
