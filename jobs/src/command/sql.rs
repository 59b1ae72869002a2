//! `pacha sql`: ad-hoc SQL over collections, tables and files, to the terminal or a file.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::dataframe::{DataFrame, DataFrameWriteOptions};
use engine::query::tables::Overlay;
use engine::session::Session;
use engine::sql::mistake;
use engine::table::counted;
use engine::{Error, Result};
use futures::StreamExt;
use schemas::problem::{Problem, Source, printable};

use super::DONE;
use crate::cli::{Global, SqlFormat};
use crate::printer::{ForTerminal, Printer};

/// Rows of a table shown on a terminal; a pipe or a file gets all.
const SHOWN: usize = 500;

pub(crate) struct Wanted {
    pub(crate) sql: Option<String>,
    pub(crate) file: Option<PathBuf>,
    pub(crate) format: SqlFormat,
    pub(crate) output: Option<PathBuf>,
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Wanted {
    /// A file's ending says what it wants to be, where no form was asked for.
    fn format_for(&self, path: &Path) -> SqlFormat {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match (self.format, ending.as_deref()) {
            (SqlFormat::Table, Some("csv")) => SqlFormat::Csv,
            (SqlFormat::Table, Some("json")) => SqlFormat::Json,
            (SqlFormat::Table, Some("jsonl" | "ndjson")) => SqlFormat::Ndjson,
            (SqlFormat::Table, Some("md")) => SqlFormat::Markdown,
            (format, _) => format,
        }
    }
}

pub(crate) async fn sql(global: &Global, wanted: Wanted, printer: &Printer) -> Result<u8> {
    let source = match (&wanted.sql, &wanted.file) {
        (Some(_), Some(_)) => return Err(Problem::error("PC010", "both a query and a file were given").hint("give one of them").into()),
        (Some(sql), None) => Source { path: "query".into(), text: sql.clone() },
        (None, Some(file)) => Source { path: file.display().to_string(), text: read(file)? },
        (None, None) if std::io::stdin().is_terminal() => return Box::pin(interactive(global, &wanted, printer)).await,
        (None, None) => Source { path: "standard input".into(), text: read(Path::new("/dev/stdin"))? },
    };
    let session = super::open_anywhere(global, printer)?;
    Box::pin(execute(&session, &Arc::new(source), &wanted, printer)).await?;
    Ok(DONE)
}

fn read(path: &Path) -> Result<String> {
    let text = if path == Path::new("/dev/stdin") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| Problem::error("PS502", format!("{} cannot be read: {error}", path.display())).hint("check the path").into())
}

async fn execute(session: &Session, source: &Arc<Source>, wanted: &Wanted, printer: &Printer) -> Result<()> {
    let statements = engine::query::statements(source)?;
    let only = statements.len() == 1;
    for statement in statements {
        let whole = 0..source.text.trim_end().len();
        let within = if only {
            whole
        } else {
            engine::sql::parse::range(source, datafusion::sql::sqlparser::ast::Spanned::span(&statement), &whole)
        };
        let frame = engine::query::plan(session, source, within, statement, &Overlay::default(), &wanted.parameters).await?;
        match &wanted.output {
            Some(path) if path.extension().is_some_and(|ext| ext == "parquet") => parquet(frame, path, printer).await?,
            Some(path) => {
                let mut file = std::fs::File::create(path).map_err(|error| unwritable(path, &error))?;
                let rows = print(frame, wanted.format_for(path), usize::MAX, &mut file).await?;
                printer.note(&format!("{} written to {}", counted(rows, "row"), path.display()));
            }
            None => {
                let terminal = std::io::stdout().is_terminal();
                let limit = if terminal { SHOWN } else { usize::MAX };
                let out = std::io::stdout().lock();
                let mut out: Box<dyn Write> = if terminal { Box::new(ForTerminal::new(out)) } else { Box::new(out) };
                let rows = print(frame, wanted.format, limit, &mut out).await?;
                drop(out);
                if wanted.format == SqlFormat::Table && rows > limit as u64 {
                    printer.note(&format!("the first {limit} rows; -o FILE writes all"));
                }
            }
        }
    }
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(Problem::error("PS503", format!("{} cannot be written: {error}", path.display())).hint("choose another file with -o"))
}

