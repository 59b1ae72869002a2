//! Reads a source schema's TOML: `source`, `records`, `fields` and the rest. What it becomes is in [`crate::source`]; every key
//! is described in `docs/source-schemas.md`.

use std::sync::Arc;

use crate::document::{self, Placed, Table};
use crate::path::Path;
use crate::problem::Problem;
use crate::source::{Codec, EnvelopePaths, FieldKind, FieldSpec, RecordPath, SourceSchema, envelope_fields};
use crate::suggest;

/// Reads what the file says; mistakes are reported to the table.
pub(crate) fn read(top: &mut Table<'_, '_>) -> SourceSchema {
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
    let own = SourceSchema { name, codec, format, doc, namespaces, records, envelope, fields, unpack, shape: None, locked: None };
    let schema = over(own, base);
    if schema.records.is_empty() && codec == Codec::Xml {
        let problem = Problem::error(document::CODE, "record_path is missing: nothing says where a record is");
        top.report(problem.hint("add record_path = \"export/object\", the path of a record from the root"), top.span());
    }
    schema
}

/// `own` where it says something, `base` where it does not. Fields of the same name replace those of the base.
fn over(own: SourceSchema, base: Option<Arc<SourceSchema>>) -> SourceSchema {
    let Some(base) = base else { return own };
    let either = |own: Vec<String>, base: &Vec<String>| if own.is_empty() { base.clone() } else { own };
    let mut fields = base.fields.clone();
    overlay(&mut fields, own.fields, |field| field.name.clone());
    SourceSchema {
        records: if own.records.is_empty() { base.records.clone() } else { own.records },
        envelope: EnvelopePaths {
            record_id: either(own.envelope.record_id, &base.envelope.record_id),
            datestamp: either(own.envelope.datestamp, &base.envelope.datestamp),
            sets: either(own.envelope.sets, &base.envelope.sets),
            deleted: either(own.envelope.deleted, &base.envelope.deleted),
        },
        unpack: either(own.unpack, &base.unpack),
        fields,
        ..own
    }
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

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;
    use crate::problem::{Problems, Source};
    use crate::source::list_of;

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
