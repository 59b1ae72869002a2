//! Reads the project's TOML files strictly, and reports every mistake in a file at once with its place.
//!
//! serde stops at the first mistake; an operator with five typos wants to hear of five. So a file is parsed into
//! `toml`'s spanned tree once, and each [`Table`] is asked for the keys it may have; what is left over is a mistake.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Problem, Problems, Source};
use crate::suggest;

/// Code of every mistake in the form of a TOML file.
pub const CODE: &str = "PC101";

type Node<'a> = Spanned<DeValue<'a>>;

/// A value together with its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Bytes of the file it was written in.
    pub span: Range<usize>,
}

/// Parses `source` and hands its top table to `read`, which collects mistakes in the same list.
pub fn read<T>(source: &Arc<Source>, problems: &mut Problems, read: impl FnOnce(&mut Table<'_, '_>) -> T) -> T {
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        let message = error.message().trim_end_matches('.').to_owned();
        let span = error.span().unwrap_or(0..0);
        problems.push(Problem::error(CODE, message).at(source, span).hint("mend the TOML syntax here"));
    }
    let span = 0..0;
    let mut table = Table { source, span, name: String::new(), table: root.get_ref(), asked: Vec::new(), problems };
    let value = read(&mut table);
    table.finish();
    value
}

/// One table of a file. Ask for each key it may have; call [`Table::finish`] last (callbacks do it for you).
pub struct Table<'a, 'p> {
    source: &'a Arc<Source>,
    span: Range<usize>,
    name: String,
    table: &'a DeTable<'a>,
    asked: Vec<&'static str>,
    problems: &'p mut Problems,
}

impl<'a> Table<'a, '_> {
    /// The file this table stands in.
    pub fn source(&self) -> &Arc<Source> {
        self.source
    }

    /// Where the table stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Adds a mistake at a place in this file.
    pub fn report(&mut self, problem: Problem, span: Range<usize>) {
        self.problems.push(problem.at(self.source, span));
    }

    fn node(&mut self, key: &'static str) -> Option<&'a Node<'a>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// Whether the key is there.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.node(key).is_some()
    }

    fn wrong(&mut self, key: &str, wanted: &str, node: &Node<'_>) {
        let found = node.get_ref().type_str();
        let problem = Problem::error(CODE, format!("{}{key} wants {wanted}, not {found}", self.name));
        self.report(problem.hint(format!("write {key} = {}", example(wanted))), node.span());
    }

    fn missing(&mut self, key: &str, wanted: &str) {
        let problem = Problem::error(CODE, format!("{}{key} is missing", self.name));
        self.report(problem.hint(format!("add {key} = {}", example(wanted))), self.span());
    }

    /// A string, if the key is there.
    pub fn string(&mut self, key: &'static str) -> Option<Placed<String>> {
        let node = self.node(key)?;
        match node.get_ref() {
            DeValue::String(text) => Some(Placed { value: text.to_string(), span: node.span() }),
            _ => {
                self.wrong(key, "a string", node);
                None
            }
        }
    }

    /// A string that must be there; empty after a mistake.
    pub fn required_string(&mut self, key: &'static str) -> Placed<String> {
        if self.table.get(key).is_none() {
            self.asked.push(key);
            self.missing(key, "a string");
        }
        self.string(key).unwrap_or(Placed { value: String::new(), span: self.span() })
    }

    /// One of a fixed set of words; the first is the default.
    pub fn word(&mut self, key: &'static str, words: &[&'static str]) -> &'static str {
        let Some(found) = self.string(key) else { return words[0] };
        if let Some(word) = words.iter().find(|word| **word == found.value) {
            return word;
        }
        let problem = Problem::error(CODE, format!("{}{key} cannot be \"{}\"", self.name, found.value));
        self.report(problem.hint(suggest::hint(&found.value, words.iter().copied())), found.span);
        words[0]
    }

    /// A boolean, if the key is there.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        let value = node.get_ref().as_bool();
        if value.is_none() {
            self.wrong(key, "true or false", node);
        }
        value
    }

    /// A whole number of at least zero, if the key is there.
    pub fn integer(&mut self, key: &'static str) -> Option<Placed<u64>> {
        let node = self.node(key)?;
        let value = node.get_ref().as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        if value.is_none() {
            self.wrong(key, "a whole number", node);
        }
        value.map(|value| Placed { value, span: node.span() })
    }

    /// A number, if the key is there.
    pub fn number(&mut self, key: &'static str) -> Option<Placed<f64>> {
        let node = self.node(key)?;
        let text = node.get_ref().as_float().map(|n| n.as_str()).or_else(|| node.get_ref().as_integer().map(|n| n.as_str()));
        let value = text.and_then(|text| text.parse().ok());
        if value.is_none() {
            self.wrong(key, "a number", node);
        }
        value.map(|value| Placed { value, span: node.span() })
    }

    /// A string or a list of strings; empty if the key is not there.
    pub fn strings(&mut self, key: &'static str) -> Vec<Placed<String>> {
        let Some(node) = self.node(key) else { return Vec::new() };
        match node.get_ref() {
            DeValue::String(text) => vec![Placed { value: text.to_string(), span: node.span() }],
            DeValue::Array(items) => items
                .iter()
                .filter_map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(Placed { value: text.to_string(), span: item.span() }),
                    _ => {
                        self.wrong(key, "a list of strings", item);
                        None
                    }
                })
                .collect(),
            _ => {
                self.wrong(key, "a list of strings", node);
                Vec::new()
            }
        }
    }

    /// The child table, if the key is there.
    pub fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Table<'_, '_>) -> T) -> Option<T> {
        let node = self.node(key)?;
        let DeValue::Table(table) = node.get_ref() else {
            self.wrong(key, "a table", node);
            return None;
        };
        Some(self.child(table, node.span(), format!("{}{key}.", self.name), read))
    }

    /// A child that may be a string (shorthand for `{ <short> = "…" }`) or a table, or a list of those.
    pub fn tables<T>(&mut self, key: &'static str, mut read: impl FnMut(&mut Table<'_, '_>) -> T) -> Vec<T> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let DeValue::Array(items) = node.get_ref() else {
            self.wrong(key, "a list of tables", node);
            return Vec::new();
        };
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => values.push(self.child(table, item.span(), format!("{}{key}.", self.name), &mut read)),
                _ => self.wrong(key, "a list of tables", item),
            }
        }
        values
    }

    /// A table with free keys, in file order. Each value is offered as a [`Value`].
    pub fn entries(&mut self, key: &'static str) -> Vec<(Placed<String>, Value<'a>)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let DeValue::Table(table) = node.get_ref() else {
            self.wrong(key, "a table", node);
            return Vec::new();
        };
        table.iter().map(|(name, value)| (Placed { value: name.get_ref().to_string(), span: name.span() }, Value(value))).collect()
    }

    /// Reads the table inside a free-key value; a mistake if it is none.
    pub fn entry<T>(&mut self, name: &str, value: Value<'a>, read: impl FnOnce(&mut Table<'_, '_>) -> T) -> Option<T> {
        match value.0.get_ref() {
            DeValue::Table(table) => Some(self.child(table, value.0.span(), format!("{}{name}.", self.name), read)),
            _ => {
                self.wrong(name, "a table", value.0);
                None
            }
        }
    }

    fn child<T>(&mut self, table: &DeTable<'_>, span: Range<usize>, name: String, read: impl FnOnce(&mut Table<'_, '_>) -> T) -> T {
        let mut child = Table { source: self.source, span, name, table, asked: Vec::new(), problems: self.problems };
        let value = read(&mut child);
        child.finish();
        value
    }

    /// Reports the keys nobody asked for.
    fn finish(&mut self) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let problem = Problem::error(CODE, format!("unknown key {}{name}", self.name));
                let hint = suggest::hint(name, self.asked.iter().copied());
                self.problems.push(problem.at(self.source, key.span()).hint(hint));
            }
        }
    }
}

