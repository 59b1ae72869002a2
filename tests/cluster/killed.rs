//! Executors that die without a word, in each phase of a run, before and after a task of theirs has ended.

use pacha_tests::cluster::{Run, until};
use pacha_tests::s3::{Fault, Gate, Request};

use crate::world::{World, data_put, data_read, page_read, took_more, took_one};

/// The first request goes on as if nothing were, the next ones wait.
fn pass_one(world: &World, when: impl Fn(&Request) -> bool + Clone + Send + Sync + 'static) -> Gate {
    world.server.fail(1, when.clone(), Fault::before(|_, _| {}));
    world.server.hold(usize::MAX, when)
}

#[test]
fn an_executor_that_dies_while_it_reads_its_first_page_costs_an_attempt_and_no_row() {
    let world = World::new();
    let mut cluster = world.cluster();
    let gate = world.server.hold(usize::MAX, page_read(0));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    cluster.kill(0);
    gate.open();
    took_more(&world.is_mapped(&run.ended()));
}

#[test]
fn an_executor_that_dies_while_it_reads_its_second_page_costs_an_attempt_and_no_row() {
    let world = World::new();
    let mut cluster = world.cluster();
    // The other one waits, so that there is a second page for this one.
    let (other, gate) = (world.server.hold(usize::MAX, page_read(1)), pass_one(&world, page_read(0)));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    cluster.stage("a task has ended", |stage| stage.successful == 1);
    cluster.kill(0);
    other.open();
    gate.open();
    took_more(&world.is_mapped(&run.ended()));
}

#[test]
fn an_executor_that_dies_while_it_writes_its_first_file_costs_an_attempt_and_no_row() {
    let world = World::new();
    let mut cluster = world.cluster();
    let gate = world.server.hold(usize::MAX, data_put(0, "mapped"));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    cluster.kill(0);
    gate.open();
    took_more(&world.is_mapped(&run.ended()));
}

#[test]
fn an_executor_that_dies_while_it_writes_its_second_file_costs_an_attempt_and_no_row() {
    let world = World::new();
    let mut cluster = world.cluster();
    let (other, gate) = (world.server.hold(usize::MAX, data_put(1, "mapped")), pass_one(&world, data_put(0, "mapped")));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    assert!(!world.strays().is_empty(), "the file of its first task is there, and no version names it yet");
    cluster.kill(0);
    other.open();
    gate.open();
    took_more(&world.is_mapped(&run.ended()));
}

#[test]
fn an_executor_that_dies_with_results_that_nobody_has_read_yet_costs_an_attempt_and_no_row() {
    let world = World::new();
    let mut cluster = world.cluster();
    let gate = world.server.hold(usize::MAX, page_read(1));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    // All others are done, by the one that dies.
    cluster.stage("one task is left", |stage| stage.partitions > 1 && stage.successful + 1 == stage.partitions);
    cluster.kill(0);
    gate.open();
    took_more(&world.is_mapped(&run.ended()));
}

#[test]
fn an_executor_that_dies_with_shuffled_rows_that_others_need_costs_an_attempt_and_no_row() {
    let world = World::published();
    let mut cluster = world.cluster();
    // The other one waits, so that this one shuffles all the rest.
    let gate = world.server.hold(usize::MAX, data_read(1, "mapped"));
    let mut run = world.start("report", &cluster);
    run.reaches(&[&gate]);
    cluster.all_but_one();
    assert!(!cluster.shuffle_files().is_empty(), "rows are shuffled");
    cluster.kill(0);
    gate.open();
    took_more(&world.is_joined(&run.ended()));
}

#[test]
fn an_executor_that_dies_while_others_read_its_rows_costs_an_attempt_and_no_row() {
    let world = World::published();
    let mut cluster = world.cluster();
    // The last stage has begun, and its tasks that are still to come need rows of both.
    let gates = [world.server.hold(usize::MAX, data_put(0, "titles")), world.server.hold(usize::MAX, data_put(1, "titles"))];
    let mut run = world.start("report", &cluster);
    run.reaches(&gates.each_ref());
    cluster.kill(0);
    gates.iter().for_each(Gate::open);
    took_more(&world.is_joined(&run.ended()));
}

