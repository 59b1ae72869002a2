//! A cluster of the real binary for tests: one scheduler and some executors, each a process of its own on this machine.
//!
//! A test can kill, freeze and wake them, and waits for what the scheduler shows of itself, never for time. When a test
//! fails, what the processes have said is printed; a process that panicked, or that let a secret out, fails its test.
//!
//! * [`member`]: one process and its log.
//! * [`http`]: what a scheduler answers.
//! * [`run`]: a command that uses the cluster while the test goes on.
//! * [`proxy`]: what goes over the wire, seen and cut off.

#![expect(clippy::panic, reason = "a test whose processes do not start has failed")]

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::cluster::view::{EXECUTORS, ExecutorView, JOBS, JobState, JobView, StageView};
pub use rustix::process::Signal;
use tempfile::TempDir;

use crate::s3::fault::PATIENCE;
use crate::s3::{SECRET_KEY, Server};

pub mod http;
pub mod member;
pub mod proxy;
pub mod run;

use member::Member;
pub use run::{Run, Said, Terminal};

/// Pause between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// An executor that says nothing for so long is lost; Ballista counts in whole seconds.
const EXECUTOR_TIMEOUT: &str = "3s";
/// How often an executor says something.
const HEARTBEAT: &str = "1s";

/// Places where Ballista panics in a thread of an executor that ends: it is given tasks when it takes no more.
const KNOWN_PANICS: [&str; 1] = ["ballista-executor-55.0.0/src/executor_server.rs"];

