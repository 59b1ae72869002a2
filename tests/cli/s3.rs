//! The commands of pacha on buckets: the same as on a disk, and when something is wrong, what and what to do.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use pacha_tests::s3::{ACCESS_KEY, Fault, Request, SECRET_KEY, Server};
use serde_json::Value;
use tempfile::TempDir;

/// The sample project in a folder of its own, and a server with an empty bucket.
struct Demo {
    server: Server,
    folder: TempDir,
}

struct Printed {
    stdout: String,
    stderr: String,
    code: i32,
}

impl Demo {
    fn new() -> Self {
        let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
        server.buckets.make("warehouse");
        let demo = Self { server, folder };
        let made = demo.pacha(&["init", "demo", "--example", "calisphere"]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        demo
    }

    fn dir(&self) -> PathBuf {
        let demo = self.folder.path().join("demo");
        if demo.is_dir() { demo } else { self.folder.path().to_owned() }
    }

    /// A command, without anything of the tester's own settings for AWS.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pacha"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.dir()).env("NO_COLOR", "1").env_remove("RUST_LOG").stdin(Stdio::null());
        command.envs(self.server.environment());
        command
    }

    fn pacha(&self, arguments: &[&str]) -> Printed {
        printed(&self.command(arguments).output().unwrap())
    }

    /// The same, in the bucket.
    fn there(&self, arguments: &[&str]) -> Printed {
        self.pacha(&[arguments, &["--set", "warehouse=s3://warehouse/below/it"]].concat())
    }

    fn record(&self, printed: &Printed) -> Value {
        assert_eq!(printed.code, 0, "{}", printed.stderr);
        serde_json::from_str(&printed.stdout).unwrap()
    }
}

fn printed(output: &Output) -> Printed {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let printed = Printed { stdout: text(&output.stdout), stderr: text(&output.stderr), code: output.status.code().unwrap() };
    assert!(!printed.stdout.contains(SECRET_KEY) && !printed.stderr.contains(SECRET_KEY), "a secret is shown");
    printed
}

const ROWS: &str = "SELECT * EXCLUDE (page) FROM calisphere.mapped ORDER BY collection_id, record_id";

#[test]
fn the_sample_project_runs_unmodified_in_a_bucket_and_its_account_is_the_same() {
    let demo = Demo::new();
    let here = demo.record(&demo.pacha(&["run", "nightly", "--format", "json"]));
    let there = demo.record(&demo.there(&["run", "nightly", "--format", "json"]));
    assert_eq!(here["counts"], there["counts"]);
    assert!(there["counts"]["in"].as_u64().unwrap() > 50, "{there}");
    for table in ["mapped", "findings", "quarantine"] {
        assert_eq!(here["tables"][table]["rows"], there["tables"][table]["rows"], "{table}");
    }
    let (mapped_here, mapped_there) = (demo.pacha(&["sql", ROWS, "--format", "csv"]), demo.there(&["sql", ROWS, "--format", "csv"]));
    assert_eq!((mapped_there.code, mapped_there.stderr.as_str()), (0, ""));
    assert_eq!(mapped_here.stdout, mapped_there.stdout);
    assert_eq!(demo.server.buckets.uploads(), Vec::<String>::new());
    assert_eq!(here.get("traffic"), None, "a local disk costs no request");
    let traffic = &there["traffic"];
    assert!(traffic["put"].as_u64().unwrap() > 3 && traffic["bytes_out"].as_u64().unwrap() > 10_000, "{traffic}");
    for report in [demo.pacha(&["run", "report", "--format", "json"]), demo.there(&["run", "report", "--format", "json"])] {
        assert_eq!(demo.record(&report)["state"], "SUCCEEDED");
    }
}

