//! `pacha functions`: the documentation of the SQL functions, from the functions themselves.

use std::fmt::Write;

use engine::function::{self, FunctionDoc};
use engine::query::table_function;
use engine::{Error, Result};
use schemas::problem::Problem;
use serde_json::json;

use super::DONE;
use crate::cli::Form;
use crate::printer::{Printer, table};

/// Columns of a terminal that the overview fits.
const WIDTH: usize = 100;

pub(crate) fn functions(name: Option<&str>, form: Form, printer: &Printer) -> Result<u8> {
    let all = function::documentation();
    let Some(name) = name else {
        match form {
            Form::Json => printer.json(&all.iter().map(as_json).collect::<Vec<_>>()),
            Form::Text => printer.data(&overview(&all)),
        }
        return Ok(DONE);
    };
    let Some(found) = all.iter().find(|function| function.name == name) else {
        let known: Vec<&str> = all.iter().map(|function| function.name).collect();
        let problem = Problem::error("PM202", format!("no function {name}()"));
        return Err(Error::configuration(problem.hint(schemas::suggest::hint(name, known.iter().copied()))));
    };
    match form {
        Form::Json => printer.json(&as_json(found)),
        Form::Text => printer.data(&one(found)),
    }
    Ok(DONE)
}

fn overview(all: &[FunctionDoc]) -> String {
    let functions: Vec<[&str; 3]> = all.iter().map(|function| [function.family.as_str(), function.name, function.summary]).collect();
    let tables = table_function::FUNCTIONS.map(|(_, usage, summary)| ["table", usage, summary]);
    let mut text = table(["family", "function", ""], &wrapped(&functions));
    text.push('\n');
    text.push_str(&table(["family", "in FROM", ""], &wrapped(&tables)));
    text.push_str("\npacha functions NAME shows arguments and examples. All functions of DataFusion's SQL are there too.");
    text
}

/// Each function with the first sentence of what it does, over several lines where it is a long one.
fn wrapped(functions: &[[&str; 3]]) -> Vec<[String; 3]> {
    let width = |column: usize| functions.iter().map(|function| function[column].chars().count()).max().unwrap_or_default();
    let room = WIDTH.saturating_sub(width(0).max("family".len()) + width(1) + 4);
    let mut lines: Vec<[String; 3]> = Vec::new();
    for [family, name, summary] in functions {
        let sentence = summary.split_inclusive(". ").next().unwrap_or(summary);
        lines.push([(*family).to_owned(), (*name).to_owned(), String::new()]);
        for word in sentence.split_whitespace() {
            match lines.last_mut() {
                Some([_, _, line]) if line.is_empty() => line.push_str(word),
                Some([_, _, line]) if line.chars().count() + 1 + word.chars().count() <= room => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push([String::new(), String::new(), word.to_owned()]),
            }
        }
    }
    lines
}

fn one(function: &FunctionDoc) -> String {
    let mut text = format!("{}\n\n{}\n", function.signature, function.summary);
    if !function.arguments.is_empty() {
        text.push('\n');
        for (name, meaning) in &function.arguments {
            let _ = writeln!(text, "  {name:<12} {meaning}");
        }
    }
    if !function.examples.is_empty() {
        text.push_str("\nExamples\n");
        for (sql, result) in &function.examples {
            let _ = writeln!(text, "  {sql}\n    {result}");
        }
    }
    if !function.see_also.is_empty() {
        let _ = writeln!(text, "\nSee also {}", function.see_also.join(", "));
    }
    text
}

fn as_json(function: &FunctionDoc) -> serde_json::Value {
    let arguments: Vec<_> = function.arguments.iter().map(|(name, meaning)| json!({ "name": name, "meaning": meaning })).collect();
    let examples: Vec<_> = function.examples.iter().map(|(sql, result)| json!({ "sql": sql, "result": result })).collect();
    json!({ "name": function.name, "family": function.family.clone(), "signature": function.signature.clone(), "summary": function.summary, "arguments": arguments, "examples": examples })
}
