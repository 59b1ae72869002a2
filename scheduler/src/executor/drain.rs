//! How an executor ends: it takes no more tasks, finishes those it has, and stays until nobody needs its rows.
//!
//! Ballista's own way ends as soon as the last task has: before the scheduler is told of it, and with the rows that others
//! would still have read. Then the whole attempt is for nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ballista_core::serde::protobuf::executor_status::Status;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{ExecutorRegistration, ExecutorStatus, ExecutorStoppedParams, HeartBeatParams};
use ballista_executor::executor_server::TERMINATING;
use engine::cluster::get;
use engine::cluster::view::{EXECUTORS, ExecutorView};
use tonic::transport::Channel;

/// How often the scheduler is asked whether this executor is still needed.
const ASK: Duration = Duration::from_millis(100);
/// A scheduler that does not answer in this time is not waited for.
const ANSWER: Duration = Duration::from_secs(2);

/// Ends well, for `grace` at most: what runs then is handed back, and runs elsewhere.
pub(super) async fn drain(channel: &Channel, registration: &ExecutorRegistration, grace: Duration) {
    // Every heartbeat says so from now on, and this one at once.
    TERMINATING.store(true, Ordering::Release);
    let mut scheduler = SchedulerGrpcClient::new(channel.clone());
    let ending = HeartBeatParams {
        executor_id: registration.id.clone(),
        metrics: Vec::new(),
        status: Some(ExecutorStatus { status: Some(Status::Terminating(String::new())) }),
        metadata: Some(registration.clone()),
    };
    if !matches!(tokio::time::timeout(ANSWER, scheduler.heart_beat_from_executor(ending)).await, Ok(Ok(_))) {
        return;
    }
    let unneeded = async {
        while needed(channel, &registration.id).await {
            tokio::time::sleep(ASK).await;
        }
    };
    let reason = match tokio::time::timeout(grace, unneeded).await {
        Ok(()) => "drained",
        Err(_) => "tasks are handed back",
    };
    tracing::info!(target: "pacha", "executor {} ends: {reason}", registration.id);
    let stopped = ExecutorStoppedParams { executor_id: registration.id.clone(), reason: reason.into() };
    let _ = tokio::time::timeout(ANSWER, scheduler.executor_stopped(stopped)).await;
}

async fn needed(channel: &Channel, id: &str) -> bool {
    let asked = get::get::<Vec<ExecutorView>>(channel.clone(), EXECUTORS);
    match tokio::time::timeout(ANSWER, asked).await {
        Ok(Ok(executors)) => executors.iter().any(|executor| executor.id == id && (executor.running > 0 || executor.needed)),
        _ => false,
    }
}
