//! `pacha inspect`: what a page, a folder or a collection holds, before any mapping is written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, SchemaRef};
use arrow::util::display::array_value_to_string;
use engine::query::tables::Overlay;
use engine::session::Session;
use engine::sql::mistake;
use engine::{Error, Result};
use schemas::problem::{Problem, Source};
use schemas::source::envelope_fields;
use schemas::target::type_name;
use serde_json::json;

use super::{DONE, show};
use crate::cli::{Form, Global};
use crate::printer::{Printer, table, thousands};

pub(crate) struct Wanted {
    pub(crate) what: String,
    pub(crate) source: Option<String>,
    pub(crate) field: Option<String>,
    pub(crate) top: usize,
    pub(crate) form: Form,
}

pub(crate) async fn inspect(global: &Global, wanted: &Wanted, printer: &Printer) -> Result<u8> {
    let session = super::open_anywhere(global, printer)?;
    let from = relation(&session, wanted)?;
    let schema: SchemaRef = Arc::new(frame(&session, &format!("SELECT * FROM {from} LIMIT 0")).await?.schema().as_arrow().clone());
    let fields = described(&schema);
    if let Some(name) = &wanted.field {
        return values(&session, &from, name, &fields, wanted, printer).await;
    }
    let summary = summary(&session, &from, &fields).await?;
    match wanted.form {
        Form::Json => printer.json(&summary.json(&wanted.what)),
        Form::Text => printer.data(&summary.text(&wanted.what)),
    }
    Ok(DONE)
}

/// The table to ask: a collection of the project, or pages at a path.
fn relation(session: &Session, wanted: &Wanted) -> Result<String> {
    let quoted = |text: &str| text.replace('\'', "''");
    if session.project.collections.contains_key(&wanted.what) {
        return Ok(format!("collection.\"{}\"", wanted.what));
    }
    let path = Path::new(&wanted.what);
    let remote = wanted.what.contains("://");
    if !remote && !path.exists() && !wanted.what.contains('*') {
        let problem = Problem::error("PX103", format!("\"{}\" is neither a path nor a collection", wanted.what));
        let known: Vec<&str> = session.project.collections.keys().map(String::as_str).collect();
        return Err(problem.hint(schemas::suggest::hint(&wanted.what, known.iter().copied())).into());
    }
    // What is typed on the command line is relative to where it is typed, not to the project.
    let absolute =
        if remote { wanted.what.clone() } else { std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string() };
    Ok(match &wanted.source {
        Some(source) => format!("pages('{}', '{}')", quoted(&absolute), quoted(source)),
        None => format!("pages('{}')", quoted(&absolute)),
    })
}

async fn frame(session: &Session, sql: &str) -> Result<datafusion::dataframe::DataFrame> {
    let source = Arc::new(Source { path: "inspect".into(), text: sql.to_owned() });
    let statement = engine::query::statements(&source)?.remove(0);
    engine::query::plan(session, &source, 0..sql.len(), statement, &Overlay::default(), &BTreeMap::new()).await
}

async fn rows(session: &Session, sql: &str) -> Result<RecordBatch> {
    let failed = |error: datafusion::error::DataFusionError| mistake::running(&error);
    let frame = frame(session, sql).await?;
    let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await.map_err(failed)?;
    arrow::compute::concat_batches(&schema, &batches).map_err(|error| failed(error.into()))
}

/// A field that can be asked about: its name, the SQL that reads it, and its type.
struct Described {
    name: String,
    sql: String,
    data_type: DataType,
}

impl Described {
    /// SQL that is true where the field has a value.
    fn present(&self) -> String {
        match &self.data_type {
            DataType::List(_) => format!("cardinality({}) > 0", self.sql),
            _ => format!("{} IS NOT NULL", self.sql),
        }
    }

    /// SQL of one value as text.
    fn sample(&self) -> String {
        match &self.data_type {
            DataType::Struct(_) => "NULL".into(),
            DataType::List(item) if item.data_type().is_nested() => "NULL".into(),
            DataType::List(_) => format!("CAST({}[1] AS VARCHAR)", self.sql),
            _ => format!("CAST({} AS VARCHAR)", self.sql),
        }
    }
}

