//! A scheduler with its fleet, seen from outside: executors come with the first job and go when there is none, as processes
//! of this machine and as tasks of ECS, which are real executors too.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pacha_tests::ecs::{CLUSTER, DEFINITION, FakeEcs, REGION};
use tempfile::TempDir;

/// The sample project.
struct Demo {
    folder: TempDir,
}

impl Demo {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = pacha().args(["init", "demo", "--example", "calisphere"]).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success());
        Self { folder }
    }

    fn pacha(&self, arguments: &[&str]) -> Command {
        let mut command = pacha();
        command.arg("--project").arg(self.folder.path().join("demo")).args(arguments);
        command
    }

    /// A scheduler with a fleet of one task of ECS.
    fn scheduler_on(&self, ecs: &FakeEcs, port: &str, idle: &str, definition: &str) -> Scheduler {
        let listen = format!("127.0.0.1:{port}");
        let set = |key: &str, value: &str| ["--set".to_owned(), format!("fleet.{key}={value}")];
        let settings = [
            set("idle", idle),
            set("ecs.cluster", CLUSTER),
            set("ecs.task_definition", definition),
            set("ecs.subnets", "[\"subnet-1\"]"),
            set("ecs.arguments", "[\"--listen\", \"127.0.0.1\"]"),
            set("ecs.endpoint", &ecs.endpoint()),
        ]
        .concat();
        let mut command = self.pacha(&settings.iter().map(String::as_str).collect::<Vec<_>>());
        command.args(["scheduler", "--listen", &listen, "--advertise", "127.0.0.1", "--fleet", "ecs", "--max-executors", "1"]);
        let key = FakeEcs::credentials();
        command.env("AWS_ACCESS_KEY_ID", key.access_key_id()).env("AWS_SECRET_ACCESS_KEY", key.secret_access_key());
        command.env("AWS_REGION", REGION).env("AWS_EC2_METADATA_DISABLED", "true");
        Scheduler::start(command)
    }

    /// Runs a job on the scheduler.
    fn run(&self, scheduler: &Scheduler) {
        let output = self.pacha(&["run", "nightly", "--force", "--cluster", &scheduler.address]).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success() && text.contains("131 in = 116 mapped"), "{text}\n{}", scheduler.metrics());
    }
}

fn pacha() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pacha"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// A running scheduler; killed if the test fails.
struct Scheduler {
    process: Child,
    address: String,
}

impl Scheduler {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { process, address: address.trim().to_owned() }
    }

    fn port(&self) -> &str {
        self.address.rsplit_once(':').unwrap().1
    }

    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.address.strip_prefix("df://").unwrap()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: scheduler\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().filter(|line| line.starts_with("pacha_fleet_")).collect::<Vec<_>>().join("\n")
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("pacha_fleet_{name} ")));
        line.unwrap_or_else(|| unreachable!("no {name} in {text}")).parse().unwrap()
    }

    /// Returns when the metric is as wanted.
    fn until(&self, name: &str, wanted: f64) {
        let begun = Instant::now();
        while self.metric(name) != wanted {
            assert!(begun.elapsed() < Duration::from_secs(60), "{name} is not {wanted}:\n{}", self.metrics());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Nobody is there, and nobody comes.
    fn until_empty(&self) {
        for name in ["present", "draining", "starting", "wanted"] {
            self.until(name, 0.0);
        }
    }

    /// Asks it to end, and waits for it.
    fn end(mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(asked.success() && self.process.wait().unwrap().success());
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn executors_come_with_the_first_job_and_go_when_there_is_none() {
    let demo = Demo::new();
    let settings = ["--set", "fleet.idle=1s", "--set", "fleet.vcores=1"];
    let command = ["scheduler", "--listen", "127.0.0.1:0", "--fleet", "process", "--max-executors", "3"];
    let scheduler = Scheduler::start(demo.pacha(&[&settings[..], &command[..]].concat()));
    scheduler.until_empty();
    assert_eq!(scheduler.metric("started_total"), 0.0, "nobody waits for a job that may never come");

    demo.run(&scheduler);
    let started = scheduler.metric("started_total");
    assert!((1.0..=3.0).contains(&started), "{started}");
    scheduler.until_empty();
    let seconds = scheduler.metric("executor_seconds_total");
    assert!(seconds > 0.0);

    demo.run(&scheduler);
    assert!(scheduler.metric("started_total") > started, "they come again");
    assert!(scheduler.metric("executor_seconds_total") > seconds);
    assert_eq!(scheduler.metric("failed_total"), 0.0);
    scheduler.end();
}

#[test]
fn tasks_of_ecs_outlive_a_scheduler_that_dies_and_work_for_the_next() {
    let (demo, ecs) = (Demo::new(), FakeEcs::start().unwrap());
    ecs.launch(Box::new(|arguments| {
        let mut command = pacha();
        command.args(arguments).stdout(Stdio::null());
        command
    }));
    let mut first = demo.scheduler_on(&ecs, "0", "5m", DEFINITION);
    demo.run(&first);
    assert_eq!(ecs.tasks().len(), 1);
    let port = first.port().to_owned();
    first.process.kill().unwrap();
    first.process.wait().unwrap();

    // Executors look for their scheduler every five seconds.
    let second = demo.scheduler_on(&ecs, &port, "8s", DEFINITION);
    second.until("present", 1.0);
    assert_eq!((second.metric("started_total"), ecs.tasks().len()), (0.0, 1), "it is the one of the first scheduler");
    demo.run(&second);
    assert_eq!(ecs.tasks().len(), 1);
    second.until_empty();
    let task = &ecs.tasks()[0];
    assert_eq!(task.status, "STOPPED");
    let shown = ecs.task(&task.arn);
    assert_eq!(shown["stopCode"], "UserInitiated", "{shown}");
    assert!(shown["stoppedReason"].as_str().unwrap().contains("pacha-calisphere: this executor has nothing to do"), "{shown}");
    second.end();
}

#[test]
fn who_waits_for_executors_that_do_not_come_is_told_why() {
    let (demo, ecs) = (Demo::new(), FakeEcs::start().unwrap());
    let scheduler = demo.scheduler_on(&ecs, "0", "5m", "misspelt");
    let output = demo.pacha(&["--set", "cluster.wait=5s", "run", "nightly", "--cluster", &scheduler.address]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let why = "ECS refuses ecs:RunTask of misspelt in cluster library: TaskDefinition not found (InvalidParameterException) (PK747)";
    assert_eq!(text.matches(&format!("waiting for executors: {why}")).count(), 1, "{text}");
    assert!(text.contains("error[PK704]: no executor has come to df://") && text.contains(&format!(" in 5 s: {why}")), "{text}");
    assert_eq!(text.matches("check task_definition in [fleet.ecs]").count(), 2, "{text}");
    scheduler.end();
}
