//! The end of jobs: a run that fails or is stopped leaves no task running, as far as its scheduler can be reached.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::{CancelJobParams, CleanJobDataParams};

use super::client::{Cluster, UNHEARD};
use super::get;
use super::view::{JobState, JobView};
use crate::error::Result;

/// How long a stopped run waits until its scheduler has ended a job.
const STOP_TIME: Duration = Duration::from_secs(15);
/// How long it waits for the scheduler to know that rows are not needed any more.
const CLEAN_TIME: Duration = Duration::from_secs(5);
/// How long it waits for tasks of such a job whose end nobody tells.
const END_TIME: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

impl Cluster {
    /// The job has ended; what executors keep of it is not needed any more.
    pub(super) async fn ended(&self, job_id: &str) {
        self.forget(job_id);
        let mut scheduler = self.scheduler();
        let clean = scheduler.clean_job_data(CleanJobDataParams { job_id: job_id.into(), remove_stage_ids: Vec::new() });
        // Without it the scheduler does so in time.
        let _ = tokio::time::timeout(CLEAN_TIME, clean).await;
    }

    /// Ends a job and waits until none of its tasks runs any more, or for as long as is decent. Returns how it ended, where
    /// that is known. A scheduler that does not answer is not asked again: it ends jobs that nobody asks for.
    pub(super) async fn cancel(&self, job_id: &str) -> Option<JobView> {
        let Ok(last) = tokio::time::timeout(STOP_TIME, self.end(job_id)).await.unwrap_or(Ok(None)) else {
            self.forget(job_id);
            return None;
        };
        self.ended(job_id).await;
        last
    }

    /// Tells the scheduler to end a job, and looks until it has.
    async fn end(&self, job_id: &str) -> Result<Option<JobView>> {
        let begun = Instant::now();
        let mut heard = false;
        loop {
            let job = self.job(job_id).await?;
            let over = match &job {
                // Tasks of an executor that is gone are heard of no more until the scheduler gives it up.
                Some(job) => job.state.ended() && (job.open == 0 || begun.elapsed() > END_TIME),
                None => begun.elapsed() > UNHEARD,
            };
            if over {
                return Ok(job);
            }
            if !heard {
                let cancelled = self.scheduler().cancel_job(CancelJobParams { job_id: job_id.into() }).await;
                cancelled.map_err(|status| self.refused(&status))?;
            }
            // One that is still being planned does not hear it, and is told again.
            heard = job.is_some_and(|job| job.state != JobState::Queued);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends whatever this process still has under way: after a stop or a failure no task may go on.
    pub async fn cancel_all(&self) {
        // Those that are being submitted have an answer soon.
        let _ = tokio::time::timeout(get::ANSWER, self.submitting.write()).await;
        let open: Vec<String> = self.open.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        futures::future::join_all(open.iter().map(|job| self.cancel(job))).await;
    }

    /// Ends the jobs of a run whose client is gone.
    ///
    /// # Errors
    /// The scheduler does not answer.
    pub async fn cancel_run(&self, run_id: &str) -> Result<usize> {
        let jobs = self.jobs().await?;
        let of_run = |job: &&JobView| job.name.split('/').next() == Some(run_id) && !job.state.ended();
        let jobs: Vec<String> = jobs.iter().filter(of_run).map(|job| job.id.clone()).collect();
        futures::future::join_all(jobs.iter().map(|job| self.cancel(job))).await;
        Ok(jobs.len())
    }

    fn forget(&self, job_id: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(job_id);
    }
}
