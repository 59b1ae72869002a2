//! Columns of lists, and of objects whose keys are data.
//!
//! A single value where a list is locked is a list of one; the values of a repeated key become one list. That works
//! because the items of the last row are always the last items, so that its end can be moved.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, NullBufferBuilder, StringBuilder, StructArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use schemas::source::Shape;

use super::column::{Column, append_string};
use super::notes::Notes;
use super::reader::{Fault, Reader};
use crate::format::room;

/// Builds a column of lists.
#[derive(Debug)]
pub(super) struct List {
    item: Column,
    field: FieldRef,
    items: usize,
    ends: Ends,
}

/// Builds a column of `list<struct<key, value>>`.
#[derive(Debug)]
pub(super) struct Entries {
    keys: StringBuilder,
    value: Column,
    fields: Fields,
    items: usize,
    ends: Ends,
}

/// Where each row's items end, and which rows have a list at all.
#[derive(Debug)]
struct Ends {
    offsets: Vec<i32>,
    valid: NullBufferBuilder,
}

impl List {
    /// A column of lists of `item`.
    pub(super) fn new(item: Column, item_type: DataType) -> Self {
        Self { item, field: Arc::new(Field::new_list_field(item_type, true)), items: 0, ends: Ends::new() }
    }

    /// Lists so far, lagging ones not counted.
    pub(super) fn rows(&self) -> usize {
        self.ends.rows()
    }

    /// Reads the value that is next, which starts with `first`, into `row`, or adds it to `row` if that was the last.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, first: u8, row: usize, notes: &mut Notes) -> Result<(), Fault> {
        self.ends.fill(row);
        let outcome = if first == b'[' { self.read_items(reader, notes) } else { self.read_item(reader, notes) };
        self.ends.end(row, self.items);
        outcome
    }

    fn read_items(&mut self, reader: &mut Reader<'_>, notes: &mut Notes) -> Result<(), Fault> {
        let mut first = true;
        reader.open()?;
        while reader.item(&mut first)? {
            self.read_item(reader, notes)?;
        }
        Ok(())
    }

    fn read_item(&mut self, reader: &mut Reader<'_>, notes: &mut Notes) -> Result<(), Fault> {
        let outcome = self.item.read(reader, self.items, notes);
        self.items += 1;
        outcome
    }

    /// The array of `rows` lists; the column starts anew.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        let items = self.item.finish(std::mem::take(&mut self.items));
        self.ends.list(rows, &self.field, items)
    }
}

impl Entries {
    /// A column of entries with `value`s, of type `shape`.
    pub(super) fn new(value: Column, shape: &Shape) -> Self {
        let fields = match shape.data_type() {
            DataType::List(item) => match item.data_type() {
                DataType::Struct(fields) => fields.clone(),
                _ => Fields::empty(),
            },
            _ => Fields::empty(),
        };
        Self { keys: StringBuilder::new(), value, fields, items: 0, ends: Ends::new() }
    }

    /// Rows so far, lagging ones not counted.
    pub(super) fn rows(&self) -> usize {
        self.ends.rows()
    }

    /// Reads the object that is next into `row`, or adds its members to `row` if that was the last.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, row: usize, notes: &mut Notes) -> Result<(), Fault> {
        self.ends.fill(row);
        let outcome = self.read_members(reader, notes);
        self.ends.end(row, self.items);
        outcome
    }

    fn read_members(&mut self, reader: &mut Reader<'_>, notes: &mut Notes) -> Result<(), Fault> {
        let mut first = true;
        reader.open()?;
        while reader.member(&mut first)? {
            append_string(&mut self.keys, reader, notes)?;
            let row = self.items;
            self.items += 1;
            if !reader.pass(b':') {
                return Err(Fault { at: reader.mark().at, what: "expected `:` after a key" });
            }
            self.value.read(reader, row, notes)?;
        }
        Ok(())
    }

    /// The array of `rows` lists of entries; the column starts anew.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        let value = self.value.finish(std::mem::take(&mut self.items));
        let entries = StructArray::new(self.fields.clone(), vec![Arc::new(room::take(&mut self.keys)), value], None);
        let field = Arc::new(Field::new_list_field(DataType::Struct(self.fields.clone()), true));
        self.ends.list(rows, &field, Arc::new(entries))
    }
}

impl Ends {
    fn new() -> Self {
        Self { offsets: vec![0], valid: NullBufferBuilder::new(0) }
    }

    fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    fn last(&self) -> i32 {
        self.offsets.last().copied().unwrap_or_default()
    }

    /// Rows before `row` that had no value are null.
    fn fill(&mut self, row: usize) {
        if row > self.rows() {
            self.valid.append_n_nulls(row - self.rows());
            self.offsets.resize(row + 1, self.last());
        }
    }

    /// The items of `row` end here.
    fn end(&mut self, row: usize, items: usize) {
        // A batch is cut by bytes long before its items could exceed 31 bits.
        let end = i32::try_from(items).expect("fewer items than bytes in a batch");
        if self.rows() > row {
            self.offsets[row + 1] = end;
        } else {
            self.offsets.push(end);
            self.valid.append_non_null();
        }
    }

    fn list(&mut self, rows: usize, field: &FieldRef, items: ArrayRef) -> ArrayRef {
        self.fill(rows);
        let offsets = std::mem::replace(&mut self.offsets, Vec::with_capacity(rows + 1));
        self.offsets.push(0);
        debug_assert_eq!(offsets.last().copied(), i32::try_from(items.len()).ok());
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(ListArray::new(Arc::clone(field), offsets, items, self.valid.finish()))
    }
}
