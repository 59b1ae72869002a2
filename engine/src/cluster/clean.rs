//! Whether an attempt on a cluster may count: the rule that no wrong row can pass.
//!
//! Ballista runs a lost task again, and then may list old results beside new ones, lose some, or double rows, while it
//! calls the job successful. No single sign shows all of these, so an attempt counts only if every sign is as it is when
//! nothing happened at all; anything else is thrown away and the unit submitted again.

use std::collections::BTreeSet;
use std::fmt;

use super::view::JobView;

/// What was seen of an attempt whose job is called successful.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// Partitions of the last stage, which is one task each.
    pub partitions: usize,
    /// Results that the scheduler lists.
    pub listed: usize,
    /// Results that could be read.
    pub read: usize,
    /// Task of each manifest, as Ballista names it: `TID <job>/<stage>.<attempt>/<task>.<attempt>`. None for a plan
    /// without a sink.
    pub tasks: Option<&'a [Option<String>]>,
    /// What the scheduler shows of the job in the end, if it answers.
    pub view: Option<&'a JobView>,
}

/// Why an attempt does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unclean {
    /// Not one result for each partition.
    Results {
        /// One for each partition.
        wanted: usize,
        /// Listed.
        listed: usize,
    },
    /// A result cannot be read: its executor is gone.
    Unreadable {
        /// Could be read.
        read: usize,
        /// Listed.
        listed: usize,
    },
    /// The results are not those of each task's first attempt, once.
    Tasks,
    /// A task failed or was lost, or a stage was begun again.
    Faults,
    /// The scheduler does not say what happened in the stages: of those before the last no manifest tells.
    Untold,
}

impl fmt::Display for Unclean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Results { wanted, listed } => write!(f, "{listed} results for {wanted} tasks"),
            Self::Unreadable { read, listed } => write!(f, "{} of {listed} results went with their executor", listed - read),
            Self::Tasks => f.write_str("a task ran twice"),
            Self::Faults => f.write_str("a task was lost with its executor"),
            Self::Untold => f.write_str("the scheduler did not tell how it ended"),
        }
    }
}

/// The rule.
///
/// # Errors
/// The first sign that something happened.
pub fn clean(observed: &Observed<'_>) -> Result<(), Unclean> {
    let Observed { partitions, listed, read, tasks, view } = *observed;
    // A part without rows has no result; a sink's has always one.
    if listed > partitions || tasks.is_some() && listed < partitions {
        return Err(Unclean::Results { wanted: partitions, listed });
    }
    if read != listed {
        return Err(Unclean::Unreadable { read, listed });
    }
    if let Some(tasks) = tasks {
        let numbers: Option<BTreeSet<usize>> = tasks.iter().map(|task| first_attempt(task.as_deref()?)).collect();
        if tasks.len() != partitions || numbers.is_none_or(|numbers| !numbers.into_iter().eq(0..partitions)) {
            return Err(Unclean::Tasks);
        }
    }
    undisturbed(view.filter(|view| !view.stages.is_empty()).ok_or(Unclean::Untold)?)
}

/// The part of the rule that shows while a job still runs.
///
/// # Errors
/// A task failed or was lost, or a stage was begun again: the job cannot count any more.
pub fn undisturbed(view: &JobView) -> Result<(), Unclean> {
    let disturbed = view.stages.iter().any(|stage| stage.attempt > 0 || stage.failed > 0 || stage.successful > stage.partitions);
    if disturbed { Err(Unclean::Faults) } else { Ok(()) }
}

