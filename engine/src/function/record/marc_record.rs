//! Takes the values that a spec means out of the columns of MARC records.
//!
//! Columns are resolved once a batch; a record is then a few ranges of indices, and a value is a slice of its column.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;

use super::marc_spec::{Part, Spec, Subfields};

/// The tag of fields in another script.
const OTHER_SCRIPT: u16 = 880;

/// Whether a struct of this type is a MARC record: `leader`, `control` and `data`, with their members.
pub(super) fn is_record(members: &Fields) -> bool {
    let (Some(control), Some(data)) = (group(members, "control"), group(members, "data")) else { return false };
    let Some(subfields) = group(data, "subfields") else { return false };
    has_texts(members, &["leader"])
        && has_texts(control, &["tag", "value"])
        && has_texts(data, &["tag"])
        && has_texts(subfields, &["code", "value"])
}

/// The members of a list of structs.
fn group<'a>(members: &'a Fields, name: &str) -> Option<&'a Fields> {
    let DataType::List(item) = members.find(name)?.1.data_type() else { return None };
    if let DataType::Struct(members) = item.data_type() { Some(members) } else { None }
}

fn has_texts(members: &Fields, names: &[&str]) -> bool {
    let is_text = |field: &FieldRef| matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    names.iter().all(|name| members.find(name).is_some_and(|(_, field)| is_text(field)))
}

/// The columns of a batch of records.
#[derive(Debug)]
pub(super) struct Records {
    rows: StructArray,
    leader: StringArray,
    control: Group,
    control_tags: StringArray,
    control_values: StringArray,
    data: Group,
    data_tags: StringArray,
    subfields: Group,
    codes: StringArray,
    values: StringArray,
}

/// A list of structs.
#[derive(Debug)]
struct Group {
    lists: ListArray,
    members: StructArray,
}

impl Group {
    fn new(column: &ArrayRef) -> Option<Self> {
        let lists = column.as_list_opt::<i32>()?.clone();
        let members = lists.values().as_struct_opt()?.clone();
        Some(Self { lists, members })
    }

    fn range(&self, row: usize) -> Range<usize> {
        if self.lists.is_null(row) {
            return 0..0;
        }
        self.lists.value_offsets()[row] as usize..self.lists.value_offsets()[row + 1] as usize
    }
}

