//! What Prometheus reads of a scheduler, and what a fleet of others may scale by.

use std::sync::Arc;

use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_scheduler::metrics::SchedulerMetricsCollector;
use prometheus::core::Collector;
use prometheus::{Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::fleet::FleetMetrics;
use crate::state::SchedulerState;

/// Content type of [`text`].
pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// A metric in a registry of its own, so that nothing of a library is shown.
pub(crate) fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> C {
    registry.register(Box::new(metric.clone())).expect("each name is used once");
    metric
}

/// A gauge in a registry.
pub(crate) fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    add(registry, IntGauge::new(name, help).expect("a valid name"))
}

/// A registry that has the process's own metrics: memory, CPU, open files.
pub(crate) fn registry() -> Registry {
    let registry = Registry::new();
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self())).expect("each name is used once");
    registry
}

/// A registry as Prometheus reads it.
pub(crate) fn text(registry: &Registry) -> Vec<u8> {
    let mut text = Vec::new();
    // It writes to memory.
    let _ = TextEncoder::new().encode(&registry.gather(), &mut text);
    text
}

/// Metrics of a scheduler.
#[derive(Debug, Clone)]
pub(crate) struct SchedulerMetrics {
    registry: Registry,
    executors: IntGauge,
    terminating: IntGauge,
    vcores: IntGauge,
    running: IntGauge,
    pending: IntGauge,
    wanted: IntGauge,
    live: IntGauge,
    ended: IntCounterVec,
    seconds: Histogram,
}

impl SchedulerMetrics {
    pub(crate) fn new() -> Self {
        let registry = registry();
        let gauge = |name: &str, help: &str| gauge(&registry, name, help);
        let ended = Opts::new("pacha_scheduler_jobs_total", "Jobs that are over, by outcome: successful, failed or cancelled");
        let ended = add(&registry, IntCounterVec::new(ended, &["outcome"]).expect("a valid name"));
        for outcome in ["successful", "failed", "cancelled"] {
            ended.with_label_values(&[outcome]);
        }
        let seconds = HistogramOpts::new("pacha_scheduler_job_seconds", "Seconds from a job's submission to its end")
            .buckets(vec![0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0]);
        Self {
            executors: gauge("pacha_scheduler_executors", "Executors that take tasks"),
            terminating: gauge("pacha_scheduler_executors_terminating", "Executors that take no more tasks and will end"),
            vcores: gauge("pacha_scheduler_vcores", "Tasks that executors can run at a time"),
            running: gauge("pacha_scheduler_running_tasks", "Tasks that run"),
            pending: gauge("pacha_scheduler_pending_tasks", "Tasks that wait for a vcore"),
            wanted: gauge("pacha_scheduler_wanted_vcores", "Vcores that would be busy if there were enough: scale executors by it"),
            live: gauge("pacha_scheduler_jobs", "Jobs that run"),
            seconds: add(&registry, Histogram::with_opts(seconds).expect("valid buckets")),
            ended,
            registry,
        }
    }

    /// Metrics of the fleet among these.
    pub(crate) fn fleet(&self) -> FleetMetrics {
        FleetMetrics::new(&self.registry).expect("each name is used once")
    }

    /// Everything, as it is now.
    pub(crate) async fn text(&self, state: &SchedulerState) -> Vec<u8> {
        let executors = state.executors().await;
        let active = || executors.iter().filter(|executor| !executor.terminating);
        self.executors.set(count(active().count()));
        self.terminating.set(count(executors.len()) - self.executors.get());
        self.vcores.set(active().map(|executor| i64::from(executor.vcores)).sum());
        self.running.set(executors.iter().map(|executor| i64::from(executor.running)).sum());
        let jobs = state.jobs().await;
        let live = || jobs.iter().filter(|job| !job.state.ended());
        self.live.set(count(live().count()));
        self.pending.set(live().flat_map(|job| &job.stages).map(|stage| count(stage.pending)).sum());
        self.wanted.set(i64::from(state.wanted_vcores().await));
        text(&self.registry)
    }

    fn over(&self, outcome: &str, queued_at: u64, ended_at: u64) {
        self.ended.with_label_values(&[outcome]).inc();
        let millis = u32::try_from(ended_at.saturating_sub(queued_at)).unwrap_or(u32::MAX);
        self.seconds.observe(f64::from(millis) / 1000.0);
    }
}

impl SchedulerMetricsCollector for SchedulerMetrics {
    fn record_submitted(&self, _: &JobId, _: u64, _: u64) {}

    fn record_completed(&self, _: &JobId, queued_at: u64, completed_at: u64) {
        self.over("successful", queued_at, completed_at);
    }

    fn record_failed(&self, _: &JobId, queued_at: u64, failed_at: u64) {
        self.over("failed", queued_at, failed_at);
    }

    fn record_cancelled(&self, _: &JobId) {
        self.ended.with_label_values(&["cancelled"]).inc();
    }

    fn set_pending_tasks_queue_size(&self, _: u64) {}

    fn gather_metrics(&self) -> Result<Option<(Vec<u8>, String)>> {
        Ok(None)
    }
}

/// For Ballista, which wants an `Arc`.
impl From<&SchedulerMetrics> for Arc<dyn SchedulerMetricsCollector> {
    fn from(metrics: &SchedulerMetrics) -> Self {
        Self::from(Box::new(metrics.clone()) as Box<dyn SchedulerMetricsCollector>)
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_prometheus_reads_has_the_number_to_scale_by_and_outcomes_from_the_start() {
        let metrics = SchedulerMetrics::new();
        metrics.record_completed(&"7kX".into(), 1_000, 3_500);
        let text = String::from_utf8(metrics.text(&SchedulerState::default()).await).unwrap();
        for line in [
            "pacha_scheduler_wanted_vcores 0",
            "pacha_scheduler_jobs_total{outcome=\"successful\"} 1",
            "pacha_scheduler_jobs_total{outcome=\"cancelled\"} 0",
            "pacha_scheduler_job_seconds_sum 2.5",
        ] {
            assert!(text.contains(line), "no {line} in {text}");
        }
    }
}
