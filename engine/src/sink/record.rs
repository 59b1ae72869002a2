//! The columns of a batch that say what its rows are: `_record`, `_kept` and `_findings`, found and typed once a batch.
//!
//! They are laid down by the scan and the mapping, so a column that is missing or of another kind is a mistake of ours and
//! comes out as an internal error.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, RecordBatch, StringArray, StructArray, UInt8Array, UInt32Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields, Schema};
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;

/// Where the columns are in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) record: usize,
    pub(super) kept: Option<usize>,
    pub(super) findings: Option<usize>,
    /// All others, in order.
    pub(super) target: Vec<usize>,
}

impl Layout {
    pub(super) fn of(schema: &Schema) -> Result<Self> {
        let place = |name| schema.index_of(name).ok();
        let record = place("_record").ok_or_else(|| internal_datafusion_err!("the input of the sink has no _record"))?;
        let (kept, findings) = (place("_kept"), place("_findings"));
        let own = [Some(record), kept, findings];
        let target = (0..schema.fields().len()).filter(|index| !own.contains(&Some(*index))).collect();
        Ok(Self { record, kept, findings, target })
    }

    /// The target's fields.
    pub(super) fn target_fields(&self, schema: &Schema) -> Fields {
        self.target.iter().map(|&index| Arc::clone(&schema.fields()[index])).collect()
    }

    /// The fields of the vernacular records, if the scan hands them on.
    pub(super) fn vernacular_fields(&self, schema: &Schema) -> Option<Fields> {
        let DataType::Struct(members) = schema.field(self.record).data_type() else { return None };
        match members.find("vernacular")?.1.data_type() {
            DataType::Struct(fields) => Some(fields.clone()),
            _ => None,
        }
    }
}

/// What the rows of a batch are.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) rows: usize,
    pub(super) kind: UInt8Array,
    pub(super) page_no: UInt32Array,
    pub(super) collection_id: StringArray,
    pub(super) record_id: StringArray,
    pub(super) page: StringArray,
    pub(super) page_seq: Int32Array,
    pub(super) deleted: BooleanArray,
    pub(super) kept: Option<BooleanArray>,
    /// Members: code, message, path.
    pub(super) problems: TextLists<3>,
    /// Members: those of [`super::schema::FINDING_MEMBERS`].
    pub(super) findings: Option<TextLists<5>>,
    pub(super) vernacular: Option<StructArray>,
    pub(super) target: Vec<ArrayRef>,
}

impl Records {
    pub(super) fn of(layout: &Layout, batch: &RecordBatch) -> Result<Self> {
        let record = batch.column(layout.record);
        let record = record.as_struct_opt().ok_or_else(|| internal_datafusion_err!("_record is {}, not a struct", record.data_type()))?;
        let flags =
            |array: &ArrayRef| Ok::<_, datafusion::error::DataFusionError>(of_type(array, &DataType::Boolean)?.as_boolean().clone());
        let findings = layout.findings.map(|index| TextLists::of(batch.column(index), super::schema::FINDING_MEMBERS)).transpose()?;
        Ok(Self {
            rows: batch.num_rows(),
            kind: of_type(member(record, "kind")?, &DataType::UInt8)?.as_primitive().clone(),
            page_no: of_type(member(record, "page_no")?, &DataType::UInt32)?.as_primitive().clone(),
            collection_id: texts(member(record, "collection_id")?)?,
            record_id: texts(member(record, "record_id")?)?,
            page: texts(member(record, "page")?)?,
            page_seq: of_type(member(record, "page_seq")?, &DataType::Int32)?.as_primitive().clone(),
            deleted: flags(member(record, "deleted")?)?,
            kept: layout.kept.map(|index| flags(batch.column(index))).transpose()?,
            problems: TextLists::of(member(record, "problems")?, ["code", "message", "path"])?,
            findings,
            vernacular: record.column_by_name("vernacular").and_then(|column| column.as_struct_opt()).cloned(),
            target: layout.target.iter().map(|&index| Arc::clone(batch.column(index))).collect(),
        })
    }

    /// Page number and ordinal of a row, which is never negative.
    pub(super) fn place(&self, row: usize) -> (u32, u32) {
        (self.page_no.value(row), self.page_seq.value(row).cast_unsigned())
    }

    /// The columns of `mapped`, of all rows: no value is copied.
    pub(super) fn mapped_columns(&self) -> Vec<ArrayRef> {
        let trace: [ArrayRef; 4] = [
            Arc::new(self.collection_id.clone()),
            Arc::new(self.record_id.clone()),
            Arc::new(self.page.clone()),
            Arc::new(self.page_seq.clone()),
        ];
        trace.into_iter().chain(self.target.iter().map(Arc::clone)).collect()
    }
}

/// A column of `list<struct>` whose members are all text.
#[derive(Debug)]
pub(super) struct TextLists<const MEMBERS: usize> {
    list: ListArray,
    members: [StringArray; MEMBERS],
}

impl<const MEMBERS: usize> TextLists<MEMBERS> {
    pub(super) fn of(array: &ArrayRef, names: [&str; MEMBERS]) -> Result<Self> {
        let list = match array.data_type() {
            DataType::List(_) => array.as_list::<i32>().clone(),
            // Only nulls, or a list of another width.
            _ => of_type(array, &super::schema::finding_list())?.as_list::<i32>().clone(),
        };
        let items =
            list.values().as_struct_opt().ok_or_else(|| internal_datafusion_err!("a list of {} has no members", list.value_type()))?;
        let mut members = Vec::with_capacity(MEMBERS);
        for name in names {
            members.push(texts(member(items, name)?)?);
        }
        let members = members.try_into().map_err(|_| internal_datafusion_err!("{MEMBERS} members are {MEMBERS}"))?;
        Ok(Self { list, members })
    }

    /// Whether no row has an item, as is the rule.
    pub(super) fn empty(&self) -> bool {
        let offsets = self.list.value_offsets();
        offsets.first() == offsets.last()
    }

    /// Places of the items of a row; none if it is null.
    pub(super) fn items(&self, row: usize) -> Range<usize> {
        if self.list.is_null(row) {
            return 0..0;
        }
        let at = |offset: i32| usize::try_from(offset).unwrap_or_default();
        let offsets = self.list.value_offsets();
        at(offsets[row])..at(offsets[row + 1])
    }

    /// A member of an item.
    pub(super) fn get(&self, member: usize, item: usize) -> Option<&str> {
        value(&self.members[member], item)
    }

    /// The list and its members.
    pub(super) fn parts(&self) -> (&ListArray, &[StringArray; MEMBERS]) {
        (&self.list, &self.members)
    }
}

/// The text in a row, if there is one.
pub(super) fn value(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

/// A column of text, whichever of Arrow's three kinds it is.
pub(super) fn texts(array: &ArrayRef) -> Result<StringArray> {
    Ok(of_type(array, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn of_type(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if array.data_type() == wanted { Ok(Arc::clone(array)) } else { Ok(cast(array, wanted)?) }
}

fn member<'a>(parent: &'a StructArray, name: &str) -> Result<&'a ArrayRef> {
    parent.column_by_name(name).ok_or_else(|| internal_datafusion_err!("the sink misses {name} among {:?}", parent.column_names()))
}
