//! An executor and a scheduler that is none, or another.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use axum::routing::get;
use axum::{Json, Router};
use engine::project::Project;
use engine::session::cluster_session;

use super::*;

/// Answers for a scheduler.
async fn double(router: Router) -> Address {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Address { host: "127.0.0.1".into(), port }
}

/// What becomes of an executor of that scheduler.
async fn fate(scheduler: Address, listen: [u8; 4], wait: Duration) -> String {
    let session = cluster_session(&Arc::new(Project::bare(Path::new("."))), 1).unwrap();
    let options = ExecutorOptions {
        scheduler,
        name: None,
        listen: listen.into(),
        advertise: None,
        port: 0,
        grpc_port: 0,
        vcores: 1,
        work_dir: None,
        allow_plaintext: false,
        wait,
        grace: Duration::ZERO,
        metrics: None,
        heartbeat: Duration::from_secs(5),
    };
    let ended = Box::pin(serve(&options, &session, |_| panic!("it takes tasks"), std::future::pending())).await;
    ended.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_of_another_build_is_refused_and_both_are_named() {
    let other = Identity { version: "9.9.9".into(), build: "4a1f".into(), ..Identity::current() };
    let scheduler = double(Router::new().route(IDENTITY, get(async move || Json(other)))).await;
    let fate = fate(scheduler.clone(), [127, 0, 0, 1], Duration::ZERO).await;
    let ours = format!("this executor is pacha {}", Identity::current());
    let theirs = format!("the scheduler at {scheduler} is pacha 9.9.9 (4a1f, ");
    assert!(fate.contains("PK702") && fate.contains(&ours) && fate.contains(&theirs), "{fate}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_is_not_there_is_waited_for_and_named() {
    let gone = double(Router::new()).await;
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    for (scheduler, why) in [(gone, "does not know"), (Address { host: "127.0.0.1".into(), port: free }, "refused")] {
        let named = scheduler.to_string();
        let begun = Instant::now();
        let fate = fate(scheduler, [127, 0, 0, 1], Duration::from_millis(300)).await;
        assert!(begun.elapsed() >= Duration::from_millis(300));
        assert!(fate.contains("PK713") && fate.contains(why) && (fate.contains(&named) || why != "refused"), "{fate}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_other_machines_would_reach_does_not_begin() {
    let nowhere = Address { host: "127.0.0.1".into(), port: 9 };
    let fate = fate(nowhere, [0, 0, 0, 0], Duration::from_secs(60)).await;
    assert!(fate.contains("PK710") && fate.contains("--allow-plaintext"), "{fate}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_does_not_take_an_executor_is_named_with_its_reason() {
    // It has the right build, but does not know gRPC.
    let scheduler = double(Router::new().route(IDENTITY, get(async || Json(Identity::current())))).await;
    let address = SocketAddr::from(([127, 0, 0, 1], scheduler.port)).to_string();
    let fate = fate(scheduler, [127, 0, 0, 1], Duration::ZERO).await;
    assert!(fate.contains("PK715") && fate.contains(&address), "{fate}");
}
