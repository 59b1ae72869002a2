//! A source schema: how records of a format are found in pages, and which paths fill which columns.
//!
//! It is a TOML file (`schemas/sources/*.toml`, or a project's own `schemas/sources/`), so that a new format needs no
//! Rust. A codec of the engine is driven by it. The envelope columns are the same for every format.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use crate::document::{self, Placed, Table};
use crate::path::Path;
use crate::problem::{Problem, Problems, Source};
pub use crate::shape::Shape;
use crate::suggest;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/sources");

/// Which decoder reads the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// quick-xml, one streaming pass.
    Xml,
    /// JSON documents, arrays and JSON Lines.
    Json,
}

/// One way in which records of the format occur in a page.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecordPath {
    /// Path of a record from the root of the page, such as `oai:OAI-PMH/oai:ListRecords/oai:record`. For JSON, keys
    /// joined by `/`, where a key that holds a list stands for its items; empty for the document itself.
    pub path: String,
    /// Path from the record to the element whose children the fields describe; `.` for the record itself.
    pub metadata: String,
}

/// Where the envelope's values are, relative to the record (not to its metadata).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnvelopePaths {
    /// Candidates for the identifier at the source, best first.
    pub record_id: Vec<String>,
    /// The datestamp, as supplied.
    pub datestamp: Vec<String>,
    /// All set specifications.
    pub sets: Vec<String>,
    /// A path with a predicate; a record on which it matches is deleted: `header[@status='deleted']`.
    pub deleted: Vec<String>,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FieldKind {
    /// `list<utf8>`: every value, in document order.
    Texts,
    /// `utf8`: the first value.
    Text,
    /// `list<struct>`: one struct for each element the path matches, its members relative to that element.
    Group(Vec<FieldSpec>),
    /// `list<struct<element, ns, value, lang, scheme, attrs>>`: children of the metadata element in document order.
    /// With `unclaimed`, only those that no other field of the schema reads.
    Children {
        /// Only children that no other field reads.
        unclaimed: bool,
    },
    /// `utf8`: the metadata element, serialised.
    Xml,
}

/// One column, or one member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FieldSpec {
    /// Column name, snake_case.
    pub name: String,
    /// Paths whose matches fill it, see [`crate::path`]. Steps are separated by `/`; a step is `prefix:name`, `name` (any
    /// namespace), `*`, `@attribute`, `name()` or `.`, and may carry predicates: `[@q='spatial']`, `[@q]`, `[!@q]`. A
    /// prefixed step also matches an element in no namespace at all, because some servers strip them. Kinds `children`
    /// and `xml` need none: without one they mean the metadata element.
    pub paths: Vec<String>,
    /// What it holds.
    pub kind: FieldKind,
    /// Splits each value, trimming the parts.
    pub delimiter: Option<String>,
    /// For `Text`: join all values with this instead of taking the first.
    pub join: Option<String>,
    /// One sentence for the catalog.
    pub doc: String,
}

/// How records of a format are found and become columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceSchema {
    /// Name, also of the file and of the table `vernacular_<name>`.
    pub name: String,
    /// The decoder.
    pub codec: Codec,
    /// Value of the envelope's `record_format` column.
    pub format: String,
    /// What the format is.
    pub doc: String,
    /// Prefixes used in the paths, with their namespace URIs.
    pub namespaces: Vec<(String, String)>,
    /// Where records are.
    pub records: Vec<RecordPath>,
    /// Where the envelope's values are.
    pub envelope: EnvelopePaths,
    /// Parsed columns after the envelope (xml).
    pub fields: Vec<FieldSpec>,
    /// Paths of string members that hold JSON and are unpacked (json).
    pub unpack: Vec<String>,
    /// The shape of `doc` (json), once it is known.
    pub shape: Option<Shape>,
    /// The whole locked shape, where `shape` is only the part of it that a query reads: what is in here and not in
    /// `shape` is passed over, what is in neither has drifted from the lock.
    pub locked: Option<Shape>,
}

