//! What is ours in a plan ⇄ bytes: the scan of pages, the sink, functions that look into the project's tables, and the nodes
//! that keep a plan right when it is cut into stages ([`gathered`], [`opaque`]) or written as a message ([`packed`]).
//!
//! Everything else DataFusion and Ballista encode themselves. Each payload opens with a tag and a version: the codecs of
//! others try to read any bytes that they are given, and prost makes something of nearly all. Only this codec may travel
//! with a plan; `cluster::identity` sees to it that all processes have the same one.

use std::sync::{Arc, Mutex, PoisonError};

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_datasource::file_scan_config::{FileScanConfig, FileScanConfigBuilder};
use datafusion_datasource::source::DataSourceExec;
use datafusion_proto::physical_plan::from_proto::parse_protobuf_file_scan_config;
use datafusion_proto::physical_plan::to_proto::serialize_file_scan_config;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension};
use datafusion_proto::protobuf::FileScanExecConf;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use prost::Message;
use schemas::problem::Problems;
use schemas::source::SourceSchema;

use crate::codec::gathered::GatheredExec;
use crate::codec::opaque::OpaqueExec;
use crate::codec::packed::PackedExec;
use crate::function::{self, Lookups, Udf};
use crate::scan::HarvestSource;
use crate::sink::{SinkExec, SinkSpec};
use crate::storage::remote;

pub(crate) mod gathered;
pub(crate) mod opaque;
pub(crate) mod packed;
mod pages;

/// Changes whenever the bytes do.
pub const VERSION: u16 = 2;

const SCAN: &[u8] = b"PACHA-SCAN-1\n";
const SINK: &[u8] = b"PACHA-SINK-1\n";
const PACKED: &[u8] = b"PACHA-PACK-1\n";
const GATHERED: &[u8] = b"PACHA-GATH-1\n";
const JOINED: &[u8] = b"PACHA-JOIN-1\n";
const SHUFFLED: &[u8] = b"PACHA-SHUF-1\n";
const LOOKUPS: &[u8] = b"PACHA-LOOK-1\n";

/// The codec of every process.
pub fn codec() -> Arc<dyn PhysicalExtensionCodec> {
    Arc::new(PlanCodec::default())
}

#[derive(Debug, Default)]
struct PlanCodec {
    others: BallistaPhysicalExtensionCodec,
    /// The value tables that came last: every task of a run brings the same ones.
    lookups: Mutex<Option<(Vec<u8>, Arc<Lookups>)>>,
}