/// The value of a free key.
#[derive(Clone, Copy)]
pub struct Value<'a>(&'a Node<'a>);

impl Value<'_> {
    /// Where it stands.
    pub fn span(&self) -> Range<usize> {
        self.0.span()
    }

    /// The string, if it is one.
    pub fn string(&self) -> Option<String> {
        self.0.get_ref().as_str().map(str::to_owned)
    }

    /// The list of strings, if it is one.
    pub fn strings(&self) -> Option<Vec<String>> {
        self.0.get_ref().as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
    }

    /// Any scalar as text: strings as they are, numbers and booleans as written.
    pub fn scalar(&self) -> Option<String> {
        match self.0.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.as_str().to_owned()),
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            DeValue::Boolean(value) => Some(value.to_string()),
            DeValue::Datetime(value) => Some(value.to_string()),
            DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }
}

fn example(wanted: &str) -> &'static str {
    match wanted {
        "a string" => "\"…\"",
        "true or false" => "true",
        "a whole number" => "1",
        "a number" => "0.5",
        "a list of strings" => "[\"…\"]",
        "a list of tables" => "[{ … }]",
        _ => "{ … }",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_in_a_file_is_reported_at_once() {
        let text = "title = 1\ntarget = \"x\"\nturget = \"y\"\n[output]\nvernacular = \"no\"\n".to_owned();
        let source = Arc::new(Source { path: "jobs/a.toml".into(), text });
        let mut problems = Problems::default();
        read(&source, &mut problems, |top| {
            top.string("title");
            top.string("target");
            top.required_string("mapping");
            top.table("output", |output| output.boolean("vernacular"));
        });
        let text = problems.to_string();
        assert_eq!(problems.0.len(), 4, "{text}");
        for part in [
            "jobs/a.toml:1:9: title wants a string, not integer",
            "mapping is missing",
            "unknown key turget; hint: did you mean target?",
            "jobs/a.toml:5:14: output.vernacular wants true or false",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
