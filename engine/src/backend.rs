//! Where plans run. The one place in which embedded and cluster differ.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect};

use crate::error::Result;
use crate::sql::mistake;

/// Where plans run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backend {
    /// In this process, on all its cores.
    #[default]
    Embedded,
}

impl Backend {
    /// Runs a plan whose result is small: manifest rows.
    ///
    /// # Errors
    /// Whatever stopped the plan, in our words.
    pub async fn execute(self, plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
        match self {
            Self::Embedded => collect(plan, context).await.map_err(|error| mistake::running(&error)),
        }
    }
}
