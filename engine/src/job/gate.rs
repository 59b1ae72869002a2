//! Gates: when a result is held back although the run went well.
//!
//! Shares are looked at per collection and only above a floor, for 3 of 18 lost is not 3,000 of 18,000. Without a last
//! version there is no fall. A gate that halts holds back its collection, and the others are published; or the whole run, if
//! the job says so. Every gate that fired is in the run record, overridden or not.

use std::collections::{BTreeMap, BTreeSet};

use schemas::problem::{Problem, Problems};
use serde::{Deserialize, Serialize};

use super::record::RunRecord;
use super::run::RunOptions;
use crate::error::{Error, Kind, Result};
use crate::project::{Gates, Hold, Job};
use crate::table::{CollectionState, Counts, Snapshot, Thousands, counted};

/// A gate that fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateResult {
    /// Stable code: `PG401` quarantine, `PG402` fall, `PG403` too few records.
    pub code: String,
    /// The collection; none for the run as a whole.
    pub collection: Option<String>,
    /// Whether it holds the result back.
    pub halts: bool,
    /// What was seen, and the limit.
    pub message: String,
}

/// Looks at the counts of the collections that ran, against the last version.
pub fn look(gates: &Gates, counts: &BTreeMap<String, Counts>, before: &BTreeMap<String, CollectionState>) -> Vec<GateResult> {
    let mut fired = Vec::new();
    for (id, counts) in counts {
        let live = counts.input - counts.deleted;
        if counts.input >= gates.floor {
            let share = counts.quarantined as f64 / live.max(1) as f64;
            let seen = || format!("{} of {} ({:.1} %) quarantined", Thousands(counts.quarantined), Thousands(live), share * 100.0);
            push(&mut fired, "PG401", id, share, gates.quarantined_warn, gates.quarantined_halt, seen);
        }
        let Some(last) = before.get(id).map(|state| state.counts) else { continue };
        if last.mapped >= gates.floor && last.mapped > 0 {
            let share = 1.0 - counts.mapped as f64 / last.mapped as f64;
            let seen = || {
                format!(
                    "{} mapped, {} in the last version (−{:.1} %)",
                    counted(counts.mapped, "record"),
                    Thousands(last.mapped),
                    share * 100.0
                )
            };
            push(&mut fired, "PG402", id, share, gates.fall_warn, gates.fall_halt, seen);
        }
    }
    fired
}

/// Looks at the records that the whole database would have.
pub fn look_at_all(gates: &Gates, mapped: u64) -> Option<GateResult> {
    (mapped < gates.min_records).then(|| {
        let message = format!("{} mapped, at least {} are wanted", counted(mapped, "record"), Thousands(gates.min_records));
        GateResult { code: "PG403".into(), collection: None, halts: true, message }
    })
}

fn push(fired: &mut Vec<GateResult>, code: &str, id: &str, share: f64, warn: f64, halt: f64, seen: impl Fn() -> String) {
    let limit = if share > halt {
        halt
    } else if share > warn {
        warn
    } else {
        return;
    };
    let message = format!("{}, limit {:.0} %", seen(), limit * 100.0);
    fired.push(GateResult { code: code.into(), collection: Some(id.into()), halts: share > halt, message });
}

/// What is to be said of the gates that halt. `all` if nothing at all is published for them; `gone` are collections that
/// the job no longer has, so that they cannot be run alone.
pub fn withheld(fired: &[GateResult], job: &Job, run_id: &str, all: bool, gone: &BTreeSet<String>) -> Vec<Problem> {
    let code = |gate: &GateResult| match gate.code.as_str() {
        "PG402" => "PG402",
        "PG403" => "PG403",
        _ => "PG401",
    };
    let problem = |gate: &GateResult| {
        let of = gate.collection.as_ref().map(|id| format!("collection {id}: ")).unwrap_or_default();
        let outcome = if all { "Not published" } else { "Withheld: what is published of it stays as it was" };
        let alone = gate.collection.as_ref().filter(|id| job.gates.hold == Hold::Collection && !gone.contains(*id));
        let alone = alone.map(|id| format!("--collection {id} ")).unwrap_or_default();
        Problem::error(code(gate), format!("gate: {of}{}. {outcome}", gate.message)).hint(format!(
            "`pacha show {run_id}` has the causes; to publish all the same: pacha run {} {alone}--accept \"reason\"; the reason is recorded in the commit",
            job.name
        ))
    };
    fired.iter().filter(|gate| gate.halts).map(problem).collect()
}

