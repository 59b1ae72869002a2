//! One partition, from its first batch to its manifest rows.
//!
//! Each table gathers rows until a file is full; then that file is written before the next batch is asked for, so memory is
//! bounded by the tables, not by the input. Where the session's memory pool is tighter still, files become smaller.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};
use futures::StreamExt;

use super::buffer::Table;
use super::exec::SinkExec;
use super::file::Destination;
use super::finding::Findings;
use super::manifest::{Identities, ManifestFile, to_batches};
use super::quarantine::Withheld;
use super::record::{Layout, Records};
use super::reread::Reread;
use super::route::{Route, Tally, chosen, routes};
use super::schema::{FINDINGS, MAPPED, QUARANTINE, findings_schema, mapped_schema, quarantine_schema, vernacular_table};
use super::spec::{SinkMode, SinkSpec};
use super::summary::Summary;
use crate::progress::Progress;

/// Findings gathered before they become a batch of their table.
const FINDING_ROWS: usize = 8_192;

/// Positions of the tables of a job among those of its writer.
const MAPPED_TABLE: usize = 0;
const QUARANTINE_TABLE: usize = 1;
const FINDINGS_TABLE: usize = 2;
const VERNACULAR_TABLE: usize = 3;

/// Counters of a partition, shown by EXPLAIN ANALYZE.
#[derive(Debug)]
pub(super) struct Metrics {
    compute: Time,
    rows: Count,
    bytes: Count,
    files: Count,
    records: Count,
}

impl Metrics {
    pub(super) fn new(set: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        Self {
            compute: MetricBuilder::new(set).elapsed_compute(partition),
            rows: MetricBuilder::new(set).output_rows(partition),
            bytes: MetricBuilder::new(set).output_bytes(partition),
            files: MetricBuilder::new(set).counter("files", partition),
            records: MetricBuilder::new(set).counter(SinkExec::RECORDS, partition),
        }
    }
}

/// Writes all rows of a partition; returns its manifest rows.
pub(super) async fn write(
    spec: &SinkSpec,
    context: &TaskContext,
    input: SendableRecordBatchStream,
    metrics: &Metrics,
) -> Result<Vec<RecordBatch>> {
    let (files, summary, ids) = match &spec.mode {
        SinkMode::Rows { table } => {
            let tables = vec![Table::new(table, input.schema())];
            let writer = Writer::new(spec, context, metrics, tables)?;
            (write_rows(writer, input).await?, Summary::default(), Identities::default())
        }
        SinkMode::Records { source, vernacular, duplicates, at, reread } => {
            let layout = Layout::of(&input.schema())?;
            let tables = tables(&layout, &input.schema(), vernacular.then_some(source.as_str()))?;
            let writer = Writer::new(spec, context, metrics, tables)?;
            let (tally, findings, ids) = (Tally::default(), Findings::default(), Identities::default());
            let router = Router { layout, duplicates, at, vernacular: *vernacular, tally, findings, ids };
            write_records(writer, router, reread.as_deref(), input).await?
        }
    };
    to_batches(context.task_id().as_deref(), &files, &summary, &ids)
}

async fn write_rows(mut writer: Writer<'_>, mut input: SendableRecordBatchStream) -> Result<Vec<ManifestFile>> {
    while let Some(batch) = input.next().await.transpose()? {
        let rows = batch.num_rows();
        let timer = writer.metrics.compute.timer();
        writer.tables[0].push(batch.columns().to_vec(), rows, None)?;
        timer.done();
        drop(batch);
        Progress::add(&writer.progress.records, rows as u64);
        writer.metrics.records.add(rows);
        writer.make_room().await?;
    }
    writer.finish().await
}

async fn write_records(
    mut writer: Writer<'_>,
    mut router: Router<'_>,
    reread: Option<&Reread>,
    mut input: SendableRecordBatchStream,
) -> Result<(Vec<ManifestFile>, Summary, Identities)> {
    while let Some(batch) = input.next().await.transpose()? {
        let timer = writer.metrics.compute.timer();
        let withheld = router.route(batch, &mut writer)?;
        timer.done();
        if let Some(withheld) = withheld {
            let texts = match reread {
                Some(reread) if !withheld.places.is_empty() => reread.texts(writer.context, &withheld.places).await?,
                _ => StringArray::new_null(withheld.places.len()),
            };
            let columns = withheld.into_columns(texts);
            let rows = columns.first().map_or(0, |column| column.len());
            writer.tables[QUARANTINE_TABLE].push(columns, rows, None)?;
        }
        writer.make_room().await?;
    }
    router.write_findings(&mut writer)?;
    let files = writer.finish().await?;
    let Router { tally, findings, ids, .. } = router;
    Ok((files, Summary { counts: tally.collections, pages: tally.pages, findings: findings.into_groups() }, ids))
}

/// The tables of a job, in the order of their positions; the vernacular one if its source is named.
fn tables(layout: &Layout, input: &SchemaRef, source: Option<&str>) -> Result<Vec<Table>> {
    let target = layout.target_fields(input);
    let mut tables = vec![
        Table::new(MAPPED, mapped_schema(&target)),
        Table::new(QUARANTINE, quarantine_schema(&target)),
        Table::new(FINDINGS, findings_schema()),
    ];
    if let Some(source) = source {
        let fields = layout.vernacular_fields(input);
        let fields = fields.ok_or_else(|| internal_datafusion_err!("the vernacular records are to be written, but not in the plan"))?;
        tables.push(Table::new(vernacular_table(source), Arc::new(Schema::new(fields))));
    }
    Ok(tables)
}

