//! Where plans run. The one place in which embedded and cluster differ.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect};

use crate::cluster::{Cluster, Work};
use crate::error::Result;
use crate::progress::Progress;
use crate::sink::{Manifest, SinkExec};
use crate::sql::mistake;

/// Where plans run.
#[derive(Debug, Clone, Default)]
pub enum Backend {
    /// In this process, on all its cores.
    #[default]
    Embedded,
    /// On the executors of a scheduler.
    Cluster(Arc<Cluster>),
}

impl Backend {
    /// Writes the rows of a plan, under a name. `check` says if a manifest does not add up.
    ///
    /// # Errors
    /// Whatever stopped the plan, in our words, or what `check` says.
    pub async fn write(
        &self,
        sink: Arc<SinkExec>,
        context: Arc<TaskContext>,
        name: &str,
        check: impl Fn(&Manifest) -> Result<()> + Sync,
    ) -> Result<Manifest> {
        // A unit without any page is no work for anybody: Ballista would make a task of it.
        let idle = sink.properties().output_partitioning().partition_count() == 0;
        match self {
            Self::Cluster(cluster) if !idle => {
                let progress = Progress::of(&context);
                let work = Work { name, progress: &progress, read: &Manifest::from_batches, tasks: Manifest::task_names, check: &check };
                let manifest = cluster.execute(sink, &work).await?;
                Progress::add(&progress.pages, manifest.pages.seen);
                Progress::add(&progress.bytes_written, manifest.files.iter().map(|file| file.bytes).sum());
                Ok(manifest)
            }
            _ => {
                let manifest = Manifest::from_batches(&collect(sink, context).await.map_err(|error| mistake::running(&error))?)?;
                check(&manifest).map(|()| manifest)
            }
        }
    }

    /// The rows of a plan without a sink, under a name; all are held at once. Jobs write; this is for tests, which ask both
    /// backends the same.
    ///
    /// # Errors
    /// Whatever stopped the plan, in our words.
    pub async fn collect(&self, plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>, name: &str) -> Result<Vec<RecordBatch>> {
        match self {
            Self::Embedded => collect(plan, context).await.map_err(|error| mistake::running(&error)),
            Self::Cluster(cluster) => {
                let progress = Progress::of(&context);
                let read = |batches: &[RecordBatch]| Ok(batches.to_vec());
                cluster.execute(plan, &Work { name, progress: &progress, read: &read, tasks: |_| None, check: &|_| Ok(()) }).await
            }
        }
    }

    /// The cluster, if it is one.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        match self {
            Self::Embedded => None,
            Self::Cluster(cluster) => Some(cluster),
        }
    }
}
