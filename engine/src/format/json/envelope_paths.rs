//! Where the envelope's values are in a record: paths of keys, candidates best first.
//!
//! The top-level member in which a path starts is noted while the record is read; only that member is looked into again,
//! so an identifier at the top costs nothing more than its own text.

use std::borrow::Cow;
use std::ops::ControlFlow;

use schemas::source::EnvelopePaths;

use super::notes::Span;
use super::object::Object;
use super::reader::Reader;

/// The paths, taken apart.
#[derive(Debug, Default)]
pub(super) struct Places {
    wanted: Wanted,
    /// First keys of all paths; their numbers are the captures.
    firsts: Vec<String>,
    record_id: Vec<Place>,
    datestamp: Vec<Place>,
    sets: Vec<Place>,
    deleted: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    capture: usize,
    rest: Vec<String>,
    /// For `deleted`: the text that says so.
    equals: Option<String>,
}

/// Which envelope values a query reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) record_id: bool,
    pub(super) datestamp: bool,
    pub(super) sets: bool,
    pub(super) deleted: bool,
}

impl Places {
    /// Takes apart the `wanted` ones of `paths`.
    pub(super) fn new(paths: &EnvelopePaths, wanted: Wanted) -> Self {
        let mut places = Self::default();
        let mut list = |wanted: bool, paths: &[String]| -> Vec<Place> {
            let paths = paths.iter().filter(|_| wanted);
            paths.map(|path| Place::new(path, None, &mut places.firsts)).collect()
        };
        let record_id = list(wanted.record_id, &paths.record_id);
        let datestamp = list(wanted.datestamp, &paths.datestamp);
        let sets = list(wanted.sets, &paths.sets);
        let deleted = paths.deleted.iter().filter(|_| wanted.deleted).map(|path| Place::deleted(path, &mut places.firsts)).collect();
        Self { wanted, record_id, datestamp, sets, deleted, ..places }
    }

    /// Whether there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    /// Whether the identifier is asked for.
    pub(super) fn wants_record_id(&self) -> bool {
        self.wanted.record_id
    }

    /// Has `object` note where the paths start.
    pub(super) fn mark(&self, object: &mut Object) {
        for (capture, name) in self.firsts.iter().enumerate() {
            object.capture(name, capture);
        }
    }

    /// The identifier: the first candidate that has a scalar value which is not blank.
    pub(super) fn record_id<'t>(&self, text: &'t str, spans: &[Span]) -> Option<Cow<'t, str>> {
        first_of(&self.record_id, text, spans)
    }

    /// The datestamp, likewise.
    pub(super) fn datestamp<'t>(&self, text: &'t str, spans: &[Span]) -> Option<Cow<'t, str>> {
        first_of(&self.datestamp, text, spans)
    }

    /// All values of the first set path that has any, into `sets`; how many there are.
    pub(super) fn sets(&self, text: &str, spans: &[Span], sets: &mut Vec<String>) -> usize {
        let mut count = 0;
        for place in &self.sets {
            let _ = place.scalars(text, spans, &mut |set| {
                if sets.len() == count {
                    sets.push(String::new());
                }
                sets[count].clear();
                sets[count].push_str(&set);
                count += 1;
                ControlFlow::Continue(())
            });
            if count > 0 {
                break;
            }
        }
        count
    }

    /// Whether a value says that the record is deleted.
    pub(super) fn deleted(&self, text: &str, spans: &[Span]) -> bool {
        self.deleted.iter().any(|place| {
            let found = place.scalars(text, spans, &mut |value| {
                let says = place.equals.as_ref().map_or_else(|| truthy(&value), |equals| *equals == *value);
                if says { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            found.is_break()
        })
    }
}

impl Place {
    /// `key='deleted'`, or only `key`.
    fn deleted(path: &str, firsts: &mut Vec<String>) -> Self {
        match path.split_once('=') {
            Some((path, value)) => Self::new(path.trim(), Some(value.trim().trim_matches(['\'', '"']).to_owned()), firsts),
            None => Self::new(path, None, firsts),
        }
    }

    fn new(path: &str, equals: Option<String>, firsts: &mut Vec<String>) -> Self {
        let mut keys = path.split('/').map(str::to_owned);
        let first = keys.next().unwrap_or_default();
        let capture = firsts.iter().position(|known| *known == first).unwrap_or_else(|| {
            firsts.push(first);
            firsts.len() - 1
        });
        Self { capture, rest: keys.collect(), equals }
    }

    fn scalars<'t>(&self, text: &'t str, spans: &[Span], found: &mut dyn FnMut(Cow<'t, str>) -> ControlFlow<()>) -> ControlFlow<()> {
        for span in spans.iter().filter(|span| span.capture == self.capture) {
            scalars(&mut Reader::new(&text[span.start..span.end]), &self.rest, found)?;
        }
        ControlFlow::Continue(())
    }
}

fn first_of<'t>(places: &[Place], text: &'t str, spans: &[Span]) -> Option<Cow<'t, str>> {
    places.iter().find_map(|place| {
        let mut first = None;
        let _ = place.scalars(text, spans, &mut |value| {
            if value.trim().is_empty() {
                return ControlFlow::Continue(());
            }
            first = Some(value);
            ControlFlow::Break(())
        });
        first
    })
}

