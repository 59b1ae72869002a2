//! The processes of a cluster, as an operator meets them: where they listen and for whom, how they end, and what they show.
//!
//! What a cluster does with jobs when things go wrong is tested elsewhere; here is one process beside another.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod small_project;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use engine::cluster::Cluster;
use engine::cluster::tls::TlsFiles;
use engine::project::ClusterSettings;
use pacha_tests::certificates::Authority;
use scheduler::local::{LocalCluster, Size};
use serde_json::Value;
use small_project::{copy, errors, pacha};

/// Whatever has not happened by then will not.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place with a project, and what is started in it.
struct Place {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

/// A process that runs until it is dropped.
struct Process {
    child: Child,
    /// What it printed when it was ready.
    ready: Value,
    log: PathBuf,
    _stdout: BufReader<ChildStdout>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&errors().join("base"), folder.path());
        Self { folder, environment: Vec::new() }
    }

    /// Whose project names certificates, which are there.
    fn certified(by: &Authority) -> Self {
        let place = Self::new();
        by.certify(place.path());
        let mut project = fs::read_to_string(place.path().join("pacha.toml")).unwrap();
        project.push_str("\n[cluster]\nca = \"ca.pem\"\ncert = \"node.pem\"\nkey = \"node.key\"\n");
        fs::write(place.path().join("pacha.toml"), project).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a process and waits until it is ready.
    fn start(&self, arguments: &[&str]) -> Process {
        let log = self.path().join(format!("{}-{}.log", arguments[0], fs::read_dir(self.path()).unwrap().count()));
        let mut command = pacha(self.path());
        command.args(arguments).args(["--format", "json", "--until-stdin-closes"]).envs(self.environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let said = || fs::read_to_string(&log).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{arguments:?} is not ready: {line:?}\n{}", said()));
        Process { child, ready, log, _stdout: stdout }
    }

    fn scheduler(&self) -> Process {
        self.start(&["scheduler", "--listen", "127.0.0.1:0"])
    }

    fn executor(&self, of: &Process, more: &[&str]) -> Process {
        let work = self.work();
        let first = ["executor", "--scheduler", of.text("address"), "--vcores", "1", "--work-dir", work.to_str().unwrap()];
        self.start(&[&first, more].concat())
    }

    /// Below which executors keep rows.
    fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    /// What executors have left there.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.work()).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Runs a command to its end: exit code, and all that it says.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = pacha(self.path()).args(arguments).envs(self.environment.iter().cloned()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    fn settings(&self) -> ClusterSettings {
        let tls = TlsFiles { ca: Some("ca.pem".into()), cert: Some("node.pem".into()), key: Some("node.key".into()) };
        ClusterSettings { tls, ..ClusterSettings::default() }
    }
}

impl Process {
    fn text(&self, key: &str) -> &str {
        self.ready[key].as_str().unwrap()
    }

