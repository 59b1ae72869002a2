//! Members from start to end, second by second.

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn member(name: &str) -> Member {
    Member { name: name.into(), place: format!("process {name}"), ended: None }
}

fn members(names: &[&str]) -> Vec<Member> {
    names.iter().map(|name| member(name)).collect()
}

fn executor(name: &str, running: u32) -> ExecutorView {
    ExecutorView { id: format!("pacha-abc-{name}"), vcores: 2, running, ..ExecutorView::default() }
}

/// Members `a` to `d`, registered and at rest since second 0.
fn working() -> Roster {
    let mut roster = Roster::new(seconds(30));
    let four = members(&["a", "b", "c", "d"]);
    roster.started(seconds(0), four.clone(), false);
    let notices = roster.look(seconds(0), &four, &["a", "b", "c", "d"].map(|name| executor(name, 0)));
    assert_eq!(notices.len(), 4);
    roster
}

#[test]
fn a_started_member_counts_until_it_has_registered_and_after_it() {
    let mut roster = Roster::new(seconds(30));
    assert_eq!(roster.steps(seconds(0), 2).start, 2);
    roster.started(seconds(0), members(&["a", "b"]), false);
    assert_eq!(roster.count(), Count { starting: 2, ..Count::default() });
    assert_eq!(roster.steps(seconds(1), 2), Steps::default());
    let notices = roster.look(seconds(3), &members(&["a", "b"]), &[executor("b", 0)]);
    assert_eq!(notices, [Notice::Arrived(member("b"), seconds(3))]);
    assert_eq!(roster.count(), Count { present: 1, starting: 1, draining: 0 });
    assert_eq!(roster.steps(seconds(3), 2), Steps::default());
}

#[test]
fn who_does_not_come_in_time_is_a_failure_and_the_next_start_waits_longer_each_time() {
    let mut roster = Roster::new(seconds(30));
    roster.started(seconds(0), members(&["a"]), false);
    assert!(roster.look(seconds(29), &members(&["a"]), &[]).is_empty());
    assert_eq!(roster.look(seconds(30), &members(&["a"]), &[]), [Notice::Late(member("a"))]);
    assert_eq!(roster.count(), Count { draining: 1, ..Count::default() });
    assert_eq!((roster.steps(seconds(31), 1).start, roster.steps(seconds(32), 1).start), (0, 1));
    roster.started(seconds(32), members(&["b"]), false);
    let ended = Member { ended: Some("exit status 2".into()), ..member("b") };
    let notices = roster.look(seconds(33), std::slice::from_ref(&ended), &[]);
    assert!(notices.contains(&Notice::Failed(member("b"), "exit status 2".into())), "{notices:?}");
    assert_eq!((roster.steps(seconds(36), 1).start, roster.steps(seconds(37), 1).start), (0, 1));
    roster.started(seconds(37), Vec::new(), true);
    assert_eq!((roster.steps(seconds(44), 1).start, roster.steps(seconds(45), 1).start), (0, 1));
    for _ in 0..40 {
        roster.started(seconds(45), Vec::new(), true);
    }
    assert_eq!(roster.steps(seconds(45 + 120), 1).start, 1, "two minutes are the longest pause");
    roster.started(seconds(165), members(&["c"]), false);
    roster.look(seconds(166), &members(&["c"]), &[executor("c", 0)]);
    assert_eq!(roster.steps(seconds(166), 2).start, 1, "one that came ends the pause");
}

#[test]
fn who_has_rested_longest_is_retired_and_nobody_who_is_busy_or_holds_rows() {
    let mut roster = working();
    let all = members(&["a", "b", "c", "d"]);
    let holds = ExecutorView { needed: true, ..executor("b", 0) };
    roster.look(seconds(5), &all, &[executor("a", 1), holds.clone(), executor("c", 1), executor("d", 0)]);
    let now = [executor("a", 1), holds, executor("c", 0), executor("d", 0)];
    roster.look(seconds(12), &all, &now);
    let demand = roster.demand(1, &now);
    assert_eq!(demand, Demand { tasks: 1, present: 4, starting: 0, busy: 2 });
    let steps = roster.steps(seconds(12), 3);
    assert_eq!((steps.fence, steps.stop), (vec!["pacha-abc-d".to_owned()], vec![member("d")]));
    let steps = roster.steps(seconds(12), 2);
    assert_eq!(steps.fence, ["pacha-abc-c", "pacha-abc-d"]);
    assert_eq!(steps.stop, members(&["c", "d"]));
    roster.look(seconds(13), &all, &[executor("a", 1), executor("b", 0), executor("c", 1), executor("d", 0)]);
    let steps = roster.steps(seconds(13), 2);
    assert_eq!((steps.fence.len(), steps.stop), (2, vec![member("d")]), "c finishes first what it was given at the last moment");
}

