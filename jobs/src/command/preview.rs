//! `pacha preview`: records as harvested and as mapped, side by side; writes nothing.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::util::display::array_value_to_string;
use engine::job::preview::{OWN_COLUMNS, PreviewRequest, preview as records};
use engine::project::{Collection, Job};
use engine::session::Session;
use engine::{Error, Result};
use schemas::problem::Problem;
use serde_json::{Map, Value, json};

use super::{DONE, show};
use crate::cli::{Form, Global};
use crate::printer::Printer;

pub(crate) async fn preview(global: &Global, what: &str, request: &PreviewRequest, form: Form, printer: &Printer) -> Result<u8> {
    let session = super::open(global, printer)?;
    let (job, collection, mapping) = chosen(&session, what, request)?;
    let Some(target) = &job.target else {
        let problem = Problem::error("PC142", format!("job {} has no target to map to", job.name));
        return Err(Error::configuration(problem.hint("preview a job with a mapping, or use pacha sql")));
    };
    let batches = records(&session, &job, target, &collection, &mapping, request).await?;
    let shown: Vec<Value> = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| record(batch, row))).collect();
    match form {
        Form::Json => printer.json(&shown),
        Form::Text => printer.data(&shown.iter().map(side_by_side).collect::<Vec<_>>().join("\n")),
    }
    Ok(DONE)
}

/// The job, collection and mapping that `what` means: a job's first collection, or the first collection that takes the mapping.
fn chosen(session: &Session, what: &str, request: &PreviewRequest) -> Result<(Arc<Job>, Arc<Collection>, String)> {
    let wanted = |collection: &Arc<Collection>| collection.enabled && request.collection.as_ref().is_none_or(|id| *id == collection.id);
    if let Some(job) = session.project.jobs.get(what) {
        known(request, &format!("job {what}"), job.collections.iter().filter(|collection| collection.enabled))?;
        let found = job.collections.iter().find(|collection| wanted(collection));
        let collection = found.ok_or_else(|| none(&format!("job {what} has no collection to preview")))?;
        return Ok((Arc::clone(job), Arc::clone(collection), job.mapping_of(collection).unwrap_or_default().to_owned()));
    }
    if !session.project.mappings.contains_key(what) {
        let known: Vec<&str> = session.project.jobs.keys().chain(session.project.mappings.keys()).map(String::as_str).collect();
        return Err(Problem::error("PC143", format!("no job or mapping \"{what}\""))
            .hint(schemas::suggest::hint(what, known.iter().copied()))
            .into());
    }
    let jobs = session.project.jobs.values().filter(|job| job.target.is_some());
    known(request, "the project", session.project.collections.values().filter(|collection| collection.enabled))?;
    let pairs = jobs.flat_map(|job| job.collections.iter().map(move |collection| (job, collection)));
    let mut pairs: Vec<_> = pairs.filter(|(_, collection)| wanted(collection)).collect();
    // A collection that takes the mapping already comes first.
    pairs.sort_by_key(|(job, collection)| job.mapping_of(collection) != Some(what));
    let (job, collection) = pairs.first().ok_or_else(|| none(&format!("no job with a target has a collection for mapping {what}")))?;
    Ok((Arc::clone(job), Arc::clone(collection), what.to_owned()))
}

/// An error if the collection that was asked for is none of these.
fn known<'c>(request: &PreviewRequest, whose: &str, collections: impl Iterator<Item = &'c Arc<Collection>>) -> Result<()> {
    let Some(id) = &request.collection else { return Ok(()) };
    let ids: Vec<&str> = collections.map(|collection| collection.id.as_str()).collect();
    if ids.contains(&id.as_str()) {
        return Ok(());
    }
    Err(Problem::error("PC130", format!("{whose} has no collection {id}")).hint(schemas::suggest::hint(id, ids.iter().copied())).into())
}

fn none(message: &str) -> Error {
    Problem::error("PC143", message.to_owned()).hint("name a collection with --collection").into()
}

