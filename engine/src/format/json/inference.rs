//! The shape of `doc`, inferred over all pages of a collection.
//!
//! What is seen only adds up: no record takes away what another has shown. So pages can be learnt from in any order, in
//! several threads, and merged; only the order of members depends on the order of pages, and it is first come, first
//! served.

use std::collections::HashMap;

use schemas::source::{Shape, SourceSchema};

use super::column::{below, is_json};
use super::decode::unpack_paths;
use super::input::{self, Limits};
use super::locate::{Found, Locator, Visit};
use super::number::{Fit, fit};
use super::reader::{Fault, Reader, quote};
use super::record_paths;
use crate::error::Result;
use crate::format::{Page, PageBytes, PageTally};

/// Levels below which values are kept as JSON text.
const DEEPEST: usize = 64;
/// Distinct keys of one object beyond which they are taken for data.
const MOST_MEMBERS: usize = 2_000;

const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
/// A whole number that a float would round.
const WIDE: u8 = 4;
const FLOAT: u8 = 8;
const TEXT: u8 = 16;
/// Too deep to look into.
const DEEP: u8 = 32;

/// What has been seen so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inference {
    record: Node,
}

/// What has been seen at one place.
#[derive(Debug, Clone, Default, PartialEq)]
struct Node {
    /// Kinds of single values.
    kinds: u8,
    /// Items of lists.
    items: Option<Box<Node>>,
    /// Members of objects.
    members: Option<Box<Members>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Members {
    list: Vec<Member>,
    index: HashMap<String, usize>,
    /// The member that should come next.
    next: usize,
    /// Objects so far.
    objects: u64,
    /// The keys are data: all values together.
    entries: Option<Node>,
}

#[derive(Debug, Clone, PartialEq)]
struct Member {
    name: String,
    quoted: String,
    /// The last object that had it.
    seen: u64,
    /// An object had it twice.
    repeated: bool,
    node: Node,
}

/// Learns from one page of a collection. Problems of the page are in the tally; broken records teach nothing.
///
/// # Errors
/// Reading the bytes failed.
pub fn infer(source: &SourceSchema, page: &Page, bytes: PageBytes, shape: &mut Inference) -> Result<PageTally> {
    let paths = record_paths(source)?;
    let unpack = unpack_paths(source);
    let mut learner = Learner { record: &mut shape.record, unpack: unpack.iter().map(Vec::as_slice).collect() };
    let mut locator = Locator::new(&paths, &mut learner);
    input::read(page, bytes, Limits::default(), &mut locator)?;
    Ok(locator.finish())
}

impl Inference {
    /// Adds what was seen of later pages.
    pub fn merge(&mut self, later: Self) {
        self.record.merge(later.record);
    }

    /// The shape of `doc`. A stray record that is no object does not make text of all the others.
    pub fn finish(self) -> Shape {
        match self.record.members {
            Some(members) => members.shape(),
            None if self.record == Node::default() => Shape::Json,
            None => self.record.shape(false),
        }
    }
}

struct Learner<'l> {
    record: &'l mut Node,
    unpack: Vec<&'l [String]>,
}

impl Visit for Learner<'_> {
    fn record(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        reader.peek()?;
        let mark = reader.mark();
        reader.skip()?;
        reader.go(mark, mark.at);
        self.record.learn(reader, &self.unpack, 0)
    }

    fn accept(&mut self, _record: &Found<'_>) -> Result<()> {
        Ok(())
    }

    fn abandon(&mut self, _bytes: usize) -> Result<()> {
        Ok(())
    }
}

impl Node {
    fn learn(&mut self, reader: &mut Reader<'_>, unpack: &[&[String]], depth: usize) -> Result<(), Fault> {
        match reader.peek()? {
            b'{' | b'[' if depth == DEEPEST => {
                self.kinds |= DEEP;
                reader.skip()?;
            }
            b'{' => self.members.get_or_insert_default().learn(reader, unpack, depth)?,
            b'[' => {
                let items = self.items.get_or_insert_default();
                let mut first = true;
                reader.open()?;
                while reader.item(&mut first)? {
                    items.learn(reader, unpack, depth + 1)?;
                }
            }
            b'"' => {
                let text = reader.string()?;
                let packed = unpack.iter().any(|path| path.is_empty());
                if !packed || !self.learn_packed(&text.meaning().0, unpack, depth)? {
                    self.kinds |= TEXT;
                }
            }
            b't' | b'f' => {
                reader.scalar()?;
                self.kinds |= BOOLEAN;
            }
            b'n' => reader.word("null")?,
            _ => {
                self.kinds |= match fit(reader.number()?) {
                    Fit::Integer => INTEGER,
                    Fit::WideInteger => INTEGER | WIDE,
                    Fit::Float => FLOAT,
                    Fit::Text => TEXT,
                }
            }
        }
        Ok(())
    }