/// What a cluster consists of, before it runs.
#[derive(Debug, Clone)]
pub struct Setup {
    pacha: PathBuf,
    executors: usize,
    vcores: usize,
    host: String,
    executor_timeout: &'static str,
    store: Vec<Vec<(String, String)>>,
    scheduler: Vec<String>,
    executor: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// Two executors of one task at a time, so that every plan is cut; `pacha` is the binary.
    pub fn new(pacha: &str) -> Self {
        Self {
            pacha: pacha.into(),
            executors: 2,
            vcores: 1,
            host: "127.0.0.1".into(),
            executor_timeout: EXECUTOR_TIMEOUT,
            store: Vec::new(),
            scheduler: Vec::new(),
            executor: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// So many executors, which run so many tasks at a time.
    #[must_use]
    pub fn executors(mut self, executors: usize, vcores: usize) -> Self {
        (self.executors, self.vcores) = (executors, vcores);
        self
    }

    /// Their buckets are those of `server`; of its access keys, executor `n` has number `n`.
    #[must_use]
    pub fn store(mut self, server: &Server) -> Self {
        let owned =
            |environment: Vec<(&'static str, String)>| environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.store = (0..crate::s3::OTHERS).map(|executor| owned(server.environment_of(executor))).collect();
        self
    }

    /// The address that all listen on, where it is not that of this machine alone.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.into();
        self.scheduler(&["--allow-plaintext"]).executor(&["--allow-plaintext"])
    }

    /// No executor is taken for lost, however busy this machine is.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.executor_timeout = "60s";
        self
    }

    /// More arguments of the scheduler.
    #[must_use]
    pub fn scheduler(mut self, arguments: &[&str]) -> Self {
        self.scheduler.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// More arguments of each executor.
    #[must_use]
    pub fn executor(mut self, arguments: &[&str]) -> Self {
        self.executor.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// A variable of every process.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts everything, and returns when all executors are registered.
    pub fn start(self) -> Cluster {
        let place = tempfile::tempdir().expect("a temporary folder can be made");
        let mut cluster = Cluster { setup: self, place, scheduler: None, port: 0, executors: Vec::new() };
        cluster.start_scheduler();
        for _ in 0..cluster.setup.executors {
            cluster.begin_executor();
        }
        cluster.registered(cluster.setup.executors);
        cluster
    }
}

/// A cluster that runs until it is dropped.
pub struct Cluster {
    setup: Setup,
    place: TempDir,
    scheduler: Option<Member>,
    port: u16,
    executors: Vec<Member>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster {{ {}, executors: {} }}", self.address(), self.executors.len())
    }
}

impl Cluster {
    /// Two executors of one task at a time whose buckets are those of `server`.
    pub fn start(pacha: &str, server: &Server) -> Self {
        Setup::new(pacha).store(server).start()
    }

    /// What `--cluster` takes.
    pub fn address(&self) -> String {
        format!("df://{}", self.authority())
    }

    /// Host and port of the scheduler.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.setup.host, self.port)
    }

    /// Starts the scheduler; on the port of the last one, if there was one.
    pub fn start_scheduler(&mut self) {
        assert!(self.scheduler.is_none(), "the scheduler runs");
        let (host, port) = (self.setup.host.clone(), self.port);
        let listen = format!("{host}:{port}");
        let arguments = ["scheduler", "--until-stdin-closes", "--listen", &listen, "--executor-timeout", self.setup.executor_timeout];
        let mut command = self.command_by(&[], &arguments, 0);
        command.args(&self.setup.scheduler);
        let mut member = Member::start("scheduler", command, self.place.path());
        self.port = member.port(&host, PATIENCE);
        self.scheduler = Some(member);
        until("the scheduler answers", || http::get(&self.authority(), "/healthz").ok().filter(|answer| answer.status == 200));
    }

    /// Kills the scheduler without a word.
    pub fn kill_scheduler(&mut self) {
        self.scheduler.take().expect("the scheduler runs").signal(Signal::KILL);
    }

    /// Ends the scheduler as a service manager would; returns its exit code.
    pub fn stop_scheduler(&mut self) -> Option<i32> {
        let mut member = self.scheduler.take().expect("the scheduler runs");
        member.signal(Signal::TERM);
        member.ended(PATIENCE)
    }

    /// One more executor, which is registered when this returns; returns its number.
    pub fn add_executor(&mut self) -> usize {
        let before: Vec<String> = self.executors().into_iter().map(|executor| executor.id).collect();
        let number = self.begin_executor();
        until("another executor is registered", || self.executors().into_iter().find(|executor| !before.contains(&executor.id)));
        number
    }

    /// Starts an executor; it is not yet registered.
    pub fn begin_executor(&mut self) -> usize {
        let host = self.setup.host.clone();
        self.begin_executor_by(&[], &host)
    }

    /// The same by way of another program, such as one that joins a namespace first, listening on `host` there.
    pub fn begin_executor_by(&mut self, program: &[String], host: &str) -> usize {
        let number = self.executors.len();
        let work = self.work_dir(number).to_string_lossy().into_owned();
        let (address, vcores) = (self.address(), self.setup.vcores.to_string());
        let arguments = ["executor", "--until-stdin-closes", "--scheduler", &address, "--listen", host, "--heartbeat", HEARTBEAT];
        let arguments = [&arguments[..], &["--vcores", &vcores, "--work-dir", &work]].concat();
        let mut command = self.command_by(program, &arguments, number);
        command.args(&self.setup.executor);
        self.executors.push(Member::start(&format!("executor {number}"), command, self.place.path()));
        number
    }

    /// The folder in which an executor keeps shuffled rows.
    pub fn work_dir(&self, executor: usize) -> PathBuf {
        self.place.path().join(format!("work-{executor}"))
    }

    /// Waits until so many executors are registered and heard of.
    pub fn registered(&self, executors: usize) {
        until(&format!("{executors} executors are registered"), || (self.executors().len() == executors).then_some(()));
    }

    /// A process of the cluster; 0 is the first executor that was started.
    pub fn executor(&mut self, number: usize) -> &mut Member {
        &mut self.executors[number]
    }

    /// Kills an executor without a word.
    pub fn kill(&mut self, executor: usize) {
        self.executors[executor].kill();
    }

    /// Stops an executor in the middle of what it does.
    pub fn freeze(&self, executor: usize) {
        self.executors[executor].signal(Signal::STOP);
    }

    /// Lets a frozen executor go on.
    pub fn wake(&self, executor: usize) {
        self.executors[executor].signal(Signal::CONT);
    }

    /// Asks an executor to end.
    pub fn terminate(&self, executor: usize) {
        self.executors[executor].signal(Signal::TERM);
    }

    /// The executors that the scheduler knows.
    ///
    /// # Panics
    /// It does not answer.
    pub fn executors(&self) -> Vec<ExecutorView> {
        let body = self.body(EXECUTORS);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{EXECUTORS}: {error}: {body}"))
    }

    /// The jobs that the scheduler knows.
    ///
    /// # Panics
    /// It does not answer.
    pub fn jobs(&self) -> Vec<JobView> {
        let body = self.body(JOBS);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{JOBS}: {error}: {body}"))
    }

    /// What the scheduler answers to a GET.
    ///
    /// # Panics
    /// It does not answer.
    pub fn body(&self, path: &str) -> String {
        http::body(&self.authority(), path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Jobs that have not ended.
    pub fn open_jobs(&self) -> Vec<JobView> {
        self.jobs().into_iter().filter(|job| matches!(job.state, JobState::Queued | JobState::Running)).collect()
    }

    /// Waits until a stage of an open job is as described.
    pub fn stage(&self, what: &str, as_described: impl Fn(&StageView) -> bool) -> JobView {
        let found = |job: &JobView| job.stages.iter().any(&as_described);
        until(what, || self.open_jobs().into_iter().find(found))
    }

    /// Waits until all but one of the tasks of a stage have ended whose rows others need.
    pub fn all_but_one(&self) -> JobView {
        until("one task of a stage is left whose rows others need", || {
            self.open_jobs().into_iter().find(|job| {
                let giving = job.stages.split_last().map_or(&[][..], |(_, giving)| giving);
                giving.iter().any(|stage| stage.partitions > 1 && stage.running == 1 && stage.successful + 1 == stage.partitions)
            })
        })
    }

    /// Waits until no job is open, and every task that was handed out has ended.
    pub fn idle(&self) {
        until("no task runs", || self.jobs().iter().all(|job| job.state.ended() && job.open == 0).then_some(()));
    }

    /// Everything that the processes have said.
    pub fn said(&self) -> String {
        let mut logs: Vec<PathBuf> = std::fs::read_dir(self.place.path())
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        let text = |path: &PathBuf| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            format!("--- {name}\n{}", String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()))
        };
        logs.iter().map(text).collect()
    }

    /// Files below the folders in which executors keep shuffled rows; not the locks that they hold.
    pub fn shuffle_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        (0..self.executors.len()).for_each(|executor| below(&self.work_dir(executor), &mut files));
        files
    }

