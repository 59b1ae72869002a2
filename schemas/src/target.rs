//! A target schema: the columns, types, obligations and checks of a published table.
//!
//! It is a TOML file (`schemas/targets/*.toml`, or a project's own `schemas/targets/`). Arrow types, documentation and
//! checks come from the one file; what other tools want (JSON Schema, DDL) is generated from it.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use include_dir::{Dir, include_dir};

use crate::check::Check;
use crate::document::{self, Placed, Table};
use crate::problem::{Problem, Problems, Source};
use crate::source::list_of;
use crate::vocabulary;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/targets");

/// Columns every published table starts with, so that a row can be traced to its page. A target cannot declare them.
pub const TRACE_COLUMNS: [&str; 4] = ["collection_id", "record_id", "page", "page_seq"];

/// What a finding means for its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The record is quarantined.
    Error,
    /// The record passes; somebody should look.
    Warn,
    /// For the record.
    Info,
}

impl Level {
    /// `error`, `warn` or `info`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
        }
    }
}

/// One step of the finishing pass over a text field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finish {
    /// White space at both ends is removed (NBSP too); a blank value becomes null, and is dropped from a list.
    Trim,
    /// Unicode normalisation form C.
    Nfc,
    /// Repeated values of a list are dropped, the first stays.
    Dedupe,
}

/// One column of the target.
#[derive(Debug, Clone)]
pub struct TargetField {
    /// Column name.
    pub name: String,
    /// Arrow type.
    pub data_type: DataType,
    /// A record without a value gets a finding of this level.
    pub required: Option<Level>,
    /// The vocabulary its values must be in.
    pub vocab: Option<String>,
    /// The level of a value that is not in the vocabulary.
    pub on_unknown: Level,
    /// Checks on each value, with the level of `on_fail`.
    pub checks: Vec<Check>,
    /// Regular expression that each value must match.
    pub pattern: Option<String>,
    /// The level of a value that fails `check` or `pattern`.
    pub on_fail: Level,
    /// No two records may share a value.
    pub unique: Option<Level>,
    /// Finishing steps; all for text, unless the file says otherwise.
    pub finish: Vec<Finish>,
    /// What the field means.
    pub doc: String,
    /// Where it stands in the file.
    pub span: Range<usize>,
}

/// A check over a whole record, in SQL.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Name, used as the finding's field.
    pub name: String,
    /// Level of the finding when the expression is not true.
    pub severity: Level,
    /// A boolean expression over the target's columns.
    pub sql: Placed<String>,
    /// What the finding says; the expression itself if nothing better is known.
    pub message: String,
}

/// The columns, types, obligations and checks of a published table.
#[derive(Debug, Clone)]
pub struct TargetSchema {
    /// Name, also of the file.
    pub name: String,
    /// Version of the schema.
    pub version: u64,
    /// What the schema is.
    pub doc: String,
    /// Columns in order.
    pub fields: Vec<TargetField>,
    /// Checks over a whole record.
    pub rules: Vec<Rule>,
    /// The file, for messages and for the run key.
    pub source: Arc<Source>,
}

impl TargetSchema {
    /// Names of the shipped target schemas, sorted.
    pub fn shipped_names() -> Vec<&'static str> {
        let mut names: Vec<&str> = SHIPPED.files().filter_map(|file| file.path().file_stem()?.to_str()).collect();
        names.sort_unstable();
        names
    }

    /// A shipped target schema.
    pub fn shipped(name: &str) -> Option<Arc<Self>> {
        let text = SHIPPED.get_file(format!("{name}.toml"))?.contents_utf8()?.to_owned();
        let source = Arc::new(Source { path: format!("schemas/targets/{name}.toml"), text });
        let mut problems = Problems::default();
        let schema = Self::read(&source, &mut problems);
        debug_assert!(!problems.fatal(), "{problems}");
        Some(Arc::new(schema))
    }

    /// Reads a target schema; mistakes are added to `problems`.
    pub fn read(source: &Arc<Source>, problems: &mut Problems) -> Self {
        document::read(source, problems, |top| Self::from_table(top, source))
    }

    fn from_table(top: &mut Table<'_, '_>, source: &Arc<Source>) -> Self {
        let name = top.required_string("schema").value;
        let version = top.integer("version").map_or(1, |version| version.value);
        let doc = top.string("doc").map_or_else(String::new, |doc| doc.value);
        let mut fields = Vec::new();
        for (field, value) in top.entries("fields") {
            if TRACE_COLUMNS.contains(&field.value.as_str()) {
                let problem =
                    Problem::error(document::CODE, format!("fields.{}: every published table has this column already", field.value));
                top.report(problem.hint(format!("choose another name; reserved: {}", TRACE_COLUMNS.join(", "))), field.span.clone());
            }
            if let Some(read) = top.entry(&field.value.clone(), value, |table| read_field(table, field)) {
                fields.push(read);
            }
        }
        let rules = top.tables("rules", read_rule);
        Self { name, version, doc, fields, rules, source: Arc::clone(source) }
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&TargetField> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Columns of the published table, without the trace columns.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.fields.iter().map(|field| Field::new(&field.name, field.data_type.clone(), true)).collect::<Vec<_>>()))
    }
}

fn read_level(table: &mut Table<'_, '_>, key: &'static str) -> Option<Level> {
    if !table.has(key) {
        return None;
    }
    Some(match table.word(key, &["error", "warn", "info"]) {
        "warn" => Level::Warn,
        "info" => Level::Info,
        _ => Level::Error,
    })
}

