//! Infers the shape of a JSON page, decodes it, and says how fast: `decode_json PAGE [RECORD_PATH] [--lock]`.
//!
//! For profiling the codec by itself; with `--lock` the lock file's text goes to standard output.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use pacha_engine::format::json::{Inference, JsonFormat, infer, lock};
use pacha_engine::format::{Page, PageBytes, RecordFormat};
use schemas::source::{RecordPath, SourceSchema};

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, words): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let path = words.first().ok_or("usage: decode_json PAGE [RECORD_PATH] [--lock]")?;
    let mut source = SourceSchema::shipped("json").ok_or("the source schema json is shipped")?.as_ref().clone();
    source.records.extend(words.get(1).map(|path| RecordPath { path: path.clone(), metadata: ".".into() }));
    let bytes = Bytes::from(std::fs::read(path)?);
    let megabytes = bytes.len() as f64 / 1e6;
    let page = Page { path: path.clone(), ..Page::default() };

    let start = Instant::now();
    let mut inference = Inference::default();
    infer(&source, &page, PageBytes::Whole(bytes.clone()), &mut inference)?;
    let shape = inference.finish();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("inferred in {seconds:.2} s, {:.0} MB/s", megabytes / seconds);
    if flags.iter().any(|flag| flag == "--lock") {
        print!("{}", lock::write(&shape));
    }

    let source = Arc::new(source.with_shape(shape));
    let all: Vec<usize> = (0..source.table_schema().fields().len()).collect();
    let envelope = [1, 2, 3, 5, 6];
    let doc = [all.len() - 1];
    for (what, columns) in [("identifier, datestamp, sets, deleted", &envelope[..]), ("doc", &doc[..])] {
        let start = Instant::now();
        let format = JsonFormat::new(&source, columns, 8192)?;
        let tally = format.decode(&page, PageBytes::Whole(bytes.clone()), &mut |_| Ok(()))?;
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{what}: {} records in {seconds:.2} s, {:.0} MB/s", tally.records, megabytes / seconds);
        for problem in tally.problems {
            eprintln!("{}: {}", problem.code, problem.message);
        }
    }
    Ok(())
}
