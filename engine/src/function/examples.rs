//! Runs every documented example, and the framework's own behaviour, through SQL as a mapping would.

#![expect(clippy::disallowed_methods, reason = "a session of its own, with the functions under test and nothing else")]

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::functions::expr_fn::random;
use datafusion::logical_expr::{Expr, LogicalPlan, when};
use datafusion::prelude::{SessionConfig, SessionContext, lit};
use schemas::problem::Problems;

use super::{FUNCTIONS, Function, Lookups, all, documentation};

/// The session of a mapping, with lookups of its own.
fn session() -> SessionContext {
    let config = SessionConfig::new().set_str("datafusion.sql_parser.dialect", "duckdb").with_target_partitions(1);
    let session = SessionContext::new_with_config(config);
    let mut problems = Problems::default();
    let rights = "code,label,uri\nCR,copyrighted,http://rightsstatements.org/vocab/InC/1.0/\nPD,public domain,\n";
    let lookups = Lookups::read([("rights".to_owned(), rights.to_owned())], &mut problems);
    assert!(problems.0.is_empty(), "{problems}");
    for function in all(&Arc::new(lookups)) {
        session.register_udf(function.as_ref().clone());
    }
    session
}

async fn query(session: &SessionContext, sql: &str) -> Result<Vec<String>> {
    rows(&session.sql(sql).await?.collect().await?)
}

/// The first column as a query prints it.
fn rows(batches: &[RecordBatch]) -> Result<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let column = ArrayFormatter::try_new(batch.column(0), &options)?;
        rows.extend((0..batch.num_rows()).map(|row| column.value(row).to_string()));
    }
    Ok(rows)
}

async fn failure(sql: &str) -> String {
    query(&session(), sql).await.expect_err(sql).to_string()
}

