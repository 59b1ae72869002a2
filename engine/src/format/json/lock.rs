//! The lock file of a collection: the shape of `doc`, beside the collection (`collections/26773.lock.json`).
//!
//! It is JSON that a person can read, compare and review: an object is an object of shapes, a list is a list of one
//! shape, everything else is a word. The same shape gives the same text to the byte.

use schemas::problem::Problem;
use schemas::source::Shape;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Version of the form of the file.
const VERSION: u64 = 1;
const CODE: &str = "PX140";

/// The text of the lock file of `shape`.
pub fn write(shape: &Shape) -> String {
    let value = json!({ "version": VERSION, "digest": digest(shape), "shape": to_value(shape) });
    format!("{value:#}\n")
}

/// The shape in a lock file.
///
/// # Errors
/// It is not one, a later version wrote it, or the shape is not the one it was written with.
pub fn read(text: &str) -> Result<Shape, Problem> {
    let again = "delete the lock file and run again: the shape is inferred anew";
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(format!("the lock file is not JSON: {error}")).hint(again))?;
    match value["version"].as_u64() {
        Some(VERSION) => {}
        Some(other) => {
            return Err(wrong(format!("the lock file has version {other}, this program reads version {VERSION}")).hint("use a newer pacha"));
        }
        None => return Err(wrong("the lock file has no version").hint(again)),
    }
    let shape = from_value(&value["shape"], "shape").map_err(|problem| problem.hint(again))?;
    if value["digest"].as_str() != Some(digest(&shape).as_str()) {
        return Err(wrong("the shape in the lock file is not the one it was written with: edited by hand, or merged").hint(again));
    }
    Ok(shape)
}

/// SHA-256 of a shape, in hex; part of what a run depends on.
pub fn digest(shape: &Shape) -> String {
    use std::fmt::Write;
    Sha256::digest(to_value(shape).to_string()).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn wrong(message: impl Into<String>) -> Problem {
    Problem::error(CODE, message)
}

fn to_value(shape: &Shape) -> Value {
    match shape {
        Shape::Boolean => "boolean".into(),
        Shape::Integer => "integer".into(),
        Shape::Float => "float".into(),
        Shape::Text => "text".into(),
        Shape::Json => "json".into(),
        Shape::List(item) => Value::Array(vec![to_value(item)]),
        Shape::Entries(value) => Value::Array(vec!["entries".into(), to_value(value)]),
        Shape::Object(members) => Value::Object(members.iter().map(|(name, shape)| (name.clone(), to_value(shape))).collect::<Map<_, _>>()),
    }
}

fn from_value(value: &Value, path: &str) -> Result<Shape, Problem> {
    match value {
        Value::String(word) => match word.as_str() {
            "boolean" => Ok(Shape::Boolean),
            "integer" => Ok(Shape::Integer),
            "float" => Ok(Shape::Float),
            "text" => Ok(Shape::Text),
            "json" => Ok(Shape::Json),
            _ => Err(wrong(format!("the lock file has an unknown shape \"{word}\" at {path}"))),
        },
        Value::Array(items) => match items.as_slice() {
            [item] => Ok(Shape::List(Box::new(from_value(item, path)?))),
            [Value::String(word), value] if word == "entries" => Ok(Shape::Entries(Box::new(from_value(value, path)?))),
            _ => Err(wrong(format!("the lock file has a list of {} shapes at {path}, not of one", items.len()))),
        },
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| Ok((name.clone(), from_value(value, &format!("{path}/{name}"))?));
            members.iter().map(member).collect::<Result<_, _>>().map(Shape::Object)
        }
        _ => Err(wrong(format!("the lock file has no shape at {path}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        let place = Shape::Object(vec![("lat".into(), Shape::Float), ("name".into(), Shape::Text)]);
        Shape::Object(vec![
            ("dc:title".into(), Shape::List(Box::new(Shape::Text))),
            ("id".into(), Shape::Integer),
            ("by \"id\"".into(), Shape::Entries(Box::new(Shape::List(Box::new(place))))),
            ("odd".into(), Shape::Json),
            ("on".into(), Shape::Boolean),
        ])
    }

    #[test]
    fn a_lock_file_gives_back_its_shape_and_the_same_text() {
        let text = write(&shape());
        assert_eq!(read(&text).unwrap(), shape());
        assert_eq!(write(&read(&text).unwrap()), text);
        assert!(text.contains("\"dc:title\": [\n      \"text\"\n    ]"), "{text}");
    }

    #[test]
    fn a_lock_file_that_was_changed_says_so() {
        let text = write(&shape());
        for (from, to, says) in [
            ("integer", "float", "edited by hand"),
            ("\"version\": 1", "\"version\": 9", "version 9"),
            ("\"version\": 1", "\"fersion\": 1", "no version"),
            ("\"boolean\"", "\"bool\"", "unknown shape \"bool\" at shape/on"),
            ("\"boolean\"", "7", "no shape at shape/on"),
            ("{", "[", "not JSON"),
        ] {
            let problem = read(&text.replacen(from, to, 1)).unwrap_err();
            assert!(problem.message.contains(says), "{problem}");
            assert!(problem.hint.is_some() && problem.code == CODE);
        }
    }
}
