//! A cluster of processes of this machine, for one run: `--cluster local[N]`.
//!
//! The processes are this very binary, so they cannot differ in build. They end when this process does, whatever ends it:
//! each reads a pipe that nobody else holds the other end of. Ctrl-C on a terminal reaches this process alone, as they are
//! in groups of their own: first the run ends, then they.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use engine::cluster::tls::TlsFiles;
use engine::project::ClusterSettings;
use engine::{Error, Result};
use schemas::problem::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::folder::Folder;

/// How long a process may take to be ready.
const START: Duration = Duration::from_secs(60);
/// How long a process may take to end.
const END: Duration = Duration::from_secs(10);
/// Lines of a process's log that are shown if it does not start.
const SHOWN: usize = 12;

/// How many executors, and how many tasks each runs at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Executors.
    pub executors: usize,
    /// Tasks at a time of each.
    pub vcores: usize,
}

impl Size {
    /// Reads `local[N]` or `local[N,V]`: N executors of V vcores each, where V is this machine's cores divided by N if not
    /// given. None for what does not begin with `local`, such as the address of a scheduler.
    ///
    /// # Errors
    /// `PK717`: it begins so, and is not that.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let Some(rest) = text.strip_prefix("local") else { return Ok(None) };
        let numbers = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let numbers: Option<Vec<usize>> = numbers.and_then(|numbers| numbers.split(',').map(|number| number.trim().parse().ok()).collect());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match numbers.as_deref() {
            Some(&[executors @ 1..=64]) => Ok(Some(Self { executors, vcores: (cores / executors).max(1) })),
            Some(&[executors @ 1..=64, vcores @ 1..=256]) => Ok(Some(Self { executors, vcores })),
            _ => {
                let problem = Problem::error("PK717", format!("\"{text}\" is no cluster of this machine"));
                Err(Error::configuration(
                    problem.hint("write local[2] for two executors, or local[2,4] for two of four tasks each; 64 executors at most"),
                ))
            }
        }
    }
}

/// What was started. Dropped, it lets its processes end by themselves.
#[derive(Debug)]
pub struct LocalCluster {
    address: String,
    scheduler: Process,
    executors: Vec<Process>,
    /// Where their logs are, and rows that executors exchange.
    _folder: Folder,
}

#[derive(Debug)]
struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Open, so that a write at the end does not fail.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl LocalCluster {
    /// Starts a scheduler and executors of this binary, and waits until all are ready. `arguments` come before the command:
    /// the project, and `--set`.
    ///
    /// # Errors
    /// `PK716`: one of them does not start; the end of what it said is shown.
    pub async fn start(size: Size, arguments: &[OsString]) -> Result<Self> {
        let program = std::env::current_exe().map_err(|error| failed("this program", &error.to_string(), &[]))?;
        Self::of(&program, size, arguments).await
    }

    /// As [`LocalCluster::start`], with processes of another binary.
    ///
    /// # Errors
    /// As for [`LocalCluster::start`].
    pub async fn of(program: &Path, size: Size, arguments: &[OsString]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Scheduler {
            address: String,
        }
        #[derive(Deserialize)]
        struct Executor {}
        let folder = Folder::new(&std::env::temp_dir())?;
        let own = [OsStr::new("--until-stdin-closes"), OsStr::new("--without-tls"), OsStr::new("--format"), OsStr::new("json")];
        let command = |name: String, words: &[&OsStr]| {
            let words = arguments.iter().map(OsString::as_os_str).chain(words.iter().copied()).chain(own);
            Process::start(program, name, words, folder.path())
        };
        // These executors are all: a fleet of the project's is for its own scheduler.
        let words = ["scheduler", "--listen", "127.0.0.1:0", "--fleet", "none"].map(OsStr::new);
        let mut scheduler = command("scheduler".into(), &words)?;
        let Scheduler { address } = scheduler.ready().await?;
        let vcores = size.vcores.to_string();
        let words = ["executor", "--scheduler", &address, "--vcores", &vcores, "--work-dir"].map(OsStr::new);
        let words: Vec<&OsStr> = words.into_iter().chain([folder.path().as_os_str()]).collect();
        let executors: Result<Vec<Process>> = (1..=size.executors).map(|number| command(format!("executor {number}"), &words)).collect();
        let mut executors = executors?;
        let ready = futures::future::try_join_all(executors.iter_mut().map(Process::ready::<Executor>)).await;
        ready?;
        Ok(Self { address, scheduler, executors, _folder: folder })
    }

    /// Of the scheduler: `df://127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A project's settings, for a client of this cluster: it stays on this machine, so it has no certificates, and those of
    /// the project are not for it.
    pub fn settings(settings: &ClusterSettings) -> ClusterSettings {
        ClusterSettings { tls: TlsFiles::default(), ..settings.clone() }
    }

    /// Process ids: of the scheduler, then of the executors. For tests, which do harm to them.
    pub fn pids(&self) -> Vec<u32> {
        [&self.scheduler].into_iter().chain(&self.executors).filter_map(|process| process.child.id()).collect()
    }

    /// Ends all processes, executors first, and waits for them. One that does not end is killed.
    pub async fn shutdown(self) {
        let Self { scheduler, executors, .. } = &self;
        tracing::debug!("{} and {} executors end", scheduler.name, executors.len());
        let Self { scheduler, executors, _folder, .. } = self;
        futures::future::join_all(executors.into_iter().map(Process::end)).await;
        scheduler.end().await;
    }
}