#[test]
fn a_second_run_finds_nothing_changed_and_a_third_command_shows_what_was_asked() {
    let demo = Demo::new();
    let first = demo.there(&["run", "nightly"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let line = first.stdout.lines().find(|line| line.contains(" requests (")).unwrap_or_default();
    assert!(line.contains(" PUT") && line.contains(" MB in, ") && line.ends_with(" MB out"), "{}", first.stdout);
    let second = demo.there(&["run", "nightly"]);
    assert!(second.stdout.contains("nothing has changed since the last run, version 1"), "{}", second.stdout);
    let runs = demo.there(&["runs", "--format", "json"]);
    let runs: Value = serde_json::from_str(&runs.stdout).unwrap();
    let id = runs[1]["id"].as_str().unwrap();
    let shown = demo.there(&["show", id]);
    assert!(shown.stdout.contains(line), "{}", shown.stdout);
    let rolled = demo.there(&["commits", "calisphere"]);
    assert_eq!(rolled.code, 0, "{}", rolled.stderr);
}

#[test]
fn a_run_in_a_bucket_is_priced_and_the_prices_may_be_the_project_s() {
    let demo = Demo::new();
    let dear = ["--set", "prices.s3_writes_per_1000=1000", "--set", "prices.s3_reads_per_1000=1", "--set", "prices.date=2027-01-01"];
    let run = demo.there(&[&["run", "nightly", "--format", "json"][..], &dear].concat());
    let record = demo.record(&run);
    let (traffic, receipt) = (&record["traffic"], &record["receipt"]);
    let number = |name: &str| traffic[name].as_u64().unwrap();
    let (writes, reads) = (number("put") + number("copy") + number("post") + number("list"), number("get") + number("head"));
    assert_eq!((receipt["requests"]["writes"].as_u64(), receipt["requests"]["reads"].as_u64()), (Some(writes), Some(reads)));
    let cost = receipt["requests_cost"].as_f64().unwrap();
    assert!((cost - writes as f64 - reads as f64 / 1000.0).abs() < 1e-9, "{receipt:#}");
    assert_eq!(receipt["prices_of"], "2027-01-01");
    let services: Vec<&str> = receipt["alternatives"].as_array().unwrap().iter().map(|one| one["service"].as_str().unwrap()).collect();
    assert_eq!(services, ["AWS Glue", "Lambda", "Fargate"]);
    let shown = demo.there(&["show", record["id"].as_str().unwrap()]).stdout;
    let line = shown.lines().find(|line| line.starts_with("S3 requests ")).unwrap_or_default();
    assert!(line.contains(&format!("{cost:.6}")) && line.ends_with(" GET, HEAD"), "{shown}");
    assert!(shown.contains("prices of 2027-01-01, us-east-1"), "{shown}");
    let again = demo.there(&["run", "nightly", "--force"]);
    assert!(again.stdout.contains("\nS3 requests  "), "{}", again.stdout);
    let here = demo.pacha(&["run", "nightly"]);
    assert!(!here.stdout.contains("USD"), "on a disk nothing was bought: {}", here.stdout);
}

#[test]
fn pages_in_a_bucket_are_read_with_one_request_each() {
    let demo = Demo::new();
    let here = demo.record(&demo.pacha(&["run", "nightly", "--format", "json"]));
    demo.server.load("raw", "pages", &demo.dir().join("pages")).unwrap();
    for entry in std::fs::read_dir(demo.dir().join("collections")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, text.replace("\"pages/", "\"s3://raw/pages/")).unwrap();
        }
    }
    demo.server.forget();
    let there = demo.record(&demo.pacha(&["run", "nightly", "--format", "json", "--set", "warehouse=elsewhere"]));
    assert_eq!(here["counts"], there["counts"]);
    let requests = demo.server.requests();
    let of = |test: fn(&Request) -> bool| requests.iter().filter(|request| test(request)).count();
    let mut reads: BTreeMap<&str, usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.method == "GET" && !request.query.contains("list-type")) {
        assert!(request.header("if-match").is_some(), "a page that changed meanwhile would not be noticed: {request:?}");
        *reads.entry(&request.path).or_default() += 1;
    }
    // Records that occur again make their collections be mapped once more.
    let duplicates = ["/raw/pages/26001/", "/raw/pages/26006/"];
    let expected = |path: &str| if duplicates.iter().any(|prefix| path.starts_with(prefix)) { 2 } else { 1 };
    let wrong: Vec<_> = reads.iter().filter(|(path, times)| **times != expected(path)).collect();
    assert!(reads.len() == 9 && wrong.is_empty(), "{reads:?}");
    let collections = there["counts"]["collections"].as_object().unwrap().len();
    assert_eq!(of(|request| request.query.contains("list-type")), collections, "one listing a collection");
    assert_eq!(of(|request| request.method == "HEAD"), 0);
}

#[test]
fn a_page_that_cannot_be_read_is_named_with_its_reason() {
    let demo = Demo::new();
    demo.server.load("raw", "pages", &demo.dir().join("pages/26001")).unwrap();
    let file = demo.dir().join("collections/26001.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"pages/26001", "\"s3://raw/pages")).unwrap();
    demo.server.fail(usize::MAX, |request| request.method == "GET" && request.path.ends_with(".xml"), Fault::access_denied());
    let run = demo.pacha(&["run", "nightly", "--collection", "26001"]);
    assert_eq!(run.code, 1, "{}", run.stdout);
    assert!(run.stderr.contains("PX104") && run.stderr.contains("page s3://raw/pages/"), "{}", run.stderr);
    assert!(run.stderr.contains("access denied: s3:GetObject on arn:aws:s3:::raw/pages/"), "{}", run.stderr);
}

