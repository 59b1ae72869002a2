//! One record's XML as a tree in three vectors, which are used again for the next record.
//!
//! Nodes stand in document order, so the descendants of a node are the nodes up to its `end`. Reading is lenient: a text
//! that is broken gives the tree up to where it breaks, because the page it came from has been reported already.

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// A tree; empty until the first [`Tree::read`].
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    attributes: Vec<Attribute>,
    /// Names and texts.
    letters: String,
    /// Prefixes of elements and attributes, each once.
    prefixes: Vec<Range<usize>>,
    open: Vec<usize>,
}

#[derive(Debug)]
struct Node {
    /// Name of an element; none for a text and for the document, which is node 0.
    name: Option<Range<usize>>,
    /// Of a text.
    text: Range<usize>,
    parent: usize,
    /// The first node that is no descendant.
    end: usize,
    attributes: Range<usize>,
}

#[derive(Debug)]
struct Attribute {
    name: Range<usize>,
    value: Range<usize>,
}

/// The document, above the root element.
pub(super) const DOCUMENT: usize = 0;

impl Tree {
    /// Reads a record in place of the one before.
    pub(super) fn read(&mut self, xml: &str) {
        self.nodes.clear();
        self.attributes.clear();
        self.letters.clear();
        self.prefixes.clear();
        self.open.clear();
        self.nodes.push(Node { name: None, text: 0..0, parent: DOCUMENT, end: 0, attributes: 0..0 });
        self.open.push(DOCUMENT);
        let mut reader = Reader::from_str(xml);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        loop {
            match reader.read_event() {
                Ok(Event::Start(start)) => self.element(&start),
                Ok(Event::Empty(start)) => {
                    self.element(&start);
                    self.close();
                }
                Ok(Event::End(_)) => self.close(),
                Ok(Event::Text(text)) => self.text(&text.xml10_content()),
                Ok(Event::CData(text)) => self.text(&text.xml10_content()),
                Ok(Event::GeneralRef(reference)) => match quick_xml::escape::resolve_xml_entity(&reference) {
                    Some(text) => self.text(text),
                    None => self.text(&html_escape::decode_html_entities(&format!("&{};", &*reference))),
                },
                Ok(Event::Eof) | Err(_) => break,
                Ok(_) => {}
            }
        }
        while !self.open.is_empty() {
            self.end_node();
        }
    }

    fn element(&mut self, start: &BytesStart<'_>) {
        let index = self.nodes.len();
        let first = self.attributes.len();
        let name = self.name(start.name().0);
        for attribute in start.html_attributes().with_checks(false).flatten() {
            let key = attribute.key.0;
            if key == "xmlns" || key.starts_with("xmlns:") {
                continue;
            }
            let name = self.name(key);
            let value = self.push(&decoded(&attribute.value));
            self.attributes.push(Attribute { name, value });
        }
        let attributes = first..self.attributes.len();
        let parent = self.open.last().copied().unwrap_or(DOCUMENT);
        self.nodes.push(Node { name: Some(name), text: 0..0, parent, end: 0, attributes });
        self.open.push(index);
    }

    fn text(&mut self, text: &str) {
        let range = self.push(text);
        let last = self.nodes.len() - 1;
        if self.is_text(last) && self.open.last() == Some(&self.nodes[last].parent) {
            // A text that an entity cut in pieces is one.
            self.nodes[last].text.end = range.end;
            return;
        }
        let parent = self.open.last().copied().unwrap_or(DOCUMENT);
        self.nodes.push(Node { name: None, text: range, parent, end: last + 2, attributes: 0..0 });
    }

    fn close(&mut self) {
        if self.open.len() > 1 {
            self.end_node();
        }
    }

    fn end_node(&mut self) {
        if let Some(index) = self.open.pop() {
            self.nodes[index].end = self.nodes.len();
        }
    }

    fn push(&mut self, text: &str) -> Range<usize> {
        let start = self.letters.len();
        self.letters.push_str(text);
        start..self.letters.len()
    }

    fn name(&mut self, name: &str) -> Range<usize> {
        let range = self.push(name);
        if let Some((prefix, _)) = name.split_once(':')
            && !self.has_prefix(prefix)
        {
            self.prefixes.push(range.start..range.start + prefix.len());
        }
        range
    }

