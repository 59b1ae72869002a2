//! A run that is killed, at every step of publishing and at any moment: what is left is a version, whole and readable, and
//! the next run makes good what the dead one left.
//!
//! The binary that users run is killed, not a library under test: by `PACHA_CRASH_AT` at a named point, by a signal after a
//! while that the seed says. What must hold is the same for all.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod small_project;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use small_project::{copy, errors, pacha};

/// Records of the tables as the project comes, and after [`Published::harvest`] has added one.
const BEFORE: u64 = 6;
const AFTER: u64 = 7;

/// The record that makes the difference.
const ADDED: &str = r#"<record><header><identifier>oai:alder.example:maps/5</identifier><datestamp>2026-03-02</datestamp></header>
<metadata><oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>Map 5</dc:title><dc:type>Image</dc:type><dc:rights>public domain</dc:rights>
<dc:identifier>https://alder.example/maps/5</dc:identifier></oai_dc:dc></metadata></record>
</ListRecords>"#;

/// A project whose job has published version 1.
struct Published {
    _place: tempfile::TempDir,
    dir: PathBuf,
}

impl Published {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("project");
        copy(&errors().join("base"), &dir);
        let published = Self { _place: place, dir };
        published.run_well();
        assert_eq!(published.rows(), BEFORE);
        published
    }

    /// A page gains a record, as if it had been harvested again.
    fn harvest(&self) {
        let page = self.dir.join("pages/maps/page-0002.xml");
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains("</ListRecords>"));
        fs::write(page, text.replace("</ListRecords>", ADDED)).unwrap();
    }

    fn start(&self, crash_at: Option<&str>) -> Child {
        let mut command = pacha(&self.dir);
        command.args(["run", "nightly", "--force"]).envs(crash_at.map(|point| ("PACHA_CRASH_AT", point)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn run_well(&self) {
        let output = pacha(&self.dir).args(["run", "nightly"]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = pacha(&self.dir).args(arguments).args(["--format", "json"]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn query(&self, sql: &str) -> Vec<Value> {
        let Value::Array(rows) = self.json(&["sql", sql]) else { panic!("{sql}: not rows") };
        rows
    }

    /// Rows of the newest version, of which none may be there twice.
    fn rows(&self) -> u64 {
        let rows = self.query("SELECT count(*) AS n, count(DISTINCT record_id) AS ids FROM alder.mapped");
        assert_eq!(rows[0]["n"], rows[0]["ids"], "a record is there twice");
        let harvested = self.query("SELECT count(*) AS n FROM alder.vernacular_oai_dc WHERE NOT deleted");
        assert_eq!(rows[0]["n"], harvested[0]["n"], "the tables are not of one version");
        rows[0]["n"].as_u64().unwrap()
    }

    fn version(&self) -> u64 {
        self.json(&["commits", "alder"]).as_array().unwrap().iter().map(|commit| commit["version"].as_u64().unwrap()).max().unwrap()
    }

    /// State and problem codes of each run, newest first.
    fn runs(&self) -> Vec<(String, Vec<String>, String)> {
        let runs = self.json(&["runs"]);
        let of = |run: &Value| {
            let problems = run["problems"].as_array().unwrap();
            let texts: Vec<&str> = problems.iter().map(|problem| problem["message"].as_str().unwrap()).collect();
            let codes = problems.iter().map(|problem| problem["code"].as_str().unwrap().to_owned()).collect();
            (run["state"].as_str().unwrap().to_owned(), codes, texts.join("; "))
        };
        runs.as_array().unwrap().iter().map(of).collect()
    }

    /// Data files on the disk that no version names, and files that are only half written.
    fn strays(&self) -> BTreeSet<String> {
        let database = self.dir.join("warehouse/alder");
        let mut named = String::new();
        for commit in fs::read_dir(database.join("_commits")).unwrap() {
            named += &fs::read_to_string(commit.unwrap().path()).unwrap();
        }
        let mut files = Vec::new();
        below(&database, &mut files);
        let data = files.iter().filter(|file| !file.contains("/_commits/") && !file.contains("/_runs/"));
        data.filter(|file| !named.contains(file.rsplit('/').next().unwrap())).cloned().collect()
    }

    /// What must hold once a run was killed: a whole version now, and all of it again after the next run.
    fn recovers(&self, killed: bool, version: u64, what: &str) {
        let now = self.version();
        assert!(now == version || now == version + 1, "{what}: version {now}");
        assert_eq!(self.rows(), if now == version { BEFORE } else { AFTER }, "{what}");
        if killed {
            let (state, codes, text) = self.runs().remove(0);
            // Killed before it had begun, or after it had ended, it has left no open record.
            let open = codes == ["PS543"];
            assert!(!open || state == "FAILED" && text.contains("the process") && text.contains("died"), "{what}: {state} {text}");
        }
        self.run_well();
        assert_eq!(self.rows(), AFTER, "{what}");
        assert_eq!(self.version(), version + 1, "{what}: one change, one version");
        assert_eq!(self.strays(), BTreeSet::new(), "{what}");
        let counts = self.query("SELECT collection_id, count(*) AS n FROM alder.mapped GROUP BY 1 ORDER BY 1");
        let counts: BTreeMap<&str, u64> =
            counts.iter().map(|row| (row["collection_id"].as_str().unwrap(), row["n"].as_u64().unwrap())).collect();
        assert_eq!(counts, BTreeMap::from([("letters", 2), ("maps", 5)]), "{what}");
    }
}

fn below(dir: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, files);
        } else {
            files.push(path.to_string_lossy().into_owned());
        }
    }
}

fn said(output: &Output) -> String {
    format!("{}\n{}\n{}", output.status, String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout))
}

fn dies_at(point: &str, published: bool) {
    let project = Published::new();
    project.harvest();
    let output = project.start(Some(point)).wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(6), "{point}: it should have aborted: {}", said(&output));
    assert_eq!(project.version(), if published { 2 } else { 1 }, "{point}");
    let (state, codes, text) = project.runs().remove(0);
    assert_eq!((state.as_str(), codes), ("FAILED", vec!["PS543".to_owned()]), "{point}: {text}");
    assert!(text.contains("the process") && text.contains("died"), "{point}: {text}");
    project.recovers(true, 1, point);
    let died: Vec<_> = project.runs().into_iter().filter(|(_, codes, _)| codes == &["PS543"]).collect();
    assert_eq!(died.len(), 1, "{point}: the next run keeps the record of the dead one: {died:?}");
}

