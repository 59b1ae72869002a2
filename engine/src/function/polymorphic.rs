//! One kernel for text and for lists of text, without an allocation per value.
//!
//! Functions see values as `&str`, wherever they stand. A result is either a slice of the value or the scratch string
//! the function was handed; as long as every result is the value itself, nothing is copied at all and the input array
//! is returned. So a `clean()` over clean data costs one look at its bytes.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StringBuilder};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::Field;
use datafusion::common::exec_err;
use datafusion::error::Result;

/// Whether there is nothing to read in `text`: white space in any script counts as nothing.
pub fn is_blank(text: &str) -> bool {
    text.as_bytes().first().is_none_or(|first| *first <= b' ' || *first >= 0x80) && text.chars().all(char::is_whitespace)
}

/// Maps every text of an array of text or of lists of text. `f` returns a slice of the value, or of the scratch string
/// (which is empty when `f` is called). A blank result becomes NULL, or is dropped from its list.
///
/// # Errors
/// The array is neither text nor a list of text.
pub fn map(array: &ArrayRef, mut f: impl for<'a> FnMut(&'a str, &'a mut String) -> &'a str) -> Result<ArrayRef> {
    if let Some(texts) = array.as_string_opt::<i32>() {
        return Ok(map_texts(texts, &mut f).map_or_else(|| Arc::clone(array), |mapped| Arc::new(mapped)));
    }
    match array.as_list_opt::<i32>() {
        Some(lists) if lists.values().as_string_opt::<i32>().is_some() => {
            Ok(map_lists(lists, lists.values().as_string(), &mut f)?.map_or_else(|| Arc::clone(array), |mapped| Arc::new(mapped)))
        }
        _ => exec_err!("wants text or a list of text, not {}", array.data_type()),
    }
}

/// `None` when every value stays as it is.
fn map_texts(texts: &StringArray, f: &mut impl for<'a> FnMut(&'a str, &'a mut String) -> &'a str) -> Option<StringArray> {
    let mut scratch = String::new();
    let mut changed: Option<StringBuilder> = None;
    for row in 0..texts.len() {
        if texts.is_null(row) {
            if let Some(out) = &mut changed {
                out.append_null();
            }
            continue;
        }
        let value = texts.value(row);
        scratch.clear();
        let result = f(value, &mut scratch);
        let blank = is_blank(result);
        if changed.is_none() && !blank && same(value, result) {
            continue;
        }
        let out = changed.get_or_insert_with(|| start(texts, 0..row));
        if blank { out.append_null() } else { out.append_value(result) }
    }
    changed.map(|mut out| out.finish())
}

/// `None` when every value stays as it is.
fn map_lists(
    lists: &ListArray,
    texts: &StringArray,
    f: &mut impl for<'a> FnMut(&'a str, &'a mut String) -> &'a str,
) -> Result<Option<ListArray>> {
    let offsets = lists.value_offsets();
    let base = offsets[0] as usize;
    let mut scratch = String::new();
    // What is written so far: the values, and the ends of the rows before the current one.
    let mut changed: Option<(StringBuilder, Vec<i32>)> = None;
    for row in 0..lists.len() {
        if lists.is_valid(row) {
            for index in offsets[row] as usize..offsets[row + 1] as usize {
                let value = if texts.is_null(index) { "" } else { texts.value(index) };
                scratch.clear();
                let result = if value.is_empty() { "" } else { f(value, &mut scratch) };
                let blank = is_blank(result);
                if changed.is_none() && !blank && same(value, result) {
                    continue;
                }
                let (out, _) = changed.get_or_insert_with(|| {
                    let ends = offsets[..=row].iter().map(|offset| offset - offsets[0]).collect();
                    (start(texts, base..index), ends)
                });
                if !blank {
                    out.append_value(result);
                }
            }
        }
        if let Some((out, ends)) = &mut changed {
            ends.push(length(out)?);
        }
    }
    let Some((mut out, ends)) = changed else { return Ok(None) };
    Ok(Some(list_array(ends, &mut out, lists.nulls().cloned())))
}

/// A builder that holds the values of `range` already.
fn start(texts: &StringArray, range: Range<usize>) -> StringBuilder {
    let bytes = texts.value_data().len().min(texts.len() * 256);
    let mut out = StringBuilder::with_capacity(texts.len(), bytes);
    for index in range {
        out.append_option(texts.is_valid(index).then(|| texts.value(index)));
    }
    out
}

fn same(value: &str, result: &str) -> bool {
    value.len() == result.len() && (value.as_ptr() == result.as_ptr() || value == result)
}

fn length(out: &StringBuilder) -> Result<i32> {
    let values = out.offsets_slice().len() - 1;
    i32::try_from(values).or_else(|_| exec_err!("more than 2,147,483,647 values in one batch"))
}

