//! The executor's process: Ballista's executor, with what is ours around it.
//!
//! * It compares builds with the scheduler before it begins, and goes on comparing: a scheduler may be replaced.
//! * [`task`]: how a task runs, and [`wanted`] how it ends early; [`connection`]: between executors.
//! * [`drain`]: how it ends. Without its scheduler it ends too, after five heartbeats.
//! * [`metrics`]: what it counts.

mod connection;
mod drain;
mod metrics;
mod task;
mod wanted;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process, structure_executor_metadata};
use ballista_executor::executor_server::TERMINATING;
use ballista_executor::health::ExecutorHealth;
use ballista_executor::metrics::ExecutorMetricCollectionPolicy;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use engine::cluster::identity::{executor_id, named};
use engine::cluster::view::IDENTITY;
use engine::cluster::{Address, Identity, MESSAGE_BYTES, get};
use engine::codec::codec;
use engine::session::Session;
use engine::{Error, Result};
use schemas::problem::Problem;
use serde::Serialize;
use tonic::transport::Channel;

use crate::executor::task::{Counts, HandBack, Tasks, Threads};
use crate::folder::Folder;
use crate::listen;
use crate::member::Member;
use crate::tls::{self, Front};

/// A scheduler that does not say who it is within this time does not answer.
const ANSWER: Duration = Duration::from_secs(5);
/// So many heartbeats without an answer are the end.
const HEARTBEATS: u32 = 5;
/// How often a scheduler that is not there yet is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// How often builds are compared again.
const COMPARE: Duration = Duration::from_secs(15);
/// Rows of jobs that the scheduler has forgotten are removed when nobody has written to them for so long, looked for so often.
/// Those of a job that runs may lie there for as long as `cluster.timeout`, six hours if nothing else is set.
const FILES: (Duration, Duration) = (Duration::from_secs(24 * 3600), Duration::from_secs(600));
/// A port that was free may be taken before it is used; then others are tried, if it was ours to choose.
const STARTS: usize = 3;

/// How an executor is started.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// Whose tasks it runs.
    pub scheduler: Address,
    /// Its name in its id, by which whoever started it knows it; a new one if not given.
    pub name: Option<String>,
    /// Where it listens.
    pub listen: IpAddr,
    /// The name or number by which scheduler, clients and other executors reach it; that of `listen` if not given.
    pub advertise: Option<String>,
    /// Port for rows; 0 is any free port.
    pub port: u16,
    /// Port for tasks; 0 is any free port.
    pub grpc_port: u16,
    /// Tasks that it runs at a time; 0 is as many as there are cores.
    pub vcores: usize,
    /// Below which folder rows for others are kept; that for temporary files if not given.
    pub work_dir: Option<PathBuf>,
    /// Listen without TLS where other machines can connect.
    pub allow_plaintext: bool,
    /// How long to wait for the scheduler.
    pub wait: Duration,
    /// How long a stop waits for tasks and for readers of rows.
    pub grace: Duration,
    /// Where to serve health and metrics, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// How often the scheduler hears of it, in whole seconds: several times before it is taken for lost.
    pub heartbeat: Duration,
}

/// An executor that takes tasks.
#[derive(Debug, Clone, Serialize)]
pub struct ExecutorReady {
    /// Its id, which carries its build.
    pub id: String,
    /// Its scheduler.
    pub scheduler: String,
    /// Where others find it.
    pub host: String,
    /// Port for rows.
    pub port: u16,
    /// Port for tasks.
    pub grpc_port: u16,
    /// Tasks that it runs at a time.
    pub vcores: usize,
    /// Where health and metrics are.
    pub metrics: Option<SocketAddr>,
}

/// How an executor is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Finish tasks and stay while rows are needed, for the grace at most.
    Drain,
    /// At once: whoever needed it is gone.
    Now,
}

