//! The columns that every vernacular table starts with, built for the projected ones only.
//!
//! Both codecs fill it record by record, so that counts, identifiers and provenance are the same whatever the format.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Int32Builder, Int64Builder, ListBuilder, StringBuilder, StructBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Fields};
use schemas::source::{envelope_fields, problem_type};
use sha2::{Digest, Sha256};

use super::{Page, room};

/// A problem in one record that did not stop its reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProblem {
    /// Stable code, such as `PX120`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Path inside the record, if known.
    pub path: Option<String>,
}

/// The envelope of one record, borrowed from the page.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    /// Identifier at the source; without one, a digest of the record's bytes takes its place, with a problem.
    pub record_id: Option<&'a str>,
    /// As supplied.
    pub datestamp: Option<&'a str>,
    /// All set specifications.
    pub sets: &'a [String],
    /// The source says that the record is gone.
    pub deleted: bool,
    /// First byte of the record in the unpacked page.
    pub byte_start: u64,
    /// The record's own bytes.
    pub raw: &'a [u8],
    /// Problems so far.
    pub problems: &'a [RecordProblem],
}

/// The builder of one envelope column.
#[derive(Debug)]
enum Column {
    CollectionId(StringBuilder),
    RecordId(StringBuilder),
    HarvestId(StringBuilder),
    Datestamp(StringBuilder),
    DatestampTs(TimestampMicrosecondBuilder),
    Sets(ListBuilder<StringBuilder>),
    Deleted(BooleanBuilder),
    Format(StringBuilder),
    Page(StringBuilder),
    PageSeq(Int32Builder),
    ByteStart(Int64Builder),
    ByteLen(Int64Builder),
    SourceUrl(StringBuilder),
    HarvestedAt(TimestampMicrosecondBuilder),
    Raw(StringBuilder),
    RawSha256(BinaryBuilder),
    Problems(ListBuilder<StructBuilder>),
}

/// Builds the projected envelope columns of one batch.
#[derive(Debug)]
pub struct EnvelopeBuilder {
    columns: Vec<Column>,
    rows: usize,
}

impl EnvelopeBuilder {
    /// A builder of those of `projection` that are envelope columns, in that order; the caller appends its own after
    /// or between them by position.
    pub fn new(projection: &[usize]) -> Self {
        let fields = envelope_fields();
        let columns = projection.iter().filter_map(|&index| fields.get(index)).map(Column::new).collect();
        Self { columns, rows: 0 }
    }

    /// Number of envelope columns of every source schema.
    pub fn width() -> usize {
        envelope_fields().len()
    }

    /// Rows appended since the last [`Self::finish`].
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the record's identifier, sets or datestamp is asked for by the caller's projection at all.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Appends one record. `seq` is its ordinal within the page, from 0.
    pub fn append(&mut self, page: &Page, format: &str, seq: u32, record: &Envelope<'_>) {
        self.rows += 1;
        let digested = record.record_id.is_none();
        // Hashing is for those who want to see the result.
        let digest = (digested && self.columns.iter().any(Column::identifies)).then(|| digest_id(record.raw));
        let record_id = record.record_id.or(digest.as_deref()).unwrap_or_default();
        for column in &mut self.columns {
            column.append(page, format, seq, record_id, digested, record);
        }
    }

    /// The columns built so far, in the order of the projection.
    pub fn finish(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        self.columns.iter_mut().map(Column::finish).collect()
    }
}