/// What the gates let through.
#[derive(Default)]
pub(super) struct Verdict {
    /// Collections that are held back.
    pub(super) held: BTreeSet<String>,
    /// What is to be said of them.
    pub(super) problems: Vec<Problem>,
    /// Gates that the user has overridden.
    pub(super) overrides: Vec<String>,
}

/// What the gates let through. Those of a collection hold it back, or the whole run if the job says so; the gate for
/// the whole looks at what would be published then.
///
/// # Errors
/// The whole run is held back.
pub(super) fn judge(
    job: &Job,
    options: &RunOptions,
    record: &mut RunRecord,
    counts: &BTreeMap<String, Counts>,
    removed: &BTreeSet<String>,
    before: &Snapshot,
) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    if job.target.is_none() {
        return Ok(verdict);
    }
    let mut counts = counts.clone();
    // A collection whose file is gone falls to nothing: the gate for a fall is the gate for that too.
    counts.extend(removed.iter().map(|id| (id.clone(), Counts::default())));
    let mut fired = look(&job.gates, &counts, &before.collections);
    if options.accept.is_none() {
        verdict.held = fired.iter().filter(|gate| gate.halts).filter_map(|gate| gate.collection.clone()).collect();
    }
    if options.request.collections.is_empty() {
        let stay = before.collections.iter().filter(|(id, _)| !counts.contains_key(*id) || verdict.held.contains(*id));
        let come = counts.iter().filter(|(id, _)| !verdict.held.contains(*id));
        let mapped = stay.map(|(_, state)| state.counts.mapped).chain(come.map(|(_, counts)| counts.mapped)).sum();
        fired.extend(look_at_all(&job.gates, mapped));
    }
    record.gates.clone_from(&fired);
    let mut halting = fired.iter().filter(|gate| gate.halts).peekable();
    if halting.peek().is_none() {
        return Ok(verdict);
    }
    if options.accept.is_some() {
        let of = |gate: &GateResult| gate.collection.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
        verdict.overrides = halting.map(|gate| format!("{} {}{}", gate.code, of(gate), gate.message)).collect();
        return Ok(verdict);
    }
    let all = job.gates.hold == Hold::Run || verdict.held.len() == counts.len() || halting.any(|gate| gate.collection.is_none());
    verdict.problems = withheld(&fired, job, &record.id, all, removed);
    record.withheld = if all { counts.into_keys().collect() } else { verdict.held.clone() };
    if all { Err(Error { kind: Kind::Withheld, problems: Problems(verdict.problems) }) } else { Ok(verdict) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(input: u64, mapped: u64, quarantined: u64) -> Counts {
        Counts { input, mapped, quarantined, ..Counts::default() }
    }

    #[test]
    fn a_small_collection_may_lose_what_a_large_one_may_not() {
        let gates = Gates::default();
        let look = |counts: Counts| look(&gates, &BTreeMap::from([("a".to_owned(), counts)]), &BTreeMap::new());
        assert!(look(counts(gates.floor - 1, 0, gates.floor - 1)).iter().all(|gate| gate.code != "PG401"));
        let fired = look(counts(1_250, 610, 640));
        assert!(fired[0].halts && fired[0].message.starts_with("640 of 1,250 (51.2 %) quarantined, limit 40 %"), "{fired:?}");
    }

    #[test]
    fn the_first_run_has_nothing_to_fall_from() {
        let gates = Gates::default();
        let now = BTreeMap::from([("a".to_owned(), counts(100, 50, 0))]);
        assert!(look(&gates, &now, &BTreeMap::new()).is_empty());
        let before = BTreeMap::from([("a".to_owned(), CollectionState { counts: counts(100, 100, 0), ..CollectionState::default() })]);
        assert!(look(&gates, &now, &before)[0].halts);
    }
}
