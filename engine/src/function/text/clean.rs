//! `clean(x)`: tidy white space, composed letters, no control characters.

use unicode_normalization::UnicodeNormalization;

use crate::function::composed::{FIRST_MARK, is_composed};
use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "clean",
    family: Family::Text,
    summary: "Trims, collapses white space (also no-break spaces and line breaks) to one space, composes letters and their accents \
              (NFC), drops control characters.",
    parameters: &[Parameter::required("x", Accepts::Text, "what to tidy")],
    returns: Returns::Same,
    bind: |_| text_kernel(clean),
    examples: &[("clean('  two   words ')", "two words"), ("clean(['a' || chr(160) || ' b', ' '])", "[a b]")],
    see_also: &["strip_html", "strip_punct"],
};

fn clean<'a>(value: &'a str, scratch: &'a mut String) -> &'a str {
    if is_clean(value.as_bytes()) {
        return value;
    }
    if is_composed(value) {
        tidy(value.chars(), scratch);
    } else {
        tidy(value.nfc(), scratch);
    }
    scratch
}

/// Most values are, and in Latin letters, for which this looks. Passes without a branch are faster than one with.
fn is_clean(bytes: &[u8]) -> bool {
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return true };
    let foreign = bytes.iter().fold(false, |foreign, &byte| foreign | (byte < b' ') | (byte == 0x7f) | (byte >= FIRST_MARK));
    let pairs = || bytes.iter().zip(&bytes[1..]);
    let gap = pairs().fold(false, |gap, (left, right)| gap | ((left | right) == b' '));
    // Up to U+00A0, the no-break space, are control characters.
    let control = pairs().fold(false, |control, (&left, &right)| control | ((left == 0xc2) & (right <= 0xa0)));
    !foreign && !gap && !control && *first != b' ' && *last != b' '
}

fn tidy(letters: impl Iterator<Item = char>, out: &mut String) {
    let mut space = false;
    for letter in letters {
        // U+0085, a control character, is white space: it may stand between two words.
        if letter.is_whitespace() {
            space = true;
        } else if !letter.is_control() {
            if space && !out.is_empty() {
                out.push(' ');
            }
            space = false;
            out.push(letter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(value: &str) -> String {
        clean(value, &mut String::new()).to_owned()
    }

    #[test]
    fn white_space_of_any_kind_becomes_one_space() {
        assert_eq!(cleaned("\u{a0} a\u{2003}\r\n\tb\u{85}c \u{3000}"), "a b c");
        assert_eq!(cleaned("a  b"), "a b");
        assert_eq!(cleaned(" \n "), "");
    }

    #[test]
    fn accents_are_composed_and_other_scripts_stay() {
        assert_eq!(cleaned("Cafe\u{301}"), "Café");
        assert_eq!(cleaned("大津 道"), "大津 道");
    }

    #[test]
    fn control_characters_go() {
        assert_eq!(cleaned("a\u{0}b\u{9b}c\u{7f}"), "abc");
    }

    #[test]
    fn a_clean_value_is_returned_as_it_is() {
        for value in ["Mill Valley", "é", "¡Ã\u{ad}ÿ\u{2ff}", ""] {
            assert_eq!(cleaned(value), value);
            assert!(is_clean(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn values_that_look_clean_are_those_that_tidying_leaves_alone() {
        for letter in '\0'..'\u{300}' {
            for value in [format!("a{letter}b"), format!("{letter}a"), format!("a{letter}"), format!("a {letter}")] {
                let mut tidied = String::new();
                tidy(value.chars(), &mut tidied);
                assert_eq!(is_clean(value.as_bytes()), tidied == value, "{value:?}");
            }
        }
    }
}
