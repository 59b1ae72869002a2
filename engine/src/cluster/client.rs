//! The client of a cluster: finds the scheduler, sees that all are of one build, submits plans and follows them.
//!
//! A plan is made here and submitted as it is, by a call of our own: the job's id is known at once, and only the settings
//! named here travel. Whether what came back may count is decided by [`super::clean`], what happens if not by
//! [`super::submit`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use ballista_core::client::BallistaClient;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    ExecuteQueryParams, GetJobStatusParams, KeyValuePair, PartitionLocation, RemoveSessionParams, execute_query_result, job_status,
};
use ballista_core::version::insert_version_header;
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt};
use schemas::problem::Problem;
use tonic::Code;
use tonic::transport::Channel;

use super::address::Address;
use super::identity::{Identity, digest_of};
use super::tls::Tls;
use super::view::{EXECUTORS, ExecutorView, FLEET, FleetView, IDENTITY, JOBS, JobView};
use super::{MESSAGE_BYTES, get, travel};
use crate::error::{Error, Result};
use crate::job::record::RecordedProblem;
use crate::project::ClusterSettings;
use crate::storage::Location;

/// Tasks of a unit at least: enough for a fleet to grow by.
const LEAST_PARTITIONS: usize = 16;
/// Results that are read at a time.
const READS: usize = 4;
/// A result is small; an executor that does not give it in this time is lost.
const READ_TIME: Duration = Duration::from_secs(60);

/// How long a scheduler may not know a job that it has taken: until its event loop comes to it.
pub(super) const UNHEARD: Duration = Duration::from_secs(5);

/// A scheduler that answers, and what this process has under way there.
pub struct Cluster {
    /// As the user wrote it, `df://host:port`.
    pub address: String,
    /// How patient to be, and how large a unit is.
    pub settings: ClusterSettings,
    channel: Channel,
    tls: Option<Arc<Tls>>,
    /// Jobs that are submitted and not known to have ended.
    pub(super) open: Arc<Mutex<BTreeSet<String>>>,
    /// Held for reading by each job that is being submitted.
    pub(super) submitting: Arc<tokio::sync::RwLock<()>>,
    used: Mutex<Used>,
    /// Code of why no executor comes, as it was last told: once for all units that wait.
    trouble: Mutex<Option<String>>,
}

/// What a run used of a cluster.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Used {
    /// The scheduler.
    pub scheduler: String,
    /// Executors that ran tasks of it.
    pub executors: BTreeSet<String>,
    /// Units that came to their end.
    pub units: u64,
    /// Jobs that were submitted; more than units where some did not count.
    pub jobs: u64,
    /// Stages that these were cut into.
    pub stages: u64,
    /// Tasks that ended.
    pub tasks: u64,
    /// Seconds that tasks took, added up over all vcores.
    pub task_seconds: f64,
    /// Why units were submitted again.
    pub again: Vec<String>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster {{ address: {} }}", self.address)
    }
}

/// How a job ended.
pub(super) enum Outcome {
    /// It goes on.
    Running,
    /// It is called successful; its results are there.
    Successful(Vec<PartitionLocation>),
    /// It failed, with this text.
    Failed(String),
    /// The scheduler has never heard of it: it was started again.
    Unknown,
}

impl Cluster {
    /// Finds the scheduler at `df://host:port` and compares builds.
    ///
    /// # Errors
    /// The address is none, nobody answers there, or somebody of another build.
    pub async fn connect(address: &str, settings: &ClusterSettings, root: &Path) -> Result<Self> {
        let address: Address = address.parse()?;
        let tls = Tls::read(&settings.tls_files(root))?;
        let channel = address.connect(tls.as_ref()).await?;
        let address = address.to_string();
        let cluster = Self {
            used: Mutex::new(Used { scheduler: address.clone(), ..Used::default() }),
            address,
            settings: settings.clone(),
            channel,
            tls,
            open: Arc::default(),
            submitting: Arc::default(),
            trouble: Mutex::default(),
        };
        let ours = Identity::current();
        let theirs: Identity = get::get(cluster.channel.clone(), IDENTITY).await.map_err(|error| no_scheduler(&cluster.address, &error))?;
        ours.agrees("this client", &theirs, &format!("the scheduler at {}", cluster.address))?;
        for executor in cluster.executors().await? {
            if digest_of(&executor.id) != Some(&ours.digest) {
                let message =
                    format!("executor {} at {}:{} is not of the build of this client, {ours}", executor.id, executor.host, executor.port);
                return Err(Error::configuration(Problem::error("PK702", message).hint("run the same build of pacha in all places")));
            }
        }
        Ok(cluster)
    }

    /// The executors that are registered.
    ///
    /// # Errors
    /// The scheduler does not answer.
    pub async fn executors(&self) -> Result<Vec<ExecutorView>> {
        get::get(self.channel.clone(), EXECUTORS).await.map_err(|error| self.silent(&error))
    }

