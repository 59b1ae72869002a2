//! Full disks: of an executor, which has no room for the rows that it shuffles, and of the warehouse, which has none for files.
//! A small disk is mounted where only the test sees it, which takes namespaces of the kernel.

use pacha_tests::namespace::{inside, small_disk};
use pacha_tests::s3::Server;

use crate::world::World;

/// Characters in the description of each record, so that a few records fill a small disk.
const LONG: usize = 20_000;

#[test]
fn an_executor_without_room_for_shuffled_rows_is_named_and_nothing_is_published() {
    if !inside("disk::an_executor_without_room_for_shuffled_rows_is_named_and_nothing_is_published") {
        return;
    }
    let world = World::on(Server::start(), LONG).publish();
    let mut cluster = world.setup().executors(0, 1).start();
    for executor in [0, 1] {
        let room = if executor == 0 { 64 << 10 } else { 64 << 20 };
        small_disk(&cluster.work_dir(executor), room);
        cluster.begin_executor();
    }
    cluster.registered(2);
    let said = world.start("report", &cluster).ended();
    said.failed(1, &["PR015", "the disk is full on which", "(on executor 127.0.0.1:", "--work-dir"]);
    assert_eq!(world.last_run()["cluster"]["again"].as_array().map(Vec::len), Some(3), "another executor might have had room");
    world.unpublished("shelf");
    world.is_clean();
    // With room it passes.
    cluster.kill(0);
    world.is_joined(&world.start("report", &cluster).ended());
}

#[test]
fn a_warehouse_without_room_fails_the_run_as_it_does_without_a_cluster() {
    if !inside("disk::a_warehouse_without_room_fails_the_run_as_it_does_without_a_cluster") {
        return;
    }
    let world = World::on(Server::start(), LONG);
    let disk = world.dir().join("small");
    small_disk(&disk, 256 << 10);
    let warehouse = format!("warehouse={}", disk.join("warehouse").display());
    let here = world.pacha(&["run", "nightly", "--set", &warehouse]);
    here.failed(1, &["PS504"]);
    let cluster = world.cluster();
    let there = world.pacha(&["run", "nightly", "--set", &warehouse, "--cluster", &cluster.address()]);
    there.failed(1, &["PS504", &disk.to_string_lossy()]);
    cluster.idle();
    let left = walk(&disk);
    assert!(left.iter().all(|file| file.contains("/_runs/")), "{left:?}");
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path.to_string_lossy().into_owned()) }
    }
    files
}
