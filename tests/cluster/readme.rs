//! The README's three commands for a cluster, as they stand there: a scheduler, two executors, the sample job.

use std::path::Path;
use std::process::Command;

use pacha_tests::cluster::{Run, Terminal, http, run, until};
use serde_json::Value;

use crate::PACHA;

/// The commands of the README that name a cluster, each as it is typed.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("\n```")).map(|(block, _)| block);
    let block = blocks.into_iter().find(|block| block.contains("pacha scheduler")).expect("the README has commands for a cluster");
    block.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_readme_s_three_commands_run_the_sample_job_on_two_executors_as_it_runs_without() {
    let commands = commands();
    let [scheduler, executors, job] = commands.as_slice() else { panic!("three commands, not {commands:#?}") };
    assert!(scheduler.starts_with("pacha scheduler") && executors.matches("pacha executor").count() == 2, "{commands:#?}");
    assert!(job.ends_with("pacha --project demo run nightly --cluster df://127.0.0.1:50050"), "{commands:#?}");

    let place = tempfile::tempdir().unwrap();
    // On a port that is free here, whoever else may run a scheduler on this machine.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shell = || {
        let mut shell = Command::new("sh");
        run::without_settings(&mut shell);
        let path = format!("{}:{}", Path::new(PACHA).parent().unwrap().display(), std::env::var("PATH").unwrap());
        shell.current_dir(place.path()).env("PATH", path);
        shell
    };
    let authority = format!("127.0.0.1:{port}");
    let scheduler = scheduler.replace("pacha scheduler", &format!("pacha scheduler --listen {authority}"));
    let there = |command: &str| command.replace("127.0.0.1:50050", &authority);
    let _scheduler = Terminal::open(&scheduler, shell());
    until("the scheduler answers", || http::get(&authority, "/healthz").ok().filter(|answer| answer.status == 200));
    let _executors = Terminal::open(&there(executors), shell());
    until("two executors are registered", || {
        let listed: Value = serde_json::from_str(&http::body(&authority, "/pacha/executors").ok()?).ok()?;
        (listed.as_array().map(Vec::len) == Some(2)).then_some(())
    });
    let there = Run::start({
        let mut shell = shell();
        shell.args(["-c", &there(job)]);
        shell
    })
    .ended();
    assert_eq!(there.code, Some(0), "{there}");
    let here =
        Command::new(PACHA).args(["--project", "demo", "--set", "warehouse=here", "run", "nightly"]).current_dir(place.path()).output();
    let here = String::from_utf8(here.unwrap().stdout).unwrap();
    assert_eq!(accounts(&there.stdout), accounts(&here));
    assert!(accounts(&here).iter().any(|line| line.starts_with("131 in = 116 mapped")), "{here}");
}

/// What a run says of its records.
fn accounts(printed: &str) -> Vec<&str> {
    printed.lines().filter(|line| line.contains(" in = ")).map(str::trim).collect()
}
