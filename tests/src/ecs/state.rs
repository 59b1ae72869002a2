//! What runs on the cluster, and what each operation does to it.

use std::collections::HashMap;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{CLUSTER, CONTAINER, DEFINITION, Launch, Shown};
use crate::json::{Answer, Fault, Refusal, Service, refuse};

/// ARNs on one page: few, so that nobody gets by without asking for the next.
const PAGE: usize = 3;
/// Tasks that one call may describe.
const DESCRIBED: usize = 100;
/// Characters of the overrides of a call.
const OVERRIDES: usize = 8_192;

/// One cluster.
#[derive(Default)]
pub struct State {
    tasks: Vec<Task>,
    /// Requests by token: a request that comes again gets the answer of the first.
    tokens: HashMap<String, (Value, Value)>,
    pub(super) launch: Option<Launch>,
    pub(super) hidden: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State {{ tasks: {} }}", self.tasks.len())
    }
}

struct Task {
    arn: String,
    started_by: String,
    provider: String,
    overrides: Value,
    status: &'static str,
    stopping: bool,
    stop_code: &'static str,
    reason: String,
    exit_code: Option<i32>,
    child: Option<Child>,
}

/// Processes do not outlive the test.
impl Drop for Task {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Task {
    fn command(&self) -> Vec<String> {
        let command = self.overrides["containerOverrides"][0]["command"].as_array().cloned().unwrap_or_default();
        command.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    }

    /// Looks after its process, if it has one.
    fn look(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Ok(Some(status)) = child.try_wait() {
            if !self.stopping {
                self.stop_code = "EssentialContainerExited";
                self.reason = "Essential container in task exited".into();
            }
            self.exit_code = status.code().or(Some(143));
            self.status = "STOPPED";
            self.stopping = true;
            self.child = None;
        }
    }

    /// Asks it to end; one without a process has ended.
    fn end(&mut self, code: &'static str, reason: &str, exit_code: Option<i32>) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.stop_code = code;
        self.reason = reason.to_owned();
        self.exit_code = exit_code;
        match &self.child {
            Some(child) => {
                self.status = "DEACTIVATING";
                let _ = kill_process(Pid::from_child(child), Signal::TERM);
            }
            None => self.status = "STOPPED",
        }
    }

    fn described(&self) -> Value {
        json!({
            "taskArn": self.arn,
            "startedBy": self.started_by,
            "capacityProviderName": self.provider,
            "lastStatus": self.status,
            "desiredStatus": if self.stopping { "STOPPED" } else { "RUNNING" },
            "overrides": self.overrides,
            "stopCode": self.stopping.then_some(self.stop_code),
            "stoppedReason": self.stopping.then_some(&self.reason),
            "containers": [{ "name": CONTAINER, "lastStatus": self.status, "exitCode": self.exit_code }],
        })
    }
}

impl Service for State {
    const TARGET: &'static str = "AmazonEC2ContainerServiceV20141113.";
    const NAME: &'static str = "ecs";

    fn call(&mut self, operation: &str, body: &Value, fault: Option<&Fault>) -> Answer {
        if body["cluster"].as_str().unwrap_or("default") != CLUSTER {
            return Err(refuse("ClusterNotFoundException", "Cluster not found."));
        }
        for task in &mut self.tasks {
            task.look();
        }
        match operation {
            "RunTask" => self.run_task(body, fault),
            "StopTask" => self.stop_task(body),
            "ListTasks" => self.list_tasks(body),
            "DescribeTasks" => self.describe_tasks(body),
            other => Err(refuse("UnknownOperationException", format!("no operation {other}"))),
        }
    }
}

impl State {
    fn run_task(&mut self, body: &Value, fault: Option<&Fault>) -> Answer {
        let token = body["clientToken"].as_str().ok_or_else(|| invalid("a request without a token may start twice"))?;
        if token.len() > 36 {
            return Err(invalid("clientToken is longer than 36 characters"));
        }
        match self.tokens.get(token) {
            Some((first, answer)) if first == body => return Ok(answer.clone()),
            Some(_) => return Err(refuse("ConflictException", "The token was used with other parameters.")),
            None => {}
        }
        let provider = checked(body)?.to_owned();
        if let Some(Fault::Item(on, reason)) = fault
            && *on == provider
        {
            return Ok(json!({ "tasks": [], "failures": [{ "reason": reason }] }));
        }
        let arn = format!("arn:aws:ecs:us-east-1:123456789012:task/{CLUSTER}/{:032x}", self.tasks.len() + 1);
        let mut task = Task {
            arn,
            started_by: body["startedBy"].as_str().unwrap_or_default().to_owned(),
            provider,
            overrides: body["overrides"].clone(),
            status: "RUNNING",
            stopping: false,
            stop_code: "",
            reason: String::new(),
            exit_code: None,
            child: None,
        };
        if let Some(launch) = &self.launch {
            match launch(&task.command()).stdin(Stdio::piped()).spawn() {
                Ok(child) => task.child = Some(child),
                Err(error) => task.end("TaskFailedToStart", &format!("CannotStartContainerError: {error}"), None),
            }
        }
        let answer = json!({ "tasks": [task.described()], "failures": [] });
        self.tokens.insert(token.to_owned(), (body.clone(), answer.clone()));
        self.tasks.push(task);
        Ok(answer)
    }

