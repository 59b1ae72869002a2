//! The process that runs a job dies, is stopped, or stops: its tasks end with it, and nothing that it wrote is seen.

use pacha_tests::cluster::proxy::Proxy;
use pacha_tests::cluster::{Cluster, Run, Signal};
use pacha_tests::s3::Gate;

use crate::world::{LAKE, World, data_put, page_read};

/// A run that has come to its first files: all executors wait there.
fn writing(world: &World, cluster: &Cluster) -> (Run, [Gate; 2]) {
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, data_put(executor, "mapped")));
    let mut run = world.start("nightly", cluster);
    run.reaches(&gates.each_ref());
    (run, gates)
}

#[test]
fn a_run_that_is_killed_leaves_no_version_and_the_next_ends_its_tasks_and_removes_its_files() {
    let world = World::new();
    let cluster = world.cluster();
    let (run, gates) = writing(&world, &cluster);
    let dead = cluster.open_jobs().remove(0);
    run.kill();
    assert_eq!(world.last_run()["state"], "FAILED");
    world.server.heal();
    gates.iter().for_each(Gate::open);
    let said = world.start("nightly", &cluster).ended();
    world.is_mapped(&said);
    cluster.idle();
    assert_ne!(world.last_run()["id"].as_str(), dead.name.split('/').next());
}

#[test]
fn the_tasks_of_a_run_that_is_killed_end_though_no_other_run_comes() {
    let world = World::new();
    let cluster = world.setup().scheduler(&["--client-timeout", "2s"]).start();
    let (run, gates) = writing(&world, &cluster);
    run.kill();
    cluster.idle();
    gates.iter().for_each(Gate::open);
    let keys = world.server.buckets.keys(LAKE, "warehouse/alder/_commits/");
    assert_eq!(keys, Vec::<String>::new());
}

#[test]
fn ctrl_c_ends_every_task_and_leaves_nothing() {
    let world = World::new();
    let cluster = world.cluster();
    let (run, gates) = writing(&world, &cluster);
    run.signal(Signal::INT);
    let said = run.ended();
    said.failed(1, &["PR001", "the run was stopped", "nothing was published"]);
    assert!(cluster.open_jobs().is_empty(), "its job goes on: {:?}", cluster.open_jobs());
    gates.iter().for_each(Gate::open);
    cluster.idle();
    assert_eq!(world.last_run()["state"], "STOPPED");
    world.unpublished("alder");
    world.server.heal();
    world.is_mapped(&world.start("nightly", &cluster).ended());
}

#[test]
fn a_job_that_is_being_submitted_when_the_run_is_stopped_ends_too() {
    let world = World::new();
    let cluster = world.cluster();
    let proxy = Proxy::to(&cluster.authority());
    let begins = world.server.hold(1, |request| request.method == "PUT" && request.path.contains("/_runs/"));
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, page_read(executor)));
    let address = format!("df://{}", proxy.authority());
    let mut run = Run::start(world.command(&["run", "nightly", "--cluster", &address, "--format", "json"]));
    run.reaches(&[&begins]);
    proxy.cut();
    begins.open();
    // What it says next is the plan of a unit.
    proxy.holds();
    run.signal(Signal::INT);
    proxy.mend();
    run.ended().failed(1, &["PR001", "the run was stopped", "nothing was published"]);
    assert!(cluster.open_jobs().is_empty(), "its job goes on: {:?}", cluster.open_jobs());
    gates.iter().for_each(Gate::open);
    cluster.idle();
    world.unpublished("alder");
}

#[test]
fn a_run_is_stopped_from_another_process() {
    let world = World::new();
    let cluster = world.cluster();
    let (run, gates) = writing(&world, &cluster);
    let id = world.last_run()["id"].as_str().unwrap().to_owned();
    let stop = world.pacha(&["stop", &id]);
    assert_eq!(stop.code, Some(0), "{stop}");
    run.ended().failed(1, &["PR001", "the run was stopped"]);
    gates.iter().for_each(Gate::open);
    cluster.idle();
    assert_eq!(world.last_run()["state"], "STOPPED");
    world.unpublished("alder");
    // A run that is over stays as it is.
    let again = world.json(&["stop", &id]);
    assert_eq!(again["state"], "STOPPED", "{again:#}");
}

#[test]
fn a_run_that_cannot_reach_its_scheduler_for_a_while_goes_on_when_it_can() {
    let world = World::new();
    let cluster = world.cluster();
    let proxy = Proxy::to(&cluster.authority());
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, page_read(executor)));
    let address = format!("df://{}", proxy.authority());
    let mut run = Run::start(world.command(&["run", "nightly", "--cluster", &address, "--format", "json"]));
    run.reaches(&gates.each_ref());
    proxy.hang_up();
    gates.iter().for_each(Gate::open);
    world.is_mapped(&run.ended());
}

#[test]
fn a_run_whose_scheduler_is_cut_off_fails_or_goes_on_but_does_not_hang() {
    let world = World::new();
    world.settings("wait = \"2s\"\n");
    let cluster = world.cluster();
    let proxy = Proxy::to(&cluster.authority());
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, page_read(executor)));
    let address = format!("df://{}", proxy.authority());
    let mut run = Run::start(world.command(&["run", "nightly", "--cluster", &address, "--format", "json"]));
    run.reaches(&gates.each_ref());
    proxy.cut();
    run.ended().failed(1, &["PK701", "does not answer any more"]);
    world.unpublished("alder");
    gates.iter().for_each(Gate::open);
    proxy.mend();
    cluster.idle();
    world.server.heal();
    let said = world.start("nightly", &cluster).ended();
    world.json(&["vacuum", "alder", "--older-than", "0s"]);
    world.is_mapped(&said);
}