impl Column {
    fn new(field: &Field) -> Self {
        match field.name().as_str() {
            "collection_id" => Self::CollectionId(StringBuilder::new()),
            "record_id" => Self::RecordId(StringBuilder::new()),
            "harvest_id" => Self::HarvestId(StringBuilder::new()),
            "datestamp" => Self::Datestamp(StringBuilder::new()),
            "datestamp_ts" => Self::DatestampTs(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            "sets" => Self::Sets(ListBuilder::new(StringBuilder::new())),
            "deleted" => Self::Deleted(BooleanBuilder::new()),
            "record_format" => Self::Format(StringBuilder::new()),
            "page" => Self::Page(StringBuilder::new()),
            "page_seq" => Self::PageSeq(Int32Builder::new()),
            "byte_start" => Self::ByteStart(Int64Builder::new()),
            "byte_len" => Self::ByteLen(Int64Builder::new()),
            "source_url" => Self::SourceUrl(StringBuilder::new()),
            "harvested_at" => Self::HarvestedAt(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            "raw" => Self::Raw(StringBuilder::new()),
            "raw_sha256" => Self::RawSha256(BinaryBuilder::new()),
            _ => Self::Problems(problems_builder()),
        }
    }

    fn identifies(&self) -> bool {
        matches!(self, Self::RecordId(_) | Self::HarvestId(_))
    }

    fn append(&mut self, page: &Page, format: &str, seq: u32, record_id: &str, digested: bool, record: &Envelope<'_>) {
        match self {
            Self::CollectionId(column) => column.append_value(&page.collection_id),
            Self::RecordId(column) => column.append_value(record_id),
            Self::HarvestId(column) => {
                use std::fmt::Write;
                // Writing to a StringBuilder cannot fail; the value ends with append_value.
                let _ = write!(column, "{}--{record_id}", page.collection_id);
                column.append_value("");
            }
            Self::Datestamp(column) => column.append_option(record.datestamp),
            Self::DatestampTs(column) => column.append_option(record.datestamp.and_then(seconds).and_then(micros)),
            Self::Sets(column) => {
                for set in record.sets {
                    column.values().append_value(set);
                }
                column.append(true);
            }
            Self::Deleted(column) => column.append_value(record.deleted),
            Self::Format(column) => column.append_value(format),
            Self::Page(column) => column.append_value(&page.path),
            Self::PageSeq(column) => column.append_value(i32::try_from(seq).unwrap_or(i32::MAX)),
            Self::ByteStart(column) => column.append_value(record.byte_start.cast_signed()),
            Self::ByteLen(column) => column.append_value(record.raw.len() as i64),
            Self::SourceUrl(column) => column.append_option(page.source_url.as_deref()),
            Self::HarvestedAt(column) => column.append_option(page.harvested_at.and_then(micros)),
            Self::Raw(column) => column.append_value(String::from_utf8_lossy(record.raw)),
            Self::RawSha256(column) => column.append_value(Sha256::digest(record.raw)),
            Self::Problems(column) => append_problems(column, digested, record.problems),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::CollectionId(column)
            | Self::RecordId(column)
            | Self::HarvestId(column)
            | Self::Datestamp(column)
            | Self::Format(column)
            | Self::Page(column)
            | Self::SourceUrl(column)
            | Self::Raw(column) => Arc::new(room::take(column)),
            Self::DatestampTs(column) | Self::HarvestedAt(column) => Arc::new(column.finish()),
            Self::Sets(column) => Arc::new(column.finish()),
            Self::Deleted(column) => Arc::new(column.finish()),
            Self::PageSeq(column) => Arc::new(column.finish()),
            Self::ByteStart(column) | Self::ByteLen(column) => Arc::new(column.finish()),
            Self::RawSha256(column) => Arc::new(column.finish()),
            Self::Problems(column) => Arc::new(column.finish()),
        }
    }
}

fn problems_builder() -> ListBuilder<StructBuilder> {
    let DataType::Struct(fields) = problem_type() else { return ListBuilder::new(StructBuilder::from_fields(Fields::empty(), 0)) };
    ListBuilder::new(StructBuilder::from_fields(fields, 0))
}

/// A record without an identifier.
const NO_ID: &str = "the record has no identifier; a digest of its bytes stands in";

fn append_problems(column: &mut ListBuilder<StructBuilder>, digested: bool, problems: &[RecordProblem]) {
    let found = problems.iter().map(|problem| (problem.code, problem.message.as_str(), problem.path.as_deref()));
    for (code, message, path) in found.chain(digested.then_some(("PX120", NO_ID, None))) {
        let values = column.values();
        for (index, text) in [Some(code), Some(message), path].into_iter().enumerate() {
            if let Some(builder) = values.field_builder::<StringBuilder>(index) {
                builder.append_option(text);
            }
        }
        values.append(true);
    }
    column.append(true);
}

/// The first 16 hex digits of the SHA-256 of a record that has no identifier.
fn digest_id(raw: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(raw).iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Seconds since 1970 of `2021-06-30T04:05:06Z`, `2021-06-30` or `20210630`; other forms stay text only.
pub fn seconds(datestamp: &str) -> Option<i64> {
    let text = datestamp.trim();
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.as_second());
    }
    let date = text.parse::<jiff::civil::Date>().or_else(|_| jiff::civil::Date::strptime("%Y%m%d", text)).ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// A second in the unit of the columns; none for a year that has no place in them.
fn micros(seconds: i64) -> Option<i64> {
    seconds.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datestamps_of_three_forms_are_understood() {
        assert_eq!(seconds("1970-01-02"), Some(86_400));
        assert_eq!(seconds("19700102"), Some(86_400));
        assert_eq!(seconds("1970-01-01T00:01:00Z"), Some(60));
        assert_eq!(seconds("last spring"), None);
    }

    #[test]
    fn a_record_without_identifier_gets_a_digest_and_a_problem() {
        let mut builder = EnvelopeBuilder::new(&[1, 16]);
        builder.append(&Page::default(), "xml", 0, &Envelope { raw: b"<r/>", ..Envelope::default() });
        let columns = builder.finish();
        assert_eq!(columns.len(), 2);
        let ids = columns[0].as_any().downcast_ref::<arrow::array::StringArray>().unwrap();
        assert_eq!(ids.value(0).len(), 16);
        assert!(arrow::util::display::array_value_to_string(&columns[1], 0).unwrap().contains("PX120"));
    }
}