/// Serves until `stop` resolves. `ready` is called once it takes tasks.
///
/// # Errors
/// `PK710` and `PK711` if it cannot listen, `PK713` if there is no scheduler, `PK702` if that is of another build, `PK714` if
/// rows cannot be kept, `PK712` if the scheduler is lost later, `PK715` if it does not want this executor.
pub async fn serve(
    options: &ExecutorOptions,
    session: &Session,
    ready: impl FnOnce(&ExecutorReady),
    stop: impl Future<Output = Stop>,
) -> Result<()> {
    let mut stop = std::pin::pin!(stop);
    let member = Member::new(session)?;
    listen::allowed(options.listen, member.tls.is_some(), options.allow_plaintext)?;
    let metrics = match options.metrics {
        Some(address) => Some(listen::bind(address).await?),
        None => None,
    };
    let vcores = if options.vcores > 0 { options.vcores } else { std::thread::available_parallelism().map_or(1, usize::from) };
    let identity = Identity::current();
    let channel = tokio::select! {
        biased;
        _ = &mut stop => return Ok(()),
        found = find(options, &member, &identity) => found?,
    };
    let folder = Folder::new(&options.work_dir.clone().unwrap_or_else(std::env::temp_dir))?;
    // Apart from one another: Ballista removes what looks forgotten among the rows.
    let (rows, runtime) = (folder.below("rows")?, spilling(session, folder.below("spill")?)?);
    let threads = Threads::new(vcores).map_err(|error| broken(&error.to_string()))?;
    let (counts, health, hand_back) = (Arc::default(), ExecutorHealth::new(), HandBack::default());
    let executor = Executor { options, member, identity, channel, vcores, rows, runtime, threads, counts, health, hand_back };
    let started = tokio::select! {
        biased;
        _ = &mut stop => return Ok(()),
        started = executor.start() => started?,
    };
    let metrics_at = metrics.as_ref().and_then(|listener| listener.local_addr().ok());
    let serving = metrics.map(|listener| tokio::spawn(metrics::serve(listener, executor.sources(session))));
    ready(&ExecutorReady {
        id: started.config.executor_id.clone(),
        scheduler: options.scheduler.to_string(),
        host: started.config.external_host.clone().unwrap_or_default(),
        port: started.config.port,
        grpc_port: started.config.grpc_port,
        vcores,
        metrics: metrics_at,
    });
    let ended = executor.run(started, stop).await;
    if let Some(serving) = serving {
        serving.abort();
    }
    // Tasks end first, then what they write to.
    drop(executor);
    drop(folder);
    ended
}

/// Ballista's process, running.
struct Started {
    config: Arc<ExecutorProcessConfig>,
    /// What others connect to, if connections are certified.
    fronts: Vec<Front>,
    process: Pin<Box<dyn Future<Output = ballista_core::error::Result<()>> + Send>>,
}

struct Executor<'a> {
    options: &'a ExecutorOptions,
    member: Member,
    identity: Identity,
    channel: Channel,
    vcores: usize,
    rows: PathBuf,
    runtime: Arc<RuntimeEnv>,
    threads: Threads,
    counts: Arc<Counts>,
    health: ExecutorHealth,
    hand_back: HandBack,
}

