//! How files are packed that a scan reads: DataFusion's message has no place for it.
//!
//! Without it an executor would read the bytes of a `.csv.gz` as if they were its lines. So the plan gets a node above each
//! such scan that brings it along, and does nothing else.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion_datasource::file_scan_config::{FileScanConfig, FileScanConfigBuilder};
use datafusion_datasource::source::DataSourceExec;

/// The plan with a node above each scan of packed files.
///
/// # Errors
/// A node takes no other child; none of DataFusion's does that.
pub(crate) fn labelled(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let labelled = plan.transform_up(|node| match packed(&node) {
        Some(kind) => Ok(Transformed::yes(Arc::new(PackedExec { input: node, kind }) as Arc<dyn ExecutionPlan>)),
        None => Ok(Transformed::no(node)),
    });
    Ok(labelled?.data)
}

fn packed(node: &Arc<dyn ExecutionPlan>) -> Option<FileCompressionType> {
    let scan = node.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()?;
    scan.file_compression_type.is_compressed().then_some(scan.file_compression_type)
}

/// Above a scan of packed files.
#[derive(Debug)]
pub(super) struct PackedExec {
    input: Arc<dyn ExecutionPlan>,
    kind: FileCompressionType,
}

impl PackedExec {
    /// How the files are packed, in a word.
    pub(super) fn kind(&self) -> String {
        self.kind.get_variant().to_string()
    }

    /// The node over a scan that has come without the word.
    ///
    /// # Errors
    /// It is no scan of files, or the word is none.
    pub(super) fn over(scan: &Arc<dyn ExecutionPlan>, kind: &str) -> Result<Self> {
        let kind = FileCompressionType::from_str(kind)?;
        let Some(conf) = scan.downcast_ref::<DataSourceExec>().and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>()) else {
            return internal_err!("{} reads no files that could be packed", scan.name());
        };
        let conf = FileScanConfigBuilder::from(conf.clone()).with_file_compression_type(kind).build();
        Ok(Self { input: DataSourceExec::from_data_source(conf), kind })
    }
}

impl DisplayAs for PackedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackedExec: {}", self.kind())
    }
}

impl ExecutionPlan for PackedExec {
    fn name(&self) -> &'static str {
        "PackedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self { input, kind: self.kind })),
            Err(children) => internal_err!("PackedExec has one child, not {}", children.len()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