async fn parquet(frame: DataFrame, path: &Path, printer: &Printer) -> Result<()> {
    let failed = |error: datafusion::error::DataFusionError| mistake::running(&error);
    let absolute = std::path::absolute(path).map_err(|error| unwritable(path, &error))?;
    let folder = absolute.parent().unwrap_or(&absolute);
    std::fs::read_dir(folder).map_err(|error| unwritable(path, &error))?;
    let options = DataFrameWriteOptions::new().with_single_file_output(true);
    let written = frame.write_parquet(&absolute.to_string_lossy(), options, None).await.map_err(failed)?;
    let rows = written
        .first()
        .and_then(|batch| arrow::array::cast::as_primitive_array::<arrow::datatypes::UInt64Type>(batch.column(0)).iter().next())
        .flatten();
    printer.note(&format!("{} written to {}", counted(rows.unwrap_or_default(), "row"), path.display()));
    Ok(())
}

/// Writes at most `limit` rows; returns how many there were, at least. Rows stream, but for tables, whose widths must be known.
async fn print(frame: DataFrame, format: SqlFormat, limit: usize, out: &mut impl Write) -> Result<u64> {
    let failed = |error: datafusion::error::DataFusionError| mistake::running(&error);
    let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
    let mut rows = frame.execute_stream().await.map_err(failed)?;
    if matches!(format, SqlFormat::Table | SqlFormat::Markdown) {
        let (mut held, mut batches) = (0, Vec::new());
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(failed)?;
            held += batch.num_rows();
            batches.push(batch);
            if held > limit {
                break;
            }
        }
        let shown = held.min(limit);
        let batches = first(&batches, shown);
        return written(table(&schema, &batches, format), out).map(|()| held as u64);
    }
    let mut sink = Sink::new(format, out);
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(failed)?;
        count += batch.num_rows() as u64;
        if !sink.write(&batch)? {
            return Ok(count);
        }
    }
    sink.finish(&schema)?;
    Ok(count)
}

fn first(batches: &[RecordBatch], rows: usize) -> Vec<RecordBatch> {
    let mut left = rows;
    let mut kept = Vec::new();
    for batch in batches {
        let take = left.min(batch.num_rows());
        kept.push(batch.slice(0, take));
        left -= take;
    }
    kept
}

fn table(schema: &SchemaRef, batches: &[RecordBatch], format: SqlFormat) -> Result<String> {
    use arrow::util::display::FormatOptions;
    let options = FormatOptions::default().with_null("");
    let none = [RecordBatch::new_empty(Arc::clone(schema))];
    let batches = if batches.is_empty() { &none } else { batches };
    let text = arrow::util::pretty::pretty_format_batches_with_options(batches, &options).map_err(|error| unprintable(&error))?.to_string();
    let text = printable(&text);
    if format == SqlFormat::Table {
        return Ok(text.into_owned() + "\n");
    }
    // Markdown is the same table without its frame, and with bars in the rule under the header.
    let lines: Vec<String> =
        text.lines().skip(1).enumerate().map(|(index, line)| if index == 1 { line.replace('+', "|") } else { line.to_owned() }).collect();
    Ok(lines[..lines.len().saturating_sub(1)].join("\n") + "\n")
}

fn written(text: Result<String>, out: &mut impl Write) -> Result<()> {
    finished(out.write_all(text?.as_bytes()).and_then(|()| out.flush()))
}

/// A reader that has seen enough ends the process quietly.
fn finished(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Error::failed(
            Problem::error("PS503", format!("the result cannot be written: {error}")).hint("check the disk, or write elsewhere with -o"),
        )),
        Ok(()) => Ok(()),
    }
}

fn unprintable(error: &arrow::error::ArrowError) -> Error {
    Error::failed(
        Problem::error("PR014", format!("the result cannot be printed: {error}"))
            .hint("CAST the column to VARCHAR, or write Parquet with -o x.parquet"),
    )
}

