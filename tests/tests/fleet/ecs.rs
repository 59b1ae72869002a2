//! What the fleet on ECS promises: what it asks for, faults, Spot, and executors of an earlier scheduler.

use engine::project::EcsSettings;
use pacha_tests::ecs::{FakeEcs, Fault};
use scheduler::fleet::Fleet;
use serde_json::json;

use super::world::{tasks, tasks_for, tasks_of, tasks_with};

#[tokio::test]
async fn an_executor_is_one_request_with_all_that_was_set() {
    let ecs = FakeEcs::start().unwrap();
    let fleet = tasks_with(&ecs, |settings| {
        settings.security_groups = vec!["sg-1".into()];
        settings.assign_public_ip = true;
    });
    let started = fleet.start(1).await;
    let name = &started.members[0].name;
    assert_eq!(started.members[0].place, "ECS task library/00000000000000000000000000000001");
    let [request] = &ecs.asked("RunTask")[..] else { panic!("one request") };
    let command = json!(["executor", "--scheduler", "df://10.0.0.7:50050", "--name", name, "--vcores", "2", "--allow-plaintext"]);
    let wanted = json!({
        "cluster": "library",
        "taskDefinition": "pacha-executor",
        "count": 1,
        "clientToken": format!("{name}-d"),
        "startedBy": "pacha-nightly",
        "capacityProviderStrategy": [{ "capacityProvider": "FARGATE", "weight": 1 }],
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "ENABLED" } },
        "overrides": { "containerOverrides": [{ "name": "pacha", "command": command }] },
    });
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&request[key], value, "{key}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_starts_nobody_twice() {
    let ecs = FakeEcs::start().unwrap();
    let fleet = tasks(&ecs);
    ecs.fail("RunTask", 1, &Fault::Lost);
    let started = fleet.start(1).await;
    assert!(started.failure.is_none(), "{:?}", started.failure);
    assert_eq!((ecs.asked("RunTask").len(), ecs.tasks().len()), (2, 1));
}

#[tokio::test]
async fn a_task_that_is_shown_late_is_no_lost_one() {
    let ecs = FakeEcs::start().unwrap();
    let fleet = tasks(&ecs);
    let started = fleet.start(1).await;
    ecs.hide_new(2);
    for _ in 0..3 {
        assert_eq!(fleet.members().await.unwrap(), started.members);
    }
}

#[tokio::test]
async fn a_scheduler_that_begins_anew_finds_the_executors_of_the_earlier_one() {
    let ecs = FakeEcs::start().unwrap();
    let before = tasks_with(&ecs, |settings| settings.spot = 50).start(7).await.members;
    ecs.crash(&ecs.tasks()[0].arn, 1);
    let gone = &ecs.tasks()[0].command[4];
    tasks_of("others", &ecs, |_| {}).start(1).await;
    tasks_for("df://10.0.0.8:50050", "pacha-nightly", &ecs, |_| {}).start(1).await;

    let fleet = tasks_with(&ecs, |settings| settings.spot = 50);
    let mut found: Vec<String> = fleet.members().await.unwrap().into_iter().map(|member| member.name).collect();
    let mut expected: Vec<String> = before.into_iter().map(|member| member.name).filter(|name| name != gone).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "six of seven, over two pages, and none of the other fleet or scheduler");
    let members = fleet.members().await.unwrap();
    fleet.stop(&members).await.unwrap();
    assert_eq!(ecs.tasks().iter().filter(|task| task.status == "RUNNING").count(), 2, "the other fleet's and the other scheduler's");
}

#[tokio::test]
async fn a_share_of_the_executors_is_on_spot_and_those_that_spot_has_not_are_not() {
    let ecs = FakeEcs::start().unwrap();
    let fleet = tasks_with(&ecs, |settings| settings.spot = 70);
    let on_spot = || ecs.tasks().iter().filter(|task| task.provider == "FARGATE_SPOT").count();
    fleet.start(1).await;
    assert_eq!(on_spot(), 1);
    fleet.start(9).await;
    assert_eq!((on_spot(), ecs.tasks().len()), (7, 10));

    ecs.fail("RunTask", 20, &Fault::Item("FARGATE_SPOT", "Capacity is unavailable at this time. Please try again later"));
    let started = fleet.start(10).await;
    assert!(started.failure.is_none(), "{:?}", started.failure);
    assert_eq!((started.members.len(), on_spot(), ecs.tasks().len()), (10, 7, 20));
}

#[tokio::test]
async fn a_reclaimed_machine_and_a_crash_are_told_apart() {
    let ecs = FakeEcs::start().unwrap();
    let fleet = tasks_with(&ecs, |settings| settings.spot = 100);
    let started = fleet.start(2).await;
    assert_eq!(fleet.members().await.unwrap().len(), 2);
    let [first, second] = &ecs.tasks()[..] else { panic!("two tasks") };
    ecs.reclaim(&first.arn);
    ecs.crash(&second.arn, 137);
    let members = fleet.members().await.unwrap();
    let why = |command: &[String]| {
        let member = members.iter().find(|member| member.name == command[4]);
        member.and_then(|member| member.ended.clone()).unwrap()
    };
    assert_eq!(why(&first.command), "Fargate Spot took its machine back");
    assert_eq!(why(&second.command), "Essential container in task exited; pacha ended with exit code 137");
    assert!(fleet.members().await.unwrap().is_empty() && started.members.len() == 2);
}

