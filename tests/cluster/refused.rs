//! What cannot run on a cluster, and what fails there as it does here: each is told in the same words as everything else, before
//! any work where that is possible.

use pacha_tests::cluster::Run;
use pacha_tests::cluster::proxy::Proxy;
use pacha_tests::s3::Fault;

use crate::world::World;

/// A job with one step.
fn step(world: &World, name: &str, sql: &str) {
    world.write(&format!("jobs/{name}.toml"), &format!("database = \"{name}\"\n[[step]]\ntable = \"rows\"\nsql = '''\n{sql}\n'''\n"));
}

#[test]
fn a_step_that_recurs_is_refused_and_runs_without_a_cluster() {
    let world = World::new();
    step(&world, "recurs", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT i FROM n");
    let cluster = world.cluster();
    let refused = world.pacha(&["run", "recurs", "--cluster", &cluster.address()]);
    refused.failed(2, &["PK734", "WITH RECURSIVE cannot run on a cluster", "without --cluster"]);
    world.unpublished("recurs");
    world.json(&["run", "recurs"]);
}

#[test]
fn a_step_over_rows_that_no_table_holds_gives_each_of_them_once() {
    let world = World::new();
    // A leaf that Ballista does not know would be run whole by every task.
    step(
        &world,
        "values",
        "SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'c')) AS t(n, name) UNION ALL SELECT n, 'r' AS name FROM (SELECT unnest(range(10, 20)) AS n)",
    );
    let cluster = world.cluster();
    world.pacha(&["run", "values", "--cluster", &cluster.address(), "--verify", "--format", "json"]).json();
    let rows = world.json(&["sql", "SELECT count(*) AS rows, count(DISTINCT n) AS each FROM values.rows"]);
    assert_eq!((rows[0]["rows"].as_u64(), rows[0]["each"].as_u64()), (Some(13), Some(13)), "{rows}");
}

#[test]
fn a_table_of_runs_is_read_where_it_is_made() {
    let world = World::published();
    step(&world, "history", "SELECT job, state FROM runs() WHERE state = 'SUCCEEDED'");
    let cluster = world.cluster();
    world.pacha(&["run", "history", "--cluster", &cluster.address(), "--format", "json"]).json();
    let rows = world.json(&["sql", "SELECT count(*) AS n FROM history.rows"]);
    assert_eq!(rows[0]["n"], 1, "{rows}");
}

#[test]
fn a_row_that_cannot_be_computed_fails_the_run_in_the_same_words() {
    let world = World::published();
    step(&world, "casts", "SELECT CAST(title[1] AS INT) AS number FROM alder.mapped WHERE title[1] = 'Sheet 31'");
    let cluster = world.cluster();
    let here = world.pacha(&["run", "casts"]);
    let there = world.pacha(&["run", "casts", "--cluster", &cluster.address()]);
    there.failed(1, &["PM220", "cannot be converted to Int32 (on executor 127.0.0.1:"]);
    assert_eq!(problems(&here.stderr), problems(&there.stderr));
    world.unpublished("casts");
}

#[test]
fn a_page_that_cannot_be_read_fails_the_run_in_the_same_words() {
    let world = World::new();
    let cluster = world.cluster();
    world.server.fail(usize::MAX, |request| request.path == "/raw/maps/page-4.xml" && request.method == "GET", Fault::access_denied());
    let here = world.pacha(&["run", "nightly"]);
    let there = world.pacha(&["run", "nightly", "--cluster", &cluster.address()]);
    there.failed(1, &["PX104", "page s3://raw/maps/page-4.xml", "access denied: s3:GetObject"]);
    assert_eq!(problems(&here.stderr), problems(&there.stderr));
    assert_eq!(world.last_run()["cluster"]["again"].as_array().map(Vec::len), Some(0), "another attempt would not have read it either");
    world.unpublished("alder");
}

/// The messages with their hints, but for the executor where it happened.
fn problems(stderr: &str) -> Vec<&str> {
    let lines = stderr.lines().filter(|line| line.contains("error") || line.contains("hint: "));
    lines.map(|line| line.split(" (on executor 127.0.0.1:").next().unwrap_or_default()).collect()
}

#[test]
fn an_address_that_is_none_is_refused_before_anything_is_read() {
    let world = World::new();
    for wrong in ["127.0.0.1", "http://127.0.0.1:1/x", "local", "local[]", "local[0]", "local[many]"] {
        let (code, instead) = if wrong.starts_with("local") { ("PK717", "local[2]") } else { ("PK700", "df://host:port") };
        world.pacha(&["run", "nightly", "--cluster", wrong]).failed(2, &[code, wrong, instead]);
    }
    world.unpublished("alder");
}

#[test]
fn what_answers_and_is_no_scheduler_is_named() {
    let world = World::new();
    let store = world.server.endpoint().replace("http://", "df://");
    world.pacha(&["run", "nightly", "--cluster", &store]).failed(1, &["PK701", &store]);
}

#[test]
fn a_scheduler_of_another_build_is_refused_and_both_builds_are_named() {
    let world = World::new();
    let mut cluster = world.setup().executors(0, 1).start();
    let proxy = Proxy::to(&cluster.authority());
    let ours = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
    proxy.forge(&ours, &ours.replace(env!("CARGO_PKG_VERSION"), "9.9.9"));
    let address = format!("df://{}", proxy.authority());
    let both = ["PK702", "pacha 9.9.9 (", &format!("pacha {} (", env!("CARGO_PKG_VERSION")), "run the same build"];
    world.pacha(&["run", "nightly", "--cluster", &address]).failed(2, &both);
    // And an executor does not join it.
    let executor =
        world.pacha(&["executor", "--scheduler", &address, "--vcores", "1", "--work-dir", &cluster.work_dir(0).to_string_lossy()]);
    executor.failed(2, &both);
    assert_eq!(cluster.executors().len(), 0);
    cluster.add_executor();
}

#[test]
fn an_executor_of_another_build_is_refused_before_anything_is_read() {
    let world = World::new();
    let cluster = world.setup().executors(1, 1).start();
    let proxy = Proxy::to(&cluster.authority());
    proxy.forge("\"id\":\"pacha-", "\"id\":\"other-");
    let address = format!("df://{}", proxy.authority());
    let said = Run::start(world.command(&["run", "nightly", "--cluster", &address])).ended();
    said.failed(2, &["PK702", "executor other-", "run the same build"]);
    world.unpublished("alder");
}
