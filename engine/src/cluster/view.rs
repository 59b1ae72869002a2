//! What a scheduler shows of itself over HTTP: JSON, read only, without plans or settings.
//!
//! | path | answer |
//! |---|---|
//! | [`IDENTITY`] | [`super::Identity`] |
//! | [`EXECUTORS`] | list of [`ExecutorView`] |
//! | [`EXECUTORS`]`/<id>` | an [`ExecutorView`] |
//! | [`JOBS`] | list of [`JobView`] |
//! | [`JOBS`]`/<id>` | a [`JobView`] |
//! | [`FLEET`] | a [`FleetView`] |

use serde::{Deserialize, Serialize};

use crate::job::record::RecordedProblem;

/// Who answers.
pub const IDENTITY: &str = "/pacha/identity";
/// The executors that are registered.
pub const EXECUTORS: &str = "/pacha/executors";
/// The jobs that run or have lately ended.
pub const JOBS: &str = "/pacha/jobs";
/// Who starts executors when there is work.
pub const FLEET: &str = "/pacha/fleet";

/// An executor as its scheduler sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorView {
    /// [`super::identity::executor_id`].
    pub id: String,
    /// Where it listens.
    pub host: String,
    /// Port for results.
    pub port: u16,
    /// Tasks that it runs at a time.
    pub vcores: u32,
    /// Tasks that it runs now.
    pub running: u32,
    /// Whether it holds rows that a running job still needs.
    pub needed: bool,
    /// Seconds since it was last heard of.
    pub silent_seconds: u64,
    /// It takes no more tasks, and will end.
    pub terminating: bool,
}

/// The executors that a scheduler starts by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetView {
    /// Why executors that are wanted do not come; none as soon as one has, or none is wanted.
    pub trouble: Option<RecordedProblem>,
}

/// A job of the scheduler: one attempt at one unit of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// The scheduler's id.
    pub id: String,
    /// `<run id>/<unit>/<attempt>`.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// Its stages, by id; the last writes the result.
    pub stages: Vec<StageView>,
    /// Tasks that an executor has been given and has not told the end of, also when the job is over.
    pub open: usize,
    /// Executors that ran or run tasks of it.
    pub executors: Vec<String>,
    /// Seconds that its tasks took, added up over vcores.
    pub task_seconds: f64,
    /// Records that reached the sink of its finished tasks.
    pub records: u64,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum JobState {
    #[default]
    Queued,
    Running,
    Successful,
    Failed,
}

impl JobState {
    /// Whether it is over.
    pub fn ended(self) -> bool {
        matches!(self, Self::Successful | Self::Failed)
    }
}

/// A stage of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageView {
    /// Its number.
    pub id: usize,
    /// How often it was begun anew.
    pub attempt: usize,
    /// Partitions that it reads; with one partition a task, its tasks.
    pub partitions: usize,
    /// Tasks that wait for an executor.
    pub pending: usize,
    /// Tasks that run.
    pub running: usize,
    /// Tasks that ended well.
    pub successful: usize,
    /// Tasks that failed or were lost with their executor.
    pub failed: usize,
    /// Rows that its finished tasks gave.
    pub rows: u64,
}

impl JobView {
    /// Tasks done and tasks known.
    pub fn tasks(&self) -> (usize, usize) {
        self.stages.iter().fold((0, 0), |(done, all), stage| (done + stage.successful, all + stage.partitions))
    }
}
