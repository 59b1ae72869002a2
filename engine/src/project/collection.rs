//! `collections/<id>.toml`: one collection, where its pages are, how they are read and which mapping they take.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::DataType;
use schemas::document::{self, Placed, Table, Value};
use schemas::problem::{Problem, Problems, Source};
use schemas::source::{Codec, RecordPath, SourceSchema, list_of, unknown};
use schemas::suggest;
use schemas::target::{Level, TargetField, TargetSchema, type_name};
use schemas::vocabulary;

use super::{MappingFile, code, name};

/// Keys of `collection` in SQL that every collection has, so that `[values]` cannot name them.
pub const OWN_KEYS: [&str; 4] = ["id", "title", "institution", "source_url"];

/// A set of records from one institution, harvested, mapped and published as a unit.
#[derive(Debug, Clone)]
pub struct Collection {
    /// The file's stem.
    pub id: String,
    /// What people call it; the id if the file says nothing.
    pub title: String,
    /// Whose records these are.
    pub institution: Option<String>,
    /// A disabled collection takes part in no job.
    pub enabled: bool,
    /// Files, directories, globs or URLs, relative to the project.
    pub pages: Vec<Placed<String>>,
    /// Which of the pages.
    pub harvest: Harvest,
    /// How records are read: the named source schema with this collection's `record_path`, `record_id`, … in it.
    pub source: Arc<SourceSchema>,
    /// Its own mapping, instead of the job's.
    pub mapping: Option<Placed<String>>,
    /// Where it was harvested from; some platforms need it to build `is_shown_at`.
    pub source_url: Option<String>,
    /// Free values, in SQL `collection.<key>`.
    pub values: Vec<(String, FreeValue)>,
    /// Values for target fields that the mapping leaves empty.
    pub fill: Vec<Given>,
    /// Values for target fields, whatever the mapping says.
    pub overwrite: Vec<Given>,
    /// The file, for messages and for the run key.
    pub file: Arc<Source>,
}

/// Which of a collection's pages are its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Harvest {
    /// All pages.
    #[default]
    All,
    /// The lexicographically last subdirectory of `pages`.
    Latest,
}

/// A value under a free key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FreeValue {
    /// One.
    Text(String),
    /// Several.
    List(Vec<String>),
}

/// A target field's value, given in the collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The field.
    pub field: Placed<String>,
    /// One value or several; a list field takes both.
    pub value: FreeValue,
    /// Where the value stands.
    pub span: Range<usize>,
}

impl FreeValue {
    /// The values, be it one or several.
    pub fn values(&self) -> &[String] {
        match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::List(texts) => texts,
        }
    }

    fn read(value: &Value<'_>) -> Option<Self> {
        value.string().map(Self::Text).or_else(|| value.strings().map(Self::List))
    }
}

/// What a collection may name.
pub(super) struct Known<'a> {
    pub(super) root: &'a Path,
    pub(super) sources: &'a BTreeMap<String, Arc<SourceSchema>>,
    pub(super) mappings: &'a BTreeMap<String, Arc<MappingFile>>,
}

impl Collection {
    /// Reads a collection's file; none if nothing says how its pages are read.
    pub(super) fn read(id: &str, file: &Arc<Source>, known: &Known<'_>, problems: &mut Problems) -> Option<Self> {
        if let Err(problem) = name::file_name("a collection", id) {
            problems.push(problem.at(file, 0..0));
        }
        document::read(file, problems, |top| Self::from_table(id, top, file, known))
    }

    fn from_table(id: &str, top: &mut Table<'_, '_>, file: &Arc<Source>, known: &Known<'_>) -> Option<Self> {
        let title = top.string("title").map_or_else(|| id.to_owned(), |title| title.value);
        let institution = top.string("institution").map(|text| text.value);
        let enabled = top.boolean("enabled").unwrap_or(true);
        let pages = read_pages(top, known.root, enabled);
        let harvest = if top.word("harvest", &["all", "latest"]) == "latest" { Harvest::Latest } else { Harvest::All };
        let source = read_source(top, known);
        let mapping = top.string("mapping");
        if let Some(mapping) = &mapping {
            check_mapping(top, mapping, known.mappings);
        }
        let source_url = top.string("source_url").map(|text| text.value);
        let (values, fill, overwrite) = (read_values(top), read_given(top, "fill"), read_given(top, "overwrite"));
        let file = Arc::clone(file);
        let id = id.to_owned();
        Some(Self { id, title, institution, enabled, pages, harvest, source: source?, mapping, source_url, values, fill, overwrite, file })
    }

