//! Runs of jobs whose tables are registered in Glue: what a run says, and how a later one makes good.

use std::sync::Arc;

use engine::error::Kind;
use engine::job::prepare::{self, Request};
use engine::job::record::{self, RunState};
use engine::job::{self, RunOptions};
use engine::project::Project;
use engine::session::Session;
use engine::table::Database;
use pacha_tests::fixture;
use pacha_tests::glue::{FakeGlue, Fault};
use serde_json::json;
use tempfile::TempDir;

use super::world::open;

/// The sample of the tests, registered in Glue.
struct Harbour {
    glue: FakeGlue,
    folder: TempDir,
    session: Session,
}

impl Harbour {
    fn new(job: &str) -> Self {
        let (glue, folder) = (FakeGlue::start().unwrap(), tempfile::tempdir().unwrap());
        fixture::copy(&fixture::root().join("projects/harbour"), folder.path()).unwrap();
        if !job.is_empty() {
            std::fs::write(folder.path().join("jobs/extra.toml"), job).unwrap();
        }
        let mut project = Project::load(folder.path(), &[]).unwrap();
        project.settings.glue.endpoint = Some(glue.endpoint());
        let session = open(project, FakeGlue::credentials());
        Self { glue, folder, session }
    }

    async fn run(&self, name: &str, force: bool) -> (record::RunRecord, Option<engine::Error>) {
        let request = Request { force, ..Request::default() };
        let options = RunOptions { request, ..RunOptions::default() };
        let job = self.session.project.job(name).unwrap();
        Box::pin(job::run(&self.session, job, &options, std::future::pending())).await.unwrap()
    }

    fn version(&self, table: &str) -> Option<String> {
        Some(self.glue.table("harbour", table)?["Parameters"]["pachamama.version"].as_str()?.to_owned())
    }