impl Executor<'_> {
    /// Starts Ballista's process and waits until it takes tasks.
    async fn start(&self) -> Result<Started> {
        let mut last = None;
        let chosen = self.options.port == 0 || self.options.grpc_port == 0;
        for _ in 0..if chosen { STARTS } else { 1 } {
            let config = Arc::new(self.config().await?);
            let fronts = self.fronts(&config).await?;
            let mut process: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(start_executor_process(Arc::clone(&config)));
            tokio::select! {
                ended = &mut process => last = Some(ended),
                () = self.listening(&config) => return Ok(Started { config, fronts, process }),
            }
            TERMINATING.store(false, Ordering::Release);
        }
        let reason = match last {
            Some(Err(error)) => error.to_string(),
            _ => "a port was taken by another process at the last moment".to_owned(),
        };
        let problem = Problem::error("PK715", format!("the scheduler at {} does not take this executor: {reason}", self.options.scheduler));
        let hint = "see that the scheduler can connect to this machine at the address of --advertise, and that both run the same build";
        Err(Error::failed(problem.hint(hint)))
    }

    /// Resolves when the scheduler has answered a heartbeat and rows can be fetched.
    async fn listening(&self, config: &ExecutorProcessConfig) {
        let address = format!("{}:{}", config.bind_host, config.port);
        while !self.health.is_ready() || tokio::net::TcpStream::connect(&address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn config(&self) -> Result<ExecutorProcessConfig> {
        let options = self.options;
        let message_bytes = u32::try_from(MESSAGE_BYTES).unwrap_or(u32::MAX);
        let address = self.address().await;
        let host = listen::advertised(options.advertise.as_deref(), address, self.peer().await);
        let behind = if self.member.tls.is_some() { tls::behind(address) } else { address };
        let addresses = if behind == address { vec![address] } else { vec![address, behind] };
        let [port, grpc_port] = listen::free_ports(&addresses, [options.port, options.grpc_port])?;
        let runtime = Arc::clone(&self.runtime);
        let tasks = Tasks::new(&format!("{host}:{port}"), &self.counts, &self.threads, &self.hand_back);
        Ok(ExecutorProcessConfig {
            executor_id: options.name.as_deref().map_or_else(|| executor_id(&self.identity), |name| named(&self.identity, name)),
            bind_host: listen::in_url(behind),
            external_host: Some(host),
            port,
            grpc_port,
            scheduler_host: options.scheduler.host.clone(),
            scheduler_port: options.scheduler.port,
            vcores: self.vcores,
            task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
            work_dir: Some(self.rows.to_string_lossy().into_owned()),
            job_data_ttl_seconds: FILES.0.as_secs(),
            job_data_clean_up_interval_seconds: FILES.1.as_secs(),
            grpc_max_decoding_message_size: message_bytes,
            grpc_max_encoding_message_size: message_bytes,
            executor_heartbeat_interval_seconds: options.heartbeat.as_secs().max(1),
            metric_collection_policy: ExecutorMetricCollectionPolicy::Off,
            // The pool of the session, of limits.memory, is for all tasks together, as it is in one process.
            memory_pool_size: Some(0),
            override_execution_engine: Some(Arc::new(tasks)),
            override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&self.member.state))),
            override_runtime_producer: Some(Arc::new(move |_| Ok(Arc::clone(&runtime)))),
            override_config_producer: Some(self.member.config()),
            override_physical_codec: Some(codec()),
            override_create_grpc_client_endpoint: self.member.endpoints(),
            health: self.health.clone(),
            ..ExecutorProcessConfig::default()
        })
    }

    /// What others connect to: Ballista's servers themselves, or what decrypts for them.
    async fn fronts(&self, config: &ExecutorProcessConfig) -> Result<Vec<Front>> {
        let Some(tls) = &self.member.tls else { return Ok(Vec::new()) };
        let (acceptor, address) = (tls::acceptor(tls)?, self.address().await);
        let mut fronts = Vec::new();
        for port in [config.port, config.grpc_port] {
            let to = SocketAddr::new(tls::behind(address), port);
            fronts.push(Front::new(SocketAddr::new(address, port), to, &acceptor).await?);
        }
        Ok(fronts)
    }

    /// Where it listens. With TLS two listeners share a port on different addresses, so all addresses are one too many: then
    /// it is the one on the way to the scheduler.
    async fn address(&self) -> IpAddr {
        let listen = self.options.listen;
        if self.member.tls.is_some() && listen.is_unspecified() { listen::outward(self.peer().await) } else { listen }
    }

    /// The scheduler's address, for the way to it; one that is nowhere if its name has none.
    async fn peer(&self) -> SocketAddr {
        let Address { host, port } = &self.options.scheduler;
        let found = tokio::net::lookup_host(format!("{host}:{port}")).await;
        found.ok().and_then(|mut found| found.next()).unwrap_or_else(|| SocketAddr::from(([192, 0, 2, 1], 9)))
    }

    /// Runs until it is to stop, or cannot go on.
    async fn run(&self, started: Started, mut stop: Pin<&mut impl Future<Output = Stop>>) -> Result<()> {
        let Started { config, fronts: _fronts, mut process } = started;
        // Ballista's process heeds signals too, and would end at once. It is not asked again after ours was told to stop: what
        // it has started runs on until this process ends.
        tokio::select! {
            biased;
            how = &mut stop => {
                if how == Stop::Drain {
                    let registration = structure_executor_metadata(&config, u32::try_from(self.vcores).unwrap_or(u32::MAX));
                    drain::drain(&self.options.scheduler, &self.channel, &registration, self.options.grace, || self.hand_back.all()).await;
                }
                Ok(())
            }
            other = self.replaced() => Err(other),
            _ = &mut process => Err(self.lost().await),
        }
    }

    /// Resolves when the scheduler was replaced by one of another build.
    async fn replaced(&self) -> Error {
        loop {
            tokio::time::sleep(COMPARE).await;
            let other = get::get::<Identity>(self.channel.clone(), IDENTITY).await;
            if let Ok(other) = other
                && let Err(error) = self.compare(&other)
            {
                return error;
            }
        }
    }

    fn compare(&self, other: &Identity) -> Result<()> {
        self.identity.agrees("this executor", other, &format!("the scheduler at {}", self.options.scheduler))
    }

    async fn lost(&self) -> Error {
        let scheduler = &self.options.scheduler;
        let answers = matches!(tokio::time::timeout(ANSWER, get::get::<Identity>(self.channel.clone(), IDENTITY)).await, Ok(Ok(_)));
        let problem = if answers {
            let problem = Problem::error(
                "PK715",
                format!("the scheduler at {scheduler} has given up this executor, of which it had not heard in time"),
            );
            problem.hint("see that this machine has memory and processors for its tasks, then start the executor again")
        } else {
            let problem = Problem::error("PK712", format!("the scheduler at {scheduler} has not answered {HEARTBEATS} heartbeats"));
            problem.hint("look whether the scheduler runs, then start the executor again")
        };
        Error::failed(problem)
    }

    fn sources(&self, session: &Session) -> metrics::Sources {
        metrics::Sources {
            counts: Arc::clone(&self.counts),
            progress: Arc::clone(&session.progress),
            rows: self.rows.clone(),
            health: self.health.clone(),
            vcores: self.vcores,
        }
    }
}

