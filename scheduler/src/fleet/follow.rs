//! The loop that keeps a fleet as large as its work wants it: look at the scheduler, compute, start, retire, stop.
//!
//! Once a second, and at once when work arrives. An executor is stopped in three steps: it gets no more tasks, it is looked
//! at again, and only if it still runs and holds nothing is it asked to end. When the loop ends, it ends the fleet: no
//! executor can do anything without its scheduler.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::cluster::view::{ExecutorView, FleetView};
use engine::error::Error;
use engine::job::record::RecordedProblem;
use engine::project::FleetSettings;
use futures::future::BoxFuture;
use schemas::problem::{Problem, Problems};
use tokio::time::MissedTickBehavior;

use super::roster::{Count, Notice, Roster};
use super::size::{Demand, History, Policy, size};
use super::{Fleet, FleetMetrics, Member};
use crate::state::SchedulerState;

/// Between two looks when no work arrives.
const LOOK: Duration = Duration::from_secs(1);
/// How long the executors may take to end when the scheduler does, and whoever runs them to answer.
const END_WITHIN: Duration = Duration::from_secs(20);

/// What a scheduler sees of its work and of its executors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// All that are registered, those that are ending too.
    pub executors: Vec<ExecutorView>,
    /// Tasks that run, or could.
    pub tasks: usize,
}

/// What the scheduler sees now.
pub type See = Box<dyn Fn() -> BoxFuture<'static, Sight> + Send + Sync>;
/// Keeps tasks from the executor of an id, or gives it some again.
pub type Fence = Box<dyn Fn(String, bool) -> BoxFuture<'static, ()> + Send + Sync>;
/// Resolves when tasks have become ready to run since it last resolved.
pub type Work = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;
/// Shows what the fleet says of itself to those who wait for it.
pub type Show = Box<dyn Fn(FleetView) + Send + Sync>;

/// The scheduler, as far as a fleet is concerned with it.
pub struct View {
    /// Its executors and tasks.
    pub see: See,
    /// Its way to keep tasks from an executor.
    pub fence: Fence,
    /// Its way to say that there is work.
    pub work: Work,
    /// Its way to show the fleet.
    pub show: Show,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

impl View {
    /// A scheduler's.
    pub fn of(state: &SchedulerState) -> Self {
        let (seen, fenced, work, shown) = (state.clone(), state.clone(), state.clone(), state.clone());
        let see = async |state: SchedulerState| {
            let tasks = usize::try_from(state.wanted_vcores().await).unwrap_or(usize::MAX);
            Sight { executors: state.executors().await, tasks }
        };
        Self {
            see: Box::new(move || Box::pin(see(seen.clone()))),
            fence: Box::new(move |id, on| {
                let state = fenced.clone();
                Box::pin(async move { state.fence(&id, on).await })
            }),
            work: Box::new(move || {
                let state = work.clone();
                Box::pin(async move { state.work().await })
            }),
            show: Box::new(move |view| shown.show_fleet(view)),
        }
    }
}

/// Keeps a fleet as large as its work wants it until `stop`, then ends it. Without a fleet, only says in the metrics how
/// many executors there should be.
pub async fn follow(
    fleet: Option<Arc<dyn Fleet>>,
    settings: &FleetSettings,
    view: View,
    metrics: Option<FleetMetrics>,
    stop: impl Future<Output = ()>,
) {
    let begun = Instant::now();
    let mut keeper = Keeper::new(fleet, settings, view, metrics);
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = ticks.tick() => {}
            () = (keeper.view.work)() => {}
        }
        // Whoever runs the executors may take minutes to answer. What a look that is broken off has started is found by the
        // end of the fleet, or ends for want of a scheduler.
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = keeper.look(begun.elapsed()) => {}
        }
    }
    keeper.end().await;
}

struct Keeper {
    fleet: Option<Arc<dyn Fleet>>,
    policy: Policy,
    view: View,
    metrics: Option<FleetMetrics>,
    roster: Roster,
    history: History,
    looked: Duration,
    /// How many there were then.
    lived: usize,
    /// What was told last of what does not work, so that it is told once.
    told: Option<Problems>,
}

impl Keeper {
    fn new(fleet: Option<Arc<dyn Fleet>>, settings: &FleetSettings, view: View, metrics: Option<FleetMetrics>) -> Self {
        Self {
            fleet,
            policy: Policy::from(settings),
            view,
            metrics,
            roster: Roster::new(settings.start_within()),
            history: History::default(),
            looked: Duration::ZERO,
            lived: 0,
            told: None,
        }
    }

    /// Looks once, and does what is to be done. `now` counts from the beginning of the loop.
    async fn look(&mut self, now: Duration) {
        let sight = (self.view.see)().await;
        let tasks = sight.tasks;
        if tasks == 0 {
            (self.view.show)(FleetView::default());
        }
        let Some(fleet) = self.fleet.clone() else {
            let demand = demand_on_others(tasks, &sight.executors);
            let wanted = self.size(now, &demand);
            self.measure(now, tasks, wanted, Count { present: demand.present, ..Count::default() });
            return;
        };
        let members = match fleet.members().await {
            Ok(members) => members,
            Err(error) => {
                self.tell(error);
                self.roster.members()
            }
        };
        let notices = self.roster.look(now, &members, &sight.executors);
        self.heed(now, fleet.as_ref(), notices).await;
        let wanted = self.size(now, &self.roster.demand(tasks, &sight.executors));
        let steps = self.roster.steps(now, wanted);
        for id in steps.free {
            (self.view.fence)(id, false).await;
        }
        for id in steps.fence {
            (self.view.fence)(id, true).await;
        }
        if !steps.stop.is_empty() {
            let again = (self.view.see)().await;
            let sure = self.roster.confirm(steps.stop, &again.executors);
            self.stop(now, fleet.as_ref(), &sure).await;
        }
        if steps.start > 0 {
            self.start(now, fleet.as_ref(), steps.start).await;
        }
        self.measure(now, tasks, wanted, self.roster.count());
    }

