//! Executors as tasks of AWS ECS on Fargate: no machine of ours, a price by the second, none of it while there is no work.
//!
//! Each executor is one RunTask with its name in the command and as the token that makes the request idempotent: an answer
//! that is lost starts nobody twice. What the fleet has started is marked with the fleet's name (`startedBy`), so that a
//! scheduler that begins anew at the same address finds its executors: their names, and for whom they work, are in the
//! commands that they were started with.
//!
//! * [`problem`]: what an answer of ECS means.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_ecs::config::retry::RetryConfig;
use aws_sdk_ecs::config::timeout::TimeoutConfig;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, DesiredStatus, NetworkConfiguration, Task,
    TaskOverride,
};
use engine::aws::Aws;
use engine::error::{Error, Result};
use engine::project::EcsSettings;
use futures::StreamExt;
use schemas::problem::Problem;
use tokio::sync::OnceCell;

use super::{Fleet, Member, Started};

mod problem;

use problem::{is_capacity, not_placed, refused, why};

/// What this fleet may be asked to do, as IAM names it, beside giving the tasks their roles. `scheduler/deploy/ecs/scheduler-policy.json` allows
/// these.
pub const ACTIONS: [&str; 4] = ["ecs:DescribeTasks", "ecs:ListTasks", "ecs:RunTask", "ecs:StopTask"];

/// Times that a request is sent before it has failed, and the first pause between them.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Requests under way at a time.
const AT_ONCE: usize = 8;
/// Tasks that one call describes.
const DESCRIBED: usize = 100;
/// ECS shows a task to everybody only some time after it has started it.
const VISIBLE: Duration = Duration::from_secs(60);
/// Between two looks while there are tasks, and while there are none.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_AT_NONE: Duration = Duration::from_secs(30);

/// What the fleet's tasks are started with, beside the settings.
#[derive(Debug, Clone)]
pub struct Tasks {
    /// What marks them: the fleet's name.
    pub started_by: String,
    /// URL at which they reach their scheduler.
    pub scheduler: String,
    /// Tasks that one executor runs at a time.
    pub vcores: usize,
    /// Further arguments of `pacha executor`.
    pub arguments: Vec<String>,
}

/// Tasks of AWS ECS.
#[derive(Debug)]
pub struct EcsFleet {
    aws: Arc<Aws>,
    settings: EcsSettings,
    tasks: Tasks,
    sdk: OnceCell<aws_sdk_ecs::Client>,
    known: Mutex<Known>,
    look: Duration,
}

#[derive(Debug, Default)]
struct Known {
    tasks: Vec<OneTask>,
    looked: Option<Instant>,
}

impl Known {
    /// Takes in what ECS shows; returns all that have not ended, and those that have since the last time.
    fn see(&mut self, shown: &[Task], scheduler: &str) -> Vec<Member> {
        let mut members = Vec::new();
        self.tasks.retain(|task| {
            let ended = match shown.iter().find(|shown| shown.task_arn() == Some(&task.arn)) {
                Some(shown) if shown.last_status() == Some("STOPPED") => Some(why(shown)),
                None if task.since.elapsed() > VISIBLE => Some("ECS does not know it any more".to_owned()),
                Some(_) | None => None,
            };
            let alive = ended.is_none();
            members.push(task.member(ended));
            alive
        });
        for task in shown.iter().filter_map(|task| adopted(task, scheduler)) {
            if !members.iter().any(|member| member.name == task.name) {
                members.push(task.member(None));
                self.tasks.push(task);
            }
        }
        self.looked = Some(Instant::now());
        members
    }
}

/// A task of ours that has not ended.
#[derive(Debug, Clone)]
struct OneTask {
    name: String,
    arn: String,
    spot: bool,
    since: Instant,
}

impl OneTask {
    fn member(&self, ended: Option<String>) -> Member {
        let id = self.arn.rsplit_once(":task/").map_or(self.arn.as_str(), |(_, id)| id);
        Member { name: self.name.clone(), place: format!("ECS task {id}"), ended }
    }
}

impl EcsFleet {
    /// No task yet. The settings have been checked: [`engine::project::FleetSettings::check`].
    pub fn new(aws: Arc<Aws>, settings: EcsSettings, mut tasks: Tasks) -> Self {
        // ECS allows no others in it.
        tasks.started_by.retain(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/'));
        Self { aws, settings, tasks, sdk: OnceCell::new(), known: Mutex::default(), look: LOOK }
    }

    /// Looks at ECS as often as it is asked, not every few seconds.
    #[must_use]
    pub fn impatient(self) -> Self {
        Self { look: Duration::ZERO, ..self }
    }

    /// Not for the time of a request.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cluster(&self) -> &str {
        self.settings.cluster.as_deref().unwrap_or("default")
    }

