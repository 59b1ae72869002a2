//! The floor beneath every engine: what reading and writing the benchmark's data cost if nothing is done in between.
//!
//! * `floor tokenise DIR`: reads each page and walks it with quick-xml, event by event, keeping nothing.
//! * `floor write PATH`: reads Parquet into memory, then times writing it as one file with zstd 3, statistics and page index.
//!
//! Both use one thread and print one line of JSON. An engine that maps pages to Parquet cannot take less CPU than the two
//! together, so the distance to this floor is what is left to gain.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use quick_xml::Reader;
use quick_xml::events::Event;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let line = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tokenise", folder] => tokenise(Path::new(folder)),
        ["write", path] => write(Path::new(path)),
        _ => Err("expected `tokenise DIR` or `write PATH`".into()),
    };
    match line {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Walks every page of a folder; reading the bytes is part of the time, as it is for an engine.
fn tokenise(folder: &Path) -> Result<String> {
    let pages = files(folder, "xml")?;
    let clock = Clock::start();
    let (mut bytes, mut events) = (0, 0);
    for page in &pages {
        let content = fs::read(page).map_err(|error| format!("{}: {error}", page.display()))?;
        bytes += content.len();
        events += count_events(&content).map_err(|error| format!("{}: {error}", page.display()))?;
    }
    Ok(format!("{{\"pages\": {}, \"bytes\": {bytes}, \"events\": {events}, {}}}", pages.len(), clock.stop()))
}

fn count_events(page: &[u8]) -> Result<u64> {
    let mut reader = Reader::from_reader(page);
    let mut events = 0;
    while !matches!(reader.read_event()?, Event::Eof) {
        events += 1;
    }
    Ok(events)
}

/// Writes the rows of one Parquet file, or of all in a folder; only the writing is timed.
fn write(path: &Path) -> Result<String> {
    let mut batches = Vec::new();
    for file in files(path, "parquet")? {
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(&file)?)?.build()? {
            batches.push(batch?);
        }
    }
    let first: &RecordBatch = batches.first().ok_or_else(|| format!("{}: no rows", path.display()))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .build();
    let target = env::temp_dir().join(format!("floor-{}.parquet", std::process::id()));
    let mut writer = ArrowWriter::try_new(File::create(&target)?, first.schema(), Some(properties))?;

    let clock = Clock::start();
    let mut rows = 0;
    for batch in &batches {
        rows += batch.num_rows();
        writer.write(batch)?;
    }
    writer.close()?;
    let time = clock.stop();

    let bytes = fs::metadata(&target)?.len();
    fs::remove_file(&target)?;
    Ok(format!("{{\"rows\": {rows}, \"bytes\": {bytes}, {time}}}"))
}

/// The file itself, or all files below a folder that have the extension, in order.
fn files(path: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let (mut found, mut pending) = (Vec::new(), vec![path.to_owned()]);
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort_unstable();
    if found.is_empty() {
        return Err(format!("{}: no .{extension} file", path.display()).into());
    }
    Ok(found)
}

/// Wall time, and CPU time of this thread.
struct Clock {
    started_at: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> Self {
        Self { started_at: Instant::now(), cpu: thread_cpu_seconds() }
    }

    /// The seconds since the start, as members of a JSON object.
    fn stop(&self) -> String {
        let (wall, cpu) = (self.started_at.elapsed().as_secs_f64(), thread_cpu_seconds() - self.cpu);
        format!("\"wall\": {wall:.3}, \"cpu\": {cpu:.3}")
    }
}

/// Linux counts the nanoseconds a thread was on a CPU; elsewhere this is 0 and only the wall time means anything.
fn thread_cpu_seconds() -> f64 {
    let counted = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    counted.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).map_or(0.0, |n| n / 1e9)
}
