//! `[fleet]` of `pacha.toml`: the executors that a scheduler starts and stops by itself, and how eagerly.
//!
//! What is not said depends on the kind of fleet, as a process is there in a moment and a task of Fargate in a minute; so
//! those keys are read through functions. Credentials are no keys of this file: see [`super::cloud`].

use std::num::NonZeroUsize;
use std::time::Duration;

use schemas::document::Table;
use schemas::problem::Problem;

use super::cloud::read_endpoint;
use super::code;
use super::settings::{read_duration, read_text, report_range};

/// Most executors of a fleet, tasks at a time of one of them, and tasks for which one vcore is provided.
const MOST: u64 = 4_096;

/// Who starts executors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FleetKind {
    /// Somebody else. The scheduler says how many there should be, for whoever scales them.
    #[default]
    None,
    /// The scheduler, as processes of its machine.
    Process,
    /// The scheduler, as tasks of AWS ECS on Fargate.
    Ecs,
}

impl FleetKind {
    /// The word for it in `pacha.toml` and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Process => "process",
            Self::Ecs => "ecs",
        }
    }

    /// The kind that a word means.
    pub fn of(word: &str) -> Option<Self> {
        [Self::None, Self::Process, Self::Ecs].into_iter().find(|kind| kind.word() == word)
    }
}

/// The executors of a scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetSettings {
    /// Who starts them.
    pub kind: FleetKind,
    /// What the fleet is called, so that a scheduler knows its own again; else the project's name.
    pub name: Option<String>,
    /// Executors that are always there.
    pub min: usize,
    /// Most executors; see [`Self::max`].
    pub max: Option<usize>,
    /// Tasks that one executor runs at a time.
    pub vcores: NonZeroUsize,
    /// Tasks, waiting or running, for which one vcore is provided; see [`Self::tasks_per_vcore`].
    pub tasks_per_vcore: Option<NonZeroUsize>,
    /// How long there must be too few before more are started; see [`Self::grow_after`].
    pub grow_after: Option<Duration>,
    /// How long there must be too many before some are stopped; see [`Self::idle`].
    pub idle: Option<Duration>,
    /// How long an executor may take to come; see [`Self::start_within`].
    pub start_within: Option<Duration>,
    /// Where tasks run, for a fleet on ECS.
    pub ecs: EcsSettings,
}

/// A fleet on ECS: what its tasks are started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EcsSettings {
    /// Name or ARN of the cluster; else ECS takes the one called `default`.
    pub cluster: Option<String>,
    /// `family`, `family:revision` or ARN of the task definition.
    pub task_definition: Option<String>,
    /// The container of it that runs `pacha`; else `pacha`.
    pub container: Option<String>,
    /// Subnets of the tasks.
    pub subnets: Vec<String>,
    /// Security groups of the tasks; else the VPC's default group.
    pub security_groups: Vec<String>,
    /// Whether tasks get a public address, which they need in a subnet without a NAT gateway or endpoints.
    pub assign_public_ip: bool,
    /// Percentage of the executors on Fargate Spot.
    pub spot: u8,
    /// Further arguments of `pacha executor`.
    pub arguments: Vec<String>,
    /// URL of a server that speaks ECS's protocol; else `AWS_ENDPOINT_URL_ECS`, `AWS_ENDPOINT_URL`, else Amazon's.
    pub endpoint: Option<String>,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            kind: FleetKind::None,
            name: None,
            min: 0,
            max: None,
            vcores: NonZeroUsize::MIN.saturating_add(1),
            tasks_per_vcore: None,
            grow_after: None,
            idle: None,
            start_within: None,
            ecs: EcsSettings::default(),
        }
    }
}

impl FleetSettings {
    /// Most executors. Unless said, as many processes as keep this machine busy, and 8 elsewhere.
    pub fn max(&self) -> usize {
        let fitting = || match self.kind {
            FleetKind::Process => std::thread::available_parallelism().map_or(1, usize::from).div_ceil(self.vcores.get()),
            FleetKind::Ecs | FleetKind::None => 8,
        };
        self.max.unwrap_or_else(fitting).max(self.min)
    }

    /// Tasks, waiting or running, for which one vcore is provided. A run is cut into two for each vcore that is there, so that
    /// two keep a machine busy; where a start costs a minute, half as many do.
    pub fn tasks_per_vcore(&self) -> usize {
        self.tasks_per_vcore.map_or(
            match self.kind {
                FleetKind::Process => 2,
                FleetKind::Ecs | FleetKind::None => 4,
            },
            NonZeroUsize::get,
        )
    }

