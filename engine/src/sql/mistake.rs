//! A DataFusion error → what, where, and what to type next.
//!
//! DataFusion's texts name its own inner workings. What an operator needs is the name that is wrong, its place, and the
//! name that was meant. Errors of ours that travelled through DataFusion come out as they went in.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Fields};
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use regex::Regex;
use schemas::problem::{Problem, Source};
use schemas::suggest;

use super::parse::offset;
use crate::error::{Error, Kind};
use crate::storage::read_problem;

/// The names a query could have meant.
#[derive(Debug, Default, Clone)]
pub struct Known {
    /// Functions of the session.
    pub functions: Vec<String>,
    /// Tables that exist.
    pub tables: Vec<String>,
    /// Members of the structs in reach, at any depth.
    pub members: Vec<String>,
}

/// Our error, if it is one that travelled through DataFusion.
pub fn ours(error: &DataFusionError) -> Option<&Error> {
    match error {
        DataFusionError::External(inner) => {
            inner.downcast_ref::<Error>().or_else(|| inner.downcast_ref::<DataFusionError>().and_then(ours))
        }
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => ours(inner),
        DataFusionError::Shared(inner) => ours(inner),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            arrow::error::ArrowError::ExternalError(inner) => {
                inner.downcast_ref::<Error>().or_else(|| inner.downcast_ref::<DataFusionError>().and_then(ours))
            }
            _ => None,
        },
        DataFusionError::Collection(errors) => errors.iter().find_map(ours),
        _ => None,
    }
}

/// The error of a store at the bottom of one that travelled through DataFusion and Parquet.
pub(crate) fn store_error(error: &DataFusionError) -> Option<&object_store::Error> {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<object_store::Error>() {
            return Some(found);
        }
        next = match current.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::ObjectStore(inner)) => return Some(inner),
            _ => current.source(),
        };
    }
    None
}

/// What is wrong with a query, found while planning it. `within` is where the query (or the part of it) stands.
pub fn planning(error: &DataFusionError, source: &Arc<Source>, within: &Range<usize>, known: &Known) -> Problem {
    if let Some(Error { problems, .. }) = ours(error)
        && let Some(problem) = problems.0.first()
    {
        return problem.clone().at(source, within.clone());
    }
    let span = diagnosed(error, source);
    let problem = match error.find_root() {
        DataFusionError::SchemaError(schema, _) => schema_mistake(schema, source, within),
        root => text_mistake(&strip(&root.strip_backtrace()), source, within, known),
    };
    match span {
        Some(span) => problem.at(source, span),
        None => problem.at(source, within.clone()),
    }
}

/// What went wrong while a query ran.
pub fn running(error: &DataFusionError) -> Error {
    if let Some(error) = ours(error) {
        return error.clone();
    }
    let text = strip(&error.find_root().strip_backtrace());
    if let Some(refused) = store_error(error).and_then(read_problem) {
        return Error::failed(refused);
    }
    let problem = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Problem::error("PR010", format!("out of memory: {}", first_line(&text)))
            .hint("raise limits.memory in pacha.toml, or run with --set limits.memory=2GiB"),
        DataFusionError::ObjectStore(inner) => {
            Problem::error("PS500", format!("cannot read: {inner}")).hint("check that the file is still there and can be read")
        }
        _ if PANIC.is_match(&text) => {
            let said = PANIC.captures(&text).and_then(|found| found.get(1)).map_or("", |said| said.as_str());
            Problem::error("PR099", format!("a part of the query broke off: {said}"))
                .hint("this is a fault of pacha or of what it is built on: please report it with the query; write the query another way until then")
        }
        _ if text.contains("Cast error") || text.contains("Cannot cast") || text.contains("cast") && text.contains("value") => {
            Problem::error("PM220", unconverted(first_line(&text)))
                .hint("use TRY_CAST, which gives NULL instead; find the value with a WHERE on the same expression")
        }
        _ if text.contains("os error 28") => {
            Problem::error("PR015", "the disk is full on which queries spill and executors keep rows for one another")
                .hint("free some space there, or set TMPDIR (of an executor: --work-dir) to a larger disk")
        }
        _ if text.contains("Divide by zero") => Problem::error("PM221", "a division by zero")
            .hint("divide by nullif(x, 0), which gives NULL instead; find the record with a WHERE x = 0"),
        _ if text.contains("more than one row") => Problem::error("PM222", "a subquery that stands for a value gives more than one row")
            .hint("make it one: with an aggregate such as max(x), or with ORDER BY x LIMIT 1"),
        _ if text.contains("null_aware anti join") => {
            Problem::error("PM223", "a subquery of NOT IN may not refer to the row outside of it")
                .hint("write NOT EXISTS (SELECT 1 FROM … WHERE …), with the comparison among its conditions")
        }
        _ if STORE.is_match(&text) => Problem::error("PS500", store_text(&text)).hint("check that the place is there and may be used"),
        _ => Problem::error("PR099", first_line(&text).to_owned())
            .hint("run again with RUST_LOG=debug and report this if the message does not help"),
    };
    Error::new(Kind::Failed, problem)
}

