//! `pacha findings`: what was noticed about the records of a job's last version, grouped by cause, with examples.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use engine::query::tables::Overlay;
use engine::session::Session;
use engine::sql::mistake;
use engine::table::counted;
use engine::{Error, Result};
use schemas::problem::{Problem, Source};
use serde_json::{Value, json};

use super::{DONE, rollback, show};
use crate::cli::{Form, Global};
use crate::printer::Printer;

/// Examples shown of each cause.
const EXAMPLES: usize = 3;

pub(crate) struct Wanted {
    pub(crate) job: String,
    pub(crate) field: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) collection: Option<String>,
}

pub(crate) async fn findings(global: &Global, wanted: &Wanted, form: Form, printer: &Printer) -> Result<u8> {
    let session = super::open_sound(global, printer)?;
    let job = session.project.job(&wanted.job)?;
    if job.target.is_none() {
        let problem = Problem::error("PC141", format!("job {} has no target, so nothing is checked", job.name));
        return Err(Error::configuration(problem.hint("findings come from jobs with a mapping and a target")));
    }
    rollback::known_database(&session, &job.database).await?;
    let groups = Box::pin(groups(&session, &job.database, wanted)).await?;
    match form {
        Form::Json => printer.json(&groups),
        Form::Text if groups.is_empty() => printer.note("no findings"),
        Form::Text => printer.data(&text(&groups, &job.database)),
    }
    Ok(DONE)
}

async fn groups(session: &Session, database: &str, wanted: &Wanted) -> Result<Vec<Value>> {
    let mut filters = vec!["TRUE".to_owned()];
    let mut parameters = BTreeMap::new();
    for (column, value) in [("field", &wanted.field), ("code", &wanted.code), ("collection_id", &wanted.collection)] {
        if let Some(value) = value {
            filters.push(format!("{column} = ${column}"));
            parameters.insert(column.to_owned(), value.clone());
        }
    }
    let chosen = format!("SELECT * FROM \"{database}\".findings WHERE {}", filters.join(" AND "));
    let sql = format!(
        "WITH chosen AS ({chosen}),
         numbered AS (SELECT *, row_number() OVER (PARTITION BY severity, code, field ORDER BY collection_id, record_id, page_seq) AS nth FROM chosen),
         causes AS (SELECT severity, code, field, count(*) AS count, count(DISTINCT concat(collection_id, '--', record_id)) FILTER (WHERE record_id IS NOT NULL) AS records
                    FROM chosen GROUP BY severity, code, field)
         SELECT c.severity, c.code, c.field, c.count, c.records, n.collection_id, n.record_id, n.page, n.page_seq, n.value, n.message, n.mapping
         FROM causes c JOIN numbered n ON c.severity = n.severity AND c.code = n.code AND c.field IS NOT DISTINCT FROM n.field
         WHERE n.nth <= {EXAMPLES}
         ORDER BY CASE c.severity WHEN 'error' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END, c.count DESC, c.code, c.field, n.nth"
    );
    let source = Arc::new(Source { path: "findings".into(), text: sql });
    let mut groups: Vec<Value> = Vec::new();
    for statement in engine::query::statements(&source)? {
        let frame = engine::query::plan(session, &source, 0..source.text.len(), statement, &Overlay::default(), &parameters).await?;
        for batch in frame.collect().await.map_err(|error| mistake::running(&error))? {
            for row in rows(&batch)? {
                add(&mut groups, &row);
            }
        }
    }
    Ok(groups)
}

fn rows(batch: &RecordBatch) -> Result<Vec<Value>> {
    let failed = |error: String| Error::failed(Problem::error("PR014", format!("the findings cannot be shown: {error}")));
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write(batch).and_then(|()| writer.finish()).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&writer.into_inner()).map_err(|error| failed(error.to_string()))
}

/// Puts a row into its group as an example.
fn add(groups: &mut Vec<Value>, row: &Value) {
    let cause = |value: &Value| [value["severity"].clone(), value["code"].clone(), value["field"].clone()];
    let example = json!({ "collection_id": row["collection_id"], "record_id": row["record_id"], "page": row["page"], "page_seq": row["page_seq"],
        "value": row["value"], "message": row["message"], "mapping": row["mapping"] });
    match groups.last_mut() {
        Some(last) if cause(last) == cause(row) => {
            if let Some(examples) = last["examples"].as_array_mut() {
                examples.push(example);
            }
        }
        _ => groups.push(json!({ "severity": row["severity"], "code": row["code"], "field": row["field"], "count": row["count"],
            "records": row["records"], "examples": [example] })),
    }
}

fn text(groups: &[Value], database: &str) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let shown = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for group in groups {
        let (count, records) = (group["count"].as_u64().unwrap_or_default(), group["records"].as_u64().unwrap_or_default());
        let field = group["field"].as_str().map_or(String::new(), |field| format!(" {field}"));
        // What is found on a page concerns no record that is known.
        let on = if records > 0 { format!(" on {}", counted(records, "record")) } else { String::new() };
        let _ = writeln!(out, "{} {}{field}: {}{on}", shown(&group["severity"]), shown(&group["code"]), counted(count, "finding"));
        for example in group["examples"].as_array().into_iter().flatten() {
            let id = example["record_id"]
                .as_str()
                .map_or_else(|| shown(&example["collection_id"]), |id| format!("{}--{id}", shown(&example["collection_id"])));
            let seq = example["page_seq"].as_u64().map_or(String::new(), |seq| format!(" #{seq}"));
            let value = example["value"].as_str().map_or(String::new(), |value| format!(": \"{}\"", show::cut(value, 60)));
            let at = example["mapping"].as_str().map_or(String::new(), |at| format!("  [{at}]"));
            let _ = writeln!(out, "  {id} ({}{seq}): {}{value}{at}", shown(&example["page"]), show::cut(&shown(&example["message"]), 200));
        }
    }
    if groups.iter().any(|group| group["severity"] == "error" && group["records"].as_u64() > Some(0)) {
        let _ = writeln!(out, "\nwithheld records: pacha sql \"SELECT * FROM {database}.quarantine\"");
    }
    out
}
