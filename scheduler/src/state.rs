//! What a scheduler knows of its executors and jobs: what its endpoints show, what its metrics count, and what a fleet follows.
//!
//! Ballista forgets a job's graph when the job is over. But who submitted it looks once more, to see that no task was lost,
//! so the last view of a job is kept for some minutes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{JobStatus, UpdateTaskStatusParams, executor_status};
use ballista_scheduler::cluster::JobStateEvent;
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use engine::cluster::view::{ExecutorView, FleetView, JobState, JobView};
use futures::StreamExt;
use tokio::sync::{Notify, RwLock};

use crate::admission::Fenced;
use crate::assignments::Assignments;
use crate::view::{self, Reading};

/// Ballista's scheduler.
pub(crate) type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// How long and how many jobs that are over are shown.
const KEPT: Duration = Duration::from_secs(15 * 60);
const KEPT_JOBS: usize = 2_000;
/// How long the results of a job that ended well are certainly wanted: its client reads them at once.
const RESULTS: Duration = Duration::from_secs(5);
/// How often tasks are told to end while the scheduler waits for that.
const ENDING: Duration = Duration::from_millis(50);
/// How often jobs are looked at while nobody asks.
const LOOK: Duration = Duration::from_secs(2);

/// What a scheduler knows. Clones are the same.
#[derive(Clone, Default)]
pub struct SchedulerState {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// There once Ballista's scheduler is: it is made with callbacks that need what is here.
    server: OnceLock<Server>,
    assignments: Arc<Assignments>,
    fenced: Arc<Fenced>,
    jobs: Mutex<Jobs>,
    fleet: Mutex<FleetView>,
    work: Notify,
}

#[derive(Default)]
struct Jobs {
    live: HashMap<String, Live>,
    /// Oldest first.
    over: VecDeque<Over>,
}

struct Live {
    graph: Arc<RwLock<ExecutionGraphBox>>,
    asked_at: Instant,
}

struct Over {
    at: Instant,
    reading: Reading,
}

impl std::fmt::Debug for SchedulerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SchedulerState")
    }
}

