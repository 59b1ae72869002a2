//! A small project whose warehouse is a bucket, and the binary to run in it: what is published there, by the log, and what
//! lies in the bucket beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use pacha_tests::glue::FakeGlue;
use pacha_tests::s3::{Gate, Request, SECRET_KEY, Server};
use serde_json::Value;

use crate::small_project::{copy, errors, pacha};

/// Records of the tables as the project comes, and after [`World::harvest`] has added one.
pub(crate) const BEFORE: u64 = 6;
pub(crate) const AFTER: u64 = 7;

/// The bucket, and the database in it.
pub(crate) const BUCKET: &str = "lake";
pub(crate) const DATABASE: &str = "warehouse/alder";

/// The record that makes the difference.
const ADDED: &str = r#"<record><header><identifier>oai:alder.example:maps/5</identifier><datestamp>2026-03-02</datestamp></header>
<metadata><oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>Map 5</dc:title><dc:type>Image</dc:type><dc:rights>public domain</dc:rights>
<dc:identifier>https://alder.example/maps/5</dc:identifier></oai_dc:dc></metadata></record>
</ListRecords>"#;

/// The project, its bucket, and what its commands find in their environment.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) environment: BTreeMap<String, String>,
    place: tempfile::TempDir,
}

/// What a command printed.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    /// Nothing was run yet. `settings` are lines of `pacha.toml`.
    pub(crate) fn new(settings: &str) -> Self {
        let (server, place) = (Server::start(), tempfile::tempdir().unwrap());
        server.buckets.make(BUCKET);
        let environment = server.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let world = Self { server, environment, place };
        copy(&errors().join("base"), &world.dir());
        fs::write(world.dir().join("pacha.toml"), format!("name = \"alder\"\nwarehouse = \"s3://{BUCKET}/warehouse\"\n{settings}"))
            .unwrap();
        world
    }

    /// Version 1 is published.
    pub(crate) fn published() -> Self {
        let world = Self::new("");
        world.run_well();
        assert_eq!((world.version(), world.rows()), (1, BEFORE));
        world
    }

    /// The same, in the catalog too.
    pub(crate) fn in_catalog() -> (Self, FakeGlue) {
        let glue = FakeGlue::start().unwrap();
        let mut world = Self::new("catalog = \"glue\"\n");
        world.environment.insert("AWS_ENDPOINT_URL_GLUE".into(), glue.endpoint());
        world.run_well();
        assert_eq!((world.version(), world.rows()), (1, BEFORE));
        (world, glue)
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.place.path().join("project")
    }

    /// A page gains a record, as if it had been harvested again.
    pub(crate) fn harvest(&self) {
        let page = self.dir().join("pages/maps/page-0002.xml");
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains("</ListRecords>"));
        fs::write(page, text.replace("</ListRecords>", ADDED)).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = pacha(&self.dir());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.args(arguments).envs(&self.environment).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn pacha(&self, arguments: &[&str]) -> Said {
        said(&self.command(arguments).output().unwrap())
    }

    /// A run that dies at a point.
    pub(crate) fn dies(&self, point: &str, arguments: &[&str]) {
        let died = said(&self.command(arguments).env("PACHA_CRASH_AT", point).output().unwrap());
        assert_eq!(died.signal, Some(6), "{point}: it should have aborted: {died:?}");
    }

    /// A command that is about to publish: its commit waits for the gate.
    pub(crate) fn start_up_to_commit(&self, arguments: &[&str]) -> (Child, Gate) {
        let gate = self.server.hold(1, commit_put);
        let child = self.start(arguments);
        gate.wait(1);
        (child, gate)
    }

    /// A command that is under way until it has come to the gate.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    pub(crate) fn run_well(&self) {
        let run = self.pacha(&["run", "nightly"]);
        assert_eq!(run.code, Some(0), "{run:?}");
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let answer = self.pacha(&[arguments, &["--format", "json"]].concat());
        assert_eq!(answer.code, Some(0), "{arguments:?}: {answer:?}");
        serde_json::from_str(&answer.stdout).unwrap()
    }

    /// Rows of the newest version, of which none may be there twice, and all tables of one version.
    pub(crate) fn rows(&self) -> u64 {
        let mapped = self.json(&["sql", "SELECT count(*) AS n, count(DISTINCT record_id) AS ids FROM alder.mapped"]);
        assert_eq!(mapped[0]["n"], mapped[0]["ids"], "a record is there twice");
        let harvested = self.json(&["sql", "SELECT count(*) AS n FROM alder.vernacular_oai_dc WHERE NOT deleted"]);
        assert_eq!(mapped[0]["n"], harvested[0]["n"], "the tables are not of one version");
        mapped[0]["n"].as_u64().unwrap()
    }

    /// The log, newest first.
    pub(crate) fn commits(&self) -> Vec<Value> {
        let Value::Array(commits) = self.json(&["commits", "alder"]) else { panic!("not a list") };
        commits
    }

    pub(crate) fn version(&self) -> u64 {
        self.commits()[0]["version"].as_u64().unwrap()
    }

    /// Keys of data files that no version names.
    pub(crate) fn strays(&self) -> BTreeSet<String> {
        let keys = self.server.buckets.keys(BUCKET, DATABASE);
        let log = keys.iter().filter(|key| key.contains("/_commits/"));
        let named: String = log.map(|key| String::from_utf8(self.server.buckets.get(BUCKET, key).unwrap().to_vec()).unwrap()).collect();
        let data = keys.iter().filter(|key| key.contains("/data/"));
        data.filter(|key| !named.contains(key.rsplit('/').next().unwrap())).cloned().collect()
    }

    /// A whole version, the next one, and nothing beside it: what must be there when all has gone well in the end.
    pub(crate) fn is_whole(&self, version: u64, rows: u64) {
        assert_eq!((self.version(), self.rows()), (version, rows));
        assert_eq!(self.strays(), BTreeSet::new());
        assert_eq!(self.server.buckets.uploads(), Vec::<String>::new());
    }
}

/// What a command that was started says in the end.
pub(crate) fn ended(child: Child) -> Said {
    said(&child.wait_with_output().unwrap())
}

fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let said =
        Said { code: output.status.code(), signal: output.status.signal(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
    assert!(!said.stdout.contains(SECRET_KEY) && !said.stderr.contains(SECRET_KEY), "a secret is shown: {said:?}");
    said
}

impl Said {
    /// It failed, with all of these in what it says.
    pub(crate) fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in\n{}", self.stderr);
        }
        assert!(self.stderr.contains("hint: "), "it does not say what to do:\n{}", self.stderr);
    }
}

/// The put that publishes.
pub(crate) fn commit_put(request: &Request) -> bool {
    request.method == "PUT" && request.path.contains("/_commits/") && !request.path.contains("checkpoint")
}

/// A data file is written.
pub(crate) fn data_put(request: &Request) -> bool {
    request.method == "PUT" && request.path.contains("/data/")
}

/// A data file of a table is read.
pub(crate) fn data_read(table: &'static str) -> impl Fn(&Request) -> bool {
    move |request| request.method == "GET" && request.path.contains(&format!("/{table}/data/"))
}