/// The number of a task, if neither it nor its stage was begun before.
fn first_attempt(task: &str) -> Option<usize> {
    let (rest, task) = task.rsplit_once('/')?;
    let stage = rest.rsplit_once('/')?.1;
    let (number, attempt) = task.split_once('.')?;
    (attempt == "0" && stage.ends_with(".0")).then(|| number.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::view::StageView;
    use super::*;

    fn tasks(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| Some(format!("TID 7kX/2.{name}"))).collect()
    }

    fn stage(id: usize) -> StageView {
        StageView { id, partitions: 3, successful: 3, ..StageView::default() }
    }

    fn judge(listed: usize, read: usize, names: &[&str], stages: Vec<StageView>) -> Result<(), Unclean> {
        let (tasks, view) = (tasks(names), JobView { stages, ..JobView::default() });
        clean(&Observed { partitions: 3, listed, read, tasks: Some(&tasks), view: Some(&view) })
    }

    const FIRST: [&str; 3] = ["0/0.0", "0/2.0", "0/1.0"];

    #[test]
    fn an_attempt_to_which_nothing_happened_counts() {
        assert_eq!(judge(3, 3, &FIRST, vec![stage(1), stage(2)]), Ok(()));
    }

    #[test]
    fn an_attempt_does_not_count_unless_the_scheduler_tells_how_its_stages_ended() {
        assert_eq!(judge(3, 3, &FIRST, vec![]), Err(Unclean::Untold));
        let first = tasks(&FIRST);
        let unseen = Observed { partitions: 3, listed: 3, read: 3, tasks: Some(&first), view: None };
        assert_eq!(clean(&unseen), Err(Unclean::Untold));
    }

    #[test]
    fn an_executor_killed_while_its_final_tasks_ran_leaves_task_numbers_with_gaps() {
        let lost = StageView { failed: 1, ..stage(2) };
        assert_eq!(judge(3, 3, &["0/0.0", "0/1.0", "0/3.0"], vec![stage(1), lost]), Err(Unclean::Tasks));
    }

    #[test]
    fn an_executor_killed_between_its_final_tasks_leaves_more_results_than_tasks() {
        assert_eq!(judge(4, 2, &FIRST, vec![stage(1), stage(2)]), Err(Unclean::Results { wanted: 3, listed: 4 }));
    }

    #[test]
    fn an_executor_killed_after_its_last_task_takes_its_results_along_though_all_stages_look_clean() {
        assert_eq!(judge(3, 2, &FIRST[..2], vec![stage(1), stage(2)]), Err(Unclean::Unreadable { read: 2, listed: 3 }));
    }

    #[test]
    fn an_executor_frozen_while_others_need_its_rows_makes_a_stage_begin_again() {
        assert_eq!(judge(5, 5, &["1/0.0", "1/1.0", "1/2.0"], vec![]), Err(Unclean::Results { wanted: 3, listed: 5 }));
        assert_eq!(judge(3, 3, &["1/0.0", "1/1.0", "1/2.0"], vec![]), Err(Unclean::Tasks));
        assert_eq!(judge(3, 3, &FIRST, vec![StageView { failed: 1, ..stage(1) }, stage(2)]), Err(Unclean::Faults));
    }

    #[test]
    fn of_a_plan_without_a_sink_parts_without_rows_have_no_result() {
        let view = JobView { stages: vec![stage(1)], ..JobView::default() };
        let rows = |listed, read| clean(&Observed { partitions: 3, listed, read, tasks: None, view: Some(&view) });
        assert_eq!((rows(3, 3), rows(1, 1), rows(0, 0)), (Ok(()), Ok(()), Ok(())));
        assert_eq!(rows(4, 4), Err(Unclean::Results { wanted: 3, listed: 4 }));
        assert_eq!(rows(2, 1), Err(Unclean::Unreadable { read: 1, listed: 2 }));
    }

    #[test]
    fn a_task_that_ran_again_under_its_own_number_does_not_count() {
        assert_eq!(judge(3, 3, &["0/0.0", "0/1.1", "0/2.0"], vec![]), Err(Unclean::Tasks));
        assert_eq!(judge(3, 3, &["0/0.0", "0/0.0", "0/2.0"], vec![]), Err(Unclean::Tasks));
        assert_eq!(judge(3, 3, &["0/0.0", "0/1.0", "0/2.0", "0/2.0"], vec![]), Err(Unclean::Tasks));
        assert_eq!(judge(3, 3, &["nonsense", "0/1.0", "0/2.0"], vec![]), Err(Unclean::Tasks));
    }

    #[test]
    fn a_stage_that_was_begun_again_below_the_last_one_does_not_count() {
        assert_eq!(judge(3, 3, &FIRST, vec![StageView { attempt: 1, ..stage(1) }, stage(2)]), Err(Unclean::Faults));
    }
}
