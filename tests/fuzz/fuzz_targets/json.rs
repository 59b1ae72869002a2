//! Any bytes at all through the json codec: nothing may panic, and what was inferred must hold for what is decoded.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use engine::format::json::{Inference, JsonFormat, infer, lock};
use engine::format::{Page, PageBytes, PageTally, RecordFormat};
use libfuzzer_sys::fuzz_target;
use schemas::source::{RecordPath, Shape, SourceSchema};

const PROBLEMS: usize = 16;
const DOC: usize = 17;

fuzz_target!(|input: &[u8]| {
    // The first byte chooses the source schema, the rest is the page.
    let Some((&choice, page)) = input.split_first() else { return };
    let source = source(choice);
    let whole = || PageBytes::Whole(Bytes::copy_from_slice(page));

    let mut inference = Inference::default();
    let learnt = infer(&source, &Page::default(), whole(), &mut inference).expect("bytes in memory can be read");
    let shape = inference.finish();
    assert_eq!(lock::read(&lock::write(&shape)).expect("what was written can be read"), shape);

    let inferred = source.with_shape(shape);
    let (tally, drift) = decode(&inferred, &(0..=DOC).collect::<Vec<_>>(), whole());
    assert_eq!(tally, learnt, "decoding finds what inference found");
    assert!(drift.is_empty() || matches!(choice % 4, 2), "a shape holds for the page it was inferred from: {drift:?}");

    let stream = PageBytes::Stream(Box::new(std::io::Cursor::new(page.to_vec())));
    let (counted, _) = decode(&inferred, &[1], stream);
    assert_eq!(counted, tally, "which records there are does not depend on the columns");

    let foreign = source.with_shape(foreign());
    let (counted, _) = decode(&foreign, &[PROBLEMS, DOC], whole());
    assert_eq!(counted, tally, "nor on the shape");

    let plain = !page.contains(&0) && choice % 4 == 0;
    if plain && serde_json::from_slice::<serde_json::Value>(page).is_ok() {
        assert_eq!(tally.problems, [], "what is JSON to others is JSON to us");
    }
});

fn source(choice: u8) -> SourceSchema {
    let mut source = SourceSchema::shipped("json").expect("it is shipped").as_ref().clone();
    if choice % 4 == 1 {
        source.records.push(RecordPath { path: "a/b".into(), metadata: ".".into() });
    }
    if choice % 4 == 2 {
        source.unpack = vec!["a".into(), "a/b".into()];
    }
    source
}

/// A shape that most pages do not have.
fn foreign() -> Shape {
    let list = |item| Shape::List(Box::new(item));
    let member = |name: &str, shape| (name.to_owned(), shape);
    let inner = vec![member("b", Shape::Integer), member("a", list(Shape::Float)), member("c", Shape::Json)];
    Shape::Object(vec![
        member("a", Shape::Object(inner.clone())),
        member("b", list(Shape::Object(inner))),
        member("c", Shape::Boolean),
        member("id", Shape::Text),
        member("d", Shape::Entries(Box::new(list(list(Shape::Text))))),
    ])
}

/// The tally, and what is said to have drifted in records that are objects.
fn decode(source: &SourceSchema, columns: &[usize], bytes: PageBytes) -> (PageTally, Vec<String>) {
    let format = JsonFormat::new(&Arc::new(source.clone()), columns, 3).expect("the shape is known");
    let mut rows = 0;
    let mut drift = Vec::new();
    let tally = format.decode(&Page::default(), bytes, &mut |batch| {
        rows += batch.num_rows() as u64;
        if let Some(problems) = batch.column_by_name("problems") {
            let text = format!("{problems:?}");
            let said = text.lines().filter(|line| line.contains("PX13") || line.contains(": expected"));
            drift.extend(said.filter(|line| !line.contains("\"expected an object") && !line.contains("PX13")).map(str::to_owned));
        }
        Ok(())
    });
    let tally = tally.expect("bytes in memory can be read");
    assert_eq!(rows, tally.records, "as many rows as records");
    (tally, drift)
}