impl PhysicalExtensionCodec for PlanCodec {
    fn try_encode(&self, node: Arc<dyn ExecutionPlan>, buf: &mut Vec<u8>, proto: &dyn PhysicalProtoConverterExtension) -> Result<()> {
        if let Some(sink) = node.downcast_ref::<SinkExec>() {
            buf.extend_from_slice(SINK);
            // It may list every page of a unit, by name; names are much alike.
            let mut spec = ZlibEncoder::new(buf, Compression::fast());
            serde_json::to_writer(&mut spec, sink.spec().as_ref()).map_err(external)?;
            return spec.finish().map(|_| ()).map_err(external);
        }
        if let Some(scan) = node.downcast_ref::<DataSourceExec>()
            && let Some(conf) = scan.data_source().downcast_ref::<FileScanConfig>()
            && let Some(source) = conf.file_source().downcast_ref::<HarvestSource>()
        {
            let header = serde_json::to_vec(source.source_schema().as_ref()).map_err(external)?;
            let pages = pages::encode(&conf.file_groups, conf.table_partition_cols())?;
            let rest = FileScanConfigBuilder::from(conf.clone()).with_file_groups(Vec::new()).build();
            let rest = serialize_file_scan_config(&rest, self, proto)?;
            buf.extend_from_slice(SCAN);
            for part in [header, pages] {
                buf.extend_from_slice(&(part.len() as u64).to_le_bytes());
                buf.extend_from_slice(&part);
            }
            return rest.encode(buf).map_err(external);
        }
        if node.downcast_ref::<GatheredExec>().is_some() {
            buf.extend_from_slice(GATHERED);
            return Ok(());
        }
        if let Some(opaque) = node.downcast_ref::<OpaqueExec>() {
            buf.extend_from_slice(if opaque.is_over_shuffle() { SHUFFLED } else { JOINED });
            return Ok(());
        }
        if let Some(packed) = node.downcast_ref::<PackedExec>() {
            buf.extend_from_slice(PACKED);
            buf.extend_from_slice(packed.kind().as_bytes());
            return Ok(());
        }
        self.others.try_encode(node, buf, proto)
    }

    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        proto: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(spec) = buf.strip_prefix(SINK) {
            let spec: SinkSpec = serde_json::from_reader(ZlibDecoder::new(spec)).map_err(external)?;
            let [input] = inputs else { return Err(internal_datafusion_err!("a sink has one input, not {}", inputs.len())) };
            return Ok(Arc::new(SinkExec::new(Arc::clone(input), Arc::new(spec))));
        }
        if let Some(rest) = buf.strip_prefix(SCAN) {
            let short = || internal_datafusion_err!("a scan's bytes end too early");
            let (header, rest) = split(rest).ok_or_else(short)?;
            let (groups, conf) = split(rest).ok_or_else(short)?;
            let source: Arc<SourceSchema> = Arc::new(serde_json::from_slice(header).map_err(external)?);
            let conf = FileScanExecConf::decode(conf).map_err(external)?;
            let schema = FileScanConfig::parse_table_schema_from_proto(&conf)?;
            let source = Arc::new(HarvestSource::from_table_schema(source, schema));
            let conf = parse_protobuf_file_scan_config(&conf, &PhysicalPlanDecodeContext::new(context, self), proto, source)?;
            // The message has no place for this; see `HarvestTable`.
            let ordered = remote(conf.object_store_url.as_ref());
            let conf = FileScanConfigBuilder::from(conf).with_file_groups(pages::decode(groups)?).with_preserve_order(ordered).build();
            return Ok(DataSourceExec::from_data_source(conf));
        }
        if buf == GATHERED {
            let [all] = inputs else { return Err(internal_datafusion_err!("one input is gathered, not {}", inputs.len())) };
            return Ok(Arc::new(GatheredExec::over(Arc::clone(all))));
        }
        if buf == JOINED || buf == SHUFFLED {
            let [below] = inputs else { return Err(internal_datafusion_err!("one input is hidden, not {}", inputs.len())) };
            let over = if buf == JOINED { OpaqueExec::over_join } else { OpaqueExec::over_shuffle };
            return Ok(Arc::new(over(Arc::clone(below))));
        }
        if let Some(kind) = buf.strip_prefix(PACKED) {
            let [scan] = inputs else { return Err(internal_datafusion_err!("files are packed in one way, not {}", inputs.len())) };
            return Ok(Arc::new(PackedExec::over(scan, &String::from_utf8_lossy(kind))?));
        }
        self.others.try_decode(buf, inputs, context, proto)
    }

    /// Functions are known by name everywhere; the project's value tables are known to the client alone.
    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> Result<()> {
        match node.inner().downcast_ref::<Udf>() {
            Some(function) if function.looks_up() => {
                buf.extend_from_slice(LOOKUPS);
                let mut tables = ZlibEncoder::new(buf, Compression::fast());
                serde_json::to_writer(&mut tables, &function.lookups().texts()?).map_err(external)?;
                tables.finish().map(|_| ()).map_err(external)
            }
            Some(_) => Ok(()),
            None => self.others.try_encode_udf(node, buf),
        }
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> Result<Arc<ScalarUDF>> {
        let Some(tables) = buf.strip_prefix(LOOKUPS) else { return self.others.try_decode_udf(name, buf) };
        let lookups = self.lookups(tables)?;
        let known = function::all(&lookups).into_iter().find(|function| function.name() == name);
        known.ok_or_else(|| internal_datafusion_err!("there is no function {name} here"))
    }

    fn try_encode_udaf(&self, node: &AggregateUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.others.try_encode_udaf(node, buf)
    }

    fn try_decode_udaf(&self, name: &str, buf: &[u8]) -> Result<Arc<AggregateUDF>> {
        self.others.try_decode_udaf(name, buf)
    }

    fn try_encode_udwf(&self, node: &WindowUDF, buf: &mut Vec<u8>) -> Result<()> {
        self.others.try_encode_udwf(node, buf)
    }

    fn try_decode_udwf(&self, name: &str, buf: &[u8]) -> Result<Arc<WindowUDF>> {
        self.others.try_decode_udwf(name, buf)
    }
}