impl SourceSchema {
    /// Names of the shipped source schemas, sorted.
    pub fn shipped_names() -> Vec<&'static str> {
        let mut names: Vec<&str> = SHIPPED.files().filter_map(|file| file.path().file_stem()?.to_str()).collect();
        names.sort_unstable();
        names
    }

    /// A shipped source schema.
    pub fn shipped(name: &str) -> Option<Arc<Self>> {
        let text = SHIPPED.get_file(format!("{name}.toml"))?.contents_utf8()?.to_owned();
        let source = Arc::new(Source { path: format!("schemas/sources/{name}.toml"), text });
        let mut problems = Problems::default();
        let schema = Self::read(&source, &mut problems);
        debug_assert!(!problems.fatal(), "{problems}");
        Some(Arc::new(schema))
    }

    /// Reads a source schema; mistakes are added to `problems`.
    pub fn read(source: &Arc<Source>, problems: &mut Problems) -> Self {
        document::read(source, problems, Self::from_table)
    }

    fn from_table(top: &mut Table<'_, '_>) -> Self {
        let name = top.required_string("source").value;
        let base = read_base(top);
        let codec = match &base {
            Some(base) if !top.has("codec") => base.codec,
            _ if top.word("codec", &["xml", "json"]) == "json" => Codec::Json,
            _ => Codec::Xml,
        };
        let format = top.string("format").map_or_else(|| name.clone(), |format| format.value);
        let doc = top.string("doc").map_or_else(String::new, |doc| doc.value);
        let mut namespaces = base.as_ref().map_or_else(Vec::new, |base| base.namespaces.clone());
        overlay(&mut namespaces, read_namespaces(top), |(prefix, _)| prefix.clone());
        // JSON paths are keys, not steps, so only those of XML are checked.
        let prefixes: Option<Vec<String>> = (codec == Codec::Xml).then(|| namespaces.iter().map(|(prefix, _)| prefix.clone()).collect());
        let paths = Paths { prefixes };
        let records = read_records(top, &paths);
        let mut envelope = top.table("envelope", |table| read_envelope(table, &paths)).unwrap_or_default();
        envelope.record_id.extend(paths.strings(top, "record_id"));
        envelope.datestamp.extend(paths.strings(top, "datestamp"));
        let fields = read_fields(top, "fields", &paths);
        let unpack = values(top.strings("unpack"));
        let own = Self { name, codec, format, doc, namespaces, records, envelope, fields, unpack, shape: None, locked: None };
        let schema = own.over(base);
        if schema.records.is_empty() && codec == Codec::Xml {
            let problem = Problem::error(document::CODE, "record_path is missing: nothing says where a record is");
            top.report(problem.hint("add record_path = \"export/object\", the path of a record from the root"), top.span());
        }
        schema
    }

    /// This schema where it says something, `base` where it does not. Fields of the same name replace those of the base.
    fn over(self, base: Option<Arc<Self>>) -> Self {
        let Some(base) = base else { return self };
        let either = |own: Vec<String>, base: &Vec<String>| if own.is_empty() { base.clone() } else { own };
        let mut fields = base.fields.clone();
        overlay(&mut fields, self.fields, |field| field.name.clone());
        Self {
            records: if self.records.is_empty() { base.records.clone() } else { self.records },
            envelope: EnvelopePaths {
                record_id: either(self.envelope.record_id, &base.envelope.record_id),
                datestamp: either(self.envelope.datestamp, &base.envelope.datestamp),
                sets: either(self.envelope.sets, &base.envelope.sets),
                deleted: either(self.envelope.deleted, &base.envelope.deleted),
            },
            unpack: either(self.unpack, &base.unpack),
            fields,
            ..self
        }
    }

    /// The same schema with the shape of its JSON documents known.
    #[must_use]
    pub fn with_shape(&self, shape: Shape) -> Self {
        Self { shape: Some(shape), ..self.clone() }
    }

    /// The same schema, decoding only the part of `doc` on `paths` (see [`Shape::part`]).
    #[must_use]
    pub fn with_part(&self, paths: &[&[String]]) -> Self {
        let locked = self.locked.as_ref().or(self.shape.as_ref());
        Self { shape: locked.map(|shape| shape.part(paths)), locked: locked.cloned(), ..self.clone() }
    }

    /// Columns of the vernacular table: the envelope, then the fields.
    pub fn table_schema(&self) -> SchemaRef {
        let mut fields = envelope_fields();
        match self.codec {
            Codec::Xml => fields.extend(self.fields.iter().map(FieldSpec::arrow_field)),
            Codec::Json => {
                let shape = self.shape.clone().unwrap_or(Shape::Object(Vec::new()));
                fields.push(Field::new("doc", shape.data_type(), true));
            }
        }
        Arc::new(Schema::new(fields))
    }
}

