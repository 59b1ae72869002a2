//! Builders of the parsed columns: values go straight from the page into Arrow buffers.
//!
//! A value may arrive long before its row is known to be complete, and the row may never be: then what was appended since
//! the last complete row simply lies beyond the end of the column, and is cut off when the batch is taken.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, NullBufferBuilder, StringBuilder, StructArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use schemas::source::child_type;

use super::plan::{ColumnPlan, Slot};
use crate::format::room;

/// Bytes of text a column of one batch may hold; offsets are 32 bits.
const FULL: usize = 1 << 30;

/// A column being built.
#[derive(Debug)]
pub(super) enum Column {
    Texts(Texts),
    Text(Text),
    Group(Group),
    Children(Box<Children>),
}

impl Column {
    pub(super) fn new(plan: &ColumnPlan) -> Self {
        match plan {
            ColumnPlan::Texts { delimiter } => {
                Self::Texts(Texts { values: StringBuilder::new(), rows: Rows::default(), delimiter: delimiter.clone() })
            }
            ColumnPlan::Text { delimiter, join, .. } => {
                Self::Text(Text { values: StringBuilder::new(), set: false, delimiter: delimiter.clone(), join: join.clone() })
            }
            ColumnPlan::Xml { .. } => Self::Text(Text { values: StringBuilder::new(), set: false, delimiter: None, join: None }),
            ColumnPlan::Group { members, fields } => {
                Self::Group(Group { members: members.clone(), fields: fields.clone(), structs: 0, open: 0, rows: Rows::default() })
            }
            ColumnPlan::Children => Self::Children(Box::default()),
        }
    }
}

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It is in the column.
    Whole,
    /// The column is full.
    Full,
    /// The column holds one value a row, and has it; so many parts of this one are in it, none or the first.
    Surplus(usize),
}

impl From<bool> for Taken {
    fn from(fits: bool) -> Self {
        if fits { Self::Whole } else { Self::Full }
    }
}

/// Appends a value; false if the column is full.
#[inline]
fn append(values: &mut StringBuilder, value: &str) -> bool {
    let fits = values.values_slice().len() + value.len() <= FULL;
    values.append_value(if fits { value } else { "" });
    fits
}

/// The parts of a value between delimiters, but for blank ones.
fn parts<'a>(value: &'a str, delimiter: &'a str) -> impl Iterator<Item = &'a str> {
    value.split(delimiter).map(str::trim).filter(|part| !part.is_empty())
}

/// The rows of a list column: where each ends. A row without values is null.
#[derive(Debug)]
struct Rows {
    ends: Vec<i32>,
    valid: NullBufferBuilder,
}

impl Default for Rows {
    fn default() -> Self {
        Self { ends: vec![0], valid: NullBufferBuilder::new(0) }
    }
}

impl Rows {
    fn last(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize)
    }

    #[inline]
    fn end(&mut self, items: usize) {
        self.valid.append(items > self.last());
        self.ends.push(items as i32);
    }

    /// The list array over `items`, whose surplus is cut off.
    fn finish(&mut self, item: FieldRef, items: &ArrayRef) -> ArrayRef {
        let rows = self.ends.len();
        let ends = std::mem::replace(&mut self.ends, Vec::with_capacity(rows));
        self.ends.push(0);
        let items = items.slice(0, ends.last().map_or(0, |end| *end as usize));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        Arc::new(ListArray::new(item, offsets, items, self.valid.finish()))
    }
}

fn item_of(data_type: DataType) -> FieldRef {
    Arc::new(Field::new_list_field(data_type, true))
}

fn take(builder: &mut StringBuilder) -> ArrayRef {
    Arc::new(room::take(builder))
}

/// `list<utf8>`.
#[derive(Debug)]
pub(super) struct Texts {
    values: StringBuilder,
    rows: Rows,
    delimiter: Option<String>,
}

/// `utf8`: the first value of a row, or all joined.
#[derive(Debug)]
pub(super) struct Text {
    values: StringBuilder,
    set: bool,
    delimiter: Option<String>,
    join: Option<String>,
}

