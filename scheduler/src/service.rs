//! Ballista's service of a scheduler, with the ends of tasks seen on their way to it.

use std::sync::Arc;

use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{
    CancelJobParams, CancelJobResult, CleanJobDataParams, CleanJobDataResult, CreateUpdateSessionParams, CreateUpdateSessionResult,
    ExecuteQueryParams, ExecuteQueryResult, ExecutorStoppedParams, ExecutorStoppedResult, GetJobMetricsParams, GetJobMetricsResult,
    GetJobStatusParams, GetJobStatusResult, HeartBeatParams, HeartBeatResult, PollWorkParams, PollWorkResult, RegisterExecutorParams,
    RegisterExecutorResult, RemoveSessionParams, RemoveSessionResult, UpdateTaskStatusParams, UpdateTaskStatusResult,
};
use tonic::{Request, Response, Status};

use crate::assignments::Assignments;
use crate::state::Server;

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
        #[tonic::async_trait]
        impl SchedulerGrpc for Service {
            type ExecuteQueryPushStream = <Server as SchedulerGrpc>::ExecuteQueryPushStream;

            async fn update_task_status(
                &self,
                request: Request<UpdateTaskStatusParams>,
            ) -> Result<Response<UpdateTaskStatusResult>, Status> {
                let UpdateTaskStatusParams { executor_id, task_status } = request.get_ref();
                self.assignments.told(executor_id, task_status);
                SchedulerGrpc::update_task_status(&self.server, request).await
            }

            $(async fn $call(&self, request: Request<$params>) -> Result<Response<$result>, Status> {
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
    executor_stopped: ExecutorStoppedParams => ExecutorStoppedResult;
    cancel_job: CancelJobParams => CancelJobResult;
    clean_job_data: CleanJobDataParams => CleanJobDataResult;
}
