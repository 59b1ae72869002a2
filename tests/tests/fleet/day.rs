//! A day of a fleet, computed: the arrivals of a harvester, the very function that sizes real fleets, and what it costs.
//!
//! Nothing is random: the arrivals come from a fixed sequence, so the table is the same on every machine, and stands in
//! `benchmarks/scaling.md`. What a record costs is measured there too; a rate that has changed changes the table.
//! `PACHA_SCALING=update` writes it anew.

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use engine::cost::Prices;
use scheduler::fleet::size::{Demand, History, Policy, size};

/// Milliseconds.
type Time = u64;

const SECOND: Time = 1_000;
const HOUR: Time = 3_600 * SECOND;
/// A step of the simulation.
const STEP: Time = 250;
/// What a record costs, in vcore microseconds: OAI-PMH to mapped Parquet, 1,000,000 in 20.7 CPU seconds.
const RECORD: f64 = 20.7;
/// What a task costs beside its records, in milliseconds.
const TASK: f64 = 50.0;
/// Records in a unit of 2 GiB of pages.
const UNIT: u64 = 1_000_000;
/// Units of a run under way at a time.
const UNITS: usize = 4;
/// Records of one page, which is not divided.
const PAGE: u64 = 1_000;
/// Tasks that a unit is cut into when no executor is there.
const UNKNOWN: u64 = 16;
/// An executor: vCPU and GB.
const EXECUTOR: (f64, f64) = (2.0, 8.0);

/// A fixed sequence that looks like chance.
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }
}

/// When a run comes, and how many records it has.
type Arrival = (Time, u64);

/// A day from noon to noon of a university's harvester. From 22:00 to 04:00 a run every ten minutes for the collections that have come in
/// since: 2,300 of 20 to 150 records, and twelve of 100,000 to 4,000,000. By day twenty runs of people who work on mappings.
fn university() -> Vec<Arrival> {
    let mut sequence = Sequence(26_773);
    let mut nightly = vec![0u64; 36];
    for index in 0..2_300 {
        nightly[index % 36] += sequence.between(20, 150);
    }
    for _ in 0..12 {
        let run = sequence.between(0, 35) as usize;
        nightly[run] += sequence.between(100, 4_000) * 1_000;
    }
    let mut arrivals: Vec<Arrival> =
        nightly.into_iter().enumerate().map(|(run, records)| (10 * HOUR + run as u64 * 600 * SECOND, records)).collect();
    for _ in 0..20 {
        let at = [0, 20 * HOUR][usize::from(sequence.between(0, 1) == 1)] + sequence.between(0, 4 * 3_600) * SECOND;
        arrivals.push((at, sequence.between(5, 400) * 1_000));
    }
    arrivals.sort_unstable();
    arrivals
}

/// The same day with one run more: at 01:00 all 50 million records are mapped anew, as a mapping has changed.
fn everything_anew() -> Vec<Arrival> {
    let mut arrivals = university();
    arrivals.push((13 * HOUR, 50_000_000));
    arrivals.sort_unstable();
    arrivals
}

/// How executors come.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// From start until it takes tasks: least and most.
    start: (Time, Time),
    /// None: they are always there.
    policy: Option<Policy>,
    always: usize,
}

/// A run that is under way.
struct Run {
    came: Time,
    first: Option<Time>,
    /// Records of units that are not submitted yet.
    units: VecDeque<u64>,
    open: usize,
}

struct Task {
    run: usize,
    unit: usize,
    lasts: Time,
}

/// What came of a day.
struct Day {
    executor_seconds: f64,
    billed_seconds: f64,
    starts: usize,
    most: usize,
    /// Seconds until the first task of each run, and until its end.
    waited: Vec<f64>,
    took: Vec<f64>,
}

struct Executor {
    started: Time,
    ready: Time,
    /// Ends of what its vcores do.
    busy: Vec<Time>,
    /// Until then somebody may read its results.
    needed: Time,
}

/// Everything that is under way.
struct World {
    now: Time,
    kind: Kind,
    sequence: Sequence,
    executors: Vec<Executor>,
    runs: Vec<Run>,
    waiting: VecDeque<Task>,
    /// Tasks under way: their end, and whose they are.
    running: Vec<(Time, usize, usize)>,
    /// Tasks of each unit that have not ended.
    units: Vec<usize>,
    history: History,
    day: Day,
}