    /// How long there must be too few executors before more are started. From none, the first are started at once.
    pub fn grow_after(&self) -> Duration {
        self.grow_after.unwrap_or(Duration::from_secs(match self.kind {
            FleetKind::Process => 1,
            FleetKind::Ecs | FleetKind::None => 5,
        }))
    }

    /// How long there must be too many executors before some are stopped: longer than it takes to have them back.
    pub fn idle(&self) -> Duration {
        self.idle.unwrap_or(Duration::from_secs(match self.kind {
            FleetKind::Process => 60,
            FleetKind::Ecs | FleetKind::None => 120,
        }))
    }

    /// How long an executor may take from its start until it is registered.
    pub fn start_within(&self) -> Duration {
        self.start_within.unwrap_or(Duration::from_secs(match self.kind {
            FleetKind::Process => 30,
            FleetKind::Ecs | FleetKind::None => 300,
        }))
    }

    pub(super) fn apply(&mut self, table: &mut Table<'_, '_>) {
        if table.has("kind") {
            self.kind = FleetKind::of(table.word("kind", &["none", "process", "ecs"])).unwrap_or_default();
        }
        if let Some(given) = read_text(table, "name") {
            if given.value.len() <= 64 && given.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
                self.name = Some(given.value);
            } else {
                let message = format!("name cannot be \"{}\": it is made of letters, digits, _ and -, at most 64", given.value);
                report_range(table, &message, "write name = \"nightly\"", given.span);
            }
        }
        let max = read_count(table, "max", 1);
        self.max = max.or(self.max);
        self.min = read_count(table, "min", 0).unwrap_or(self.min);
        if let Some(max) = self.max
            && self.min > max
        {
            let message = format!("min = {} is above max = {max}", self.min);
            report_range(table, &message, "set min at most to max", table.span());
        }
        self.vcores = read_count(table, "vcores", 1).and_then(NonZeroUsize::new).unwrap_or(self.vcores);
        self.tasks_per_vcore = read_count(table, "tasks_per_vcore", 1).and_then(NonZeroUsize::new).or(self.tasks_per_vcore);
        for (key, kept) in [("grow_after", &mut self.grow_after), ("idle", &mut self.idle), ("start_within", &mut self.start_within)] {
            *kept = read_duration(table, key).or(*kept);
        }
        table.table("ecs", |table| self.ecs.apply(table));
    }

    /// Whether everything is said that a fleet of this kind cannot be without.
    ///
    /// # Errors
    /// It is not: `PC112`.
    pub fn check(&self) -> Result<(), Problem> {
        let missing = match (self.kind, &self.ecs.task_definition, self.ecs.subnets.is_empty()) {
            (FleetKind::Ecs, None, true) => "task_definition and subnets",
            (FleetKind::Ecs, None, false) => "task_definition",
            (FleetKind::Ecs, Some(_), true) => "subnets",
            _ => return Ok(()),
        };
        let problem = Problem::error(code::RANGE, format!("a fleet on ECS needs {missing} in [fleet.ecs]"));
        Err(problem.hint("set task_definition = \"pacha-executor\" and subnets = [\"subnet-…\"] in [fleet.ecs] of pacha.toml"))
    }
}

impl EcsSettings {
    fn apply(&mut self, table: &mut Table<'_, '_>) {
        for (key, kept) in
            [("cluster", &mut self.cluster), ("task_definition", &mut self.task_definition), ("container", &mut self.container)]
        {
            *kept = read_text(table, key).map(|given| given.value).or(kept.take());
        }
        for (key, kept) in
            [("subnets", &mut self.subnets), ("security_groups", &mut self.security_groups), ("arguments", &mut self.arguments)]
        {
            if table.has(key) {
                *kept = table.strings(key).into_iter().map(|text| text.value).collect();
            }
        }
        self.assign_public_ip = table.boolean("assign_public_ip").unwrap_or(self.assign_public_ip);
        if let Some(spot) = table.integer("spot") {
            match u8::try_from(spot.value) {
                Ok(value @ 0..=100) => self.spot = value,
                _ => report_range(table, "spot is a percentage from 0 to 100", "write spot = 70 for most of them on Spot", spot.span),
            }
        }
        read_endpoint(table, &mut self.endpoint);
    }
}

