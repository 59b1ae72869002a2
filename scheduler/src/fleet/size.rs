//! How many executors there should be. Pure: the same demand, history and policy give the same size, in the scheduler as in
//! the simulation of `benchmarks/scaling.md`.
//!
//! Growing follows the work: from none at once, then as soon as there have been too few for a while, so that a burst which
//! those that are there clear in a moment starts nobody. Shrinking follows the past: the fleet is never smaller than the most
//! that was needed at any time within the idle time. So work that comes and goes does not start and stop executors, and
//! nobody goes sooner than the idle time after it has come.

use std::collections::VecDeque;
use std::time::Duration;

use engine::project::FleetSettings;

/// How eagerly a fleet follows its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Executors that are always there.
    pub min: usize,
    /// Most executors.
    pub max: usize,
    /// Tasks that one executor runs at a time.
    pub vcores: usize,
    /// Tasks, waiting or running, for which one vcore is provided.
    pub tasks_per_vcore: usize,
    /// How long there must be too few before more are started.
    pub grow_after: Duration,
    /// How long there must be too many before some are stopped.
    pub idle: Duration,
}

impl From<&FleetSettings> for Policy {
    fn from(settings: &FleetSettings) -> Self {
        Self {
            min: settings.min,
            max: settings.max(),
            vcores: settings.vcores.get(),
            tasks_per_vcore: settings.tasks_per_vcore(),
            grow_after: settings.grow_after(),
            idle: settings.idle(),
        }
    }
}

/// What there is to do, and who is there to do it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// Tasks that wait or run.
    pub tasks: usize,
    /// Executors that are registered and take tasks.
    pub present: usize,
    /// Executors that were started and are not there yet.
    pub starting: usize,
    /// Of those present, the ones that run something or hold rows that somebody still needs.
    pub busy: usize,
}

impl Demand {
    /// Executors that are there or will be in a moment.
    pub fn here(&self) -> usize {
        self.present + self.starting
    }

    /// Executors that these tasks would keep busy, within the bounds of the policy.
    pub fn needed(&self, policy: &Policy) -> usize {
        let one = policy.vcores.max(1) * policy.tasks_per_vcore.max(1);
        self.tasks.div_ceil(one).min(policy.max).max(policy.min)
    }
}

/// What has been lately. Instants are counted from any one beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    here: usize,
    short_since: Option<Duration>,
    /// When so many were needed last, of those within the idle time: later ones are smaller.
    peaks: VecDeque<(Duration, usize)>,
}

impl History {
    /// What is remembered at `now`, when this is the demand.
    #[must_use]
    pub fn then(mut self, now: Duration, demand: &Demand, policy: &Policy) -> Self {
        let (needed, here) = (demand.needed(policy), demand.here());
        // Whoever has come or gone begins a new time of looking.
        let known = self.short_since.filter(|_| self.here == here);
        self.short_since = (needed > here).then(|| known.unwrap_or(now));
        // Whoever has come was wanted, by us or by somebody else.
        let least = if here > self.here { needed.max(here) } else { needed };
        while self.peaks.pop_back_if(|(_, peak)| *peak <= least).is_some() {}
        self.peaks.push_back((now, least));
        while self.peaks.pop_front_if(|(at, _)| now.saturating_sub(*at) >= policy.idle).is_some() {}
        self.here = here;
        self
    }

    /// The most that were needed within the idle time.
    fn peak(&self) -> usize {
        self.peaks.front().map_or(0, |(_, peak)| *peak)
    }
}