fn schema_mistake(error: &SchemaError, source: &Arc<Source>, within: &Range<usize>) -> Problem {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<&str> = valid_fields.iter().map(Column::name).filter(|name| !name.starts_with('_')).collect();
            let table = valid_fields.iter().find_map(|column| column.relation.as_ref()).map(|relation| format!(" in {}", relation.table()));
            let problem = Problem::error("PM201", format!("no column \"{}\"{}", field.name(), table.unwrap_or_default()));
            let problem = problem.hint(match meant_as_text(source, within, field.name(), &names) {
                true => format!("text stands in single quotes: '{}'; double quotes are for names", field.name().replace('\'', "''")),
                false => column_hint(field.name(), &names),
            });
            match find_word_within(source, within, field.name()) {
                Some(span) => problem.at(source, span),
                None => problem,
            }
        }
        SchemaError::AmbiguousReference { field } => {
            Problem::error("PM205", format!("\"{}\" could be a column of more than one table", field.name()))
                .hint("write the table's name before it: table.column")
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            Problem::error("PM206", format!("column \"{name}\" is given twice")).hint("remove one, or put it into * REPLACE (…)")
        }
    }
}

/// Whether a name in double quotes, as other languages write text, is like none of those that exist.
fn meant_as_text(source: &Source, within: &Range<usize>, name: &str, names: &[&str]) -> bool {
    let query = source.text.get(within.clone()).unwrap_or(&source.text);
    query.contains(&format!("\"{name}\"")) && suggest::closest(name, names.iter().copied()).is_none()
}

fn function_hint(name: &str, known: &Known) -> String {
    match suggest::closest(name, known.functions.iter().map(String::as_str)) {
        Some(close) => format!("did you mean {close}()? `pacha functions {close}` documents it"),
        None => "`pacha functions` lists those for mappings; all of DataFusion's are there too".to_owned(),
    }
}

fn column_hint(wrong: &str, names: &[&str]) -> String {
    let lower = wrong.to_lowercase();
    match names.iter().find(|name| name.to_lowercase() == lower && **name != wrong) {
        Some(name) => format!("did you mean \"{name}\"? Names with capitals need double quotes"),
        None => suggest::hint(wrong, names.iter().copied()),
    }
}

static FUNCTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"Invalid function '([^']+)'").expect("a valid pattern"));
static TABLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"table '([^']+)' not found").expect("a valid pattern"));
static MEMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?i)field (?:named )?['"]?([^'" ]+)['"]? not found in struct"#).expect("a valid pattern"));
static ITEM_MEMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"Dot access not supported for non-string expr: .*?value: "([^"]+)""#).expect("a valid pattern"));
static SIGNATURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:[Nn]o function matches the given name and argument types|[Cc]all to function|Function|function) '?([a-z_0-9]+)")
        .expect("a valid pattern")
});
static DUPLICATE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"unique expression names but the expression "([^"]+)" at position"#).expect("a valid pattern"));
static UNGROUPED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?:column "|references: )(.+?)"? must appear in the GROUP BY clause"#).expect("a valid pattern"));
static CAST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"Cannot cast (?:string|value) ('.*') to value of (\w+)").expect("a valid pattern"));
static PANIC: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"panicked with message \\?"(.*?)\\?"$"#).expect("a valid pattern"));
static STORE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^.*Generic \w+ error: ").expect("a valid pattern"));
static PARAMETER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$([A-Za-z_0-9]+)").expect("a valid pattern"));