/// `list<struct>`: the structs that are complete, over the columns of the members.
#[derive(Debug)]
pub(super) struct Group {
    members: Vec<Slot>,
    fields: Fields,
    structs: usize,
    /// How many elements of the group are open; a match inside a match is part of it.
    open: u32,
    rows: Rows,
}

/// `list<struct<element, ns, value, lang, scheme, attrs>>`.
#[derive(Debug, Default)]
pub(super) struct Children {
    element: StringBuilder,
    ns: StringBuilder,
    value: StringBuilder,
    lang: StringBuilder,
    scheme: StringBuilder,
    attr_names: StringBuilder,
    attr_values: StringBuilder,
    attrs: Rows,
    rows: Rows,
}

/// One item of a [`Children`] column.
#[derive(Debug, Default)]
pub(super) struct Child<'a> {
    pub(super) element: &'a str,
    pub(super) ns: Option<&'a str>,
    pub(super) value: Option<&'a str>,
    pub(super) lang: Option<&'a str>,
    pub(super) scheme: Option<&'a str>,
}

/// All columns of a batch.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<Column>,
    /// Values dropped because they were blank.
    pub(super) empty: u64,
    /// A value did not fit; the record it belongs to says so.
    pub(super) full: bool,
    /// Values left out of this record because their column holds only one; the record says so too.
    pub(super) surplus: Vec<Surplus>,
}

/// Values that a column had no room for in one record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Surplus {
    pub(super) slot: Slot,
    pub(super) values: usize,
    /// The first of them.
    pub(super) first: String,
}

impl Columns {
    pub(super) fn new(plans: &[ColumnPlan]) -> Self {
        Self { columns: plans.iter().map(Column::new).collect(), empty: 0, full: false, surplus: Vec::new() }
    }

    /// A record begins: nothing is known to be missing from it.
    pub(super) fn begin(&mut self) {
        self.full = false;
        self.surplus.clear();
    }

    /// Appends the text of an element; blank ones are dropped and counted.
    #[inline]
    pub(super) fn text(&mut self, slot: Slot, value: &str) {
        if is_blank(value) {
            self.empty += 1;
        } else {
            self.value(slot, value);
        }
    }

    /// Appends a value that may be blank, such as a MARC indicator.
    pub(super) fn value(&mut self, slot: Slot, value: &str) {
        let taken = match &mut self.columns[slot] {
            Column::Texts(column) => match &column.delimiter {
                None => append(&mut column.values, value).into(),
                // After a value that does not fit, no other needs to be tried.
                Some(delimiter) => parts(value, delimiter).all(|part| append(&mut column.values, part)).into(),
            },
            Column::Text(column) => column.push(value),
            Column::Group(_) | Column::Children(_) => Taken::Whole,
        };
        if taken != Taken::Whole {
            self.left_out(slot, taken, value);
        }
    }

    /// A value, or part of it, is not in the column: the record has to say so.
    #[cold]
    fn left_out(&mut self, slot: Slot, taken: Taken, value: &str) {
        let Taken::Surplus(kept) = taken else {
            self.full = true;
            return;
        };
        let Column::Text(column) = &self.columns[slot] else { return };
        let parts: Vec<&str> = match &column.delimiter {
            Some(delimiter) => parts(value, delimiter).skip(kept).collect(),
            None => vec![value],
        };
        match self.surplus.iter_mut().find(|surplus| surplus.slot == slot) {
            Some(surplus) => surplus.values += parts.len(),
            None => self.surplus.push(Surplus {
                slot,
                values: parts.len(),
                first: parts.first().map_or_else(String::new, |first| (*first).to_owned()),
            }),
        }
    }

    /// Appends a piece of a value that is put together from several; the next [`Self::value`] is its end.
    pub(super) fn serialised(&mut self, slot: Slot, pieces: [&str; 3]) {
        let Column::Text(column) = &mut self.columns[slot] else { return };
        if column.set {
            self.left_out(slot, Taken::Surplus(0), &pieces.concat());
        } else {
            let length: usize = pieces.iter().map(|piece| piece.len()).sum();
            if column.values.values_slice().len() + length > FULL {
                self.full = true;
                return;
            }
            use std::fmt::Write;
            // Writing to a StringBuilder cannot fail.
            let _ = column.values.write_str(pieces[0]).and_then(|()| column.values.write_str(pieces[1]));
            column.values.append_value(pieces[2]);
            column.set = true;
        }
    }