impl Records {
    /// Finds the columns by their names.
    ///
    /// # Errors
    /// The array is no struct of the form that [`is_record`] tells.
    pub(super) fn new(array: &ArrayRef) -> Result<Self> {
        let missing = || exec_datafusion_err!("no MARC record: {}", array.data_type());
        let rows = array.as_struct_opt().ok_or_else(missing)?.clone();
        let group = |members: &StructArray, name: &str| members.column_by_name(name).and_then(Group::new).ok_or_else(missing);
        let text = |members: &StructArray, name: &str| -> Result<StringArray> {
            let column = members.column_by_name(name).ok_or_else(missing)?;
            match column.as_string_opt::<i32>() {
                Some(texts) => Ok(texts.clone()),
                None => Ok(cast(column, &DataType::Utf8)?.as_string().clone()),
            }
        };
        let (control, data) = (group(&rows, "control")?, group(&rows, "data")?);
        let subfields = group(&data.members, "subfields")?;
        Ok(Self {
            leader: text(&rows, "leader")?,
            control_tags: text(&control.members, "tag")?,
            control_values: text(&control.members, "value")?,
            data_tags: text(&data.members, "tag")?,
            codes: text(&subfields.members, "code")?,
            values: text(&subfields.members, "value")?,
            rows,
            control,
            data,
            subfields,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.rows.is_null(row)
    }

    /// Emits the values of a record that `spec` means, in the order of the spec, then of the record; a range is its tags
    /// in ascending order. `emit` returns false when it wants no more.
    pub(super) fn values<'a>(&'a self, row: usize, spec: &Spec, scratch: &mut Scratch, emit: &mut dyn FnMut(&'a str) -> bool) {
        for part in &spec.parts {
            let more = match part {
                Part::Leader => self.leader.is_null(row) || emit(self.leader.value(row)),
                Part::Fields { tags, subfields } => {
                    scratch.find(self, row, spec, tags);
                    let mut fields = scratch.fields.iter();
                    fields.all(|(_, place, index)| match place {
                        Place::Control => emit(self.control_values.value(*index)),
                        Place::Data => self.field(row, *index, *subfields, spec.linked, &mut scratch.pairs, emit),
                        Place::OtherScript => self.field(row, *index, *subfields, false, &mut scratch.pairs, emit),
                    })
                }
            };
            if !more {
                return;
            }
        }
    }

    /// Emits the subfields of a field, each followed by those of the linked fields that pair with it.
    fn field<'a>(
        &'a self,
        row: usize,
        field: usize,
        subfields: Subfields,
        linked: bool,
        pairs: &mut Vec<(usize, bool)>,
        emit: &mut dyn FnMut(&'a str) -> bool,
    ) -> bool {
        pairs.clear();
        if linked && let Some((OTHER_SCRIPT, number)) = self.link(field) {
            for other in self.data.range(row).filter(|other| self.tag(*other) == Some(OTHER_SCRIPT)) {
                if self.link(other) == self.tag(field).map(|tag| (tag, number)) {
                    pairs.extend(self.selected(other, subfields).map(|index| (index, false)));
                }
            }
        }
        for (place, index) in self.selected(field, subfields).enumerate() {
            if !emit(self.values.value(index)) {
                return false;
            }
            if pairs.is_empty() {
                continue;
            }
            // The second $a pairs with the second $a, whatever stands between them.
            let code = self.codes.value(index);
            let occurrence = self.selected(field, subfields).take(place).filter(|before| self.codes.value(*before) == code).count();
            let mut alike = (0..pairs.len()).filter(|pair| self.codes.value(pairs[*pair].0) == code);
            if let Some(pair) = alike.nth(occurrence) {
                pairs[pair].1 = true;
                if !emit(self.values.value(pairs[pair].0)) {
                    return false;
                }
            }
        }
        pairs.iter().filter(|(_, paired)| !paired).all(|(index, _)| emit(self.values.value(*index)))
    }

    fn selected(&self, field: usize, subfields: Subfields) -> impl Iterator<Item = usize> {
        self.subfields.range(field).filter(move |index| {
            let code = self.codes.is_valid(*index) && matches!(self.codes.value(*index).as_bytes(), [code] if subfields.contains(*code));
            code && self.values.is_valid(*index)
        })
    }

    fn tag(&self, field: usize) -> Option<u16> {
        self.data_tags.is_valid(field).then(|| number(self.data_tags.value(field)))?
    }

    /// What `$6` says: the tag at the other end and the number of the link (`880-02`).
    fn link(&self, field: usize) -> Option<(u16, &str)> {
        let link = self.selected(field, Subfields::Only(1 << 6)).next()?;
        let (tag, number_of_link) = self.values.value(link).trim().split_at_checked(3)?;
        Some((number(tag)?, number_of_link.strip_prefix('-')?.get(..2)?))
    }

    /// Whether an 880 stands alone: its link has the number 00, or leads to no field.
    fn is_alone(&self, row: usize, field: usize) -> bool {
        let Some((tag, number)) = self.link(field) else { return true };
        let partner = |other: usize| self.tag(other) == Some(tag) && self.link(other) == Some((OTHER_SCRIPT, number));
        number == "00" || !self.data.range(row).any(partner)
    }
}

fn number(tag: &str) -> Option<u16> {
    let digits = tag.as_bytes();
    (digits.len() == 3 && digits.iter().all(u8::is_ascii_digit))
        .then(|| digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
}

/// Buffers that are used for one record after the other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Tag, place and index of the fields that a part means.
    fields: Vec<(u16, Place, usize)>,
    /// Values of linked fields, and whether they have been paired.
    pairs: Vec<(usize, bool)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Control,
    Data,
    /// An 880 without a partner stands for the field it names.
    OtherScript,
}

impl Scratch {
    fn find(&mut self, records: &Records, row: usize, spec: &Spec, tags: &std::ops::RangeInclusive<u16>) {
        self.fields.clear();
        if *tags.start() < 10 {
            for index in records.control.range(row).filter(|index| records.control_tags.is_valid(*index)) {
                let tag = number(records.control_tags.value(index)).filter(|tag| tags.contains(tag) && !spec.skips(*tag));
                if let Some(tag) = tag.filter(|_| records.control_values.is_valid(index)) {
                    self.fields.push((tag, Place::Control, index));
                }
            }
        }
        for index in records.data.range(row) {
            let Some(tag) = records.tag(index) else { continue };
            if tags.contains(&tag) && !spec.skips(tag) {
                self.fields.push((tag, Place::Data, index));
            } else if tag == OTHER_SCRIPT && spec.linked {
                let meant = records.link(index).map(|(tag, _)| tag).filter(|tag| tags.contains(tag) && !spec.skips(*tag));
                if let Some(tag) = meant.filter(|_| records.is_alone(row, index)) {
                    self.fields.push((tag, Place::OtherScript, index));
                }
            }
        }
        self.fields.sort_unstable();
    }
}
