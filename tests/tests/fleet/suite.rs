//! What every fleet must do, given one whose executors are the scripts of a world.

use pacha_tests::ecs::FakeEcs;
use scheduler::fleet::Fleet;

use super::world::{World, members_once, processes, tasks, until, with_scripts};

async fn suite(fleet: &dyn Fleet, world: &World) {
    assert_eq!(fleet.members().await.unwrap(), []);

    let started = fleet.start(3).await;
    assert!(started.failure.is_none(), "{:?}", started.failure);
    assert_eq!(started.members.len(), 3);
    let (first, second, third) = (&started.members[0], &started.members[1], &started.members[2]);
    assert!(first.name != second.name && second.name != third.name && first.place != second.place);
    let members = fleet.members().await.unwrap();
    assert_eq!(members.len(), 3);
    for member in &started.members {
        assert!(members.contains(member), "{member:?} is not in {members:?}");
        let arguments = world.arguments(&member.name).await;
        assert!(arguments.starts_with("executor --scheduler df://"), "{arguments}");
        assert!(arguments.contains(&format!(" --name {} --vcores 2", member.name)), "{arguments}");
    }

    fleet.stop(std::slice::from_ref(second)).await.unwrap();
    let members = members_once(fleet, "the second has ended", |members| {
        members.iter().any(|member| member.name == second.name && member.ended.is_some())
    })
    .await;
    assert_eq!(members.iter().filter(|member| member.ended.is_none()).count(), 2, "only that one was asked: {members:?}");
    assert!(!fleet.members().await.unwrap().iter().any(|member| member.name == second.name), "an end is told once");
    fleet.stop(std::slice::from_ref(second)).await.unwrap();

    world.crash();
    let started = fleet.start(1).await;
    let crashed = &started.members[0];
    let members = members_once(fleet, "the fourth has ended", |members| {
        members.iter().any(|member| member.name == crashed.name && member.ended.is_some())
    })
    .await;
    let why = members.iter().find(|member| member.name == crashed.name).and_then(|member| member.ended.as_deref()).unwrap();
    assert!(why.contains('3'), "the exit code is told: {why}");

    fleet.stop(&started.members).await.unwrap();
    fleet.stop(&[first.clone(), third.clone()]).await.unwrap();
    members_once(fleet, "all have ended", <[_]>::is_empty).await;
}

#[tokio::test]
async fn processes_and_tasks_of_ecs_pass_the_suite() {
    let world = World::new();
    suite(&processes(&world), &world).await;

    let (world, ecs) = (World::new(), FakeEcs::start().unwrap());
    with_scripts(&ecs, &world);
    suite(&tasks(&ecs), &world).await;
}

#[tokio::test]
async fn processes_end_when_their_fleet_does_however_it_ends() {
    let world = World::new();
    let fleet = processes(&world);
    let started = fleet.start(2).await;
    let mut numbers = Vec::new();
    for member in &started.members {
        world.arguments(&member.name).await;
        numbers.push(member.place.strip_prefix("process ").unwrap().to_owned());
    }
    drop(fleet);
    for number in numbers {
        // An ended process stays as a zombie (Z) until this one does.
        until("its process has ended", async || match std::fs::read_to_string(format!("/proc/{number}/stat")) {
            Ok(stat) => stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('Z')).then_some(()),
            Err(_) => Some(()),
        })
        .await;
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let fleet = scheduler::fleet::ProcessFleet::new(Box::new(|_| std::process::Command::new("/nowhere/pacha")));
    let started = fleet.start(2).await;
    let text = started.failure.unwrap().to_string();
    assert!(started.members.is_empty() && text.starts_with("PK748 no executor can be started: /nowhere/pacha: No such file"), "{text}");
}
