//! `sort_title(x)`: what a list of titles is sorted by.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::error::Result as DataFusionResult;
use unicode_normalization::char::is_combining_mark;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel};
use crate::function::polymorphic::map;

pub(crate) static FUNCTION: Function = Function {
    name: "sort_title",
    family: Family::Text,
    summary: "Lower case, without punctuation and without a leading the, a or an; letters of any script stay. No title, also NULL, \
              gives `~title unknown`, which sorts last.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the title"),
        Parameter::optional("mode", Accepts::ConstantText, "`ucldc`: as Calisphere does, only ASCII letters and digits stay"),
    ],
    returns: Returns::Same,
    bind: sort_title,
    examples: &[
        ("sort_title('The Ōtsu Road')", "ōtsu road"),
        ("sort_title('The Ōtsu Road', 'ucldc')", "tsu road"),
        ("sort_title('[?]')", "~title unknown"),
    ],
    see_also: &["slug", "first_of"],
};

const UNKNOWN: &str = "~title unknown";

fn sort_title(call: &Call<'_>) -> Result<Kernel> {
    let ascii = call.choice(1, &["ucldc"])?.is_some();
    kernel(move |arguments| {
        let mapped = map(&arguments[0], |value, scratch| sort_form(value, ascii, scratch))?;
        fill(mapped)
    })
}

fn sort_form<'a>(value: &str, ascii: bool, scratch: &'a mut String) -> &'a str {
    let mut space = false;
    let mut add = |letter: char| {
        let stays = letter.is_ascii_alphanumeric() || (!ascii && (letter.is_alphanumeric() || is_combining_mark(letter)));
        if stays {
            if std::mem::take(&mut space) {
                scratch.push(' ');
            }
            scratch.push(letter);
        } else if letter.is_whitespace() {
            space = !scratch.is_empty();
        }
    };
    for letter in value.chars() {
        if letter.is_ascii() { add(letter.to_ascii_lowercase()) } else { letter.to_lowercase().for_each(&mut add) }
    }
    let title = ["the ", "a ", "an "].iter().find_map(|article| scratch.strip_prefix(article)).unwrap_or(scratch);
    if title.is_empty() { UNKNOWN } else { title }
}

/// A missing title sorts with the empty ones; a list without titles stays one.
fn fill(array: ArrayRef) -> DataFusionResult<ArrayRef> {
    match array.as_string_opt::<i32>() {
        Some(titles) if titles.null_count() > 0 => {
            Ok(Arc::new(titles.iter().map(|title| Some(title.unwrap_or(UNKNOWN))).collect::<StringArray>()))
        }
        _ => Ok(array),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(value: &str, ascii: bool) -> String {
        sort_form(value, ascii, &mut String::new()).to_owned()
    }

    #[test]
    fn articles_go_only_at_the_start_and_not_alone() {
        assert_eq!(sorted("An \"Apple\" on a Tree", false), "apple on a tree");
        assert_eq!(sorted("The", false), "the");
        assert_eq!(sorted("Theatre", false), "theatre");
        assert_eq!(sorted(" O'Brien –  Mill\u{a0}3. ", false), "obrien mill 3");
    }

    #[test]
    fn letters_stay_in_any_script_except_in_parity_mode() {
        assert_eq!(sorted("大津 Road", false), "大津 road");
        assert_eq!(sorted("e\u{301}tude", false), "e\u{301}tude");
        assert_eq!(sorted("大津", true), UNKNOWN);
    }

    #[test]
    fn a_missing_title_is_unknown() {
        let titles: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("")]));
        let kernel = crate::function::call::tests::bound(&FUNCTION, &[]);
        let sorted = kernel(&[titles]).unwrap();
        assert_eq!(sorted.as_string::<i32>(), &StringArray::from(vec!["b", UNKNOWN, UNKNOWN]));
    }
}