#[tokio::test]
async fn every_documented_example_gives_its_result() {
    let session = session();
    let mut wrong = Vec::new();
    for function in FUNCTIONS {
        for (sql, expected) in function.examples {
            match query(&session, &format!("SELECT {sql}")).await {
                Ok(rows) if rows == [*expected] => {}
                Ok(rows) => wrong.push(format!("{sql} is {rows:?}, not {expected}")),
                Err(error) => wrong.push(format!("{sql} fails: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The plan of `sql` with every argument of `function` that is no constant made a column: what is volatile is not folded.
async fn over_columns(session: &SessionContext, sql: &str, function: &'static Function) -> Result<LogicalPlan> {
    let varies = |index: usize| function.parameter(index).is_some_and(|parameter| !parameter.accepts.is_constant());
    let plan = session.sql(sql).await?.into_unoptimized_plan();
    let plan = plan.map_expressions(|expr| {
        expr.transform(|expr| match expr {
            Expr::ScalarFunction(mut call) if call.func.name() == function.name => {
                for (_, argument) in call.args.iter_mut().enumerate().filter(|(index, _)| varies(*index)) {
                    *argument = when(random().lt(lit(2.0)), argument.clone()).end()?;
                }
                Ok(Transformed::yes(Expr::ScalarFunction(call)))
            }
            other => Ok(Transformed::no(other)),
        })
    })?;
    plan.data.recompute_schema()
}

#[tokio::test]
async fn every_documented_example_gives_the_same_over_a_column() {
    let session = session();
    for function in FUNCTIONS {
        for (sql, expected) in function.examples {
            let plan = over_columns(&session, &format!("SELECT {sql} FROM (VALUES (1), (2)) AS t(n)"), function).await.expect(sql);
            let frame = session.execute_logical_plan(plan).await.expect(sql);
            assert_eq!(rows(&frame.collect().await.expect(sql)).unwrap(), [*expected, *expected], "{sql}");
        }
    }
}

#[test]
fn every_function_is_documented() {
    let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
    for function in FUNCTIONS {
        assert!(!function.summary.is_empty() && !function.examples.is_empty(), "{} has no summary or example", function.name);
        assert_eq!(names.iter().filter(|name| **name == function.name).count(), 1, "{} is listed twice", function.name);
        for (sql, _) in function.examples {
            assert!(sql.contains(&format!("{}(", function.name)), "an example of {} does not call it: {sql}", function.name);
        }
        for other in function.see_also {
            assert!(names.contains(other), "{} points at {other}, which does not exist", function.name);
        }
    }
}

#[tokio::test]
async fn a_wrong_type_is_told_with_the_column_and_what_to_write() {
    let sql = "SELECT split(date, ';') FROM (SELECT [{'display': '1871', 'begin': 1}] AS date)";
    let message = failure(sql).await;
    let expected = "PM210 split() wants text or a list of text; date is list<struct<display: string, begin: bigint>>; \
                    hint: try split(pluck(date, 'display'), ';')";
    assert!(message.contains(expected), "{message}");
}

#[tokio::test]
async fn a_missing_argument_is_told_with_the_signature() {
    let message = failure("SELECT split('a')").await;
    assert!(message.contains("PM210 split() wants 2 or more arguments, not 1; hint: write split(x, delimiter, …)"), "{message}");
}

#[tokio::test]
async fn a_broken_pattern_is_told_before_a_row_is_read() {
    let error = session().sql("SELECT pick(x, '(a') FROM (VALUES ('a')) AS t(x)").await.expect_err("planned").to_string();
    assert!(error.contains("PM210 pick() cannot read the pattern '(a': unclosed group"), "{error}");
}

#[tokio::test]
async fn arguments_have_names_and_constants_may_be_computed() {
    let session = session();
    assert_eq!(query(&session, "SELECT split(x => 'a--b', delimiter => '--')").await.unwrap(), ["[a, b]"]);
    assert_eq!(query(&session, "SELECT split('a--b', '-' || '-')").await.unwrap(), ["[a, b]"]);
    let other = query(&session, "SELECT split('a--b', d) FROM (VALUES ('--'), (';')) AS t(d)").await.expect_err("constant").to_string();
    assert!(other.contains("split() wants a text as delimiter, the same for all rows"), "{other}");
}

#[tokio::test]
async fn views_dictionaries_numbers_and_nulls_count_as_text() {
    let session = session();
    for (sql, expected) in [
        ("clean(arrow_cast(' a ', 'Utf8View'))", "a"),
        ("clean(arrow_cast(' a ', 'LargeUtf8'))", "a"),
        ("clean(arrow_cast(' a ', 'Dictionary(Int32, Utf8)'))", "a"),
        ("clean(arrow_cast([' a ', NULL], 'LargeList(Utf8View)'))", "[a]"),
        ("clean(1934)", "1934"),
        ("clean(NULL)", "NULL"),
        ("clean([])", "[]"),
        ("clean([NULL])", "[]"),
    ] {
        assert_eq!(query(&session, &format!("SELECT {sql}")).await.expect(sql), [expected], "{sql}");
    }
}

#[tokio::test]
async fn a_misspelt_field_lookup_or_mode_is_told_with_the_closest() {
    for (sql, expected) in [
        (
            "pluck([{'name': 'Ada', 'role': 1}], 'nmae')",
            "PM201 no field \"nmae\" in struct<name: string, role: bigint>; hint: did you mean name?",
        ),
        ("pluck(['a'], 'name')", "PM210 pluck() wants a list of structs; x is list<string>"),
        ("decode('CR', 'rigths')", "PM203 no lookup \"rigths\" in lookups/; hint: did you mean rights?"),
        ("decode('CR', 'rights.url')", "PM203 no column \"url\" in the lookup \"rights\"; hint: did you mean uri?"),
        ("sort_title('a', 'uclcd')", "PM210 sort_title() knows no mode 'uclcd'; hint: did you mean ucldc?"),
        (r"rewrite('a', '(a)', '\2')", r"PM210 rewrite() has no group \2 to put in: the pattern has 1"),
        ("truncate('a', -1)", "PM210 truncate() wants a number of 0 or more as n, the same for all rows"),
        ("clean([['a']])", "PM210 clean() wants text or a list of text; x is list<list<string>>; hint: try clean(flatten(x))"),
        ("clean({'a': 1})", "PM210 clean() wants text or a list of text; x is struct<a: bigint>; hint: try clean(x['a'])"),
        ("truncate('a', 'b')", "PM210 truncate() wants a constant whole number; 'b' is string"),
        ("split('a', NULL)", "PM210 split() wants a text as delimiter, the same for all rows"),
    ] {
        let message = failure(&format!("SELECT {sql}")).await;
        assert!(message.contains(expected), "{sql}: {message}");
    }
}

#[tokio::test]
async fn a_null_a_null_list_and_an_empty_list_go_through_every_text_function() {
    let session = session();
    for (sql, expected) in [
        ("split(NULL, ';')", "NULL"),
        ("split('', ';')", "[]"),
        ("pick(arrow_cast(NULL, 'List(Utf8)'), 'a')", "NULL"),
        ("pick([], 'a')", "[]"),
        ("list(arrow_cast(NULL, 'List(Utf8)'))", "[]"),
        ("dedupe(['a', 'a', NULL])", "[a]"),
        ("dedupe(arrow_cast(NULL, 'List(Utf8)'), true)", "NULL"),
        ("pluck(NULL, 'name')", "NULL"),
        ("pluck(arrow_cast([{'a': 'x'}], 'LargeList(Struct(\"a\": Utf8View))'), 'a')", "[x]"),
        ("sort_title(NULL)", "~title unknown"),
        ("sort_title([])", "[]"),
        ("array_transform(['CR'], x -> decode(x, 'rights'))", "[copyrighted]"),
        ("array_transform([{'t': 'CR', 'i': 'x'}], d -> join_nonempty(': ', decode(d['t'], 'rights'), d['i']))", "[copyrighted: x]"),
    ] {
        assert_eq!(query(&session, &format!("SELECT {sql}")).await.expect(sql), [expected], "{sql}");
    }
}

#[test]
fn documentation_says_how_to_call() {
    let documentation = documentation();
    let decode = documentation.iter().find(|function| function.name == "decode").unwrap();
    assert_eq!(decode.signature, "decode(x, lookup [, default])");
    assert_eq!(decode.arguments[1].1.split(':').next(), Some("a constant text"));
}