impl FieldSpec {
    /// The Arrow field of this column.
    pub fn arrow_field(&self) -> Field {
        Field::new(&self.name, self.kind.data_type(), true)
    }
}

impl FieldKind {
    /// The Arrow type of a column of this kind.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Texts => list_of(DataType::Utf8),
            Self::Text | Self::Xml => DataType::Utf8,
            Self::Group(members) => list_of(DataType::Struct(members.iter().map(FieldSpec::arrow_field).collect())),
            Self::Children { .. } => list_of(child_type()),
        }
    }
}

/// `list<item>` with the field name Arrow and Parquet expect.
pub fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// `struct<element, ns, value, lang, scheme, attrs>`: one child element, whole. `attrs` is `list<struct<name, value>>`:
/// a misspelt map key would be a silent NULL, and every engine reads a list of structs.
pub fn child_type() -> DataType {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let attrs = list_of(DataType::Struct(Fields::from(vec![text("name"), text("value")])));
    DataType::Struct(Fields::from(vec![
        text("element"),
        text("ns"),
        text("value"),
        text("lang"),
        text("scheme"),
        Field::new("attrs", attrs, true),
    ]))
}

/// `struct<code, message, path>`: a problem in a page or record that did not stop the reading.
pub fn problem_type() -> DataType {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    DataType::Struct(Fields::from(vec![text("code", false), text("message", false), text("path", true)]))
}

/// The first columns of every vernacular table.
pub fn envelope_fields() -> Vec<Field> {
    let seconds = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
    vec![
        Field::new("collection_id", DataType::Utf8, false),
        Field::new("record_id", DataType::Utf8, false),
        Field::new("harvest_id", DataType::Utf8, false),
        Field::new("datestamp", DataType::Utf8, true),
        Field::new("datestamp_ts", seconds.clone(), true),
        Field::new("sets", list_of(DataType::Utf8), true),
        Field::new("deleted", DataType::Boolean, false),
        Field::new("record_format", DataType::Utf8, false),
        Field::new("page", DataType::Utf8, false),
        Field::new("page_seq", DataType::UInt32, false),
        Field::new("byte_start", DataType::UInt64, true),
        Field::new("byte_len", DataType::UInt64, true),
        Field::new("source_url", DataType::Utf8, true),
        Field::new("harvested_at", seconds, true),
        Field::new("raw", DataType::Utf8, true),
        Field::new("raw_sha256", DataType::FixedSizeBinary(32), true),
        Field::new("problems", list_of(problem_type()), true),
    ]
}

fn values(placed: Vec<Placed<String>>) -> Vec<String> {
    placed.into_iter().map(|text| text.value).collect()
}

fn read_namespaces(top: &mut Table<'_, '_>) -> Vec<(String, String)> {
    let mut namespaces = Vec::new();
    for (prefix, value) in top.entries("namespaces") {
        match value.string() {
            Some(uri) => namespaces.push((prefix.value, uri)),
            None => top.report(Problem::error(document::CODE, format!("namespaces.{} wants a string", prefix.value)), value.span()),
        }
    }
    namespaces
}

/// The shipped schema that `extends` names.
fn read_base(top: &mut Table<'_, '_>) -> Option<Arc<SourceSchema>> {
    let name = top.string("extends")?;
    let base = SourceSchema::shipped(&name.value);
    if base.is_none() {
        let problem = Problem::error(document::CODE, format!("extends \"{}\", which is no shipped source schema", name.value));
        top.report(problem.hint(suggest::hint(&name.value, SourceSchema::shipped_names())), name.span);
    }
    base
}

