//! `byte_start` and `byte_len` of the envelope: a record can be cut out of its page with nothing but these two numbers.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use pacha_tests::fixture::Fixture;

/// Page, the bytes that the offsets cut out of it, and `raw`, for every record of a collection.
async fn cut(fixture: &Fixture, collection: &str) -> Vec<(String, Vec<u8>, String)> {
    let sql = format!("SELECT page, byte_start, byte_len, raw FROM collection.\"{collection}\"");
    let batches = Box::pin(fixture.query(&sql)).await.unwrap();
    batches.iter().flat_map(|batch| records(fixture, batch)).collect()
}

fn records(fixture: &Fixture, batch: &RecordBatch) -> Vec<(String, Vec<u8>, String)> {
    let (page, raw) = (batch.column(0).as_string::<i32>(), batch.column(3).as_string::<i32>());
    let number = |column: usize, row: usize| usize::try_from(batch.column(column).as_primitive::<Int64Type>().value(row)).unwrap();
    let record = |row: usize| {
        let bytes = fs::read(fixture.path().join(page.value(row))).unwrap();
        let (start, length) = (number(1, row), number(2, row));
        (page.value(row).to_owned(), bytes[start..start + length].to_vec(), raw.value(row).to_owned())
    };
    (0..batch.num_rows()).map(record).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_between_the_offsets_are_the_record() {
    let fixture = Fixture::project("harbour").unwrap();
    for collection in ["oai_dc", "oai_qdc", "oai_mods", "mods", "guide", "export", "json", "lines", "drift"] {
        let records = cut(&fixture, collection).await;
        assert!(!records.is_empty(), "{collection} has no records");
        for (page, bytes, raw) in records {
            assert_eq!(String::from_utf8(bytes).unwrap(), raw, "{page}");
        }
    }
}

/// Not those of the bytes as fetched: whoever traces a record to such a page has to decode the page first.
#[tokio::test(flavor = "multi_thread")]
async fn the_offsets_of_a_page_in_another_encoding_are_those_of_its_text_as_utf_8() {
    let fixture = Fixture::project("harbour").unwrap();
    let page = fs::read(fixture.path().join("pages/marcxml/page-0001.xml")).unwrap();
    let text: String = page.iter().map(|byte| char::from(*byte)).collect();
    assert!(!text.is_ascii());
    let sql = "SELECT byte_start, byte_len, raw FROM collection.marcxml WHERE page LIKE '%0001.xml' ORDER BY 1";
    for batch in Box::pin(fixture.query(sql)).await.unwrap() {
        let number = |column: usize, row: usize| usize::try_from(batch.column(column).as_primitive::<Int64Type>().value(row)).unwrap();
        for row in 0..batch.num_rows() {
            let (start, length) = (number(0, row), number(1, row));
            assert_eq!(&text[start..start + length], batch.column(2).as_string::<i32>().value(row));
        }
    }
}
