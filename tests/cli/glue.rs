//! The sample project, unmodified, on S3 and in Glue: what each command about the catalog prints, word for word.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::process::{Command, Stdio};

use pacha_tests::glue::{FakeGlue, Fault};
use pacha_tests::s3::{SECRET_KEY, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Demo {
    s3: Server,
    glue: FakeGlue,
    folder: TempDir,
}

impl Demo {
    fn new() -> Self {
        let (s3, glue, folder) = (Server::start(), FakeGlue::start().unwrap(), tempfile::tempdir().unwrap());
        s3.buckets.make("warehouse");
        let demo = Self { s3, glue, folder };
        let made = demo.command(&["init", "demo", "--example", "calisphere"]).current_dir(demo.folder.path()).output().unwrap();
        assert!(made.status.success());
        demo
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pacha"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.folder.path().join("demo")).env("NO_COLOR", "1").env_remove("RUST_LOG");
        command.envs(self.s3.environment()).env("AWS_ENDPOINT_URL_GLUE", self.glue.endpoint()).stdin(Stdio::null());
        command
    }

    /// Exit code, and all that was printed, stderr first.
    fn pacha(&self, arguments: &[&str]) -> (i32, String) {
        let there = ["--set", "warehouse=s3://warehouse/lib", "--set", "catalog=glue"];
        let output = self.command(&[arguments, &there].concat()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!out.contains(SECRET_KEY) && !err.contains(SECRET_KEY));
        let text = format!("{err}{out}").replace(&self.glue.endpoint(), "[GLUE]");
        (output.status.code().unwrap(), text)
    }

    fn run(&self, job: &str) {
        let (code, text) = self.pacha(&["run", job]);
        assert_eq!(code, 0, "{text}");
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let there = ["--format", "json", "--set", "warehouse=s3://warehouse/lib", "--set", "catalog=glue"];
        let output = self.command(&[arguments, &there].concat()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn version(&self, table: &str) -> Value {
        self.glue.table("calisphere", table).map_or(Value::Null, |table| table["Parameters"]["pachamama.version"].clone())
    }
}

#[test]
fn the_sample_project_is_published_where_readers_list_a_prefix_of_exactly_one_version() {
    let demo = Demo::new();
    let (code, text) = demo.pacha(&["check"]);
    assert_eq!(code, 0, "{text}");
    demo.run("nightly");
    demo.run("report");
    let table = demo.glue.table("calisphere", "mapped").unwrap();
    let location = "s3://warehouse/lib/calisphere/mapped/published/00000000000000000001/all/";
    assert_eq!(table["StorageDescriptor"]["Location"], location);
    let below = location.strip_prefix("s3://warehouse/").unwrap();
    let listed = demo.s3.buckets.keys("warehouse", "lib");
    let listed: Vec<&String> = listed.iter().filter(|key| key.starts_with(below)).collect();
    let commit = demo.json(&["commits", "calisphere"]);
    let files = commit[0]["tables"]["mapped"]["add"].as_array().unwrap();
    assert_eq!(listed.len(), files.len());
    assert!(demo.glue.table("report", "by_collection").is_some());
    // Nobody downloaded a file to publish it, but for the query that makes statistics.
    assert!(demo.s3.requests().iter().any(|request| request.headers.iter().any(|(name, _)| name == "x-amz-copy-source")));
}

#[test]
fn a_catalog_that_is_behind_is_shown_compared_and_repaired() {
    let demo = Demo::new();
    demo.run("nightly");
    demo.glue.fail("UpdateTable", 1_000, &Fault::Refuse(400, "AccessDeniedException", "not authorized to perform: glue:UpdateTable"));
    let (code, text) = demo.pacha(&["run", "nightly", "--force"]);
    assert_eq!(code, 1, "{text}");
    let said: Vec<&str> = text.lines().filter(|line| line.starts_with("error[PS560]") || line.starts_with("next: ")).collect();
    assert_eq!(
        said,
        [
            "error[PS560]: version 2 of calisphere is committed, and Glue does not show all of it yet",
            "next: pacha catalog repair calisphere"
        ],
        "{text}"
    );
    assert!(text.contains("error[PS562]: access denied: this identity may not do glue:UpdateTable (calisphere.mapped)"), "{text}");
    demo.glue.recover();

    let (_, shown) = demo.pacha(&["catalog", "show", "calisphere"]);
    insta::assert_snapshot!("catalog_show_behind", shown);
    let (_, compared) = demo.pacha(&["catalog", "diff", "calisphere"]);
    let mapped: Vec<&str> = compared.lines().skip_while(|line| !line.contains("calisphere.mapped")).take(4).collect();
    assert_eq!(mapped[0], "calisphere.mapped behind");
    assert_eq!(mapped[1], "  version is 1: should be 2");
    assert!(
        mapped[2].starts_with("  location is s3://warehouse/lib/calisphere/mapped/published/00000000000000000001/all/: should be s3://")
    );
    assert!(mapped[3].starts_with("  parameter pachamama.run is "), "{compared}");
    assert_eq!(demo.version("mapped"), "1");

    let (code, repaired) = demo.pacha(&["catalog", "repair"]);
    assert_eq!(code, 0, "{repaired}");
    insta::assert_snapshot!("catalog_repair", repaired);
    let (_, again) = demo.pacha(&["catalog", "repair"]);
    assert!(again.starts_with("Glue shows the newest version of every table; nothing was changed"), "{again}");
    let (_, compared) = demo.pacha(&["catalog", "diff"]);
    assert_eq!(compared, "Glue says of every table what the newest version is\n");
    let standing = demo.json(&["catalog", "show"]);
    assert_eq!((&standing[0]["state"], &standing[0]["glue_version"]), (&json!("in_step"), &json!(2)));
}

#[test]
fn a_run_that_dies_on_its_way_to_glue_is_finished_by_the_next() {
    for (point, partitions) in [
        ("after-commit", "none"),
        ("after-copy", "none"),
        ("after-swap", "none"),
        ("after-partitions", "registered"),
        ("after-copy", "projected"),
    ] {
        let demo = Demo::new();
        let partitions = format!("glue.partitions={partitions}");
        let set = ["--set", partitions.as_str()];
        let (code, text) = demo.pacha(&[&["run", "nightly"][..], &set].concat());
        assert_eq!(code, 0, "{text}");
        let place = |demo: &Demo| demo.glue.table("calisphere", "mapped").unwrap()["StorageDescriptor"]["Location"].clone();
        let before = place(&demo);
        let there = ["--set", "warehouse=s3://warehouse/lib", "--set", "catalog=glue"];
        let died =
            demo.command(&[&["run", "nightly", "--force"][..], &set, &there].concat()).env("PACHA_CRASH_AT", point).output().unwrap();
        assert!(died.status.code().is_none(), "{point}: it was to die");
        if point != "after-swap" {
            assert_eq!(place(&demo), before, "{point}: readers see the old version");
        }
        let (code, text) = demo.pacha(&[&["run", "nightly"][..], &set].concat());
        assert_eq!(code, 0, "{point}: {text}");
        let (_, text) = demo.pacha(&[&["catalog", "diff"][..], &set].concat());
        assert_eq!(text, "Glue says of every table what the newest version is\n", "{point}");
        assert_eq!(demo.version("mapped"), "2", "{point}");
    }
}

#[test]
fn a_rollback_is_shown_in_glue_and_one_that_cannot_be_says_that_it_stays() {
    let demo = Demo::new();
    demo.run("nightly");
    let (code, text) = demo.pacha(&["run", "nightly", "--force"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = demo.pacha(&["rollback", "calisphere", "--to", "1"]);
    assert_eq!((code, text.as_str()), (0, "version 3 of calisphere is version 1 again; nothing was removed\n"));
    assert_eq!(demo.version("mapped"), "3");
    demo.glue.fail("UpdateTable", 1_000, &Fault::Refuse(400, "InvalidInputException", "no"));
    let (code, text) = demo.pacha(&["rollback", "calisphere", "--to", "2"]);
    assert_eq!(code, 1);
    assert!(
        text.starts_with(
            "version 4 of calisphere is version 2 again; nothing was removed\nerror[PS560]: version 4 of calisphere is committed"
        ),
        "{text}"
    );
}

#[test]
fn tables_are_unregistered_and_registered_one_by_one_and_no_data_is_touched() {
    let demo = Demo::new();
    demo.run("nightly");
    let before = demo.s3.buckets.keys("warehouse", "lib");
    let (code, text) = demo.pacha(&["catalog", "unregister", "calisphere.findings"]);
    assert_eq!((code, text.as_str()), (0, "removed from Glue, no data touched: calisphere.findings\n"));
    assert_eq!(demo.version("findings"), Value::Null);
    let (code, text) = demo.pacha(&["catalog", "unregister", "calisphere.findings"]);
    assert_eq!(code, 2);
    assert!(text.starts_with("error[PS570]: Glue has no table calisphere.findings"), "{text}");
    let (code, text) = demo.pacha(&["catalog", "register", "calisphere.findings"]);
    assert_eq!((code, text.lines().nth(1)), (0, Some("calisphere.findings        1  registered")));
    assert_eq!(demo.s3.buckets.keys("warehouse", "lib"), before);
    let (code, text) = demo.pacha(&["catalog", "register", "calisphere.finding"]);
    assert_eq!(code, 2);
    assert!(text.contains("error[PM204]: no table calisphere.finding") && text.contains("did you mean findings?"), "{text}");
    let (code, text) = demo.pacha(&["catalog", "register", "calisphere.findings", "--set", "glue.tables=[\"mapped\"]"]);
    assert_eq!(code, 2);
    assert!(text.starts_with("error[PC166]: table calisphere.findings is not among [glue] tables"), "{text}");
    let (code, text) = demo.pacha(&["check", "--set", "glue.tables=[\"maped\"]"]);
    assert_eq!(code, 0);
    assert!(text.contains("warning[PC166]: no table of calisphere will be in Glue") && text.contains("did you mean mapped?"), "{text}");
    let (code, text) = demo.pacha(&["catalog", "show", "calisfere"]);
    assert_eq!(code, 2);
    assert!(text.contains("PC140") && text.contains("did you mean calisphere?"), "{text}");
}

#[test]
fn a_table_in_the_way_is_taken_over_only_when_that_is_said() {
    let demo = Demo::new();
    demo.glue.call("CreateDatabase", &json!({ "DatabaseInput": { "Name": "calisphere" } })).unwrap();
    let theirs = json!({ "Name": "mapped", "PartitionKeys": [], "StorageDescriptor": { "Location": "s3://theirs/place/", "Columns": [] } });
    demo.glue.call("CreateTable", &json!({ "DatabaseName": "calisphere", "TableInput": theirs })).unwrap();
    let (code, text) = demo.pacha(&["run", "nightly"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("error[PS566]: table calisphere.mapped in Glue was not made by pacha; it points at s3://theirs/place/")
            && text.contains(
                "hint: set another prefix in [glue] of pacha.toml, or take it over: pacha catalog register calisphere.mapped --adopt"
            ),
        "{text}"
    );
    assert_ne!(demo.version("findings"), Value::Null, "the others are published");
    let (code, text) = demo.pacha(&["catalog", "register", "calisphere.mapped", "--adopt"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(demo.version("mapped"), "1");
}

#[test]
fn a_project_without_glue_says_so() {
    let demo = Demo::new();
    let output = demo.command(&["catalog", "show"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("error[PC165]: this project registers its tables in the warehouse only"), "{text}");
    let output = demo.command(&["check", "--set", "catalog=glue"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.starts_with("error[PC160]: catalog = \"glue\" needs a warehouse that readers of Glue can open: warehouse is not on S3"),
        "{text}"
    );
}
