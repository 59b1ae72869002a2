//! `pluck(x, field)`: one field of each struct in a list.
//!
//! The field's type decides the result's, so its name is needed while planning: a misspelt one is found there. Values are
//! not copied one by one: the indices of those that stay are collected, and taken in one go.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, UInt32Array, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::exec_err;
use datafusion::error::Result as DataFusionResult;
use schemas::problem::Problem;
use schemas::suggest;
use schemas::target::type_name;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel, list_of};
use crate::function::polymorphic::is_blank;

pub(crate) static FUNCTION: Function = Function {
    name: "pluck",
    family: Family::Lists,
    summary: "One field of each struct of a list, as a list; NULLs and blank values are left out, a field that is a list itself is \
              joined in. A single struct counts as a list of one.",
    parameters: &[
        Parameter::required("x", Accepts::Any, "a list of structs, or a struct"),
        Parameter::required("field", Accepts::ConstantText, "name of the field"),
    ],
    returns: Returns::Of(|call| Ok(list_of(leaf(field(call)?).clone()))),
    bind: pluck,
    examples: &[
        ("pluck([{'name': 'Ada', 'role': 'author'}, {'name': NULL, 'role': 'editor'}], 'name')", "[Ada]"),
        ("pluck([{'name': ['Ada', 'Ida']}, {'name': ['Eda']}], 'name')", "[Ada, Ida, Eda]"),
        ("pluck({'size': 3}, 'size')", "[3]"),
    ],
    see_also: &["collate", "first_of"],
};

/// The field that is asked for.
fn field<'c>(call: &'c Call<'_>) -> Result<&'c Field> {
    static NOTHING: LazyLock<Field> = LazyLock::new(|| Field::new_list_field(DataType::Utf8, true));
    let given = call.data_type(0);
    if given.is_null() {
        return Ok(&NOTHING);
    }
    let Some(members) = members(given) else { return Err(call.wrong_type(0, "a list of structs")) };
    let name = call.required_text(1)?;
    members.iter().find(|member| member.name() == name).map(AsRef::as_ref).ok_or_else(|| {
        let structs = type_name(&DataType::Struct(members.clone()));
        let problem = Problem::error("PM201", format!("no field \"{name}\" in {structs}"));
        problem.hint(suggest::hint(name, members.iter().map(|member| member.name().as_str()))).into()
    })
}

fn members(given: &DataType) -> Option<&Fields> {
    match given {
        DataType::Struct(members) => Some(members),
        DataType::List(item) | DataType::LargeList(item) => members(item.data_type()),
        _ => None,
    }
}

/// Type of the values that come out.
fn leaf(field: &Field) -> &DataType {
    let item = match field.data_type() {
        DataType::List(item) | DataType::LargeList(item) => item.data_type(),
        other => other,
    };
    match item {
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => &DataType::Utf8,
        DataType::Dictionary(_, value) if matches!(**value, DataType::Utf8) => &DataType::Utf8,
        other => other,
    }
}

fn pluck(call: &Call<'_>) -> Result<Kernel> {
    let field = field(call)?;
    let (name, leaf) = (field.name().clone(), leaf(field).clone());
    kernel(move |arguments| values(&arguments[0], &name, &leaf))
}

fn values(array: &ArrayRef, name: &str, leaf: &DataType) -> DataFusionResult<ArrayRef> {
    // The one list type from here on, whichever the source sent; for `List` itself nothing is copied.
    let array = match array.data_type() {
        DataType::LargeList(item) => cast(array, &DataType::List(Arc::clone(item)))?,
        _ => Arc::clone(array),
    };
    let (lists, structs) = match array.as_list_opt::<i32>() {
        Some(lists) => (Some(lists), lists.values().as_struct_opt()),
        None => (None, array.as_struct_opt()),
    };
    let Some(structs) = structs else { return Ok(new_null_array(&list_of(leaf.clone()), array.len())) };
    let Some(column) = structs.column_by_name(name) else { return exec_err!("pluck() finds no field {name} in {}", array.data_type()) };
    let column = match column.data_type() {
        DataType::LargeList(item) => cast(column, &DataType::List(Arc::clone(item)))?,
        _ => Arc::clone(column),
    };
    let inner = column.as_list_opt::<i32>();
    let leaves = cast(inner.map_or(&column, |inner| inner.values()), leaf)?;
    let texts = leaves.as_string_opt::<i32>();
    let stays = |index: &usize| leaves.is_valid(*index) && texts.is_none_or(|texts| !is_blank(texts.value(*index)));

    let (mut indices, mut ends) = (Vec::with_capacity(leaves.len()), vec![0]);
    for row in 0..array.len() {
        for at in rows(&array, lists, row).filter(|at| present(structs, &column, *at)) {
            match inner {
                Some(inner) => {
                    let range = inner.value_offsets()[at] as usize..inner.value_offsets()[at + 1] as usize;
                    indices.extend(range.filter(stays).map(|index| index as u32));
                }
                None => indices.extend(Some(at).filter(stays).map(|index| index as u32)),
            }
        }
        ends.push(indices.len() as i32);
    }
    let values = take(&leaves, &UInt32Array::from(indices), None)?;
    let item = Arc::new(Field::new_list_field(leaf.clone(), true));
    Ok(Arc::new(ListArray::new(item, OffsetBuffer::new(ends.into()), values, array.logical_nulls())))
}

/// Where the structs of a row stand.
fn rows(array: &ArrayRef, lists: Option<&ListArray>, row: usize) -> Range<usize> {
    match lists {
        _ if array.is_null(row) => 0..0,
        None => row..row + 1,
        Some(lists) => lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize,
    }
}

fn present(structs: &StructArray, column: &ArrayRef, at: usize) -> bool {
    structs.is_valid(at) && column.is_valid(at)
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use arrow::buffer::NullBuffer;

    use super::*;
    use crate::function::polymorphic::Texts;

    /// `[{a}, {NULL}], NULL (over {hidden}), [], [NULL, { }, {é}]`
    fn lists() -> ArrayRef {
        let names: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a"), None, Some("hidden"), Some("struct is null"), Some(" "), Some("é")]));
        let fields = Fields::from(vec![Field::new("name", DataType::Utf8, true)]);
        let valid = NullBuffer::from(vec![true, true, true, false, true, true]);
        let structs = StructArray::new(fields.clone(), vec![names], Some(valid));
        let item = Arc::new(Field::new_list_field(DataType::Struct(fields), true));
        let nulls = NullBuffer::from(vec![true, false, true, true]);
        Arc::new(ListArray::new(item, OffsetBuffer::new(vec![0, 2, 3, 3, 6].into()), Arc::new(structs), Some(nulls)))
    }

    fn plucked(array: &ArrayRef) -> Vec<Option<String>> {
        let plucked = values(array, "name", &DataType::Utf8).unwrap();
        let texts = Texts::new(&plucked).unwrap();
        (0..texts.len()).map(|row| (!texts.is_null(row)).then(|| texts.row(row).collect::<Vec<_>>().join("|"))).collect()
    }

    #[test]
    fn nulls_of_every_kind_are_left_out() {
        assert_eq!(plucked(&lists()), [Some("a".into()), None, Some(String::new()), Some("é".into())]);
    }

    #[test]
    fn a_slice_sees_only_its_own_rows() {
        assert_eq!(plucked(&lists().slice(1, 3)), [None, Some(String::new()), Some("é".into())]);
        assert_eq!(plucked(&lists().slice(3, 1)), [Some("é".into())]);
    }
}