    /// What the scheduler says of the executors that it starts by itself.
    ///
    /// # Errors
    /// The scheduler does not answer.
    pub async fn fleet(&self) -> Result<FleetView> {
        get::get(self.channel.clone(), FLEET).await.map_err(|error| self.silent(&error))
    }

    /// The jobs that run or have lately ended.
    ///
    /// # Errors
    /// The scheduler does not answer.
    pub async fn jobs(&self) -> Result<Vec<JobView>> {
        get::get(self.channel.clone(), JOBS).await.map_err(|error| self.silent(&error))
    }

    /// A job, if the scheduler knows it.
    ///
    /// # Errors
    /// The scheduler does not answer.
    pub async fn job(&self, id: &str) -> Result<Option<JobView>> {
        get::find(self.channel.clone(), &format!("{JOBS}/{id}")).await.map_err(|error| self.silent(&error))
    }

    /// Tasks that a plan should be cut into: as set, or enough that executors of unequal speed end together.
    ///
    /// # Errors
    /// The scheduler does not answer.
    pub async fn partitions(&self) -> Result<usize> {
        if self.settings.partitions > 0 {
            return Ok(self.settings.partitions);
        }
        let vcores: u32 = self.executors().await?.iter().filter(|executor| !executor.terminating).map(|executor| executor.vcores).sum();
        // Few may be there now, and many come for what is asked of them.
        Ok(LEAST_PARTITIONS.max(2 * vcores as usize))
    }

