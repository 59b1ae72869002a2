//! What was noticed while a record was read: drift from the lock, and where the envelope's values stand.
//!
//! A note is written where the value is, without its path; each object on the way out puts its key in front. So a record
//! in which nothing is wrong pays nothing for paths.

use super::column::mismatch;
use crate::format::envelope::RecordProblem;

/// Notes of one record that are spelled out; more are counted.
const MOST: usize = 50;
/// Bytes of a value that a note quotes.
const LONGEST: usize = 500;

/// A member of the record that an envelope path starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Which member, as numbered by the envelope paths.
    pub(super) capture: usize,
    /// First byte of its value.
    pub(super) start: usize,
    /// Byte after its value.
    pub(super) end: usize,
}

/// What was noticed in one record; kept from record to record for its memory.
#[derive(Debug, Default)]
pub(super) struct Notes {
    list: Vec<Note>,
    more: usize,
    /// Members that envelope paths start with, in the order of the text.
    pub(super) spans: Vec<Span>,
}

#[derive(Debug)]
struct Note {
    code: &'static str,
    path: String,
    message: String,
}

impl Notes {
    /// Forgets the record.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.spans.clear();
        self.more = 0;
    }

    /// How many there are so far.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// Puts `key` in front of the paths of all notes from `from` on.
    pub(super) fn prefix(&mut self, from: usize, key: &str) {
        for note in self.list.iter_mut().skip(from) {
            note.path = if note.path.is_empty() { key.to_owned() } else { format!("{key}/{}", note.path) };
        }
    }

    /// A value that is not of the locked shape.
    pub(super) fn drift(&mut self, expected: &str, first: u8, value: &str, outcome: &str) {
        self.add("PX130", || format!("{}: {}; {outcome}", mismatch(expected, first), excerpt(value)));
    }

    /// A member that the lock does not know.
    pub(super) fn unknown(&mut self, key: &str, first: u8, value: &str) {
        let from = self.count();
        self.add("PX130", || format!("{}: {}; left out", mismatch("no such member", first), excerpt(value)));
        self.prefix(from, key);
    }

    /// A further value of a repeated key that has no room.
    pub(super) fn repeated(&mut self, expected: &str, value: &str) {
        self.add("PX131", || format!("the key is repeated, but {expected} is locked, not a list: {}; left out", excerpt(value)));
    }

    /// Text that had to be changed to be text at all.
    pub(super) fn replaced(&mut self, what: &str) {
        self.add("PX132", || what.to_owned());
    }

    /// A string that was said to hold JSON.
    pub(super) fn not_packed(&mut self, expected: &str, value: &str) {
        self.add("PX133", || format!("the text holds no JSON, from which {expected} was to be unpacked: {}; left out", excerpt(value)));
    }

    fn add(&mut self, code: &'static str, message: impl FnOnce() -> String) {
        if self.list.len() < MOST {
            self.list.push(Note { code, path: String::new(), message: message() });
        } else {
            self.more += 1;
        }
    }

    /// The notes as problems of the record.
    pub(super) fn problems(&mut self) -> Vec<RecordProblem> {
        let mut problems: Vec<RecordProblem> = Vec::with_capacity(self.list.len());
        for Note { code, path, message } in self.list.drain(..) {
            let path = (!path.is_empty()).then_some(path);
            let message = path.as_ref().map_or_else(|| message.clone(), |path| format!("{path}: {message}"));
            problems.push(RecordProblem { code, message, path });
        }
        if self.more > 0 {
            let message = format!("{} more values differ from the locked shape; infer it again", self.more);
            problems.push(RecordProblem { code: "PX130", message, path: None });
        }
        problems
    }
}

/// The value, or its beginning and its size.
fn excerpt(value: &str) -> String {
    if value.len() <= LONGEST {
        return value.to_owned();
    }
    let start = &value[..value.floor_char_boundary(LONGEST)];
    format!("{start}… ({} bytes)", value.len())
}
