//! Decodes pages and says how fast: `decode_pages [--columns a,b,c] [--repeat N] SCHEMA FILE…`
//!
//! The codec alone, without storage, plan or sink, so that it can be measured and profiled.

use std::time::Instant;

use pacha_engine::format::{Page, PageBytes, decoder};
use schemas::source::SourceSchema;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let columns = option(&mut arguments, "--columns");
    let repeat: usize = option(&mut arguments, "--repeat").map_or(Ok(1), |n| n.parse())?;
    let mut arguments = arguments.into_iter();
    let name = arguments.next().ok_or("usage: decode_pages [--columns a,b,c] [--repeat N] SCHEMA FILE…")?;
    let source = SourceSchema::shipped(&name).ok_or_else(|| schemas::source::unknown(&name, &SourceSchema::shipped_names()))?;
    let schema = source.table_schema();
    let projection: Vec<usize> = match columns {
        Some(columns) => columns.split(',').map(|column| schema.index_of(column)).collect::<Result<_, _>>()?,
        None => (0..schema.fields().len()).filter(|&index| !matches!(schema.field(index).name().as_str(), "raw" | "raw_sha256")).collect(),
    };
    let codec = decoder(&source, &projection, 8192)?;
    let files: Vec<String> = arguments.collect();
    let (mut records, mut bytes, mut values, mut problems) = (0, 0, 0, 0);
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    for _ in 0..repeat {
        for path in &files {
            let page = Page { collection_id: "1".into(), path: path.clone(), ..Page::default() };
            let content = std::fs::read(path)?;
            bytes += content.len();
            let tally = codec.decode(&page, PageBytes::Whole(content.into()), &mut |batch| {
                values += batch.columns().iter().map(|column| column.get_buffer_memory_size()).sum::<usize>();
                Ok(())
            })?;
            records += tally.records;
            for problem in tally.problems {
                problems += 1;
                eprintln!("{} {}", problem.code, problem.message);
            }
        }
    }
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let megabytes = bytes as f64 / 1e6;
    println!("{records} records, {megabytes:.1} MB, {problems} page problems, {:.1} MB of columns", values as f64 / 1e6);
    println!("{wall:.2} s wall, {cpu:.2} s CPU, {:.0} MB/s", megabytes / cpu.max(wall * 0.01));
    Ok(())
}

fn option(arguments: &mut Vec<String>, name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.remove(at);
    (at < arguments.len()).then(|| arguments.remove(at))
}

/// CPU seconds of this process so far, or 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