    async fn mistakes(&self, job: &str) -> String {
        let job = self.session.project.job(job).unwrap();
        let before = Database::open(self.session.warehouse.join(&job.database)).snapshot(None).await.unwrap();
        match prepare::prepare(&self.session, job, &Request::default(), &before).await {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }
}

#[tokio::test]
async fn a_run_registers_every_table_with_the_words_of_its_target() {
    let harbour = Harbour::new("");
    let (run, error) = harbour.run("nightly", false).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(run.state, RunState::Succeeded);
    assert!(run.problems.iter().all(|problem| !problem.code.starts_with("PS")), "{:?}", run.problems);
    for table in ["mapped", "quarantine", "findings", "vernacular_oai_dc", "vernacular_oai_qdc"] {
        assert_eq!(harbour.version(table).as_deref(), Some("1"), "{table}");
    }
    let mapped = harbour.glue.table("harbour", "mapped").unwrap();
    assert_eq!(mapped["Description"], "Dublin Core, the fifteen elements; nothing is required.");
    let columns = mapped["StorageDescriptor"]["Columns"].as_array().unwrap().clone();
    assert!(
        columns.contains(&json!({ "Name": "subject", "Type": "array<string>", "Comment": "What the object is about." })),
        "{columns:?}"
    );
    assert!(columns.contains(&json!({ "Name": "page_seq", "Type": "int", "Comment": "Place of the record on its page, from 0." })));
    let harvested = harbour.glue.table("harbour", "vernacular_oai_dc").unwrap()["StorageDescriptor"]["Columns"].clone();
    let kind = |name: &str| harvested.as_array().unwrap().iter().find(|column| column["Name"] == name).unwrap()["Type"].clone();
    assert_eq!((kind("datestamp_ts"), kind("byte_start"), kind("raw_sha256")), (json!("timestamp"), json!("bigint"), json!("binary")));
    assert_eq!(kind("problems"), "array<struct<code:string,message:string,path:string>>");
}

#[tokio::test]
async fn a_run_that_cannot_publish_says_what_is_committed_and_the_next_one_finishes_although_nothing_changed() {
    let harbour = Harbour::new("");
    let denied = Fault::Refuse(400, "AccessDeniedException", "User: x is not authorized to perform: glue:CreateTable");
    harbour.glue.fail("CreateTable", 100, &denied);
    let (run, error) = harbour.run("nightly", false).await;
    let error = error.unwrap();
    assert_eq!((error.kind, error.exit_code()), (Kind::Failed, 1));
    let text = error.to_string();
    assert!(
        text.starts_with("PS560 version 1 of harbour is committed, and Glue does not show all of it yet; hint: when what follows is mended: pacha catalog repair harbour"),
        "{text}"
    );
    assert!(text.contains("PS562 access denied: this identity may not do glue:CreateTable (harbour.mapped)"), "{text}");
    assert_eq!((run.state, run.version, run.next.as_str()), (RunState::Failed, Some(1), "pacha catalog repair harbour"));
    assert!(run.problems.iter().any(|problem| problem.code == "PS560"), "{:?}", run.problems);
    let kept = record::find(&harbour.session.warehouse, &run.id).await.unwrap();
    assert_eq!((kept.state, kept.version), (RunState::Failed, Some(1)));
    let log = Database::open(harbour.session.warehouse.join("harbour"));
    assert!(log.snapshot(None).await.unwrap().tables["mapped"].rows() > 0, "nothing of the commit was taken back");
    let rows = super::world::ask(&harbour.session, "SELECT count(*) > 0 AS there FROM harbour.mapped").await.unwrap();
    assert!(rows.contains("true"), "{rows}");

    harbour.glue.recover();
    let (again, error) = harbour.run("nightly", false).await;
    assert!(error.is_none() && again.unchanged, "{error:?}");
    assert_eq!(harbour.version("mapped").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_forced_run_and_a_rollback_are_shown_as_new_versions() {
    let harbour = Harbour::new("");
    harbour.run("nightly", false).await;
    harbour.run("nightly", true).await;
    assert_eq!(harbour.version("mapped").as_deref(), Some("2"));
    let log = Database::open(harbour.session.warehouse.join("harbour"));
    log.rollback(1, "back", None).await.unwrap();
    job::register::publish(&harbour.session, &log).await.unwrap();
    assert_eq!(harbour.version("mapped").as_deref(), Some("3"));
}

#[tokio::test]
async fn statistics_that_fail_are_a_warning_of_the_run() {
    let harbour = Harbour::new("");
    harbour.glue.fail("UpdateColumnStatisticsForTable", 1_000, &Fault::Refuse(400, "InvalidInputException", "not here"));
    let (run, error) = harbour.run("nightly", false).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(run.state, RunState::Succeeded);
    assert!(run.problems.iter().any(|problem| problem.code == "PS573"), "{:?}", run.problems);
}

#[tokio::test]
async fn what_glue_cannot_hold_is_found_before_a_record_is_read() {
    let harbour = Harbour::new(concat!(
        "database = \"extra\"\n[[step]]\ntable = \"a\"\nsql = 'SELECT 1 AS \"dc:title\", 2 AS n, 3 AS \"N\"'\n",
        "[[step]]\ntable = \"b\"\nsql = \"SELECT INTERVAL '1 day' AS wait\"\n",
    ));
    let found = harbour.mistakes("extra").await;
    assert!(found.contains("PC161 column dc:title of extra.a cannot be named so in Glue"), "{found}");
    assert!(found.contains("PC162 columns n and N of extra.a are one name in Glue"), "{found}");
    assert!(
        found.contains("PC163 column wait of extra.b is Interval") && found.contains("write CAST(… AS VARCHAR) in the SELECT"),
        "{found}"
    );
    assert!(harbour.glue.requests().is_empty(), "nobody was asked");
    assert!(!harbour.folder.path().join("warehouse/extra").exists());
    let (_, error) = harbour.run("extra", false).await;
    assert_eq!(error.unwrap().exit_code(), 2);
}

#[tokio::test]
async fn steps_write_numbers_and_times_that_every_reader_has() {
    let harbour = Harbour::new(concat!(
        "database = \"extra\"\n[[step]]\ntable = \"a\"\n",
        "sql = \"SELECT row_number() OVER () AS n, arrow_cast(7, 'UInt8') AS small, to_timestamp('2026-11-01T00:00:00Z') AS at, ",
        "arrow_cast('12:00:00', 'Time64(Microsecond)') AS hour, {'a': arrow_cast(1, 'UInt32')} AS deep, {'k': [1]} AS nested\"\n",
    ));
    let (_, error) = harbour.run("extra", false).await;
    assert!(error.is_none(), "{error:?}");
    let columns = harbour.glue.table("extra", "a").unwrap()["StorageDescriptor"]["Columns"].clone();
    let kinds: Vec<(&str, &str)> =
        columns.as_array().unwrap().iter().map(|column| (column["Name"].as_str().unwrap(), column["Type"].as_str().unwrap())).collect();
    let expected = [
        ("n", "decimal(20,0)"),
        ("small", "smallint"),
        ("at", "timestamp"),
        ("hour", "string"),
        ("deep", "struct<a:bigint>"),
        ("nested", "struct<k:array<bigint>>"),
    ];
    assert_eq!(kinds, expected);
    let shown = super::world::ask(&harbour.session, "SELECT n, small, hour, deep.a AS a FROM extra.a").await.unwrap();
    assert!(shown.contains("| 1 | 7     | 12:00:00 | 1 |"), "{shown}");
}

#[tokio::test]
async fn a_step_reads_a_table_of_glue_and_runs_again_when_that_has_changed() {
    let harbour = Harbour::new("database = \"extra\"\n[[step]]\ntable = \"a\"\nsql = \"SELECT count(*) AS c FROM theirs.boats\"\n");
    let folder = harbour.folder.path().join("boats");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a"), "one\n").unwrap();
    let descriptor = json!({
        "Location": format!("file://{}/", folder.display()), "Columns": [{ "Name": "name", "Type": "string" }],
        "SerdeInfo": { "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe" },
    });
    let input = json!({ "Name": "boats", "PartitionKeys": [], "StorageDescriptor": descriptor });
    harbour.glue.call("CreateDatabase", &json!({ "DatabaseInput": { "Name": "theirs" } })).unwrap();
    harbour.glue.call("CreateTable", &json!({ "DatabaseName": "theirs", "TableInput": input })).unwrap();
    let (first, error) = harbour.run("extra", false).await;
    assert!(error.is_none() && !first.unchanged, "{error:?}");
    assert!(harbour.run("extra", false).await.0.unchanged);
    std::fs::write(folder.join("b"), "two\nthree\n").unwrap();
    let (changed, _) = harbour.run("extra", false).await;
    assert!(!changed.unchanged);
    let shown = super::world::ask(&harbour.session, "SELECT c FROM extra.a").await.unwrap();
    assert!(shown.contains("| 3 |"), "{shown}");
}

#[test]
fn a_warehouse_that_readers_of_glue_cannot_open_is_a_mistake_of_the_project() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pacha.toml"), "catalog = \"glue\"\n").unwrap();
    let error = Project::load(folder.path(), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "PC160 catalog = \"glue\" needs a warehouse that readers of Glue can open: warehouse is not on S3; hint: set warehouse = \"s3://bucket/prefix\" in pacha.toml, or catalog = \"warehouse\""
    );
    let on_s3 = [("warehouse".to_owned(), "s3://bucket/prefix".to_owned())];
    assert!(Arc::new(Project::load(folder.path(), &on_s3).unwrap()).settings.glue.tables.is_empty());
}
