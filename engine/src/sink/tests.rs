//! The sink as a whole: batches in, tables and a manifest out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder, StructArray,
    StructBuilder, UInt8Array, UInt32Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::source::{list_of, problem_type};

use super::schema::{FINDINGS, MAPPED, QUARANTINE, finding_list};
use super::summary::Pages;
use super::{Manifest, SinkExec, SinkMode, SinkSpec, findings_schema, mapped_schema, quarantine_schema};
use crate::progress::Progress;
use crate::table::Counts;
use crate::table::RowHash;

const DATABASE: &str = "memory://warehouse/calisphere/";

/// A row of the input.
#[derive(Debug, Clone, Default)]
struct Row {
    end_of_page: bool,
    collection: &'static str,
    id: String,
    page: u32,
    seq: u32,
    deleted: bool,
    kept: Option<bool>,
    problems: Vec<&'static str>,
    /// Severity and field.
    findings: Option<Vec<(&'static str, &'static str)>>,
    value: String,
}

fn record(id: &str, page: u32, seq: u32) -> Row {
    Row { collection: "a", id: id.to_owned(), page, seq, kept: Some(true), value: format!("title of {id}"), ..Row::default() }
}

fn end_of_page(page: u32, records: u32) -> Row {
    Row { end_of_page: true, collection: "a", page, seq: records, ..Row::default() }
}

fn batch(rows: &[Row], vernacular: bool) -> RecordBatch {
    let text = |of: &dyn Fn(&Row) -> Option<String>| Arc::new(rows.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let id = |row: &Row| (!row.end_of_page).then(|| row.id.clone());
    let mut members: Vec<(&str, ArrayRef)> = vec![
        ("kind", Arc::new(rows.iter().map(|row| Some(u8::from(row.end_of_page))).collect::<UInt8Array>())),
        ("page_no", Arc::new(rows.iter().map(|row| Some(row.page)).collect::<UInt32Array>())),
        ("collection_id", text(&|row| Some(row.collection.to_owned()))),
        ("record_id", text(&id)),
        ("page", text(&|row| Some(format!("{}.xml", row.page)))),
        ("page_seq", Arc::new(rows.iter().map(|row| Some(row.seq.cast_signed())).collect::<Int32Array>())),
        ("deleted", Arc::new(rows.iter().map(|row| Some(row.deleted)).collect::<BooleanArray>())),
        ("problems", problems(rows)),
    ];
    if vernacular {
        let fields = Fields::from(vec![
            Field::new("collection_id", DataType::Utf8, true),
            Field::new("record_id", DataType::Utf8, true),
            Field::new("title", DataType::Utf8, true),
        ]);
        let columns = vec![text(&|row| Some(row.collection.to_owned())), text(&id), text(&|row| Some(row.value.clone()))];
        members.push(("vernacular", Arc::new(StructArray::new(fields, columns, None))));
    }
    let fields: Fields = members.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let record = StructArray::new(fields, members.into_iter().map(|(_, array)| array).collect(), None);
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("title", text(&|row| Some(row.value.clone())), true),
        ("_record", Arc::new(record), false),
        ("_kept", Arc::new(rows.iter().map(|row| row.kept).collect::<BooleanArray>()), true),
        ("_findings", findings(rows), true),
        ("length", Arc::new(rows.iter().map(|row| row.value.len() as i64).collect::<Int64Array>()), false),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, array, nullable)| Field::new(*name, array.data_type().clone(), *nullable)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|column| column.1).collect()).unwrap()
}