#[test]
fn a_retiring_member_gets_no_tasks_until_it_is_stopped_or_needed_again() {
    let mut roster = working();
    let all = members(&["a", "b", "c", "d"]);
    assert_eq!(roster.steps(seconds(5), 2).fence.len(), 2);
    assert_eq!(roster.count(), Count { present: 2, starting: 0, draining: 2 });
    roster.look(seconds(6), &all, &[executor("a", 0), executor("b", 0), executor("c", 2), executor("d", 2)]);
    let steps = roster.steps(seconds(6), 3);
    assert_eq!((steps.free, steps.fence, steps.start), (vec!["pacha-abc-a".into()], vec!["pacha-abc-b".into()], 0));
    assert_eq!(roster.steps(seconds(7), 6).start, 2, "b goes back to work, and two are started");
}

#[test]
fn who_was_given_a_task_at_the_last_moment_is_not_stopped() {
    let mut roster = working();
    let steps = roster.steps(seconds(10), 2);
    assert_eq!(steps.stop, members(&["a", "b"]));
    let sure = roster.confirm(steps.stop, &[executor("a", 1), executor("b", 0), executor("c", 0), executor("d", 0)]);
    assert_eq!(sure, [member("b")]);
    let gone = [member("a"), member("c"), member("d"), Member { ended: Some("exit status 0".into()), ..member("b") }];
    let notices = roster.look(seconds(11), &gone, &[executor("a", 1), executor("c", 0), executor("d", 0)]);
    assert_eq!(notices, [Notice::Ended(member("b"))]);
    assert_eq!(roster.count(), Count { present: 2, starting: 0, draining: 1 });
}

#[test]
fn who_could_not_be_stopped_is_tried_again() {
    let mut roster = working();
    let steps = roster.steps(seconds(10), 3);
    let executors = ["a", "b", "c", "d"].map(|name| executor(name, 0));
    let sure = roster.confirm(steps.stop, &executors);
    roster.not_stopped(seconds(10), &sure);
    assert_eq!(roster.steps(seconds(11), 3).stop, [member("a")]);
}

#[test]
fn who_ends_by_itself_is_not_counted_on() {
    let mut roster = working();
    let all = members(&["a", "b", "c", "d"]);
    let reclaimed = ExecutorView { terminating: true, ..executor("a", 2) };
    let rest = ["b", "c", "d"].map(|name| executor(name, 0));
    roster.look(seconds(1), &all, &[vec![reclaimed], rest.to_vec()].concat());
    assert_eq!(roster.count(), Count { present: 3, starting: 0, draining: 1 });
    assert_eq!(roster.steps(seconds(1), 4).start, 1);
    let notices = roster.look(seconds(2), &all[1..], &rest);
    assert_eq!(notices, [Notice::Ended(member("a"))]);
    let notices = roster.look(seconds(3), &all[2..], &rest[1..]);
    assert_eq!(notices, [Notice::Lost(member("b"), "it is gone".into())]);
}

#[test]
fn members_of_an_earlier_scheduler_are_taken_over() {
    let mut roster = Roster::new(seconds(30));
    let both = members(&["a", "b"]);
    let notices = roster.look(seconds(0), &both, &[executor("a", 0)]);
    assert_eq!(notices[..2], [Notice::Adopted(member("a")), Notice::Adopted(member("b"))]);
    assert_eq!(roster.count(), Count { present: 1, starting: 1, draining: 0 });
    assert_eq!(roster.steps(seconds(0), 2), Steps::default(), "b may still register with this scheduler");
}

#[test]
fn executors_of_others_take_their_share_of_the_work() {
    let roster = working();
    let other = ExecutorView { vcores: 8, ..executor("by-hand", 8) };
    assert_eq!(roster.demand(10, std::slice::from_ref(&other)).tasks, 2);
    assert_eq!(roster.demand(10, &[ExecutorView { terminating: true, ..other }]).tasks, 10);
    assert_eq!(roster.demand(10, &[executor("a", 2)]).tasks, 10);
}
