//! Executors that cannot be reached: the cable is cut, so packets are lost and nobody is told, neither those who send nor
//! those who wait. The far end is a network of its own, which takes namespaces of the kernel.

use pacha_tests::cluster::{Cluster, until};
use pacha_tests::namespace::{Cable, FAR, NEAR, inside};
use pacha_tests::s3::Server;

use crate::world::{World, data_put, data_read, page_read, took_more};

/// A world at the near end, where one executor is; the other is at the far end.
fn world_and_cluster(cable: &Cable) -> (World, Cluster) {
    let world = World::on(Server::listen_at((NEAR.parse::<std::net::Ipv4Addr>().unwrap(), 0).into(), false).unwrap(), 40);
    let mut cluster = world.setup().executors(1, 1).host(NEAR).start();
    cluster.begin_executor_by(&cable.over(), FAR);
    cluster.registered(2);
    (world, cluster)
}

/// When the cable is whole again, the far executor ends or takes part, and the cluster works.
fn works_again(world: &World, cluster: &mut Cluster) {
    until("the far executor has ended, or takes part again", || {
        let ended = cluster.executor(1).status().is_some();
        (ended || cluster.executors().len() == 2).then_some(())
    });
    world.server.heal();
    let said = world.pacha(&["run", "nightly", "--force", "--cluster", &cluster.address(), "--format", "json"]);
    world.json(&["vacuum", "alder", "--older-than", "0s"]);
    world.is_mapped(&said);
}

#[test]
fn an_executor_that_is_cut_off_while_it_reads_costs_an_attempt_and_no_row() {
    if !inside("cut::an_executor_that_is_cut_off_while_it_reads_costs_an_attempt_and_no_row") {
        return;
    }
    let cable = Cable::lay();
    let (world, mut cluster) = world_and_cluster(&cable);
    let gate = world.server.hold(usize::MAX, page_read(1));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    cable.cut();
    took_more(&world.is_mapped(&run.ended()));
    gate.open();
    cable.mend();
    works_again(&world, &mut cluster);
}

#[test]
fn an_executor_that_is_cut_off_while_it_writes_costs_an_attempt_and_no_row() {
    if !inside("cut::an_executor_that_is_cut_off_while_it_writes_costs_an_attempt_and_no_row") {
        return;
    }
    let cable = Cable::lay();
    let (world, mut cluster) = world_and_cluster(&cable);
    let gate = world.server.hold(usize::MAX, data_put(1, "mapped"));
    let mut run = world.start("nightly", &cluster);
    run.reaches(&[&gate]);
    cable.cut();
    took_more(&world.is_mapped(&run.ended()));
    gate.open();
    cable.mend();
    works_again(&world, &mut cluster);
}

#[test]
fn an_executor_that_is_cut_off_with_rows_that_others_need_costs_an_attempt_and_no_row() {
    if !inside("cut::an_executor_that_is_cut_off_with_rows_that_others_need_costs_an_attempt_and_no_row") {
        return;
    }
    let cable = Cable::lay();
    let (world, mut cluster) = world_and_cluster(&cable);
    let world = world.publish();
    let gate = world.server.hold(usize::MAX, data_read(0, "mapped"));
    let mut run = world.start("report", &cluster);
    run.reaches(&[&gate]);
    cluster.all_but_one();
    cable.cut();
    gate.open();
    took_more(&world.is_joined(&run.ended()));
    cable.mend();
    works_again(&world, &mut cluster);
}