/// Decides which table each record goes to, and counts.
#[derive(Debug)]
struct Router<'a> {
    layout: Layout,
    duplicates: &'a [(u32, u32)],
    at: &'a BTreeMap<String, String>,
    vernacular: bool,
    tally: Tally,
    findings: Findings,
    ids: Identities,
}

impl Router<'_> {
    /// Hands the rows of a batch to their tables; returns those for the quarantine, which still want their text.
    fn route(&mut self, batch: RecordBatch, writer: &mut Writer<'_>) -> Result<Option<Withheld>> {
        let records = Records::of(&self.layout, &batch)?;
        drop(batch);
        let routes = routes(&records, self.duplicates);
        let pages = self.tally.pages.seen;
        let count = self.tally.add(&records, &routes);
        Progress::add(&writer.progress.records, count);
        writer.metrics.records.add(count as usize);
        Progress::add(&writer.progress.pages, self.tally.pages.seen - pages);
        for row in (0..records.rows).filter(|&row| routes[row] != Route::PageEnd) {
            let (page_no, page_seq) = records.place(row);
            self.ids.push(records.collection_id.value(row), records.record_id.value(row), page_no, page_seq);
        }
        self.findings.add(&records, &routes, self.at);
        if self.findings.waiting() >= FINDING_ROWS {
            self.write_findings(writer)?;
        }
        let withheld = match chosen(&routes, |route| route == Route::Quarantined) {
            Some(rows) if rows.is_empty() => None,
            Some(rows) => Some(Withheld::take(&records, rows)?),
            None => Some(Withheld::take(&records, (0..).take(records.rows).collect())?),
        };
        if self.vernacular {
            let Some(vernacular) = &records.vernacular else { return Err(internal_datafusion_err!("a batch without vernacular records")) };
            let harvested = chosen(&routes, |route| !matches!(route, Route::PageEnd | Route::Duplicate));
            writer.tables[VERNACULAR_TABLE].push(vernacular.columns().to_vec(), records.rows, harvested)?;
        }
        let mapped = chosen(&routes, |route| route == Route::Mapped);
        writer.tables[MAPPED_TABLE].push(records.mapped_columns(), records.rows, mapped)?;
        Ok(withheld)
    }

    fn write_findings(&mut self, writer: &mut Writer<'_>) -> Result<()> {
        let rows = self.findings.waiting();
        writer.tables[FINDINGS_TABLE].push(self.findings.take_rows(), rows, None)
    }
}

/// The tables of a partition, and the files written so far.
#[derive(Debug)]
struct Writer<'a> {
    spec: &'a SinkSpec,
    context: &'a TaskContext,
    metrics: &'a Metrics,
    destination: Destination,
    progress: Arc<Progress>,
    reservation: MemoryReservation,
    tables: Vec<Table>,
    files: Vec<ManifestFile>,
}

impl<'a> Writer<'a> {
    fn new(spec: &'a SinkSpec, context: &'a TaskContext, metrics: &'a Metrics, tables: Vec<Table>) -> Result<Self> {
        let destination = Destination::of(spec, context)?;
        let reservation = MemoryConsumer::new("SinkExec").register(context.memory_pool());
        Ok(Self { spec, context, metrics, destination, progress: Progress::of(context), reservation, tables, files: Vec::new() })
    }

    /// Writes each table that is full, and the fullest where the memory pool has no more to give.
    async fn make_room(&mut self) -> Result<()> {
        for table in 0..self.tables.len() {
            if self.tables[table].held() as u64 >= self.spec.file_bytes {
                self.write_file(table).await?;
            }
        }
        while self.reservation.try_resize(self.held()).is_err() {
            let fullest = (0..self.tables.len()).max_by_key(|&table| self.tables[table].held());
            let Some(fullest) = fullest.filter(|&table| self.tables[table].held() > 0) else { break };
            self.write_file(fullest).await?;
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.tables.iter().map(Table::held).sum()
    }

    async fn write_file(&mut self, table: usize) -> Result<()> {
        let table = &mut self.tables[table];
        let timer = self.metrics.compute.timer();
        let file = table.take_file()?;
        timer.done();
        let Some((tally, rows)) = file else { return Ok(()) };
        let written = self.destination.write(&table.name, rows, &self.metrics.compute).await?;
        self.metrics.rows.add(tally.rows as usize);
        self.metrics.bytes.add(written.bytes as usize);
        self.metrics.files.add(1);
        Progress::add(&self.progress.bytes_written, written.bytes);
        self.files.push(ManifestFile {
            table: table.name.clone(),
            path: written.path,
            rows: tally.rows,
            bytes: written.bytes,
            row_hash: tally.hash,
            collections: tally.collections,
        });
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<ManifestFile>> {
        for table in 0..self.tables.len() {
            self.write_file(table).await?;
            // What remains was granted before.
            self.reservation.resize(self.held());
        }
        Ok(self.files)
    }
}
