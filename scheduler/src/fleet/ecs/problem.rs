//! What an answer of ECS means to whoever operates the fleet: what failed, on what, and what to do.
//!
//! The SDK's own texts name its inner workings; what helps is the permission that is missing, the subnet that does not
//! exist, or that there are no machines to be had at the moment.

use std::error::Error as StdError;

use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecs::types::{Failure, Task, TaskStopCode};
use engine::aws::answer::{IDENTITY, LOG_IN, Silence, THROTTLED, plain, silence};
use schemas::problem::Problem;

/// Parts of texts that mean that there is nothing to be had now; ECS has no code of its own for it.
const CAPACITY: [&str; 4] = ["capacity is unavailable", "insufficient capacity", "limit on the number of vcpus", "resource:"];

const POLICY: &str = "allow it in the policy of the scheduler's role: scheduler/deploy/ecs/scheduler-policy.json is the whole of it";

/// What happened to a request: `action` is ECS's word, `place` what it was about, `endpoint` the server.
pub(super) fn refused<E>(error: &SdkError<E>, action: &str, place: &str, endpoint: &str) -> Problem
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let SdkError::ServiceError(answer) = error else { return no_answer(error, place, endpoint) };
    let code = answer.err().code().unwrap_or_default();
    let text = answer.err().message().unwrap_or_default();
    if let Some(problem) = said(code, text, action, place) {
        return problem;
    }
    let status = answer.raw().status().as_u16();
    if status >= 500 || code.is_empty() {
        let what = if code.is_empty() { "no reason given" } else { code };
        return Problem::error("PK746", format!("ECS failed at ecs:{action} of {place}, again and again: {what} (status {status})"))
            .hint("this is ECS's own fault: the fleet tries again by itself");
    }
    let hint = remedy(code, &text.to_lowercase());
    Problem::error("PK747", format!("ECS refuses ecs:{action} of {place}: {} ({code})", plain(text))).hint(hint)
}

/// What to do about a request that names something wrong.
fn remedy(code: &str, text: &str) -> &'static str {
    let hints = [
        (
            "capacity provider",
            "give them to the cluster: aws ecs put-cluster-capacity-providers --cluster CLUSTER --capacity-providers FARGATE FARGATE_SPOT \
             --default-capacity-provider-strategy capacityProvider=FARGATE",
        ),
        ("container named", "check container in [fleet.ecs]: it is the name of a container of the task definition"),
        ("taskdefinition", "check task_definition in [fleet.ecs]; scheduler/deploy/ecs has one to register"),
        ("task definition", "check task_definition in [fleet.ecs]; scheduler/deploy/ecs has one to register"),
        ("subnet", "check subnets in [fleet.ecs]"),
        ("security group", "check security_groups in [fleet.ecs]"),
        ("cluster", "check cluster in [fleet.ecs] and region in [aws]"),
    ];
    let found = hints.iter().find(|(part, _)| text.contains(part) || (*part == "cluster" && code == "ClusterNotFoundException"));
    found.map_or("check [fleet.ecs] of pacha.toml against scheduler/deploy/ecs", |(_, hint)| hint)
}

/// Whether there is nothing to be had now, which another kind of capacity may have.
pub(super) fn is_capacity(problem: &Problem) -> bool {
    problem.code == "PK744"
}

/// Why a task was not placed although the request was taken.
pub(super) fn not_placed(failures: &[Failure], place: &str) -> Problem {
    let failure = failures.first();
    let reason = failure.and_then(Failure::reason).unwrap_or("no reason given");
    let detail = failure.and_then(Failure::detail).map_or(String::new(), |detail| format!(": {}", plain(detail)));
    let text = format!("{}{detail}", plain(reason));
    capacity(&text, place).unwrap_or_else(|| {
        Problem::error("PK747", format!("ECS has not started a task of {place}: {text}"))
            .hint("check [fleet.ecs] of pacha.toml against scheduler/deploy/ecs")
    })
}

fn capacity(text: &str, place: &str) -> Option<Problem> {
    let lower = text.to_lowercase();
    if !CAPACITY.iter().any(|part| lower.contains(part)) {
        return None;
    }
    let problem = Problem::error("PK744", format!("AWS has no room for a task of {place} now: {}", plain(text)));
    let hint = if lower.contains("limit on the number") {
        "ask for a higher limit: Service Quotas, AWS Fargate, vCPU resource count; until then set max in [fleet] lower"
    } else {
        "name subnets of more availability zones in [fleet.ecs], or set spot lower; the fleet tries again by itself"
    };
    Some(problem.hint(hint))
}

/// What a refusal means that everybody meets some day.
fn said(code: &str, text: &str, action: &str, place: &str) -> Option<Problem> {
    if code == "AccessDeniedException" || code == "AccessDenied" {
        let wanted = if text.contains("iam:PassRole") { "iam:PassRole".to_owned() } else { format!("ecs:{action}") };
        let on = text.split("on resource: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
        let on = if on.is_empty() { String::new() } else { format!(" on {}", on.trim_end_matches('.')) };
        return Some(Problem::error("PK743", format!("access denied: this identity may not do {wanted}{on} ({place})")).hint(POLICY));
    }
    if THROTTLED.contains(&code) {
        let message = format!("ECS answers too slowly for what is asked of it: ecs:{action} of {place} was throttled to the end");
        return Some(Problem::error("PK745", message).hint("the fleet tries again by itself; other users of this account ask much of ECS"));
    }
    if IDENTITY.contains(&code) {
        let message = format!("ECS does not accept the credentials at ecs:{action} of {place}: {} ({code})", plain(text));
        return Some(Problem::error("PK749", message).hint(LOG_IN));
    }
    capacity(text, place)
}

/// No answer came, or none that can be read.
fn no_answer<E: StdError + 'static>(error: &SdkError<E>, place: &str, endpoint: &str) -> Problem {
    let unreachable = |why: &str| {
        Problem::error("PK746", format!("ECS cannot be reached at {endpoint} for {place}: {why}"))
            .hint("check the network, and endpoint in [fleet.ecs] or AWS_ENDPOINT_URL_ECS; then `pacha doctor`")
    };
    match silence(error) {
        Silence::Unreachable(why) => unreachable(&why),
        Silence::Stranger => Problem::error("PK746", format!("the answer about {place} is none of ECS's: is {endpoint} another server?"))
            .hint("check endpoint in [fleet.ecs] of pacha.toml"),
    }
}

/// Why a task has ended, in the words of ECS and of its containers.
pub(super) fn why(task: &Task) -> String {
    let mut parts: Vec<String> = Vec::new();
    match task.stop_code() {
        Some(TaskStopCode::SpotInterruption) => parts.push("Fargate Spot took its machine back".to_owned()),
        Some(TaskStopCode::TerminationNotice) => parts.push("Fargate has retired its machine".to_owned()),
        _ => parts.extend(task.stopped_reason().map(plain)),
    }
    for container in task.containers() {
        let name = container.name().unwrap_or("its container");
        parts.extend(container.reason().map(|reason| format!("{name}: {}", plain(reason))));
        parts.extend(container.exit_code().map(|code| format!("{name} ended with exit code {code}")));
    }
    if parts.is_empty() { "ECS says no reason".to_owned() } else { parts.join("; ") }
}
