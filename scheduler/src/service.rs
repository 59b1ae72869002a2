//! What passes between Ballista's scheduler and its executors, with the begin and the end of tasks seen on their way.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{
    CancelJobParams, CancelJobResult, CleanJobDataParams, CleanJobDataResult, CreateUpdateSessionParams, CreateUpdateSessionResult,
    ExecuteQueryParams, ExecuteQueryResult, ExecutorStoppedParams, ExecutorStoppedResult, GetJobMetricsParams, GetJobMetricsResult,
    GetJobStatusParams, GetJobStatusResult, HeartBeatParams, HeartBeatResult, MultiTaskDefinition, PollWorkParams, PollWorkResult,
    RegisterExecutorParams, RegisterExecutorResult, RemoveSessionParams, RemoveSessionResult, UpdateTaskStatusParams,
    UpdateTaskStatusResult,
};
use ballista_core::serde::scheduler::ExecutorMetadata;
use ballista_scheduler::state::executor_manager::ExecutorManager;
use ballista_scheduler::state::task_manager::TaskLauncher;
use tonic::{Request, Response, Status};

use crate::assignments::Assignments;
use crate::state::Server;

type Answer<T> = std::result::Result<Response<T>, Status>;

/// What sends tasks to executors.
pub(crate) struct Launcher {
    /// Where executors report.
    endpoint: String,
    assignments: Arc<Assignments>,
}

impl Launcher {
    /// For the scheduler at `endpoint`.
    pub(crate) fn new(endpoint: String, assignments: Arc<Assignments>) -> Self {
        Self { endpoint, assignments }
    }
}

#[async_trait]
impl TaskLauncher for Launcher {
    async fn launch_tasks(
        &self,
        executor: &ExecutorMetadata,
        tasks: Vec<MultiTaskDefinition>,
        executors: &ExecutorManager,
    ) -> Result<HashSet<JobId>> {
        let tasks = self.assignments.begin(&executor.id, tasks);
        if tasks.is_empty() {
            return Ok(HashSet::new());
        }
        executors.launch_multi_task(&executor.id, tasks, self.endpoint.clone()).await
    }
}

/// What executors and clients call.
pub(crate) struct Service {
    server: Server,
    assignments: Arc<Assignments>,
}

impl Service {
    /// In front of `server`.
    pub(crate) fn new(server: Server, assignments: Arc<Assignments>) -> Self {
        Self { server, assignments }
    }
}

/// The service, with the calls that are only passed on as a table.
macro_rules! service {
    ($($call:ident: $params:ty => $result:ty;)*) => {
        #[async_trait]
        impl SchedulerGrpc for Service {
            type ExecuteQueryPushStream = <Server as SchedulerGrpc>::ExecuteQueryPushStream;

            async fn update_task_status(&self, request: Request<UpdateTaskStatusParams>) -> Answer<UpdateTaskStatusResult> {
                let UpdateTaskStatusParams { executor_id, task_status } = request.get_ref();
                self.assignments.told(executor_id, task_status);
                SchedulerGrpc::update_task_status(&self.server, request).await
            }

            async fn executor_stopped(&self, request: Request<ExecutorStoppedParams>) -> Answer<ExecutorStoppedResult> {
                // It is the last that an executor says.
                self.assignments.lost(&request.get_ref().executor_id);
                SchedulerGrpc::executor_stopped(&self.server, request).await
            }

            $(async fn $call(&self, request: Request<$params>) -> Answer<$result> {
                SchedulerGrpc::$call(&self.server, request).await
            })*
        }
    };
}

service! {
    poll_work: PollWorkParams => PollWorkResult;
    register_executor: RegisterExecutorParams => RegisterExecutorResult;
    heart_beat_from_executor: HeartBeatParams => HeartBeatResult;
    create_update_session: CreateUpdateSessionParams => CreateUpdateSessionResult;
    remove_session: RemoveSessionParams => RemoveSessionResult;
    execute_query_push: ExecuteQueryParams => Self::ExecuteQueryPushStream;
    execute_query: ExecuteQueryParams => ExecuteQueryResult;
    get_job_status: GetJobStatusParams => GetJobStatusResult;
    get_job_metrics: GetJobMetricsParams => GetJobMetricsResult;
    cancel_job: CancelJobParams => CancelJobResult;
    clean_job_data: CleanJobDataParams => CleanJobDataResult;
}
