//! What is observed on records and pages: rows of the findings table, and groups by cause for the summary.
//!
//! A run over a bad collection has more findings than records, so nothing is allocated for a finding beyond the columns it
//! is written to; a group of causes that is already known is looked up by borrowed text.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Builder, StringBuilder};

use super::record::{Records, value};
use super::route::Route;
use super::summary::{Example, FindingGroup};

/// Longer values are cut in the findings table; the record itself has them whole.
const VALUE_CHARACTERS: usize = 1_000;
/// Examples go into the run record and to the terminal.
const EXAMPLE_CHARACTERS: usize = 200;
/// Examples of a group.
pub(super) const EXAMPLES: usize = 3;
/// Groups of a partition; a field of a problem is a path in the record, so there may be as many as records.
const GROUPS: usize = 1_000;
/// The field of the groups beyond.
const OTHER_FIELDS: &str = "(other fields)";

/// Page problems that lose records, or are no page at all.
const PAGE_ERRORS: [&str; 6] = ["PX101", "PX102", "PX105", "PX110", "PX111", "PX116"];

/// One observation.
#[derive(Debug, Clone, Copy)]
struct Finding<'a> {
    collection_id: &'a str,
    record_id: Option<&'a str>,
    page: &'a str,
    page_seq: Option<u32>,
    severity: &'a str,
    code: &'a str,
    field: Option<&'a str>,
    value: Option<&'a str>,
    message: &'a str,
}

/// Findings of a partition: rows not yet written, groups of all.
#[derive(Debug, Default)]
pub(super) struct Findings {
    rows: Rows,
    groups: HashMap<String, Group>,
    key: String,
    /// Records so far; the number of the current one.
    records: u64,
}

/// Findings of one cause.
#[derive(Debug)]
struct Group {
    found: FindingGroup,
    /// The record counted last, so that it is counted once.
    record: Option<u64>,
}

impl Findings {
    /// Takes up what is to be said of the rows of a batch. `at` gives the place of a target field in the mapping.
    pub(super) fn add(&mut self, records: &Records, routes: &[Route], at: &BTreeMap<String, String>) {
        let clean = records.problems.empty() && records.findings.as_ref().is_none_or(super::record::TextLists::empty);
        for (row, &route) in routes.iter().enumerate() {
            if clean && matches!(route, Route::Mapped | Route::PageEnd | Route::Deleted) {
                continue;
            }
            self.add_row(records, row, route, at);
        }
    }

    fn add_row(&mut self, records: &Records, row: usize, route: Route, at: &BTreeMap<String, String>) {
        self.records += 1;
        let about = Finding {
            collection_id: value(&records.collection_id, row).unwrap_or_default(),
            record_id: value(&records.record_id, row),
            page: value(&records.page, row).unwrap_or_default(),
            page_seq: Some(records.place(row).1),
            severity: "warn",
            code: "",
            field: None,
            value: None,
            message: "",
        };
        match route {
            Route::PageEnd => {
                for item in records.problems.items(row) {
                    let [code, message, field] = [0, 1, 2].map(|member| records.problems.get(member, item));
                    let code = code.unwrap_or_default();
                    let severity = if PAGE_ERRORS.contains(&code) { "error" } else { "warn" };
                    let message = message.unwrap_or_default();
                    self.push(Finding { record_id: None, page_seq: None, severity, code, message, field, ..about }, at);
                }
                return;
            }
            Route::Duplicate => {
                let message = "duplicate record_id: this record occurs again later in the harvest";
                self.push(Finding { code: "PV320", message, ..about }, at);
                return;
            }
            Route::Skipped => self.push(Finding { severity: "info", code: "PM230", message: "skipped by WHERE", ..about }, at),
            Route::Deleted | Route::Quarantined | Route::Mapped => {}
        }
        for item in records.problems.items(row) {
            let [code, message, field] = [0, 1, 2].map(|member| records.problems.get(member, item));
            self.push(Finding { code: code.unwrap_or_default(), message: message.unwrap_or_default(), field, ..about }, at);
        }
        if let (Route::Quarantined | Route::Mapped, Some(findings)) = (route, &records.findings) {
            for item in findings.items(row) {
                let [severity, code, field, value, message] = [0, 1, 2, 3, 4].map(|member| findings.get(member, item));
                let (severity, code, message) = (severity.unwrap_or("warn"), code.unwrap_or_default(), message.unwrap_or_default());
                self.push(Finding { severity, code, field, value, message, ..about }, at);
            }
        }
    }

    fn push(&mut self, finding: Finding<'_>, at: &BTreeMap<String, String>) {
        self.rows.push(&finding, finding.field.and_then(|field| at.get(field)).map(String::as_str));
        let full = self.groups.len() >= GROUPS;
        name(&mut self.key, &finding, finding.field);
        if full && !self.groups.contains_key(&self.key) {
            name(&mut self.key, &finding, Some(OTHER_FIELDS));
        }
        let group = match self.groups.get_mut(&self.key) {
            Some(group) => group,
            None => {
                let field = if full { Some(OTHER_FIELDS) } else { finding.field };
                self.groups.entry(self.key.clone()).or_insert_with(|| Group::of(&finding, field))
            }
        };
        group.found.count += 1;
        // A page is no record: its problems are counted, but concern no record that is known.
        if finding.record_id.is_some() && group.record != Some(self.records) {
            group.record = Some(self.records);
            group.found.records += 1;
        }
        if group.found.examples.len() < EXAMPLES {
            group.found.examples.push(Example {
                collection_id: finding.collection_id.to_owned(),
                record_id: finding.record_id.map(str::to_owned),
                page: finding.page.to_owned(),
                page_seq: finding.page_seq,
                value: finding.value.map(|value| cut(value, EXAMPLE_CHARACTERS).concat()),
                message: cut(finding.message, EXAMPLE_CHARACTERS).concat(),
            });
        }
    }

