//! How an executor ends: it takes no more tasks, finishes those it has, and stays until nobody needs its rows.
//!
//! Ballista's own way ends as soon as the last task has: before the scheduler is told of it, and with the rows that others
//! would still have read. Then the whole attempt is for nothing.
//!
//! A scheduler with much to do may be slow to answer: it is asked again. Only where nobody listens any more is there none.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ballista_core::serde::protobuf::executor_status::Status;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{ExecutorRegistration, ExecutorStatus, ExecutorStoppedParams, HeartBeatParams};
use ballista_executor::executor_server::TERMINATING;
use engine::cluster::view::{EXECUTORS, ExecutorView};
use engine::cluster::{Address, get};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::transport::Channel;

/// How often the scheduler is asked whether this executor is still needed.
const ASK: Duration = Duration::from_millis(100);
/// An answer that does not come in this time is asked for again.
const ANSWER: Duration = Duration::from_secs(2);

/// Ends well, for `grace` at most. Then `hand_back` is called, which is to end all tasks: the scheduler is told of each, and
/// who submitted them submits them again, to run elsewhere.
pub(super) async fn drain(at: &Address, channel: &Channel, registration: &ExecutorRegistration, grace: Duration, hand_back: impl FnOnce()) {
    let begun = Instant::now();
    // Every heartbeat says so from now on, and this one at once.
    TERMINATING.store(true, Ordering::Release);
    let scheduler = SchedulerGrpcClient::new(channel.clone());
    let ending = HeartBeatParams {
        executor_id: registration.id.clone(),
        metrics: Vec::new(),
        status: Some(ExecutorStatus { status: Some(Status::Terminating(String::new())) }),
        metadata: Some(registration.clone()),
    };
    let said = answer(at, async || scheduler.clone().heart_beat_from_executor(ending.clone()).await.ok());
    if let Ok(None) = timeout_at(begun + grace.max(ANSWER), said).await {
        return;
    }
    let id = &registration.id;
    let reason = match timeout_at(begun + grace, until_not(at, channel, id, |executor| executor.running > 0 || executor.needed)).await {
        Ok(()) => "drained",
        Err(_) => {
            hand_back();
            let _ = timeout(ANSWER, until_not(at, channel, id, |executor| executor.running > 0)).await;
            "tasks are handed back"
        }
    };
    tracing::info!(target: "pacha", "executor {} ends: {reason}", registration.id);
    let stopped = ExecutorStoppedParams { executor_id: registration.id.clone(), reason: reason.into() };
    let _ = timeout(ANSWER, scheduler.clone().executor_stopped(stopped)).await;
}

/// Resolves when the scheduler does not see this executor so any more, or is gone.
async fn until_not(at: &Address, channel: &Channel, id: &str, so: impl Fn(&ExecutorView) -> bool) {
    let path = format!("{EXECUTORS}/{id}");
    let look = async || get::find::<ExecutorView>(channel.clone(), &path).await.ok();
    while let Some(Some(executor)) = answer(at, look).await {
        if !so(&executor) {
            return;
        }
        tokio::time::sleep(ASK).await;
    }
}

/// What `ask` gets in the end; nothing if there is no scheduler any more.
async fn answer<T>(at: &Address, ask: impl AsyncFn() -> Option<T>) -> Option<T> {
    loop {
        if let Ok(Some(answer)) = timeout(ANSWER, ask()).await {
            return Some(answer);
        }
        let connected = timeout(ANSWER, tokio::net::TcpStream::connect(format!("{}:{}", at.host, at.port))).await;
        if matches!(connected, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused) {
            return None;
        }
        tokio::time::sleep(ASK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use axum::http::StatusCode;
    use axum::routing::get;
    use axum::{Json, Router};

    use super::*;

    #[tokio::test]
    async fn a_scheduler_that_does_not_answer_once_is_asked_again_and_one_that_is_gone_is_not() {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        let answers = async move || match counted.fetch_add(1, Ordering::Relaxed) {
            0 | 2 => Err(StatusCode::INTERNAL_SERVER_ERROR),
            // Its tasks end one after the other.
            number => Ok(Json(ExecutorView { id: "x".into(), running: 5 - number.min(5), ..ExecutorView::default() })),
        };
        let router = Router::new().route(&format!("{EXECUTORS}/x"), get(answers));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = Address { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let channel = at.connect(None).await.unwrap();
        until_not(&at, &channel, "x", |executor| executor.running > 0).await;
        assert_eq!(asked.load(Ordering::Relaxed), 6, "two without an answer, three with tasks, one without");
        serving.abort();
        let _ = serving.await;
        assert_eq!(answer(&at, async || None::<()>).await, None);
    }
}
