//! The fleet on ECS against a server that others wrote: `tests/independent/run` prepares one and names it.

use std::sync::Arc;

use aws_credential_types::Credentials;
use engine::aws::Aws;
use engine::project::EcsSettings;
use pacha_tests::ecs::{CLUSTER, DEFINITION, REGION};
use scheduler::fleet::ecs::Tasks;
use scheduler::fleet::{EcsFleet, Fleet};

use super::world::members_once;

#[tokio::test]
async fn a_cluster_elsewhere_starts_finds_and_stops_executors() {
    let (Ok(endpoint), Ok(network)) = (std::env::var("PACHA_TEST_ECS_ENDPOINT"), std::env::var("PACHA_TEST_ECS_NETWORK")) else {
        eprintln!("NOT TESTED: no ECS server outside of this process; tests/independent/run has one");
        return;
    };
    let (subnet, group) = network.split_once(' ').unwrap();
    let fleet = |spot| {
        let settings = EcsSettings {
            cluster: Some(CLUSTER.into()),
            task_definition: Some(DEFINITION.into()),
            subnets: vec![subnet.to_owned()],
            security_groups: vec![group.to_owned()],
            endpoint: Some(endpoint.clone()),
            spot,
            ..EcsSettings::default()
        };
        let scheduler = "df://10.0.0.7:50050".to_owned();
        let tasks = Tasks { started_by: "pacha-elsewhere".into(), scheduler, vcores: 2, arguments: Vec::new() };
        let key = Credentials::new("testing", "testing", None, None, "test");
        EcsFleet::new(Arc::new(Aws::with_credentials(key, REGION)), settings, tasks).impatient()
    };
    let first = fleet(50);
    let started = first.start(4).await;
    assert!(started.failure.is_none(), "{:?}", started.failure);
    assert_eq!(started.members.len(), 4);
    assert!(first.members().await.unwrap().iter().all(|member| member.ended.is_none()));

    let second = fleet(50);
    let mut found: Vec<String> = second.members().await.unwrap().into_iter().map(|member| member.name).collect();
    let mut expected: Vec<String> = started.members.iter().map(|member| member.name.clone()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "a scheduler that begins anew finds them");
    second.stop(&second.members().await.unwrap()).await.unwrap();
    members_once(&second, "all have ended", <[_]>::is_empty).await;
}
