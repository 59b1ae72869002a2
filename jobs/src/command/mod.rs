//! One command a file, one function each: plain arguments in, an exit code out.

mod catalog;
mod check;
mod commits;
mod completions;
mod doctor;
mod executor;
mod findings;
mod functions;
mod init;
mod inspect;
mod policy;
mod preview;
mod rollback;
mod run;
mod runs;
mod scheduler;
mod show;
mod sql;
mod stop;
mod vacuum;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Result;
use engine::project::Project;
use engine::session::{Session, session};

use crate::cli::{Cli, Command, Global};
use crate::printer::Printer;

/// Done.
pub(crate) const DONE: u8 = 0;

/// Runs the command that was typed.
pub(crate) async fn dispatch(cli: Cli, printer: &Printer) -> Result<u8> {
    let global = &cli.global;
    match cli.command {
        Command::Init { dir, example } => init::init(dir.as_deref(), example.as_deref(), printer),
        Command::Inspect { what, source, field, top, format } => {
            inspect::inspect(global, &inspect::Wanted { what, source, field, top, form: format.format }, printer).await
        }
        Command::Check { jobs, format } => check::check(global, &jobs, format.format, printer).await,
        Command::Preview { what, records, id, collection, params, format } => {
            let request = engine::job::preview::PreviewRequest { records, id, collection, parameters: params.into_iter().collect() };
            preview::preview(global, &what, &request, format.format, printer).await
        }
        Command::Run { job, collections, params, force, accept, cluster, verify, format } => {
            let request = engine::job::prepare::Request { collections, parameters: params.into_iter().collect(), force };
            let options = engine::job::RunOptions { request, accept, ..engine::job::RunOptions::default() };
            run::run(global, run::Wanted { job, options, cluster, verify, form: format.format }, printer).await
        }
        Command::Stop { run, format } => stop::stop(global, &run, format.format, printer).await,
        Command::Scheduler(arguments) => scheduler::scheduler(global, arguments, printer).await,
        Command::Executor(arguments) => executor::executor(global, arguments, printer).await,
        Command::Sql { sql, file, format, output, params } => {
            let wanted = sql::Wanted { sql, file, format, output, parameters: params.into_iter().collect() };
            sql::sql(global, wanted, printer).await
        }
        Command::Runs { job, limit, format } => runs::runs(global, job.as_deref(), limit, format.format, printer).await,
        Command::Show { run, format } => show::show(global, &run, format.format, printer).await,
        Command::Findings { job, field, code, collection, format } => {
            findings::findings(global, &findings::Wanted { job, field, code, collection }, format.format, printer).await
        }
        Command::Commits { database, limit, format } => commits::commits(global, &database, limit, format.format, printer).await,
        Command::Rollback { database, to, message, format } => {
            rollback::rollback(global, &database, to, message, format.format, printer).await
        }
        Command::Vacuum { database, keep, older_than, dry_run, format } => {
            let wanted = vacuum::Wanted { database, keep, older_than, dry_run };
            vacuum::vacuum(global, &wanted, format.format, printer).await
        }
        Command::Catalog(command) => catalog::catalog(global, command, printer).await,
        Command::Functions { name, format } => functions::functions(name.as_deref(), format.format, printer),
        Command::Doctor { policy: true, .. } => policy::policy(global, printer),
        Command::Doctor { format, .. } => doctor::doctor(global, format.format, printer).await,
        Command::Completions { shell } => completions::completions(shell, printer),
    }
}

/// The project that the user means, loaded; its warnings go to stderr.
fn load(global: &Global, printer: &Printer) -> Result<Arc<Project>> {
    let project = Arc::new(Project::load(&root(global)?, &global.set)?);
    printer.problems(project.warnings());
    Ok(project)
}

fn root(global: &Global) -> Result<PathBuf> {
    match &global.project {
        Some(dir) if dir.join(engine::project::FILE).is_file() => Ok(dir.clone()),
        Some(dir) => Project::find(dir),
        None => Project::find(Path::new(".")),
    }
}

/// The session of the project that the user means, for commands that look at the warehouse: mistakes in the project's other
/// files do not stop them.
fn open_sound(global: &Global, printer: &Printer) -> Result<Session> {
    let project = Arc::new(Project::load_sound(&root(global)?, &global.set)?);
    printer.problems(project.warnings());
    session(&project)
}

/// The session of the project that the user means.
fn open(global: &Global, printer: &Printer) -> Result<Session> {
    session(&load(global, printer)?)
}

/// Like [`open_sound`]; outside a project, a session over nothing but files.
fn open_anywhere(global: &Global, printer: &Printer) -> Result<Session> {
    if global.project.is_none() && global.set.is_empty() && Project::find(Path::new(".")).is_err() {
        return session(&Arc::new(Project::bare(Path::new("."))));
    }
    open_sound(global, printer)
}

/// The session of a process of a cluster: with the settings of the project that it is started in, if it is in one, and of --set.
fn open_member(global: &Global, without_tls: bool, printer: &Printer) -> Result<Session> {
    let mut project = if global.project.is_none() && Project::find(Path::new(".")).is_err() {
        Project::bare_with(Path::new("."), &global.set)?
    } else {
        Project::load_sound(&root(global)?, &global.set)?
    };
    if without_tls {
        project.settings.cluster.tls = engine::cluster::tls::TlsFiles::default();
    }
    printer.problems(project.warnings());
    engine::session::cluster_session(&Arc::new(project), 1)
}

/// The arguments by which another process of this binary has the same project, if there is one, and the same settings.
fn project_arguments(global: &Global, project: &Project) -> Vec<OsString> {
    let root = std::path::absolute(&project.root).unwrap_or_else(|_| project.root.clone());
    let there = root.join(engine::project::FILE).is_file().then(|| ["--project".into(), root.into_os_string()]);
    let set = global.set.iter().flat_map(|(key, value)| ["--set".into(), format!("{key}={value}").into()]);
    there.into_iter().flatten().chain(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_gets_the_settings_also_where_there_is_no_project() {
        let dir = tempfile::tempdir().unwrap();
        let set = vec![("limits.memory".to_owned(), "2GiB".to_owned())];
        let global = Global { project: None, set, color: clap::ColorChoice::Auto };
        let project = Project::bare(dir.path());
        assert_eq!(project_arguments(&global, &project), ["--set", "limits.memory=2GiB"]);
        std::fs::write(dir.path().join(engine::project::FILE), "").unwrap();
        assert_eq!(project_arguments(&global, &project)[..1], ["--project"]);
    }
}