    /// Whether a name of this record is written with `prefix`.
    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.prefixes.iter().any(|known| &self.letters[known.clone()] == prefix)
    }

    /// The root element; the document where there is none.
    pub(super) fn root(&self) -> usize {
        self.children(DOCUMENT).find(|node| self.element_name(*node).is_some()).unwrap_or(DOCUMENT)
    }

    pub(super) fn children(&self, node: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes[node].end;
        let first = Some(node + 1).filter(|child| *child < end);
        std::iter::successors(first, move |child| Some(self.nodes[*child].end).filter(|next| *next < end))
    }

    /// A node and all below it.
    pub(super) fn descendants_and_self(&self, node: usize) -> Range<usize> {
        node..self.nodes[node].end.max(node + 1)
    }

    pub(super) fn parent(&self, node: usize) -> usize {
        self.nodes[node].parent
    }

    pub(super) fn element_name(&self, node: usize) -> Option<&str> {
        self.nodes[node].name.clone().map(|name| &self.letters[name])
    }

    pub(super) fn is_text(&self, node: usize) -> bool {
        node != DOCUMENT && self.nodes[node].name.is_none()
    }

    pub(super) fn attributes(&self, node: usize) -> Range<usize> {
        self.nodes[node].attributes.clone()
    }

    pub(super) fn attribute_name(&self, attribute: usize) -> &str {
        &self.letters[self.attributes[attribute].name.clone()]
    }

    pub(super) fn attribute_value(&self, attribute: usize) -> &str {
        &self.letters[self.attributes[attribute].value.clone()]
    }

    /// All text in a node, joined.
    pub(super) fn string_value(&self, node: usize) -> Cow<'_, str> {
        let mut texts =
            self.descendants_and_self(node).filter(|inner| self.is_text(*inner)).map(|text| &self.letters[self.nodes[text].text.clone()]);
        let Some(first) = texts.next() else { return Cow::Borrowed("") };
        match texts.next() {
            None => Cow::Borrowed(first),
            Some(second) => Cow::Owned([first, second].into_iter().chain(texts).collect()),
        }
    }
}

fn decoded(value: &str) -> Cow<'_, str> {
    if value.contains('&') { html_escape::decode_html_entities(value) } else { Cow::Borrowed(value) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DOCUMENT, Tree};

    const PIECES: &[&str] =
        &["<a>", "</a>", "<b x='1'>", "</b>", "<c/>", "t", "&amp;", "&", "<![CDATA[", "]]>", "<!--", "-->", "<", ">", "é", "<?p?>"];

    fn tree(xml: &str) -> Tree {
        let mut tree = Tree::default();
        tree.read(xml);
        tree
    }

    #[test]
    fn text_is_decoded_and_joined() {
        let tree = tree("<a>Mills &amp; <b>br&#105;dges</b><![CDATA[ <&> ]]>&nbsp;&unknown;</a>");
        assert_eq!(tree.string_value(tree.root()), "Mills & bridges <&> \u{a0}&unknown;");
        assert_eq!(tree.children(tree.root()).count(), 3);
    }

    #[test]
    fn children_and_descendants_follow_the_document() {
        let tree = tree("<?xml version='1.0'?><a x='1'><b><c/></b>t<d/></a>");
        let names: Vec<_> = tree.descendants_and_self(DOCUMENT).filter_map(|node| tree.element_name(node)).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        let children: Vec<_> = tree.children(tree.root()).map(|node| tree.element_name(node)).collect();
        assert_eq!(children, [Some("b"), None, Some("d")]);
    }

    #[test]
    fn a_broken_text_gives_what_stands_before_the_break() {
        assert_eq!(tree("<a><b>one</b><b>two</x>").string_value(1), "onetwo");
        assert_eq!(tree("<a><b>one</b><c").string_value(1), "one");
        for xml in ["", "no xml", "</a>", "<", "<a", "&", "<a b=>"] {
            let tree = tree(xml);
            assert!(tree.root() <= tree.children(DOCUMENT).count(), "{xml}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_tree_that_holds_together(parts in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..20), other in any::<String>()) {
            for xml in [parts.concat(), other] {
                let tree = tree(&xml);
                let all = tree.descendants_and_self(DOCUMENT);
                prop_assert_eq!(all.len(), tree.nodes.len());
                for node in all.skip(1) {
                    prop_assert!(tree.children(tree.parent(node)).any(|child| child == node));
                    prop_assert!(tree.descendants_and_self(tree.parent(node)).contains(&node));
                    tree.string_value(node);
                }
            }
        }
    }

    #[test]
    fn a_tree_is_used_again() {
        let mut tree = tree("<dc:a b='c'>d</dc:a>");
        tree.read("<e/>");
        assert_eq!(tree.element_name(tree.root()), Some("e"));
        assert!(!tree.has_prefix("dc") && tree.attributes(tree.root()).is_empty());
    }
}