/// Streams batches in a format for scripts.
enum Sink<'w, W: Write> {
    Csv(Box<arrow::csv::Writer<&'w mut W>>),
    Json(arrow::json::ArrayWriter<&'w mut W>),
    Ndjson(arrow::json::LineDelimitedWriter<&'w mut W>),
}

impl<'w, W: Write> Sink<'w, W> {
    fn new(format: SqlFormat, out: &'w mut W) -> Self {
        match format {
            SqlFormat::Json => Self::Json(arrow::json::ArrayWriter::new(out)),
            SqlFormat::Ndjson => Self::Ndjson(arrow::json::LineDelimitedWriter::new(out)),
            _ => Self::Csv(Box::new(arrow::csv::WriterBuilder::new().build(out))),
        }
    }

    /// False once the reader has gone.
    fn write(&mut self, batch: &RecordBatch) -> Result<bool> {
        let result = match self {
            Self::Csv(writer) => writer.write(&flat(batch)?),
            Self::Json(writer) => writer.write(batch),
            Self::Ndjson(writer) => writer.write(batch),
        };
        match result {
            Err(error) if error.to_string().contains("Broken pipe") => Ok(false),
            Err(error) => Err(unprintable(&error)),
            Ok(()) => Ok(true),
        }
    }

    fn finish(self, schema: &SchemaRef) -> Result<()> {
        match self {
            Self::Csv(mut writer) => {
                // Without a batch the header is still owed.
                writer.write(&flat(&RecordBatch::new_empty(Arc::clone(schema)))?).map_err(|error| unprintable(&error))
            }
            Self::Json(mut writer) => {
                writer.finish().map_err(|error| unprintable(&error))?;
                finished(writer.into_inner().write_all(b"\n"))
            }
            Self::Ndjson(mut writer) => writer.finish().map_err(|error| unprintable(&error)),
        }
    }
}

/// CSV has no lists: they are written as one cell, values joined by `; `.
fn flat(batch: &RecordBatch) -> Result<RecordBatch> {
    use arrow::array::{ArrayRef, AsArray, StringArray};
    use arrow::util::display::array_value_to_string;
    let columns: Vec<(String, ArrayRef)> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            let nested = column.data_type().is_nested();
            if !nested {
                return Ok((field.name().clone(), Arc::clone(column)));
            }
            let cells: Vec<Option<String>> = (0..column.len())
                .map(|row| {
                    if column.is_null(row) {
                        return Ok(None);
                    }
                    let Some(list) = column.as_list_opt::<i32>().filter(|list| list.value_type() == DataType::Utf8) else {
                        return array_value_to_string(column, row).map(Some);
                    };
                    let values = list.value(row);
                    let parts: Vec<&str> = values.as_string::<i32>().iter().flatten().collect();
                    Ok(Some(parts.join("; ")))
                })
                .collect::<Result<_, arrow::error::ArrowError>>()
                .map_err(|error| unprintable(&error))?;
            Ok((field.name().clone(), Arc::new(StringArray::from(cells)) as ArrayRef))
        })
        .collect::<Result<_>>()?;
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .map_err(|error| unprintable(&error))
}

/// Reads statements from a terminal until its end; each ends with a semicolon.
async fn interactive(global: &Global, wanted: &Wanted, printer: &Printer) -> Result<u8> {
    let session = super::open_anywhere(global, printer)?;
    let broken =
        |error: rustyline::error::ReadlineError| Error::failed(Problem::error("PR016", format!("the terminal cannot be read: {error}")));
    let mut editor = rustyline::DefaultEditor::new().map_err(broken)?;
    printer.note("end a statement with ;  leave with Ctrl-D");
    let mut text = String::new();
    loop {
        let prompt = if text.is_empty() { "pacha> " } else { "   ...> " };
        match editor.readline(prompt) {
            Ok(line) => {
                text.push_str(&line);
                text.push('\n');
                if !line.trim_end().ends_with(';') {
                    continue;
                }
                let _ = editor.add_history_entry(text.trim());
                let source = Arc::new(Source { path: "query".into(), text: std::mem::take(&mut text) });
                if let Err(error) = Box::pin(execute(&session, &source, wanted, printer)).await {
                    printer.error(&error);
                }
            }
            Err(rustyline::error::ReadlineError::Interrupted) => text.clear(),
            Err(rustyline::error::ReadlineError::Eof) => return Ok(DONE),
            Err(error) => return Err(broken(error)),
        }
    }
}
