//! Reads a JSON text token by token, at the caller's pace, without a copy.
//!
//! Our own, because no pull parser at hand lets the decoder compare the text with the key it expects next before
//! scanning it, go back to a place, and take what harvested JSON has: raw control characters inside strings, halves of
//! surrogate pairs, `NaN`. Every value is checked to the same grammar whether it is read or passed over, so that what
//! counts as a record does not depend on the columns a query asks for.

use std::borrow::Cow;
use std::fmt::Write;

use memchr::memchr2;

/// Levels of nesting beyond which a text is not read further.
const DEEPEST: usize = 512;

/// The text is not JSON at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Byte of the text.
    pub(super) at: usize,
    /// What is wrong.
    pub(super) what: &'static str,
}

/// A place to go back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// Byte of the text.
    pub(super) at: usize,
    depth: usize,
}

/// A string as it stands between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoted<'t> {
    /// It says what it means.
    Plain(&'t str),
    /// It holds escapes, all of them well-formed.
    Escaped(&'t str),
}

/// A cursor over one text.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    /// Starts at the beginning of `text`.
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Where it stands.
    pub(super) fn mark(&self) -> Mark {
        Mark { at: self.at, depth: self.depth }
    }

    /// Goes back, or ahead, to `at` on the level of `mark`.
    pub(super) fn go(&mut self, mark: Mark, at: usize) {
        self.at = at;
        self.depth = mark.depth;
    }

    /// Whether only white space is left.
    pub(super) fn finished(&mut self) -> bool {
        self.peek().is_err()
    }

    /// The first byte of what comes next, which stays unread.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, Fault> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(self.fault("the text ends inside a value"))
    }

    /// Passes over `byte`, if it is next.
    pub(super) fn pass(&mut self, byte: u8) -> bool {
        let found = self.peek() == Ok(byte);
        self.at += usize::from(found);
        found
    }

    /// Enters the list or object whose bracket is next.
    #[inline]
    pub(super) fn open(&mut self) -> Result<(), Fault> {
        if self.depth == DEEPEST {
            return Err(self.fault("nested deeper than 512 levels"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Steps to the next item of the open list; false at its end, which is read. `first` starts true.
    #[inline]
    pub(super) fn item(&mut self, first: &mut bool) -> Result<bool, Fault> {
        self.step(first, b']', "expected `,` or `]` after an item")
    }

    /// Steps to the next key of the open object; false at its end, which is read. `first` starts true.
    #[inline]
    pub(super) fn member(&mut self, first: &mut bool) -> Result<bool, Fault> {
        if !self.step(first, b'}', "expected `,` or `}` after a member")? {
            return Ok(false);
        }
        if self.peek()? == b'"' { Ok(true) } else { Err(self.fault("expected a key in double quotes")) }
    }

    #[inline]
    fn step(&mut self, first: &mut bool, close: u8, wanted: &'static str) -> Result<bool, Fault> {
        let next = self.peek()?;
        if next == close {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if std::mem::take(first) {
            return Ok(true);
        }
        if next != b',' {
            return Err(self.fault(wanted));
        }
        self.at += 1;
        if self.peek()? == close { Err(self.fault("a comma stands before the end")) } else { Ok(true) }
    }

    /// Passes over the key that is next and its colon, if the text has it exactly as in `quoted`.
    #[inline]
    pub(super) fn take_key(&mut self, quoted: &str) -> Result<bool, Fault> {
        let found = self.text.as_bytes().get(self.at..self.at + quoted.len()) == Some(quoted.as_bytes());
        if found {
            self.at += quoted.len();
            self.colon()?;
        }
        Ok(found)
    }

    /// Reads the key that is next and its colon.
    pub(super) fn key(&mut self) -> Result<Quoted<'t>, Fault> {
        let key = self.string()?;
        self.colon()?;
        Ok(key)
    }

    #[inline]
    fn colon(&mut self) -> Result<(), Fault> {
        if self.peek()? != b':' {
            return Err(self.fault("expected `:` after a key"));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads the string whose quote is next.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Quoted<'t>, Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut escaped = false;
        let mut at = start;
        loop {
            at = quote_or_backslash(bytes, at);
            match bytes.get(at) {
                Some(b'"') => break,
                Some(_) => at = escape_end(bytes, at)?,
                None => return Err(Fault { at: bytes.len(), what: "the text ends inside a string" }),
            }
            escaped = true;
        }
        self.at = at + 1;
        let inside = &self.text[start..at];
        Ok(if escaped { Quoted::Escaped(inside) } else { Quoted::Plain(inside) })
    }

    /// Reads the number that is next, as spelled. `NaN` and `Infinity`, which some programs write, are numbers here.
    pub(super) fn number(&mut self) -> Result<&'t str, Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = number_length(rest).ok_or_else(|| self.fault("expected a value"))?;
        let start = self.at;
        self.at += length;
        Ok(&self.text[start..self.at])
    }

    /// Reads `true`, `false` or `null`.
    pub(super) fn word(&mut self, word: &'static str) -> Result<(), Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads whatever comes next and returns it as spelled.
    pub(super) fn raw(&mut self) -> Result<&'t str, Fault> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Passes over whatever comes next. Does not recurse.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        let ground = self.depth;
        let mut objects = [0_u64; DEEPEST / 64];
        loop {
            let opened = match self.peek()? {
                b'{' => Some((true, b'}')),
                b'[' => Some((false, b']')),
                _ => None,
            };
            if let Some((object, close)) = opened {
                self.open()?;
                let (cell, bit) = ((self.depth - 1) / 64, (self.depth - 1) % 64);
                objects[cell] = objects[cell] & !(1 << bit) | u64::from(object) << bit;
                if self.peek()? != close {
                    if object {
                        self.key_or_fault()?;
                    }
                    continue;
                }
                self.at += 1;
                self.depth -= 1;
            } else {
                self.scalar()?;
            }
            loop {
                if self.depth == ground {
                    return Ok(());
                }
                let object = objects[(self.depth - 1) / 64] >> ((self.depth - 1) % 64) & 1 == 1;
                let mut first = false;
                let more = if object { self.member(&mut first)? } else { self.item(&mut first)? };
                if more {
                    if object {
                        self.key()?;
                    }
                    break;
                }
            }
        }
    }

    fn key_or_fault(&mut self) -> Result<(), Fault> {
        if self.peek()? == b'"' { self.key().map(|_| ()) } else { Err(self.fault("expected a key in double quotes")) }
    }

    /// Reads the scalar that is next and returns it as spelled.
    pub(super) fn scalar(&mut self) -> Result<&'t str, Fault> {
        let next = self.peek()?;
        let start = self.at;
        match next {
            b'"' => self.string().map(|_| ())?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => self.number().map(|_| ())?,
        }
        Ok(&self.text[start..self.at])
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }
}

impl<'t> Quoted<'t> {
    /// What the string means; the second is false if half a surrogate pair had to be replaced.
    pub(super) fn meaning(self) -> (Cow<'t, str>, bool) {
        match self {
            Self::Plain(text) => (Cow::Borrowed(text), true),
            Self::Escaped(text) => {
                let mut meaning = String::with_capacity(text.len());
                let exact = unescape(text, &mut meaning);
                (Cow::Owned(meaning), exact)
            }
        }
    }
}

/// Whether the value that starts with `first` is a number, or none at all.
pub(super) fn starts_number(first: u8) -> bool {
    !matches!(first, b'"' | b'{' | b'[' | b't' | b'f' | b'n')
}

/// What the value that starts with `first` is called in messages.
pub(super) fn found_words(first: u8) -> &'static str {
    match first {
        b'"' => "text",
        b'{' => "an object",
        b'[' => "a list",
        b't' | b'f' => "true or false",
        b'n' => "null",
        _ => "a number",
    }
}

/// A key as a text would most likely spell it, quotes included.
pub(super) fn quote(key: &str) -> String {
    let mut quoted = String::with_capacity(key.len() + 2);
    quoted.push('"');
    for letter in key.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Writes what the well-formed `escaped` means; false if half a surrogate pair had to be replaced by U+FFFD.
pub(super) fn unescape(escaped: &str, out: &mut impl Write) -> bool {
    let mut exact = true;
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('\\') {
        let (letter, length) = match after.as_bytes().first() {
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'u') => {
                let (letter, length) = code_point(after);
                exact &= letter.is_some();
                (letter.unwrap_or(char::REPLACEMENT_CHARACTER), length)
            }
            Some(&other) => (char::from(other), 1),
            None => break,
        };
        // Writing to a string or a string builder cannot fail.
        let _ = out.write_str(before).and_then(|()| out.write_char(letter));
        rest = &after[length..];
    }
    let _ = out.write_str(rest);
    exact
}

/// The character of `u1234…` or `ud83d\ude00…`, and how many bytes it takes; none for half a pair.
fn code_point(text: &str) -> (Option<char>, usize) {
    let unit = |text: Option<&str>| text.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(high) = unit(text.get(1..5)) else { return (None, 1) };
    if !(0xD800..0xDC00).contains(&high) {
        return (char::from_u32(high), 5);
    }
    let low = text[5..].strip_prefix("\\u").and_then(|low| unit(low.get(..4))).filter(|low| (0xDC00..0xE000).contains(low));
    match low {
        Some(low) => (char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 11),
        None => (None, 5),
    }
}

/// The end of the escape at `at`.
fn escape_end(bytes: &[u8], at: usize) -> Result<usize, Fault> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') if bytes.get(at + 2..at + 6).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) => Ok(at + 6),
        Some(_) => Err(Fault { at, what: "no such escape in JSON" }),
        None => Err(Fault { at: bytes.len(), what: "the text ends inside a string" }),
    }
}