    fn stop_task(&mut self, body: &Value) -> Answer {
        let arn = body["task"].as_str().unwrap_or_default();
        let task = self.tasks.iter_mut().find(|task| task.arn == arn).ok_or_else(|| invalid("The referenced task was not found."))?;
        task.end("UserInitiated", body["reason"].as_str().unwrap_or_default(), None);
        Ok(json!({ "task": task.described() }))
    }

    fn list_tasks(&mut self, body: &Value) -> Answer {
        let stopped = body["desiredStatus"].as_str().unwrap_or("RUNNING") == "STOPPED";
        let by = body["startedBy"].as_str();
        let meant = |task: &&Task| task.stopping == stopped && by.is_none_or(|by| task.started_by == by);
        let visible = self.tasks.len() - usize::from(self.hidden > 0 && !self.tasks.is_empty());
        let arns: Vec<&str> = self.tasks[..visible].iter().filter(meant).map(|task| task.arn.as_str()).collect();
        let from: usize = body["nextToken"].as_str().and_then(|token| token.parse().ok()).unwrap_or(0);
        let page: Vec<&str> = arns.iter().skip(from).take(PAGE).copied().collect();
        let next = (arns.len() > from + PAGE).then(|| (from + PAGE).to_string());
        Ok(json!({ "taskArns": page, "nextToken": next }))
    }

    fn describe_tasks(&mut self, body: &Value) -> Answer {
        let wanted = body["tasks"].as_array().cloned().unwrap_or_default();
        if wanted.is_empty() || wanted.len() > DESCRIBED {
            return Err(invalid("Tasks must be between 1 and 100."));
        }
        let newest = self.tasks.last().filter(|_| self.hidden > 0).map(|task| task.arn.clone());
        self.hidden = self.hidden.saturating_sub(1);
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for arn in wanted {
            match self.tasks.iter().find(|task| task.arn == arn && Some(&task.arn) != newest.as_ref()) {
                Some(task) => tasks.push(task.described()),
                None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
            }
        }
        Ok(json!({ "tasks": tasks, "failures": failures }))
    }

    pub(super) fn shown(&mut self) -> Vec<Shown> {
        let shown = |task: &mut Task| {
            task.look();
            Shown { arn: task.arn.clone(), provider: task.provider.clone(), command: task.command(), status: task.status.to_owned() }
        };
        self.tasks.iter_mut().map(shown).collect()
    }

    pub(super) fn end(&mut self, arn: &str, code: &'static str, reason: &str, exit_code: Option<i32>) {
        for task in self.tasks.iter_mut().filter(|task| task.arn == arn) {
            task.end(code, reason, exit_code);
        }
    }

    pub(super) fn described(&self, arn: &str) -> Option<Value> {
        self.tasks.iter().find(|task| task.arn == arn).map(Task::described)
    }
}

fn invalid(message: &str) -> Refusal {
    refuse("InvalidParameterException", message)
}

/// A request that ECS would take; returns its capacity provider.
fn checked(body: &Value) -> Result<&str, Refusal> {
    let family = body["taskDefinition"].as_str().unwrap_or_default();
    if family.split(':').next() != Some(DEFINITION) {
        return Err(invalid("TaskDefinition not found."));
    }
    let network = &body["networkConfiguration"]["awsvpcConfiguration"];
    let subnets = network["subnets"].as_array().cloned().unwrap_or_default();
    if subnets.is_empty() {
        return Err(invalid("subnets can not be empty."));
    }
    if let Some(subnet) = subnets.iter().find(|subnet| !subnet.as_str().is_some_and(|subnet| subnet.starts_with("subnet-"))) {
        return Err(invalid(&format!("Error retrieving subnet information for [{subnet}]: The subnet ID {subnet} does not exist")));
    }
    let overrides = &body["overrides"];
    if overrides.to_string().len() > OVERRIDES {
        return Err(invalid("Overrides must be at most 8192 characters."));
    }
    for container in overrides["containerOverrides"].as_array().into_iter().flatten() {
        if container["name"] != CONTAINER {
            let message = format!("Override for container named {} is not a container in the TaskDefinition.", container["name"]);
            return Err(invalid(&message));
        }
    }
    let started_by = body["startedBy"].as_str().unwrap_or_default();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/');
    if started_by.len() > 128 || !started_by.chars().all(good) {
        return Err(invalid("Invalid startedBy."));
    }
    if body["count"].as_i64() != Some(1) {
        return Err(invalid("this server starts one task at a time"));
    }
    if !body["launchType"].is_null() {
        return Err(invalid("Specifying both a launch type and capacity provider strategy is not supported."));
    }
    match body["capacityProviderStrategy"].as_array().map(Vec::as_slice) {
        Some([one]) if matches!(one["capacityProvider"].as_str(), Some("FARGATE" | "FARGATE_SPOT")) => {
            Ok(one["capacityProvider"].as_str().unwrap_or_default())
        }
        _ => Err(invalid("The specified capacity provider was not found.")),
    }
}