/// Offers every scalar under `rest` of the value that is next, lists passed through. The text has been checked before,
/// so a fault cannot be; if it were, the search would end there.
fn scalars<'t>(reader: &mut Reader<'t>, rest: &[String], found: &mut dyn FnMut(Cow<'t, str>) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut first = true;
    match (reader.peek(), rest.split_first()) {
        (Ok(b'['), _) if reader.open().is_ok() => {
            while reader.item(&mut first) == Ok(true) {
                scalars(reader, rest, found)?;
            }
        }
        (Ok(b'{'), Some((key, below))) if reader.open().is_ok() => {
            while reader.member(&mut first) == Ok(true) {
                match reader.key() {
                    Ok(name) if *name.meaning().0 == **key => scalars(reader, below, found)?,
                    _ => {
                        let _ = reader.skip();
                    }
                }
            }
        }
        (Ok(b'"'), None) => {
            if let Ok(text) = reader.string() {
                found(text.meaning().0)?;
            }
        }
        (Ok(b'{' | b'n'), _) | (_, Some(_)) => {
            let _ = reader.skip();
        }
        _ => {
            if let Ok(text) = reader.scalar() {
                found(Cow::Borrowed(text))?;
            }
        }
    }
    ControlFlow::Continue(())
}

/// Whether a scalar means yes.
fn truthy(value: &str) -> bool {
    let value = value.trim();
    !["", "0", "false", "no", "n", "null"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::json::notes::Notes;

    fn look(record: &str, paths: &EnvelopePaths) -> (Option<String>, Vec<String>, bool) {
        let places = Places::new(paths, Wanted { record_id: true, datestamp: true, sets: true, deleted: true });
        let mut object = Object::captures();
        places.mark(&mut object);
        let mut notes = Notes::default();
        object.read(&mut Reader::new(record), 0, &mut notes).unwrap();
        let mut sets = Vec::new();
        let count = places.sets(record, &notes.spans, &mut sets);
        sets.truncate(count);
        (places.record_id(record, &notes.spans).map(Cow::into_owned), sets, places.deleted(record, &notes.spans))
    }

    fn paths(record_id: &[&str], sets: &str, deleted: &str) -> EnvelopePaths {
        EnvelopePaths {
            record_id: record_id.iter().map(|path| (*path).to_owned()).collect(),
            datestamp: vec![],
            sets: vec![sets.to_owned()],
            deleted: vec![deleted.to_owned()],
        }
    }

    #[test]
    fn the_best_candidate_that_has_a_scalar_is_the_identifier() {
        let record = r#"{"uid": 7, "ids": [{"v": null}, {"v": " "}, {"v": "\u0061b"}], "sets": ["x", ["y"]], "status": "deleted"}"#;
        let found = look(record, &paths(&["none", "ids", "ids/v", "uid"], "sets", "status='deleted'"));
        assert_eq!(found, (Some("ab".to_owned()), vec!["x".to_owned(), "y".to_owned()], true));
        let found = look(record, &paths(&["status/deeper", "uid"], "uid", "status='gone'"));
        assert_eq!(found, (Some("7".to_owned()), vec!["7".to_owned()], false));
    }

    #[test]
    fn a_deleted_path_without_a_value_asks_for_yes() {
        for (value, deleted) in
            [("true", true), ("1", true), ("\"Y\"", true), ("false", false), ("0", false), ("null", false), ("\"no\"", false)]
        {
            let record = format!("{{\"gone\": {value}}}");
            assert_eq!(look(&record, &paths(&[], "s", "gone")).2, deleted, "{value}");
        }
    }
}
