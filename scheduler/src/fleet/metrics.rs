//! What of a fleet can be seen from outside: how many there should be, how many there are, and what they cost so far.
//!
//! `pacha_fleet_wanted` is computed whoever starts the executors, so that Kubernetes can scale a Deployment by it.

use prometheus::{Counter, Gauge, Opts, Registry, Result};

use super::roster::Count;

/// The fleet's metrics.
#[derive(Debug, Clone)]
pub struct FleetMetrics {
    wanted: Gauge,
    present: Gauge,
    starting: Gauge,
    draining: Gauge,
    tasks: Gauge,
    executor_seconds: Counter,
    started: Counter,
    failed: Counter,
}

impl FleetMetrics {
    /// Metrics that are registered in `registry`.
    ///
    /// # Errors
    /// They are registered there already.
    pub fn new(registry: &Registry) -> Result<Self> {
        let gauge = |name: &str, help: &str| {
            let gauge = Gauge::with_opts(Opts::new(format!("pacha_fleet_{name}"), help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = Counter::with_opts(Opts::new(format!("pacha_fleet_{name}_total"), help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            wanted: gauge("wanted", "Executors that there should be")?,
            present: gauge("present", "Executors that are registered and take tasks")?,
            starting: gauge("starting", "Executors that were started and have not registered yet")?,
            draining: gauge("draining", "Executors that take no more tasks, until they have ended")?,
            tasks: gauge("tasks", "Tasks that wait or run")?,
            executor_seconds: counter("executor_seconds", "Seconds that executors of the fleet lived, added up")?,
            started: counter("started", "Executors that were started")?,
            failed: counter("failed", "Executors that could not be started or did not register")?,
        })
    }

    pub(super) fn set(&self, tasks: usize, wanted: usize, count: Count) {
        self.tasks.set(tasks as f64);
        self.wanted.set(wanted as f64);
        self.present.set(count.present as f64);
        self.starting.set(count.starting as f64);
        self.draining.set(count.draining as f64);
    }

    pub(super) fn lived(&self, seconds: f64) {
        self.executor_seconds.inc_by(seconds);
    }

    pub(super) fn started(&self, count: usize) {
        self.started.inc_by(count as f64);
    }

    pub(super) fn failed(&self) {
        self.failed.inc();
    }
}