    /// Checks what is given against the target of a job that takes this collection.
    pub(super) fn check_given(&self, target: &TargetSchema, problems: &mut Problems) {
        for given in self.fill.iter().chain(&self.overwrite) {
            let Some(field) = target.field(&given.field.value) else {
                let problem = Problem::error(code::FIELD, format!("no field \"{}\" in {}", given.field.value, target.name));
                let hint = suggest::hint(&given.field.value, target.fields.iter().map(|field| field.name.as_str()));
                problems.push(problem.at(&self.file, given.field.span.clone()).hint(hint));
                continue;
            };
            if let Some(problem) = given.mistake(field) {
                problems.push(problem.at(&self.file, given.span.clone()));
            }
        }
    }
}

impl Given {
    fn mistake(&self, field: &TargetField) -> Option<Problem> {
        let one = field.data_type == DataType::Utf8;
        if !one && field.data_type != list_of(DataType::Utf8) {
            let message = format!("{} is {}: only text can be given here", field.name, type_name(&field.data_type));
            return Some(Problem::error(code::VALUE, message).hint("take the line out and give the value in the mapping"));
        }
        if one && matches!(self.value, FreeValue::List(_)) {
            let problem = Problem::error(code::VALUE, format!("{} is one value, not a list", field.name));
            return Some(problem.hint(format!("write {} = \"…\"", field.name)));
        }
        let words = vocabulary::shipped(field.vocab.as_ref()?).ok()?;
        let wrong = self.value.values().iter().find(|value| !words.contains(*value))?;
        let message = format!("{} cannot be \"{wrong}\": the word is not in {}", field.name, field.vocab.as_deref().unwrap_or_default());
        let problem = match field.on_unknown {
            Level::Error => Problem::error(code::VALUE, message),
            Level::Warn | Level::Info => Problem::warning(code::VALUE, message),
        };
        Some(problem.hint(suggest::hint(wrong, words.iter().map(String::as_str))))
    }
}

/// A mistake where no mapping has the name.
pub(super) fn check_mapping(table: &mut Table<'_, '_>, mapping: &Placed<String>, mappings: &BTreeMap<String, Arc<MappingFile>>) {
    if mappings.contains_key(&mapping.value) {
        return;
    }
    let problem = Problem::error(code::MAPPING, format!("no mapping \"{0}\": there is no mappings/{0}.sql", mapping.value));
    table.report(problem.hint(suggest::hint(&mapping.value, mappings.keys().map(String::as_str))), mapping.span.clone());
}

/// What was looked for, where there is nothing on this machine; URLs are not looked at.
pub(super) fn missing(root: &Path, location: &str) -> Option<Problem> {
    if location.contains("://") {
        return None;
    }
    let path = root.join(location);
    if path.exists() {
        return None;
    }
    if location == "~" || location.starts_with("~/") {
        let problem = Problem::warning(code::NO_PAGES, format!("nothing at \"{location}\": ~ means the home folder in a shell only"));
        return Some(problem.hint("write the whole path, or one that starts at the project"));
    }
    let looked_for = if location.contains(['*', '?', '[']) {
        // The project's own folder is none of the pattern, whatever its name.
        let pattern = match Path::new(location).is_absolute() {
            true => location.to_owned(),
            false => format!("{}/{location}", glob::Pattern::escape(&root.to_string_lossy())),
        };
        match glob::glob(&pattern) {
            Ok(mut found) => match found.next() {
                Some(_) => return None,
                None => "files that match",
            },
            Err(error) => {
                let problem = Problem::error(code::RANGE, format!("\"{location}\" is no pattern: {}", error.msg));
                return Some(problem.hint("write a pattern such as pages/26001/*.xml"));
            }
        }
    } else {
        "a file or directory"
    };
    let problem = Problem::warning(code::NO_PAGES, format!("nothing at \"{location}\""));
    Some(problem.hint(format!("looked for {looked_for} {}; correct the path or put the files there", path.display())))
}