    fn size(&mut self, now: Duration, demand: &Demand) -> usize {
        self.history = std::mem::take(&mut self.history).then(now, demand, &self.policy);
        size(demand, &self.history, now, &self.policy)
    }

    fn measure(&mut self, now: Duration, tasks: usize, wanted: usize, count: Count) {
        if let Some(metrics) = &self.metrics {
            metrics.set(tasks, wanted, count);
            metrics.lived(now.saturating_sub(self.looked).as_secs_f64() * self.lived as f64);
        }
        self.looked = now;
        self.lived = count.present + count.starting + count.draining;
    }

    async fn start(&mut self, now: Duration, fleet: &dyn Fleet, count: usize) {
        let started = fleet.start(count).await;
        for member in &started.members {
            tracing::info!(target: "pacha", "executor {} is started: {}", member.name, member.place);
        }
        if let Some(metrics) = &self.metrics {
            metrics.started(started.members.len());
        }
        self.roster.started(now, started.members, started.failure.is_some());
        if let Some(error) = started.failure {
            self.failed(error);
        }
    }

    async fn stop(&mut self, now: Duration, fleet: &dyn Fleet, members: &[Member]) {
        if members.is_empty() {
            return;
        }
        for member in members {
            tracing::info!(target: "pacha", "executor {} is not needed, and asked to end: {}", member.name, member.place);
        }
        if let Err(error) = fleet.stop(members).await {
            self.roster.not_stopped(now, members);
            self.tell(error);
        }
    }

    /// Says what was noticed.
    async fn heed(&mut self, now: Duration, fleet: &dyn Fleet, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Adopted(member) => tracing::info!(target: "pacha", "executor {} is there already: {}", member.name, member.place),
                Notice::Arrived(member, after) => {
                    self.told = None;
                    (self.view.show)(FleetView::default());
                    tracing::info!(target: "pacha", "executor {} is ready after {:.1} s", member.name, after.as_secs_f64());
                }
                Notice::Ended(member) => tracing::info!(target: "pacha", "executor {} has ended", member.name),
                Notice::Lost(member, why) => {
                    let problem = Problem::warning("PK742", format!("an executor ended that nobody had asked to, {}: {why}", member.place));
                    tracing::warn!(target: "pacha", "{}", problem.hint("what it ran is run again; its log says more"));
                }
                Notice::Failed(member, why) => {
                    let problem = Problem::error("PK740", format!("an executor ended before it had registered, {}: {why}", member.place));
                    self.failed(problem.hint("its log says why; it must reach the scheduler, and be the same build of pacha").into());
                }
                Notice::Late(member) => {
                    let message = format!("an executor has not registered in time, {}", member.place);
                    let hint = "its log says why; it must reach the scheduler. More time: start_within in [fleet] of pacha.toml";
                    self.failed(Problem::error("PK740", message).hint(hint).into());
                    self.stop(now, fleet, &[member]).await;
                }
            }
        }
    }

    /// An executor does not come: who waits for one is told why.
    fn failed(&mut self, error: Error) {
        if let Some(metrics) = &self.metrics {
            metrics.failed();
        }
        (self.view.show)(FleetView { trouble: error.problems.0.first().map(RecordedProblem::from) });
        self.tell(error);
    }

    /// Says what does not work; the same thing again only once something has worked in between.
    fn tell(&mut self, error: Error) {
        if self.told.as_ref() != Some(&error.problems) {
            tracing::error!(target: "pacha", "{error}");
            self.told = Some(error.problems);
        }
    }

    /// Ends the whole fleet, and waits until it has ended, but not for ever.
    async fn end(mut self) {
        let Some(fleet) = self.fleet.clone() else { return };
        let ended = async {
            let mut members = fleet.members().await.unwrap_or_else(|_| self.roster.members());
            members.retain(|member| member.ended.is_none());
            self.stop(self.looked, fleet.as_ref(), &members).await;
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            while !members.is_empty() && fleet.members().await.is_ok_and(|members| members.iter().any(|member| member.ended.is_none())) {
                ticks.tick().await;
            }
        };
        if tokio::time::timeout(END_WITHIN, ended).await.is_err() {
            tracing::warn!(target: "pacha", "executors of the fleet are still ending, or could not be asked to: without a scheduler they end by themselves");
        }
        self.measure(self.looked, 0, 0, Count::default());
    }
}

/// The demand on executors that somebody else starts and stops.
fn demand_on_others(tasks: usize, executors: &[ExecutorView]) -> Demand {
    let taking = || executors.iter().filter(|executor| !executor.terminating);
    let busy = taking().filter(|executor| executor.running > 0 || executor.needed).count();
    Demand { tasks, present: taking().count(), starting: 0, busy }
}

#[cfg(test)]
mod tests;