impl World {
    fn new(kind: Kind) -> Self {
        let day = Day { executor_seconds: 0.0, billed_seconds: 0.0, starts: 0, most: 0, waited: Vec::new(), took: Vec::new() };
        let mut world = Self {
            now: 0,
            kind,
            sequence: Sequence(1),
            executors: Vec::new(),
            runs: Vec::new(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            units: Vec::new(),
            history: History::default(),
            day,
        };
        world.start(kind.always, 0);
        world
    }

    fn start(&mut self, count: usize, lasts: Time) {
        for _ in 0..count {
            self.executors.push(Executor { started: self.now, ready: self.now + lasts, busy: Vec::new(), needed: 0 });
        }
    }

    fn vcores(&self) -> u64 {
        let ready = self.executors.iter().filter(|executor| executor.ready <= self.now).count();
        ready as u64 * EXECUTOR.0 as u64
    }

    fn come(&mut self, records: u64) {
        let units = records.div_ceil(UNIT).max(1);
        let units = (0..units).map(|unit| (records - unit * UNIT).min(UNIT)).collect();
        self.runs.push(Run { came: self.now, first: None, units, open: 0 });
    }

    /// Units that may be submitted are cut into tasks.
    fn submit(&mut self) {
        let vcores = self.vcores();
        for (run, state) in self.runs.iter_mut().enumerate() {
            while state.open < UNITS
                && let Some(records) = state.units.pop_front()
            {
                let tasks = if vcores == 0 { UNKNOWN } else { 2 * vcores }.min(records.div_ceil(PAGE)).max(1);
                let lasts = (records as f64 / tasks as f64 * RECORD / 1_000.0 + TASK) as Time;
                state.open += 1;
                self.units.push(tasks as usize);
                let unit = self.units.len() - 1;
                self.waiting.extend((0..tasks).map(|_| Task { run, unit, lasts: lasts.max(1) }));
            }
        }
    }

    /// Tasks end, and others begin where there is room, on the executors in turns.
    fn work(&mut self) {
        let now = self.now;
        let (ended, running) = std::mem::take(&mut self.running).into_iter().partition(|(end, ..)| *end <= now);
        self.running = running;
        for (_, run, unit) in Vec::from_iter::<Vec<(Time, usize, usize)>>(ended) {
            self.units[unit] -= 1;
            if self.units[unit] == 0 {
                let state = &mut self.runs[run];
                state.open -= 1;
                if state.open == 0 && state.units.is_empty() {
                    self.day.took.push((now - state.came) as f64 / SECOND as f64);
                }
            }
        }
        for executor in &mut self.executors {
            let before = executor.busy.len();
            executor.busy.retain(|end| *end > now);
            if executor.busy.len() < before {
                executor.needed = now + 5 * SECOND;
            }
        }
        for _ in 0..EXECUTOR.0 as usize {
            for executor in self.executors.iter_mut().filter(|executor| executor.ready <= now && (executor.busy.len() as f64) < EXECUTOR.0)
            {
                let Some(task) = self.waiting.pop_front() else { return };
                let run = &mut self.runs[task.run];
                run.first.get_or_insert(now);
                executor.busy.push(now + task.lasts);
                self.running.push((now + task.lasts, task.run, task.unit));
            }
        }
    }

    /// The fleet looks, as it does each second and when work has come.
    fn look(&mut self) {
        let Some(policy) = self.kind.policy else { return };
        let now = self.now;
        let held = |executor: &Executor| !executor.busy.is_empty() || executor.needed > now;
        let present = self.executors.iter().filter(|executor| executor.ready <= now).count();
        let demand = Demand {
            tasks: self.waiting.len() + self.running.len(),
            present,
            starting: self.executors.len() - present,
            busy: self.executors.iter().filter(|executor| held(executor)).count(),
        };
        let at = Duration::from_millis(now);
        self.history = std::mem::take(&mut self.history).then(at, &demand, &policy);
        let wanted = size(&demand, &self.history, at, &policy);
        for _ in self.executors.len()..wanted {
            let lasts = self.sequence.between(self.kind.start.0, self.kind.start.1);
            self.day.starts += 1;
            self.start(1, lasts);
        }
        let mut surplus = self.executors.len().saturating_sub(wanted);
        let mut kept = Vec::with_capacity(self.executors.len());
        for executor in std::mem::take(&mut self.executors) {
            if surplus > 0 && executor.ready <= now && !held(&executor) {
                surplus -= 1;
                self.day.billed_seconds += ((now - executor.started) as f64 / SECOND as f64).max(60.0);
            } else {
                kept.push(executor);
            }
        }
        self.executors = kept;
        self.day.most = self.day.most.max(self.executors.len());
    }

    fn run(mut self, arrivals: &[Arrival]) -> Day {
        let mut next = arrivals.iter().peekable();
        while self.now < 24 * HOUR {
            let mut came = false;
            while let Some((_, records)) = next.next_if(|(at, _)| *at <= self.now) {
                self.come(*records);
                came = true;
            }
            self.submit();
            self.work();
            if came || self.now.is_multiple_of(SECOND) {
                self.look();
            }
            self.day.executor_seconds += self.executors.len() as f64 * STEP as f64 / SECOND as f64;
            self.now += STEP;
        }
        assert!(next.peek().is_none() && self.waiting.is_empty() && self.running.is_empty(), "the day is not long enough");
        self.day.billed_seconds += self.executors.iter().map(|executor| (self.now - executor.started) as f64 / SECOND as f64).sum::<f64>();
        self.day.waited = self.runs.iter().filter_map(|run| Some((run.first? - run.came) as f64 / SECOND as f64)).collect();
        self.day
    }
}

impl Day {
    fn cost(&self) -> f64 {
        let prices = Prices::default();
        self.billed_seconds / 3_600.0 * (EXECUTOR.0 * prices.fargate_vcpu_hour + EXECUTOR.1 * prices.fargate_gb_hour)
    }
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

fn policy(max: usize, tasks_per_vcore: usize, idle: u64, grow_after: u64) -> Policy {
    let (grow_after, idle) = (Duration::from_secs(grow_after), Duration::from_secs(idle));
    Policy { min: 0, max, vcores: EXECUTOR.0 as usize, tasks_per_vcore, grow_after, idle }
}

fn always(name: &'static str, executors: usize) -> Kind {
    Kind { name, start: (0, 0), policy: None, always: executors }
}

fn fargate(name: &'static str, policy: Policy) -> Kind {
    Kind { name, start: (35 * SECOND, 60 * SECOND), policy: Some(policy), always: 0 }
}

fn processes(name: &'static str, policy: Policy) -> Kind {
    Kind { name, start: (300, 300), policy: Some(policy), always: 0 }
}

fn table(arrivals: &[Arrival], kinds: &[Kind]) -> String {
    let records: u64 = arrivals.iter().map(|(_, records)| records).sum();
    let mut text = format!(
        "{} runs, {:.1} million records, {:.0} vcore seconds of mapping.\n\n",
        arrivals.len(),
        records as f64 / 1e6,
        records as f64 * RECORD / 1e6
    );
    text += "| fleet | executor hours | starts | most at a time | first task after, p50 / p95 s | run over after, p50 / p95 / longest s | USD on Fargate |\n|---|---:|---:|---:|---:|---:|---:|\n";
    for kind in kinds {
        let day = World::new(*kind).run(arrivals);
        let (hours, starts, most) = (day.executor_seconds / 3_600.0, day.starts, day.most.max(kind.always));
        let (p50, p95) = (quantile(&day.waited, 0.5), quantile(&day.waited, 0.95));
        let (half, most_of, longest) = (quantile(&day.took, 0.5), quantile(&day.took, 0.95), quantile(&day.took, 1.0));
        let cost = day.cost();
        let _ = writeln!(
            text,
            "| {} | {hours:.2} | {starts} | {most} | {p50:.1} / {p95:.1} | {half:.1} / {most_of:.1} / {longest:.1} | {cost:.2} |",
            kind.name
        );
    }
    text
}

/// The tables of a day, as they stand in the document.
fn tables() -> String {
    let usual = [
        always("always one", 1),
        always("always 8", 8),
        processes("processes (as set by default)", policy(8, 2, 60, 1)),
        fargate("Fargate (as set by default)", policy(8, 4, 120, 5)),
        fargate("Fargate, tasks_per_vcore = 2", policy(8, 2, 120, 5)),
        fargate("Fargate, idle = 60s", policy(8, 4, 60, 5)),
        fargate("Fargate, idle = 15m", policy(8, 4, 900, 5)),
    ];
    let large = [
        always("always one", 1),
        always("always 32", 32),
        fargate("Fargate, max = 8", policy(8, 4, 120, 5)),
        fargate("Fargate, max = 32", policy(32, 4, 120, 5)),
        fargate("Fargate, max = 32, tasks_per_vcore = 2", policy(32, 2, 120, 5)),
    ];
    format!("**A usual day:** {}\n**With everything anew at 01:00:** {}", table(&university(), &usual), table(&everything_anew(), &large))
}

#[test]
fn the_table_of_the_document_is_what_is_computed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benchmarks/scaling.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (open, close) = ("<!-- computed by tests/tests/fleet/day.rs -->\n", "<!-- until here -->\n");
    let (before, rest) = text.split_once(open).unwrap();
    let (written, after) = rest.split_once(close).unwrap();
    let computed = tables();
    if std::env::var("PACHA_SCALING").is_ok_and(|value| value == "update") {
        std::fs::write(&path, format!("{before}{open}{computed}{close}{after}")).unwrap();
        return;
    }
    assert_eq!(written, computed, "PACHA_SCALING=update writes benchmarks/scaling.md anew");
}

#[test]
fn a_day_ends_without_executors_and_nobody_is_started_for_a_moment() {
    let day = World::new(fargate("", policy(8, 4, 120, 5))).run(&university());
    assert!(day.starts <= 8 * university().len() && day.most <= 8);
    let lives = day.executor_seconds / day.starts as f64;
    assert!(lives > 120.0, "an executor lived {lives} s on average, less than the idle time");
    let always = World::new(always("", 8)).run(&university());
    assert!(day.executor_seconds < always.executor_seconds / 5.0, "{} of {}", day.executor_seconds, always.executor_seconds);
    assert_eq!(day.took.len(), university().len());
}
