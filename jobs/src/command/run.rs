//! `pacha run`: runs a job and says what became of every record.

use std::sync::Arc;

use engine::Result;
use engine::backend::Backend;
use engine::cluster::Cluster;
use engine::cost::Requests;
use engine::job::RunOptions;
use engine::job::record::{RunRecord, RunState};
use engine::project::Project;
use engine::session::Session;
use scheduler::local::{self, LocalCluster};

use super::{DONE, show};
use crate::cli::{Form, Global};
use crate::printer::Printer;
use crate::{progress, signal};

/// What was asked for.
pub(crate) struct Wanted {
    pub(crate) job: String,
    pub(crate) options: RunOptions,
    pub(crate) cluster: Option<String>,
    pub(crate) verify: bool,
    pub(crate) form: Form,
}

pub(crate) async fn run(global: &Global, wanted: Wanted, printer: &Printer) -> Result<u8> {
    let Wanted { job, mut options, cluster, verify, form } = wanted;
    let project = super::load(global, printer)?;
    project.job(&job)?;
    let place = Place::prepare(cluster.as_deref(), global, &project).await?;
    let session = place.session(&project, printer).await?;
    options.backend = place.backend.clone();
    options.twin = if verify { Some(engine::session::session(&project)?) } else { None };
    let outcome = execute(&session, &job, &options, form, printer).await;
    place.close().await;
    outcome
}

async fn execute(session: &Session, job: &str, options: &RunOptions, form: Form, printer: &Printer) -> Result<u8> {
    let job = session.project.job(job)?;
    let shown = progress::Shown::begin(&session.progress, form == Form::Json);
    let outcome = Box::pin(engine::job::run(session, job, options, signal::stop())).await;
    drop(shown);
    let (record, error) = outcome?;
    // A mistake in the project is all there is to say: nothing ran.
    let ran = error.as_ref().is_none_or(|error| error.kind != engine::error::Kind::Configuration);
    match form {
        Form::Json => printer.json(&record),
        Form::Text if ran => printer.data(&summary(&record, error.as_ref())),
        Form::Text => {}
    }
    Ok(match error {
        Some(error) => {
            printer.error(&error);
            error.exit_code()
        }
        None => DONE,
    })
}

/// Where a run's plans are executed, for as long as it lasts.
struct Place {
    backend: Backend,
    local: Option<LocalCluster>,
}

impl Place {
    async fn prepare(cluster: Option<&str>, global: &Global, project: &Project) -> Result<Self> {
        let Some(cluster) = cluster else { return Ok(Self { backend: Backend::Embedded, local: None }) };
        let local = match local::Size::parse(cluster)? {
            Some(size) => Some(LocalCluster::start(size, &super::project_arguments(global, project)).await?),
            None => None,
        };
        let settings = &project.settings.cluster;
        let (address, settings) = match &local {
            Some(local) => (local.address(), LocalCluster::settings(settings)),
            None => (cluster, settings.clone()),
        };
        let connected = Cluster::connect(address, &settings, &project.root).await?;
        Ok(Self { backend: Backend::Cluster(Arc::new(connected)), local })
    }

    async fn session(&self, project: &Arc<Project>, printer: &Printer) -> Result<Session> {
        let Some(cluster) = self.backend.cluster() else { return engine::session::session(project) };
        let session = engine::session::cluster_session(project, cluster.partitions().await?)?;
        if let Some(problem) = cluster.shares(&session.warehouse)? {
            printer.problems([&problem]);
        }
        Ok(session)
    }

    async fn close(self) {
        if let Some(local) = self.local {
            local.shutdown().await;
        }
    }
}

/// The run; what its error says follows in full, and is not said twice.
fn summary(record: &RunRecord, error: Option<&engine::Error>) -> String {
    if record.state == RunState::Succeeded && record.unchanged {
        let version = record.version.map_or(String::new(), |version| format!(", version {version}"));
        return format!("{}: nothing has changed since the last run{version}; nothing was read. --force runs it all the same", record.job);
    }
    let said = error.map_or(0, |error| error.problems.0.len());
    let problems = record.problems[..record.problems.len().saturating_sub(said)].to_vec();
    // On a disk nothing was bought: `pacha show` has the comparison for who wants it.
    let bought = record.receipt.as_ref().is_some_and(|receipt| receipt.requests != Requests::default());
    let gates = record.gates.iter().filter(|gate| error.is_none() || !gate.halts).cloned().collect();
    show::text(&RunRecord { problems, gates, ..record.clone() }, bought)
}
