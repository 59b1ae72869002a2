//! A column of objects: finds the member that a key names, and reads its value into that member's column.
//!
//! Harvested records have their keys in nearly the same order one after another, so the text is first compared with the
//! keys that followed last time; only then is the key read and looked up.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, NullBufferBuilder, StructArray};
use arrow::datatypes::{Field, Fields};
use schemas::source::Shape;

use super::column::{Column, below};
use super::notes::{Notes, Span};
use super::reader::{Fault, Reader, quote};

/// How many of the following members are compared before the key is looked up.
const AHEAD: usize = 6;

/// Builds a column of objects.
#[derive(Debug)]
pub(super) struct Object {
    members: Vec<Member>,
    index: HashMap<String, usize>,
    /// The member that should come next.
    next: usize,
    /// Members that are in none of the shapes are reported.
    strict: bool,
    fields: Fields,
    rows: usize,
    valid: NullBufferBuilder,
}

#[derive(Debug)]
struct Member {
    name: String,
    /// The name as the text has it, quotes included.
    quoted: String,
    /// None if the query does not read it.
    column: Option<Column>,
    /// Its number among the members that envelope paths start with.
    capture: Option<usize>,
    /// It is in the locked shape.
    locked: bool,
}

impl Object {
    /// A column of objects with these members, out of those that are `locked`.
    pub(super) fn new(members: &[(String, Shape)], locked: &[(String, Shape)], unpack: &[&[String]]) -> Self {
        let built: HashMap<&str, &Shape> = members.iter().map(|(name, shape)| (name.as_str(), shape)).collect();
        let column = |name: &str, locked: &Shape| built.get(name).map(|shape| Column::new(shape, Some(locked), &below(unpack, name)));
        let list = locked.iter().map(|(name, shape)| Member::new(name, column(name, shape))).collect();
        let fields =
            locked.iter().filter_map(|(name, _)| built.get(name.as_str()).map(|shape| Field::new(name, shape.data_type(), true))).collect();
        Self::of(list, fields, true)
    }

    /// No column, only the members in which envelope paths start.
    pub(super) fn captures() -> Self {
        Self::of(Vec::new(), Fields::empty(), false)
    }

    fn of(members: Vec<Member>, fields: Fields, strict: bool) -> Self {
        let index = members.iter().enumerate().map(|(number, member)| (member.name.clone(), number)).collect();
        Self { members, index, next: 0, strict, fields, rows: 0, valid: NullBufferBuilder::new(0) }
    }

    /// Has the place of the member `name` noted as number `capture`.
    pub(super) fn capture(&mut self, name: &str, capture: usize) {
        if let Some(&number) = self.index.get(name) {
            self.members[number].capture = Some(capture);
        } else {
            self.index.insert(name.to_owned(), self.members.len());
            self.members.push(Member { capture: Some(capture), locked: false, ..Member::new(name, None) });
        }
    }

    /// Makes the next object the first: for objects of which nothing is built.
    pub(super) fn restart(&mut self) {
        self.rows = 0;
        self.valid = NullBufferBuilder::new(0);
    }

    /// Objects so far, lagging ones not counted.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Reads the object that is next into `row`.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, row: usize, notes: &mut Notes) -> Result<(), Fault> {
        self.fill(row);
        let outcome = self.read_members(reader, notes);
        // Also after a fault: the row is dropped later, and the columns stay in step.
        self.rows += 1;
        self.valid.append_non_null();
        outcome
    }

    fn read_members(&mut self, reader: &mut Reader<'_>, notes: &mut Notes) -> Result<(), Fault> {
        let row = self.rows;
        let mut none_yet = true;
        reader.open()?;
        while reader.member(&mut none_yet)? {
            let Some(number) = self.find(reader, notes)? else { continue };
            self.next = number + 1;
            let member = &mut self.members[number];
            let first = reader.peek()?;
            let start = reader.mark().at;
            match &mut member.column {
                None if self.strict && !member.locked => unknown(&member.name, first, reader.raw()?, notes),
                None => reader.skip()?,
                Some(column) => {
                    let before = notes.count();
                    let outcome = if column.rows() > row { column.read_again(reader, row, notes) } else { column.read(reader, row, notes) };
                    if notes.count() > before {
                        notes.prefix(before, &member.name);
                    }
                    outcome?;
                }
            }
            if let Some(capture) = member.capture {
                notes.spans.push(Span { capture, start, end: reader.mark().at });
            }
        }
        Ok(())
    }

    /// Reads the key that is next. None if it is not among the members; its value is then passed over.
    #[inline]
    fn find(&mut self, reader: &mut Reader<'_>, notes: &mut Notes) -> Result<Option<usize>, Fault> {
        let next = if self.next < self.members.len() { self.next } else { 0 };
        for (number, member) in self.members.iter().enumerate().skip(next).take(AHEAD) {
            if reader.take_key(&member.quoted)? {
                return Ok(Some(number));
            }
        }
        let (key, _) = reader.key()?.meaning();
        if let Some(&number) = self.index.get(&*key) {
            return Ok(Some(number));
        }
        let first = reader.peek()?;
        let value = reader.raw()?;
        if self.strict {
            unknown(&key, first, value, notes);
        }
        Ok(None)
    }

    fn fill(&mut self, row: usize) {
        self.valid.append_n_nulls(row - self.rows);
        self.rows = row;
    }

    /// The array of `rows` objects; the column starts anew.
    pub(super) fn finish(&mut self, rows: usize) -> StructArray {
        self.fill(rows);
        self.rows = 0;
        let valid = self.valid.finish();
        let columns: Vec<ArrayRef> =
            self.members.iter_mut().filter_map(|member| member.column.as_mut()).map(|column| column.finish(rows)).collect();
        if columns.is_empty() {
            return StructArray::new_empty_fields(rows, valid);
        }
        debug_assert!(columns.iter().all(|column| column.len() == rows));
        StructArray::new(self.fields.clone(), columns, valid)
    }
}

impl Member {
    fn new(name: &str, column: Option<Column>) -> Self {
        Self { name: name.to_owned(), quoted: quote(name), column, capture: None, locked: true }
    }
}

/// A null under a new key says nothing that could be lost.
fn unknown(key: &str, first: u8, value: &str, notes: &mut Notes) {
    if first != b'n' {
        notes.unknown(key, first, value);
    }
}
