//! Every JSON file among the real records: as many records out as the manifest says are in, and no value lost.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use bytes::Bytes;
use pacha_engine::format::json::{Inference, JsonFormat, infer, lock};
use pacha_engine::format::{Page, PageBytes, PageTally, RecordFormat};
use schemas::source::{RecordPath, SourceSchema};

/// Where records are in the files that hold them under a path.
const PATHS: &[(&str, &str)] = &[
    ("ucldc/ia-results-3.json", "response/docs"),
    ("ucldc/nuxeo_folder.json", "entries"),
    ("ucldc/nuxeo_image_components.json", "entries"),
    ("ucldc/testOAC-url_next-1.json", "objset"),
    ("ucldc/ucb-cursor-results-0.json", "response/docs"),
    ("ucldc/ucb-cursor-results-1.json", "response/docs"),
    ("ucldc/ucsd-new-feed-missions-bb3038949s-3.json", "response/docs"),
    ("ucldc/youtube_video.json", "items"),
    ("dpla/lc.json", "item"),
];

fn data() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !path.join("MANIFEST.tsv").exists() {
        eprintln!("SKIPPED: no real records at {}", path.display());
        return None;
    }
    Some(path)
}

fn decode(file: &Path, record_path: &str) -> (Vec<RecordBatch>, PageTally) {
    let mut source = SourceSchema::shipped("json").unwrap().as_ref().clone();
    source.records.push(RecordPath { path: record_path.into(), metadata: ".".into() });
    let bytes = Bytes::from(fs::read(file).unwrap());
    let page = Page { collection_id: "1".into(), path: file.display().to_string(), ..Page::default() };
    let mut inference = Inference::default();
    infer(&source, &page, PageBytes::Whole(bytes.clone()), &mut inference).unwrap();
    let written = lock::write(&inference.finish());
    let source = Arc::new(source.with_shape(lock::read(&written).unwrap()));
    let columns: Vec<usize> = (0..source.table_schema().fields().len()).collect();
    let format = JsonFormat::new(&source, &columns, 8192).unwrap();
    let mut batches = Vec::new();
    let tally = format
        .decode(&page, PageBytes::Whole(bytes), &mut |batch| {
            batches.push(batch);
            Ok(())
        })
        .unwrap();
    (batches, tally)
}

#[test]
fn every_file_gives_as_many_records_as_the_manifest_says() {
    let Some(data) = data() else { return };
    let manifest = fs::read_to_string(data.join("MANIFEST.tsv")).unwrap();
    let mut files = 0;
    for line in manifest.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        if !(cells[1].starts_with("json") || cells[1] == "marc-jsonl") {
            continue;
        }
        let path = PATHS.iter().find(|(file, _)| *file == cells[0]).map_or("", |(_, path)| path);
        let (batches, tally) = decode(&data.join(cells[0]), path);
        assert_eq!(tally.problems, [], "{}", cells[0]);
        assert_eq!(tally.records.to_string(), cells[2], "{}", cells[0]);
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, tally.records, "{}", cells[0]);
        for batch in &batches {
            for cell in batch["problems"].as_list::<i32>().iter().flatten() {
                for row in 0..cell.len() {
                    let code = cell.as_struct().column(0).as_string::<i32>().value(row);
                    assert_eq!(code, "PX120", "{}: drift from a shape that was just inferred: {cell:?}", cells[0]);
                }
            }
        }
        files += 1;
    }
    assert_eq!(files, 25);
}

#[test]
fn no_value_is_lost_between_text_and_columns() {
    let Some(data) = data() else { return };
    for file in ["marc/metafacture/alma-small.jsonl", "jsonl/moma_every10th.jsonl.gz", "jsonl/tate_artists.jsonl"] {
        let (batches, _) = decode(&data.join(file), "");
        let leaves_out: usize = batches.iter().map(|batch| leaves(&batch["doc"])).sum();
        let text = unpacked(&data.join(file));
        assert_eq!(leaves_out, scalars(&text), "{file}");
    }
}

fn unpacked(file: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    let mut reader = PageBytes::Whole(Bytes::from(fs::read(file).unwrap())).reader().unwrap();
    reader.read_to_end(&mut text).unwrap();
    text
}

/// Values in the columns that are not null and hold no other values.
fn leaves(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| leaves(column)).sum(),
        DataType::List(_) => leaves(array.as_list::<i32>().values()),
        _ => array.len() - array.null_count(),
    }
}

/// Values in the text that are neither null nor keys, counted by nothing but quotes, colons and delimiters; every
/// occurrence of a repeated key counts.
fn scalars(text: &[u8]) -> usize {
    let mut count = 0;
    let mut at = 0;
    while at < text.len() {
        let start = at;
        match text[at] {
            b'"' => {
                at += 1;
                while text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                let after = text[at..].iter().find(|byte| !byte.is_ascii_whitespace());
                count += usize::from(after != Some(&b':'));
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                while at < text.len() && !b",]} \n\r\t".contains(&text[at]) {
                    at += 1;
                }
                count += usize::from(&text[start..at] != b"null");
            }
            _ => at += 1,
        }
    }
    count
}