/// The stores and the memory of a session, and a folder for what does not fit.
fn spilling(session: &Session, folder: PathBuf) -> Result<Arc<RuntimeEnv>> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![folder]));
    let runtime = RuntimeEnvBuilder::from_runtime_env(&session.context.runtime_env()).with_disk_manager_builder(disk).build_arc();
    runtime.map_err(|error| broken(&error.to_string()))
}

/// Finds the scheduler and compares builds.
async fn find(options: &ExecutorOptions, member: &Member, identity: &Identity) -> Result<Channel> {
    let begun = Instant::now();
    loop {
        let asked = async {
            let channel = options.scheduler.connect(member.tls.as_ref()).await?;
            let other: Identity = get::get(channel.clone(), IDENTITY).await?;
            Ok::<_, Error>((channel, other))
        };
        let error = match asked.await {
            Ok((channel, other)) => {
                identity.agrees("this executor", &other, &format!("the scheduler at {}", options.scheduler))?;
                return Ok(channel);
            }
            Err(error) if error.problems.0.iter().any(|problem| problem.code == "PK701") => error,
            Err(error) => return Err(error),
        };
        if begun.elapsed() >= options.wait {
            let reason = error.problems.0.first().map_or("", |problem| problem.message.as_str());
            let problem = Problem::error("PK713", format!("no scheduler was found in {} s: {reason}", options.wait.as_secs()));
            let hint =
                "start one with `pacha scheduler`, and give this executor the address that it prints; --wait sets how long is waited";
            return Err(Error::failed(problem.hint(hint)));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn broken(reason: &str) -> Error {
    let problem = Problem::error("PK719", format!("the executor cannot start: {reason}"));
    Error::failed(problem.hint("run again with RUST_LOG=debug and report this if the message does not help"))
}

#[cfg(test)]
mod tests;
