//! A stretch of a page as text: one line, or a whole document; and the way back to the bytes as they were.

use std::ops::Range;

/// Text, and the bytes it came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'b> {
    /// UTF-8.
    pub(super) text: &'b str,
    /// The bytes of the unpacked page.
    pub(super) bytes: &'b [u8],
    /// Where the bytes start in the unpacked page.
    pub(super) start: u64,
    /// Its first line, counted from 1.
    pub(super) line: u64,
    /// Where text and bytes differ.
    pub(super) repairs: &'b [Repair],
}

/// A place where bytes that are not UTF-8 were replaced by U+FFFD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repair {
    /// The end of the replacement in the text.
    text_end: usize,
    /// The end of the bytes it stands for.
    bytes_end: usize,
}

/// The text of bytes that are not all UTF-8, and where it differs.
pub(super) fn repair(bytes: &[u8]) -> (String, Vec<Repair>) {
    let mut text = String::with_capacity(bytes.len() + 16);
    let mut repairs = Vec::new();
    let mut bytes_end = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        bytes_end += chunk.valid().len() + chunk.invalid().len();
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            repairs.push(Repair { text_end: text.len(), bytes_end });
        }
    }
    (text, repairs)
}

impl<'b> Stretch<'b> {
    /// The bytes of a range of the text, and where they start in the page.
    pub(super) fn raw(&self, range: Range<usize>) -> (&'b [u8], u64) {
        let start = self.byte(range.start);
        (&self.bytes[start..self.byte(range.end)], self.start + start as u64)
    }

    /// Whether bytes inside the range were replaced.
    pub(super) fn repaired(&self, range: Range<usize>) -> bool {
        self.repairs.iter().any(|repair| repair.text_end > range.start && repair.text_end <= range.end)
    }

    fn byte(&self, at: usize) -> usize {
        let before = self.repairs.partition_point(|repair| repair.text_end <= at);
        match before.checked_sub(1).and_then(|last| self.repairs.get(last)) {
            Some(repair) => repair.bytes_end + (at - repair.text_end),
            None => at,
        }
    }

    /// Line and column, both from 1, of a place in the text.
    pub(super) fn line_column(&self, at: usize) -> (u64, usize) {
        let before = &self.text[..self.text.floor_char_boundary(at)];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let lines = memchr::memchr_iter(b'\n', before.as_bytes()).count() as u64;
        (self.line + lines, before[start..].chars().count() + 1)
    }
}

/// The end of the object or list that starts at `start`, going by brackets and quotes alone.
pub(super) fn balanced_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            b'"' => loop {
                at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)? + 1;
                if bytes[at - 1] == b'"' {
                    break;
                }
                at += 1;
            },
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_repaired_text_leads_back_to_the_bytes() {
        let bytes = b"ab\xffcd\xe9\xe9ef";
        let (text, repairs) = repair(bytes);
        assert_eq!(text, "ab\u{FFFD}cd\u{FFFD}\u{FFFD}ef");
        let stretch = Stretch { text: &text, bytes, start: 100, line: 1, repairs: &repairs };
        let place = text.find("cd").unwrap();
        assert_eq!(stretch.raw(place..place + 2), (&b"cd"[..], 103));
        assert_eq!(stretch.raw(0..text.len()), (&bytes[..], 100));
        assert!(stretch.repaired(0..place) && !stretch.repaired(place..place + 2));
    }

    #[test]
    fn brackets_inside_strings_do_not_count() {
        assert_eq!(balanced_end(br#"x{"a}\"]":[1,{}]} y"#, 1), Some(17));
        assert_eq!(balanced_end(br#"{"a": [1, 2"#, 0), None);
        assert_eq!(balanced_end(br#"{"a": "b\"#, 0), None);
    }
}
