//! No page may make the xml codec panic, whatever its schema, and a page read whole and as a stream counts the same.

#![no_main]

use std::io::Cursor;
use std::sync::LazyLock;

use engine::format::sniff::sniff;
use engine::format::xml::XmlFormat;
use engine::format::{Page, PageBytes, RecordFormat};
use libfuzzer_sys::fuzz_target;
use schemas::source::SourceSchema;

/// Codecs that hold pages whole, and their twins that stream them.
static CODECS: LazyLock<Vec<[XmlFormat; 2]>> = LazyLock::new(|| {
    let codec = |name: &str| {
        let source = SourceSchema::shipped(name).expect("it is shipped");
        let all: Vec<usize> = (0..source.table_schema().fields().len()).collect();
        XmlFormat::new(&source, &all, 3).expect("shipped schemas compile")
    };
    ["oai_dc", "mods", "marcxml"].iter().map(|name| [codec(name), codec(name).streaming_over(0)]).collect()
});

fuzz_target!(|bytes: &[u8]| {
    let _ = sniff(bytes);
    for codecs in CODECS.iter() {
        let [whole, streamed] = codecs.each_ref().map(|codec| {
            let mut rows = Vec::new();
            let tally = codec.decode(&Page::default(), PageBytes::Stream(Box::new(Cursor::new(bytes.to_vec()))), &mut |batch| {
                rows.push(batch);
                Ok(())
            });
            let tally = tally.expect("bytes in memory do not fail");
            assert_eq!(rows.iter().map(|batch| batch.num_rows() as u64).sum::<u64>(), tally.records);
            tally
        });
        assert_eq!(whole, streamed);
    }
});