    /// What was used so far.
    pub fn used(&self) -> Used {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut Used)) {
        note(&mut self.used.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Says why no executor comes, unless it was just that which was said.
    pub(super) fn waits(&self, trouble: RecordedProblem) {
        let mut told = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(&trouble.code) {
            let hint = trouble.hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"));
            tracing::warn!(target: "pacha", "waiting for executors: {} ({}){hint}", trouble.message, trouble.code);
            *told = Some(trouble.code);
        }
    }

    /// An executor is there: what was said of their absence may be said again.
    pub(super) fn peopled(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn scheduler(&self) -> SchedulerGrpcClient<Channel> {
        SchedulerGrpcClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES)
    }

    /// Submits a plan under a name; returns the job's id.
    pub(super) async fn submit(&self, plan: Arc<dyn ExecutionPlan>, name: &str) -> Result<String> {
        let bytes = travel::bytes(plan, name)?;
        let set = |key: &str, value: &str| KeyValuePair { key: key.into(), value: Some(value.into()) };
        let session_id = uuid::Uuid::now_v7().to_string();
        let mut request = tonic::Request::new(ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(bytes)),
            session_id: session_id.clone(),
            operation_id: uuid::Uuid::now_v7().to_string(),
            settings: vec![
                set("ballista.job.name", name),
                set("ballista.scheduler.max_partitions_per_task", "1"),
                set("ballista.planner.adaptive.enabled", "false"),
            ],
        });
        insert_version_header(request.metadata_mut());
        let (mut scheduler, open) = (self.scheduler(), Arc::clone(&self.open));
        let under_way = Arc::clone(&self.submitting).read_owned().await;
        // Whoever waits for the answer may be gone when it comes; a job that was submitted is known all the same, to be ended.
        let answer = tokio::spawn(async move {
            let answer = scheduler.execute_query(request).await.map(|answer| answer.into_inner().result);
            if let Ok(Some(execute_query_result::Result::Success(success))) = &answer {
                open.lock().unwrap_or_else(PoisonError::into_inner).insert(success.job_id.clone());
            }
            drop(under_way);
            answer
        });
        let answer = answer.await.unwrap_or_else(|error| Err(tonic::Status::cancelled(error.to_string())));
        let answer = answer.map_err(|status| self.refused(&status))?;
        // A session is only the settings of its job, which has a copy.
        let _ = self.scheduler().remove_session(RemoveSessionParams { session_id }).await;
        match answer {
            Some(execute_query_result::Result::Success(success)) => {
                self.note(|used| used.jobs += 1);
                Ok(success.job_id)
            }
            refused => {
                let problem = Problem::error("PK736", format!("the scheduler at {} cannot read the plan of {name}", self.address));
                tracing::debug!(?refused, "plan refused");
                Err(Error::failed(problem.hint("run the same build of pacha in all places; report this if they are")))
            }
        }
    }

    /// How a job stands.
    pub(super) async fn outcome(&self, job_id: &str) -> Result<Outcome> {
        let mut scheduler = self.scheduler();
        let asked = scheduler.get_job_status(GetJobStatusParams { job_id: job_id.into() });
        let asked = tokio::time::timeout(get::ANSWER, asked).await;
        let asked = asked.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("no answer in time")));
        let status = asked.map_err(|status| self.refused(&status))?.into_inner().status.and_then(|status| status.status);
        Ok(match status {
            None => Outcome::Unknown,
            Some(job_status::Status::Queued(_) | job_status::Status::Running(_)) => Outcome::Running,
            Some(job_status::Status::Failed(job)) => Outcome::Failed(job.error),
            Some(job_status::Status::Successful(job)) => Outcome::Successful(job.partition_location),
        })
    }

    /// The results that can be read, each with all its batches. One that cannot is lost with its executor.
    pub(super) async fn results(&self, locations: Vec<PartitionLocation>) -> Vec<Vec<RecordBatch>> {
        let clients = tokio::sync::Mutex::new(BTreeMap::new());
        let reads = locations.into_iter().map(|location| self.result(location, &clients));
        let results: Vec<_> = futures::stream::iter(reads).buffered(READS).collect().await;
        results.into_iter().flatten().collect()
    }

    async fn result(
        &self,
        location: PartitionLocation,
        clients: &tokio::sync::Mutex<BTreeMap<(String, u16), BallistaClient>>,
    ) -> Option<Vec<RecordBatch>> {
        let (layout, file) = (location.layout(), location.file_id);
        let (executor, partition) = (location.executor_meta?, location.partition_id?);
        let at = (executor.host.clone(), u16::try_from(executor.port).ok()?);
        let read = async {
            let known = clients.lock().await.get(&at).cloned();
            let mut client = match known {
                Some(client) => client,
                None => {
                    let custom = self.tls.as_ref().map(|tls| Arc::new(BallistaConfigGrpcEndpoint::new(tls.endpoints())));
                    let client = BallistaClient::try_new(&at.0, at.1, MESSAGE_BYTES, self.tls.is_some(), custom, 1, 200, 0, 0).await;
                    let client = client.map_err(|error| error.to_string())?;
                    clients.lock().await.insert(at.clone(), client.clone());
                    client
                }
            };
            let rows =
                client.fetch_partition(&executor.id, &partition.into(), file, layout, true).await.map_err(|error| error.to_string())?;
            rows.try_collect::<Vec<_>>().await.map_err(|error| error.to_string())
        };
        match tokio::time::timeout(READ_TIME, read).await {
            Ok(Ok(batches)) => Some(batches),
            Ok(Err(error)) => {
                tracing::debug!(executor = executor.id, "a result cannot be read: {error}");
                None
            }
            Err(_) => None,
        }
    }

    /// Whether the executors can be expected to see a warehouse; what is to be said if that is not sure.
    ///
    /// # Errors
    /// They cannot.
    pub fn shares(&self, warehouse: &Location) -> Result<Option<Problem>> {
        let share = "set a warehouse that all processes see, such as s3://bucket/prefix";
        match warehouse.url.scheme() {
            "memory" => Err(Error::configuration(
                Problem::error("PK705", format!("the warehouse {warehouse} is in the memory of this process")).hint(share),
            )),
            "file" if !self.loopback() => {
                let message = format!(
                    "the warehouse {} is on the disk of this machine; the executors of {} must have it too",
                    warehouse.full(),
                    self.address
                );
                Ok(Some(Problem::warning("PK706", message).hint(share)))
            }
            _ => Ok(None),
        }
    }

    fn loopback(&self) -> bool {
        let host = self.address.trim_start_matches("df://").rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether who answers now is still of our build: the scheduler may have been started anew.
    ///
    /// # Errors
    /// It is not, or nobody answers.
    pub(super) async fn same_build(&self) -> Result<()> {
        let theirs: Identity = get::get(self.channel.clone(), IDENTITY).await.map_err(|error| self.silent(&error))?;
        Identity::current().agrees("this client", &theirs, &format!("the scheduler at {}", self.address))
    }

    /// A call that the scheduler did not answer, or answered with no.
    pub(super) fn refused(&self, status: &tonic::Status) -> Error {
        let text = status.message();
        tracing::debug!("the scheduler refuses: {:?}: {text}", status.code());
        match status.code() {
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown => self.lost(),
            _ => {
                let said = text.lines().next().unwrap_or_default();
                let problem = Problem::error("PK737", format!("the scheduler at {} refuses: {said}", self.address));
                Error::failed(problem.hint("look at its log; run the same build of pacha in all places"))
            }
        }
    }

    fn silent(&self, error: &Error) -> Error {
        tracing::debug!("the scheduler does not answer: {error}");
        self.lost()
    }

    /// A scheduler that answered before and does not now.
    fn lost(&self) -> Error {
        let problem = Problem::error("PK701", format!("the scheduler at {} does not answer any more", self.address));
        Error::failed(problem.hint("look whether its process runs; start it again and run the job again"))
    }
}

fn no_scheduler(address: &str, error: &Error) -> Error {
    let problem = Problem::error(
        "PK701",
        format!(
            "what answers at {address} is no scheduler of pacha: {}",
            error.problems.0.first().map_or("", |problem| problem.message.as_str())
        ),
    );
    Error::failed(problem.hint("name the address that `pacha scheduler` printed; a scheduler with TLS wants cluster.ca here too"))
}
