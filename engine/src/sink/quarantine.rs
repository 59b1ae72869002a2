//! Rows of the quarantine table: what was mapped as far as it came, the record as JSON text, and why it is withheld.
//!
//! Withheld records are few, so they are copied out of their batch, and their batch is not held for their sake.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, StringArray, StringBuilder, StructArray, UInt32Array};
use arrow::compute::{take, take_arrays};
use arrow::datatypes::{DataType, Field, Fields};
use arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::error::Result;

use super::record::{Records, TextLists};
use super::reread::RecordPlace;
use super::schema::{FINDING_MEMBERS, finding_list};

/// Rows for the quarantine table.
#[derive(Debug)]
pub(super) struct Withheld {
    columns: Vec<ArrayRef>,
    records: Option<StringArray>,
    findings: ArrayRef,
    /// Where the records are; empty if their text is known.
    pub(super) places: Vec<RecordPlace>,
}

impl Withheld {
    /// Takes the chosen rows out of a batch.
    pub(super) fn take(records: &Records, rows: Vec<u32>) -> Result<Self> {
        let texts = records.vernacular.as_ref().map(|vernacular| json_texts(vernacular, &rows)).transpose()?;
        let place = |row: &u32| records.place(*row as usize);
        let places = if texts.is_some() { Vec::new() } else { rows.iter().map(place).collect() };
        let rows = UInt32Array::from(rows);
        let columns = take_arrays(&records.mapped_columns(), &rows, None)?;
        let findings = match &records.findings {
            Some(findings) => take(&finding_lists(findings), &rows, None)?,
            None => arrow::array::new_null_array(&finding_list(), rows.len()),
        };
        Ok(Self { columns, records: texts, findings, places })
    }

    /// The columns of the table. `texts` are the records at [`Self::places`], used where the batch did not carry them.
    pub(super) fn into_columns(self, texts: StringArray) -> Vec<ArrayRef> {
        let mut columns = self.columns;
        columns.push(Arc::new(self.records.unwrap_or(texts)));
        columns.push(self.findings);
        columns
    }
}

/// Each chosen record as one JSON object; members without a value are left out.
fn json_texts(vernacular: &StructArray, rows: &[u32]) -> Result<StringArray> {
    let field = Arc::new(Field::new("record", vernacular.data_type().clone(), true));
    let options = EncoderOptions::default();
    let mut encoder = make_encoder(&field, vernacular, &options)?;
    let (mut texts, mut buffer) = (StringBuilder::with_capacity(rows.len(), rows.len() * 1024), Vec::new());
    for &row in rows {
        buffer.clear();
        encoder.encode(row as usize, &mut buffer);
        texts.append_option(vernacular.is_valid(row as usize).then(|| String::from_utf8_lossy(&buffer)));
    }
    Ok(texts.finish())
}

/// The findings of the rows in the types of the table, whatever the plan called nullable.
fn finding_lists(findings: &TextLists<5>) -> ListArray {
    let (list, members) = findings.parts();
    let fields: Fields = FINDING_MEMBERS.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    let members = members.iter().map(|member| Arc::new(member.clone()) as ArrayRef).collect();
    let items = StructArray::new(fields.clone(), members, None);
    let item = Arc::new(Field::new_list_field(DataType::Struct(fields), true));
    ListArray::new(item, list.offsets().clone(), Arc::new(items), list.nulls().cloned())
}