/// One record: identifiers, harvested fields, mapped fields, findings; empty ones left out.
fn record(batch: &RecordBatch, row: usize) -> Value {
    let mapped = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| !OWN_COLUMNS.contains(&field.name().as_str()))
        .filter_map(|(field, column)| Some((field.name().clone(), value(column, row)?)))
        .collect::<Map<_, _>>();
    let envelope: Option<&StructArray> = batch.column_by_name("_record").and_then(|column| column.as_struct_opt());
    let text = |name: &str| envelope.and_then(|record| record.column_by_name(name)).and_then(|column| value(column, row));
    let harvested = envelope.and_then(|record| record.column_by_name("vernacular")).and_then(|column| column.as_struct_opt());
    let own = schemas::source::envelope_fields();
    let source = harvested
        .map(|fields| {
            let members = fields.column_names().into_iter().zip(fields.columns());
            members
                .filter(|(name, _)| !own.iter().any(|field| field.name() == name))
                .filter_map(|(name, column)| Some((name.to_owned(), value(column, row)?)))
                .collect::<Map<_, _>>()
        })
        .map(unpacked);
    let findings = batch.column_by_name("_findings").and_then(|column| value(column, row));
    let kept =
        batch.column_by_name("_kept").and_then(|column| column.as_boolean_opt()).is_none_or(|kept| kept.is_valid(row) && kept.value(row));
    json!({ "collection_id": text("collection_id"), "record_id": text("record_id"), "page": text("page"), "page_seq": text("page_seq"),
        "skipped": !kept, "source": source, "mapped": mapped, "findings": findings })
}

/// The members of a JSON document in the place of its text.
fn unpacked(mut fields: Map<String, Value>) -> Map<String, Value> {
    let document = fields.get("doc").and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
    if let Some(Value::Object(members)) = document {
        fields.remove("doc");
        fields.extend(members);
    }
    fields
}

/// A value as JSON; nothing for null and for an empty list.
fn value(column: &ArrayRef, row: usize) -> Option<Value> {
    if column.is_null(row) {
        return None;
    }
    if let Some(list) = column.as_list_opt::<i32>() {
        let items = list.value(row);
        let values: Vec<Value> = (0..items.len()).filter_map(|index| value(&items, index)).collect();
        return (!values.is_empty()).then_some(Value::Array(values));
    }
    if let Some(fields) = column.as_struct_opt() {
        let members: Map<String, Value> = fields
            .column_names()
            .into_iter()
            .zip(fields.columns())
            .filter_map(|(name, column)| Some((name.to_owned(), value(column, row)?)))
            .collect();
        return (!members.is_empty()).then_some(Value::Object(members));
    }
    let text = array_value_to_string(column, row).ok()?;
    if column.data_type().is_numeric() {
        return serde_json::from_str(&text).ok().or(Some(Value::String(text)));
    }
    Some(Value::String(text))
}

fn side_by_side(record: &Value) -> String {
    use std::fmt::Write;
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut out = format!(
        "── {}--{} ({} #{})",
        plain(&record["collection_id"]),
        plain(&record["record_id"]),
        plain(&record["page"]),
        record["page_seq"]
    );
    if record["skipped"] == true {
        out.push_str("  skipped by WHERE");
    }
    out.push('\n');
    let lines = |side: &Value| -> Vec<String> {
        let fields = side.as_object().into_iter().flatten();
        fields
            .flat_map(|(name, value)| {
                let values = match value {
                    Value::Array(values) => values.iter().map(plain).collect(),
                    one => vec![plain(one)],
                };
                values
                    .into_iter()
                    .enumerate()
                    .map(move |(index, text)| format!("{:<20} {text}", if index == 0 { name.as_str() } else { "" }))
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let (left, right) = (lines(&record["source"]), lines(&record["mapped"]));
    for index in 0..left.len().max(right.len()) {
        let cell = |side: &[String]| show::cut(side.get(index).map_or("", String::as_str), 62);
        let left = cell(&left);
        let _ = writeln!(out, "{left}{} │ {}", " ".repeat(64_usize.saturating_sub(left.chars().count())), cell(&right));
    }
    for finding in record["findings"].as_array().into_iter().flatten() {
        let field = finding["field"].as_str().map_or(String::new(), |field| format!(" {field}"));
        let _ = writeln!(out, "{} {}{field}: {}", plain(&finding["severity"]), plain(&finding["code"]), plain(&finding["message"]));
    }
    out
}
