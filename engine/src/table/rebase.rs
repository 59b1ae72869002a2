//! Whether a proposal fits a version, and whether it may follow one that another run published first.
//!
//! Two runs may publish one after the other although both started from the same version, if neither can have seen what
//! the other did: other tables, or other collections of the same tables. Where that is not sure they conflict, because
//! running again is cheap and a published mixture is not.

use std::collections::HashSet;

use schemas::problem::Problem;

use super::commit::{Operation, Proposal};
use super::snapshot::Snapshot;

/// Completes the removed files of replaced tables, and checks that the proposal makes sense on top of `base`.
///
/// # Errors
/// It does not: a bug of the run that made it, caught before it is history.
pub(super) fn fit(proposal: &mut Proposal, base: &Snapshot) -> Result<(), Problem> {
    if !proposal.counts.adds_up() {
        return Err(not_adding_up("the run's", &proposal.counts.to_string(), proposal.counts.accounted()));
    }
    if let Some((id, state)) = proposal.collections.iter().find(|(_, state)| !state.counts.adds_up()) {
        return Err(not_adding_up(&format!("collection {id}'s"), &state.counts.to_string(), state.counts.accounted()));
    }
    for (name, change) in &mut proposal.tables {
        let table = base.tables.get(name);
        if matches!(change.operation, Operation::Replace | Operation::Drop) {
            change.remove = table.map(|table| table.files.iter().map(|file| file.path.clone()).collect()).unwrap_or_default();
        }
        let mut removed = HashSet::new();
        for path in &change.remove {
            if !removed.insert(path.as_str()) || table.is_none_or(|table| table.file(path).is_none()) {
                return Err(misfit(format!("{name}/data/{path} is to be removed, but version {} does not have it", base.version)));
            }
        }
        let mut added = HashSet::new();
        for file in &change.add {
            let stays = table.is_some_and(|table| table.file(&file.path).is_some()) && !removed.contains(file.path.as_str());
            let inside = !file.path.is_empty() && file.path.split('/').all(|part| !matches!(part, "" | "." | ".."));
            if stays || !inside || !added.insert(file.path.as_str()) {
                return Err(misfit(format!("{name}/data/{} is to be added, but is there already or is no file name", file.path)));
            }
        }
    }
    Ok(())
}

/// Why `ours` cannot follow `theirs`, which another run published first; `None` if it can. `after` is the state with theirs.
pub(super) fn overlap(ours: &Proposal, theirs: &Proposal, after: &Snapshot) -> Option<String> {
    if theirs.vacuum.as_ref().is_some_and(|vacuum| vacuum.abandoned.contains(&ours.run_id)) {
        return Some("was a vacuum that took this run for dead and removed its files".into());
    }
    if ours.vacuum.as_ref().is_some_and(|vacuum| vacuum.abandoned.contains(&theirs.run_id)) {
        return Some("was taken for dead, but lives".into());
    }
    if let Some(version) = theirs.rollback_to {
        return Some(format!("went back to version {version}"));
    }
    if ours.rollback_to.is_some() {
        return Some("changed what was to be rolled back".into());
    }
    let same_job = ours.job == theirs.job;
    if same_job && ours.run_key.is_some() && ours.run_key == theirs.run_key {
        return Some(format!("is of the same job {} on the same inputs", ours.job));
    }
    for (name, change) in &ours.tables {
        let Some(other) = theirs.tables.get(name) else { continue };
        let by_collection = |operation| operation == Operation::ReplaceCollections;
        let both_append = change.operation == Operation::Append && other.operation == Operation::Append;
        let apart = match (change.operation, other.operation) {
            (Operation::Replace | Operation::Drop, _) | (_, Operation::Replace | Operation::Drop) => false,
            // Two appends of one job may hold the same new records.
            _ => !(both_append && same_job) || by_collection(change.operation),
        };
        if !apart {
            return Some(format!("changed the table {name} too"));
        }
        if change.schema != other.schema {
            return Some(format!("gave the table {name} other columns"));
        }
    }
    let others = theirs.touched();
    let both: Vec<&str> = ours.touched().into_iter().filter(|id| others.contains(id)).collect();
    if let Some(first) = both.first() {
        let more = if both.len() > 1 { format!(" and {} more", both.len() - 1) } else { String::new() };
        return Some(format!("replaced collection {first}{more} too"));
    }
    let gone = ours.tables.iter().find_map(|(name, change)| {
        let table = after.tables.get(name);
        change.remove.iter().find(|path| table.is_none_or(|table| table.file(path).is_none())).map(|path| format!("{name}/data/{path}"))
    });
    gone.map(|path| format!("rewrote {path}"))
}

fn not_adding_up(whose: &str, equation: &str, accounted: u64) -> Problem {
    Problem::error("PS527", format!("{whose} counts do not add up: {equation}, which is {accounted}"))
        .hint("nothing was published; this is a fault in pacha, please report it with the run's record")
}

fn misfit(what: String) -> Problem {
    Problem::error("PS523", what).hint("run again; if it stays so, this is a fault in pacha: please report it with the run's record")
}

#[cfg(test)]
mod tests {
    use super::super::commit::{CollectionState, DataFile, TableChange, Vacuum};
    use super::super::schema::Columns;
    use super::super::{Counts, RowHash};
    use super::*;

    fn proposal(job: &str, table: &str, operation: Operation, collections: &[&str]) -> Proposal {
        let mut proposal = Proposal::new("run", job);
        let collections: Vec<String> = collections.iter().map(|id| (*id).to_owned()).collect();
        let path = format!("run/{}.parquet", proposal.id);
        let file = DataFile { path, rows: 1, bytes: 1, row_hash: RowHash(1), collections: collections.clone() };
        let change = TableChange { operation, schema: Columns::default(), add: vec![file], remove: Vec::new() };
        proposal.tables.insert(table.into(), change);
        proposal.collections = collections.into_iter().map(|id| (id, CollectionState::default())).collect();
        proposal
    }