    /// The binary with nothing of the tester's own settings.
    fn command_by(&self, program: &[String], arguments: &[&str], number: usize) -> std::process::Command {
        let pacha = self.setup.pacha.as_os_str();
        let mut command = match program {
            [] => std::process::Command::new(pacha),
            [first, rest @ ..] => {
                let mut command = std::process::Command::new(first);
                command.args(rest).arg(pacha);
                command
            }
        };
        run::without_settings(&mut command);
        command.args(arguments).current_dir(self.place.path());
        if let Some(store) = self.setup.store.get(number) {
            command.envs(store.iter().map(|(name, value)| (name, value)));
        }
        command.envs(self.setup.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.executors.clear();
        self.scheduler = None;
        let said = self.said();
        if std::thread::panicking() {
            eprintln!("{said}");
            return;
        }
        let panics = said.lines().filter(|line| line.contains("panicked at") && !KNOWN_PANICS.iter().any(|known| line.contains(known)));
        assert_eq!(panics.count(), 0, "a process of the cluster panicked\n{said}");
        assert!(!said.contains(SECRET_KEY), "a process of the cluster let a secret out\n{said}");
    }
}

/// Looks until there is something.
///
/// # Panics
/// There is nothing after [`PATIENCE`].
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, look).unwrap_or_else(|| panic!("{PATIENCE:?} were not enough until {what}"))
}

/// Looks until there is something, or gives up.
pub fn within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        // Between two looks only; what is waited for is a state.
        std::thread::sleep(LOOK);
    }
}

fn below(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let lock = path.extension().is_some_and(|extension| extension == "lock");
        if path.is_dir() {
            below(&path, files)
        } else if !lock {
            files.push(path)
        }
    }
}
