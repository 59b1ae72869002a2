//! Finds the records in a stretch of JSON text, by paths of keys; decoding and inference both go through it.
//!
//! A broken record is left out and said so; the reading goes on behind it wherever its end can be told.

use std::fmt::Write;

use super::reader::{Fault, Quoted, Reader};
use super::stretch::{Stretch, balanced_end};
use crate::error::{Error, Result};
use crate::format::PageTally;
use crate::format::page::PageProblem;

/// Problems of one code that are spelled out for a page; more are counted.
const MOST: usize = 100;
/// Levels of lists and objects above a record.
const DEEPEST: usize = 64;
/// Keys that a message names.
const KEYS: usize = 12;

/// What happens to the records found.
pub(super) trait Visit {
    /// Reads the record at which `reader` stands.
    fn record(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault>;

    /// The record just read is whole.
    fn accept(&mut self, record: &Found<'_>) -> Result<()>;

    /// The record just read broke off after so many bytes.
    fn abandon(&mut self, bytes: usize) -> Result<()>;
}

/// A record, once it has been read.
#[derive(Debug)]
pub(super) struct Found<'b> {
    /// The text of the stretch it stands in.
    pub(super) text: &'b str,
    /// Its own bytes.
    pub(super) raw: &'b [u8],
    /// Where they start in the unpacked page.
    pub(super) start: u64,
    /// Some of them were not UTF-8.
    pub(super) repaired: bool,
}

/// Finds the records of one page and keeps its tally.
pub(super) struct Locator<'v> {
    paths: Vec<&'v [String]>,
    visit: &'v mut dyn Visit,
    tally: PageTally,
    counts: Vec<(&'static str, usize)>,
    /// One stretch is one line of many.
    pub(super) lines: bool,
    matched: bool,
    keys: Vec<String>,
}

/// Why the walk through a stretch ended early.
enum Halt {
    Fault(Fault),
    Error(Error),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The keys that lead to records; one empty path if there are none.
pub(super) fn record_paths<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<Vec<String>> {
    let keys = |path: &str| path.split('/').filter(|key| !key.is_empty() && *key != ".").map(str::to_owned).collect();
    let paths: Vec<Vec<String>> = paths.map(keys).collect();
    if paths.is_empty() { vec![Vec::new()] } else { paths }
}

impl<'v> Locator<'v> {
    /// Looks for records under `paths`.
    pub(super) fn new(paths: &'v [Vec<String>], visit: &'v mut dyn Visit) -> Self {
        let paths = paths.iter().map(Vec::as_slice).collect();
        Self { paths, visit, tally: PageTally::default(), counts: Vec::new(), lines: false, matched: false, keys: Vec::new() }
    }

    /// Notes a problem of the page.
    pub(super) fn problem(&mut self, code: &'static str, message: impl FnOnce() -> String) {
        let index = self.counts.iter().position(|(known, _)| *known == code).unwrap_or_else(|| {
            self.counts.push((code, 0));
            self.counts.len() - 1
        });
        self.counts[index].1 += 1;
        if self.counts[index].1 <= MOST {
            self.tally.problems.push(PageProblem { code, message: message() });
        }
    }

    /// What was seen of the page.
    pub(super) fn finish(mut self) -> PageTally {
        for (code, count) in self.counts {
            if count > MOST {
                let message = format!("{} more problems of this kind on the page", count - MOST);
                self.tally.problems.push(PageProblem { code, message });
            }
        }
        self.tally
    }

    /// Walks through the values of a stretch.
    pub(super) fn stretch(&mut self, stretch: &Stretch<'_>) -> Result<()> {
        // Lent to the walk, which needs the rest of `self`.
        let paths = std::mem::take(&mut self.paths);
        let outcome = self.values(stretch, &paths);
        self.paths = paths;
        outcome
    }

    fn values(&mut self, stretch: &Stretch<'_>, paths: &[&[String]]) -> Result<()> {
        let mut reader = Reader::new(stretch.text);
        while !reader.finished() {
            self.matched = false;
            self.keys.clear();
            match self.value(stretch, &mut reader, paths, 0) {
                Ok(()) => {}
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Fault(fault)) => {
                    self.broken(stretch, fault, false);
                    return Ok(());
                }
            }
            if !self.matched {
                self.nothing(stretch, &reader, paths);
            }
            // Lines of an array whose brackets were cut off.
            reader.pass(b',');
        }
        Ok(())
    }

