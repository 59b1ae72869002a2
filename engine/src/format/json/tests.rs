//! What becomes what: each rule on a page of its own, inferred and decoded as a user would.

use std::io::{Cursor, Write};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use schemas::problem::{Problems, Source};

use super::*;
use crate::format::envelope::EnvelopeBuilder;

const DOC: usize = 17;
const PROBLEMS: usize = 16;

fn source(toml: &str) -> SourceSchema {
    let text = format!("source = \"test\"\ncodec = \"json\"\n{toml}");
    let mut problems = Problems::default();
    let schema = SourceSchema::read(&Arc::new(Source { path: "test.toml".into(), text }), &mut problems);
    assert!(problems.0.is_empty(), "{problems}");
    schema
}

fn bytes(text: impl AsRef<[u8]>) -> PageBytes {
    PageBytes::Whole(Bytes::copy_from_slice(text.as_ref()))
}

fn inferred(schema: &SourceSchema, pages: &[&str]) -> SourceSchema {
    let mut inference = Inference::default();
    for page in pages {
        infer(schema, &Page::default(), bytes(page), &mut inference).unwrap();
    }
    schema.with_shape(inference.finish())
}

fn decode_bytes(schema: &SourceSchema, columns: &[usize], page: PageBytes) -> (RecordBatch, PageTally) {
    let format = JsonFormat::new(&Arc::new(schema.clone()), columns, 3).unwrap();
    let mut batches = Vec::new();
    let page_of = Page { collection_id: "c".into(), path: "p".into(), ..Page::default() };
    let tally = format
        .decode(&page_of, page, &mut |batch| {
            assert!(batch.num_rows() <= 3);
            batches.push(batch);
            Ok(())
        })
        .unwrap();
    let all = concat_batches(&Arc::new(schema.table_schema().project(columns).unwrap()), &batches).unwrap();
    assert_eq!(all.num_rows() as u64, tally.records);
    (all, tally)
}

/// One line a record: the columns as text.
fn rows(batch: &RecordBatch) -> Vec<String> {
    let cell = |column: &Arc<dyn Array>, row| array_value_to_string(column, row).unwrap();
    (0..batch.num_rows()).map(|row| batch.columns().iter().map(|column| cell(column, row)).collect::<Vec<_>>().join(" | ")).collect()
}

/// Infers from the page, decodes it, and gives `doc` and the problems of page and records.
fn both(toml: &str, page: &str) -> (Vec<String>, Vec<String>) {
    let schema = inferred(&source(toml), &[page]);
    decoded(&schema, page)
}

fn decoded(schema: &SourceSchema, page: &str) -> (Vec<String>, Vec<String>) {
    let (batch, tally) = decode_bytes(schema, &[PROBLEMS, DOC], bytes(page));
    let mut problems: Vec<String> = tally.problems.iter().map(|problem| format!("{} {}", problem.code, problem.message)).collect();
    let cells = (0..batch.num_rows()).map(|row| array_value_to_string(batch.column(0), row).unwrap());
    problems.extend(cells.filter(|cell| cell != "[]" && !only_no_identifier(cell)));
    (rows(&batch.project(&[1]).unwrap()), problems)
}

fn only_no_identifier(cell: &str) -> bool {
    cell.matches("code:").count() == 1 && cell.contains("PX120")
}

fn shape_of(page: &str) -> String {
    lock_line(&inferred(&source(""), &[page]))
}

fn lock_line(schema: &SourceSchema) -> String {
    let text = lock::write(schema.shape.as_ref().unwrap());
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["shape"].to_string()
}