    /// A string that should hold JSON; false if it does not. A blank one is no value.
    fn learn_packed(&mut self, text: &str, unpack: &[&[String]], depth: usize) -> Result<bool, Fault> {
        if text.trim().is_empty() {
            return Ok(true);
        }
        if depth == DEEPEST || !is_json(text) {
            return Ok(false);
        }
        // A string inside the string is what it is: otherwise its own quotes would be looked for in turn.
        let mut inside = Reader::new(text);
        if inside.peek()? == b'"' {
            self.kinds |= TEXT;
            return Ok(true);
        }
        self.learn(&mut inside, unpack, depth + 1).map(|()| true)
    }

    fn merge(&mut self, later: Self) {
        self.kinds |= later.kinds;
        match (&mut self.items, later.items) {
            (Some(items), Some(later)) => items.merge(*later),
            (items @ None, later) => *items = later,
            (Some(_), None) => {}
        }
        match (&mut self.members, later.members) {
            (Some(members), Some(later)) => members.merge(*later),
            (members @ None, later) => *members = later,
            (Some(_), None) => {}
        }
    }

    /// The shape; an item of a list that was never seen is text, a member that was never seen is a list of text.
    fn shape(mut self, item: bool) -> Shape {
        if let Some(items) = self.items.take() {
            let mut all = *items;
            all.merge(self);
            return Shape::List(Box::new(all.shape(true)));
        }
        let scalars = self.kinds & !DEEP;
        match self.members {
            _ if self.kinds & DEEP != 0 => Shape::Json,
            Some(_) if scalars != 0 => Shape::Json,
            Some(members) => members.shape(),
            None if scalars == 0 && item => Shape::Text,
            None if scalars == 0 => Shape::List(Box::new(Shape::Text)),
            None => scalar_shape(scalars),
        }
    }
}

fn scalar_shape(kinds: u8) -> Shape {
    match kinds {
        BOOLEAN => Shape::Boolean,
        _ if kinds & (BOOLEAN | TEXT) != 0 => Shape::Text,
        _ if kinds & FLOAT == 0 => Shape::Integer,
        _ if kinds & WIDE != 0 => Shape::Text,
        _ => Shape::Float,
    }
}

impl Members {
    fn learn(&mut self, reader: &mut Reader<'_>, unpack: &[&[String]], depth: usize) -> Result<(), Fault> {
        self.objects += 1;
        let mut first = true;
        reader.open()?;
        while reader.member(&mut first)? {
            if let Some(entries) = &mut self.entries {
                reader.key()?;
                entries.learn(reader, &[], depth + 1)?;
                continue;
            }
            let number = self.find(reader)?;
            self.next = number + 1;
            let member = &mut self.list[number];
            member.repeated |= member.seen == self.objects;
            member.seen = self.objects;
            let unpack = if unpack.is_empty() { Vec::new() } else { below(unpack, &member.name) };
            member.node.learn(reader, &unpack, depth + 1)?;
            self.limit();
        }
        Ok(())
    }

    fn find(&mut self, reader: &mut Reader<'_>) -> Result<usize, Fault> {
        for number in self.next..self.list.len().min(self.next + 4) {
            if reader.take_key(&self.list[number].quoted)? {
                return Ok(number);
            }
        }
        let (key, _) = reader.key()?.meaning();
        Ok(self.number(&key))
    }

    /// The number of the member `name`, which is added if it is new.
    fn number(&mut self, name: &str) -> usize {
        if let Some(&number) = self.index.get(name) {
            return number;
        }
        let name = name.to_owned();
        self.index.insert(name.clone(), self.list.len());
        self.list.push(Member { quoted: quote(&name), name, seen: 0, repeated: false, node: Node::default() });
        self.list.len() - 1
    }

    /// Too many keys are data: from then on all values are one.
    fn limit(&mut self) {
        if self.list.len() > MOST_MEMBERS {
            let mut all = self.entries.take().unwrap_or_default();
            for member in self.list.drain(..) {
                all.merge(member.node);
            }
            self.index.clear();
            self.entries = Some(all);
        }
    }

    fn merge(&mut self, later: Self) {
        for member in later.list {
            if let Some(entries) = &mut self.entries {
                entries.merge(member.node);
                continue;
            }
            let number = self.number(&member.name);
            self.list[number].repeated |= member.repeated;
            self.list[number].node.merge(member.node);
            self.limit();
        }
        if let Some(later) = later.entries {
            let mut all = self.entries.take().unwrap_or_default();
            for member in self.list.drain(..) {
                all.merge(member.node);
            }
            self.index.clear();
            all.merge(later);
            self.entries = Some(all);
        }
        self.objects += later.objects;
        self.list.iter_mut().for_each(|member| member.seen = 0);
    }

    fn shape(self) -> Shape {
        if let Some(entries) = self.entries {
            return Shape::Entries(Box::new(entries.shape(true)));
        }
        if self.list.is_empty() {
            // Neither Parquet nor SQL has a struct without members.
            return Shape::Json;
        }
        Shape::Object(self.list.into_iter().map(|member| (member.name.clone(), member.shape())).collect())
    }
}

impl Member {
    fn shape(self) -> Shape {
        match self.node.shape(self.repeated) {
            list @ Shape::List(_) => list,
            single if self.repeated => Shape::List(Box::new(single)),
            single => single,
        }
    }
}