fn list_array(ends: Vec<i32>, out: &mut StringBuilder, nulls: Option<NullBuffer>) -> ListArray {
    let field = Arc::new(Field::new_list_field(arrow::datatypes::DataType::Utf8, true));
    ListArray::new(field, OffsetBuffer::new(ends.into()), Arc::new(out.finish()), nulls)
}

/// The texts of a column, row by row: none, one or many.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    lists: Option<&'a ListArray>,
    values: &'a StringArray,
}

impl<'a> Texts<'a> {
    /// Looks at an array of text or of lists of text.
    ///
    /// # Errors
    /// The array is neither.
    pub fn new(array: &'a ArrayRef) -> Result<Self> {
        if let Some(values) = array.as_string_opt::<i32>() {
            return Ok(Self { lists: None, values });
        }
        match array.as_list_opt::<i32>().and_then(|lists| Some((lists, lists.values().as_string_opt::<i32>()?))) {
            Some((lists, values)) => Ok(Self { lists: Some(lists), values }),
            None => exec_err!("wants text or a list of text, not {}", array.data_type()),
        }
    }

    /// Whether rows are lists.
    pub fn in_lists(&self) -> bool {
        self.lists.is_some()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.lists.map_or(self.values.len(), Array::len)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the row itself is NULL, which is not an empty list.
    pub fn is_null(&self, row: usize) -> bool {
        self.lists.map_or_else(|| self.values.is_null(row), |lists| lists.is_null(row))
    }

    /// The values of a row that are not NULL, in order.
    pub fn row(&self, row: usize) -> impl DoubleEndedIterator<Item = &'a str> + Clone + use<'a> {
        let range = match self.lists {
            _ if self.is_null(row) => 0..0,
            None => row..row + 1,
            Some(lists) => lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize,
        };
        let values = self.values;
        range.filter(|index| values.is_valid(*index)).map(|index| values.value(index))
    }
}

/// A row with more values than this is searched through a hash table.
const LONG_ROW: usize = 48;

/// Builds lists of text, row after row.
#[derive(Debug)]
pub struct Lists {
    values: StringBuilder,
    ends: Vec<i32>,
    valid: Vec<bool>,
    /// The values of the current row, once there are many.
    seen: HashSet<Vec<u8>>,
}

impl Lists {
    /// For about this many rows.
    pub fn with_capacity(rows: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self { values: StringBuilder::with_capacity(rows, rows * 16), ends, valid: Vec::with_capacity(rows), seen: HashSet::new() }
    }

    /// Adds a value to the row, unless it is blank.
    pub fn push(&mut self, value: &str) {
        if !is_blank(value) {
            if !self.seen.is_empty() {
                self.seen.insert(value.as_bytes().to_vec());
            }
            self.values.append_value(value);
        }
    }

    /// Adds a value to the row, unless it is blank or the row has it already.
    pub fn push_new(&mut self, value: &str) {
        if !is_blank(value) && !self.has(value) {
            self.values.append_value(value);
        }
    }

    /// Whether the row has the value; takes note of it in a long row.
    fn has(&mut self, value: &str) -> bool {
        if self.row().len() < LONG_ROW {
            return self.row().any(|known| known == value.as_bytes());
        }
        if self.seen.is_empty() {
            self.seen = self.row().map(<[u8]>::to_vec).collect();
        }
        !self.seen.insert(value.as_bytes().to_vec())
    }

    /// The values of the row so far.
    pub fn row(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let first = self.ends.last().copied().unwrap_or(0) as usize;
        let bytes = self.values.values_slice();
        self.values.offsets_slice()[first..].windows(2).map(move |ends| &bytes[ends[0] as usize..ends[1] as usize])
    }

    /// Ends the row.
    ///
    /// # Errors
    /// The batch has more values than a list array can hold.
    pub fn end(&mut self) -> Result<()> {
        self.close(true)
    }

    /// Ends the row, which is NULL and has no values.
    ///
    /// # Errors
    /// The batch has more values than a list array can hold.
    pub fn end_null(&mut self) -> Result<()> {
        self.close(false)
    }

    fn close(&mut self, valid: bool) -> Result<()> {
        self.ends.push(length(&self.values)?);
        self.valid.push(valid);
        self.seen.clear();
        Ok(())
    }

