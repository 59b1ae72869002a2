//! Every XML page of the real data decodes to the records that its manifest counts.
//!
//! The data is not part of the repository; without it the test says so and passes.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use pacha_engine::format::{Page, PageBytes, PageTally, decoder, sniff::sniff};
use schemas::source::SourceSchema;

/// What one page gave.
struct Counted {
    schema: Option<&'static str>,
    records: u64,
    deleted: usize,
    /// Records with a problem.
    problems: usize,
    tally: PageTally,
}

fn data() -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if data.join("MANIFEST.tsv").exists() {
        return Some(data);
    }
    eprintln!("SKIPPED: no real data at {}", data.display());
    None
}

fn count(path: &Path, fallback: &'static str) -> Counted {
    let bytes = std::fs::read(path).unwrap();
    let mut start = Vec::new();
    bytes.as_slice().take(16 << 10).read_to_end(&mut start).unwrap();
    let schema = sniff(&start);
    let source = SourceSchema::shipped(schema.unwrap_or(fallback)).unwrap();
    let table = source.table_schema();
    // Everything, as a run that keeps the vernacular would ask for.
    let all: Vec<usize> = (0..table.fields().len()).collect();
    let codec = decoder(&source, &all, 1000).unwrap();
    let page = Page { collection_id: "test".into(), path: path.display().to_string(), ..Page::default() };
    let (mut rows, mut deleted, mut problems) = (0, 0, 0);
    let tally = codec.decode(&page, PageBytes::Whole(bytes.into()), &mut |batch| {
        rows += batch.num_rows() as u64;
        deleted += batch.column_by_name("deleted").unwrap().as_boolean().true_count();
        let found = batch.column_by_name("problems").unwrap().as_list::<i32>();
        problems += (0..found.len()).filter(|&row| found.value_length(row) > 0).count();
        Ok(())
    });
    let tally = tally.unwrap();
    assert_eq!(rows, tally.records);
    Counted { schema, records: rows, deleted, problems, tally }
}

/// `870 (738 deleted)` → 870, 738.
fn expected(text: &str) -> (u64, usize) {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).map(|part| part.parse::<u64>().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap_or(0) as usize)
}

#[test]
fn every_page_has_the_records_its_manifest_counts() {
    let Some(data) = data() else { return };
    let manifest = std::fs::read_to_string(data.join("MANIFEST.tsv")).unwrap();
    let (mut pages, mut wrong) = (0, Vec::new());
    for line in manifest.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (path, format, records) = (columns[0], columns[1], columns[2]);
        let schema = match (path, format) {
            // Labelled by its Dublin Core neighbour, but it is MODS in OAI-PMH.
            ("dpla/oai-page.xml", _) => Some("oai_mods"),
            // Labelled MODS, but its metadata is UNTL, of which no schema is shipped.
            ("dpla/tx.xml", _) => None,
            // MODS labelled as harvested that stands alone, and the reverse, are told apart by their root.
            (_, "oai_dc") => Some("oai_dc"),
            (_, "oai_qdc") => Some("oai_qdc"),
            (_, "oai_mods") => Some("oai_mods"),
            (_, "mods") => Some("mods"),
            (_, "marcxml" | "oai_marcxml" | "sru") => Some("marcxml"),
            _ => continue,
        };
        let records = match path {
            // The manifest counted the SRU records and the MARC records in them together: 2 in 2, and 5 in 2.
            "ucldc/ucsb-aleph-resp-7-8.xml" => "2",
            "marc/metafacture/sru_dnb-241be368-d2a1-427a-a554-667b67f69ef8.xml" => "5",
            _ => records,
        };
        pages += 1;
        let counted = count(&data.join(path), "oai_mods");
        if (counted.records, counted.deleted) != expected(records) || counted.schema != schema {
            wrong.push(format!(
                "{path}: {:?} {} ({} deleted), expected {schema:?} {records}: {:?}",
                counted.schema, counted.records, counted.deleted, counted.tally.problems
            ));
        }
        println!(
            "{path}\t{}\t{}\t{} deleted\t{} with problems\t{:?}",
            schema.unwrap_or("-"),
            counted.records,
            counted.deleted,
            counted.problems,
            counted.tally.problems.iter().map(|problem| problem.code).collect::<Vec<_>>()
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(pages > 150, "only {pages} pages");
}

#[test]
fn pages_that_are_not_of_the_schema_say_so() {
    let Some(data) = data() else { return };
    let cases = [
        ("oai/dltn/State_Library/miers.oai.dc.xml", "PX101"),
        ("ucldc/testOAI-no-records.xml", "PX112"),
        ("ucldc/oai-fmts.xml", "PX113"),
        ("ucldc/testOAC-badsearch.xml", "PX113"),
        ("mods/perseus_malformed_tlg0090.mods1.xml", "PX101"),
        ("ucldc/ucd-recpage-1.xml", "PX111"),
    ];
    for (path, code) in cases {
        let counted = count(&data.join(path), "oai_dc");
        let codes: Vec<&str> = counted.tally.problems.iter().map(|problem| problem.code).collect();
        assert_eq!((counted.records, codes), (0, vec![code]), "{path}: {:?}", counted.tally.problems);
    }
    // Records whose metadata is of another kind are kept, each with a problem.
    let counted = count(&data.join("dpla/tx.xml"), "oai_mods");
    assert_eq!((counted.records, counted.problems), (1, 1));
}

#[test]
fn a_page_is_decoded_the_same_twice() {
    let Some(data) = data() else { return };
    let source: Arc<SourceSchema> = SourceSchema::shipped("oai_mods").unwrap();
    let all: Vec<usize> = (0..source.table_schema().fields().len()).collect();
    let codec = decoder(&source, &all, 50).unwrap();
    let decode = || {
        let bytes = std::fs::read(data.join("oai/fsu_admiral.mods.xml")).unwrap();
        let mut batches = Vec::new();
        codec
            .decode(&Page::default(), PageBytes::Whole(bytes.into()), &mut |batch| {
                batches.push(batch);
                Ok(())
            })
            .unwrap();
        batches
    };
    let first = decode();
    assert_eq!(first.iter().map(|batch| batch.num_rows()).collect::<Vec<_>>(), [50, 43]);
    assert_eq!(first, decode());
}
