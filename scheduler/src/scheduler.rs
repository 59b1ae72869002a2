//! The scheduler's process: Ballista's scheduler behind one port, for gRPC and for questions.
//!
//! What Ballista could do by itself after a fault is switched off: a task that fails ends its job, and whoever submitted it
//! submits it again. Jobs live in memory only; those that run when the process is stopped are ended, so that no executor
//! works on for nobody.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::cluster::memory::InMemoryJobState;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use engine::cluster::{Identity, MESSAGE_BYTES};
use engine::codec::codec;
use engine::session::Session;
use engine::{Error, Result};
use schemas::problem::Problem;
use serde::Serialize;
use tonic::service::RoutesBuilder;

use crate::admission::Admission;
use crate::fleet::{self, FleetOptions, Place, View};
use crate::http::{self, Shown};
use crate::listen;
use crate::member::Member;
use crate::metrics::SchedulerMetrics;
use crate::service::{Launcher, Service};
use crate::state::{SchedulerState, Server};
use crate::tls::{self, Listener};

/// How often lost executors are looked for: so many times in the time after which one is lost.
const LOOKS: u64 = 4;
/// How long a job that has lost all executors waits for another.
const NO_EXECUTORS_GRACE: Duration = Duration::from_secs(20);
/// How long an executor that said it ends, and was not heard of since, is kept in the list. More than one heartbeat: an
/// executor goes on saying that it ends until it has drained.
const TERMINATION_GRACE: Duration = Duration::from_secs(10);
/// Who submitted a job asks for the removal of its files when it has read them; this is for clients that died.
const JOB_FILES: Duration = Duration::from_secs(300);
/// How long Ballista answers for a job that is over: it keeps the whole plan for that. Its client asks several times a second;
/// what is shown of the job to others is kept apart, and longer.
const JOB_STATE: Duration = Duration::from_secs(60);
/// How long a stop waits for answers that are on their way.
const STOP: Duration = Duration::from_secs(3);

/// How a scheduler is started.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// Where to listen; port 0 is any free port.
    pub listen: SocketAddr,
    /// The name or number by which executors reach it; that of `listen` if not given.
    pub advertise: Option<String>,
    /// Listen without TLS where other machines can connect.
    pub allow_plaintext: bool,
    /// An executor that was not heard of for so long is lost: several of its heartbeats, in whole seconds.
    pub executor_timeout: Duration,
    /// A job whose client was not heard of for so long is ended.
    pub client_timeout: Duration,
    /// The executors that it starts by itself.
    pub fleet: FleetOptions,
}

/// A scheduler that listens.
#[derive(Debug, Clone, Serialize)]
pub struct SchedulerReady {
    /// For `--cluster` and `--scheduler`.
    pub address: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether connections are encrypted and certified.
    pub tls: bool,
}

/// Serves until `stop` resolves. `ready` is called once it listens.
///
/// # Errors
/// `PK710` and `PK711` if it cannot listen there, `PK720` and following if the certificates cannot be used, `PK741` if it is
/// to start executors that could not reach it.
pub async fn serve(
    options: &SchedulerOptions,
    session: &Session,
    ready: impl FnOnce(&SchedulerReady),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let member = Member::new(session)?;
    listen::allowed(options.listen.ip(), member.tls.is_some(), options.allow_plaintext)?;
    let acceptor = member.tls.as_deref().map(tls::acceptor).transpose()?;
    let listener = listen::bind(options.listen).await?;
    let listen = listener.local_addr().map_err(|error| broken(&error))?;
    // Executors are elsewhere, nobody knows where: any address that is not here shows the way out.
    let host = listen::advertised(options.advertise.as_deref(), listen.ip(), SocketAddr::from(([192, 0, 2, 1], 9)));
    let address = format!("df://{host}:{}", listen.port());
    let place = Place {
        address: address.clone(),
        listen: listen.ip(),
        advertised: options.advertise.is_some(),
        plaintext: options.allow_plaintext,
    };
    let fleet = fleet::choose(&options.fleet, session, &place)?;
    let state = SchedulerState::default();
    let metrics = SchedulerMetrics::new();
    let (view, gauges) = (View::of(&state), metrics.fleet());
    let server = start(&member, &state, &metrics, &host, listen.port(), options.executor_timeout).await?;
    let stopping = Arc::new(AtomicBool::new(false));
    let shown = Shown { state: state.clone(), metrics, identity: Arc::new(Identity::current()), stopping: Arc::clone(&stopping) };
    let router = router(&server, shown);
    let (close, closed) = tokio::sync::oneshot::channel::<()>();
    let closed = async move {
        let _ = closed.await;
    };
    let listener = Listener::new(listener, acceptor).map_err(|error| broken(&error))?;
    let serving = tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(closed).into_future());
    let follower = tokio::spawn(state.clone().follow(options.client_timeout));
    let (end_fleet, fleet_ends) = tokio::sync::oneshot::channel::<()>();
    let settings = options.fleet.settings.clone();
    let fleet = tokio::spawn(async move {
        let ends = async {
            let _ = fleet_ends.await;
        };
        fleet::follow(fleet, &settings, view, Some(gauges), ends).await;
    });
    tracing::info!(target: "pacha", "scheduler at {address}");
    ready(&SchedulerReady { address, listen, tls: member.tls.is_some() });
    stop.await;
    stopping.store(true, Ordering::Release);
    end_jobs(&server, &state).await;
    let _ = end_fleet.send(());
    let _ = fleet.await;
    let _ = close.send(());
    if tokio::time::timeout(STOP, serving).await.is_err() {
        tracing::debug!("connections were still open");
    }
    follower.abort();
    Ok(())
}

