//! Which prefix means which namespace, at the current element.
//!
//! Declarations are few and short-lived (often three on every record), so they are a stack that is searched from its top;
//! their text is kept in one string that shrinks with the stack.

use super::names::{NONE, Namespaces, Ns, OTHER};

/// Longer ones are cut: a namespace is repeated with every child element, and a hostile page must not fill the memory.
const LONGEST: usize = 1024;
/// More at once are not looked at, for the same reason.
const MOST: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Binding {
    /// Where prefix and URI stand in the text.
    start: usize,
    uri: usize,
    end: usize,
    /// The prefix as a number, see [`key`].
    key: u64,
    ns: Ns,
    depth: usize,
}

/// The length and the first seven bytes of a prefix: equal for equal prefixes, and for most only then.
#[inline]
fn key(prefix: &str) -> u64 {
    prefix.bytes().take(7).fold(prefix.len() as u64, |key, byte| key << 8 | u64::from(byte))
}

/// The declarations in force.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    stack: Vec<Binding>,
    text: String,
}

impl Bindings {
    pub(super) fn clear(&mut self) {
        self.stack.clear();
        self.text.clear();
    }

    /// Declares a prefix (empty: the default namespace) on the element at `depth`.
    pub(super) fn declare(&mut self, known: &Namespaces, prefix: &str, uri: &str, depth: usize) {
        if self.stack.len() == MOST {
            return;
        }
        let start = self.text.len();
        self.text.push_str(prefix);
        let at = self.text.len();
        self.text.push_str(&uri[..uri.floor_char_boundary(LONGEST)]);
        self.stack.push(Binding { start, uri: at, end: self.text.len(), key: key(prefix), ns: known.of_uri(uri), depth });
    }

    /// Ends the declarations of the elements below `depth`, those at `depth` included.
    #[inline]
    pub(super) fn leave(&mut self, depth: usize) {
        while let Some(last) = self.stack.last().filter(|binding| binding.depth >= depth) {
            self.text.truncate(last.start);
            self.stack.pop();
        }
    }

    fn prefix(&self, binding: Binding) -> &str {
        &self.text[binding.start..binding.uri]
    }

    #[inline]
    fn find(&self, prefix: &str) -> Option<&Binding> {
        let wanted = key(prefix);
        self.stack.iter().rev().find(|binding| binding.key == wanted && (prefix.len() <= 7 || self.prefix(**binding) == prefix))
    }

    /// The namespace of an element with this prefix. An undeclared prefix means what the schema means by it.
    #[inline]
    pub(super) fn element(&self, known: &Namespaces, prefix: &str) -> Ns {
        match self.find(prefix) {
            Some(binding) => binding.ns,
            None if prefix.is_empty() => NONE,
            None => known.of_prefix(prefix).unwrap_or(OTHER),
        }
    }

    /// The URI of an element's namespace.
    pub(super) fn uri<'a>(&'a self, known: &'a Namespaces, prefix: &str) -> Option<&'a str> {
        match self.find(prefix) {
            Some(binding) => Some(&self.text[binding.uri..binding.end]).filter(|uri| !uri.is_empty()),
            None if prefix.is_empty() => None,
            None => known.of_prefix(prefix).and_then(|ns| known.uri(ns)),
        }
    }

    /// Writes, as attributes, the declarations in force that the element at `depth` does not make itself.
    pub(super) fn inherited(&self, depth: usize, out: &mut String) {
        for (index, binding) in self.stack.iter().enumerate().filter(|(_, binding)| binding.depth < depth) {
            let prefix = self.prefix(*binding);
            if self.stack[index + 1..].iter().any(|later| self.prefix(*later) == prefix) {
                continue;
            }
            let uri = &self.text[binding.uri..binding.end];
            if prefix.is_empty() && uri.is_empty() {
                continue;
            }
            out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            out.push_str(prefix);
            out.push_str("=\"");
            for part in uri.split_inclusive(['&', '<', '"']) {
                let plain = part.trim_end_matches(['&', '<', '"']);
                out.push_str(plain);
                out.push_str(match &part[plain.len()..] {
                    "&" => "&amp;",
                    "<" => "&lt;",
                    "\"" => "&quot;",
                    _ => "",
                });
            }
            out.push('"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_declaration_hides_an_outer_one_until_it_ends() {
        let known = Namespaces::default();
        let mut bindings = Bindings::default();
        bindings.declare(&known, "", "urn:outer", 0);
        bindings.declare(&known, "x", "urn:x", 0);
        bindings.declare(&known, "", "urn:in\"ner", 3);
        assert_eq!(bindings.uri(&known, ""), Some("urn:in\"ner"));
        let mut text = String::new();
        bindings.inherited(4, &mut text);
        assert_eq!(text, " xmlns:x=\"urn:x\" xmlns=\"urn:in&quot;ner\"");
        bindings.leave(3);
        assert_eq!(bindings.uri(&known, ""), Some("urn:outer"));
        assert_eq!(bindings.element(&known, "y"), OTHER);
    }
}
