//! `pacha_finish(value, steps)`: the finishing pass of a target field, as a function of the plan.
//!
//! Trim, NFC, blank → null, dedupe: mappings need not repeat it. Most values are clean already, so an array in which
//! nothing would change is handed on as it is; only otherwise is a new one built.

use std::sync::Arc;

use arrow::array::{Array, ArrayBuilder, ArrayRef, AsArray, ListArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use schemas::target::Finish;
use unicode_normalization::UnicodeNormalization;

use crate::function::composed::is_composed;

/// The function, to be registered.
pub fn function() -> ScalarUDF {
    ScalarUDF::from(FinishFunction { signature: Signature::any(2, Volatility::Immutable) })
}

/// The steps as the function's second argument.
pub fn steps_text(steps: &[Finish]) -> String {
    let names: Vec<&str> = steps
        .iter()
        .map(|step| match step {
            Finish::Trim => "trim",
            Finish::Nfc => "nfc",
            Finish::Dedupe => "dedupe",
        })
        .collect();
    names.join(" ")
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FinishFunction {
    signature: Signature,
}

impl ScalarUDFImpl for FinishFunction {
    fn name(&self) -> &'static str {
        "pacha_finish"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text)))) = args.args.get(1) else {
            return exec_err!("pacha_finish wants its steps as a literal");
        };
        let steps = Steps { trim: text.contains("trim"), nfc: text.contains("nfc"), dedupe: text.contains("dedupe") };
        let array = args.args[0].to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(steps.apply(&array)))
    }
}

#[derive(Debug, Clone, Copy)]
struct Steps {
    trim: bool,
    nfc: bool,
    dedupe: bool,
}

impl Steps {
    fn apply(self, array: &ArrayRef) -> ArrayRef {
        match array.data_type() {
            DataType::Utf8 => self.texts(array),
            DataType::List(item) if item.data_type() == &DataType::Utf8 => self.lists(array),
            _ => Arc::clone(array),
        }
    }

    fn texts(self, array: &ArrayRef) -> ArrayRef {
        let texts: &StringArray = array.as_string();
        if texts.iter().flatten().all(|text| self.clean(text)) {
            return Arc::clone(array);
        }
        let mut built = StringBuilder::with_capacity(texts.len(), texts.values().len());
        let mut scratch = String::new();
        for text in texts {
            built.append_option(text.and_then(|text| self.finish(text, &mut scratch)));
        }
        Arc::new(built.finish())
    }

    fn lists(self, array: &ArrayRef) -> ArrayRef {
        let lists: &ListArray = array.as_list();
        if self.lists_are_clean(lists) {
            return Arc::clone(array);
        }
        let values: &StringArray = lists.values().as_string();
        let mut built = ListBuilder::new(StringBuilder::with_capacity(values.len(), values.values().len()));
        let mut scratch = String::new();
        for row in 0..lists.len() {
            if lists.is_null(row) {
                built.append(false);
                continue;
            }
            let (start, end) = (offset(lists, row), offset(lists, row + 1));
            let first = built.values().len();
            for index in (start..end).filter(|index| values.is_valid(*index)) {
                if let Some(text) = self.finish(values.value(index), &mut scratch)
                    && !(self.dedupe && holds(built.values(), first, text))
                {
                    built.values().append_value(text);
                }
            }
            built.append(true);
        }
        Arc::new(built.finish())
    }

    fn lists_are_clean(self, lists: &ListArray) -> bool {
        let values: &StringArray = lists.values().as_string();
        (0..lists.len()).filter(|row| lists.is_valid(*row)).all(|row| {
            let (start, end) = (offset(lists, row), offset(lists, row + 1));
            let clean = (start..end).all(|index| values.is_valid(index) && self.clean(values.value(index)));
            clean
                && !(self.dedupe && (start + 1..end).any(|index| (start..index).any(|before| values.value(before) == values.value(index))))
        })
    }

    /// Whether finishing would leave the value as it is.
    fn clean(self, text: &str) -> bool {
        let Some((first, last)) = text.chars().next().zip(text.chars().next_back()) else { return false };
        if self.trim && (blank(first) || blank(last)) {
            return false;
        }
        !self.nfc || is_composed(text)
    }

    fn finish<'t>(self, text: &'t str, scratch: &'t mut String) -> Option<&'t str> {
        let text = if self.trim { text.trim_matches(blank) } else { text };
        if text.is_empty() || text.chars().all(blank) {
            return None;
        }
        if !self.nfc || is_composed(text) {
            return Some(text);
        }
        scratch.clear();
        scratch.extend(text.nfc());
        Some(scratch)
    }
}

fn blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}'
}

fn offset(lists: &ListArray, row: usize) -> usize {
    usize::try_from(lists.value_offsets()[row]).unwrap_or_default()
}

/// Whether one of the values appended since `first` is `text`.
fn holds(built: &StringBuilder, first: usize, text: &str) -> bool {
    let (offsets, bytes) = (built.offsets_slice(), built.values_slice());
    (first..built.len()).any(|index| {
        let (start, end) = (offsets[index], offsets[index + 1]);
        bytes.get(usize::try_from(start).unwrap_or_default()..usize::try_from(end).unwrap_or_default()) == Some(text.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &[Option<Vec<Option<&str>>>]) -> ArrayRef {
        let mut built = ListBuilder::new(StringBuilder::new());
        for row in rows {
            for value in row.iter().flatten() {
                built.values().append_option(*value);
            }
            built.append(row.is_some());
        }
        Arc::new(built.finish())
    }

    const ALL: Steps = Steps { trim: true, nfc: true, dedupe: true };

    #[test]
    fn values_are_trimmed_composed_and_deduplicated_and_blank_ones_dropped() {
        let dirty = list(&[Some(vec![Some("\u{a0} Maps "), Some("Maps"), None, Some("  "), Some("Cafe\u{301}")]), None, Some(vec![])]);
        let clean = list(&[Some(vec![Some("Maps"), Some("Café")]), None, Some(vec![])]);
        assert_eq!(&ALL.apply(&dirty), &clean);
    }

    #[test]
    fn a_clean_array_is_handed_on_as_it_is() {
        let clean = list(&[Some(vec![Some("Maps"), Some("Café")]), None]);
        assert!(Arc::ptr_eq(&ALL.apply(&clean), &clean));
    }

    #[test]
    fn a_sliced_array_is_finished_within_its_bounds() {
        let dirty = list(&[Some(vec![Some("a"), Some("a")]), Some(vec![Some(" b")]), Some(vec![Some("c ")])]);
        let sliced = dirty.slice(1, 1);
        assert_eq!(&ALL.apply(&sliced), &list(&[Some(vec![Some("b")])]));
    }

    #[test]
    fn a_blank_text_becomes_null() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some(" x "), Some("  "), None]));
        let expected: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, None]));
        assert_eq!(&ALL.apply(&texts), &expected);
    }
}
