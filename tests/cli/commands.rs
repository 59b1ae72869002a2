//! Every command of pacha on the sample project: what it prints on stdout, what on stderr, and its exit code.
//!
//! A snapshot is a session at the terminal, with what differs from run to run masked. `INSTA_UPDATE=always` writes what
//! came instead: read the diff.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod session;

use serde_json::Value;
use session::Session;

/// Asserts what was typed and printed so far.
macro_rules! assert_session {
    ($session:expr, $name:literal) => {
        $session.settings().bind(|| insta::assert_snapshot!($name, $session.text()))
    };
}

#[test]
fn the_sample_project_runs_and_answers() {
    let mut session = Session::empty();
    session.type_in("pacha init demo --example calisphere");
    session.enter("demo");
    session.type_in("pacha run nightly");
    session.type_in(r#"pacha sql "SELECT collection_id, count(*) FROM calisphere.mapped GROUP BY 1 ORDER BY 1""#);
    session.type_in("pacha run report");
    session.type_in(r#"pacha sql "FROM report.by_collection""#);
    assert_session!(session, "sample");
}

#[test]
fn init_makes_a_project_that_checks() {
    let mut session = Session::empty();
    session.type_in("pacha init atlas");
    session.list("atlas");
    session.enter("atlas");
    session.type_in("pacha check");
    session.type_in("pacha init");
    session.type_in("pacha init ../other --example calishpere");
    assert_session!(session, "init");
}

#[test]
fn inspect_shows_what_pages_hold() {
    let mut session = Session::demo();
    session.type_in("pacha inspect pages/26001/2026-03-01/page-0001.xml");
    session.type_in("pacha inspect 26002");
    session.type_in("pacha inspect 26001 --field subject --top 3");
    session.type_in("pacha inspect 26002 --field title --top 2 --format json");
    session.type_in("pacha inspect 26006");
    session.type_in("pacha inspect 26001 --field titel");
    session.type_in("pacha inspect pages/26009");
    assert_session!(session, "inspect");
}

#[test]
fn inspect_reads_pages_outside_of_a_project() {
    let mut session = Session::demo();
    session.move_up("pages/26003/page-0001.xml", "marc.xml");
    session.leave();
    session.type_in("pacha inspect marc.xml --source marcxml --field leader --top 2");
    assert_session!(session, "inspect_outside");
}

#[test]
fn check_says_all_mistakes_at_once() {
    let mut session = Session::demo();
    session.type_in("pacha check");
    session.write("mappings/contentdm.sql", "FROM oai_dc SELECT * REPLACE (spilt(subject, ';') AS subject, title AS titel)\n");
    session.write("mappings/islandora.sql", "FROM oai_mods\nSELECT * REPLACE (strip_brackets(titel) AS title)\n");
    session.type_in("pacha check nightly");
    session.type_in("pacha check nightly --format json");
    session.write("jobs/weekly.toml", "target = \"ucldd\"\nshedule = \"0 3 * * 1\"\n");
    session.type_in("pacha check");
    assert_session!(session, "check");
}

#[test]
fn preview_shows_records_as_harvested_and_as_mapped() {
    let mut session = Session::demo();
    session.type_in("pacha preview contentdm -n 1");
    session.type_in("pacha preview nightly --collection 26003 --id oai:digital.portellery.example:7006");
    session.type_in("pacha preview wickham -n 1 --format json");
    session.type_in("pacha preview contentdn");
    session.type_in("pacha preview report");
    session.list(".");
    assert_session!(session, "preview");
}

#[test]
fn run_reads_again_only_what_has_changed() {
    let mut session = Session::demo();
    session.type_in("pacha run nightly");
    session.type_in("pacha run nightly");
    session.type_in("pacha run nightly --collection 26003 26004 --force");
    session.replace("mappings/wickham.sql", "https://photos", "https://views");
    session.type_in("pacha run nightly");
    session.type_in(r#"pacha sql "SELECT is_shown_at FROM calisphere.mapped WHERE collection_id = '26005' ORDER BY 1 LIMIT 1""#);
    session.type_in("pacha run nigthly");
    session.type_in("pacha run nightly --collection 26099");
    session.type_in("pacha run report --param least=2");
    session.type_in("pacha run report --param lest=2");
    assert_session!(session, "run");
}

#[test]
fn a_vacuum_removes_what_only_old_versions_name_and_they_stay_gone() {
    let mut session = Session::demo();
    session.type_in("pacha vacuum calisphere");
    session.run_quietly("nightly");
    for _ in 0..2 {
        session.type_in("pacha run nightly --collection 26004 --force --format json");
    }
    session.forget();
    session.type_in("pacha vacuum calisphere");
    session.type_in("pacha vacuum calisphere --keep 1 --older-than 0s --dry-run");
    session.type_in("pacha vacuum calisphere --keep 1 --older-than 0s");
    session.type_in("pacha vacuum calisphere --keep 1 --older-than 0s");
    session.type_in("pacha commits calisphere");
    session.type_in("pacha rollback calisphere --to 2");
    session.type_in(r#"pacha sql "SELECT count(*) FROM table_version('calisphere.mapped', 1)""#);
    session.type_in(r#"pacha sql "SELECT count(*), count(DISTINCT record_id) FROM calisphere.mapped""#);
    session.type_in("pacha run nightly");
    session.type_in("pacha vacuum calisphere --older-than soon");
    assert_session!(session, "vacuum");
}

#[test]
fn what_a_vacuum_says_is_json_for_scripts() {
    let mut session = Session::demo();
    session.run_quietly("nightly");
    session.type_in("pacha run nightly --force");
    let tried: Value =
        serde_json::from_str(&session.type_in("pacha vacuum calisphere --keep 1 --older-than 0s --dry-run --format json").stdout).unwrap();
    let done: Value =
        serde_json::from_str(&session.type_in("pacha vacuum calisphere --keep 1 --older-than 0s --format json").stdout).unwrap();
    assert_eq!((&tried["tables"], &tried["total"]), (&done["tables"], &done["total"]));
    assert_eq!((&tried["dry_run"], &tried["version"]), (&Value::Bool(true), &Value::Null));
    assert_eq!((done["oldest"].as_u64(), done["newest"].as_u64(), done["version"].as_u64()), (Some(2), Some(3), Some(3)));
    assert!(done["tables"]["mapped"]["versions"]["files"].as_u64().unwrap() > 0, "{done:#}");
    assert_eq!(done["tables"]["mapped"]["strays"]["files"], 0, "{done:#}");
}

#[test]
fn doctor_prints_the_least_policy_of_a_project() {
    let mut session = Session::demo();
    session.type_in("pacha doctor --policy");
    session.type_in("pacha doctor --policy --set warehouse=s3://lake/warehouse");
    session.replace("collections/26001.toml", "pages = \"pages/26001\"", "pages = \"s3://raw/26001\"");
    session.replace("collections/26002.toml", "pages = \"pages/26002\"", "pages = [\"s3://raw/26002/*/page-?.json\", \"s3://other\"]");
    session.type_in(
        "pacha doctor --policy --set warehouse=s3://lake/warehouse --set catalog=glue --set glue.catalog_id=123456789012 \
         --set glue.prefix=harvest_ --set aws.region=us-west-2 --set s3.kms_key=alias/harvest",
    );
    assert_session!(session, "policy");
}

#[test]
fn the_run_record_accounts_for_every_record() {
    let mut session = Session::demo();
    let record: Value = serde_json::from_str(&session.type_in("pacha run nightly --format json").stdout).unwrap();
    for key in ["id", "job", "state", "counts", "tables", "version", "seconds"] {
        assert!(!record[key].is_null(), "no {key} in {record:#}");
    }
    assert_eq!(record["state"], "SUCCEEDED");
    let counts = &record["counts"];
    let number = |counts: &Value, key: &str| counts[key].as_u64().unwrap_or_else(|| panic!("no {key} in {counts}"));
    let outcomes = ["mapped", "quarantined", "skipped", "deleted", "duplicates"];
    let collections = counts["collections"].as_object().unwrap();
    assert_eq!(collections.keys().collect::<Vec<_>>(), ["26001", "26002", "26003", "26004", "26005", "26006"]);
    for counts in collections.values().chain([counts]) {
        assert_eq!(number(counts, "in"), outcomes.iter().map(|key| number(counts, key)).sum::<u64>(), "{counts}");
    }
    for key in ["in"].iter().chain(&outcomes) {
        assert_eq!(number(counts, key), collections.values().map(|counts| number(counts, key)).sum::<u64>(), "{key}");
    }
    assert_eq!(number(counts, "mapped"), record["tables"]["mapped"]["rows"].as_u64().unwrap());
    assert_eq!(number(counts, "quarantined"), record["tables"]["quarantine"]["rows"].as_u64().unwrap());
    let shown = session.type_in(&format!("pacha show {} --format json", record["id"].as_str().unwrap())).stdout;
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), record);
}

#[test]
fn a_gate_withholds_a_collection_until_it_is_accepted() {
    let mut session = Session::demo();
    let printed = session.type_in("pacha run nightly --set gates.quarantined_halt=0.01 --set gates.quarantined_warn=0.005");
    assert_eq!(printed.code, 3);
    let run = printed.stdout.split(' ').nth(3).unwrap();
    session.type_in(&format!("pacha show {run}"));
    session.type_in("pacha runs nightly");
    session.type_in("pacha sql \"SELECT job, state, version, mapped, quarantined, withheld FROM runs()\"");
    session.type_in(r#"pacha sql "SELECT count(*) FROM calisphere.mapped""#);
    session.type_in(r#"pacha run nightly --set gates.quarantined_halt=0.01 --set gates.quarantined_warn=0.005 --accept "known: the 1900 ledger has no titles""#);
    session.type_in("pacha commits calisphere");
    session.type_in("pacha run nightly --force --set gates.quarantined_warn=0.6");
    assert_session!(session, "gate");
}

#[test]
fn sql_prints_every_format() {
    let mut session = Session::demo();
    for format in ["table", "csv", "json", "ndjson", "markdown"] {
        session.type_in(&format!(
            r#"pacha sql "SELECT record_id, title, deleted FROM collection.\"26004\" ORDER BY 1 LIMIT 2" --format {format}"#
        ));
    }
    session.type_in(r#"pacha sql "SELECT 1 AS one WHERE false""#);
    session.type_in(r#"pacha sql "SELECT 1 AS one WHERE false" --format csv"#);
    session.type_in(r#"pacha sql "SELECT 1 AS one WHERE false" --format json"#);
    assert_session!(session, "sql_formats");
}

#[test]
fn sql_reads_and_writes_files() {
    let mut session = Session::demo();
    session.write(
        "towns.sql",
        "-- the oldest\nSELECT town, founded FROM 'data/towns.csv' WHERE founded < CAST($year AS BIGINT) ORDER BY founded;\n",
    );
    session.type_in("pacha sql -f towns.sql --param year=1850");
    session.type_in("pacha sql \"SELECT town FROM 'data/towns.csv' WHERE founded < 1855 ORDER BY 1\" --format csv -o old.csv");
    session.type_in("pacha sql \"FROM 'data/towns.csv'\" -o towns.parquet");
    session.type_in("pacha sql \"SELECT count(*) AS towns, min(founded) AS oldest FROM 'towns.parquet'\"");
    session.type_in("pacha sql \"FROM 'old.csv'\" --format csv");
    session.type_in("pacha sql \"SELECT 1\" -o no/such/folder.csv");
    session.type_in("pacha sql \"SELECT 1\" -f towns.sql");
    session.type_in("pacha sql \"SELECT town FROM 'data/twons.csv'\"");
    session.type_in("pacha sql \"SELECT twon FROM 'data/towns.csv'\"");
    assert_session!(session, "sql_files");
}

#[test]
fn sql_answers_outside_of_a_project_and_through_a_pipe() {
    let mut session = Session::empty();
    session.type_in("pacha sql \"SELECT split('a; b', ';') AS parts\"");
    session.pipe("SELECT 1 AS one;\nSELECT 2 AS two\n", "pacha sql --format csv");
    session.pipe("", "pacha sql");
    session.type_in("pacha sql \"FROM calisphere.mapped\"");
    assert_session!(session, "sql_outside");
}

#[test]
fn runs_findings_and_versions_can_be_looked_at() {
    let mut session = Session::demo();
    session.type_in("pacha runs");
    session.type_in("pacha commits calisphere");
    session.type_in("pacha findings nightly");
    let id = session.run_quietly("nightly");
    session.run_quietly("report");
    session.type_in("pacha runs");
    session.type_in("pacha runs nightly -n 1");
    session.type_in(&format!("pacha show {id}"));
    session.type_in("pacha show ffff");
    session.type_in("pacha findings nightly");
    session.type_in("pacha findings nightly --field title");
    session.type_in("pacha findings nightly --code PV320 --format json");
    session.type_in("pacha findings nightly --collection 26006 --code PV301");
    session.type_in("pacha findings report");
    session.type_in("pacha commits calishpere");
    assert_session!(session, "looking");
}

#[test]
fn rollback_publishes_an_older_version_again() {
    let mut session = Session::demo();
    session.run_quietly("nightly");
    session.replace("collections/26005.toml", "type = \"image\"", "type = \"text\"");
    session.run_quietly("nightly");
    let types =
        r#"pacha sql "SELECT type, count(*) AS records FROM calisphere.mapped WHERE collection_id = '26005' GROUP BY 1" --format csv"#;
    session.type_in(types);
    session.type_in(r#"pacha rollback calisphere --to 1 --message "they are images""#);
    session.type_in(types);
    session.type_in("pacha commits calisphere");
    session.type_in("pacha rollback calisphere --to 9");
    session.type_in("pacha rollback calisphere --to 2 --format json");
    session.type_in("pacha commits calisphere -n 1 --set warehouse=elsewhere");
    assert_session!(session, "rollback");
}

#[test]
fn functions_are_documented() {
    let mut session = Session::empty();
    session.type_in("pacha functions");
    session.type_in("pacha functions split");
    session.type_in("pacha functions splitt");
    session.type_in("pacha functions after --format json");
    assert_session!(session, "functions");
}

#[test]
fn doctor_says_what_would_not_work() {
    let mut session = Session::demo();
    session.type_in("pacha doctor");
    session.type_in("pacha doctor --set warehouse=/proc/nowhere");
    session.type_in("pacha doctor --set warehouse=ftp://server/warehouse");
    session.leave();
    session.type_in("pacha doctor");
    assert_session!(session, "doctor");
}

#[test]
fn completions_are_printed_for_every_shell() {
    let mut session = Session::empty();
    for (shell, mark) in [
        ("bash", "_pacha()"),
        ("zsh", "#compdef pacha"),
        ("fish", "complete -c pacha"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let printed = session.type_in(&format!("pacha completions {shell}"));
        assert_eq!((printed.code, printed.stderr.as_str()), (0, ""), "{shell}");
        for word in [mark, "rollback", "accept"] {
            assert!(printed.stdout.contains(word), "{shell}: no {word}");
        }
    }
}

#[test]
fn help_and_wrong_command_lines() {
    let mut session = Session::empty();
    for command in ["pacha", "pacha --help", "pacha run --help", "pacha sql --help", "pacha --version"] {
        session.type_in(command);
    }
    for command in ["pacha rnu nightly", "pacha run", "pacha run nightly --param least", "pacha sql --format yaml", "pacha run nightly"] {
        session.type_in(command);
    }
    session.type_in("pacha run nightly --project nowhere");
    session.type_in("pacha run nightly --set warehose=x --project .");
    assert_session!(session, "help");
}
