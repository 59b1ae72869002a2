//! What nobody may see: no credential in a plan, an answer of the scheduler, a log or a file of an executor. The secret of these
//! tests is looked for in all of them, and what they should hold is looked for too, so that an empty place proves nothing.

use pacha_tests::cluster::proxy::Proxy;
use pacha_tests::cluster::{Run, http};
use pacha_tests::s3::{ACCESS_KEY, Gate, SECRET_KEY, access_key};

use crate::world::{World, data_put, page_read};

/// What answers of a scheduler must not hold: credentials, places, queries.
const HIDDEN: [&str; 7] = [SECRET_KEY, ACCESS_KEY, "s3://", "/raw/", "page-0", "SELECT", "secret"];

#[test]
fn no_credential_is_in_a_plan_an_answer_a_log_or_a_file() {
    let world = World::published();
    // The processes say all they can.
    let cluster = world.setup().variable("RUST_LOG", "debug").start();
    let proxy = Proxy::to(&cluster.authority());
    let address = format!("df://{}", proxy.authority());
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, data_put(executor, "titles")));
    let mut command = world.command(&["run", "report", "--cluster", &address, "--format", "json"]);
    let mut run = Run::start({
        command.env("RUST_LOG", "debug");
        command
    });
    run.reaches(&gates.each_ref());

    // In the middle of the run, when there is most to see.
    let mut answers = String::new();
    let jobs: Vec<String> = cluster.jobs().into_iter().map(|job| format!("/pacha/jobs/{}", job.id)).collect();
    assert!(!jobs.is_empty());
    for path in ["/pacha/identity", "/pacha/executors", "/pacha/jobs", "/pacha/fleet", "/metrics", "/healthz", "/readyz"]
        .into_iter()
        .map(str::to_owned)
        .chain(jobs)
    {
        answers += &cluster.body(&path);
    }
    let files = cluster.shuffle_files();
    assert!(!files.is_empty());
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!holds(&bytes, SECRET_KEY), "{} holds the secret", file.display());
    }
    gates.iter().for_each(Gate::open);
    world.is_joined(&run.ended());

    assert!(proxy.passed("PACHA-SINK-1") && proxy.passed("alder/mapped/data/"), "the plan did not go by way of the proxy");
    let said = cluster.said();
    assert!(said.len() > 10_000, "the processes do not say much: {said}");
    let keys: Vec<String> = [SECRET_KEY, ACCESS_KEY].into_iter().map(str::to_owned).chain((0..2).map(access_key)).collect();
    for key in &keys {
        assert!(!proxy.passed(key), "{key} is in a plan or a setting");
    }
    assert!(!said.contains(SECRET_KEY), "the secret is in a log");
    for hidden in HIDDEN {
        assert!(!answers.contains(hidden), "{hidden:?} is in an answer of the scheduler:\n{answers}");
    }
}

#[test]
fn a_scheduler_can_be_looked_at_and_not_touched() {
    let world = World::new();
    let cluster = world.setup().executors(1, 1).start();
    let gate = world.server.hold(usize::MAX, page_read(0));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    let job = cluster.open_jobs().remove(0);
    for path in ["/", "/api/jobs", "/api/state", "/api/executors", &format!("/api/job/{}/config", job.id), "/pacha", "/pacha/jobs/none"] {
        let answer = http::get(&cluster.authority(), path).unwrap();
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    for (method, path) in
        [("PATCH", format!("/api/job/{}", job.id)), ("DELETE", format!("/pacha/jobs/{}", job.id)), ("POST", "/pacha/executors".into())]
    {
        let answer = http::request(&cluster.authority(), method, &path).unwrap();
        assert!(matches!(answer.status, 404 | 405), "{method} {path}: {answer:?}");
    }
    let head = http::get(&cluster.authority(), "/pacha/jobs").unwrap().head.to_ascii_lowercase();
    assert!(!head.contains("access-control-allow-origin"), "pages of others may read it: {head}");
    gate.open();
    world.is_mapped(&run.ended());
}

#[test]
fn an_address_that_others_can_reach_is_refused_without_tls_unless_told_so() {
    let world = World::new();
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let said = world.pacha(&["scheduler", "--listen", listen]);
        said.failed(2, &["PK71", "--allow-plaintext"]);
    }
    let cluster = world.setup().executors(0, 1).start();
    let work = cluster.work_dir(0).to_string_lossy().into_owned();
    let said = world.pacha(&["executor", "--scheduler", &cluster.address(), "--listen", "0.0.0.0", "--work-dir", &work]);
    said.failed(2, &["PK71", "--allow-plaintext"]);
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