fn read_field(table: &mut Table<'_, '_>, name: Placed<String>) -> TargetField {
    let data_type = read_type(table);
    let vocab = table.string("vocab");
    if let Some(vocab) = &vocab
        && let Err(problem) = vocabulary::shipped(&vocab.value)
    {
        table.report(problem, vocab.span.clone());
    }
    let checks = table.strings("check").into_iter().filter_map(|check| Check::named(table, &check)).collect();
    let pattern = table.string("pattern");
    if let Some(pattern) = &pattern
        && let Err(error) = regex::Regex::new(&pattern.value)
    {
        let reason = error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        table.report(
            Problem::error(document::CODE, format!("pattern is no regular expression: {reason}"))
                .hint("see the syntax of Rust's regex crate"),
            pattern.span.clone(),
        );
    }
    let finish = if table.has("finish") {
        table.strings("finish").into_iter().filter_map(|step| read_finish(table, &step)).collect()
    } else {
        vec![Finish::Trim, Finish::Nfc, Finish::Dedupe]
    };
    let unique = read_level(table, "unique");
    if unique.is_some() && data_type != DataType::Utf8 {
        let problem = Problem::error(document::CODE, format!("{} cannot be unique: it is {}", name.value, type_name(&data_type)));
        table.report(problem.hint("unique is for fields of one text; take it out"), name.span.clone());
    }
    TargetField {
        name: name.value,
        data_type,
        required: read_level(table, "required"),
        vocab: vocab.map(|vocab| vocab.value),
        on_unknown: read_level(table, "on_unknown").unwrap_or(Level::Warn),
        checks,
        pattern: pattern.map(|pattern| pattern.value),
        on_fail: read_level(table, "on_fail").unwrap_or(Level::Error),
        unique,
        finish,
        doc: table.string("doc").map_or_else(String::new, |doc| doc.value),
        span: name.span,
    }
}

fn read_finish(table: &mut Table<'_, '_>, step: &Placed<String>) -> Option<Finish> {
    match step.value.as_str() {
        "trim" => Some(Finish::Trim),
        "nfc" => Some(Finish::Nfc),
        "dedupe" => Some(Finish::Dedupe),
        other => {
            let problem = Problem::error(document::CODE, format!("no finishing step \"{other}\"")).hint("known: trim, nfc, dedupe");
            table.report(problem, step.span.clone());
            None
        }
    }
}

fn read_rule(table: &mut Table<'_, '_>) -> Rule {
    let name = table.required_string("name").value;
    let severity = read_level(table, "severity").unwrap_or(Level::Error);
    let sql = table.required_string("sql");
    let message = table.string("message").map_or_else(|| format!("does not hold: {}", sql.value), |message| message.value);
    Rule { name, severity, sql, message }
}

fn read_type(table: &mut Table<'_, '_>) -> DataType {
    let written = table.required_string("type");
    parse_type(&written.value).unwrap_or_else(|wrong| {
        let problem = Problem::error(document::CODE, format!("no type \"{wrong}\""));
        table.report(
            problem.hint("known: string, int, bigint, double, boolean, timestamp, date, list<…>, struct<name: …, …>"),
            written.span.clone(),
        );
        DataType::Utf8
    })
}

/// Parses a type as written in a target schema, such as `list<struct<url: string, width: int>>`.
///
/// # Errors
/// The part that is not a type.
pub fn parse_type(text: &str) -> Result<DataType, String> {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix("list<").and_then(|rest| rest.strip_suffix('>')) {
        return Ok(list_of(parse_type(inner)?));
    }
    if let Some(inner) = text.strip_prefix("struct<").and_then(|rest| rest.strip_suffix('>')) {
        let members: Result<Vec<Field>, String> = split_members(inner).into_iter().map(parse_member).collect();
        return Ok(DataType::Struct(Fields::from(members?)));
    }
    match text {
        "string" => Ok(DataType::Utf8),
        "int" => Ok(DataType::Int32),
        "bigint" => Ok(DataType::Int64),
        "double" => Ok(DataType::Float64),
        "boolean" => Ok(DataType::Boolean),
        "date" => Ok(DataType::Date32),
        "timestamp" => Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        other => Err(other.to_owned()),
    }
}

fn parse_member(text: &str) -> Result<Field, String> {
    let (name, kind) = text.split_once(':').ok_or_else(|| text.trim().to_owned())?;
    Ok(Field::new(name.trim(), parse_type(kind)?, true))
}

fn split_members(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0usize, 0, Vec::new());
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The type as an operator writes it: the inverse of [`parse_type`].
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => "int".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Float32 | DataType::Float64 => "double".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Timestamp(..) => "timestamp".into(),
        DataType::List(item) | DataType::LargeList(item) => format!("list<{}>", type_name(item.data_type())),
        DataType::Struct(members) => {
            let members: Vec<String> =
                members.iter().map(|member| format!("{}: {}", member.name(), type_name(member.data_type()))).collect();
            format!("struct<{}>", members.join(", "))
        }
        DataType::Dictionary(_, value) => type_name(value),
        DataType::Null => "null".into(),
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_reads_back_as_it_was_written() {
        for text in ["string", "list<string>", "list<struct<url: string, size: list<int>>>", "timestamp"] {
            assert_eq!(type_name(&parse_type(text).unwrap()), text);
        }
        assert_eq!(parse_type("list<strin>"), Err("strin".to_owned()));
    }

    #[test]
    fn every_shipped_target_schema_reads_without_a_mistake() {
        for file in SHIPPED.files() {
            let source = Arc::new(Source { path: file.path().display().to_string(), text: file.contents_utf8().unwrap().to_owned() });
            let mut problems = Problems::default();
            TargetSchema::read(&source, &mut problems);
            assert!(problems.0.is_empty(), "{problems}");
        }
    }
}