    /// Host and port of a scheduler, or of an executor's metrics.
    fn authority(&self) -> &str {
        let key = if self.ready["address"].is_string() { "address" } else { "metrics" };
        self.text(key).trim_start_matches("df://")
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn terminate(&self) {
        let sent = std::process::Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    fn ended(&mut self) -> ExitStatus {
        let ended = within(|| self.child.try_wait().unwrap());
        ended.unwrap_or_else(|| panic!("it does not end\n{}", self.said()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes of looking again and again.
fn within<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// One request of HTTP/1.1: status and body, or nothing if the connection was closed without an answer.
fn ask(authority: &str, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // In one piece: who wants TLS closes the connection at the first.
    let request = format!("{request} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn executors(scheduler: &Process) -> Vec<Value> {
    let (_, body) = ask(scheduler.authority(), "GET /pacha/executors").unwrap();
    let Value::Array(executors) = serde_json::from_str(&body).unwrap() else { panic!("{body}") };
    executors
}

#[test]
fn nobody_listens_where_other_machines_connect_unless_told_so() {
    let place = Place::new();
    for arguments in [&["scheduler", "--listen", "0.0.0.0:0"][..], &["executor", "--scheduler", "df://127.0.0.1:9", "--listen", "0.0.0.0"]]
    {
        let (code, said) = place.run(arguments);
        assert!(code == Some(2) && said.contains("PK710") && said.contains("--allow-plaintext"), "{arguments:?}: {code:?} {said}");
    }
    let scheduler = place.start(&["scheduler", "--listen", "0.0.0.0:0", "--allow-plaintext", "--advertise", "127.0.0.1"]);
    assert!(scheduler.text("address").starts_with("df://127.0.0.1:") && scheduler.text("listen").starts_with("0.0.0.0:"));
    let executor = place.executor(&scheduler, &["--listen", "0.0.0.0", "--allow-plaintext"]);
    assert_eq!(executor.text("host"), "127.0.0.1", "the address on the way to the scheduler");
}

#[test]
fn a_port_that_is_taken_is_named_before_anything_begins() {
    let place = Place::new();
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (port, taken) = (held.local_addr().unwrap().port().to_string(), held.local_addr().unwrap().to_string());
    let scheduler = place.scheduler();
    let executor = ["executor", "--scheduler", scheduler.text("address")];
    for arguments in [
        [&["scheduler", "--listen", &taken][..], &[]].concat(),
        [&executor[..], &["--port", &port]].concat(),
        [&executor[..], &["--grpc-port", &port]].concat(),
        [&executor[..], &["--metrics-listen", &taken]].concat(),
    ] {
        let (code, said) = place.run(&arguments);
        assert!(code == Some(2) && said.contains("PK711") && said.contains(&port), "{arguments:?}: {code:?} {said}");
    }
    assert_eq!(executors(&scheduler), Vec::<Value>::new());
}

#[test]
fn what_is_asked_is_answered_and_nothing_can_be_changed() {
    let place = Place::new();
    let scheduler = place.scheduler();
    let executor = place.executor(&scheduler, &["--metrics-listen", "127.0.0.1:0"]);
    let get = |process: &Process, path: &str| ask(process.authority(), &format!("GET {path}")).unwrap();
    for process in [&scheduler, &executor] {
        assert_eq!(get(process, "/healthz"), (200, "ok\n".into()));
        assert_eq!(get(process, "/readyz"), (200, "ready\n".into()));
        assert_eq!(get(process, "/etc/passwd").0, 404);
    }
    let (status, metrics) = get(&scheduler, "/metrics");
    assert!(
        status == 200 && metrics.contains("\npacha_scheduler_vcores 1\n") && metrics.contains("process_resident_memory_bytes"),
        "{metrics}"
    );
    let (status, metrics) = get(&executor, "/metrics");
    assert!(status == 200 && metrics.contains("\npacha_executor_tasks_total{outcome=\"successful\"} 0\n"), "{metrics}");
    let listed = executors(&scheduler);
    assert!(listed.len() == 1 && listed[0]["id"] == executor.ready["id"] && listed[0]["running"] == 0, "{listed:?}");
    assert_eq!(get(&scheduler, "/pacha/jobs"), (200, "[]".into()));
    let (status, one) = get(&scheduler, &format!("/pacha/executors/{}", executor.text("id")));
    assert!(status == 200 && one.contains(executor.text("id")), "{one}");
    for list in ["/pacha/executors", "/pacha/jobs"] {
        assert_eq!(get(&scheduler, &format!("{list}/none")).0, 404);
    }
    for path in
        ["/healthz", "/readyz", "/metrics", "/pacha/identity", "/pacha/executors", "/pacha/executors/x", "/pacha/jobs", "/pacha/jobs/x"]
    {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert_eq!(ask(scheduler.authority(), &format!("{method} {path}")).unwrap().0, 405, "{method} {path}");
        }
    }
    // What a page in a browser can make it send.
    assert_eq!(ask(scheduler.authority(), "POST /ballista.protobuf.SchedulerGrpc/CancelJob").unwrap().0, 415);
    // Ballista's own.
    for path in ["/api/jobs", "/api/state", "/api/executors", "/api/metrics", "/"] {
        assert!(matches!(get(&scheduler, path).0, 404 | 415), "{path}");
    }
}

#[test]
fn a_terminated_executor_leaves_no_folder_and_a_killed_one_until_the_next_starts() {
    let place = Place::new();
    let scheduler = place.scheduler();
    let mut first = place.executor(&scheduler, &[]);
    assert_eq!(place.left().len(), 2, "a folder and its lock");
    first.terminate();
    assert!(first.ended().success(), "{}", first.said());
    assert_eq!(place.left(), Vec::<String>::new());
    let mut killed = place.executor(&scheduler, &[]);
    killed.child.kill().unwrap();
    killed.ended();
    let left = place.left();
    assert_eq!(left.len(), 2);
    let _next = place.executor(&scheduler, &[]);
    assert!(place.left().iter().all(|name| !left.contains(name)), "{left:?}");
    let mut scheduler = scheduler;
    scheduler.terminate();
    assert!(scheduler.ended().success(), "{}", scheduler.said());
}

#[test]
fn a_terminated_executor_ends_its_task_first_and_the_attempt_counts() {
    let place = Place::new();
    harvest(&place, 6);
    let scheduler = place.scheduler();
    let mut leaving = place.executor(&scheduler, &["--grace", "60s"]);
    let _staying = place.executor(&scheduler, &[]);
    let run = place.background(&["run", "nightly", "--cluster", scheduler.text("address"), "--format", "json"]);
    busy(&scheduler, &leaving);
    leaving.terminate();
    assert!(leaving.ended().success(), "{}", leaving.said());
    assert!(leaving.said().contains("ends: drained"), "{}", leaving.said());
    let used = run.used();
    assert_eq!((&used["again"], used["executors"].as_array().unwrap().len()), (&Value::Array(Vec::new()), 2), "{used}");
}

#[test]
fn a_task_that_takes_longer_than_the_grace_is_handed_back_at_once() {
    let place = Place::new();
    harvest(&place, 6);
    let scheduler = place.scheduler();
    let mut leaving = place.executor(&scheduler, &["--grace", "0s"]);
    let run = place.background(&["run", "nightly", "--cluster", scheduler.text("address"), "--format", "json"]);
    busy(&scheduler, &leaving);
    let _staying = place.executor(&scheduler, &[]);
    leaving.terminate();
    assert!(leaving.ended().success(), "{}", leaving.said());
    assert!(leaving.said().contains("ends: tasks are handed back"), "{}", leaving.said());
    let used = run.used();
    assert!(used["again"][0].as_str().is_some_and(|why| why.contains("an executor was lost")), "{used}");
}

#[test]
fn with_certificates_both_sides_must_show_one() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let place = Place::certified(&ours);
    let scheduler = place.scheduler();
    assert_eq!(scheduler.ready["tls"], true);
    let executors = [place.executor(&scheduler, &[]), place.executor(&scheduler, &[])];
    // A whole run: plans, tasks, rows between executors, results.
    let (code, said) = place.run(&["run", "nightly", "--cluster", scheduler.text("address")]);
    assert!(code == Some(0) && said.contains("on 2 executors"), "{said}");
    // Nobody gets an answer without TLS, from the scheduler or from either port of an executor.
    let ports = ["port", "grpc_port"].map(|port| format!("127.0.0.1:{}", executors[0].ready[port]));
    for authority in [scheduler.authority(), &ports[0], &ports[1]] {
        let answer = ask(authority, "GET /pacha/executors");
        assert!(answer.is_none(), "{authority}: {answer:?}");
    }
    let strangers = tempfile::tempdir().unwrap();
    others.certify(strangers.path());
    fs::copy(place.path().join("ca.pem"), strangers.path().join("ours.pem")).unwrap();
    let named = |cert: Option<&str>| TlsFiles {
        ca: Some("ours.pem".into()),
        cert: cert.map(Into::into),
        key: cert.map(|cert| cert.replace(".pem", ".key").into()),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let connect = |address: &str, tls: TlsFiles, root: &Path| {
        let settings = ClusterSettings { tls, ..ClusterSettings::default() };
        runtime.block_on(async { Cluster::connect(address, &settings, root).await?.executors().await })
    };
    let listed = connect(scheduler.text("address"), place.settings().tls, place.path()).unwrap();
    assert_eq!(listed.len(), 2);
    for address in [scheduler.text("address"), &format!("df://{}", ports[0]), &format!("df://{}", ports[1])] {
        for (who, tls) in [("without a certificate", named(None)), ("of another authority", named(Some("node.pem")))] {
            let error = connect(address, tls, strangers.path()).unwrap_err().to_string();
            assert!(error.contains("PK701"), "{address} {who}: {error}");
        }
    }
    let (code, said) = Place::new().run(&["executor", "--scheduler", scheduler.text("address"), "--wait", "1s"]);
    assert!(code == Some(1) && said.contains("PK713"), "{said}");
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let place = Place::certified(&Authority::new("ours"));
    for (set, code) in [
        ("cluster.cert=ca.pem", "PK722"),
        ("cluster.key=ca.pem", "PK722"),
        ("cluster.ca=pacha.toml", "PK721"),
        ("cluster.ca=none.pem", "PK721"),
    ] {
        let (exit, said) = place.run(&["--set", set, "scheduler", "--listen", "127.0.0.1:0"]);
        assert!(
            exit == Some(2) && said.contains(code) && (said.contains("cluster.c") || said.contains("no PEM") || said.contains("none.pem")),
            "{set}: {exit:?} {said}"
        );
    }
    let alone = Place::new();
    fs::copy(place.path().join("ca.pem"), alone.path().join("ca.pem")).unwrap();
    let (exit, said) = alone.run(&["--set", "cluster.ca=ca.pem", "scheduler", "--listen", "0.0.0.0:0"]);
    assert!(exit == Some(2) && said.contains("PK722") && said.contains("cluster.cert"), "{exit:?} {said}");
}

#[test]
fn no_credential_is_shown_or_logged() {
    const SECRET: &str = "wJalrXUtnFEMI-marked-bPxRfiCYEXAMPLEKEY";
    const TOKEN: &str = "FwoGZXIvYXdzE-marked-session";
    let mut place = Place::new();
    place.environment = vec![
        ("AWS_ACCESS_KEY_ID", "AKIAMARKED".into()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
        ("AWS_SESSION_TOKEN", TOKEN.into()),
        ("AWS_REGION", "us-west-2".into()),
        ("RUST_LOG", "debug".into()),
    ];
    let scheduler = place.scheduler();
    let executor = place.executor(&scheduler, &["--metrics-listen", "127.0.0.1:0"]);
    let (code, said) = place.run(&["run", "nightly", "--cluster", scheduler.text("address")]);
    assert_eq!(code, Some(0), "{said}");
    let mut shown = vec![said, scheduler.ready.to_string(), executor.ready.to_string(), scheduler.said(), executor.said()];
    let job = ask(scheduler.authority(), "GET /pacha/jobs").unwrap().1;
    let id = serde_json::from_str::<Value>(&job).unwrap()[0]["id"].as_str().unwrap().to_owned();
    for path in ["/healthz", "/readyz", "/metrics", "/pacha/identity", "/pacha/executors", "/pacha/jobs", &format!("/pacha/jobs/{id}"), "/"]
    {
        shown.push(ask(scheduler.authority(), &format!("GET {path}")).unwrap().1);
        shown.push(ask(executor.authority(), &format!("GET {path}")).unwrap().1);
    }
    assert!(
        scheduler.said().contains("HarvestSource") || scheduler.said().contains("SinkExec"),
        "the log holds plans, or this test proves little"
    );
    for text in shown {
        assert!(!text.contains("marked") && !text.contains("MARKED"), "{text}");
    }
    // Neither a plan nor a path is shown, though both are in the log.
    assert!(!job.contains("SinkExec") && !job.contains(place.path().to_str().unwrap()), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_cluster_is_ready_when_it_has_started_and_gone_when_it_is_dropped() {
    let place = Place::new();
    let arguments = ["--project".into(), place.path().into()];
    let size = Size { executors: 2, vcores: 1 };
    let cluster = LocalCluster::of(Path::new(env!("CARGO_BIN_EXE_pacha")), size, &arguments).await.unwrap();
    let connected = Cluster::connect(cluster.address(), &ClusterSettings::default(), place.path()).await.unwrap();
    assert_eq!(connected.executors().await.unwrap().len(), 2);
    let pids = cluster.pids();
    assert_eq!(pids.len(), 3);
    cluster.shutdown().await;
    assert!(pids.into_iter().all(|pid| !alive(pid)));
    // Whatever ends a process closes its pipes, and so does dropping.
    let dropped = LocalCluster::of(Path::new(env!("CARGO_BIN_EXE_pacha")), size, &arguments).await.unwrap();
    let pids = dropped.pids();
    drop(dropped);
    assert!(within(|| pids.iter().all(|pid| !alive(*pid)).then_some(())).is_some(), "{pids:?}");
}

#[test]
fn a_run_on_a_cluster_of_its_own_ends_with_all_its_processes() {
    let place = Place::certified(&Authority::new("unused: it stays on this machine"));
    let temporary = place.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut place = place;
    place.environment = vec![("TMPDIR", temporary.to_str().unwrap().into())];
    let (code, said) = place.run(&["run", "nightly", "--cluster", "local[2,1]"]);
    assert!(code == Some(0) && said.contains("on 2 executors"), "{said}");
    let left: Vec<_> = fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A command that goes on while a test does.
struct Background {
    child: Child,
    log: PathBuf,
}

impl Place {
    fn background(&self, arguments: &[&str]) -> Background {
        let log = self.path().join("background.json");
        let mut command = pacha(self.path());
        command.args(arguments).stdout(File::create(&log).unwrap()).stderr(Stdio::inherit());
        Background { child: command.spawn().unwrap(), log }
    }
}

impl Background {
    /// What a run that succeeds has used of its cluster.
    fn used(mut self) -> Value {
        let status = within(|| self.child.try_wait().unwrap()).unwrap_or_else(|| panic!("the run does not end"));
        let record: Value = serde_json::from_slice(&fs::read(&self.log).unwrap()).unwrap();
        assert!(status.success(), "{record}");
        record["cluster"].clone()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until an executor runs a task.
fn busy(scheduler: &Process, executor: &Process) {
    let busy = within(|| executors(scheduler).iter().any(|one| one["id"] == executor.ready["id"] && one["running"] == 1).then_some(()));
    assert!(busy.is_some(), "it runs no task\n{}", executor.said());
}

/// So many pages more, each of which takes an executor a second or so.
fn harvest(place: &Place, pages: usize) {
    const RECORDS: usize = 3_000;
    for page in 0..pages {
        let mut text = String::from("<?xml version=\"1.0\"?><OAI-PMH xmlns=\"http://www.openarchives.org/OAI/2.0/\"><ListRecords>");
        for record in page * RECORDS..(page + 1) * RECORDS {
            text += &format!(
                "<record><header><identifier>oai:alder.example:atlas/{record}</identifier><datestamp>2026-03-01</datestamp></header><metadata>\
                 <oai_dc:dc xmlns:oai_dc=\"http://www.openarchives.org/OAI/2.0/oai_dc/\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">\
                 <dc:title>Sheet {record}</dc:title><dc:type>Image</dc:type><dc:rights>public domain</dc:rights>\
                 <dc:identifier>https://alder.example/atlas/{record}</dc:identifier></oai_dc:dc></metadata></record>"
            );
        }
        text += "</ListRecords></OAI-PMH>";
        fs::write(place.path().join(format!("pages/maps/atlas-{page}.xml")), text).unwrap();
    }
}

fn alive(pid: u32) -> bool {
    // One that has ended and was not waited for is dead too.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}