    /// Rows that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.rows.count
    }

    /// The columns of the waiting rows.
    pub(super) fn take_rows(&mut self) -> Vec<ArrayRef> {
        self.rows.finish()
    }

    /// The groups, by severity, code and field.
    pub(super) fn into_groups(self) -> Vec<FindingGroup> {
        let mut groups: Vec<(String, Group)> = self.groups.into_iter().collect();
        groups.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        groups.into_iter().map(|(_, group)| group.found).collect()
    }
}

impl Group {
    fn of(finding: &Finding<'_>, field: Option<&str>) -> Self {
        let found = FindingGroup {
            severity: finding.severity.to_owned(),
            code: finding.code.to_owned(),
            field: field.map(str::to_owned),
            count: 0,
            records: 0,
            examples: Vec::new(),
        };
        Self { found, record: None }
    }
}

/// Writes the name of a finding's group into `key`.
fn name(key: &mut String, finding: &Finding<'_>, field: Option<&str>) {
    key.clear();
    // Writing to a String cannot fail. A field that is missing differs from one without a name.
    let _ = write!(key, "{}\u{1f}{}\u{1f}", finding.severity, finding.code);
    if let Some(field) = field {
        key.push_str(field);
    } else {
        key.push('\u{1f}');
    }
}

/// The text up to so many characters, and the ellipsis if it was longer.
fn cut(text: &str, characters: usize) -> [&str; 2] {
    if text.len() <= characters {
        return [text, ""];
    }
    match text.char_indices().nth(characters) {
        Some((end, _)) => [&text[..end], "…"],
        None => [text, ""],
    }
}

/// The columns of the findings table.
#[derive(Debug, Default)]
struct Rows {
    collection_id: StringBuilder,
    record_id: StringBuilder,
    page: StringBuilder,
    page_seq: Int32Builder,
    severity: StringBuilder,
    code: StringBuilder,
    field: StringBuilder,
    value: StringBuilder,
    message: StringBuilder,
    mapping: StringBuilder,
    count: usize,
}

impl Rows {
    fn push(&mut self, finding: &Finding<'_>, mapping: Option<&str>) {
        self.count += 1;
        self.collection_id.append_value(finding.collection_id);
        self.record_id.append_option(finding.record_id);
        self.page.append_value(finding.page);
        self.page_seq.append_option(finding.page_seq.map(u32::cast_signed));
        self.severity.append_value(finding.severity);
        self.code.append_value(finding.code);
        self.field.append_option(finding.field);
        match finding.value {
            Some(value) => {
                let [start, rest] = cut(value, VALUE_CHARACTERS);
                // Writing to a StringBuilder cannot fail; append_value ends the value.
                let _ = self.value.write_str(start);
                self.value.append_value(rest);
            }
            None => self.value.append_null(),
        }
        self.message.append_value(finding.message);
        self.mapping.append_option(mapping);
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.count = 0;
        vec![
            Arc::new(self.collection_id.finish()),
            Arc::new(self.record_id.finish()),
            Arc::new(self.page.finish()),
            Arc::new(self.page_seq.finish()),
            Arc::new(self.severity.finish()),
            Arc::new(self.code.finish()),
            Arc::new(self.field.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.message.finish()),
            Arc::new(self.mapping.finish()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding<'a>(field: Option<&'a str>, value: Option<&'a str>) -> Finding<'a> {
        Finding {
            collection_id: "c",
            record_id: Some("r"),
            page: "p",
            page_seq: Some(0),
            severity: "warn",
            code: "PV301",
            field,
            value,
            message: "m",
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), ["äö", "…"]);
        assert_eq!(cut("äöü", 3), ["äöü", ""]);
        assert_eq!(cut("", 0), ["", ""]);
    }

    #[test]
    fn a_record_counts_once_in_its_group() {
        let mut findings = Findings::default();
        for record in 0..5 {
            findings.records = record;
            findings.push(finding(Some("title"), Some("a")), &BTreeMap::new());
            findings.push(finding(Some("title"), Some("b")), &BTreeMap::new());
        }
        findings.push(finding(None, None), &BTreeMap::new());
        assert_eq!(findings.waiting(), 11);
        let groups = findings.into_groups();
        assert_eq!(groups.len(), 2);
        let title = groups.iter().find(|group| group.field.is_some()).unwrap();
        assert_eq!((title.count, title.records, title.examples.len()), (10, 5, 3));
    }

    #[test]
    fn groups_stay_bounded_when_every_record_has_a_field_of_its_own() {
        let mut findings = Findings::default();
        for record in 0..3 * GROUPS {
            findings.push(finding(Some(&format!("path/{record}")), None), &BTreeMap::new());
        }
        let groups = findings.into_groups();
        assert_eq!(groups.len(), GROUPS + 1);
        assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), 3 * GROUPS as u64);
    }
}
