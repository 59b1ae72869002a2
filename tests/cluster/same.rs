//! There as here: a cluster gives the rows that one process gives, for every file of SQL tests and for the sample project.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::cluster::Cluster as Client;
use pacha_tests::backend::{HERE_ALONE, Place};
use pacha_tests::cluster::{Run, Said, Setup, run};
use pacha_tests::fixture::{self, Fixture};
use pacha_tests::slt;
use serde_json::Value;

use crate::PACHA;
use crate::world::{MAPPED, World};

/// Tasks of each stage: more than run at a time, so that plans are cut and tasks wait.
const PARTITIONS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_sql_is_answered_by_three_executors_as_by_one_process() {
    let cluster = Setup::new(PACHA).executors(3, 2).start();
    let (mut files, mut answered, mut here_alone, mut tasks, mut failures) = (0, 0, 0, 0, Vec::new());
    for folder in ["function", "source", "statement"] {
        let fixture = match folder {
            "function" => Fixture::bare().unwrap(),
            "source" => Fixture::project("harbour").unwrap(),
            _ => slt::published().await.unwrap(),
        };
        let project = &fixture.session.project;
        let client = Client::connect(&cluster.address(), &project.settings.cluster, &project.root).await.unwrap();
        let used = Arc::new(client);
        let place = Place::there(&used, project, PARTITIONS).unwrap();
        match slt::run(&place, &fixture, &fixture::root().join("sql").join(folder)).await {
            Ok(passed) => files += passed,
            Err(error) => failures.push(error.to_string()),
        }
        tasks += used.used().tasks;
        answered += place.asked.answered.load(Ordering::Relaxed);
        here_alone += place.asked.here_alone.load(Ordering::Relaxed);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    eprintln!(
        "{files} files: {answered} queries answered by executors in {tasks} tasks, {here_alone} of this process alone: {HERE_ALONE:?}"
    );
    assert!(answered > 300 && (1..10).contains(&here_alone), "{answered} {here_alone}");
    assert!(tasks > 2 * answered as u64, "plans are not cut: {tasks} tasks");
    cluster.idle();
}

/// The sample project in a folder of its own.
struct Sample {
    _place: tempfile::TempDir,
    dir: PathBuf,
}

impl Sample {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let sample = Self { dir: place.path().join("demo"), _place: place };
        let mut init = Command::new(PACHA);
        run::without_settings(&mut init);
        init.args(["init", &sample.dir.to_string_lossy(), "--example", "calisphere"]);
        assert_eq!(Run::start(init).ended().code, Some(0));
        sample
    }

    fn pacha(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(PACHA);
        run::without_settings(&mut command);
        Run::start({
            command.args(arguments).current_dir(&self.dir);
            command
        })
        .ended()
    }

    fn run(&self, job: &str, more: &[&str]) -> Value {
        self.pacha(&[&["run", job, "--format", "json"], more].concat()).json()
    }

    /// Every row of every table of both databases.
    fn rows(&self, warehouse: &str) -> Vec<String> {
        let set = format!("warehouse={warehouse}");
        let tables = ["calisphere.mapped", "calisphere.quarantine", "calisphere.findings", "calisphere.vernacular_oai_dc"];
        let tables = tables.into_iter().chain(["report.by_collection", "report.by_decade", "report.subjects", "report.by_town"]);
        let mut rows = Vec::new();
        for table in tables {
            let said = self.pacha(&["sql", &format!("SELECT * FROM {table}"), "--format", "ndjson", "--set", &set]);
            assert_eq!(said.code, Some(0), "{said}");
            rows.extend(said.stdout.lines().map(|row| format!("{table} {row}")));
        }
        rows.sort_unstable();
        rows
    }
}

