//! The attributes of one element, found once and asked for often.

use quick_xml::events::BytesStart;
use schemas::path::Test;

use super::entity::attribute_value;
use super::names::{NONE, Namespaces};
use super::namespace::Bindings;
use super::plan::{AttributeTest, CompiledPredicate};

/// The attributes of an element, borrowed from its tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    /// As written, with references.
    pub(super) raw: &'a str,
}

impl<'a> Attribute<'a> {
    /// The prefix that a namespace declaration declares; empty for the default namespace.
    pub(super) fn declared(&self) -> Option<&'a str> {
        match self.name.strip_prefix("xmlns")? {
            "" => Some(""),
            rest => rest.strip_prefix(':'),
        }
    }

    fn split(&self) -> (&'a str, &'a str) {
        self.name.split_once(':').unwrap_or(("", self.name))
    }
}

/// Places of attributes in a tag; the list is reused from element to element.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    spans: Vec<[usize; 4]>,
    /// Some of them could not be read.
    pub(super) broken: bool,
    /// Some of them declare namespaces.
    pub(super) declares: bool,
}

impl Attributes {
    /// Finds the attributes of a tag.
    #[inline]
    pub(super) fn find(&mut self, tag: &BytesStart<'_>) {
        self.spans.clear();
        (self.broken, self.declares) = (false, false);
        if !tag.attributes_raw().is_empty() {
            self.find_all(tag);
        }
    }

    fn find_all(&mut self, tag: &BytesStart<'_>) {
        let whole: &str = tag;
        let span = |part: &str| {
            let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
            whole.get(start..start.wrapping_add(part.len())).map(|_| (start, start + part.len()))
        };
        for attribute in tag.attributes().with_checks(false) {
            match attribute.as_ref().map(|found| (span(found.key.0), span(&found.value))) {
                Ok((Some(key), Some(value))) => {
                    self.declares |= whole[key.0..key.1].starts_with("xmlns");
                    self.spans.push([key.0, key.1, value.0, value.1]);
                }
                _ => self.broken = true,
            }
        }
    }

    /// All attributes of the tag they were found in.
    pub(super) fn iter<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = Attribute<'a>> {
        self.spans.iter().filter_map(|span| Some(Attribute { name: tag.get(span[0]..span[1])?, raw: tag.get(span[2]..span[3])? }))
    }

    /// The attribute that a path asks for. One without a prefix answers to any.
    pub(super) fn get<'a>(&'a self, tag: &'a str, test: &AttributeTest, bindings: &Bindings, known: &Namespaces) -> Option<Attribute<'a>> {
        self.iter(tag).find(|attribute| {
            let (prefix, local) = attribute.split();
            local == test.local
                && test
                    .ns
                    .is_none_or(|wanted| prefix.is_empty() || matches!(bindings.element(known, prefix), ns if ns == wanted || ns == NONE))
        })
    }

    /// Whether a predicate holds.
    pub(super) fn hold(&self, tag: &str, predicate: &CompiledPredicate, bindings: &Bindings, known: &Namespaces) -> bool {
        let found = self.get(tag, &predicate.attribute, bindings, known);
        match &predicate.test {
            Test::Present => found.is_some(),
            Test::Absent => found.is_none(),
            Test::Equals(value) => found.is_some_and(|attribute| equal(attribute.raw, value)),
            Test::Differs(value) => !found.is_some_and(|attribute| equal(attribute.raw, value)),
        }
    }
}

fn equal(raw: &str, value: &str) -> bool {
    if !raw.contains('&') {
        return raw == value;
    }
    let mut text = String::new();
    attribute_value(raw, &mut text, |_| {});
    text == value
}