/// The columns after the envelope; of JSON documents, their members.
fn described(schema: &SchemaRef) -> Vec<Described> {
    let envelope = envelope_fields();
    let own = |field: &Field| envelope.iter().any(|known| known.name() == field.name()) || field.name() == "collection";
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut all = Vec::new();
    for field in schema.fields().iter().filter(|field| !own(field)) {
        match field.data_type() {
            DataType::Struct(members) if field.name() == "doc" => all.extend(members.iter().map(|member| Described {
                name: format!("doc.{}", member.name()),
                sql: format!("doc['{}']", member.name().replace('\'', "''")),
                data_type: member.data_type().clone(),
            })),
            data_type => all.push(Described { name: field.name().clone(), sql: quoted(field.name()), data_type: data_type.clone() }),
        }
    }
    all
}

struct Summary {
    format: String,
    numbers: Vec<(&'static str, i64)>,
    dates: Vec<Option<String>>,
    fields: Vec<(String, String, i64, Option<String>)>,
    /// Code, how often, and one of them: the record and what is wrong.
    problems: Vec<(String, i64, String)>,
}

/// Codes of problems that are listed.
const PROBLEMS: usize = 5;

const NUMBERS: [(&str, &str); 5] = [
    ("records", "count(*)"),
    ("deleted", "count(*) FILTER (WHERE deleted)"),
    ("duplicates", "count(*) - count(DISTINCT record_id)"),
    ("problems", "coalesce(sum(cardinality(problems)), 0)"),
    ("pages", "count(DISTINCT page)"),
];

async fn summary(session: &Session, from: &str, fields: &[Described]) -> Result<Summary> {
    let mut items: Vec<String> = NUMBERS.iter().map(|(_, sql)| format!("CAST({sql} AS BIGINT)")).collect();
    items.extend(["min(datestamp)", "max(datestamp)", "min(record_format)"].map(str::to_owned));
    for field in fields {
        items.push(format!("count(*) FILTER (WHERE {})", field.present()));
        items.push(format!("min({})", field.sample()));
    }
    let items: Vec<String> = items.iter().enumerate().map(|(index, sql)| format!("{sql} AS c{index}")).collect();
    let row = rows(session, &format!("SELECT {} FROM {from}", items.join(", "))).await?;
    let number = |column: usize| row.column(column).as_primitive_opt::<Int64Type>().map_or(0, |values| values.value(0));
    let text = |column: usize| row.column(column).is_valid(0).then(|| array_value_to_string(row.column(column), 0).ok()).flatten();
    let base = NUMBERS.len();
    let some = NUMBERS.iter().position(|(name, _)| *name == "problems").is_some_and(|column| number(column) > 0);
    let problems = if some { problems(session, from).await? } else { Vec::new() };
    Ok(Summary {
        problems,
        format: text(base + 2).unwrap_or_default(),
        numbers: NUMBERS.iter().enumerate().map(|(index, (name, _))| (*name, number(index))).collect(),
        dates: vec![text(base), text(base + 1)],
        fields: fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                (field.name.clone(), type_name(&field.data_type), number(base + 3 + 2 * index), text(base + 4 + 2 * index))
            })
            .collect(),
    })
}

/// The most frequent problems of the records, each with one example.
async fn problems(session: &Session, from: &str) -> Result<Vec<(String, i64, String)>> {
    let sql = format!(
        "SELECT p['code'] AS code, count(*) AS count, min(concat(record_id, ': ', p['message'])) AS example
         FROM (SELECT record_id, unnest(problems) AS p FROM {from}) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {PROBLEMS}"
    );
    let batch = rows(session, &sql).await?;
    let text = |column: usize, row: usize| array_value_to_string(batch.column(column), row).unwrap_or_default();
    let count = batch.column(1).as_primitive_opt::<Int64Type>();
    Ok((0..batch.num_rows()).map(|row| (text(0, row), count.map_or(0, |count| count.value(row)), text(2, row))).collect())
}

impl Summary {
    fn live(&self) -> i64 {
        (self.numbers[0].1 - self.numbers[1].1).max(0)
    }