    /// A group's element begins.
    pub(super) fn open(&mut self, slot: Slot) {
        if let Column::Group(group) = &mut self.columns[slot] {
            group.open += 1;
        }
    }

    /// A group's element ends. A struct without any value is dropped.
    pub(super) fn close(&mut self, slot: Slot) {
        let Column::Group(group) = &mut self.columns[slot] else { return };
        group.open = group.open.saturating_sub(1);
        if group.open > 0 {
            return;
        }
        let members = std::mem::take(&mut group.members);
        let filled = members.iter().any(|&member| self.filled(member));
        if filled {
            for &member in &members {
                self.end_row(member);
            }
        } else {
            self.empty += 1;
        }
        if let Column::Group(group) = &mut self.columns[slot] {
            group.members = members;
            group.structs += usize::from(filled);
        }
    }

    /// Whether the column has a value in the row that is being built.
    fn filled(&self, slot: Slot) -> bool {
        match &self.columns[slot] {
            Column::Texts(column) => column.values.offsets_slice().len() - 1 > column.rows.last(),
            Column::Text(column) => column.set,
            Column::Group(column) => column.structs > column.rows.last(),
            Column::Children(column) => column.element.offsets_slice().len() - 1 > column.rows.last(),
        }
    }

    /// Appends an item to a `children` column, with its other attributes.
    pub(super) fn child<'a>(&mut self, slot: Slot, child: &Child<'_>, attributes: impl Iterator<Item = (&'a str, &'a str)>) {
        let Column::Children(column) = &mut self.columns[slot] else { return };
        let mut fits = append(&mut column.element, child.element);
        for (builder, value) in [
            (&mut column.ns, child.ns),
            (&mut column.value, child.value),
            (&mut column.lang, child.lang),
            (&mut column.scheme, child.scheme),
        ] {
            match value {
                Some(value) => fits &= append(builder, value),
                None => builder.append_null(),
            }
        }
        for (name, value) in attributes {
            fits &= append(&mut column.attr_names, name) & append(&mut column.attr_values, value);
        }
        column.attrs.end(column.attr_names.offsets_slice().len() - 1);
        self.full |= !fits;
    }

    /// Ends the row of one column.
    #[inline]
    pub(super) fn end_row(&mut self, slot: Slot) {
        match &mut self.columns[slot] {
            Column::Texts(column) => column.rows.end(column.values.offsets_slice().len() - 1),
            Column::Text(column) => column.end(),
            Column::Group(column) => column.rows.end(column.structs),
            Column::Children(column) => column.rows.end(column.element.offsets_slice().len() - 1),
        }
    }

    /// Takes a column with its first `rows` rows.
    pub(super) fn finish(&mut self, slot: Slot, rows: usize) -> ArrayRef {
        match &mut self.columns[slot] {
            Column::Texts(column) => {
                let items = take(&mut column.values);
                column.rows.finish(item_of(DataType::Utf8), &items)
            }
            Column::Text(column) => {
                column.set = false;
                take(&mut column.values).slice(0, rows)
            }
            Column::Children(column) => column.finish(),
            Column::Group(group) => {
                group.open = 0;
                let (structs, fields) = (std::mem::take(&mut group.structs), group.fields.clone());
                let members = std::mem::take(&mut group.members);
                let arrays = members.iter().map(|&member| self.finish(member, structs)).collect();
                let items: ArrayRef = Arc::new(StructArray::new(fields.clone(), arrays, None));
                let Column::Group(group) = &mut self.columns[slot] else { return items };
                group.members = members;
                group.rows.finish(item_of(DataType::Struct(fields)), &items)
            }
        }
    }
}

impl Text {
    fn push(&mut self, value: &str) -> Taken {
        let Self { values, set, delimiter, join } = self;
        let Some(delimiter) = delimiter.as_deref() else { return Self::add(values, set, join.as_deref(), value) };
        for (kept, part) in parts(value, delimiter).enumerate() {
            match Self::add(values, set, join.as_deref(), part) {
                Taken::Whole => {}
                Taken::Full => return Taken::Full,
                Taken::Surplus(_) => return Taken::Surplus(kept),
            }
        }
        Taken::Whole
    }