/// Ballista's scheduler, and our state of it.
async fn start(
    member: &Member,
    state: &SchedulerState,
    metrics: &SchedulerMetrics,
    host: &str,
    port: u16,
    executor_timeout: Duration,
) -> Result<Server> {
    let seconds = |duration: Duration| duration.as_secs();
    let message_bytes = u32::try_from(MESSAGE_BYTES).unwrap_or(u32::MAX);
    let work = state.clone();
    let config = SchedulerConfig {
        bind_port: port,
        external_host: host.to_owned(),
        scheduling_policy: TaskSchedulingPolicy::PushStaged,
        task_distribution: TaskDistributionPolicy::RoundRobin,
        executor_timeout_seconds: seconds(executor_timeout).max(1),
        expire_dead_executor_interval_seconds: (seconds(executor_timeout) / LOOKS).max(1),
        no_executors_grace_period_seconds: seconds(NO_EXECUTORS_GRACE),
        executor_termination_grace_period: seconds(TERMINATION_GRACE),
        finished_job_data_clean_up_interval_seconds: seconds(JOB_FILES),
        finished_job_state_clean_up_interval_seconds: seconds(JOB_STATE),
        task_max_failures: 1,
        stage_max_failures: 1,
        grpc_server_max_decoding_message_size: message_bytes,
        grpc_server_max_encoding_message_size: message_bytes,
        grpc_client_max_message_size: message_bytes,
        override_config_producer: Some(member.config()),
        override_session_builder: Some(member.sessions()),
        override_physical_codec: Some(codec()),
        override_create_grpc_client_endpoint: member.endpoints(),
        use_tls: member.tls.is_some(),
        event_log_dir: None,
        on_work_available: Some(Arc::new(move |_| work.work_available())),
        ..SchedulerConfig::default()
    };
    let jobs = InMemoryJobState::new(config.scheduler_id.clone(), member.sessions(), member.config());
    let cluster = BallistaCluster::new(Arc::new(Admission::new(Identity::current(), state.assignments(), state.fenced())), Arc::new(jobs));
    let codec = BallistaCodec::new(Arc::new(BallistaLogicalExtensionCodec::default()), codec());
    let launcher = Arc::new(Launcher::new(config.scheduler_endpoint(), state.assignments()));
    let endpoint = config.scheduler_endpoint();
    let mut server = Server::new_with_task_launcher(endpoint, cluster, codec, Arc::new(config), metrics.into(), launcher);
    server.init().await.map_err(|error| broken(&error))?;
    state.attach(server.clone());
    Ok(server)
}

fn router(server: &Server, shown: Shown) -> Router {
    let scheduler = SchedulerGrpcServer::new(Service::new(server.clone(), shown.state.assignments()));
    let scheduler = scheduler.max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES);
    let mut grpc = RoutesBuilder::default();
    grpc.add_service(scheduler);
    let open = from_fn_with_state(Arc::clone(&shown.stopping), http::no_job_at_the_end);
    let grpc = grpc.routes().into_axum_router().layer(open).layer(from_fn(http::only_grpc));
    grpc.fallback(http::nothing).merge(http::routes(shown))
}

/// Ends what runs: nobody will ask for it again.
async fn end_jobs(server: &Server, state: &SchedulerState) {
    let live = state.jobs().await.into_iter().filter(|job| !job.state.ended());
    futures::future::join_all(live.map(|job| server.cancel_job(job.id.into()))).await;
    let _ = tokio::time::timeout(STOP, state.quiet()).await;
}

fn broken(error: &dyn std::error::Error) -> Error {
    let problem = Problem::error("PK719", format!("the scheduler cannot start: {error}"));
    Error::failed(problem.hint("run again with RUST_LOG=debug and report this if the message does not help"))
}
