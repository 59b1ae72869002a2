//! Whether text is in Unicode form C, where a letter and its accent are one character.
//!
//! Nearly all of it is, but to ask the tables about every letter takes longer than everything else that is done to a
//! value. Characters before the first combining mark are in form C whatever stands beside them, and among them is all of
//! Latin as Western Europe writes it; they are told by their bytes, many at a time.

use unicode_normalization::{IsNormalized, is_nfc_quick};

/// UTF-8 of U+0300, the first combining mark, begins with this byte; no character before it has one as large.
pub const FIRST_MARK: u8 = 0xcc;

/// Whether text is in form C for sure; if not, only composing it would tell.
pub fn is_composed(text: &str) -> bool {
    text.bytes().fold(true, |latin, byte| latin & (byte < FIRST_MARK)) || is_nfc_quick(text.chars()) == IsNormalized::Yes
}

#[cfg(test)]
mod tests {
    use unicode_normalization::char::canonical_combining_class;

    use super::*;

    #[test]
    fn characters_before_the_first_mark_are_composed_whatever_stands_beside_them() {
        for letter in ('\0'..'\u{300}').map(String::from) {
            assert!(letter.bytes().all(|byte| byte < FIRST_MARK), "{letter:?}");
            assert_eq!(is_nfc_quick(letter.chars()), IsNormalized::Yes, "{letter:?}");
            assert!(letter.chars().all(|letter| canonical_combining_class(letter) == 0), "{letter:?}");
        }
        assert_eq!("\u{300}".as_bytes()[0], FIRST_MARK);
    }

    #[test]
    fn other_scripts_are_looked_up() {
        assert!(is_composed("大津 道"));
        assert!(is_composed("Rīga — Ōtsu"));
        assert!(!is_composed("Cafe\u{301}"));
        assert!(!is_composed("\u{212b}"));
    }
}