    fn text(&self, what: &str) -> String {
        use std::fmt::Write;
        let number = |value: i64| thousands(u64::try_from(value).unwrap_or_default());
        let mut out = format!("{what}: {}", self.format);
        for (name, value) in &self.numbers {
            let name = if *value == 1 { name.strip_suffix('s').unwrap_or(name) } else { name };
            let _ = write!(out, " · {} {name}", number(*value));
        }
        if let (Some(first), Some(last)) = (&self.dates[0], &self.dates[1]) {
            let _ = write!(out, " · {first} to {last}");
        }
        out.push('\n');
        if self.numbers[0].1 == 0 {
            out.push_str("no records were found here; the lines above say why, if a page is at fault\n");
        }
        let rows: Vec<[String; 3]> =
            self.problems.iter().map(|(code, count, example)| [code.clone(), number(*count), show::cut(example, 120)]).collect();
        if !rows.is_empty() {
            let _ = write!(out, "\n{}", table(["problem", "count", "for example"], &rows));
        }
        let live = self.live().max(1) as f64;
        let found = self.fields.iter().filter(|(_, _, filled, _)| *filled > 0);
        let rows: Vec<[String; 5]> = found
            .map(|(name, data_type, filled, sample)| {
                [
                    name.clone(),
                    show::cut(data_type, 28),
                    number(*filled),
                    format!("{:.0} %", *filled as f64 * 100.0 / live),
                    show::cut(sample.as_deref().unwrap_or_default(), 60),
                ]
            })
            .collect();
        if !rows.is_empty() {
            let _ = write!(out, "\n{}", table(["field", "type", "filled", "of live", "for example"], &rows));
        }
        let empty: Vec<&str> = self.fields.iter().filter(|(_, _, filled, _)| *filled == 0).map(|(name, ..)| name.as_str()).collect();
        if !empty.is_empty() {
            let _ = writeln!(out, "\nalways empty: {}", empty.join(", "));
        }
        out
    }

    fn json(&self, what: &str) -> serde_json::Value {
        let numbers: serde_json::Map<String, serde_json::Value> =
            self.numbers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|(name, data_type, filled, sample)| json!({ "name": name, "type": data_type, "filled": filled, "sample": sample }))
            .collect();
        let problems: Vec<_> =
            self.problems.iter().map(|(code, count, example)| json!({ "code": code, "count": count, "example": example })).collect();
        json!({ "what": what, "format": self.format, "counts": numbers, "datestamps": self.dates, "problems": problems, "fields": fields })
    }
}

async fn values(session: &Session, from: &str, name: &str, fields: &[Described], wanted: &Wanted, printer: &Printer) -> Result<u8> {
    let Some(field) = fields.iter().find(|field| field.name == name || field.name == format!("doc.{name}")) else {
        let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        return Err(Error::configuration(
            Problem::error("PM201", format!("no field \"{name}\" in {}", wanted.what))
                .hint(schemas::suggest::hint(name, known.iter().copied())),
        ));
    };
    let value = match &field.data_type {
        DataType::List(_) => format!("unnest({})", field.sql),
        _ => field.sql.clone(),
    };
    let sql = format!(
        "SELECT CAST(value AS VARCHAR) AS value, count(*) AS count FROM (SELECT {value} AS value FROM {from}) WHERE value IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {}",
        wanted.top
    );
    let batch = rows(session, &sql).await?;
    let count = batch.column(1).as_primitive_opt::<Int64Type>();
    let found: Vec<(String, i64)> = (0..batch.num_rows())
        .map(|row| (array_value_to_string(batch.column(0), row).unwrap_or_default(), count.map_or(0, |count| count.value(row))))
        .collect();
    match wanted.form {
        Form::Json => printer.json(&found.iter().map(|(value, count)| json!({ "value": value, "count": count })).collect::<Vec<_>>()),
        Form::Text => {
            let rows: Vec<[String; 2]> =
                found.iter().map(|(value, count)| [thousands(u64::try_from(*count).unwrap_or_default()), show::cut(value, 100)]).collect();
            printer.data(&table(["count", name], &rows));
        }
    }
    Ok(DONE)
}
