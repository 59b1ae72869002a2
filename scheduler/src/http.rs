//! What a scheduler answers over HTTP, beside gRPC and on the same port. It can only be asked; nothing can be changed by it.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | the process lives |
//! | `/readyz` | it takes jobs; 503 while it stops |
//! | `/metrics` | for Prometheus |
//! | `/pacha/…` | JSON, see [`engine::cluster::view`]; one executor is at its id below the list of them |
//!
//! While it stops it takes no job, and does not answer who asks for the lists: that is how a client looks for a scheduler to
//! submit to, and it is to wait for the next. Executors that end with it can still ask each for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use engine::cluster::Identity;
use engine::cluster::view::{EXECUTORS, ExecutorView, FLEET, FleetView, IDENTITY, JOBS, JobView};

use crate::metrics::{self, SchedulerMetrics};
use crate::state::SchedulerState;

/// How the paths begin by which jobs are submitted.
const SUBMISSION: &str = "/ballista.protobuf.SchedulerGrpc/ExecuteQuery";

/// What the answers are made of.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) state: SchedulerState,
    pub(crate) metrics: SchedulerMetrics,
    pub(crate) identity: Arc<Identity>,
    pub(crate) stopping: Arc<AtomicBool>,
}

impl Shown {
    /// 503 while the scheduler stops.
    fn goes_on(&self) -> Result<(), StatusCode> {
        if self.stopping.load(Ordering::Acquire) { Err(StatusCode::SERVICE_UNAVAILABLE) } else { Ok(()) }
    }
}

/// The paths of the table above. Whatever is not a GET is refused with 405.
pub(crate) fn routes(shown: Shown) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route(IDENTITY, get(identity))
        .route(EXECUTORS, get(executors))
        .route(&format!("{EXECUTORS}/{{id}}"), get(executor))
        .route(JOBS, get(jobs))
        .route(&format!("{JOBS}/{{id}}"), get(job))
        .route(FLEET, get(fleet))
        .with_state(shown)
}

/// Lets through what is gRPC. A page in a browser can make it send a POST to this machine, but neither over HTTP/2 nor with
/// gRPC's content type unless it is asked first, which nobody answers here.
pub(crate) async fn only_grpc(request: Request, next: Next) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if request.version() == Version::HTTP_2 && content_type.is_some_and(|value| value.starts_with("application/grpc")) {
        return next.run(request).await;
    }
    StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response()
}

/// Lets no job in while the scheduler stops.
pub(crate) async fn no_job_at_the_end(State(stopping): State<Arc<AtomicBool>>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with(SUBMISSION) && stopping.load(Ordering::Acquire) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    next.run(request).await
}

/// For what is neither.
pub(crate) async fn nothing() -> StatusCode {
    StatusCode::NOT_FOUND
}

async fn ready(State(shown): State<Shown>) -> Response {
    match shown.goes_on() {
        Ok(()) => "ready\n".into_response(),
        Err(status) => (status, "stopping\n").into_response(),
    }
}

async fn metrics(State(shown): State<Shown>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], shown.metrics.text(&shown.state).await).into_response()
}

async fn identity(State(shown): State<Shown>) -> Json<Identity> {
    Json(Identity::clone(&shown.identity))
}

async fn executors(State(shown): State<Shown>) -> Result<Json<Vec<ExecutorView>>, StatusCode> {
    shown.goes_on()?;
    Ok(Json(shown.state.executors().await))
}

async fn executor(State(shown): State<Shown>, Path(id): Path<String>) -> Result<Json<ExecutorView>, StatusCode> {
    let found = shown.state.executors().await.into_iter().find(|executor| executor.id == id);
    found.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn jobs(State(shown): State<Shown>) -> Result<Json<Vec<JobView>>, StatusCode> {
    shown.goes_on()?;
    Ok(Json(shown.state.jobs().await))
}

async fn job(State(shown): State<Shown>, Path(id): Path<String>) -> Result<Json<JobView>, StatusCode> {
    shown.state.job(&id).await.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn fleet(State(shown): State<Shown>) -> Json<FleetView> {
    Json(shown.state.fleet())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::post;
    use ballista_core::serde::protobuf::ExecuteQueryParams;
    use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
    use engine::cluster::{Address, get as asked};

    use super::*;

    #[tokio::test]
    async fn a_scheduler_that_stops_takes_no_job_and_answers_only_who_ends_with_it() {
        let stopping = Arc::new(AtomicBool::new(false));
        let shown = Shown {
            state: SchedulerState::default(),
            metrics: SchedulerMetrics::new(),
            identity: Arc::new(Identity::current()),
            stopping: Arc::clone(&stopping),
        };
        // Instead of Ballista's: it takes jobs, and says something that is no answer.
        let jobs = Router::new().route(SUBMISSION, post(async || StatusCode::NOT_IMPLEMENTED)).layer(from_fn(only_grpc));
        let router = jobs.layer(from_fn_with_state(Arc::clone(&stopping), no_job_at_the_end)).merge(routes(shown));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let channel = Address { host: "127.0.0.1".into(), port }.connect(None).await.unwrap();
        for stops in [false, true] {
            stopping.store(stops, Ordering::Release);
            let submitted = SchedulerGrpcClient::new(channel.clone()).execute_query(ExecuteQueryParams::default()).await.unwrap_err();
            assert_eq!(submitted.message().contains("503"), stops, "{submitted}");
            for list in [EXECUTORS, JOBS] {
                match asked::get::<Vec<serde_json::Value>>(channel.clone(), list).await {
                    Ok(list) => assert!(!stops && list.is_empty()),
                    // A client waits for another scheduler when it gets this.
                    Err(error) => assert!(stops && error.problems.0[0].code == "PK701", "{error}"),
                }
            }
            for one in [EXECUTORS, JOBS] {
                let found = asked::find::<serde_json::Value>(channel.clone(), &format!("{one}/none")).await;
                assert_eq!(found.unwrap(), None, "{one}");
            }
        }
    }
}
