//! What Prometheus reads of an executor, on a port of its own that is only there if asked for.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use ballista_executor::health::ExecutorHealth;
use engine::progress::Progress;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tokio::net::TcpListener;

use super::task::Counts;
use crate::folder::size;
use crate::metrics::{CONTENT_TYPE, add, gauge, registry, text};

/// What is counted elsewhere, and shown here.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) counts: Arc<Counts>,
    pub(super) progress: Arc<Progress>,
    /// Where rows for others are.
    pub(super) rows: PathBuf,
    pub(super) health: ExecutorHealth,
    pub(super) vcores: usize,
}

#[derive(Clone)]
struct ExecutorMetrics {
    sources: Sources,
    registry: Registry,
    running: IntGauge,
    tasks: IntCounterVec,
    rows: IntCounter,
    written: IntCounter,
    kept: IntGauge,
    /// Two readers at a time would count what is new twice.
    reading: Arc<Mutex<()>>,
}

impl ExecutorMetrics {
    fn new(sources: Sources) -> Self {
        let registry = registry();
        let counter = |name: &str, help: &str| add(&registry, IntCounter::new(name, help).expect("a valid name"));
        let tasks = Opts::new("pacha_executor_tasks_total", "Tasks that ended here, by outcome: successful, failed or cancelled");
        let tasks = IntCounterVec::new(tasks, &["outcome"]).expect("a valid name");
        gauge(&registry, "pacha_executor_vcores", "Tasks that can run at a time").set(i64::try_from(sources.vcores).unwrap_or(i64::MAX));
        Self {
            running: gauge(&registry, "pacha_executor_running_tasks", "Tasks that run"),
            tasks: add(&registry, tasks),
            rows: counter("pacha_executor_rows_total", "Records that reached a sink here"),
            written: counter("pacha_executor_written_bytes_total", "Bytes of finished output files"),
            kept: gauge(&registry, "pacha_executor_shuffle_bytes", "Bytes on disk for other executors"),
            reading: Arc::default(),
            sources,
            registry,
        }
    }

    /// Walks all files of rows: for a thread that may wait.
    fn text(&self) -> Vec<u8> {
        let _one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let Sources { counts, progress, rows, .. } = &self.sources;
        self.running.set(i64::try_from(counts.running.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
        for (outcome, count) in [("successful", &counts.successful), ("failed", &counts.failed), ("cancelled", &counts.cancelled)] {
            let counter = self.tasks.with_label_values(&[outcome]);
            counter.inc_by(count.load(Ordering::Relaxed).saturating_sub(counter.get()));
        }
        let counts = progress.counts();
        let (records, bytes) = (counts.records, counts.bytes_written);
        self.rows.inc_by(records.saturating_sub(self.rows.get()));
        self.written.inc_by(bytes.saturating_sub(self.written.get()));
        self.kept.set(i64::try_from(size(rows)).unwrap_or(i64::MAX));
        text(&self.registry)
    }
}

/// Serves `/healthz`, `/readyz` (its last heartbeat was answered) and `/metrics` until it is dropped. No more than counts are
/// shown, so this is plain HTTP also where all else is not.
pub(super) async fn serve(listener: TcpListener, sources: Sources) {
    let health = sources.health.clone();
    let metrics = ExecutorMetrics::new(sources);
    let ready =
        async move || if health.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "no scheduler\n") };
    let metrics = async move || match tokio::task::spawn_blocking(move || metrics.text()).await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let router = Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).route("/metrics", get(metrics));
    let _ = axum::serve(listener, router).await;
}