/// Puts each of `own` in place of the one with the same key, or at the end.
fn overlay<T>(base: &mut Vec<T>, own: Vec<T>, key: impl Fn(&T) -> String) {
    for item in own {
        match base.iter_mut().find(|known| key(known) == key(&item)) {
            Some(known) => *known = item,
            None => base.push(item),
        }
    }
}

/// Checks paths as they are read, so that a mistake is shown where it stands.
struct Paths {
    /// Known prefixes; none if the paths are not XML's.
    prefixes: Option<Vec<String>>,
}

impl Paths {
    fn strings(&self, table: &mut Table<'_, '_>, key: &'static str) -> Vec<String> {
        let paths = table.strings(key);
        paths.into_iter().map(|path| self.checked(table, path)).collect()
    }

    fn checked(&self, table: &mut Table<'_, '_>, path: Placed<String>) -> String {
        let Some(known) = &self.prefixes else { return path.value };
        match Path::parse(&path.value) {
            Err(wrong) => {
                let problem = Problem::error(document::CODE, format!("path \"{}\": {wrong}", path.value));
                table.report(problem.hint("see docs/source-schemas.md for what a path may be"), path.span);
            }
            Ok(parsed) => {
                if let Some(prefix) = parsed.prefixes().find(|prefix| *prefix != "xml" && !known.iter().any(|known| known == prefix)) {
                    let problem = Problem::error(document::CODE, format!("path \"{}\": no namespace has the prefix {prefix}", path.value));
                    let hint = format!("add {prefix} = \"…\" to [namespaces], or leave the prefix out to match any namespace");
                    table.report(problem.hint(hint), path.span);
                }
            }
        }
        path.value
    }
}

fn read_records(top: &mut Table<'_, '_>, paths: &Paths) -> Vec<RecordPath> {
    let mut records: Vec<RecordPath> =
        paths.strings(top, "record_path").into_iter().map(|path| RecordPath { path, metadata: ".".into() }).collect();
    records.extend(top.tables("records", |record| {
        let path = record.required_string("path");
        let path = if path.value.is_empty() { path.value } else { paths.checked(record, path) };
        let metadata = record.string("metadata").map_or_else(|| ".".to_owned(), |metadata| paths.checked(record, metadata));
        RecordPath { path, metadata }
    }));
    records
}

fn read_envelope(table: &mut Table<'_, '_>, paths: &Paths) -> EnvelopePaths {
    EnvelopePaths {
        record_id: paths.strings(table, "record_id"),
        datestamp: paths.strings(table, "datestamp"),
        sets: paths.strings(table, "sets"),
        deleted: paths.strings(table, "deleted"),
    }
}

fn read_fields(table: &mut Table<'_, '_>, key: &'static str, paths: &Paths) -> Vec<FieldSpec> {
    let mut fields = Vec::new();
    for (name, value) in table.entries(key) {
        let reserved = envelope_fields().iter().any(|field| field.name() == &name.value);
        if key == "fields" && reserved {
            let problem = Problem::error(document::CODE, format!("fields.{} has the name of an envelope column", name.value));
            table.report(problem.hint("choose another name"), name.span.clone());
        }
        if let Some(path) = value.string() {
            let path = paths.checked(table, Placed { value: path, span: value.span() });
            fields.push(FieldSpec {
                name: name.value,
                paths: vec![path],
                kind: FieldKind::Texts,
                delimiter: None,
                join: None,
                doc: String::new(),
            });
        } else if let Some(field) = table.entry(&name.value.clone(), value, |table| read_field(table, name.value, paths)) {
            fields.push(field);
        }
    }
    fields
}