#[tokio::test]
async fn what_is_throttled_or_broken_for_a_moment_is_asked_again() {
    let ecs = FakeEcs::start().unwrap();
    let fleet = tasks(&ecs);
    ecs.fail("RunTask", 2, &Fault::throttled());
    ecs.fail("ListTasks", 2, &Fault::Refuse(500, "ServerException", "Service Unavailable. Please try again later."));
    let started = fleet.start(2).await;
    assert!(started.failure.is_none(), "{:?}", started.failure);
    assert_eq!((started.members.len(), ecs.tasks().len()), (2, 2));
    assert_eq!(fleet.members().await.unwrap().len(), 2);
}

/// The message of a start that meets a fault, or a setting that is wrong.
async fn refusal(fault: Option<Fault>, change: impl FnOnce(&mut EcsSettings)) -> String {
    let ecs = FakeEcs::start().unwrap();
    if let Some(fault) = fault {
        ecs.fail("RunTask", 20, &fault);
    }
    let started = tasks_with(&ecs, change).start(1).await;
    assert!(started.members.is_empty());
    started.failure.unwrap().to_string()
}

#[tokio::test]
async fn a_refusal_says_the_action_what_it_was_about_and_what_to_do() {
    let denied = |text| Some(Fault::Refuse(400, "AccessDeniedException", text));
    let run = "User: arn:aws:sts::123456789012:assumed-role/night/x is not authorized to perform: ecs:RunTask on resource: \
               arn:aws:ecs:us-east-1:123456789012:task-definition/pacha-executor:3 because no identity-based policy allows it";
    let pass = "User: arn:aws:sts::123456789012:assumed-role/night/x is not authorized to perform: iam:PassRole on resource: \
                arn:aws:iam::123456789012:role/pacha-executor because no identity-based policy allows it";
    let cases = [
        (
            denied(run),
            "PK743 access denied: this identity may not do ecs:RunTask on arn:aws:ecs:us-east-1:123456789012:task-definition/pacha-executor:3 (pacha-executor in cluster library); hint: allow it in the policy",
        ),
        (
            denied(pass),
            "PK743 access denied: this identity may not do iam:PassRole on arn:aws:iam::123456789012:role/pacha-executor (pacha-executor",
        ),
        (
            Some(Fault::Item("FARGATE", "RESOURCE:CPU")),
            "PK744 AWS has no room for a task of pacha-executor in cluster library now: RESOURCE:CPU; hint: name subnets",
        ),
        (
            Some(Fault::Refuse(400, "ClientException", "You've reached the limit on the number of vCPUs you can run concurrently")),
            "PK744 AWS has no room for a task of pacha-executor in cluster library now: You've reached the limit on the number of vCPUs you can run concurrently; hint: ask for a higher limit",
        ),
        (
            Some(Fault::throttled()),
            "PK745 ECS answers too slowly for what is asked of it: ecs:RunTask of pacha-executor in cluster library was throttled",
        ),
        (
            Some(Fault::broken()),
            "PK746 ECS failed at ecs:RunTask of pacha-executor in cluster library, again and again: InternalServiceException (status 500)",
        ),
        (
            Some(Fault::Refuse(400, "UnrecognizedClientException", "The security token included in the request is invalid.")),
            "PK749 ECS does not accept the credentials at ecs:RunTask of pacha-executor in cluster library: The security token included in the request is invalid",
        ),
    ];
    for (fault, message) in cases {
        let text = refusal(fault, |_| {}).await;
        assert!(text.starts_with(message), "{text}\nis not\n{message}");
        assert!(text.contains("; hint: "), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_setting_is_named_in_the_hint() {
    let of = async |change: fn(&mut EcsSettings)| refusal(None, change).await;
    let text = of(|settings| settings.cluster = Some("libary".into())).await;
    assert!(text.contains("PK747 ECS refuses ecs:RunTask of pacha-executor in cluster libary: Cluster not found"), "{text}");
    assert!(text.contains("hint: check cluster in [fleet.ecs]"), "{text}");
    let text = of(|settings| settings.task_definition = Some("pacha".into())).await;
    assert!(text.contains("TaskDefinition not found") && text.contains("hint: check task_definition in [fleet.ecs]"), "{text}");
    let text = of(|settings| settings.container = Some("app".into())).await;
    assert!(text.contains("hint: check container in [fleet.ecs]"), "{text}");
    let text = of(|settings| settings.subnets = vec!["sub-1".into()]).await;
    assert!(text.contains("hint: check subnets in [fleet.ecs]"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let text = refusal(None, |settings| settings.endpoint = Some("http://127.0.0.1:9".into())).await;
    assert!(text.starts_with("PK746 ECS cannot be reached at http://127.0.0.1:9 for pacha-executor in cluster library: "), "{text}");
}

#[tokio::test]
async fn an_idle_fleet_on_ecs_asks_little() {
    let ecs = FakeEcs::start().unwrap();
    let fleet = tasks_of("pacha nightly.2", &ecs, |_| {});
    for _ in 0..50 {
        assert!(fleet.members().await.unwrap().is_empty());
    }
    assert_eq!(ecs.requests().len(), 1, "one list, and nothing to describe");
    assert_eq!(ecs.asked("ListTasks")[0]["startedBy"], "pachanightly2", "what ECS does not allow is left out");
}
