//! A scheduler that dies, and comes back or not. It keeps nothing on a disk: all jobs are lost with it.

use pacha_tests::cluster::{Run, until};

use crate::world::{World, page_read, took_more};

#[test]
fn a_scheduler_that_dies_and_is_started_again_costs_an_attempt_and_no_row() {
    let world = World::new();
    let mut cluster = world.cluster();
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, page_read(executor)));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&gates.each_ref());
    cluster.kill_scheduler();
    cluster.start_scheduler();
    // Executors come back by themselves.
    cluster.registered(2);
    gates.iter().for_each(pacha_tests::s3::Gate::open);
    took_more(&world.is_mapped(&run.ended()));
    cluster.idle();
}

#[test]
fn a_scheduler_that_dies_and_does_not_come_back_fails_the_run_and_leaves_nothing() {
    let world = World::new();
    world.settings("wait = \"2s\"\n");
    let mut cluster = world.cluster();
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, page_read(executor)));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&gates.each_ref());
    cluster.kill_scheduler();
    run.ended().failed(1, &["PK701", "the scheduler at df://127.0.0.1:", "does not answer any more"]);
    world.unpublished("alder");
    assert_eq!(world.last_run()["state"], "FAILED");
    // What its tasks still write when they go on belongs to a run that is over; the next one finds a clean place.
    gates.iter().for_each(pacha_tests::s3::Gate::open);
    world.server.heal();
    cluster.start_scheduler();
    cluster.registered(2);
    let said = world.start("nightly", &cluster).ended();
    world.json(&["vacuum", "alder", "--older-than", "0s"]);
    world.is_mapped(&said);
}

#[test]
fn a_scheduler_that_is_asked_to_end_ends() {
    let world = World::new();
    let mut cluster = world.cluster();
    assert_eq!(cluster.stop_scheduler(), Some(0), "{}", cluster.said());
}

#[test]
fn without_a_scheduler_it_says_where_it_looked() {
    let world = World::new();
    let mut cluster = world.setup().executors(0, 1).start();
    let address = cluster.address();
    cluster.kill_scheduler();
    let run = || Run::start(world.command(&["run", "nightly", "--cluster", &address]));
    run().ended().failed(1, &["PK701", "no scheduler answers at df://127.0.0.1:", "pacha scheduler"]);
    world.unpublished("alder");
    // And an executor that has none gives up in the end.
    cluster.begin_executor();
    let ended = until("the executor gives up", || cluster.executor(0).status());
    assert_eq!(ended.code(), Some(1), "{}", cluster.said());
    let said = cluster.executor(0).said();
    assert!(said.contains("PK7") && said.contains(&address) && said.contains("hint: "), "{said}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let world = World::new();
    let cluster = world.setup().executors(0, 1).start();
    let authority = cluster.authority();
    world.pacha(&["scheduler", "--listen", &authority]).failed(2, &["PK711", "is taken at 127.0.0.1"]);
}

#[test]
fn two_runs_at_once_share_the_executors_and_each_has_its_rows() {
    let world = World::published();
    let cluster = world.setup().executors(2, 2).start();
    let (one, other) = (world.start("report", &cluster), world.start("nightly_twin", &cluster));
    let (one, other) = (one.ended(), other.ended());
    assert_eq!(other.json()["state"], "SUCCEEDED");
    world.is_joined(&one);
}