#[test]
fn values_of_several_kinds_become_one_that_holds_them_all() {
    for (page, shape) in [
        (r#"[{"a": 1}, {"a": [2, 3]}]"#, r#"{"a":["integer"]}"#),
        (r#"[{"a": {"b": 1}}, {"a": [{"c": "x"}]}]"#, r#"{"a":[{"c":"text","b":"integer"}]}"#),
        (r#"[{"a": 1}, {"a": "1"}]"#, r#"{"a":"text"}"#),
        (r#"[{"a": 1}, {"a": 1.5}]"#, r#"{"a":"float"}"#),
        (r#"[{"a": 9007199254740993}, {"a": 1.5}]"#, r#"{"a":"text"}"#),
        (r#"[{"a": 12345678901234567890}]"#, r#"{"a":"text"}"#),
        (r#"[{"a": []}, {"a": null}, {"b": null}]"#, r#"{"a":["text"],"b":["text"]}"#),
        (r#"[{"a": []}, {"a": "x"}]"#, r#"{"a":["text"]}"#),
        (r#"[{"a": true}, {"a": false}]"#, r#"{"a":"boolean"}"#),
        (r#"[{"a": true}, {"a": 0}]"#, r#"{"a":"text"}"#),
        (r#"[{"a": {"b": 1}}, {"a": "x"}]"#, r#"{"a":"json"}"#),
        (r#"[{"a": {"b": 1}}, {"a": ["x"]}]"#, r#"{"a":["json"]}"#),
        (r#"[{"a": {}}]"#, r#"{"a":"json"}"#),
        (r#"[{"a": [[1], [2]]}, {"a": [3]}]"#, r#"{"a":[["integer"]]}"#),
        (r#"[{"a": 1, "a": 2}]"#, r#"{"a":["integer"]}"#),
        ("", r#""json""#),
        (r#"["x", {"a": 1}]"#, r#"{"a":"integer"}"#),
    ] {
        assert_eq!(shape_of(page), shape, "{page}");
    }
}

#[test]
fn inference_does_not_depend_on_the_order_of_pages() {
    let pages = [r#"{"a": 1, "b": {"c": null}}"#, r#"{"b": [{"c": 2.5, "d": true}], "a": "x", "a": "y"}"#, r#"{"e": [], "a": [null]}"#];
    let names = |text: &str| {
        let mut parts: Vec<&str> = text.split(['{', '}', ',']).collect();
        parts.sort_unstable();
        parts.join(" ")
    };
    let schema = source("");
    let once = lock_line(&inferred(&schema, &pages));
    assert_eq!(once, r#"{"a":["text"],"b":[{"c":"float","d":"boolean"}],"e":["text"]}"#);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(names(&lock_line(&inferred(&schema, &order.map(|index| pages[index])))), names(&once));
    }
    let mut merged = Inference::default();
    for page in pages {
        let mut one = Inference::default();
        infer(&schema, &Page::default(), bytes(page), &mut one).unwrap();
        merged.merge(one);
    }
    assert_eq!(lock_line(&schema.with_shape(merged.finish())), once);
}

#[test]
fn arrays_lines_documents_and_paths_give_the_same_records() {
    let expected = vec!["{a: 1}".to_owned(), "{a: 2}".into(), "{a: 3}".into(), "{a: 4}".into()];
    for (path, page) in [
        ("", r#"[{"a":1},{"a":2},{"a":3},{"a":4}]"#),
        ("", "[\n{\"a\":1},\n{\"a\":2},\n{\"a\":3},\n{\"a\":4}\n]\n"),
        ("", "{\"a\":1}\n{\"a\":2}\r\n\n{\"a\":3}\n  {\"a\":4}"),
        ("", "{\"a\":1},\n{\"a\":2},\n{\"a\":3},\n{\"a\":4}\n"),
        ("", r#"{"a":1}{"a":2} {"a":3}{"a":4}"#),
        ("", "{\n \"a\": 1\n}\n{\n \"a\": 2\n}\n{\"a\": 3}\n{\"a\": 4}"),
        ("", "[{\"a\":1},{\"a\":2}]\n[{\"a\":3},[{\"a\":4}]]\n"),
        ("", "\u{FEFF}{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n{\"a\":4}\n"),
        ("response/docs", r#"{"n": 4, "response": {"docs": [{"a":1},{"a":2},{"a":3},{"a":4}]}, "x": [{}]}"#),
        ("r/d", r#"{"r": [{"d": {"a":1}}, {"d": [{"a":2},{"a":3}]}], "r": {"d": {"a": 4}}}"#),
        ("d", "{\"d\":[{\"a\":1}]}\n{\"d\":[{\"a\":2},{\"a\":3}]}\n{\"d\":{\"a\":4}}\n"),
    ] {
        let (docs, problems) = both(&format!("record_path = \"{path}\""), page);
        assert_eq!((docs, problems), (expected.clone(), vec![]), "{page}");
    }
}

#[test]
fn gzip_and_utf_16_are_unpacked_whatever_the_name() {
    let text = "{\"a\":\"é1\"}\n{\"a\":\"é2\"}\n";
    let schema = inferred(&source(""), &[text]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = "\u{FEFF}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    for page in [packed.finish().unwrap(), little, big] {
        let (batch, tally) = decode_bytes(&schema, &[DOC], bytes(page));
        assert_eq!((rows(&batch), tally.problems.len()), (vec!["{a: é1}".to_owned(), "{a: é2}".to_owned()], 0));
    }
}

#[test]
fn damaged_gzip_keeps_what_could_be_unpacked() {
    let text: String = (0..20_000).map(|n| format!("{{\"a\":{n}}}\n")).collect();
    let schema = inferred(&source(""), &[&text]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let (batch, tally) = decode_bytes(&schema, &[DOC], bytes(&packed[..packed.len() / 2]));
    assert!(batch.num_rows() > 1000, "{}", batch.num_rows());
    assert_eq!(tally.problems[0].code, "PX105");
}

#[test]
fn a_large_page_of_lines_is_read_in_pieces() {
    let text: String = (0..1000).map(|n| format!("{{\"a\":{n},\"pad\":\"{}\"}}\n", "x".repeat(n % 97))).collect();
    let schema = inferred(&source("record_id = \"a\""), &[&text]);
    let format = JsonFormat::new(&Arc::new(schema.clone()), &[1, 10, 11], 64).unwrap();
    let limits = input::Limits { piece: 150, whole: 4000 };
    let mut at = 0;
    let stream = PageBytes::Stream(Box::new(Cursor::new(text.clone().into_bytes())));
    let mut check = |batch: RecordBatch| {
        for row in rows(&batch) {
            let parts: Vec<u64> = row.split(" | ").map(|part| part.parse().unwrap()).collect();
            let line = format!("{{\"a\":{at},");
            assert_eq!(parts[0], at);
            assert!(text[parts[1] as usize..(parts[1] + parts[2]) as usize].starts_with(&line));
            at += 1;
        }
        Ok(())
    };
    let tally = format.decode_within(&Page::default(), stream, limits, &mut check).unwrap();
    assert_eq!((tally.records, at, tally.problems.len()), (1000, 1000, 0));
}

#[test]
fn a_document_beyond_the_limit_says_so() {
    let schema = inferred(&source(""), &["{\"a\":1}"]);
    let format = JsonFormat::new(&Arc::new(schema), &[DOC], 64).unwrap();
    let array = format!("[{}]", vec!["{\"a\":1}"; 100].join(","));
    let limits = input::Limits { piece: 50, whole: 200 };
    for page in [PageBytes::Stream(Box::new(Cursor::new(array.clone().into_bytes()))), bytes(array.replace(',', ",\n"))] {
        let tally = format.decode_within(&Page::default(), page, limits, &mut |_| Ok(())).unwrap();
        assert_eq!((tally.records, tally.problems[0].code), (0, "PX116"));
    }
}

#[test]
fn a_broken_line_is_left_out_and_every_other_line_is_kept() {
    let page = "{\"a\":1,\"b\":[\"x\",\"y\"]}\n{\"a\":2,\"b\":[\"z\", oops]}\n{\"a\":3\n{\"a\":4} tail\n{\"a\":5,\"b\":\"w\"}\n";
    let (docs, problems) = both("", page);
    assert_eq!(docs, ["{a: 1, b: [x, y]}", "{a: 4, b: }", "{a: 5, b: [w]}"]);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with("PX102 line 2, column 18: expected a value; the rest of this line"), "{}", problems[0]);
    assert!(problems[1].starts_with("PX102 line 3, column 7: the text ends inside a value"), "{}", problems[1]);
    assert!(problems[2].starts_with("PX102 line 4, column 9: expected a value"), "{}", problems[2]);
}

#[test]
fn a_broken_first_line_does_not_hide_that_there_are_lines() {
    let (docs, problems) = both("", "{\"a\":\"cut o\n{\"a\":2}\n{\"a\":3}\n");
    assert_eq!(docs, ["{a: 2}", "{a: 3}"]);
    assert!(problems.len() == 1 && problems[0].starts_with("PX102 line 1"), "{problems:?}");
}

#[test]
fn an_array_that_is_cut_off_gives_the_records_before() {
    let (docs, problems) = both("", "[{\"a\":1},\n{\"a\":2},\n{\"a\":\"x");
    assert_eq!(docs, ["{a: 1}", "{a: 2}"]);
    assert_eq!(
        problems,
        [
            "PX102 line 3, column 8: the text ends inside a string; the 2 records before it are kept, the rest of the page is missing: fetch the page again"
        ]
    );
}

#[test]
fn a_broken_record_in_an_array_is_the_only_one_left_out() {
    let (docs, problems) = both("record_path = \"docs\"", "{\"docs\": [{\"a\":1}, {\"a\": nil, \"b\": {\"c\": 1}}, {\"a\":3}]}");
    assert_eq!(docs, ["{a: 1}", "{a: 3}"]);
    assert!(problems.len() == 1 && problems[0].contains("line 1, column 26: expected a value; this record is left out"), "{problems:?}");
}

#[test]
fn what_is_not_json_is_named() {
    for (page, code, says) in [
        ("<!DOCTYPE html><html><head><title> Log in </title>", "PX111", "HTML in place of JSON, which says \"Log in\""),
        ("<?xml version='1.0'?><r/>", "PX111", "XML in place of JSON"),
        (" \n", "PX115", "empty"),
        ("", "PX115", "empty"),
        ("Bad gateway", "PX102", "line 1, column 1: expected a value"),
    ] {
        let (docs, problems) = decoded(&inferred(&source(""), &["{\"a\":1}"]), page);
        assert!(docs.is_empty() && problems.len() == 1 && problems[0].starts_with(code) && problems[0].contains(says), "{problems:?}");
    }
}

#[test]
fn nothing_under_the_record_path_names_the_keys_but_an_empty_list_is_fine() {
    let toml = "record_path = \"response/docs\"";
    let schema = inferred(&source(toml), &[r#"{"response": {"docs": [{"a": 1}]}}"#]);
    let (_, problems) = decoded(&schema, r#"{"responseHeader": {}, "error": {"msg": "no"}}"#);
    assert!(
        problems[0].starts_with("PX113 nothing stands under response/docs; the document has the keys responseHeader, error"),
        "{problems:?}"
    );
    for page in [r#"{"response": {"docs": []}}"#, r#"{"response": {"docs": null}}"#] {
        assert_eq!(decoded(&schema, page), (vec![], vec![]));
    }
}

#[test]
fn a_value_that_left_the_locked_shape_is_a_problem_of_its_record() {
    let lock = r#"[{"n": 1, "f": 1.5, "b": true, "t": "x", "l": ["x"], "o": {"k": 1}, "none": []}]"#;
    let schema = inferred(&source(""), &[lock]);
    for (record, doc, problem) in [
        (r#"{"n": "c. 1850"}"#, "n: , f: , b: , t: , l: , o: , none: ", "n: expected a whole number, found text: \"c. 1850\"; left out"),
        (r#"{"n": 1.5}"#, "n: , f: , b: , t: , l: , o: , none: ", "n: expected a whole number, found a number: 1.5; left out"),
        (r#"{"n": [7]}"#, "n: 7, f: , b: , t: , l: , o: , none: ", "n: expected a whole number, found a list: [7]; its only item is kept"),
        (r#"{"n": [7, 8]}"#, "n: , f: , b: , t: , l: , o: , none: ", "n: expected a whole number, found a list: [7, 8]; left out"),
        (
            r#"{"f": 3.14159265358979312}"#,
            "n: , f: , b: , t: , l: , o: , none: ",
            "f: expected a number, found a number: 3.14159265358979312; left out",
        ),
        (r#"{"b": 1}"#, "n: , f: , b: , t: , l: , o: , none: ", "b: expected true or false, found a number: 1; left out"),
        (
            r#"{"t": ["x", 1]}"#,
            "n: , f: , b: , t: [\"x\", 1], l: , o: , none: ",
            "t: expected text, found a list: [\"x\", 1]; kept as JSON text",
        ),
        (
            r#"{"t": {"a": 1}}"#,
            "n: , f: , b: , t: {\"a\": 1}, l: , o: , none: ",
            "t: expected text, found an object: {\"a\": 1}; kept as JSON text",
        ),
        (
            r#"{"o": [{"k": "x"}]}"#,
            "n: , f: , b: , t: , l: , o: {k: }, none: ",
            "o/k: expected a whole number, found text: \"x\"; left out",
        ),
        (
            r#"{"o": {"new": {"a": 1}}}"#,
            "n: , f: , b: , t: , l: , o: {k: }, none: ",
            "o/new: expected no such member, found an object: {\"a\": 1}; left out",
        ),
        (r#"{"none": ["x"], "l": 5, "t": 1e3, "f": 2}"#, "n: , f: 2.0, b: , t: 1e3, l: [5], o: , none: [x]", ""),
        (r#"{"n": null, "new": null}"#, "n: , f: , b: , t: , l: , o: , none: ", ""),
    ] {
        let (docs, problems) = decoded(&schema, record);
        assert_eq!(docs, [format!("{{{doc}}}")], "{record}");
        if problem.is_empty() {
            assert!(problems.is_empty(), "{problems:?}");
        } else {
            assert!(problems[0].contains("PX130") && problems[0].contains(problem), "{problems:?}");
        }
    }
    let (docs, problems) = decoded(&schema, r#"[5, {"n": 1}]"#);
    assert_eq!(docs[0], "");
    assert!(docs[1].starts_with("{n: 1") && problems[0].contains("expected an object, found a number: 5"), "{problems:?}");
}

#[test]
fn repeated_keys_become_a_list_of_all_their_values() {
    let (docs, problems) =
        both("", r#"{"035": {"a": "1"}, "x": null, "035": {"a": "2", "a": "3"}, "035": null, "x": ["p", "q"], "x": "r"}"#);
    assert_eq!((docs, problems), (vec!["{035: [{a: [1]}, {a: [2, 3]}], x: [p, q, r]}".to_owned()], vec![]));
}

#[test]
fn a_repeated_key_that_is_locked_as_single_keeps_the_rest_as_a_problem() {
    let (docs, problems) = decoded(&inferred(&source(""), &[r#"{"a": 1, "b": 2}"#]), r#"{"a": 1, "a": 7, "b": 3, "a": null}"#);
    assert_eq!(docs, ["{a: 1, b: 3}"]);
    assert!(problems[0].contains("PX131") && problems[0].contains("a whole number is locked, not a list: 7; left out"), "{problems:?}");
}

#[test]
fn numbers_kept_as_text_keep_their_spelling() {
    let (docs, _) = both("", r#"[{"a": 1.50}, {"a": "x"}, {"a": 12345678901234567890}, {"a": true}, {"a": 1E5}]"#);
    assert_eq!(docs, ["{a: 1.50}", "{a: x}", "{a: 12345678901234567890}", "{a: true}", "{a: 1E5}"]);
}

#[test]
fn json_packed_in_strings_is_unpacked_where_declared() {
    let page = r#"[{"s": "{\"t\": [\"x\", 1], \"p\": \"[7]\"}", "raw": "{}"}, {"s": ""}, {"s": ["{\"t\": \"y\"}"]}, {"s": {"t": "z"}}]"#;
    let (docs, problems) = both("unpack = [\"s\", \"s/p\"]", page);
    assert_eq!(docs, ["{s: [{t: [x, 1], p: [7]}], raw: {}}", "{s: , raw: }", "{s: [{t: [y], p: }], raw: }", "{s: [{t: [z], p: }], raw: }"]);
    assert!(problems.is_empty(), "{problems:?}");
    let schema = inferred(&source("unpack = \"s\""), &[r#"{"s": "{\"t\": 1}"}"#]);
    let (docs, problems) = decoded(&schema, r#"{"s": "not {json"}"#);
    assert_eq!(docs, ["{s: }"]);
    assert!(problems[0].contains("PX133") && problems[0].contains("not {json"), "{problems:?}");
}

#[test]
fn objects_with_identifiers_as_keys_become_entries() {
    let members: Vec<String> = (0..2500).map(|n| format!("\"id{n}\": {{\"n\": {n}}}")).collect();
    let page = format!("{{\"by_id\": {{{}}}, \"t\": \"x\"}}", members.join(", "));
    let schema = inferred(&source(""), &[&page]);
    assert_eq!(lock_line(&schema), r#"{"by_id":["entries",{"n":"integer"}],"t":"text"}"#);
    let (docs, problems) = decoded(&schema, r#"[{"by_id": {"a\u0062": {"n": 1}, "x": null}}, {"t": "y"}, {"by_id": {}}]"#);
    assert_eq!(docs, ["{by_id: [{key: ab, value: {n: 1}}, {key: x, value: }], t: }", "{by_id: , t: y}", "{by_id: [], t: }"]);
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn only_what_a_query_reads_is_built_and_the_rest_is_no_drift() {
    let page = r#"{"a": {"b": 1, "c": "x"}, "d": [1, 2], "new": 3}"#;
    let schema = inferred(&source(""), &[r#"{"a": {"b": 1, "c": "x"}, "d": [1]}"#]);
    let path = ["a".to_owned(), "b".to_owned()];
    let (docs, problems) = decoded(&schema.with_part(&[&path]), page);
    assert_eq!(docs, ["{a: {b: 1}}"]);
    assert!(problems.len() == 1 && problems[0].contains("new: expected no such member"), "{problems:?}");
}

#[test]
fn what_counts_as_a_record_does_not_depend_on_the_columns() {
    let page = "{\"id\":1,\"a\":[1,2]}\n{\"id\":2,\"a\":[1,}\n{\"id\":3,\"a\":\"\\x\"}\n{\"id\":4,\"a\":tru}\n{\"id\":5}\n[{\"id\":6},{\"id\":7,\"a\":}]\n";
    let schema = inferred(&source("record_id = \"id\""), &[page]);
    for columns in [vec![1, DOC], vec![DOC], vec![1], vec![], vec![9], (0..=DOC).collect()] {
        let (batch, tally) = decode_bytes(&schema, &columns, bytes(page));
        assert_eq!((batch.num_rows(), tally.records, tally.problems.len()), (3, 3, 4), "{columns:?}");
    }
    assert_eq!(EnvelopeBuilder::width(), DOC);
}

#[test]
fn the_envelope_says_where_a_record_came_from() {
    let toml =
        "record_id = [\"none\", \"h/id\"]\ndatestamp = \"h/on\"\n[envelope]\nsets = [\"h/sets\"]\ndeleted = [\"h/status='deleted'\"]";
    let page = "\u{FEFF}[ {\"h\": {\"id\": \"x:1\", \"on\": \"2020-01-02\", \"sets\": [\"a\", \"b\"]}, \"t\": 1},\n {\"h\": {\"id\": 2, \"status\": \"deleted\"}}]";
    let schema = inferred(&source(toml), &[page]);
    let (batch, _) = decode_bytes(&schema, &[2, 3, 5, 6, 9, 10, 11, 14, DOC], bytes(page));
    let first = "c--x:1 | 2020-01-02 | [a, b] | false | 0 | 5 | 68 | {\"h\": {\"id\": \"x:1\", \"on\": \"2020-01-02\", \"sets\": [\"a\", \"b\"]}, \"t\": 1} | {h: {id: x:1, on: 2020-01-02, sets: [a, b], status: }, t: 1}";
    let second = "c--2 |  | [] | true | 1 | 76 | 37 | {\"h\": {\"id\": 2, \"status\": \"deleted\"}} | {h: {id: 2, on: , sets: , status: deleted}, t: }";
    assert_eq!(rows(&batch), [first, second]);
}

#[test]
fn text_that_is_not_utf_8_is_kept_with_a_problem_and_exact_bytes() {
    for page in [&b"{\"a\":\"caf\xe9\"}\n{\"a\":\"ok\"}\n"[..], &b"[{\"a\":\"caf\xe9\"},\n{\"a\":\"ok\"}]"[..]] {
        let schema = inferred(&source(""), &["{\"a\":\"x\"}"]);
        let (batch, tally) = decode_bytes(&schema, &[10, 11, PROBLEMS, DOC], bytes(page));
        assert!(tally.problems.is_empty());
        let text = rows(&batch);
        assert!(text[0].contains("| 12 |") && text[0].contains("PX132") && text[0].ends_with("{a: caf\u{FFFD}}"), "{text:?}");
        assert!(text[1].contains("| 10 |") && !text[1].contains("PX132"), "{text:?}");
        let start = batch.column(0).as_any().downcast_ref::<arrow::array::Int64Array>().unwrap().value(1) as usize;
        assert_eq!(&page[start..start + 10], b"{\"a\":\"ok\"}");
    }
}

#[test]
fn half_a_surrogate_pair_and_raw_control_characters_do_not_break_a_record() {
    let (docs, problems) = both("", "{\"a\":\"x\\ud83dy\", \"b\": \"tab\there\u{85}\"}");
    assert_eq!(docs, ["{a: x\u{FFFD}y, b: tab\there\u{85}}"]);
    assert!(problems.len() == 1 && problems[0].contains("PX132"), "{problems:?}");
}

#[test]
fn doc_without_a_known_shape_is_refused() {
    let error = JsonFormat::new(&Arc::new(source("")), &[DOC], 10).unwrap_err();
    assert!(error.to_string().contains("PX117") && error.exit_code() == 2, "{error}");
    assert!(JsonFormat::new(&Arc::new(source("")), &[1], 10).is_ok());
}

#[test]
fn a_thousand_broken_lines_are_counted_not_listed() {
    let page = format!("{{\"a\":1}}\n{}", "{oops}\n".repeat(1000));
    let (_, tally) = decode_bytes(&inferred(&source(""), &[&page]), &[DOC], bytes(&page));
    assert_eq!(tally.problems.len(), 101);
    assert_eq!(tally.problems[100].message, "900 more problems of this kind on the page");
}

#[test]
fn records_without_identifier_get_a_digest_only_where_it_is_asked_for() {
    let schema = inferred(&source(""), &["{\"a\":1}"]);
    let (batch, _) = decode_bytes(&schema, &[1], bytes("{\"a\":1}"));
    let ids = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
    assert_eq!(ids.value(0).len(), 16);
}