fn problems(rows: &[Row]) -> ArrayRef {
    let DataType::Struct(fields) = problem_type() else { unreachable!() };
    let mut list = ListBuilder::new(StructBuilder::from_fields(fields, 0));
    for row in rows {
        for code in &row.problems {
            append(list.values(), &[code, "a problem", "dc/title"]);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

fn findings(rows: &[Row]) -> ArrayRef {
    let DataType::List(item) = finding_list() else { unreachable!() };
    let DataType::Struct(fields) = item.data_type() else { unreachable!() };
    let mut list = ListBuilder::new(StructBuilder::from_fields(fields.clone(), 0));
    for row in rows {
        for (severity, field) in row.findings.iter().flatten() {
            append(list.values(), &[severity, "PV301", field, &row.value, "no value"]);
        }
        list.append(row.findings.is_some());
    }
    Arc::new(list.finish())
}

fn append(builder: &mut StructBuilder, texts: &[&str]) {
    for (index, text) in texts.iter().enumerate() {
        builder.field_builder::<StringBuilder>(index).unwrap().append_value(text);
    }
    builder.append(true);
}

fn records_mode(vernacular: bool, duplicates: Vec<(u32, u32)>) -> SinkMode {
    let at = BTreeMap::from([("title".to_owned(), "mappings/x.sql:8".to_owned())]);
    SinkMode::Records { source: "oai_dc".into(), vernacular, duplicates, at, reread: None }
}

fn spec(mode: SinkMode) -> SinkSpec {
    SinkSpec { database: DATABASE.into(), run_id: "run-1".into(), mode, file_bytes: 64 << 20, compression_level: 1 }
}

fn session(store: Arc<dyn ObjectStore>) -> SessionContext {
    session_in(store, RuntimeEnv::default())
}

#[expect(clippy::disallowed_methods, reason = "a bare session: the sink must ask nothing of ours, and the store is one that fails")]
fn session_in(store: Arc<dyn ObjectStore>, runtime: RuntimeEnv) -> SessionContext {
    let plain = "datafusion.execution.parquet.schema_force_view_types";
    let config = SessionConfig::new().set_bool(plain, false).with_extension(Arc::new(Progress::default()));
    let context = SessionContext::new_with_config_rt(config, Arc::new(runtime));
    context.register_object_store(&DATABASE.parse().unwrap(), store);
    context
}

async fn run(
    context: &SessionContext,
    spec: SinkSpec,
    partitions: &[Vec<RecordBatch>],
    schema: SchemaRef,
) -> Result<Manifest, DataFusionError> {
    let input: Arc<dyn ExecutionPlan> = MemorySourceConfig::try_new_exec(partitions, schema, None)?;
    let sink = Arc::new(SinkExec::new(input, Arc::new(spec)));
    assert_eq!(displayable(sink.as_ref()).one_line().to_string().trim(), format!("SinkExec: {DATABASE}"));
    let rows = collect(sink, context.task_ctx()).await?;
    Ok(Manifest::from_batches(&rows).unwrap())
}

/// Runs over rows, one inner list a partition, one inner inner list a batch.
async fn run_records(context: &SessionContext, mode: SinkMode, partitions: &[Vec<Vec<Row>>]) -> Manifest {
    let partitions: Vec<Vec<RecordBatch>> =
        partitions.iter().map(|batches| batches.iter().map(|rows| batch(rows, true)).collect()).collect();
    run(context, spec(mode), &partitions, batch(&[], true).schema()).await.unwrap()
}

/// All rows of a table, by DataFusion's own reader.
async fn read(context: &SessionContext, manifest: &Manifest, table: &str) -> RecordBatch {
    let paths: Vec<String> =
        manifest.files.iter().filter(|file| file.table == table).map(|file| format!("{DATABASE}{}", file.path)).collect();
    assert!(!paths.is_empty(), "no file of {table}");
    let frame = context.read_parquet(paths, ParquetReadOptions::default()).await.unwrap();
    let batches = frame.collect().await.unwrap();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn text(batch: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = arrow::compute::cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
    column.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect()
}

fn ids(batch: &RecordBatch) -> Vec<String> {
    let mut ids: Vec<String> = text(batch, "record_id").into_iter().flatten().collect();
    ids.sort();
    ids
}

/// One row of each route.
fn each_route() -> Vec<Row> {
    vec![
        record("mapped", 0, 0),
        Row { findings: Some(vec![("warn", "title"), ("info", "other")]), ..record("warned", 0, 1) },
        Row { findings: Some(vec![("warn", "title"), ("error", "title")]), ..record("withheld", 0, 2) },
        Row { kept: Some(false), ..record("skipped", 0, 3) },
        Row { kept: None, findings: Some(vec![("error", "title")]), ..record("neither", 0, 4) },
        Row { deleted: true, kept: Some(false), findings: Some(vec![("error", "title")]), ..record("deleted", 0, 5) },
        Row { deleted: true, problems: vec!["PX120"], ..record("twice", 0, 6) },
        Row { problems: vec!["PX121"], ..record("odd", 0, 7) },
        Row { problems: vec!["PX101", "PX103"], ..end_of_page(0, 8) },
    ]
}

#[tokio::test]
async fn every_row_goes_where_it_belongs_and_the_counts_add_up() {
    let context = session(Arc::new(InMemory::new()));
    let manifest = run_records(&context, records_mode(true, vec![(0, 6)]), &[vec![each_route()]]).await;
    let expected = Counts { input: 8, mapped: 3, quarantined: 1, skipped: 2, deleted: 1, duplicates: 1 };
    assert_eq!(manifest.counts, BTreeMap::from([("a".to_owned(), expected)]));
    assert_eq!(manifest.totals(), expected);
    assert_eq!(manifest.pages, Pages { seen: 1, records: 8 });
    assert_eq!(manifest.tasks, [None]);
    let mapped = read(&context, &manifest, MAPPED).await;
    assert_eq!(ids(&mapped), ["mapped", "odd", "warned"]);
    assert_eq!(mapped.schema().fields(), mapped_schema(&batch(&[], true).project(&[0, 4]).unwrap().schema().fields().clone()).fields());
    assert_eq!(text(&mapped, "title")[0].as_deref(), Some("title of mapped"));
    assert_eq!(text(&mapped, "page")[0].as_deref(), Some("0.xml"));
    let harvested = read(&context, &manifest, "vernacular_oai_dc").await;
    assert_eq!(ids(&harvested), ["deleted", "mapped", "neither", "odd", "skipped", "warned", "withheld"]);
    let progress = Progress::of(&context.task_ctx()).counts();
    assert_eq!((progress.records, progress.pages), (8, 1));
    assert_eq!(progress.bytes_written, manifest.files.iter().map(|file| file.bytes).sum::<u64>());
}

#[tokio::test]
async fn a_withheld_record_is_kept_with_its_text_and_its_reasons() {
    let context = session(Arc::new(InMemory::new()));
    let manifest = run_records(&context, records_mode(true, vec![]), &[vec![each_route()]]).await;
    let quarantine = read(&context, &manifest, QUARANTINE).await;
    assert_eq!(
        quarantine.schema().fields(),
        quarantine_schema(&Fields::from(vec![Field::new("title", DataType::Utf8, true), Field::new("length", DataType::Int64, true),]))
            .fields()
    );
    assert_eq!(ids(&quarantine), ["withheld"]);
    let json = r#"{"collection_id":"a","record_id":"withheld","title":"title of withheld"}"#;
    assert_eq!(text(&quarantine, "record"), [Some(json.to_owned())]);
    let findings = quarantine.column_by_name("findings").unwrap().as_list::<i32>();
    assert_eq!(findings.value(0).len(), 2);
}

#[tokio::test]
async fn findings_say_which_record_which_page_and_which_line_of_the_mapping() {
    let context = session(Arc::new(InMemory::new()));
    let manifest = run_records(&context, records_mode(false, vec![(0, 6)]), &[vec![each_route()]]).await;
    assert!(manifest.files.iter().all(|file| !file.table.starts_with("vernacular")));
    let findings = read(&context, &manifest, FINDINGS).await;
    assert_eq!(findings.schema().fields(), findings_schema().fields());
    let columns = ["record_id", "severity", "code", "field", "mapping"].map(|name| text(&findings, name));
    let mut rows: Vec<String> = (0..findings.num_rows())
        .map(|row| columns.each_ref().map(|column| column[row].clone().unwrap_or_else(|| "-".into())).join(" "))
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            "- error PX101 dc/title -",
            "- warn PX103 dc/title -",
            "neither info PM230 - -",
            "odd warn PX121 dc/title -",
            "skipped info PM230 - -",
            "twice warn PV320 - -",
            "warned info PV301 other -",
            "warned warn PV301 title mappings/x.sql:8",
            "withheld error PV301 title mappings/x.sql:8",
            "withheld warn PV301 title mappings/x.sql:8",
        ]
    );
    let sequence = findings.column_by_name("page_seq").unwrap().as_primitive::<Int32Type>();
    assert_eq!(sequence.null_count(), 2, "a page has no ordinal");
    let group = manifest.findings.iter().find(|group| group.code == "PM230").unwrap();
    assert_eq!((group.count, group.records, group.examples.len()), (2, 2, 2));
}

#[tokio::test]
async fn batches_slices_and_partitions_do_not_change_the_rows() {
    let rows: Vec<Row> = (0..60).map(|row| each_route()[row % 9].clone()).collect();
    let rows: Vec<Row> = rows.into_iter().zip(0..).map(|(row, seq)| Row { id: format!("{}{seq}", row.id), ..row }).collect();
    let (context, mode) = (session(Arc::new(InMemory::new())), || records_mode(true, vec![(0, 6)]));
    let whole = run_records(&context, mode(), &[vec![rows.clone()]]).await;
    let two = run_records(&context, mode(), &[vec![rows[..7].to_vec(), rows[7..20].to_vec()], vec![rows[20..].to_vec()]]).await;
    let all = batch(&rows, true);
    let slices = vec![(0..20).map(|slice| all.slice(slice * 3, 3)).collect::<Vec<_>>()];
    let sliced = run(&context, spec(mode()), &slices, all.schema()).await.unwrap();
    for other in [&two, &sliced] {
        assert_eq!((&other.counts, other.pages), (&whole.counts, whole.pages));
        let sums = |manifest: &Manifest| {
            manifest.findings.iter().map(|group| (group.code.clone(), group.count, group.records)).collect::<Vec<_>>()
        };
        assert_eq!(sums(other), sums(&whole));
        for table in [MAPPED, QUARANTINE, FINDINGS, "vernacular_oai_dc"] {
            let hash = |manifest: &Manifest| {
                let files = manifest.files.iter().filter(|file| file.table == table);
                files.fold((0, RowHash::default()), |sum, file| (sum.0 + file.rows, sum.1.and(file.row_hash)))
            };
            assert_eq!(hash(other), hash(&whole), "{table}");
        }
    }
    assert_eq!(two.tasks.len(), 2);
}

#[tokio::test]
async fn a_file_is_sorted_and_says_so() {
    let store = Arc::new(InMemory::new());
    let context = session(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let of = |collection, id: usize, seq| Row { collection, ..record(&format!("oai:x:{:05}", id * 7919 % 5000), 0, seq) };
    let batches =
        (0..5).map(|batch| (0..1000).map(|row| of(if row % 2 == 0 { "b" } else { "a" }, batch * 1000 + row, 0)).collect()).collect();
    let manifest = run_records(&context, records_mode(true, vec![]), &[batches]).await;
    let file = manifest.files.iter().find(|file| file.table == MAPPED).unwrap();
    assert_eq!(file.collections, BTreeMap::from([("a".to_owned(), 2500), ("b".to_owned(), 2500)]));
    let bytes = store.get(&Path::from(format!("calisphere/{}", file.path))).await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, file.bytes);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let metadata = reader.metadata().file_metadata();
    assert_eq!(metadata.created_by(), Some(concat!("pachamama ", env!("CARGO_PKG_VERSION"))));
    let group = reader.metadata().row_group(0);
    assert_eq!(group.sorting_columns().unwrap().iter().map(|column| column.column_idx).collect::<Vec<_>>(), [0, 1]);
    assert!(group.columns().iter().all(|column| column.offset_index_offset().is_some() && column.column_index_offset().is_some()));
    let keys: Vec<(String, String)> = reader
        .build()
        .unwrap()
        .flat_map(|batch| {
            let batch = batch.unwrap();
            let pairs = text(&batch, "collection_id").into_iter().zip(text(&batch, "record_id"));
            pairs.map(|(one, two)| (one.unwrap(), two.unwrap())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(keys.len(), 5000);
    assert!(keys.is_sorted());
}

#[tokio::test]
async fn an_empty_partition_gives_one_summary_and_no_file() {
    let context = session(Arc::new(InMemory::new()));
    for mode in [records_mode(true, vec![]), SinkMode::Rows { table: "t".into() }] {
        let manifest = run_records(&context, mode, &[vec![], vec![]]).await;
        assert_eq!((manifest.files.len(), manifest.tasks.len()), (0, 2));
        assert_eq!(manifest.totals(), Counts::default());
        assert!(manifest.duplicates().is_empty());
    }
}

#[tokio::test]
async fn an_empty_collection_is_counted_with_zero() {
    let context = session(Arc::new(InMemory::new()));
    let manifest = run_records(&context, records_mode(true, vec![]), &[vec![vec![end_of_page(0, 0)]]]).await;
    assert_eq!(manifest.counts, BTreeMap::from([("a".to_owned(), Counts::default())]));
    assert_eq!(manifest.pages, Pages { seen: 1, records: 0 });
}

#[tokio::test]
async fn duplicates_are_found_over_partitions_and_left_out_the_second_time() {
    let context = session(Arc::new(InMemory::new()));
    let partitions = [vec![vec![record("x", 0, 0), record("y", 0, 1)]], vec![vec![record("x", 3, 0)], vec![record("x", 1, 7)]]];
    let first = run_records(&context, records_mode(true, vec![]), &partitions).await;
    assert_eq!(first.duplicates(), [(0, 0), (1, 7)]);
    let second = run_records(&context, records_mode(true, first.duplicates()), &partitions).await;
    assert_eq!(second.totals(), Counts { input: 4, mapped: 2, duplicates: 2, ..Counts::default() });
    let mapped = read(&context, &second, MAPPED).await;
    assert_eq!(ids(&mapped), ["x", "y"]);
    assert!(text(&mapped, "page").contains(&Some("3.xml".to_owned())));
}

#[tokio::test]
async fn plain_rows_go_into_their_table_as_they_are() {
    let context = session(Arc::new(InMemory::new()));
    let schema =
        Arc::new(Schema::new(vec![Field::new("subject", DataType::Utf8, true), Field::new("tags", list_of(DataType::Utf8), true)]));
    let tags: ArrayRef = {
        let mut tags = ListBuilder::new(StringBuilder::new());
        tags.append_value([Some("x"), None]);
        tags.append_null();
        Arc::new(tags.finish())
    };
    let rows = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(StringArray::from(vec!["b", "a"])), tags]).unwrap();
    let mode = SinkMode::Rows { table: "subjects".into() };
    let manifest = run(&context, spec(mode), &[vec![rows.clone()], vec![]], schema).await.unwrap();
    let [file] = manifest.files.as_slice() else { panic!("{:?}", manifest.files) };
    assert!(file.path.starts_with("subjects/data/run-1/") && file.path.ends_with(".parquet"), "{}", file.path);
    assert_eq!((file.rows, file.collections.len(), manifest.counts.len()), (2, 0, 0));
    assert_eq!(text(&read(&context, &manifest, "subjects").await, "subject"), [Some("b".into()), Some("a".into())]);
}

#[tokio::test]
async fn a_full_table_starts_another_file() {
    let context = session(Arc::new(InMemory::new()));
    let batches: Vec<RecordBatch> =
        (0..6).map(|page| batch(&(0..2_048).map(|seq| record(&format!("{page}-{seq}"), page, seq)).collect::<Vec<_>>(), true)).collect();
    let small = SinkSpec { file_bytes: 128 << 10, ..spec(records_mode(false, vec![])) };
    let manifest = run(&context, small, std::slice::from_ref(&batches), batches[0].schema()).await.unwrap();
    assert!(manifest.files.len() >= 3, "{}", manifest.files.len());
    assert_eq!(manifest.files.iter().map(|file| file.rows).sum::<u64>(), 6 * 2_048);
    let pool = GreedyMemoryPool::new(128 << 10);
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build().unwrap();
    let context = session_in(Arc::new(InMemory::new()), runtime);
    let tight = run(&context, spec(records_mode(false, vec![])), std::slice::from_ref(&batches), batches[0].schema()).await.unwrap();
    assert!(tight.files.len() >= 3, "a tight memory pool makes files smaller, it does not fail the run");
    assert_eq!(tight.totals().mapped, 6 * 2_048);
}

#[tokio::test]
async fn a_full_disk_is_an_error_that_says_where_and_what_to_do() {
    let failing = |answer| session(Arc::new(Failing { inner: InMemory::new(), answer, aborted: Arc::default() }));
    for (kind, code) in [
        (std::io::ErrorKind::StorageFull, "PS504"),
        (std::io::ErrorKind::ReadOnlyFilesystem, "PS503"),
        (std::io::ErrorKind::BrokenPipe, "PS500"),
    ] {
        let rows = [vec![batch(&each_route(), true)]];
        let result = run(&failing(kind), spec(records_mode(true, vec![])), &rows, rows[0][0].schema()).await;
        let error = result.unwrap_err().to_string();
        assert!(error.contains(code) && error.contains("memory://warehouse/calisphere/mapped/data/run-1/"), "{error}");
        assert!(error.contains("hint: ") && !error.contains("Generic"), "{error}");
    }
}

#[tokio::test]
async fn an_upload_given_up_half_way_is_aborted() {
    let aborted = Arc::new(AtomicUsize::new(0));
    let kind = std::io::ErrorKind::StorageFull;
    let context = session(Arc::new(Failing { inner: InMemory::new(), answer: kind, aborted: Arc::clone(&aborted) }));
    // More than one row group, and more than one part: values that do not compress.
    let noise = |seed: u32| {
        (0..10u32)
            .map(|part| format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&[seed.to_le_bytes(), part.to_le_bytes()].concat())))
            .collect::<String>()
    };
    let rows = |page: u32| {
        (0..20_000u32).map(|seq| Row { value: noise(page * 20_000 + seq), ..record(&seq.to_string(), page, seq) }).collect::<Vec<_>>()
    };
    let batches: Vec<RecordBatch> = (0..7).map(|page| batch(&rows(page), false)).collect();
    let large = SinkSpec { file_bytes: 1 << 40, ..spec(records_mode(false, vec![])) };
    let error = run(&context, large, std::slice::from_ref(&batches), batches[0].schema()).await.unwrap_err().to_string();
    assert!(error.contains("PS504"), "{error}");
    assert_eq!(aborted.load(Ordering::SeqCst), 1);
}

/// A store whose writes fail.
#[derive(Debug)]
struct Failing {
    inner: InMemory,
    answer: std::io::ErrorKind,
    aborted: Arc<AtomicUsize>,
}

fn refused(kind: std::io::ErrorKind) -> object_store::Error {
    object_store::Error::Generic { store: "Failing", source: Box::new(std::io::Error::from(kind)) }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[derive(Debug)]
struct FailingUpload(std::io::ErrorKind, Arc<AtomicUsize>);

#[async_trait]
impl MultipartUpload for FailingUpload {
    fn put_part(&mut self, _: PutPayload) -> object_store::UploadPart {
        let error = refused(self.0);
        async move { Err(error) }.boxed()
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        Err(refused(self.0))
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        Err(refused(self.answer))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> object_store::Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(FailingUpload(self.answer, Arc::clone(&self.aborted))))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, object_store::Result<Path>>) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
