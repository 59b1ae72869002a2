//! No page may make the xml codec panic, whatever its schema, and a page read whole and as a stream counts the same.

#![no_main]

use std::io::Cursor;
use std::sync::LazyLock;

use engine::format::sniff::sniff;
use engine::format::{Page, PageBytes, RecordFormat, decoder};
use libfuzzer_sys::fuzz_target;
use schemas::source::SourceSchema;

static CODECS: LazyLock<Vec<Box<dyn RecordFormat>>> = LazyLock::new(|| {
    ["oai_dc", "mods", "marcxml"]
        .iter()
        .filter_map(|name| {
            let source = SourceSchema::shipped(name)?;
            let all: Vec<usize> = (0..source.table_schema().fields().len()).collect();
            decoder(&source, &all, 3).ok()
        })
        .collect()
});

fuzz_target!(|bytes: &[u8]| {
    let _ = sniff(bytes);
    for codec in CODECS.iter() {
        let count = |bytes: PageBytes| {
            let mut rows = 0;
            let tally = codec.decode(&Page::default(), bytes, &mut |batch| {
                rows += batch.num_rows() as u64;
                Ok(())
            });
            let tally = tally.expect("bytes in memory do not fail");
            assert_eq!(rows, tally.records);
            tally
        };
        let whole = count(PageBytes::Whole(bytes.to_vec().into()));
        let streamed = count(PageBytes::Stream(Box::new(Cursor::new(bytes.to_vec()))));
        assert_eq!(whole, streamed);
    }
});