#[test]
fn a_commit_whose_answer_was_lost_is_a_run_that_succeeded_once() {
    let demo = Demo::new();
    demo.server.fail(1, |request| request.method == "PUT" && request.path.contains("/_commits/"), Fault::Lost);
    let run = demo.there(&["run", "nightly"]);
    assert_eq!((run.code, demo.server.faults_left()), (0, 0), "{}", run.stderr);
    assert_eq!(demo.server.buckets.keys("warehouse", "below/it/calisphere/_commits/").len(), 1);
}

#[test]
fn credentials_that_expire_during_a_run_lose_nothing() {
    let demo = Demo::new();
    demo.server.fail(usize::MAX, |request| request.method == "PUT" && request.path.ends_with(".parquet"), Fault::expired_token());
    let run = demo.there(&["run", "nightly"]);
    assert_eq!(run.code, 1, "{}", run.stdout);
    assert!(run.stderr.contains("PS532") && run.stderr.contains("the credentials have expired"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: log in again"), "{}", run.stderr);
    assert_eq!(demo.server.buckets.keys("warehouse", "below/it/calisphere/_commits/"), Vec::<String>::new());
    demo.server.heal();
    assert_eq!(demo.there(&["run", "nightly"]).code, 0);
    assert_eq!(demo.server.buckets.keys("warehouse", "below/it/calisphere/_commits/").len(), 1);
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_at_any_step_is_made_good_by_the_next() {
    for point in ["before-data-files", "after-data-files", "before-commit", "after-commit", "before-record"] {
        let demo = Demo::new();
        let killed =
            demo.command(&["run", "nightly", "--set", "warehouse=s3://warehouse/x"]).env("PACHA_CRASH_AT", point).output().unwrap();
        assert_eq!(killed.status.code(), None, "{point}: it was not killed");
        let again = demo.pacha(&["run", "nightly", "--set", "warehouse=s3://warehouse/x"]);
        assert_eq!(again.code, 0, "{point}: {}", again.stderr);
        let buckets = &demo.server.buckets;
        let commits = buckets.keys("warehouse", "x/calisphere/_commits/");
        assert_eq!(commits.len(), 1, "{point}: published twice, or not at all");
        let commit = String::from_utf8(buckets.get("warehouse", &commits[0]).unwrap().to_vec()).unwrap();
        let files: Vec<String> = buckets.keys("warehouse", "x/").into_iter().filter(|key| key.ends_with(".parquet")).collect();
        let strays: Vec<&String> = files.iter().filter(|file| !commit.contains(file.rsplit('/').next().unwrap())).collect();
        assert!(!files.is_empty() && strays.is_empty(), "{point}: {strays:?}");
        assert_eq!(buckets.uploads(), Vec::<String>::new(), "{point}");
    }
}

#[test]
fn a_store_without_conditional_writes_is_refused_before_a_page_is_read() {
    for ignored in [true, false] {
        let demo = Demo::new();
        if ignored {
            demo.server.buckets.ignore_conditions();
        } else {
            demo.server.fail(usize::MAX, Request::conditional, Fault::not_implemented());
        }
        let run = demo.there(&["run", "nightly"]);
        assert_eq!(run.code, 1, "{}", run.stdout);
        assert!(run.stderr.contains("PS507") && run.stderr.contains("no conditional writes (If-None-Match)"), "{}", run.stderr);
        assert!(run.stderr.contains("hint: put the warehouse on a store that has them"), "{}", run.stderr);
        let left = demo.server.buckets.keys("warehouse", "");
        assert!(left.iter().all(|key| key.contains("/_runs/")), "{left:?}");
    }
}

#[test]
fn without_credentials_it_says_where_it_looked() {
    let demo = Demo::new();
    let mut command = demo.command(&["run", "nightly", "--set", "warehouse=s3://warehouse/x"]);
    let output = command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").output().unwrap();
    let run = printed(&output);
    assert_eq!(run.code, 1, "{}", run.stdout);
    for part in ["PS531", "no credentials for AWS", "AWS_ACCESS_KEY_ID", "profile default of ~/.aws", "aws sso login", "pacha doctor"] {
        assert!(run.stderr.contains(part), "{part} is not in {}", run.stderr);
    }
}

#[test]
fn doctor_names_identity_region_and_endpoint_and_tries_each_operation() {
    let demo = Demo::new();
    let doctor = demo.there(&["doctor"]);
    assert_eq!(doctor.code, 0, "{}", doctor.stdout);
    let endpoint = demo.server.endpoint();
    for line in [
        "ok   identity   arn:aws:iam::123456789012:user/tests in account 123456789012; credentials from AWS_ACCESS_KEY_ID".to_owned(),
        "ok   region     us-east-1 (AWS_REGION)".to_owned(),
        format!("ok   endpoint   {endpoint} (AWS_ENDPOINT_URL)"),
        "ok   list       s3://warehouse/below/it: 0 databases".to_owned(),
        "ok   create     s3://warehouse/below/it: put-if-absent works".to_owned(),
        "ok   read       s3://warehouse/below/it: what was written can be read".to_owned(),
        "ok   remove     s3://warehouse/below/it: it can be removed again".to_owned(),
    ] {
        assert!(doctor.stdout.lines().any(|printed| printed == line), "{line}\nis not in\n{}", doctor.stdout);
    }
    assert_eq!(demo.server.buckets.keys("warehouse", ""), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn a_profile_gives_credentials_and_region() {
    let demo = Demo::new();
    let keys = format!(r#"{{"Version": 1, "AccessKeyId": "{ACCESS_KEY}", "SecretAccessKey": "{SECRET_KEY}"}}"#);
    let (config, answer) = (demo.folder.path().join("config"), demo.folder.path().join("keys.json"));
    std::fs::write(&answer, keys).unwrap();
    let profile = format!("[profile library]\nregion = eu-west-1\ncredential_process = cat {}\n", answer.display());
    std::fs::write(&config, profile).unwrap();
    let mut command = demo.command(&["doctor", "--set", "aws.profile=library", "--set", "warehouse=s3://warehouse/x"]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
        command.env_remove(name);
    }
    let doctor = printed(&command.env("AWS_CONFIG_FILE", config).output().unwrap());
    assert_eq!(doctor.code, 0, "{}", doctor.stdout);
    assert!(doctor.stdout.contains("credentials from profile library"), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("ok   region     eu-west-1 (the profile, or this machine's role)"), "{}", doctor.stdout);
    let signed = |request: &Request| request.header("authorization").is_some_and(|text| text.contains("/eu-west-1/s3/aws4_request"));
    assert!(demo.server.requests().iter().filter(|request| request.path.starts_with("/warehouse")).all(signed));
}

#[test]
fn doctor_says_which_right_is_missing() {
    type When = fn(&Request) -> bool;
    let cases: [(&str, When, &str); 3] = [
        ("list", |request| request.query.contains("list-type"), "access denied: s3:ListBucket on arn:aws:s3:::warehouse"),
        ("create", |request| request.method == "PUT", "access denied: s3:PutObject on arn:aws:s3:::warehouse/below/it/_doctor/"),
        (
            "remove",
            |request| request.query.contains("delete"),
            "access denied: s3:DeleteObject on arn:aws:s3:::warehouse/below/it/_doctor/",
        ),
    ];
    for (what, when, said) in cases {
        let demo = Demo::new();
        demo.server.fail(usize::MAX, when, Fault::access_denied());
        let doctor = demo.there(&["doctor"]);
        assert_eq!(doctor.code, 2, "{}", doctor.stdout);
        let line = doctor.stdout.lines().find(|line| line.starts_with("FAIL ")).unwrap_or_default();
        assert!(line.starts_with(&format!("FAIL {what}")) && line.contains(said) && line.contains("; hint: "), "{}", doctor.stdout);
    }
}

#[test]
fn a_query_of_a_file_in_a_bucket_is_answered_or_refused_in_the_same_words() {
    let demo = Demo::new();
    let towns = std::fs::read(demo.dir().join("data/towns.csv")).unwrap();
    demo.server.buckets.put("raw", "towns.csv", towns);
    let query = "SELECT count(*) > 1 AS many FROM 's3://raw/towns.csv'";
    let answered = demo.pacha(&["sql", query, "--format", "csv"]);
    assert_eq!((answered.code, answered.stdout.as_str()), (0, "many\ntrue\n"), "{}", answered.stderr);
    demo.server.fail(usize::MAX, |_| true, Fault::access_denied());
    let refused = demo.pacha(&["sql", query]);
    assert!(refused.code != 0 && refused.stderr.contains("PS535") && refused.stderr.contains("access denied"), "{}", refused.stderr);
    for foreign in ["Generic", "object_store", "<Error>", "DataFusion"] {
        assert!(!refused.stderr.contains(foreign), "{}", refused.stderr);
    }
}

#[test]
fn an_endpoint_where_nobody_listens_is_named() {
    let demo = Demo::new();
    let endpoint = Server::start().endpoint();
    let run = demo.there(&["run", "nightly", "--set", &format!("s3.endpoint={endpoint}")]);
    assert_eq!(run.code, 1, "{}", run.stdout);
    let host = endpoint.trim_start_matches("http://");
    assert!(run.stderr.contains("PS536") && run.stderr.contains(&format!("cannot connect to {host}")), "{}", run.stderr);
}