    fn add(values: &mut StringBuilder, set: &mut bool, join: Option<&str>, value: &str) -> Taken {
        use std::fmt::Write;
        match join {
            None if *set => Taken::Surplus(0),
            None => {
                *set = true;
                append(values, value).into()
            }
            Some(join) => {
                if values.values_slice().len() + join.len() + value.len() > FULL {
                    return Taken::Full;
                }
                // Pieces wait in the builder until the row ends; writing to a StringBuilder cannot fail.
                let _ = if *set { values.write_str(join) } else { Ok(()) };
                let _ = values.write_str(value);
                *set = true;
                Taken::Whole
            }
        }
    }

    fn end(&mut self) {
        match (self.set, self.join.is_some()) {
            (false, _) => self.values.append_null(),
            (true, true) => self.values.append_value(""),
            (true, false) => {}
        }
        self.set = false;
    }
}

impl Children {
    fn finish(&mut self) -> ArrayRef {
        let DataType::Struct(fields) = child_type() else { return Arc::new(StructArray::new_empty_fields(0, None)) };
        let attr_fields = match fields.last().map(|field| field.data_type()) {
            Some(DataType::List(item)) => match item.data_type() {
                DataType::Struct(fields) => fields.clone(),
                _ => Fields::empty(),
            },
            _ => Fields::empty(),
        };
        let names_and_values = vec![take(&mut self.attr_names), take(&mut self.attr_values)];
        let attrs: ArrayRef = Arc::new(StructArray::new(attr_fields.clone(), names_and_values, None));
        let attrs = self.attrs.finish(item_of(DataType::Struct(attr_fields)), &attrs);
        let mut arrays: Vec<ArrayRef> =
            [&mut self.element, &mut self.ns, &mut self.value, &mut self.lang, &mut self.scheme].map(take).into();
        arrays.push(attrs);
        let items: ArrayRef = Arc::new(StructArray::new(fields.clone(), arrays, None));
        self.rows.finish(item_of(DataType::Struct(fields)), &items)
    }
}

/// Nothing but white space, of any kind.
#[inline]
pub(super) fn is_blank(value: &str) -> bool {
    match value.as_bytes().first() {
        None => true,
        Some(byte) if byte.is_ascii_graphic() => false,
        Some(_) => value.chars().all(char::is_whitespace),
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::display::array_value_to_string;

    use super::*;

    #[test]
    fn a_row_that_never_ended_is_cut_off() {
        let plans = [
            ColumnPlan::Text { name: "text".into(), delimiter: None, join: Some(", ".into()) },
            ColumnPlan::Group { members: vec![0], fields: vec![Field::new("text", DataType::Utf8, true)].into() },
            ColumnPlan::Texts { delimiter: Some(";".into()) },
        ];
        let mut columns = Columns::new(&plans);
        for (first, second) in [("a", "b"), ("c", "d")] {
            columns.open(1);
            columns.text(0, first);
            columns.text(0, second);
            columns.close(1);
        }
        columns.open(1);
        columns.text(0, " \n");
        columns.close(1);
        columns.text(2, "x; y;; z");
        columns.end_row(1);
        columns.end_row(2);
        columns.end_row(1);
        columns.end_row(2);
        columns.open(1);
        columns.text(0, "half");
        columns.text(2, "half");
        let (groups, texts) = (columns.finish(1, 2), columns.finish(2, 2));
        assert_eq!((groups.len(), texts.len()), (2, 2));
        assert_eq!(array_value_to_string(&groups, 0).unwrap(), "[{text: a, b}, {text: c, d}]");
        assert_eq!(array_value_to_string(&texts, 0).unwrap(), "[x, y, z]");
        assert!(texts.is_null(1) && groups.is_null(1));
        assert_eq!(columns.empty, 2);
        columns.open(1);
        columns.text(0, "new");
        columns.close(1);
        columns.end_row(1);
        columns.end_row(2);
        assert_eq!(array_value_to_string(&columns.finish(1, 1), 0).unwrap(), "[{text: new}]");
    }
}