impl SchedulerState {
    /// The executors that are registered, by id.
    pub async fn executors(&self) -> Vec<ExecutorView> {
        let Some(server) = self.inner.server.get() else { return Vec::new() };
        let manager = &server.state.executor_manager;
        let (running, needed) = self.use_of_executors().await;
        // Ballista's in-memory state cannot fail to list.
        let executors = manager.get_executors_state().await.unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut views: Vec<ExecutorView> = executors
            .into_iter()
            .map(|(executor, heard_at, _)| {
                let status = manager.get_executor_hearbeat(&executor.id).and_then(|heartbeat| heartbeat.status?.status);
                ExecutorView {
                    running: running.get(&executor.id).copied().unwrap_or(0),
                    needed: needed.contains(&executor.id),
                    silent_seconds: heard_at.map_or(0, |at| now.saturating_sub(at).as_secs()),
                    terminating: matches!(status, Some(executor_status::Status::Terminating(_))),
                    vcores: executor.specification.vcores,
                    id: executor.id,
                    host: executor.host,
                    port: executor.port,
                }
            })
            .collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    /// What the fleet last said of itself.
    pub fn fleet(&self) -> FleetView {
        self.inner.fleet.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is to be shown of the fleet from now on.
    pub(crate) fn show_fleet(&self, view: FleetView) {
        *self.inner.fleet.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// The jobs that run or have lately ended, by id, which is the order in which they came.
    pub async fn jobs(&self) -> Vec<JobView> {
        let live = self.look().await;
        let mut views: BTreeMap<String, JobView> = live.into_iter().map(|reading| (reading.view.id.clone(), reading.view)).collect();
        let jobs = self.lock();
        views.extend(jobs.over.iter().map(|over| (over.reading.view.id.clone(), self.of_over(over))));
        views.into_values().collect()
    }

    /// A job, also one that still waits to be planned. A job that is not asked for in this way for a minute is ended.
    pub async fn job(&self, id: &str) -> Option<JobView> {
        self.keep_hold();
        let graph = self.lock().live.get_mut(id).map(|live| {
            live.asked_at = Instant::now();
            Arc::clone(&live.graph)
        });
        if let Some(graph) = graph {
            let reading = self.read(&graph).await;
            if !reading.view.state.ended() {
                return Some(reading.view);
            }
            self.end(reading);
        }
        let over = self.lock().over.iter().find(|over| over.reading.view.id == id).map(|over| self.of_over(over));
        if let Some(view) = over {
            // Whoever asks for it waits for them.
            self.end_tasks(id).await;
            return Some(view);
        }
        let status = self.inner.server.get()?.state.task_manager.get_job_status(&id.into()).await;
        status.ok().flatten().map(|status| without_graph(&status).view)
    }

    /// Vcores that would be busy if there were enough of them: tasks that run, tasks that could, and jobs to be planned.
    pub async fn wanted_vcores(&self) -> u32 {
        let queued = self.inner.server.get().map_or(0, Server::pending_job_number);
        let live: u32 = self.look().await.iter().map(Reading::wanted).sum();
        live.saturating_add(u32::try_from(queued).unwrap_or(u32::MAX))
    }

    /// Resolves when a job or a stage of one has become ready to run since this last resolved. For one follower.
    pub async fn work(&self) {
        self.inner.work.notified().await;
    }

    /// Resolves when no job runs, and no task of one that did.
    pub(crate) async fn quiet(&self) {
        while !self.look().await.is_empty() || self.end_left_over().await {
            tokio::time::sleep(ENDING).await;
        }
    }

    /// Keeps tasks from an executor that is to be stopped, or gives it some again.
    pub async fn fence(&self, id: &str, fenced: bool) {
        self.inner.fenced.set(id, fenced);
        let Some(server) = self.inner.server.get().filter(|_| !fenced) else { return };
        // Ballista hands out tasks when something has happened; a report of no tasks is the least that can happen.
        let nothing = UpdateTaskStatusParams { executor_id: id.to_owned(), task_status: Vec::new() };
        let _ = server.update_task_status(tonic::Request::new(nothing)).await;
    }

    pub(crate) fn assignments(&self) -> Arc<Assignments> {
        Arc::clone(&self.inner.assignments)
    }

    pub(crate) fn fenced(&self) -> Arc<Fenced> {
        Arc::clone(&self.inner.fenced)
    }

    /// Takes Ballista's scheduler, once.
    pub(crate) fn attach(&self, server: Server) {
        // A second one cannot come: a state belongs to one call of `serve`.
        let _ = self.inner.server.set(server);
    }

    /// Ballista's event loop says that there is work: a graph is there to be kept hold of. Never waits.
    pub(crate) fn work_available(&self) {
        self.keep_hold();
        self.inner.work.notify_one();
    }

    /// Sees jobs to their end while nobody asks; ends those that nobody has asked for in `client_timeout`. A client asks several
    /// times a second. Ends never.
    pub(crate) async fn follow(self, client_timeout: Duration) {
        let events = match self.inner.server.get() {
            Some(server) => server.job_state_events().await.ok(),
            None => None,
        };
        let mut events = events.unwrap_or_else(|| Box::pin(futures::stream::pending()));
        let mut pause = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    // A plan that could not be cut into stages never had a graph.
                    Some(JobStateEvent::JobUpdated { status, .. }) if view::state(status.status.as_ref()).ended() => {
                        self.look().await;
                        self.end(without_graph(&status));
                    }
                    Some(_) => {}
                    None => events = Box::pin(futures::stream::pending()),
                },
                _ = pause.tick() => {
                    self.look().await;
                    self.end_orphans(client_timeout).await;
                    self.end_left_over().await;
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Jobs> {
        self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_hold(&self) {
        let Some(server) = self.inner.server.get() else { return };
        let running = server.state.task_manager.get_running_job_cache();
        let mut jobs = self.lock();
        for (id, job) in running.iter() {
            let live = || Live { graph: Arc::clone(&job.execution_graph), asked_at: Instant::now() };
            jobs.live.entry(id.to_string()).or_insert_with(live);
        }
    }

    /// Reads all jobs that are not known to be over, and keeps the last reading of those that are.
    async fn look(&self) -> Vec<Reading> {
        self.keep_hold();
        let graphs: Vec<_> = self.lock().live.values().map(|live| Arc::clone(&live.graph)).collect();
        let mut live = Vec::new();
        for graph in graphs {
            let reading = self.read(&graph).await;
            if reading.view.state.ended() {
                self.end(reading);
            } else {
                live.push(reading);
            }
        }
        let mut jobs = self.lock();
        while jobs.over.front().is_some_and(|over| over.at.elapsed() > KEPT) || jobs.over.len() > KEPT_JOBS {
            if let Some(over) = jobs.over.pop_front() {
                self.inner.assignments.forget(&over.reading.view.id);
            }
        }
        live
    }

    async fn read(&self, graph: &RwLock<ExecutionGraphBox>) -> Reading {
        let mut reading = view::read(graph.read().await.as_ref());
        let given = self.inner.assignments.executors(&reading.view.id);
        reading.view.open = self.inner.assignments.open(&reading.view.id);
        reading.view.executors =
            given.into_iter().chain(std::mem::take(&mut reading.view.executors)).collect::<BTreeSet<_>>().into_iter().collect();
        reading
    }

    /// A job that is over, with those of its tasks that have not ended yet.
    fn of_over(&self, over: &Over) -> JobView {
        JobView { open: self.inner.assignments.open(&over.reading.view.id), ..over.reading.view.clone() }
    }

    /// Tells executors again to end what is left of jobs that are over. Returns whether there is such a job.
    async fn end_left_over(&self) -> bool {
        let jobs = self.inner.assignments.ending();
        for job in &jobs {
            self.end_tasks(job).await;
        }
        !jobs.is_empty()
    }

    /// Tells executors again to end what is left of a job that is over: a word that came too early has changed nothing.
    async fn end_tasks(&self, job: &str) {
        let left_over = self.inner.assignments.left_over(job);
        if let Some(server) = self.inner.server.get().filter(|_| !left_over.is_empty()) {
            // They are told by a task of its own, so this does not wait, and cannot fail.
            let _ = server.state.executor_manager.cancel_running_tasks(left_over).await;
        }
    }

    async fn end_orphans(&self, client_timeout: Duration) {
        let Some(server) = self.inner.server.get() else { return };
        let orphans: Vec<String> = {
            let jobs = self.lock();
            jobs.live.iter().filter(|(_, live)| live.asked_at.elapsed() > client_timeout).map(|(id, _)| id.clone()).collect()
        };
        for id in orphans {
            tracing::warn!(target: "pacha", "job {id} is ended: nobody has asked for it in {} s", client_timeout.as_secs());
            // Its event loop has ended if this fails, and all jobs with it.
            let _ = server.cancel_job(id.into()).await;
        }
    }

    /// Keeps the last reading of a job, unless there is one.
    fn end(&self, reading: Reading) {
        let id = reading.view.id.clone();
        let mut jobs = self.lock();
        jobs.live.remove(&id);
        if !jobs.over.iter().any(|over| over.reading.view.id == id) {
            jobs.over.push_back(Over { at: Instant::now(), reading });
        }
        drop(jobs);
        self.inner.assignments.over(&id);
    }

    /// Vcores in use by executor, and the executors that hold rows which somebody will yet read.
    async fn use_of_executors(&self) -> (BTreeMap<String, u32>, BTreeSet<String>) {
        let (mut running, mut needed) = (BTreeMap::new(), BTreeSet::new());
        for reading in self.look().await {
            for (executor, vcores) in reading.running {
                *running.entry(executor).or_default() += vcores;
            }
            needed.extend(reading.holders);
        }
        let wanted = |over: &&Over| over.reading.view.state == JobState::Successful && over.at.elapsed() < RESULTS;
        needed.extend(self.lock().over.iter().filter(wanted).flat_map(|over| over.reading.holders.iter().cloned()));
        (running, needed)
    }
}

fn without_graph(status: &JobStatus) -> Reading {
    let state = view::state(status.status.as_ref());
    Reading {
        view: JobView { id: status.job_id.clone(), name: status.job_name.clone(), state, ..JobView::default() },
        ..Reading::default()
    }
}
