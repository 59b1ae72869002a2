//! A source schema: how records of a format are found in pages, and which paths fill which columns.
//!
//! It is a TOML file (`schemas/sources/*.toml`, or a project's own `schemas/sources/`), so that a new format needs no
//! Rust. A codec of the engine is driven by it. The envelope columns are the same for every format.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use crate::document;
use crate::problem::{Problem, Problems, Source};
pub use crate::shape::Shape;
use crate::{source_file, suggest};

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
        document::read(source, problems, source_file::read)
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
    // Signed integers and microseconds: what Parquet can say and every engine of the Hive family reads.
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    vec![
        Field::new("collection_id", DataType::Utf8, false),
        Field::new("record_id", DataType::Utf8, false),
        Field::new("harvest_id", DataType::Utf8, false),
        Field::new("datestamp", DataType::Utf8, true),
        Field::new("datestamp_ts", instant.clone(), true),
        Field::new("sets", list_of(DataType::Utf8), true),
        Field::new("deleted", DataType::Boolean, false),
        Field::new("record_format", DataType::Utf8, false),
        Field::new("page", DataType::Utf8, false),
        Field::new("page_seq", DataType::Int32, false),
        Field::new("byte_start", DataType::Int64, true),
        Field::new("byte_len", DataType::Int64, true),
        Field::new("source_url", DataType::Utf8, true),
        Field::new("harvested_at", instant, true),
        Field::new("raw", DataType::Utf8, true),
        Field::new("raw_sha256", DataType::Binary, true),
        Field::new("problems", list_of(problem_type()), true),
    ]
}

/// A mistake: no source schema of that name.
pub fn unknown(name: &str, known: &[&str]) -> Problem {
    Problem::error("PX001", format!("no source schema \"{name}\"")).hint(suggest::hint(name, known.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