    fn definition(&self) -> &str {
        self.settings.task_definition.as_deref().unwrap_or_default()
    }

    async fn endpoint(&self) -> String {
        let found = self.aws.endpoint(self.settings.endpoint.as_deref(), "AWS_ENDPOINT_URL_ECS").await;
        found.map_or_else(|| "Amazon's endpoint".to_owned(), |found| found.value)
    }

    async fn sdk(&self) -> Result<&aws_sdk_ecs::Client> {
        self.sdk.get_or_try_init(|| self.connect()).await
    }

    /// Looks for an identity first, so that its absence is said in its own words.
    async fn connect(&self) -> Result<aws_sdk_ecs::Client> {
        self.aws.credentials().await?;
        if self.aws.region().await.is_none() {
            let problem = Problem::error("PK749", "no region for ECS: neither pacha.toml, the environment nor the profile names one");
            return Err(Error::configuration(problem.hint("set region in [aws] of pacha.toml, or AWS_REGION")));
        }
        let timeouts =
            TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).operation_attempt_timeout(Duration::from_secs(30)).build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_PAUSE);
        let mut config = aws_sdk_ecs::config::Builder::from(self.aws.config().await).retry_config(retries).timeout_config(timeouts);
        if let Some(endpoint) = &self.settings.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok(aws_sdk_ecs::Client::from_conf(config.build()))
    }

    /// Starts one on Fargate Spot, or without it where Spot has none.
    async fn run(&self, name: String, spot: bool) -> Result<OneTask> {
        match self.run_on(&name, spot).await {
            Err(error) if spot && error.problems.0.iter().any(is_capacity) => {
                tracing::warn!(target: "pacha", "{error}");
                self.run_on(&name, false).await
            }
            other => other,
        }
    }

    async fn run_on(&self, name: &str, spot: bool) -> Result<OneTask> {
        let sdk = self.sdk().await?;
        let place = format!("{} in cluster {}", self.definition(), self.cluster());
        let (provider, mark) = if spot { ("FARGATE_SPOT", "s") } else { ("FARGATE", "d") };
        let provider =
            CapacityProviderStrategyItem::builder().capacity_provider(provider).weight(1).build().map_err(|error| incomplete(&error))?;
        let mut command: Vec<String> =
            ["executor", "--scheduler", &self.tasks.scheduler, "--name", name, "--vcores"].map(str::to_owned).into();
        command.push(self.tasks.vcores.to_string());
        command.extend(self.tasks.arguments.iter().cloned());
        let container = ContainerOverride::builder().name(self.settings.container.as_deref().unwrap_or("pacha")).set_command(Some(command));
        let groups = Some(self.settings.security_groups.clone()).filter(|groups| !groups.is_empty());
        let public = if self.settings.assign_public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
        let network = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.settings.subnets.clone()))
            .set_security_groups(groups)
            .assign_public_ip(public)
            .build()
            .map_err(|error| incomplete(&error))?;
        let request = sdk
            .run_task()
            .cluster(self.cluster())
            .task_definition(self.definition())
            .count(1)
            .client_token(format!("{name}-{mark}"))
            .started_by(&self.tasks.started_by)
            .capacity_provider_strategy(provider)
            .network_configuration(NetworkConfiguration::builder().awsvpc_configuration(network).build())
            .overrides(TaskOverride::builder().container_overrides(container.build()).build());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Err(Error::failed(refused(&error, "RunTask", &place, &self.endpoint().await))),
        };
        match answer.tasks().first().and_then(Task::task_arn) {
            Some(arn) => Ok(OneTask { name: name.to_owned(), arn: arn.to_owned(), spot, since: Instant::now() }),
            None => Err(Error::failed(not_placed(answer.failures(), &place))),
        }
    }

    /// ARNs of the tasks with our mark that are to run.
    async fn list(&self) -> Result<Vec<String>> {
        let sdk = self.sdk().await?;
        let request = sdk.list_tasks().cluster(self.cluster()).started_by(&self.tasks.started_by).desired_status(DesiredStatus::Running);
        let (mut arns, mut pages) = (Vec::new(), request.into_paginator().send());
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => arns.extend(page.task_arns.unwrap_or_default()),
                Err(error) => return Err(Error::failed(refused(&error, "ListTasks", self.cluster(), &self.endpoint().await))),
            }
        }
        Ok(arns)
    }

    async fn describe(&self, arns: Vec<String>) -> Result<Vec<Task>> {
        let sdk = self.sdk().await?;
        let calls = arns.chunks(DESCRIBED).map(|arns| sdk.describe_tasks().cluster(self.cluster()).set_tasks(Some(arns.to_vec())).send());
        let mut tasks = Vec::with_capacity(arns.len());
        for answer in futures::future::join_all(calls).await {
            match answer {
                Ok(answer) => tasks.extend(answer.tasks.unwrap_or_default()),
                Err(error) => return Err(Error::failed(refused(&error, "DescribeTasks", self.cluster(), &self.endpoint().await))),
            }
        }
        Ok(tasks)
    }

    /// Asks a task to end. One that has ended is no mistake.
    async fn stop_one(&self, task: OneTask) -> Result<()> {
        let reason = format!("{}: this executor has nothing to do", self.tasks.started_by);
        let answer = self.sdk().await?.stop_task().cluster(self.cluster()).task(&task.arn).reason(reason).send().await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.to_string().contains("task was not found")) => Ok(()),
            Err(error) => Err(Error::failed(refused(&error, "StopTask", &task.arn, &self.endpoint().await))),
        }
    }
}