/// The executors that there should be at `now`, of those that the demand counts. `history` is that of `now`.
///
/// Never above the policy's most, unless more are there; never below those that are busy.
pub fn size(demand: &Demand, history: &History, now: Duration, policy: &Policy) -> usize {
    let (needed, here) = (demand.needed(policy), demand.here());
    if here == 0 || here < policy.min {
        return needed;
    }
    let short = history.short_since.is_some_and(|since| now.saturating_sub(since) >= policy.grow_after);
    if needed > here {
        return if short { needed } else { here };
    }
    needed.max(history.peak()).max(demand.busy).min(here)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy =
        Policy { min: 0, max: 10, vcores: 2, tasks_per_vcore: 2, grow_after: Duration::from_secs(5), idle: Duration::from_secs(60) };

    /// A fleet that is at once as large as it should be, seen once a second.
    struct World {
        policy: Policy,
        history: History,
        here: usize,
        now: Duration,
    }

    impl World {
        fn new(policy: Policy) -> Self {
            Self { policy, history: History::default(), here: 0, now: Duration::ZERO }
        }

        /// A second with so many tasks, which keep so many executors busy; the size after it.
        fn second(&mut self, tasks: usize, busy: usize) -> usize {
            let demand = Demand { tasks, present: self.here, starting: 0, busy: busy.min(self.here) };
            self.history = std::mem::take(&mut self.history).then(self.now, &demand, &self.policy);
            self.here = size(&demand, &self.history, self.now, &self.policy);
            self.now += Duration::from_secs(1);
            self.here
        }

        fn seconds(&mut self, seconds: usize, tasks: usize) -> Vec<usize> {
            (0..seconds).map(|_| self.second(tasks, tasks.div_ceil(self.policy.vcores))).collect()
        }
    }

    #[test]
    fn the_first_job_is_served_at_once_and_the_last_one_leaves_nobody() {
        let mut world = World::new(POLICY);
        assert_eq!(world.seconds(3, 0), [0, 0, 0]);
        assert_eq!(world.second(9, 0), 3, "nine tasks, four to an executor");
        assert!(world.seconds(60, 0).iter().all(|&size| size == 3), "they stay for the idle time");
        assert_eq!(world.second(0, 0), 0);
    }

    #[test]
    fn a_burst_that_is_over_in_a_moment_starts_nobody() {
        let mut world = World::new(POLICY);
        world.seconds(1, 4);
        assert_eq!(world.seconds(5, 40), [1, 1, 1, 1, 1]);
        assert_eq!(world.seconds(2, 4), [1, 1]);
        assert_eq!(world.seconds(6, 40), [1, 1, 1, 1, 1, 10], "this one stays");
    }

    #[test]
    fn work_that_comes_and_goes_keeps_what_it_needs_at_its_peaks() {
        let mut world = World::new(POLICY);
        world.seconds(1, 40);
        for _ in 0..20 {
            world.seconds(10, 8);
            world.seconds(10, 24);
        }
        assert_eq!(world.here, 6, "six at the peaks, and two are not tried in between");
        let sizes = world.seconds(59, 0);
        assert!(sizes.iter().all(|&size| size == 6), "{sizes:?}");
    }

    #[test]
    fn whoever_is_busy_or_holds_what_is_needed_stays() {
        let mut world = World::new(POLICY);
        world.seconds(1, 40);
        let mut size = 10;
        for _ in 0..200 {
            size = world.second(0, 4);
        }
        assert_eq!(size, 4, "no task is left, but somebody needs the rows of four");
    }

    #[test]
    fn starting_executors_are_not_started_twice() {
        let demand = Demand { tasks: 40, present: 0, starting: 10, busy: 0 };
        let later = Duration::from_secs(600);
        let history = History::default().then(Duration::ZERO, &demand, &POLICY).then(later, &demand, &POLICY);
        assert_eq!(size(&demand, &history, later, &POLICY), 10);
    }

    #[test]
    fn the_least_are_there_without_any_work_and_come_back_at_once() {
        let policy = Policy { min: 2, ..POLICY };
        let mut world = World::new(policy);
        assert_eq!(world.second(0, 0), 2);
        world.here = 1;
        assert_eq!(world.second(0, 0), 2);
        world.seconds(10, 40);
        world.seconds(120, 0);
        assert_eq!(world.here, 2);
    }

    #[test]
    fn a_fleet_above_a_lowered_limit_shrinks_when_it_is_idle() {
        let mut world = World::new(POLICY);
        world.seconds(1, 40);
        world.policy.max = 3;
        assert_eq!(world.second(40, 10), 10);
        for _ in 0..61 {
            world.second(40, 3);
        }
        assert_eq!(world.here, 3);
    }

    fn policies() -> impl Strategy<Value = Policy> {
        (0usize..4, 1usize..20, 1usize..5, 1usize..4, 0u64..10, 1u64..90).prop_map(|(min, more, vcores, tasks_per_vcore, grow, idle)| {
            Policy { min, max: min + more, vcores, tasks_per_vcore, grow_after: Duration::from_secs(grow), idle: Duration::from_secs(idle) }
        })
    }

    /// Stretches of time with so many tasks.
    fn days() -> impl Strategy<Value = Vec<(usize, usize)>> {
        vec((1usize..120, prop_oneof![Just(0usize), 0usize..30, 0usize..400]), 1..30)
    }

    proptest! {
        #[test]
        fn a_size_is_within_its_bounds_and_never_below_the_busy(policy in policies(), days in days()) {
            let mut world = World::new(policy);
            for (seconds, tasks) in days {
                for _ in 0..seconds {
                    let (before, busy) = (world.here, tasks.div_ceil(policy.vcores).min(world.here));
                    let after = world.second(tasks, busy);
                    prop_assert!(after >= policy.min && after <= policy.max.max(before));
                    prop_assert!(after >= busy, "{after} of {before}, {busy} busy");
                    prop_assert!(tasks == 0 || after > 0, "somebody is there when there is work");
                }
            }
        }

        #[test]
        fn nothing_is_stopped_sooner_than_the_idle_time_after_it_was_needed(policy in policies(), days in days()) {
            let mut world = World::new(policy);
            // What was needed in each second.
            let mut past: Vec<usize> = Vec::new();
            let mut grown = 0;
            for (seconds, tasks) in days {
                for _ in 0..seconds {
                    let before = world.here;
                    let demand = Demand { tasks, present: before, ..Demand::default() };
                    past.push(demand.needed(&policy));
                    let after = world.second(tasks, 0);
                    if after < before {
                        let window = policy.idle.as_secs() as usize;
                        prop_assert!(past.len() > window, "stopped after {} s", past.len());
                        let most = past[past.len() - window..].iter().max().copied().unwrap_or(0);
                        prop_assert!(after >= most, "{after} are fewer than the {most} of the last {window} s");
                        prop_assert!(past.len() - grown > window, "they came {} s ago", past.len() - grown);
                    }
                    if after > before {
                        grown = past.len();
                    }
                }
            }
        }

        #[test]
        fn steady_work_has_what_it_needs_and_no_more_in_the_end(policy in policies(), before in days(), tasks in 0usize..400) {
            let mut world = World::new(policy);
            for (seconds, tasks) in before {
                world.seconds(seconds, tasks);
            }
            let enough = (policy.idle + policy.grow_after).as_secs() as usize + 3;
            let sizes: Vec<usize> = (0..enough).map(|_| world.second(tasks, 0)).collect();
            let needed = Demand { tasks, ..Demand::default() }.needed(&policy);
            prop_assert_eq!(sizes.last().copied(), Some(needed));
            prop_assert!(sizes.is_sorted() || sizes.iter().rev().is_sorted(), "{sizes:?} goes to and fro");
        }

        #[test]
        fn more_work_never_wants_fewer(policy in policies(), tasks in 0usize..400, more in 0usize..400, present in 0usize..30) {
            let of = |tasks| {
                let demand = Demand { tasks, present, ..Demand::default() };
                let history = History::default().then(Duration::ZERO, &demand, &policy);
                let later = Duration::from_secs(100);
                size(&demand, &history.then(later, &demand, &policy), later, &policy)
            };
            prop_assert!(of(tasks) <= of(tasks + more));
        }
    }
}
