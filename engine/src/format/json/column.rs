//! One column of `doc`, or of what is nested in it: values go from the text straight into Arrow builders.
//!
//! A builder may lag behind the records: a value says which row it is for, and rows that had none are filled with nulls
//! when the next value comes, or at the end of the batch. So the members a record does not have cost nothing, which
//! matters where objects are wide and sparse (MARC as JSON has hundreds of members, of which a record has thirty).

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use schemas::source::Shape;

use super::list::{Entries, List};
use super::notes::Notes;
use super::number;
use super::object::Object;
use super::reader::{Fault, Quoted, Reader, found_words, starts_number, unescape};
use crate::format::room;

/// Builds one column.
#[derive(Debug)]
pub(super) struct Column {
    /// Strings here hold JSON, which is what is meant.
    unpack: bool,
    /// What the shape is called in messages.
    words: &'static str,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Json(StringBuilder),
    List(Box<List>),
    Object(Box<Object>),
    Entries(Box<Entries>),
}

/// The paths of strings that hold JSON, from one place downwards.
pub(super) type Unpack<'a> = Vec<&'a [String]>;

/// The paths that go on under `key`.
pub(super) fn below<'a>(unpack: &[&'a [String]], key: &str) -> Unpack<'a> {
    unpack.iter().filter_map(|path| path.split_first()).filter(|(first, _)| *first == key).map(|(_, rest)| rest).collect()
}

impl Column {
    /// A column of `shape`. `locked` is the whole shape it is a part of, if it is only a part.
    pub(super) fn new(shape: &Shape, locked: Option<&Shape>, unpack: &[&[String]]) -> Self {
        let values = match shape {
            Shape::Boolean => Values::Boolean(BooleanBuilder::new()),
            Shape::Integer => Values::Integer(Int64Builder::new()),
            Shape::Float => Values::Float(Float64Builder::new()),
            Shape::Text => Values::Text(StringBuilder::new()),
            Shape::Json => Values::Json(StringBuilder::new()),
            Shape::List(item) => {
                let locked = if let Some(Shape::List(item)) = locked { Some(&**item) } else { None };
                Values::List(Box::new(List::new(Self::new(item, locked, unpack), item.data_type())))
            }
            Shape::Object(members) => {
                let locked = if let Some(Shape::Object(members)) = locked { members } else { members };
                Values::Object(Box::new(Object::new(members, locked, unpack)))
            }
            Shape::Entries(value) => Values::Entries(Box::new(Entries::new(Self::new(value, None, &[]), shape))),
        };
        Self { unpack: unpack.iter().any(|path| path.is_empty()), words: shape.words(), values }
    }

    /// The object, if it is a column of objects.
    pub(super) fn as_object(&mut self) -> Option<&mut Object> {
        if let Values::Object(object) = &mut self.values { Some(object) } else { None }
    }

    /// Rows filled so far, lagging ones not counted.
    pub(super) fn rows(&self) -> usize {
        match &self.values {
            Values::Boolean(builder) => builder.len(),
            Values::Integer(builder) => builder.len(),
            Values::Float(builder) => builder.len(),
            Values::Text(builder) | Values::Json(builder) => builder.len(),
            Values::List(list) => list.rows(),
            Values::Object(object) => object.rows(),
            Values::Entries(entries) => entries.rows(),
        }
    }

