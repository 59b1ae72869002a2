//! What Glue says to people about a table and its columns: the words of the target, and ours for what the engine adds.

use std::collections::BTreeMap;

use crate::project::{Job, Project};
use crate::sink::schema::{FINDINGS, MAPPED, QUARANTINE};

/// Descriptions of a table and its columns.
#[derive(Debug, Clone, Default)]
pub(super) struct Docs {
    pub(super) table: String,
    pub(super) columns: BTreeMap<String, String>,
}

/// Columns that the engine adds to tables.
const COLUMNS: [(&str, &str); 24] = [
    ("collection_id", "The collection."),
    ("record_id", "Identifier of the record at its source."),
    ("harvest_id", "Collection and record identifier."),
    ("datestamp", "Date of the record, as supplied."),
    ("datestamp_ts", "Date of the record as an instant."),
    ("sets", "Sets that the record belongs to."),
    ("deleted", "Whether the source says that the record is gone."),
    ("record_format", "Format of the record."),
    ("page", "The page that the record was on."),
    ("page_seq", "Place of the record on its page, from 0."),
    ("byte_start", "First byte of the record in the unpacked page."),
    ("byte_len", "Bytes of the record."),
    ("source_url", "Where the record was harvested from."),
    ("harvested_at", "When the record was harvested."),
    ("raw", "The record as supplied."),
    ("raw_sha256", "SHA-256 of the record as supplied."),
    ("problems", "What was wrong with the record when it was read."),
    ("severity", "error, warn or info."),
    ("code", "Code of the finding."),
    ("field", "The field it is about."),
    ("value", "The value it is about."),
    ("message", "What was noticed."),
    ("mapping", "The line of the mapping."),
    ("record", "The record as JSON."),
];

/// What is known of a table of a database.
pub(super) fn of(project: &Project, database: &str, table: &str) -> Docs {
    let mut jobs = project.jobs.values().filter(|job| job.database == database);
    let mut docs = Docs::default();
    let own: BTreeMap<String, String> = COLUMNS.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    match table {
        MAPPED | QUARANTINE => {
            docs.columns = own;
            if let Some(target) = jobs.find_map(|job| job.target.as_ref()) {
                docs.columns.extend(target.fields.iter().map(|field| (field.name.clone(), field.doc.clone())));
                docs.table = target.doc.clone();
            }
            if table == QUARANTINE {
                docs.table = "Records withheld because of an error.".into();
            }
        }
        FINDINGS => (docs.table, docs.columns) = ("What was noticed about records and pages.".into(), own),
        _ if table.starts_with("vernacular_") => (docs.table, docs.columns) = ("Records as harvested.".into(), own),
        _ => {
            if let Some(step) = jobs.flat_map(|job: &std::sync::Arc<Job>| &job.steps).find(|step| step.table.value == table) {
                docs.table.clone_from(&step.doc);
                let fields = step.target.iter().flat_map(|target| &target.fields);
                docs.columns = fields.map(|field| (field.name.clone(), field.doc.clone())).collect();
            }
        }
    }
    if docs.table.is_empty() {
        docs.table = format!("{table} of {database}");
    }
    docs
}