/// The place of the next `"` or `\` from `at` on; the end if there is none. Eight bytes at a time first: most strings
/// are too short for a vector search to pay.
#[inline]
fn quote_or_backslash(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    for _ in 0..6 {
        let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) else { break };
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        let found = ((quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)).map_or(bytes.len(), |found| at + found)
}

/// How many bytes the number at the start of `bytes` takes.
fn number_length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let mut at = match bytes.get(sign)? {
        b'0' => sign + 1,
        b'1'..=b'9' => sign + digits(sign),
        b'N' if sign == 0 && bytes.starts_with(b"NaN") => return Some(3),
        b'I' if bytes[sign..].starts_with(b"Infinity") => return Some(sign + 8),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        at += 1 + fraction;
        (fraction > 0).then_some(())?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        at += exponent;
        (exponent > 0).then_some(())?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(text: &str) -> Result<usize, Fault> {
        let mut reader = Reader::new(text);
        reader.skip().map(|()| reader.mark().at)
    }

    fn meaning(text: &str) -> (String, bool) {
        let (meaning, exact) = Reader::new(text).string().unwrap().meaning();
        (meaning.into_owned(), exact)
    }

    #[test]
    fn a_value_is_passed_over_to_its_end() {
        for text in [r#"{"a": [1, {"b": []}, "]}"], "c": {}}"#, "[]", "{}", "-0.5e+10", "NaN", "null", r#""a\"b\\""#, "[[[1],2],{\"a\":3}]"]
        {
            assert_eq!(skipped(&format!(" {text} x")), Ok(text.len() + 1), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_a_fault_at_its_place() {
        for (text, at) in [
            ("", 0),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("{\"a\" 1}", 5),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("{\"a\":tru}", 5),
            ("\"\\x\"", 1),
            ("\"\\u12g4\"", 1),
            ("\"abc", 4),
            ("[", 1),
            ("1.e5", 0),
            ("[}", 1),
            ("{]", 1),
            ("[1}", 2),
        ] {
            assert_eq!(skipped(text).map_err(|fault| fault.at), Err(at), "{text}");
        }
        assert_eq!(skipped(&"[".repeat(100_000)).map_err(|fault| fault.what), Err("nested deeper than 512 levels"));
    }

    #[test]
    fn escapes_mean_what_json_says_and_half_a_pair_is_replaced() {
        assert_eq!(meaning(r#""a\tb\n\"\\\/\u00e9\ud83d\ude00""#), ("a\tb\n\"\\/é😀".to_owned(), true));
        assert_eq!(meaning(r#""x\ud83dy\ude00z\ud83d""#), ("x\u{FFFD}y\u{FFFD}z\u{FFFD}".to_owned(), false));
        assert_eq!(meaning("\"raw\ttab and \u{85}\""), ("raw\ttab and \u{85}".to_owned(), true));
    }

    #[test]
    fn quotes_and_backslashes_are_found_at_every_distance() {
        for distance in 0..100 {
            for mark in [b'"', b'\\'] {
                let mut bytes = vec![b'#'; distance];
                bytes.push(mark);
                bytes.extend(*b"\"\\");
                assert_eq!(quote_or_backslash(&bytes, 0), distance);
            }
            assert_eq!(quote_or_backslash(&vec![b'!'; distance], 0), distance);
        }
    }
}
