//! Who belongs to a fleet, and where each one stands: from its start until it has ended.
//!
//! ```text
//!  started ──► Starting ──registered──► Working ◄──needed again── Retiring ──at rest──► Stopping ──► gone
//!                 │ not in time, or ended        └──too many──────────┘
//!                 └──► a failure: the next start waits a while
//! ```
//!
//! Pure: what the fleet and the scheduler say goes in, what is to be done comes out. A retiring executor gets no more tasks;
//! it is stopped when it runs nothing and holds nothing, and goes back to work if it is needed before that.

use std::time::Duration;

use engine::cluster::identity;
use engine::cluster::view::ExecutorView;

use super::Member;
use super::size::Demand;

/// The first pause after a failed start; it doubles.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Started, and not registered yet.
    Starting { since: Duration },
    /// Registered; `rests` since it has run and held nothing, `retiring` if it takes no more tasks.
    Working { rests: Option<Duration>, retiring: bool },
    /// On its way out; `asked` if it was by us.
    Stopping { asked: bool },
}

#[derive(Debug, Clone)]
struct Entry {
    member: Member,
    stage: Stage,
    /// The executor's id, once it has registered.
    id: Option<String>,
}

/// What was noticed, for the log and the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It was there before this scheduler was.
    Adopted(Member),
    /// It has registered, so long after its start.
    Arrived(Member, Duration),
    /// It ended before it registered, and why.
    Failed(Member, String),
    /// It did not register in time.
    Late(Member),
    /// It ended, and nobody had asked it to.
    Lost(Member, String),
    /// It ended as it was asked to.
    Ended(Member),
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// So many are to be started.
    pub start: usize,
    /// Ids of executors that must get no tasks, now as before.
    pub fence: Vec<String>,
    /// Ids of executors that may get tasks again.
    pub free: Vec<String>,
    /// Members that may be stopped, unless they were given a task since.
    pub stop: Vec<Member>,
}

/// How many members stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Registered, and taking tasks.
    pub present: usize,
    /// Started, and not registered yet.
    pub starting: usize,
    /// Retiring or ending.
    pub draining: usize,
}

/// The members of a fleet.
#[derive(Debug)]
pub struct Roster {
    entries: Vec<Entry>,
    start_within: Duration,
    failures: u32,
    /// No start before this.
    pause_until: Duration,
}

impl Roster {
    /// Nobody yet. An executor that has not registered after `start_within` counts as failed.
    pub fn new(start_within: Duration) -> Self {
        Self { entries: Vec::new(), start_within, failures: 0, pause_until: Duration::ZERO }
    }

    /// Takes what fleet and scheduler say at `now`.
    pub fn look(&mut self, now: Duration, members: &[Member], executors: &[ExecutorView]) -> Vec<Notice> {
        let mut notices = Vec::new();
        for member in members.iter().filter(|member| member.ended.is_none()) {
            if !self.entries.iter().any(|entry| entry.member.name == member.name) {
                self.insert(now, member.clone());
                notices.push(Notice::Adopted(member.clone()));
            }
        }
        let mut left = Vec::with_capacity(self.entries.len());
        for mut entry in std::mem::take(&mut self.entries) {
            let found = members.iter().find(|member| member.name == entry.member.name);
            if let Some(why) = found.map_or(Some("it is gone"), |member| member.ended.as_deref()) {
                notices.push(self.ended(now, entry, why));
                continue;
            }
            let executor = executors.iter().find(|executor| identity::name_of(&executor.id) == Some(entry.member.name.as_str()));
            notices.extend(self.step(now, &mut entry, executor));
            left.push(entry);
        }
        self.entries = left;
        notices
    }

    fn insert(&mut self, now: Duration, member: Member) {
        self.entries.push(Entry { member, stage: Stage::Starting { since: now }, id: None });
    }

    fn ended(&mut self, now: Duration, entry: Entry, why: &str) -> Notice {
        match entry.stage {
            Stage::Starting { .. } if entry.id.is_none() => {
                self.failed(now);
                Notice::Failed(entry.member, why.to_owned())
            }
            Stage::Stopping { .. } => Notice::Ended(entry.member),
            Stage::Starting { .. } | Stage::Working { .. } => Notice::Lost(entry.member, why.to_owned()),
        }
    }

    /// Moves a member on by what the scheduler says of it.
    fn step(&mut self, now: Duration, entry: &mut Entry, executor: Option<&ExecutorView>) -> Option<Notice> {
        let Some(executor) = executor else {
            return match entry.stage {
                Stage::Starting { since } if now.saturating_sub(since) >= self.start_within => {
                    self.failed(now);
                    entry.stage = Stage::Stopping { asked: true };
                    Some(Notice::Late(entry.member.clone()))
                }
                // Its scheduler has not heard of it for a while, or has begun anew: it may register again.
                Stage::Working { .. } => {
                    entry.stage = Stage::Starting { since: now };
                    None
                }
                Stage::Starting { .. } | Stage::Stopping { .. } => None,
            };
        };
        entry.id = Some(executor.id.clone());
        let at_rest = executor.running == 0 && !executor.needed;
        let arrived = Stage::Working { rests: at_rest.then_some(now), retiring: false };
        match entry.stage {
            Stage::Starting { since } => {
                entry.stage = arrived;
                self.failures = 0;
                self.pause_until = Duration::ZERO;
                return Some(Notice::Arrived(entry.member.clone(), now.saturating_sub(since)));
            }
            // Somebody else has asked it to end, such as Spot, which takes its machine back.
            Stage::Working { .. } if executor.terminating => entry.stage = Stage::Stopping { asked: false },
            Stage::Working { rests, retiring } => {
                let rests = if at_rest { rests.or(Some(now)) } else { None };
                entry.stage = Stage::Working { rests, retiring };
            }
            Stage::Stopping { asked: false } if !executor.terminating => entry.stage = arrived,
            Stage::Stopping { .. } => {}
        }
        None
    }