impl PlanCodec {
    fn lookups(&self, tables: &[u8]) -> Result<Arc<Lookups>> {
        let mut last = self.lookups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, lookups)) = last.as_ref().filter(|(bytes, _)| bytes == tables) {
            return Ok(Arc::clone(lookups));
        }
        let texts: Vec<(String, String)> = serde_json::from_reader(ZlibDecoder::new(tables)).map_err(external)?;
        // What could be wrong with them was said when the client read them.
        let lookups = Arc::new(Lookups::read(texts, &mut Problems::default()));
        *last = Some((tables.to_vec(), Arc::clone(&lookups)));
        Ok(lookups)
    }
}

/// A part with its length before it, and the rest.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;
    use datafusion_proto::physical_plan::AsExecutionPlan;
    use datafusion_proto::protobuf::PhysicalPlanNode;
    use object_store::ObjectMeta;

    use super::*;
    use crate::project::Project;
    use crate::scan::{HarvestTable, PinnedCollection, PinnedPage, View};
    use crate::session::{Session, cluster_session};
    use crate::sink::{Reread, RereadPage, SinkMode};

    fn session() -> Session {
        cluster_session(&Arc::new(Project::bare(Path::new("/"))), 3).unwrap()
    }

    fn travelled(plan: Arc<dyn ExecutionPlan>, context: &SessionContext) -> Arc<dyn ExecutionPlan> {
        let mut bytes = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(plan, codec().as_ref()).unwrap().try_encode(&mut bytes).unwrap();
        PhysicalPlanNode::try_decode(&bytes).unwrap().try_into_physical_plan(&context.task_ctx(), codec().as_ref()).unwrap()
    }

    fn shown(plan: &Arc<dyn ExecutionPlan>) -> String {
        displayable(plan.as_ref()).indent(true).to_string()
    }

    fn pinned(pages: u64) -> PinnedCollection {
        let page = |number: u64| PinnedPage {
            path: format!("pages/26001/{number}.xml"),
            source_url: number.is_multiple_of(2).then(|| format!("https://example.org/oai?page={number}")),
            harvested_at: Some(1_700_000_000),
            meta: ObjectMeta {
                location: object_store::path::Path::from(format!("pages/26001/{number} é.xml")),
                last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
                size: 100 + number,
                e_tag: Some(format!("\"{number}\"")),
                version: None,
            },
        };
        let value = datafusion::common::ScalarValue::from("Maps");
        PinnedCollection { pages: (0..pages).map(page).collect(), values: vec![("title".into(), value)], ..PinnedCollection::default() }
    }

    fn scan(context: &SessionContext, pages: u64, sql: &str) -> Arc<dyn ExecutionPlan> {
        let source = SourceSchema::shipped("oai_dc").unwrap();
        let store = datafusion::execution::object_store::ObjectStoreUrl::parse("s3://bucket").unwrap();
        context.register_table("records", Arc::new(HarvestTable::new(&source, store, &[pinned(pages)], View::Run))).unwrap();
        futures::executor::block_on(async { context.sql(sql).await.unwrap().create_physical_plan().await.unwrap() })
    }

    /// The scan under whatever was planned above it.
    fn conf(plan: &Arc<dyn ExecutionPlan>) -> FileScanConfig {
        match plan.downcast_ref::<DataSourceExec>() {
            Some(scan) => scan.data_source().downcast_ref::<FileScanConfig>().unwrap().clone(),
            None => conf(plan.children()[0]),
        }
    }

    #[test]
    fn a_scan_is_the_same_after_its_journey() {
        let context = session().context;
        let plan = scan(&context, 5, "SELECT record_id, title, collection, _page, _kind FROM records");
        let back = travelled(Arc::clone(&plan), &context);
        assert_eq!(shown(&back), shown(&plan));
        assert_eq!(back.schema(), plan.schema());
        let (one, other) = (conf(&plan), conf(&back));
        assert_eq!(one.file_groups.len(), 3, "three partitions were asked for");
        for (before, after) in one.file_groups.iter().zip(&other.file_groups) {
            let of = |group: &datafusion_datasource::file_groups::FileGroup| {
                group.iter().map(|page| (page.object_meta.clone(), page.partition_values.clone())).collect::<Vec<_>>()
            };
            assert_eq!(of(after), of(before));
        }
        assert!(other.preserve_order, "pages of a bucket are asked for ahead, in order");
    }

    #[test]
    fn a_page_takes_few_bytes_on_the_journey() {
        let context = session().context;
        let mut bytes = Vec::new();
        let plan = scan(&context, 5_000, "SELECT title FROM records");
        PhysicalPlanNode::try_from_physical_plan(plan, codec().as_ref()).unwrap().try_encode(&mut bytes).unwrap();
        assert!(bytes.len() < 5_000 * 100, "{} bytes", bytes.len());
    }

    #[test]
    fn a_sink_is_the_same_after_its_journey() {
        let context = session().context;
        let reread = Reread {
            source: SourceSchema::clone(&SourceSchema::shipped("oai_dc").unwrap()),
            store: "s3://bucket".into(),
            pages: vec![RereadPage {
                collection_id: "26001".into(),
                path: "a.xml".into(),
                location: "p/a.xml".into(),
                bytes: 7,
                modified: 1_700_000_000_000_001,
                e_tag: Some("x".into()),
            }],
        };
        let mode = SinkMode::Records {
            source: "oai_dc".into(),
            vernacular: false,
            duplicates: vec![(1, 2)],
            at: [("title".to_owned(), "mappings/x.sql:8".to_owned())].into(),
            reread: Some(Box::new(reread)),
        };
        let spec = SinkSpec { database: "s3://w/db/".into(), run_id: "r".into(), mode, file_bytes: 7, compression_level: 3 };
        let plan: Arc<dyn ExecutionPlan> = Arc::new(SinkExec::new(scan(&context, 2, "SELECT title FROM records"), Arc::new(spec.clone())));
        let back = travelled(Arc::clone(&plan), &context);
        assert_eq!(shown(&back), shown(&plan));
        assert_eq!(back.downcast_ref::<SinkExec>().unwrap().spec().as_ref(), &spec);
    }

    #[tokio::test]
    async fn a_packed_file_is_unpacked_after_the_journey() {
        use std::io::Write;

        use arrow::util::pretty::pretty_format_batches;
        use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
        use datafusion::prelude::CsvReadOptions;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ports.csv.gz");
        let mut file = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
        file.write_all(b"port,boats\nMarrow,4\nSable,1\n").unwrap();
        file.finish().unwrap();
        let context = session().context;
        let options = CsvReadOptions::new().file_extension(".csv.gz").file_compression_type(FileCompressionType::GZIP);
        context.register_csv("ports", path.to_str().unwrap(), options).await.unwrap();
        let plan = context.sql("SELECT sum(boats) AS boats FROM ports").await.unwrap().create_physical_plan().await.unwrap();
        let back = travelled(travelled(packed::labelled(plan).unwrap(), &context), &context);
        let rows = datafusion::physical_plan::collect(back, context.task_ctx()).await.unwrap();
        assert!(pretty_format_batches(&rows).unwrap().to_string().contains("| 5 "));
    }

    #[test]
    fn functions_bring_the_value_tables_that_executors_do_not_have() {
        let lookups = Lookups::read([("rights".to_owned(), "key,label\n\"a, b\",Public\n".to_owned())], &mut Problems::default());
        let decode = function::all(&Arc::new(lookups)).into_iter().find(|function| function.name() == "decode").unwrap();
        let (codec, mut bytes) = (codec(), Vec::new());
        codec.try_encode_udf(&decode, &mut bytes).unwrap();
        let back = codec.try_decode_udf("decode", &bytes).unwrap();
        let tables = back.inner().downcast_ref::<Udf>().unwrap().lookups();
        assert_eq!(tables.column("rights").unwrap().get("a, b"), Some("Public"));
        let clean = function::all(&Arc::default()).into_iter().find(|function| function.name() == "clean").unwrap();
        bytes.clear();
        codec.try_encode_udf(&clean, &mut bytes).unwrap();
        assert!(bytes.is_empty(), "known by name everywhere");
    }

    #[test]
    fn bytes_of_others_and_bytes_cut_short_are_refused() {
        let context = session().context;
        for bytes in [&b"PACHA-SCAN-0\n"[..], &b"PACHA-SCAN-1\nxx"[..], &b"PACHA-SINK-1\n{}"[..], &[0xff; 40][..]] {
            let codec = PlanCodec::default();
            let converter = datafusion_proto::physical_plan::DefaultPhysicalProtoConverter {};
            assert!(codec.try_decode(bytes, &[], &context.task_ctx(), &converter).is_err());
        }
    }
}