#[test]
fn a_run_that_dies_before_its_first_data_file_leaves_the_last_version() {
    dies_at("before-data-files", false);
}

#[test]
fn a_run_that_dies_after_its_data_files_leaves_the_last_version() {
    dies_at("after-data-files", false);
}

#[test]
fn a_run_that_dies_before_the_commit_leaves_the_last_version() {
    dies_at("before-commit", false);
}

#[test]
fn a_run_that_dies_with_its_commit_written_but_not_named_leaves_the_last_version() {
    dies_at("commit-staged", false);
}

#[test]
fn a_run_that_dies_after_the_commit_has_published() {
    dies_at("after-commit", true);
}

#[test]
fn a_run_that_dies_before_its_record_has_published() {
    dies_at("before-record", true);
}

#[test]
fn a_run_that_dies_before_its_checkpoint_has_published() {
    let project = Published::new();
    // One is written every twenty versions.
    while project.version() < 19 {
        let output = project.start(None).wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    let version = project.version();
    project.harvest();
    let output = project.start(Some("before-checkpoint")).wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(6), "no checkpoint was due at version {}: {}", version + 1, said(&output));
    assert_eq!(project.version(), version + 1);
    project.recovers(true, version, "before-checkpoint");
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_a_version() {
    let project = Published::new();
    let page = project.dir.join("pages/maps/page-0002.xml");
    let before = fs::read_to_string(&page).unwrap();
    let mut random: u64 = 0x5eed;
    for turn in 0..20 {
        let version = project.version();
        project.harvest();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let delay = Duration::from_millis((random >> 33) % 400);
        let mut child = project.start(None);
        // The delay is the fault itself: nothing below depends on how far the run has come.
        std::thread::sleep(delay);
        child.kill().unwrap();
        let killed = child.wait().unwrap().signal() == Some(9);
        project.recovers(killed, version, &format!("turn {turn}, killed after {delay:?}"));
        fs::write(&page, &before).unwrap();
        project.run_well();
        assert_eq!(project.rows(), BEFORE);
    }
}

#[test]
fn of_two_runs_at_once_each_publishes_whole_or_not_at_all() {
    let project = Published::new();
    let mut version = project.version();
    for turn in 0..5 {
        let both = [project.start(None), project.start(None)].map(|child| child.wait_with_output().unwrap());
        let won = both.iter().filter(|output| output.status.success()).count() as u64;
        for lost in both.iter().filter(|output| !output.status.success()) {
            assert_eq!(lost.status.code(), Some(1), "turn {turn}: {}", said(lost));
            assert!(String::from_utf8_lossy(&lost.stderr).contains("PS520"), "turn {turn}: {}", said(lost));
        }
        assert!(won >= 1, "turn {turn}: {} {}", said(&both[0]), said(&both[1]));
        assert_eq!(project.version(), version + won, "turn {turn}: as many versions as runs that said they had published");
        assert_eq!(project.rows(), BEFORE, "turn {turn}");
        version += won;
    }
    assert_eq!(project.strays(), BTreeSet::new());
}