fn read_pages(top: &mut Table<'_, '_>, root: &Path, enabled: bool) -> Vec<Placed<String>> {
    if !top.has("pages") {
        let problem = Problem::error(document::CODE, "pages is missing: nothing says where the records are");
        top.report(problem.hint("add pages = \"…\", a file, directory, pattern or URL"), top.span());
    }
    let pages = top.strings("pages");
    for page in pages.iter().filter(|_| enabled) {
        if let Some(problem) = missing(root, &page.value) {
            top.report(problem, page.span.clone());
        }
    }
    pages
}

/// The source schema, with the collection's own paths where it has some.
fn read_source(top: &mut Table<'_, '_>, known: &Known<'_>) -> Option<Arc<SourceSchema>> {
    let written = top.required_string("source");
    let values = |list: Vec<Placed<String>>| list.into_iter().map(|text| text.value).collect::<Vec<_>>();
    let paths = values(top.strings("record_path"));
    let (record_id, datestamp) = (values(top.strings("record_id")), values(top.strings("datestamp")));
    let unpack = top.strings("unpack");
    let Some(shared) = known.sources.get(&written.value) else {
        if !written.value.is_empty() {
            let names: Vec<&str> = known.sources.keys().map(String::as_str).collect();
            top.report(unknown(&written.value, &names), written.span);
        }
        return None;
    };
    if let Some(first) = unpack.first().filter(|_| shared.codec != Codec::Json) {
        let problem = Problem::error(code::VALUE, format!("unpack is for JSON; {} is XML", shared.name));
        top.report(problem.hint("take the line out"), first.span.clone());
    }
    if paths.is_empty() && record_id.is_empty() && datestamp.is_empty() && unpack.is_empty() {
        return Some(Arc::clone(shared));
    }
    let mut own = SourceSchema::clone(shared);
    if !paths.is_empty() {
        // A path that the schema knows keeps its way to the metadata; for another one the record is the metadata.
        let metadata = |path: &str| shared.records.iter().find(|record| record.path == path).map_or(".", |record| &record.metadata);
        own.records = paths.into_iter().map(|path| RecordPath { metadata: metadata(&path).to_owned(), path }).collect();
    }
    for (mine, theirs) in
        [(record_id, &mut own.envelope.record_id), (datestamp, &mut own.envelope.datestamp), (values(unpack), &mut own.unpack)]
    {
        if !mine.is_empty() {
            *theirs = mine;
        }
    }
    Some(Arc::new(own))
}

fn read_values(top: &mut Table<'_, '_>) -> Vec<(String, FreeValue)> {
    let mut values = Vec::new();
    for (key, value) in top.entries("values") {
        if let Err(problem) = name::identifier("a key of values", &key.value) {
            top.report(problem, key.span.clone());
        } else if OWN_KEYS.contains(&key.value.as_str()) {
            let problem = Problem::error(code::NAME, format!("values.{0}: collection.{0} is there already", key.value));
            top.report(problem.hint("choose another name"), key.span.clone());
        }
        match FreeValue::read(&value) {
            Some(read) => values.push((key.value, read)),
            None => report_value(top, "values", &key.value, &value),
        }
    }
    values
}

fn read_given(top: &mut Table<'_, '_>, key: &'static str) -> Vec<Given> {
    let mut all = Vec::new();
    for (field, value) in top.entries(key) {
        match FreeValue::read(&value) {
            Some(read) => all.push(Given { field, value: read, span: value.span() }),
            None => report_value(top, key, &field.value, &value),
        }
    }
    all
}

fn report_value(top: &mut Table<'_, '_>, table: &str, key: &str, value: &Value<'_>) {
    let problem = Problem::error(document::CODE, format!("{table}.{key} wants a string or a list of strings"));
    top.report(problem.hint(format!("write {key} = \"…\" or {key} = [\"…\"]")), value.span());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_in_a_project_whose_folder_looks_like_a_pattern() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("data [1]");
        std::fs::create_dir_all(root.join("pages")).unwrap();
        std::fs::write(root.join("pages/a.xml"), "").unwrap();
        assert_eq!(missing(&root, "pages/*.xml"), None);
        let absolute = format!("{}/*/pages/*.xml", place.path().display());
        assert_eq!(missing(&root, &absolute), None);
        assert!(missing(&root, "pages/*.json").is_some());
    }
}
