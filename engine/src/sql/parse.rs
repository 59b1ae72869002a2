//! Text → syntax tree, in the dialect of all mappings: `duckdb`, the one in which lambdas, `* REPLACE (…)`, `FROM t
//! SELECT …` and trailing commas all work.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    Query, SelectFlavor, SelectItem, SetExpr, Spanned, Statement, VisitMut, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::dialect::DuckDbDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError, ParserOptions};
use datafusion::sql::sqlparser::tokenizer::Span;
use schemas::problem::{Problem, Source};

/// Parses all statements of a text.
///
/// # Errors
/// The first syntax mistake, with its place.
pub fn statements(source: &Arc<Source>) -> Result<Vec<Statement>, Problem> {
    let dialect = DuckDbDialect {};
    let options = ParserOptions::new().with_trailing_commas(true);
    let parser = Parser::new(&dialect).with_options(options).try_with_sql(&source.text);
    let mut parsed = parser.and_then(|mut parser| parser.parse_statements()).map_err(|error| syntax_mistake(&error, source))?;
    let _ = parsed.visit(&mut Everything);
    Ok(parsed)
}

/// `FROM t` alone means all columns; the planner would take it for none.
struct Everything;

impl VisitorMut for Everything {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_mut()
            && select.flavor == SelectFlavor::FromFirstNoSelect
        {
            select.flavor = SelectFlavor::FromFirst;
            select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
        }
        ControlFlow::Continue(())
    }
}

/// Parses a text that must be one query.
///
/// # Errors
/// A syntax mistake, or something other than one query.
pub fn query(source: &Arc<Source>) -> Result<Query, Problem> {
    let whole = 0..source.text.trim_end().len();
    let mut parsed = statements(source)?.into_iter();
    match (parsed.next(), parsed.next()) {
        (Some(Statement::Query(query)), None) => Ok(*query),
        (None, _) => {
            Err(Problem::error("PM200", "there is no SQL here").at(source, whole).hint("write one SELECT, such as FROM oai_dc SELECT *"))
        }
        (Some(_), Some(second)) => {
            let problem = Problem::error("PM200", "there is more than one statement here").at(source, range(source, second.span(), &whole));
            Err(problem.hint("keep one SELECT a file; a job may have several steps"))
        }
        (Some(other), None) => {
            let word = source.text.split_whitespace().next().unwrap_or_default().to_uppercase();
            let problem =
                Problem::error("PM200", format!("a SELECT is wanted here, not {word}")).at(source, range(source, other.span(), &whole));
            Err(problem.hint("write FROM … SELECT …; tables are written by jobs"))
        }
    }
}

/// The bytes of a syntax tree's span; `otherwise` where the parser did not keep one.
pub fn range(source: &Source, span: Span, otherwise: &Range<usize>) -> Range<usize> {
    if span.start.line == 0 {
        return otherwise.clone();
    }
    let start = offset(&source.text, span.start.line, span.start.column);
    start..offset(&source.text, span.end.line, span.end.column).max(start)
}

/// The byte at a line and column, both from 1; the column counts characters.
pub fn offset(text: &str, line: u64, column: u64) -> usize {
    let start: usize = text.split_inclusive('\n').take(usize::try_from(line).unwrap_or(1).saturating_sub(1)).map(str::len).sum();
    let rest = &text[start.min(text.len())..];
    let column = usize::try_from(column).unwrap_or(1).saturating_sub(1);
    start + rest.char_indices().nth(column).map_or(rest.len(), |(index, _)| index)
}

fn syntax_mistake(error: &ParserError, source: &Arc<Source>) -> Problem {
    let text = error.to_string();
    let text = text.trim_start_matches("sql parser error: ");
    let (message, place) = text.rsplit_once(" at Line: ").unwrap_or((text, ""));
    let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse::<u64>().ok());
    let span = match (numbers.next(), numbers.next()) {
        (Some(line), Some(column)) => {
            let start = offset(&source.text, line, column);
            start..start + source.text[start..].find(|c: char| !c.is_alphanumeric()).unwrap_or(1).max(1)
        }
        _ => {
            let end = source.text.trim_end().len();
            end.saturating_sub(1)..end
        }
    };
    let message = match message.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
        Some((wanted, "EOF")) => format!("the SQL ends too early: {wanted} is wanted"),
        Some((wanted, found)) => format!("{wanted} is wanted here, not {found}"),
        None => message.to_owned(),
    };
    if let Some(name) = name_of_digits(&source.text, span.start) {
        let problem = Problem::error("PM200", "a name that begins with a digit stands in double quotes").at(source, span);
        return problem.hint(format!("write {name}"));
    }
    let hint = if message.contains("EOF") || message.contains("too early") {
        "close the brackets and quotes, or finish the expression"
    } else {
        "look at the comma, bracket or keyword before this place"
    };
    Problem::error("PM200", message).at(source, span).hint(hint)
}

/// `collection."26001"`, where `collection.26001` stands around a dot.
fn name_of_digits(text: &str, dot: usize) -> Option<String> {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let name = text.get(dot..)?.strip_prefix('.').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))?;
    let name = &name[..name.find(|c| !in_name(c)).unwrap_or(name.len())];
    let before = &text[..dot];
    let before = &before[before.rfind(|c| !in_name(c)).map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8))..];
    (!before.is_empty()).then(|| format!("{before}.\"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { path: "mappings/x.sql".into(), text: text.into() })
    }

    #[test]
    fn a_mapping_may_start_with_from_and_end_with_a_comma() {
        assert!(query(&source("FROM oai_dc SELECT * REPLACE (split(subject, ';') AS subject,), 1 AS x,")).is_ok());
        assert!(query(&source("FROM t SELECT array_transform(xs, x -> upper(x)) AS ys")).is_ok());
    }

    #[test]
    fn a_syntax_mistake_has_its_line_and_column() {
        let problem = query(&source("FROM oai_dc\nSELECT * FROM FROM")).unwrap_err();
        assert!(problem.to_string().contains("mappings/x.sql:2:"), "{problem}");
        let problem = query(&source("SELECT (1 + ")).unwrap_err();
        assert!(problem.to_string().contains("too early"), "{problem}");
    }
}