    fn failed(&mut self, now: Duration) {
        let pause = PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.pause_until = self.pause_until.max(now + pause);
    }

    /// Takes those that were started at `now`; `failed` if there are fewer than wanted.
    pub fn started(&mut self, now: Duration, members: Vec<Member>, failed: bool) {
        for member in members {
            self.insert(now, member);
        }
        if failed {
            self.failed(now);
        }
    }

    /// What is to be done to have `wanted`, of which others may provide some.
    pub fn steps(&mut self, now: Duration, wanted: usize) -> Steps {
        let Count { present, starting, .. } = self.count();
        let here = present + starting;
        let mut steps = Steps::default();
        if wanted > here {
            let back = self.recall(wanted - here, &mut steps.free);
            if now >= self.pause_until {
                steps.start = wanted - here - back;
            }
        } else {
            self.retire(here - wanted);
        }
        for entry in &self.entries {
            let Stage::Working { rests, retiring: true } = entry.stage else { continue };
            steps.fence.extend(entry.id.clone());
            steps.stop.extend(rests.map(|_| entry.member.clone()));
        }
        steps
    }

    /// Sends retiring members back to work; returns how many.
    fn recall(&mut self, most: usize, free: &mut Vec<String>) -> usize {
        let mut back = 0;
        for entry in &mut self.entries {
            if let Stage::Working { rests, retiring: true } = entry.stage
                && back < most
            {
                entry.stage = Stage::Working { rests, retiring: false };
                free.extend(entry.id.clone());
                back += 1;
            }
        }
        back
    }

    /// Retires those that have been at rest longest; none that is busy, and none that has just been started.
    fn retire(&mut self, count: usize) {
        let mut resting: Vec<(Duration, usize)> = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if let Stage::Working { rests: Some(since), retiring: false } = entry.stage {
                resting.push((since, index));
            }
        }
        resting.sort_unstable();
        for (_, index) in resting.into_iter().take(count) {
            if let Stage::Working { retiring, .. } = &mut self.entries[index].stage {
                *retiring = true;
            }
        }
    }

    /// Of members that may be stopped, those that are still at rest now that they get no more tasks. They are ending then.
    pub fn confirm(&mut self, stop: Vec<Member>, executors: &[ExecutorView]) -> Vec<Member> {
        let at_rest = |member: &Member| {
            let executor = executors.iter().find(|executor| identity::name_of(&executor.id) == Some(member.name.as_str()));
            executor.is_some_and(|executor| executor.running == 0 && !executor.needed)
        };
        let sure: Vec<Member> = stop.into_iter().filter(at_rest).collect();
        for entry in &mut self.entries {
            if sure.iter().any(|member| member.name == entry.member.name) {
                entry.stage = Stage::Stopping { asked: true };
            }
        }
        sure
    }

    /// These could not be stopped at `now`: they are tried again in a while.
    pub fn not_stopped(&mut self, now: Duration, members: &[Member]) {
        for entry in &mut self.entries {
            if members.iter().any(|member| member.name == entry.member.name) {
                entry.stage = match entry.id {
                    Some(_) => Stage::Working { rests: Some(now), retiring: true },
                    None => Stage::Starting { since: now },
                };
            }
        }
    }

    /// The demand of these tasks on the fleet. Executors that are none of it take their share first.
    pub fn demand(&self, tasks: usize, executors: &[ExecutorView]) -> Demand {
        let ours = |executor: &ExecutorView| {
            identity::name_of(&executor.id).is_some_and(|name| self.entries.iter().any(|entry| entry.member.name == name))
        };
        let elsewhere: u32 = executors.iter().filter(|executor| !executor.terminating && !ours(executor)).map(|one| one.vcores).sum();
        let count = self.count();
        let busy = |entry: &&Entry| matches!(entry.stage, Stage::Working { rests: None, retiring: false });
        Demand {
            tasks: tasks.saturating_sub(elsewhere as usize),
            present: count.present,
            starting: count.starting,
            busy: self.entries.iter().filter(busy).count(),
        }
    }

    /// How many stand where.
    pub fn count(&self) -> Count {
        let mut count = Count::default();
        for entry in &self.entries {
            match entry.stage {
                Stage::Starting { .. } => count.starting += 1,
                Stage::Working { retiring: false, .. } => count.present += 1,
                Stage::Working { retiring: true, .. } | Stage::Stopping { .. } => count.draining += 1,
            }
        }
        count
    }

    /// All that have not ended.
    pub fn members(&self) -> Vec<Member> {
        self.entries.iter().map(|entry| entry.member.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