fn read_field(table: &mut Table<'_, '_>, name: String, paths: &Paths) -> FieldSpec {
    let found = paths.strings(table, "path");
    let kind = match table.word("kind", &["texts", "text", "group", "children", "unclaimed", "xml"]) {
        "text" => FieldKind::Text,
        "group" => FieldKind::Group(read_fields(table, "members", paths)),
        "children" => FieldKind::Children { unclaimed: false },
        "unclaimed" => FieldKind::Children { unclaimed: true },
        "xml" => FieldKind::Xml,
        _ => FieldKind::Texts,
    };
    let pathless = matches!(kind, FieldKind::Children { .. } | FieldKind::Xml);
    if found.is_empty() && !pathless {
        let problem = Problem::error(document::CODE, format!("fields.{name} has no path"));
        table.report(problem.hint("add path = \"…\", relative to the record's metadata"), table.span());
    }
    let delimiter = table.string("delimiter").map(|text| text.value);
    let join = table.string("join").map(|text| text.value);
    let doc = table.string("doc").map_or_else(String::new, |text| text.value);
    FieldSpec { name, paths: found, kind, delimiter, join, doc }
}

/// A mistake: no source schema of that name.
pub fn unknown(name: &str, known: &[&str]) -> Problem {
    Problem::error("PX001", format!("no source schema \"{name}\"")).hint(suggest::hint(name, known.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (SourceSchema, Problems) {
        let source = Arc::new(Source { path: "x.toml".into(), text: text.into() });
        let mut problems = Problems::default();
        (SourceSchema::read(&source, &mut problems), problems)
    }

    #[test]
    fn a_schema_that_extends_another_replaces_what_it_names() {
        let (schema, problems) = read(
            "source = \"ours\"\nextends = \"oai_dc\"\n[namespaces]\nedm = \"urn:edm\"\n[fields]\nrights = \"edm:rights\"\nmedium_of = \"edm:medium\"\n",
        );
        assert!(problems.0.is_empty(), "{problems}");
        let base = SourceSchema::shipped("oai_dc").unwrap();
        assert_eq!(schema.records, base.records);
        assert_eq!(schema.fields.len(), base.fields.len() + 1);
        assert_eq!(schema.fields.iter().find(|field| field.name == "rights").unwrap().paths, ["edm:rights"]);
        let (_, problems) = read("source = \"ours\"\nextends = \"oai_cd\"\n");
        assert!(problems.0[0].to_string().contains("did you mean oai_dc"), "{problems}");
    }

    #[test]
    fn a_wrong_path_is_shown_where_it_stands() {
        let (_, problems) = read("source = \"x\"\nrecord_path = \"export//object\"\nfields.title = \"dc:title\"\n");
        let shown: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        assert!(shown[0].starts_with("PC101 x.toml:2:15: path \"export//object\": // is not known"), "{shown:?}");
        assert!(shown[1].starts_with("PC101 x.toml:3:16: path \"dc:title\": no namespace has the prefix dc"), "{shown:?}");
    }

    #[test]
    fn every_shipped_source_schema_reads_without_a_mistake() {
        for file in SHIPPED.files() {
            let source = Arc::new(Source { path: file.path().display().to_string(), text: file.contents_utf8().unwrap().to_owned() });
            let mut problems = Problems::default();
            let schema = SourceSchema::read(&source, &mut problems);
            assert!(problems.0.is_empty(), "{problems}");
            assert_eq!(Some(schema.name.as_str()), file.path().file_stem().and_then(|stem| stem.to_str()));
        }
    }

    #[test]
    fn a_field_may_be_a_path_or_a_table() {
        let text = "source = \"x\"\nrecord_path = \"export/object\"\nrecord_id = \"objectid\"\nfields.title = { path = \"title\" }\nfields.place = \"coverage[@q='spatial']\"\n";
        let source = Arc::new(Source { path: "x.toml".into(), text: text.into() });
        let mut problems = Problems::default();
        let schema = SourceSchema::read(&source, &mut problems);
        assert!(problems.0.is_empty(), "{problems}");
        assert_eq!(schema.fields.len(), 2);
        assert_eq!(schema.table_schema().field_with_name("place").unwrap().data_type(), &list_of(DataType::Utf8));
    }
}