    #[test]
    fn what_is_apart_may_follow_and_what_is_not_conflicts() {
        use Operation::{Append, Replace, ReplaceCollections as Some_};
        let cases = [
            (("a", "t", Replace, &[][..]), ("b", "u", Replace, &[][..]), None),
            (("a", "t", Replace, &[]), ("b", "t", Replace, &[]), Some("changed the table t too")),
            (("a", "t", Some_, &["1"]), ("a", "t", Some_, &["2"]), None),
            (("a", "t", Some_, &["1", "2"]), ("a", "t", Some_, &["2", "3"]), Some("replaced collection 2 too")),
            (("a", "t", Some_, &["1", "2"]), ("a", "u", Some_, &["1", "2"]), Some("replaced collection 1 and 1 more too")),
            (("a", "t", Some_, &["1"]), ("a", "t", Replace, &[]), Some("changed the table t too")),
            (("a", "t", Append, &[]), ("b", "t", Append, &[]), None),
            (("a", "t", Append, &[]), ("a", "t", Append, &[]), Some("changed the table t too")),
            (("a", "t", Append, &["1"]), ("b", "t", Some_, &["1"]), Some("replaced collection 1 too")),
        ];
        for (ours, theirs, expected) in cases {
            let (mine, other) = (proposal(ours.0, ours.1, ours.2, ours.3), proposal(theirs.0, theirs.1, theirs.2, theirs.3));
            assert_eq!(overlap(&mine, &other, &Snapshot::default()).as_deref(), expected, "{ours:?} after {theirs:?}");
            assert_eq!(overlap(&other, &mine, &Snapshot::default()).is_some(), expected.is_some(), "{theirs:?} after {ours:?}");
        }
    }

    #[test]
    fn the_same_inputs_are_not_published_twice_by_two_runs_of_a_job() {
        let (mut ours, mut theirs) = (proposal("a", "t", Operation::Append, &[]), proposal("a", "u", Operation::Append, &[]));
        assert_eq!(overlap(&ours, &theirs, &Snapshot::default()), None);
        (ours.run_key, theirs.run_key) = (Some("k".into()), Some("k".into()));
        assert!(overlap(&ours, &theirs, &Snapshot::default()).unwrap().contains("same inputs"));
    }

    #[test]
    fn a_vacuum_and_the_run_that_it_took_for_dead_cannot_both_publish() {
        let run = proposal("a", "t", Operation::Replace, &[]);
        let mut vacuum = Proposal::new("v", "vacuum");
        vacuum.vacuum = Some(Vacuum { oldest: 3, abandoned: [run.run_id.clone()].into() });
        let after = Snapshot::default();
        assert_eq!(overlap(&run, &vacuum, &after).unwrap(), "was a vacuum that took this run for dead and removed its files");
        assert_eq!(overlap(&vacuum, &run, &after).unwrap(), "was taken for dead, but lives");
        vacuum.vacuum = Some(Vacuum { oldest: 3, ..Vacuum::default() });
        assert_eq!((overlap(&run, &vacuum, &after), overlap(&vacuum, &run, &after)), (None, None));
        let mut back = Proposal::new("r", "rollback");
        back.rollback_to = Some(1);
        assert!(overlap(&back, &vacuum, &after).is_some() && overlap(&vacuum, &back, &after).is_some());
    }

    #[test]
    fn other_columns_or_a_rewritten_file_or_a_rollback_conflict() {
        let mut ours = proposal("a", "t", Operation::ReplaceCollections, &["1"]);
        let mut theirs = proposal("b", "t", Operation::ReplaceCollections, &["2"]);
        ours.tables.get_mut("t").unwrap().remove.push("old.parquet".into());
        assert_eq!(overlap(&ours, &theirs, &Snapshot::default()).unwrap(), "rewrote t/data/old.parquet");
        theirs.tables.get_mut("t").unwrap().schema = serde_json::from_str(r#"[{"name":"id","type":"utf8"}]"#).unwrap();
        assert_eq!(overlap(&ours, &theirs, &Snapshot::default()).unwrap(), "gave the table t other columns");
        theirs.rollback_to = Some(3);
        assert_eq!(overlap(&ours, &theirs, &Snapshot::default()).unwrap(), "went back to version 3");
    }

    #[test]
    fn counts_that_do_not_add_up_and_files_that_do_not_fit_are_refused() {
        let mut short = proposal("a", "t", Operation::Replace, &["1"]);
        short.collections.get_mut("1").unwrap().counts = Counts { input: 3, mapped: 2, ..Counts::default() };
        let text = fit(&mut short, &Snapshot::default()).unwrap_err().to_string();
        assert!(text.starts_with("PS527 collection 1's counts do not add up: 3 in = 2 mapped, which is 2"), "{text}");
        let mut absent = proposal("a", "t", Operation::ReplaceCollections, &["1"]);
        absent.tables.get_mut("t").unwrap().remove.push("x".into());
        assert!(fit(&mut absent, &Snapshot::default()).unwrap_err().to_string().starts_with("PS523 t/data/x is to be removed"));
        let mut outside = proposal("a", "t", Operation::Append, &[]);
        outside.tables.get_mut("t").unwrap().add[0].path = "../../x".into();
        assert!(fit(&mut outside, &Snapshot::default()).unwrap_err().to_string().starts_with("PS523 t/data/../../x is to be added"));
    }
}