    /// Reads the next value into `row`. After a null the row is still to be filled; a fault leaves the column whole.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, row: usize, notes: &mut Notes) -> Result<(), Fault> {
        let first = reader.peek()?;
        if first == b'n' {
            return reader.word("null");
        }
        if first == b'"' && self.unpack && !self.holds_text() && self.read_packed(reader, row, notes)? {
            return Ok(());
        }
        match (&mut self.values, first) {
            (Values::Text(builder) | Values::Json(builder), b'"') => {
                builder.append_nulls(row - builder.len());
                append_string(builder, reader, notes)
            }
            (Values::List(list), _) => list.read(reader, first, row, notes),
            (Values::Object(object), b'{') => object.read(reader, row, notes),
            (Values::Entries(entries), b'{') => entries.read(reader, row, notes),
            (Values::Json(builder), b'{' | b'[') => {
                let raw = reader.raw()?;
                append_text(builder, row, raw);
                Ok(())
            }
            (Values::Text(builder), b'{') => {
                let raw = reader.raw()?;
                append_text(builder, row, raw);
                notes.drift("text", first, raw, "kept as JSON text");
                Ok(())
            }
            (_, b'[') => self.read_single(reader, row, notes),
            _ => self.read_scalar(reader, first, row, notes),
        }
    }

    /// A further value of a key that the object has had already. Only lists take it; any other is noted.
    pub(super) fn read_again(&mut self, reader: &mut Reader<'_>, row: usize, notes: &mut Notes) -> Result<(), Fault> {
        if matches!(self.values, Values::List(_) | Values::Entries(_)) {
            return self.read(reader, row, notes);
        }
        let raw = reader.raw()?;
        if raw != "null" {
            notes.repeated(self.words, raw);
        }
        Ok(())
    }

    fn holds_text(&self) -> bool {
        matches!(self.values, Values::Text(_) | Values::Json(_))
    }

    fn read_scalar(&mut self, reader: &mut Reader<'_>, first: u8, row: usize, notes: &mut Notes) -> Result<(), Fault> {
        let raw = reader.raw()?;
        let taken = match &mut self.values {
            Values::Text(builder) | Values::Json(builder) => {
                append_text(builder, row, raw);
                true
            }
            Values::Boolean(builder) if matches!(first, b't' | b'f') => {
                builder.append_nulls(row - builder.len());
                builder.append_value(first == b't');
                true
            }
            Values::Integer(builder) if starts_number(first) => raw.parse().is_ok_and(|value| {
                builder.append_nulls(row - builder.len());
                builder.append_value(value);
                true
            }),
            Values::Float(builder) if starts_number(first) => number::exact_float(raw).is_some_and(|value| {
                builder.append_nulls(row - builder.len());
                builder.append_value(value);
                true
            }),
            _ => false,
        };
        if !taken {
            notes.drift(self.words, first, raw, "left out");
        }
        Ok(())
    }

    /// A list where a single value is locked: one item takes its place, several do not fit.
    fn read_single(&mut self, reader: &mut Reader<'_>, row: usize, notes: &mut Notes) -> Result<(), Fault> {
        let raw = reader.raw()?;
        let mut items = Reader::new(raw);
        let mut only = None;
        let mut count = 0;
        let mut first = true;
        items.open()?;
        while items.item(&mut first)? {
            let item = items.raw()?;
            count += usize::from(item != "null");
            only = if item == "null" { only } else { Some(item) };
        }
        match (&mut self.values, only) {
            (_, None) => {}
            (_, Some(item)) if count == 1 => {
                notes.drift(self.words, b'[', raw, "its only item is kept");
                // The item has been checked: it was passed over above.
                self.read(&mut Reader::new(item), row, notes)?;
            }
            (Values::Text(builder), _) => {
                append_text(builder, row, raw);
                notes.drift(self.words, b'[', raw, "kept as JSON text");
            }
            _ => notes.drift(self.words, b'[', raw, "left out"),
        }
        Ok(())
    }

    /// A string that holds JSON. False, and nothing read, if it does not and the string itself may still fit.
    fn read_packed(&mut self, reader: &mut Reader<'_>, row: usize, notes: &mut Notes) -> Result<bool, Fault> {
        let mark = reader.mark();
        let (text, _) = reader.string()?.meaning();
        if text.trim().is_empty() {
            return Ok(true);
        }
        if is_json(&text) {
            self.read(&mut Reader::new(&text), row, notes)?;
            return Ok(true);
        }
        if matches!(self.values, Values::List(_)) {
            reader.go(mark, mark.at);
            return Ok(false);
        }
        notes.not_packed(self.words, &text);
        Ok(true)
    }

    /// The array of `rows` values; the column starts anew.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        match &mut self.values {
            Values::Boolean(builder) => {
                builder.append_nulls(rows - builder.len());
                Arc::new(builder.finish())
            }
            Values::Integer(builder) => {
                builder.append_nulls(rows - builder.len());
                Arc::new(builder.finish())
            }
            Values::Float(builder) => {
                builder.append_nulls(rows - builder.len());
                Arc::new(builder.finish())
            }
            Values::Text(builder) | Values::Json(builder) => {
                builder.append_nulls(rows - builder.len());
                Arc::new(room::take(builder))
            }
            Values::List(list) => list.finish(rows),
            Values::Object(object) => Arc::new(object.finish(rows)),
            Values::Entries(entries) => entries.finish(rows),
        }
    }
}

/// Whether the whole of `text` is one JSON value.
pub(super) fn is_json(text: &str) -> bool {
    let mut reader = Reader::new(text);
    reader.skip().is_ok() && reader.finished()
}

/// Appends the string that is next.
#[inline]
pub(super) fn append_string(builder: &mut StringBuilder, reader: &mut Reader<'_>, notes: &mut Notes) -> Result<(), Fault> {
    match reader.string()? {
        Quoted::Plain(text) => builder.append_value(text),
        Quoted::Escaped(text) => {
            if !unescape(text, builder) {
                notes.replaced("half a surrogate pair in an escape is replaced by U+FFFD");
            }
            builder.append_value("");
        }
    }
    Ok(())
}

fn append_text(builder: &mut StringBuilder, row: usize, text: &str) {
    builder.append_nulls(row - builder.len());
    builder.append_value(text);
}

/// What a value that starts with `first` is, next to what was expected.
pub(super) fn mismatch(expected: &str, first: u8) -> String {
    format!("expected {expected}, found {}", found_words(first))
}
