//! `split(x, delimiter, …)`: several values that a source joined into one.
//!
//! One regular expression finds delimiters and parentheses in a single pass. A parenthesis that is never closed protects
//! nothing, else one typo would glue the rest of a value together.

use regex::Regex;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel};
use crate::function::polymorphic::{Lists, gather};

pub(crate) static FUNCTION: Function = Function {
    name: "split",
    family: Family::Lists,
    summary: "Splits each value at the delimiters, but never inside parentheses; trims the parts, drops blank ones and repetitions. \
              Gives a list, also for text.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "what to split"),
        Parameter::repeated("delimiter", Accepts::ConstantText, "such as `;` or `--`, taken literally; `<br>` also finds `<BR/>`"),
    ],
    returns: Returns::List,
    bind: split,
    examples: &[
        ("split('Maps; Atlases (road; rail); Maps', ';')", "[Maps, Atlases (road; rail)]"),
        ("split(['Mills--California', 'Bridges'], '--')", "[Mills, California, Bridges]"),
        ("split('first<br/>second | third', '<br>', '|')", "[first, second, third]"),
    ],
    see_also: &["collate", "dedupe", "rewrite"],
};

fn split(call: &Call<'_>) -> Result<Kernel> {
    call.required_text(1)?;
    let delimiters: Vec<&str> = call.texts(1).filter(|text| !text.is_empty()).collect();
    if delimiters.is_empty() {
        return Err(call.problem("wants a delimiter that is not empty").into());
    }
    let alternatives: Vec<String> = delimiters.iter().map(|text| alternative(text)).collect();
    let at = alternatives.join("|");
    let parentheses = if delimiters.iter().any(|text| text.contains(['(', ')'])) { "" } else { "|[()]" };
    let delimiter = Regex::new(&at).map_err(|error| call.problem(error.to_string()))?;
    let token = Regex::new(&format!("{at}{parentheses}")).map_err(|error| call.problem(error.to_string()))?;
    kernel(move |arguments| {
        let mut open = Vec::new();
        gather(&arguments[0], |value, out| {
            if delimiter.is_match(value) {
                unclosed(value, &mut open);
                split_value(value, &token, &open, out);
            } else {
                out.push_new(value.trim());
            }
        })
    })
}

fn alternative(delimiter: &str) -> String {
    if delimiter.eq_ignore_ascii_case("<br>") { r"(?i:<br\s*/?>)".to_owned() } else { regex::escape(delimiter) }
}

/// Splits at the tokens that are neither parentheses nor inside them; `open` are parentheses that do not count.
fn split_value(value: &str, token: &Regex, open: &[usize], out: &mut Lists) {
    let (mut part, mut depth) = (0, 0_usize);
    for found in token.find_iter(value) {
        match found.as_str() {
            "(" if open.binary_search(&found.start()).is_ok() => {}
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth == 0 => {
                out.push_new(value[part..found.start()].trim());
                part = found.end();
            }
            _ => {}
        }
    }
    out.push_new(value[part..].trim());
}

/// Where parentheses open that are never closed, in ascending order.
fn unclosed(value: &str, open: &mut Vec<usize>) {
    open.clear();
    for (index, byte) in value.bytes().enumerate() {
        match byte {
            b'(' => open.push(index),
            b')' => drop(open.pop()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};

    use super::*;
    use crate::function::call::tests::bound;
    use crate::function::polymorphic::Texts;

    fn parts(value: &str, delimiters: &[&str]) -> Vec<String> {
        let kernel = bound(&FUNCTION, delimiters);
        let array: ArrayRef = Arc::new(StringArray::from(vec![value]));
        let lists = kernel(&[array]).unwrap();
        Texts::new(&lists).unwrap().row(0).map(str::to_owned).collect()
    }

    #[test]
    fn parts_are_trimmed_and_blank_ones_dropped() {
        assert_eq!(parts(";; a ;\u{a0}; b;", &[";"]), ["a", "b"]);
        assert!(parts(" ; ", &[";"]).is_empty());
        assert!(parts("", &[";"]).is_empty());
    }

    #[test]
    fn an_unclosed_parenthesis_protects_nothing() {
        assert_eq!(parts("a (b; c; (d; e)", &[";"]), ["a (b", "c", "(d; e)"]);
        assert_eq!(parts("a) b; c", &[";"]), ["a) b", "c"]);
        assert_eq!(parts("x ((a; b); c); d", &[";"]), ["x ((a; b); c)", "d"]);
    }

    #[test]
    fn the_longest_of_several_delimiters_comes_first_when_written_first() {
        assert_eq!(parts("a--b-c", &["--", "-"]), ["a", "b", "c"]);
        assert_eq!(parts("x<BR />y<br>z", &["<br>"]), ["x", "y", "z"]);
        assert_eq!(parts("大津；京都", &["；"]), ["大津", "京都"]);
    }

    #[test]
    fn a_delimiter_may_be_a_parenthesis() {
        assert_eq!(parts("Mill (1871; 1872)", &[" ("]), ["Mill", "1871; 1872)"]);
    }

    #[test]
    fn many_values_in_one_row_are_deduplicated() {
        let value: Vec<String> = (0..5000).map(|n| (n % 1000).to_string()).collect();
        assert_eq!(parts(&value.join(";"), &[";"]).len(), 1000);
    }
}