#[test]
fn the_sample_project_publishes_there_what_it_publishes_here_verified_row_by_row() {
    let sample = Sample::new();
    let cluster = Setup::new(PACHA).executors(3, 2).start();
    let address = cluster.address();
    let there: Vec<Value> =
        ["nightly", "report"].map(|job| sample.run(job, &["--cluster", &address, "--verify", "--set", "warehouse=there"])).into();
    let here: Vec<Value> = ["nightly", "report"].map(|job| sample.run(job, &["--set", "warehouse=here"])).into();
    for (there, here) in there.iter().zip(&here) {
        assert_eq!(there["counts"], here["counts"]);
        assert_eq!((there["state"].as_str(), here["state"].as_str()), (Some("SUCCEEDED"), Some("SUCCEEDED")));
        let used = &there["cluster"];
        assert_eq!((used["scheduler"].as_str(), used["again"].as_array().map(Vec::len)), (Some(address.as_str()), Some(0)), "{used:#}");
    }
    assert!(there[0]["cluster"]["tasks"].as_u64().unwrap() > 6, "{}", there[0]["cluster"]);
    assert_eq!(sample.rows("there"), sample.rows("here"));
    // What was published on a cluster is what a run without one finds unchanged, and the other way round.
    assert_eq!(sample.run("nightly", &["--set", "warehouse=there"])["unchanged"], true);
    assert_eq!(sample.run("nightly", &["--cluster", &address, "--set", "warehouse=here"])["unchanged"], true);
    cluster.idle();
    pacha_tests::cluster::until("executors keep nothing of it", || cluster.shuffle_files().is_empty().then_some(()));
}

#[test]
fn a_cluster_for_one_run_gives_the_same_and_is_gone_afterwards() {
    let sample = Sample::new();
    for job in ["nightly", "report"] {
        let record = sample.run(job, &["--cluster", "local[2]", "--set", "warehouse=there"]);
        assert_eq!(record["state"], "SUCCEEDED");
        let address = record["cluster"]["scheduler"].as_str().unwrap().trim_start_matches("df://");
        assert!(std::net::TcpStream::connect(address).is_err(), "its scheduler still listens");
        sample.run(job, &["--set", "warehouse=here"]);
    }
    assert_eq!(sample.rows("there"), sample.rows("here"));
}

#[test]
fn a_run_on_a_cluster_carries_the_rows_of_collections_that_did_not_change() {
    let world = World::published();
    let cluster = world.cluster();
    let page = String::from_utf8(world.server.buckets.get("raw", "maps/page-4.xml").unwrap().to_vec()).unwrap();
    world.server.buckets.put("raw", "maps/page-4.xml", page.replace("<dc:title>Sheet 41", "<dc:title>Blatt 41"));
    let said = world.pacha(&["run", "nightly", "--cluster", &cluster.address(), "--verify", "--format", "json"]);
    let record = said.json();
    assert_eq!(record["version"], 2, "{record:#}");
    world.json(&["run", "nightly_twin"]);
    let titles = |database: &str| world.json(&["sql", &format!("SELECT record_id, title FROM {database}.mapped ORDER BY record_id")]);
    assert_eq!(titles("alder"), titles("alder_twin"));
    assert!(titles("alder").to_string().contains("Blatt 41"));
    world.is_clean();
}

#[test]
fn a_collection_of_which_no_page_is_left_is_emptied_there_too() {
    let world = World::published();
    let cluster = world.cluster();
    for page in world.server.buckets.keys("raw", "letters/") {
        assert!(world.server.buckets.remove("raw", &page));
    }
    let accept = ["--accept", "they are gone", "--format", "json"];
    let record = world.pacha(&[&["run", "nightly", "--cluster", &cluster.address()], &accept[..]].concat()).json();
    assert_eq!((record["state"].as_str(), record["version"].as_u64()), (Some("SUCCEEDED"), Some(2)), "{record:#}");
    let left = "SELECT collection_id, count(*) AS records FROM alder.mapped GROUP BY collection_id";
    assert_eq!(world.rows(left), [format!(r#"{{"collection_id":"maps","records":{}}}"#, MAPPED / 2)]);
    world.pacha(&[&["run", "nightly_twin"], &accept[..]].concat()).json();
    world.same("alder", &["mapped", "quarantine"]);
    world.is_clean();
}