#[async_trait]
impl Fleet for EcsFleet {
    fn name(&self) -> &'static str {
        "ecs"
    }

    async fn members(&self) -> Result<Vec<Member>> {
        let mut arns: Vec<String> = {
            let known = self.known();
            let pause = if known.tasks.is_empty() { self.look.saturating_mul(6).min(LOOK_AT_NONE) } else { self.look };
            if known.looked.is_some_and(|at| at.elapsed() < pause) {
                return Ok(known.tasks.iter().map(|task| task.member(None)).collect());
            }
            known.tasks.iter().map(|task| task.arn.clone()).collect()
        };
        arns.extend(self.list().await?);
        arns.sort_unstable();
        arns.dedup();
        let shown = self.describe(arns).await?;
        Ok(self.known().see(&shown, &self.tasks.scheduler))
    }

    async fn start(&self, count: usize) -> Started {
        let (all, on_spot) = {
            let known = self.known();
            (known.tasks.len() + count, known.tasks.iter().filter(|task| task.spot).count())
        };
        let more_on_spot = (all * usize::from(self.settings.spot)).div_ceil(100).saturating_sub(on_spot);
        let runs = (0..count).map(|index| self.run(uuid::Uuid::now_v7().simple().to_string(), index < more_on_spot));
        let mut outcomes = futures::stream::iter(runs).buffer_unordered(AT_ONCE);
        let mut started = Started::default();
        // Each is known as soon as it runs: the rest may not be waited for.
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(task) => {
                    started.members.push(task.member(None));
                    self.known().tasks.push(task);
                }
                Err(error) => started.failure = Some(error),
            }
        }
        started
    }

    async fn stop(&self, members: &[Member]) -> Result<()> {
        let tasks: Vec<OneTask> = {
            let known = self.known();
            known.tasks.iter().filter(|task| members.iter().any(|member| member.name == task.name)).cloned().collect()
        };
        // All are asked, whoever is refused.
        let calls = tasks.into_iter().map(|task| self.stop_one(task));
        let answers: Vec<Result<()>> = futures::stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;
        answers.into_iter().collect()
    }
}

/// A task that was started under our mark for the scheduler at this address, and that has not ended. Others may have our mark:
/// a scheduler of the same project elsewhere, or ours when it had another address, whose executors end by themselves.
fn adopted(task: &Task, scheduler: &str) -> Option<OneTask> {
    if task.last_status() == Some("STOPPED") || task.desired_status() == Some("STOPPED") {
        return None;
    }
    let containers = task.overrides()?.container_overrides();
    let argument = |name: &str| {
        let pairs = containers.iter().flat_map(|container| container.command().windows(2));
        pairs.filter(|pair| pair[0] == name).map(|pair| &pair[1]).next()
    };
    if argument("--scheduler")? != scheduler {
        return None;
    }
    let name = argument("--name")?.clone();
    let spot = task.capacity_provider_name() == Some("FARGATE_SPOT");
    Some(OneTask { name, arn: task.task_arn()?.to_owned(), spot, since: Instant::now() })
}

/// A request that this code did not fill in: a fault of ours.
fn incomplete(error: &aws_sdk_ecs::error::BuildError) -> Error {
    Error::failed(Problem::error("PR013", format!("a request to ECS cannot be made: {error}")).hint("report this"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_the_manifests_allows_what_the_fleet_asks_and_nothing_else() {
        let policy: serde_json::Value = serde_json::from_str(include_str!("../../../deploy/ecs/scheduler-policy.json")).unwrap();
        let actions = policy["Statement"].as_array().unwrap().iter().flat_map(|statement| match &statement["Action"] {
            serde_json::Value::Array(actions) => actions.clone(),
            action => vec![action.clone()],
        });
        let mut actions: Vec<String> = actions.map(|action| action.as_str().unwrap().to_owned()).collect();
        actions.sort();
        assert_eq!(actions, [&ACTIONS[..], &["iam:PassRole"]].concat());
    }
}
