//! The tables of a job and their columns, known without a run: a commit needs them even where no file was written.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use schemas::source::list_of;

/// Records that came out of a mapping and passed their target schema.
pub const MAPPED: &str = "mapped";
/// Records withheld because of an error-level finding.
pub const QUARANTINE: &str = "quarantine";
/// Everything observed on records and pages.
pub const FINDINGS: &str = "findings";

/// Name of the table of the records of a source schema, as harvested.
pub fn vernacular_table(source: &str) -> String {
    format!("vernacular_{source}")
}

/// Columns of `mapped`: where the record came from, then the target's fields.
pub fn mapped_schema(target: &Fields) -> SchemaRef {
    Arc::new(Schema::new(trace_fields().into_iter().chain(target_fields(target)).collect::<Vec<_>>()))
}

/// Columns of `quarantine`: those of `mapped` as far as they came, the record as JSON text, and its findings.
pub fn quarantine_schema(target: &Fields) -> SchemaRef {
    let mut fields: Vec<Field> = trace_fields().into_iter().chain(target_fields(target)).collect();
    fields.push(text("record"));
    fields.push(Field::new("findings", finding_list(), true));
    Arc::new(Schema::new(fields))
}

/// Columns of `findings`. `record_id` and `page_seq` are null where a finding is about a page.
pub fn findings_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        required("collection_id"),
        text("record_id"),
        required("page"),
        Field::new("page_seq", DataType::Int32, true),
        required("severity"),
        required("code"),
        text("field"),
        text("value"),
        required("message"),
        text("mapping"),
    ]))
}

/// Members of a finding where it is part of a record: of `_findings`, and of quarantine's `findings`.
pub const FINDING_MEMBERS: [&str; 5] = ["severity", "code", "field", "value", "message"];

/// `list<struct<severity, code, field, value, message>>`.
pub fn finding_list() -> DataType {
    list_of(DataType::Struct(FINDING_MEMBERS.into_iter().map(text).collect()))
}

/// The columns that lead back to the page.
fn trace_fields() -> Vec<Field> {
    vec![required("collection_id"), required("record_id"), required("page"), Field::new("page_seq", DataType::Int32, false)]
}

/// A plan may know that a column is never null in this run; the table must not depend on it, nor on a plan's metadata.
fn target_fields(target: &Fields) -> impl Iterator<Item = Field> {
    target.iter().map(|field| Field::new(field.name(), field.data_type().clone(), true))
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn required(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapped_table_starts_with_the_trace_columns_of_a_target() {
        let target = Fields::from(vec![Field::new("title", DataType::Utf8, false)]);
        let schema = mapped_schema(&target);
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names[..4], schemas::target::TRACE_COLUMNS);
        assert!(schema.field_with_name("title").unwrap().is_nullable());
        assert_eq!(quarantine_schema(&target).fields().len(), 7);
    }
}
