//! The fleet that the settings ask for, and the command by which its executors find this scheduler.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use engine::error::{Error, Result};
use engine::project::{FleetKind, FleetSettings};
use engine::session::Session;
use schemas::problem::Problem;

use super::ecs::Tasks;
use super::process::Launch;
use super::{EcsFleet, Fleet, ProcessFleet};

/// The executors that a scheduler starts by itself.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// Those of the project, as the command line changes them.
    pub settings: FleetSettings,
    /// This program.
    pub program: PathBuf,
    /// What comes before the command, for a process with the same project and settings.
    pub arguments: Vec<OsString>,
    /// Whether the project's certificates are not for this scheduler.
    pub without_tls: bool,
}

/// Where a scheduler is.
#[derive(Debug, Clone)]
pub struct Place {
    /// `df://host:port`, at which executors reach it.
    pub address: String,
    /// The address that it listens at.
    pub listen: IpAddr,
    /// Whether `address` is what it was told to say of itself: there may be something between it and them.
    pub advertised: bool,
    /// Whether it listens without TLS where other machines can connect.
    pub plaintext: bool,
}

/// The fleet of a scheduler at `place`; none if somebody else starts executors.
///
/// # Errors
/// `PC112` if something is not set that the fleet needs, `PK741` if its executors could not reach the scheduler.
pub fn choose(options: &FleetOptions, session: &Session, place: &Place) -> Result<Option<Arc<dyn Fleet>>> {
    let settings = &options.settings;
    settings.check()?;
    match settings.kind {
        FleetKind::None => Ok(None),
        FleetKind::Process => Ok(Some(Arc::new(ProcessFleet::new(processes(options.clone(), place.clone()))))),
        FleetKind::Ecs if place.listen.is_loopback() && !place.advertised => {
            let problem = Problem::error("PK741", format!("executors on ECS cannot reach a scheduler that listens at {}", place.listen));
            let hint =
                "listen where they are: --listen 0.0.0.0:50050, with certificates in [cluster] or, on a private network, --allow-plaintext";
            Err(Error::configuration(problem.hint(hint)))
        }
        FleetKind::Ecs => {
            let name = settings.name.as_deref().unwrap_or(&session.project.name);
            let mut arguments = settings.ecs.arguments.clone();
            let given = |argument: &str| settings.ecs.arguments.iter().any(|given| given.split('=').next() == Some(argument));
            if !given("--listen") {
                arguments.extend(["--listen".to_owned(), "0.0.0.0".to_owned()]);
            }
            if place.plaintext && !given("--allow-plaintext") {
                arguments.push("--allow-plaintext".to_owned());
            }
            let scheduler = place.address.clone();
            let tasks = Tasks { started_by: format!("pacha-{name}"), scheduler, vcores: settings.vcores.get(), arguments };
            Ok(Some(Arc::new(EcsFleet::new(Arc::clone(&session.aws), settings.ecs.clone(), tasks))))
        }
    }
}

/// Executors on this machine listen where their scheduler does: who reaches it must reach their rows.
fn processes(options: FleetOptions, place: Place) -> Launch {
    Box::new(move |name| {
        let mut command = Command::new(&options.program);
        command.args(&options.arguments).args(["executor", "--until-stdin-closes", "--scheduler", &place.address, "--name", name]);
        command.args(["--vcores", &options.settings.vcores.to_string(), "--listen", &place.listen.to_string()]);
        for (flag, given) in [("--allow-plaintext", place.plaintext), ("--without-tls", options.without_tls)] {
            if given {
                command.arg(flag);
            }
        }
        // Ctrl-C on a terminal is for the scheduler alone, which then ends its executors.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdout(Stdio::null());
        command
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn options(kind: FleetKind) -> FleetOptions {
        let mut settings = FleetSettings { kind, ..FleetSettings::default() };
        settings.ecs.task_definition = Some("pacha-executor".into());
        settings.ecs.subnets = vec!["subnet-1".into()];
        FleetOptions { settings, program: "/bin/pacha".into(), arguments: vec!["--project".into(), "/p".into()], without_tls: false }
    }

    #[test]
    fn a_process_finds_its_scheduler_and_listens_where_it_does() {
        let place =
            Place { address: "df://10.0.0.7:50050".into(), listen: Ipv4Addr::UNSPECIFIED.into(), advertised: false, plaintext: true };
        let command = processes(options(FleetKind::Process), place)("n1");
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        assert_eq!(
            arguments.join(" "),
            "--project /p executor --until-stdin-closes --scheduler df://10.0.0.7:50050 --name n1 --vcores 2 --listen 0.0.0.0 --allow-plaintext"
        );
    }

    #[test]
    fn a_fleet_on_ecs_needs_a_scheduler_that_others_can_reach() {
        let project = engine::project::Project::bare(std::path::Path::new("."));
        let session = engine::session::session(&Arc::new(project)).unwrap();
        let mut place =
            Place { address: "df://127.0.0.1:50050".into(), listen: Ipv4Addr::LOCALHOST.into(), advertised: false, plaintext: false };
        let error = choose(&options(FleetKind::Ecs), &session, &place).unwrap_err().to_string();
        assert!(error.starts_with("PK741 executors on ECS cannot reach a scheduler that listens at 127.0.0.1; hint: listen"), "{error}");
        place.listen = Ipv4Addr::UNSPECIFIED.into();
        assert_eq!(choose(&options(FleetKind::Ecs), &session, &place).unwrap().map(|fleet| fleet.name()), Some("ecs"));
        assert!(choose(&options(FleetKind::None), &session, &place).unwrap().is_none());
    }
}