fn read_count(table: &mut Table<'_, '_>, key: &'static str, least: u64) -> Option<usize> {
    let given = table.integer(key)?;
    if (least..=MOST).contains(&given.value) {
        return usize::try_from(given.value).ok();
    }
    report_range(table, &format!("{key} is from {least} to {MOST}"), &format!("write {key} = 4"), given.span);
    None
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::read;
    use super::*;

    #[test]
    fn what_is_not_said_depends_on_the_kind() {
        let mut fleet = FleetSettings::default();
        assert_eq!((fleet.max(), fleet.idle().as_secs(), fleet.start_within().as_secs(), fleet.tasks_per_vcore()), (8, 120, 300, 4));
        fleet.kind = FleetKind::Process;
        assert_eq!((fleet.idle().as_secs(), fleet.grow_after().as_secs(), fleet.start_within().as_secs()), (60, 1, 30));
        assert_eq!(fleet.tasks_per_vcore(), 2);
        let cores = std::thread::available_parallelism().unwrap().get();
        assert!(fleet.max() * fleet.vcores.get() >= cores && (fleet.max() - 1) * fleet.vcores.get() < cores);
        fleet.min = 4_000;
        assert_eq!(fleet.max(), 4_000, "those that are always there are allowed");
    }

    #[test]
    fn a_fleet_is_read_with_its_place_on_ecs() {
        let (head, problems) = read(
            "[fleet]\nkind = \"ecs\"\nname = \"night\"\nmin = 1\nmax = 32\nvcores = 4\ntasks_per_vcore = 3\ngrow_after = \"2s\"\nidle = \"3m\"\n\
             start_within = \"4m\"\n[fleet.ecs]\ncluster = \"lib\"\ntask_definition = \"pacha-executor:3\"\nsubnets = [\"subnet-1\", \"subnet-2\"]\n\
             security_groups = \"sg-1\"\nassign_public_ip = true\nspot = 70\narguments = [\"--allow-plaintext\"]\nendpoint = \"http://127.0.0.1:5000\"\n",
        );
        assert!(problems.0.is_empty(), "{problems}");
        let fleet = head.settings.fleet;
        assert_eq!((fleet.kind.word(), fleet.name.as_deref(), fleet.min, fleet.max()), ("ecs", Some("night"), 1, 32));
        assert_eq!((fleet.vcores.get(), fleet.tasks_per_vcore()), (4, 3));
        assert_eq!((fleet.grow_after().as_secs(), fleet.idle().as_secs(), fleet.start_within().as_secs()), (2, 180, 240));
        let ecs = EcsSettings {
            cluster: Some("lib".into()),
            task_definition: Some("pacha-executor:3".into()),
            container: None,
            subnets: vec!["subnet-1".into(), "subnet-2".into()],
            security_groups: vec!["sg-1".into()],
            assign_public_ip: true,
            spot: 70,
            arguments: vec!["--allow-plaintext".into()],
            endpoint: Some("http://127.0.0.1:5000".into()),
        };
        assert_eq!(fleet.ecs, ecs);
    }

    #[test]
    fn every_mistake_is_reported_at_its_place() {
        let (_, problems) = read(
            "[fleet]\nkind = \"fargate\"\nname = \"a/b\"\nmin = 5\nmax = 2\nvcores = 0\nidle = \"soon\"\n[fleet.ecs]\nspot = 101\nregion = \"x\"\n",
        );
        let text = problems.to_string();
        assert_eq!(problems.0.len(), 7, "{text}");
        for part in [
            "PC101 pacha.toml:2:8: fleet.kind cannot be \"fargate\"",
            "PC112 pacha.toml:3:8: name cannot be \"a/b\"",
            "min = 5 is above max = 2",
            "PC112 pacha.toml:6:10: vcores is from 1 to 4096; hint: write vcores = 4",
            "PC112 pacha.toml:7:8: idle cannot be \"soon\"",
            "PC112 pacha.toml:9:8: spot is a percentage from 0 to 100",
            "PC101 pacha.toml:10:1: unknown key fleet.ecs.region",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
    }

    #[test]
    fn a_fleet_on_ecs_says_what_it_needs() {
        let (head, problems) = read("[fleet]\nkind = \"ecs\"\n[fleet.ecs]\nsubnets = [\"subnet-1\"]\n");
        assert!(problems.0.is_empty(), "{problems}");
        let text = head.settings.fleet.check().unwrap_err().to_string();
        assert!(text.starts_with("PC112 a fleet on ECS needs task_definition in [fleet.ecs]; hint: set task_definition ="), "{text}");
        assert!(FleetSettings::default().check().is_ok());
    }
}