    fn value(&mut self, stretch: &Stretch<'_>, reader: &mut Reader<'_>, paths: &[&[String]], depth: usize) -> Result<(), Halt> {
        let first = reader.peek()?;
        let here = paths.iter().any(|path| path.is_empty());
        self.matched |= here;
        if depth == DEEPEST {
            return Err(Fault { at: reader.mark().at, what: "records nested deeper than 64 levels" }.into());
        }
        match first {
            b'[' => self.items(stretch, reader, paths, depth),
            _ if here => self.record(stretch, reader, depth > 0),
            b'{' => self.members(stretch, reader, paths, depth),
            _ => Ok(reader.skip()?),
        }
    }

    fn items(&mut self, stretch: &Stretch<'_>, reader: &mut Reader<'_>, paths: &[&[String]], depth: usize) -> Result<(), Halt> {
        let mut first = true;
        reader.open()?;
        while reader.item(&mut first)? {
            self.value(stretch, reader, paths, depth + 1)?;
        }
        Ok(())
    }

    fn members(&mut self, stretch: &Stretch<'_>, reader: &mut Reader<'_>, paths: &[&[String]], depth: usize) -> Result<(), Halt> {
        let mut first = true;
        reader.open()?;
        while reader.member(&mut first)? {
            let key = reader.key()?;
            let key = if let Quoted::Plain(key) = key { key.into() } else { key.meaning().0 };
            let below: Vec<&[String]> =
                paths.iter().filter_map(|path| path.split_first()).filter(|(name, _)| **name == *key).map(|(_, rest)| rest).collect();
            if depth == 0 && self.keys.len() <= KEYS {
                self.keys.push(key.into_owned());
            }
            if below.is_empty() {
                reader.skip()?;
            } else if reader.peek()? == b'n' && below.iter().any(|path| path.is_empty()) {
                // `"docs": null` is a list of none.
                self.matched = true;
                reader.skip()?;
            } else {
                self.value(stretch, reader, &below, depth + 1)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, stretch: &Stretch<'_>, reader: &mut Reader<'_>, nested: bool) -> Result<(), Halt> {
        let mark = reader.mark();
        let Err(fault) = self.visit.record(reader) else {
            let range = mark.at..reader.mark().at;
            let (raw, start) = stretch.raw(range.clone());
            self.tally.records += 1;
            let found = Found { text: stretch.text, raw, start, repaired: stretch.repaired(range) };
            return Ok(self.visit.accept(&found)?);
        };
        self.visit.abandon(fault.at.saturating_sub(mark.at))?;
        let end = balanced_end(stretch.text.as_bytes(), mark.at).filter(|_| nested);
        let Some(end) = end.filter(|end| goes_on(&stretch.text.as_bytes()[*end..])) else { return Err(fault.into()) };
        reader.go(mark, end);
        self.broken(stretch, fault, true);
        Ok(())
    }

    fn broken(&mut self, stretch: &Stretch<'_>, fault: Fault, only_one: bool) {
        let (records, lines) = (self.tally.records, self.lines);
        self.problem("PX102", || {
            let (line, column) = stretch.line_column(fault.at);
            let place = format!("line {line}, column {column}: {}", fault.what);
            if only_one {
                format!("{place}; this record is left out, the others are kept: mend it, or fetch the page again")
            } else if lines {
                format!("{place}; the rest of this line is left out, the other lines are kept: mend it, or fetch the page again")
            } else {
                let kept =
                    if records == 1 { "the 1 record before it is".to_owned() } else { format!("the {records} records before it are") };
                format!("{place}; {kept} kept, the rest of the page is missing: fetch the page again")
            }
        });
    }

    fn nothing(&mut self, stretch: &Stretch<'_>, reader: &Reader<'_>, paths: &[&[String]]) {
        let mut keys = String::new();
        for (number, key) in self.keys.iter().enumerate() {
            let _ = if number == KEYS { write!(keys, ", …") } else { write!(keys, "{}{key}", if number == 0 { "" } else { ", " }) };
        }
        let paths = paths.iter().map(|path| path.join("/")).collect::<Vec<_>>().join(" or ");
        let (line, _) = stretch.line_column(reader.mark().at);
        let place = if self.lines { format!("line {line}: ") } else { String::new() };
        let has = if keys.is_empty() { "no keys".to_owned() } else { format!("the keys {keys}") };
        self.problem("PX113", || {
            format!("{place}nothing stands under {paths}; the document has {has}: set record_path to where the records are")
        });
    }
}

/// Whether a list goes on, or ends, after a record.
fn goes_on(rest: &[u8]) -> bool {
    matches!(rest.trim_ascii_start().first(), Some(b',' | b']' | b'}'))
}
