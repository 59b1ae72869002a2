//! `pacha scheduler`: hands out tasks until it is told to end.

use engine::project::{FleetKind, FleetSettings, Project};
use engine::{Error, Result};
use scheduler::fleet::FleetOptions;
use scheduler::scheduler::{SchedulerOptions, SchedulerReady, serve};
use schemas::problem::Problem;

use super::DONE;
use crate::cli::{Form, Global, SchedulerArguments};
use crate::printer::Printer;
use crate::signal;

pub(crate) async fn scheduler(global: &Global, arguments: SchedulerArguments, printer: &Printer) -> Result<u8> {
    let session = super::open_member(global, arguments.without_tls, printer)?;
    let options = SchedulerOptions {
        fleet: fleet(global, &arguments, &session.project)?,
        listen: arguments.listen,
        advertise: arguments.advertise,
        allow_plaintext: arguments.allow_plaintext,
        executor_timeout: arguments.executor_timeout,
        client_timeout: arguments.client_timeout,
    };
    let ready = |ready: &SchedulerReady| match arguments.format.format {
        Form::Json => printer.json_line(ready),
        Form::Text => printer.data(&ready.address),
    };
    let stop = async {
        signal::ended(arguments.until_stdin_closes).await;
    };
    Box::pin(serve(&options, &session, ready, stop)).await?;
    Ok(DONE)
}

/// The executors that it starts: as the project says, but for what the command line does.
fn fleet(global: &Global, arguments: &SchedulerArguments, project: &Project) -> Result<FleetOptions> {
    let mut settings: FleetSettings = project.settings.fleet.clone();
    if let Some(kind) = arguments.fleet.as_deref().and_then(FleetKind::of) {
        settings.kind = kind;
    }
    if let Some(most) = arguments.max_executors {
        settings.max = Some(most.get());
        settings.min = settings.min.min(most.get());
    }
    let program = std::env::current_exe().map_err(|error| {
        let problem = Problem::error("PK748", format!("no executor can be started: this program is not found: {error}"));
        Error::failed(problem.hint("start executors by hand: pacha executor --scheduler df://host:port"))
    })?;
    let without_tls = arguments.without_tls;
    Ok(FleetOptions { settings, program, arguments: super::project_arguments(global, project), without_tls })
}