#[test]
fn a_run_whose_executors_all_die_goes_on_with_new_ones() {
    let world = World::new();
    let mut cluster = world.cluster();
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, page_read(executor)));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&gates.each_ref());
    cluster.kill(0);
    cluster.kill(1);
    cluster.begin_executor();
    cluster.begin_executor();
    took_more(&world.is_mapped(&run.ended()));
}

#[test]
fn a_run_whose_executors_all_die_fails_when_none_has_come_for_as_long_as_it_may_wait() {
    let world = World::new();
    world.settings("wait = \"2s\"\n");
    let mut cluster = world.cluster();
    let gates = [0, 1].map(|executor| world.server.hold(usize::MAX, page_read(executor)));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&gates.each_ref());
    cluster.kill(0);
    cluster.kill(1);
    run.ended().failed(1, &["PK704", "no executor has come to df://127.0.0.1:", "pacha executor --scheduler df://127.0.0.1:"]);
    world.unpublished("alder");
    assert_eq!(world.last_run()["state"], "FAILED");
    // What comes later finds nothing left to do.
    cluster.add_executor();
    cluster.idle();
    world.unpublished("alder");
}

#[test]
fn an_executor_that_is_asked_to_end_finishes_its_task_and_the_run_is_not_disturbed() {
    let world = World::new();
    let mut cluster = world.setup().patient().start();
    let (other, gate) = (world.server.hold(usize::MAX, page_read(1)), world.server.hold(usize::MAX, page_read(0)));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate, &other]);
    cluster.terminate(0);
    until("it takes no more tasks", || cluster.executors().iter().any(|executor| executor.terminating).then_some(()));
    gate.open();
    other.open();
    took_one(&world.is_mapped(&run.ended()));
    assert_eq!(cluster.executor(0).ended(std::time::Duration::from_secs(60)), Some(0));
}

#[test]
fn a_record_that_occurs_twice_on_two_executors_is_published_once() {
    let world = World::new();
    let first = world.server.buckets.get("raw", "letters/page-0.xml").unwrap();
    let text = String::from_utf8(first.to_vec()).unwrap();
    // The record of the first page again in the last of its collection, as a server lists what has changed meanwhile.
    let again = String::from_utf8(world.server.buckets.get("raw", "letters/page-2.xml").unwrap().to_vec()).unwrap();
    world.server.buckets.put("raw", "letters/page-2.xml", again.replace("letters_/21", "letters_/01"));
    assert!(text.contains("letters_/01"));
    let cluster = world.cluster();
    let said = world.start("nightly", &cluster).ended();
    let record = said.json();
    assert_eq!(record["counts"]["duplicates"], 1, "{record:#}");
    let twin = world.json(&["run", "nightly_twin"]);
    assert_eq!(record["counts"], twin["counts"]);
    world.is_clean();
    let rows = world.json(&["sql", "SELECT count(*) AS n, count(DISTINCT record_id) AS ids FROM alder.mapped"]);
    assert_eq!(rows[0]["n"], rows[0]["ids"], "{rows}");
}

#[test]
fn executors_that_die_at_any_moment_cost_attempts_and_no_row() {
    let world = World::new();
    // One is left whatever happens, and each that died is followed by another.
    world.settings("attempts = 10\n");
    let mut cluster = world.setup().executors(3, 1).start();
    let mut alive = vec![0, 1, 2];
    let mut random: u64 = 0x5eed;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for turn in 0..4 {
        world.server.forget();
        let mut run = Run::start(world.command(&["run", "nightly", "--force", "--cluster", &cluster.address(), "--format", "json"]));
        // The moment is the fault itself, told by what was asked of the store by then: nothing below depends on it.
        let requests = 5 + next(60) as usize;
        until("the run has come so far, or to its end", || (world.server.requests().len() >= requests || run.over()).then_some(()));
        let dies = alive.swap_remove(next(2) as usize);
        cluster.kill(dies);
        alive.push(cluster.begin_executor());
        let said = run.ended();
        assert_eq!(said.code, Some(0), "turn {turn}, killed after {requests} requests: {said}");
        world.is_mapped(&said);
    }
}
