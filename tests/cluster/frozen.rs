//! Executors that hang: they say nothing, keep their connections, and wake when everybody has given them up.

use pacha_tests::cluster::{Signal, until};
use pacha_tests::s3::Gate;

use crate::world::{LAKE, World, data_put, page_read, took_more, took_one};

#[test]
fn an_executor_that_hangs_while_it_writes_is_given_up_and_what_it_writes_later_is_not_seen() {
    let world = World::new();
    let mut cluster = world.cluster();
    let gate = world.server.hold(usize::MAX, data_put(0, "mapped"));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    cluster.freeze(0);
    let said = run.ended();
    took_more(&world.is_mapped(&said));
    let version = world.version("alder");
    // Its file arrives when the run is long over, and it wakes.
    gate.open();
    world.server.heal();
    cluster.wake(0);
    until("it has ended, or takes part again", || {
        let ended = cluster.executor(0).status().is_some();
        (ended || cluster.executors().len() == 2).then_some(())
    });
    assert_eq!(world.version("alder"), version);
    world.json(&["vacuum", "alder", "--older-than", "0s"]);
    world.is_clean();
    // The cluster works on.
    let again = world.pacha(&["run", "nightly", "--force", "--cluster", &cluster.address(), "--format", "json"]);
    world.is_mapped(&again);
}

#[test]
fn an_executor_that_hangs_while_others_need_its_rows_doubles_none() {
    let world = World::published();
    let mut cluster = world.cluster();
    let gates = [world.server.hold(usize::MAX, data_put(0, "titles")), world.server.hold(usize::MAX, data_put(1, "titles"))];
    let mut run = world.start("report", &cluster);
    run.reaches(&gates.each_ref());
    cluster.freeze(0);
    gates[1].open();
    let said = run.ended();
    gates[0].open();
    cluster.wake(0);
    took_more(&said.json());
    until("it has ended, or takes part again", || {
        let ended = cluster.executor(0).status().is_some();
        (ended || cluster.executors().len() == 2).then_some(())
    });
    // What it had under way when it hung may have arrived after the commit.
    world.json(&["vacuum", "shelf", "--older-than", "0s"]);
    world.is_joined(&said);
}

#[test]
fn an_executor_that_hangs_for_less_than_the_timeout_costs_nothing() {
    let world = World::new();
    let cluster = world.setup().patient().start();
    let gate = world.server.hold(1, page_read(0));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    cluster.freeze(0);
    gate.open();
    cluster.stage("the other one has done the rest", |stage| stage.successful + 1 == stage.partitions);
    cluster.wake(0);
    took_one(&world.is_mapped(&run.ended()));
}

#[test]
fn a_task_that_is_told_to_end_before_it_has_begun_ends_too() {
    let world = World::new();
    let cluster = world.setup().patient().start();
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, page_read(executor)));
    // They are given tasks, and told to end them, before they look.
    [0, 1].iter().for_each(|executor| cluster.freeze(*executor));
    let run = world.start("nightly", &cluster);
    cluster.stage("both are given tasks", |stage| stage.running > 1);
    run.signal(Signal::INT);
    run.ended().failed(1, &["PR001", "the run was stopped", "nothing was published"]);
    [0, 1].iter().for_each(|executor| cluster.wake(*executor));
    cluster.idle();
    gates.iter().for_each(Gate::open);
    world.unpublished("alder");
}

#[test]
fn a_unit_of_which_no_task_ends_is_given_up_and_submitted_again() {
    let world = World::new();
    world.settings("no_progress = \"2s\"\n");
    let cluster = world.cluster();
    // Its executor is well, and says so; only this page never comes.
    let gate = world.server.hold(1, page_read(0));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    let again = took_more(&world.is_mapped(&run.ended()));
    assert!(again[0].contains("no task has begun or ended for 2 s"), "{again:?}");
    gate.open();
}

#[test]
fn a_unit_that_never_comes_to_its_end_fails_the_run_and_leaves_nothing() {
    let world = World::new();
    world.settings("no_progress = \"1s\"\nattempts = 2\n");
    let cluster = world.cluster();
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, page_read(executor)));
    let said = world.start("nightly", &cluster).ended();
    said.failed(1, &["PK731", "no task has begun or ended for 1 s", "cluster.no_progress"]);
    assert_eq!(world.last_run()["cluster"]["again"].as_array().map(Vec::len), Some(2));
    world.unpublished("alder");
    gates.iter().for_each(Gate::open);
    cluster.idle();
    let keys = world.server.buckets.keys(LAKE, "warehouse/alder/");
    assert!(keys.iter().all(|key| key.contains("/_runs/")), "{keys:?}");
}
