//! What a scheduler answers over HTTP, beside gRPC and on the same port. It can only be asked; nothing can be changed by it.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | the process lives |
//! | `/readyz` | it takes jobs; 503 while it stops |
//! | `/metrics` | for Prometheus |
//! | `/pacha/…` | JSON, see [`engine::cluster::view`] |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use engine::cluster::Identity;
use engine::cluster::view::{EXECUTORS, ExecutorView, IDENTITY, JOBS, JobView};

use crate::metrics::{self, SchedulerMetrics};
use crate::state::SchedulerState;

/// What the answers are made of.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) state: SchedulerState,
    pub(crate) metrics: SchedulerMetrics,
    pub(crate) identity: Arc<Identity>,
    pub(crate) stopping: Arc<AtomicBool>,
}

/// The paths of the table above. Whatever is not a GET is refused with 405.
pub(crate) fn routes(shown: Shown) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route(IDENTITY, get(identity))
        .route(EXECUTORS, get(executors))
        .route(JOBS, get(jobs))
        .route(&format!("{JOBS}/{{id}}"), get(job))
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

/// For what is neither.
pub(crate) async fn nothing() -> StatusCode {
    StatusCode::NOT_FOUND
}

async fn ready(State(shown): State<Shown>) -> Response {
    if shown.stopping.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    "ready\n".into_response()
}

async fn metrics(State(shown): State<Shown>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], shown.metrics.text(&shown.state).await).into_response()
}

async fn identity(State(shown): State<Shown>) -> Json<Identity> {
    Json(Identity::clone(&shown.identity))
}

async fn executors(State(shown): State<Shown>) -> Json<Vec<ExecutorView>> {
    Json(shown.state.executors().await)
}

async fn jobs(State(shown): State<Shown>) -> Json<Vec<JobView>> {
    Json(shown.state.jobs().await)
}

async fn job(State(shown): State<Shown>, Path(id): Path<String>) -> Result<Json<JobView>, StatusCode> {
    shown.state.job(&id).await.map(Json).ok_or(StatusCode::NOT_FOUND)
}