    /// The array of all rows.
    pub fn finish(mut self) -> ArrayRef {
        let nulls = self.valid.contains(&false).then(|| NullBuffer::from(self.valid));
        Arc::new(list_array(self.ends, &mut self.values, nulls))
    }
}

/// Makes a list of each row: `f` sees every text of the row and pushes what comes of it. NULL stays NULL.
///
/// # Errors
/// The array is neither text nor a list of text.
pub fn gather(array: &ArrayRef, mut f: impl FnMut(&str, &mut Lists)) -> Result<ArrayRef> {
    let texts = Texts::new(array)?;
    let mut lists = Lists::with_capacity(texts.len());
    for row in 0..texts.len() {
        if texts.is_null(row) {
            lists.end_null()?;
            continue;
        }
        texts.row(row).for_each(|value| f(value, &mut lists));
        lists.end()?;
    }
    Ok(lists.finish())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, ListBuilder};
    use arrow::compute::take;

    use super::*;

    fn lists(rows: &[Option<&[Option<&str>]>]) -> ListArray {
        let mut builder = ListBuilder::new(StringBuilder::new());
        for row in rows {
            builder.append_option(row.map(|values| values.iter().copied()));
        }
        builder.finish()
    }

    fn rows(array: &ArrayRef) -> Vec<Option<Vec<String>>> {
        let texts = Texts::new(array).unwrap();
        let lists = array.as_list::<i32>();
        assert_eq!(lists.value_offsets().len(), lists.len() + 1);
        (0..texts.len()).map(|row| (!texts.is_null(row)).then(|| texts.row(row).map(str::to_owned).collect())).collect()
    }

    #[test]
    fn unchanged_values_are_not_copied() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b")]));
        let mapped = map(&texts, |value, _| value).unwrap();
        assert!(Arc::ptr_eq(&texts, &mapped));
        let lists: ArrayRef = Arc::new(lists(&[Some(&[Some("a")]), None, Some(&[])]));
        let mapped = map(&lists, |value, _| value.trim()).unwrap();
        assert!(Arc::ptr_eq(&lists, &mapped));
    }

    #[test]
    fn a_late_change_keeps_everything_before_it() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b "), Some("\u{a0}")]));
        let mapped = map(&texts, |value, _| value.trim()).unwrap();
        assert_eq!(mapped.as_string::<i32>(), &StringArray::from(vec![Some("a"), None, Some("b"), None]));
    }

    #[test]
    fn blank_and_null_elements_leave_a_list() {
        let array = lists(&[Some(&[Some("a"), None]), None, Some(&[Some(" ")]), Some(&[Some("x"), Some(" y")])]);
        let mapped = map(&(Arc::new(array) as ArrayRef), |value, _| value.trim()).unwrap();
        let expected = [Some(vec!["a"]), None, Some(vec![]), Some(vec!["x", "y"])];
        assert_eq!(rows(&mapped), expected.map(|row| row.map(|values| values.iter().map(|value| (*value).to_owned()).collect())));
    }

    #[test]
    fn a_slice_of_lists_sees_only_its_own_values() {
        let array =
            lists(&[Some(&[Some("one ")]), Some(&[Some("two"), Some("three ")]), None, Some(&[Some("four ")]), Some(&[Some("five")])]);
        let slice: ArrayRef = Arc::new(array.slice(1, 3));
        let mapped = map(&slice, |value, _| value.trim()).unwrap();
        assert_eq!(rows(&mapped), [Some(vec!["two".to_owned(), "three".to_owned()]), None, Some(vec!["four".to_owned()])]);
        let gathered = gather(&slice, |value, out| out.push(value.trim())).unwrap();
        assert_eq!(rows(&gathered), rows(&mapped));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a ", "b", "c "]).slice(1, 2));
        assert_eq!(map(&texts, |value, _| value.trim()).unwrap().as_string::<i32>(), &StringArray::from(vec!["b", "c"]));
    }

    #[test]
    fn values_behind_a_null_list_are_not_seen() {
        let array = lists(&[Some(&[Some("a")]), Some(&[Some("hidden")]), Some(&[Some("c ")])]);
        let (field, offsets, values, _) = array.into_parts();
        let nulls = NullBuffer::from(vec![true, false, true]);
        let array: ArrayRef = Arc::new(ListArray::new(field, offsets, values, Some(nulls)));
        let mapped = map(&array, |value, _| value.trim()).unwrap();
        assert_eq!(rows(&mapped), [Some(vec!["a".to_owned()]), None, Some(vec!["c".to_owned()])]);
        let taken = take(&mapped, &Int32Array::from(vec![2, 1]), None).unwrap();
        assert_eq!(rows(&taken), [Some(vec!["c".to_owned()]), None]);
    }

    #[test]
    fn the_scratch_is_empty_for_every_value() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let mapped = map(&texts, |value, scratch| {
            scratch.push_str(value);
            scratch.push('!');
            scratch
        });
        assert_eq!(mapped.unwrap().as_string::<i32>(), &StringArray::from(vec!["a!", "b!"]));
    }
}
