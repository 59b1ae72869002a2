//! `split(x, delimiter, …)`: several values that a source joined into one.
//!
//! Delimiters and parentheses are found in a single pass. A parenthesis that is never closed protects
//! nothing, else one typo would glue the rest of a value together.

use std::ops::Range;

use memchr::{memchr, memchr2_iter, memchr3_iter};
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

/// How the places to split at are found.
enum Delimiters {
    /// One literal, which is what most mappings say.
    One(String),
    /// Several, or `<br>`: delimiters and parentheses, and delimiters alone.
    Many { tokens: Regex, delimiters: Regex },
}

fn split(call: &Call<'_>) -> Result<Kernel> {
    call.required_text(1)?;
    let texts: Vec<&str> = call.texts(1).filter(|text| !text.is_empty()).collect();
    if texts.is_empty() {
        return Err(call.problem("wants a delimiter that is not empty").into());
    }
    let delimiters = Delimiters::new(&texts).map_err(|error| call.problem(error.to_string()))?;
    kernel(move |arguments| {
        let mut open = Vec::new();
        gather(&arguments[0], |value, out| delimiters.split(value, &mut open, out))
    })
}

impl Delimiters {
    fn new(texts: &[&str]) -> Result<Self, regex::Error> {
        let parentheses = texts.iter().any(|text| text.contains(['(', ')']));
        match texts {
            [one] if !parentheses && !is_break(one) => Ok(Self::One((*one).to_owned())),
            _ => {
                let alternative = |text: &&str| if is_break(text) { r"(?i:<br\s*/?>)".to_owned() } else { regex::escape(text) };
                let delimiters = texts.iter().map(alternative).collect::<Vec<_>>().join("|");
                // Who splits at parentheses does not want them to protect anything.
                let tokens = if parentheses { delimiters.clone() } else { format!("{delimiters}|[()]") };
                Ok(Self::Many { tokens: Regex::new(&tokens)?, delimiters: Regex::new(&delimiters)? })
            }
        }
    }

    /// Pushes the parts of `value`; `open` is room to work in.
    fn split(&self, value: &str, open: &mut Vec<usize>, out: &mut Lists) {
        match self {
            Self::One(delimiter) => {
                let (bytes, needle) = (value.as_bytes(), delimiter.as_bytes());
                if memchr(needle[0], bytes).is_none() {
                    return out.push_new(value.trim());
                }
                let hits = memchr3_iter(needle[0], b'(', b')', bytes);
                let tokens = hits.filter_map(|at| match bytes[at] {
                    b'(' | b')' => Some(at..at + 1),
                    _ => bytes[at..].starts_with(needle).then(|| at..at + needle.len()),
                });
                parts(value, tokens, open, out);
            }
            Self::Many { delimiters, .. } if !delimiters.is_match(value) => out.push_new(value.trim()),
            Self::Many { tokens, .. } => parts(value, tokens.find_iter(value).map(|found| found.range()), open, out),
        }
    }
}

fn is_break(delimiter: &str) -> bool {
    delimiter.eq_ignore_ascii_case("<br>")
}

/// Splits at the tokens that are neither parentheses nor inside them.
fn parts(value: &str, tokens: impl Iterator<Item = Range<usize>>, open: &mut Vec<usize>, out: &mut Lists) {
    unclosed(value, open);
    let (mut part, mut depth) = (0, 0_usize);
    for token in tokens {
        match &value[token.clone()] {
            "(" if open.binary_search(&token.start).is_ok() => {}
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            // `--` in `---` is found once.
            _ if depth == 0 && token.start >= part => {
                out.push_new(value[part..token.start].trim());
                part = token.end;
            }
            _ => {}
        }
    }
    out.push_new(value[part..].trim());
}

/// Where parentheses open that are never closed, in ascending order.
fn unclosed(value: &str, open: &mut Vec<usize>) {
    open.clear();
    for at in memchr2_iter(b'(', b')', value.as_bytes()) {
        match value.as_bytes()[at] {
            b'(' => open.push(at),
            _ => drop(open.pop()),
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

    fn split_at(value: &str, delimiters: &[&str]) -> Vec<String> {
        let kernel = bound(&FUNCTION, delimiters);
        let array: ArrayRef = Arc::new(StringArray::from(vec![value]));
        let lists = kernel(&[array]).unwrap();
        Texts::new(&lists).unwrap().row(0).map(str::to_owned).collect()
    }

    #[test]
    fn parts_are_trimmed_and_blank_ones_dropped() {
        assert_eq!(split_at(";; a ;\u{a0}; b;", &[";"]), ["a", "b"]);
        assert!(split_at(" ; ", &[";"]).is_empty());
        assert!(split_at("", &[";"]).is_empty());
    }

    #[test]
    fn an_unclosed_parenthesis_protects_nothing() {
        assert_eq!(split_at("a (b; c; (d; e)", &[";"]), ["a (b", "c", "(d; e)"]);
        assert_eq!(split_at("a) b; c", &[";"]), ["a) b", "c"]);
        assert_eq!(split_at("x ((a; b); c); d", &[";"]), ["x ((a; b); c)", "d"]);
    }

    #[test]
    fn the_longest_of_several_delimiters_comes_first_when_written_first() {
        assert_eq!(split_at("a--b-c", &["--", "-"]), ["a", "b", "c"]);
        assert_eq!(split_at("x<BR />y<br>z", &["<br>"]), ["x", "y", "z"]);
        assert_eq!(split_at("大津；京都", &["；"]), ["大津", "京都"]);
        assert_eq!(split_at("a---b-c----d", &["--"]), ["a", "-b-c", "d"]);
        // The first byte of one character may be that of another.
        assert_eq!(split_at("é;è ê", &["ê"]), ["é;è"]);
    }

    #[test]
    fn a_delimiter_may_be_a_parenthesis() {
        assert_eq!(split_at("Mill (1871; 1872)", &[" ("]), ["Mill", "1871; 1872)"]);
    }

    #[test]
    fn many_values_in_one_row_are_deduplicated() {
        let value: Vec<String> = (0..5000).map(|n| (n % 1000).to_string()).collect();
        assert_eq!(split_at(&value.join(";"), &[";"]).len(), 1000);
    }
}