fn text_mistake(text: &str, source: &Arc<Source>, within: &Range<usize>, known: &Known) -> Problem {
    let placed = |problem: Problem, word: &str| match find_word_within(source, within, word) {
        Some(span) => problem.at(source, span),
        None => problem,
    };
    if let Some(name) = capture(&FUNCTION, text) {
        let problem = Problem::error("PM202", format!("no function {name}()")).hint(function_hint(name, known));
        return placed(problem, name);
    }
    if let Some(name) = capture(&TABLE, text) {
        let short = name.trim_start_matches("datafusion.").trim_start_matches("public.");
        let problem =
            Problem::error("PM204", format!("no table {short}")).hint(suggest::hint(short, known.tables.iter().map(String::as_str)));
        let written = if find_word_within(source, within, short).is_some() { short } else { short.rsplit('.').next().unwrap_or(short) };
        return placed(problem, written);
    }
    if let Some(name) = capture(&MEMBER, text) {
        let problem = Problem::error("PM201", format!("no member \"{name}\" in this struct"));
        let hint = match suggest::closest(name, known.members.iter().map(String::as_str)) {
            Some(close) => format!("did you mean {close}? SELECT arrow_typeof(…) shows what it has"),
            None => "SELECT arrow_typeof(…) shows what it has".to_owned(),
        };
        return placed(problem.hint(hint), name);
    }
    if let Some(name) = capture(&ITEM_MEMBER, text) {
        let problem = Problem::error("PM200", format!("a member of an item or of a function's result is not taken with a dot: .{name}"));
        return placed(problem.hint(format!("write ['{name}'] in place of .{name}")), name);
    }
    if text.contains("placeholder") || text.contains("Placeholder") {
        let name = capture(&PARAMETER, text).unwrap_or("…");
        return Problem::error("PM207", format!("parameter ${name} has no value"))
            .hint(format!("pass --param {name}=…, or give it a default under [params] in the job"));
    }
    if let Some(name) = capture(&DUPLICATE, text) {
        return placed(
            Problem::error("PM206", format!("column \"{name}\" is given twice")).hint("remove one, or put it into * REPLACE (…)"),
            name,
        );
    }
    if let Some(name) = capture(&UNGROUPED, text) {
        let column = name.rsplit('.').next().unwrap_or(name);
        let problem = Problem::error("PM215", format!("{column} is neither grouped nor inside an aggregate function"));
        return placed(problem.hint(format!("add it to GROUP BY, or take one of its values: first_value({column})")), column);
    }
    let wrong_types = ["matches the given name and argument types", "failed to match", "coerce", "Coercion", "expects", "Expected"];
    if wrong_types.iter().any(|part| text.contains(part)) {
        let name = capture(&SIGNATURE, text).map(str::to_owned);
        let message = name
            .as_ref()
            .map_or_else(|| first_line(text).to_owned(), |name| format!("{name}() does not take these arguments: {}", first_line(text)));
        let hint = name.as_ref().map_or_else(
            || "check the types with arrow_typeof(…)".to_owned(),
            |name| format!("pacha functions {name} shows what it takes; arrow_typeof(…) shows a type"),
        );
        let problem = Problem::error("PM210", message).hint(hint);
        return match name {
            Some(name) => placed(problem, &name),
            None => problem,
        };
    }
    Problem::error("PM299", first_line(text).to_owned()).hint("simplify the expression until it works, then build it up again")
}

/// A failed CAST, with the value.
fn unconverted(text: &str) -> String {
    match CAST.captures(text) {
        Some(found) => format!("the value {} cannot be converted to {}", &found[1], &found[2]),
        None => format!("a value cannot be converted: {}", text.trim_start_matches("Cast error: ")),
    }
}

/// What a store said, without the name of its client.
fn store_text(text: &str) -> String {
    let said = STORE.replace(first_line(text), "").into_owned();
    let mut letters = said.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Names of all members of the structs of a schema, at any depth.
pub fn members(fields: &Fields) -> Vec<String> {
    fn visit(data_type: &DataType, found: &mut Vec<String>) {
        match data_type {
            DataType::Struct(fields) => {
                for field in fields {
                    found.push(field.name().clone());
                    visit(field.data_type(), found);
                }
            }
            DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => visit(item.data_type(), found),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for field in fields.iter().filter(|field| !field.name().starts_with('_')) {
        visit(field.data_type(), &mut found);
    }
    found
}

fn capture<'t>(pattern: &Regex, text: &'t str) -> Option<&'t str> {
    Some(pattern.captures(text)?.get(1)?.as_str())
}

/// The first whole-word occurrence of a name in a file.
pub fn find_word(source: &Source, word: &str) -> Option<Range<usize>> {
    find_word_within(source, &(0..source.text.len()), word)
}

fn find_word_within(source: &Source, within: &Range<usize>, word: &str) -> Option<Range<usize>> {
    let text = source.text.get(within.clone()).unwrap_or(&source.text);
    let base = if source.text.get(within.clone()).is_some() { within.start } else { 0 };
    let inside_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .find(|(index, _)| !inside_word(text[..*index].chars().next_back()) && !inside_word(text[index + word.len()..].chars().next()))
        .map(|(index, _)| base + index..base + index + word.len())
}

fn diagnosed(error: &DataFusionError, source: &Source) -> Option<Range<usize>> {
    let span = error.diagnostic()?.span?;
    let start = offset(&source.text, span.start.line, span.start.column);
    Some(start..offset(&source.text, span.end.line, span.end.column).max(start))
}

/// Without DataFusion's own prefixes and back traces.
fn strip(text: &str) -> String {
    let mut text = text;
    for prefix in [
        "Error during planning: ",
        "Execution error: ",
        "Schema error: ",
        "SQL error: ",
        "Arrow error: ",
        "External error: ",
        "Internal error: ",
        "This feature is not implemented: ",
        "type_coercion\ncaused by\n",
        "Optimizer rule '",
    ] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text);
    text.split("This issue was likely caused by a bug in DataFusion").next().unwrap_or(text).trim().to_owned()
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing was said of why").trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_of_a_query_that_breaks_off_is_told_as_a_fault_of_ours_with_its_words() {
        let broken = tokio::spawn(async { std::panic::resume_unwind(Box::new("Cannot cast a shadow")) });
        let error = DataFusionError::ExecutionJoin(Box::new(broken.await.map(|(): ()| ()).unwrap_err()));
        let text = running(&error).to_string();
        assert!(text.contains("PR099") && text.contains("a part of the query broke off: Cannot cast a shadow"), "{text}");
        assert!(text.contains("report it with the query"), "{text}");
    }
}