impl Process {
    fn start<'a>(program: &Path, name: String, words: impl Iterator<Item = &'a OsStr>, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{}.log", name.replace(' ', "-")));
        let cannot = |error: std::io::Error| failed(&name, &error.to_string(), &[]);
        let stderr = File::create(&log).map_err(cannot)?;
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(cannot)?;
        Ok(Self { name, child, log, _stdout: None })
    }

    /// The line that says that it is ready.
    async fn ready<T: DeserializeOwned>(&mut self) -> Result<T> {
        let stdout = self.child.stdout.take().ok_or_else(|| failed(&self.name, "it was started already", &[]))?;
        let (mut stdout, mut line) = (BufReader::new(stdout), String::new());
        let read = tokio::time::timeout(START, stdout.read_line(&mut line)).await;
        self._stdout = Some(stdout);
        let reason = match read {
            Ok(Ok(1..)) => match serde_json::from_str(&line) {
                Ok(ready) => return Ok(ready),
                Err(error) => format!("it said something else than that it is ready: {error}"),
            },
            Ok(Ok(0)) => "it has ended".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it was not ready in {} s", START.as_secs()),
        };
        Err(failed(&self.name, &reason, &self.last_lines()))
    }

    fn last_lines(&self) -> Vec<String> {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let lines: Vec<String> = String::from_utf8_lossy(&log).lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        lines[lines.len().saturating_sub(SHOWN)..].to_vec()
    }

    async fn end(mut self) {
        drop(self.child.stdin.take());
        if tokio::time::timeout(END, self.child.wait()).await.is_err() {
            tracing::warn!(target: "pacha", "{} did not end, and was killed", self.name);
            let _ = self.child.kill().await;
        }
    }
}

fn failed(name: &str, reason: &str, log: &[String]) -> Error {
    let said = if log.is_empty() { String::new() } else { format!("; it said:\n{}", log.join("\n")) };
    let problem = Problem::error("PK716", format!("{name} of the local cluster does not start: {reason}{said}"));
    Error::failed(problem.hint("run without --cluster, or start `pacha scheduler` and `pacha executor` by hand to see more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_and_an_address_is_none() {
        assert_eq!(Size::parse("df://localhost:50050").unwrap(), None);
        assert_eq!(Size::parse("local[3,2]").unwrap(), Some(Size { executors: 3, vcores: 2 }));
        let size = Size::parse("local[64]").unwrap().unwrap();
        assert!(size.executors == 64 && size.vcores >= 1);
        for wrong in ["local", "local[]", "local[0]", "local[2", "local[65]", "local[2,0]", "local[2,2,2]", "local[two]"] {
            let error = Size::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("PK717") && error.contains("local[2]"), "{wrong}: {error}");
        }
    }

    #[tokio::test]
    async fn a_program_that_ends_at_once_is_shown_with_what_it_said() {
        let program = std::env::current_exe().unwrap();
        let error =
            LocalCluster::of(&program, Size { executors: 1, vcores: 1 }, &["--no-such-option".into()]).await.unwrap_err().to_string();
        assert!(error.contains("PK716") && error.contains("no-such-option"), "{error}");
    }

    #[tokio::test]
    async fn the_fleet_of_the_project_is_not_for_it() {
        let arguments = ["-c", "echo \"$@\" >&2", "pacha", "--project", "/p"].map(OsString::from);
        let error = LocalCluster::of(Path::new("/bin/sh"), Size { executors: 1, vcores: 1 }, &arguments).await.unwrap_err().to_string();
        assert!(error.contains("--project /p scheduler --listen 127.0.0.1:0 --fleet none "), "{error}");
    }
}
