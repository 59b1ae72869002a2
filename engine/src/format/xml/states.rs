//! The trie of a [`Plan`], walked as a state machine that is built while it runs.
//!
//! A state is the set of trie nodes that an element matches. Which state a child leads to is looked up in a table by
//! namespace and name; what has not been seen yet is worked out once. So the cost of an element does not depend on how
//! many paths a schema has, and a small page does not pay for the whole table.

use std::collections::HashMap;
use std::sync::Arc;

use super::names::{NameId, Ns};
use super::plan::{Action, Notice, Plan, Slot, Target};

/// Index of a state.
pub(super) type StateId = u32;
/// No path goes on from here: the subtree is skipped.
pub(super) const DEAD: StateId = 1;
/// The document itself.
pub(super) const ROOT: StateId = 2;
/// The transition has not been worked out.
const UNKNOWN: u32 = 0;
/// The transition depends on attributes; the other bits are an index into `guarded`.
const GUARDED: u32 = 1 << 31;

/// What to do at the start and the end of an element.
#[derive(Debug, Default)]
pub(super) struct State {
    nodes: Vec<usize>,
    /// At the start, in order. [`Action::Text`] and [`Action::Claim`] are not among them.
    pub(super) starts: Vec<Action>,
    /// At the end, with its text.
    pub(super) texts: Vec<Target>,
    /// Also at the end: says why there are no records.
    pub(super) notice: Option<Notice>,
    /// Also at the end: an item of these columns.
    pub(super) children: Vec<Slot>,
    /// At the very end, innermost group first.
    pub(super) closes: Vec<Slot>,
    /// Columns that take its serialisation.
    pub(super) xml: Vec<Slot>,
    /// Its text is needed.
    pub(super) captures: bool,
    /// Something is to be done at its start, or at its end.
    pub(super) at_start: bool,
    pub(super) at_end: bool,
    /// Next state by namespace and name; empty until first used.
    next: Vec<u32>,
}

/// A transition that depends on attributes.
#[derive(Debug)]
struct Guarded {
    always: Vec<usize>,
    /// Predicates that must all hold, and the node they lead to.
    edges: Vec<(Vec<usize>, usize)>,
    /// States by the set of edges that hold.
    known: HashMap<Vec<bool>, StateId>,
}

/// All states seen so far.
#[derive(Debug)]
pub(super) struct States {
    plan: Arc<Plan>,
    all: Vec<State>,
    ids: HashMap<Vec<usize>, StateId>,
    guarded: Vec<Guarded>,
}

impl States {
    pub(super) fn new(plan: &Arc<Plan>) -> Self {
        let mut states = Self { plan: Arc::clone(plan), all: vec![State::default()], ids: HashMap::new(), guarded: Vec::new() };
        states.intern(Vec::new());
        states.intern(vec![0]);
        states
    }

    #[inline]
    pub(super) fn get(&self, id: StateId) -> &State {
        &self.all[id as usize]
    }

    /// The state of a child element. `holds` tells whether a predicate holds on its attributes.
    #[inline]
    pub(super) fn next(&mut self, from: StateId, ns: Ns, name: NameId, holds: impl FnMut(usize) -> bool) -> StateId {
        let cell = usize::from(ns) * self.plan.names.len() + usize::from(name);
        let known = self.all[from as usize].next.get(cell).copied().unwrap_or(UNKNOWN);
        if known != UNKNOWN && known & GUARDED == 0 {
            return known;
        }
        self.next_slowly(from, ns, name, cell, known, holds)
    }

    fn next_slowly(&mut self, from: StateId, ns: Ns, name: NameId, cell: usize, known: u32, holds: impl FnMut(usize) -> bool) -> StateId {
        let known = if known == UNKNOWN { self.work_out(from, ns, name, cell) } else { known };
        if known & GUARDED == 0 { known } else { self.choose((known & !GUARDED) as usize, holds) }
    }

    fn work_out(&mut self, from: StateId, ns: Ns, name: NameId, cell: usize) -> u32 {
        let plan = Arc::clone(&self.plan);
        let (mut always, mut edges) = (Vec::new(), Vec::new());
        for edge in self.all[from as usize].nodes.iter().flat_map(|&node| &plan.nodes[node].edges).filter(|edge| edge.matches(ns, name)) {
            if edge.predicates.is_empty() {
                always.push(edge.to);
            } else {
                edges.push((edge.predicates.clone(), edge.to));
            }
        }
        let next = if edges.is_empty() {
            self.intern(always)
        } else {
            self.guarded.push(Guarded { always, edges, known: HashMap::new() });
            GUARDED | (self.guarded.len() as u32 - 1)
        };
        let table = &mut self.all[from as usize].next;
        if table.is_empty() {
            table.resize(plan.names.len() * plan.namespaces.len(), UNKNOWN);
        }
        table[cell] = next;
        next
    }

    fn choose(&mut self, index: usize, mut holds: impl FnMut(usize) -> bool) -> StateId {
        let guarded = &self.guarded[index];
        let held: Vec<bool> = guarded.edges.iter().map(|(predicates, _)| predicates.iter().all(|&predicate| holds(predicate))).collect();
        if let Some(&known) = guarded.known.get(&held) {
            return known;
        }
        let mut nodes = guarded.always.clone();
        nodes.extend(guarded.edges.iter().zip(&held).filter(|(_, held)| **held).map(|((_, to), _)| *to));
        let state = self.intern(nodes);
        self.guarded[index].known.insert(held, state);
        state
    }

    fn intern(&mut self, mut nodes: Vec<usize>) -> StateId {
        nodes.sort_unstable();
        nodes.dedup();
        if let Some(&known) = self.ids.get(&nodes) {
            return known;
        }
        let id = self.all.len() as StateId;
        self.ids.insert(nodes.clone(), id);
        self.all.push(State::new(&self.plan, nodes));
        id
    }
}

impl State {
    fn new(plan: &Plan, nodes: Vec<usize>) -> Self {
        let mut actions: Vec<Action> = nodes.iter().flat_map(|&node| &plan.nodes[node].actions).cloned().collect();
        // The order of the enum is the order of the work: records open before groups, groups before values. A group has a
        // higher slot than its members, so of groups on one element the outermost is the one with the highest.
        actions.sort_by(|left, right| match (left, right) {
            (Action::Open(left), Action::Open(right)) => right.cmp(left),
            _ => left.cmp(right),
        });
        actions.dedup();
        let claimed = actions.contains(&Action::Claim);
        let mut state = Self { nodes, ..Self::default() };
        for action in actions {
            match action {
                Action::Claim => {}
                Action::Text(target) => state.texts.push(target),
                Action::Child(_, true) if claimed => {}
                Action::Child(slot, _) => state.children.push(slot),
                Action::Xml(slot) => state.xml.push(slot),
                Action::Open(slot) => {
                    state.closes.insert(0, slot);
                    state.starts.push(action);
                }
                Action::Notice(notice) => {
                    state.notice = Some(notice);
                    state.starts.push(action);
                }
                _ => state.starts.push(action),
            }
        }
        state.captures = !state.texts.is_empty() || !state.children.is_empty() || state.notice.is_some();
        state.at_start = state.captures || !state.starts.is_empty() || !state.xml.is_empty();
        state.at_end = state.captures || !state.closes.is_empty() || !state.xml.is_empty();
        state
    }
}
