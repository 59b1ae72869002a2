//! Follows the events of a page through the states, and puts values where they belong.
//!
//! The walker knows nothing of where the events come from; [`super::source`] does. It is kept between pages, so that its
//! states, buffers and builders are made once.

use std::sync::Arc;

use quick_xml::events::BytesStart;

use super::attributes::Attributes;
use super::column::{Child, Columns, is_blank};
use super::entity::{attribute_value, resolve};
use super::namespace::Bindings;
use super::plan::{Action, Notice, Plan, Slot, Target};
use super::record::Record;
use super::source::Source;
use super::states::{DEAD, ROOT, StateId, States};

/// What was seen of a page besides its records.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Name and namespace of the root element.
    pub(super) root: Option<(String, Option<String>)>,
    /// An element that records are in.
    pub(super) container: bool,
    /// Code and text of what the server says instead of records.
    pub(super) notices: Vec<(Notice, String, String)>,
}

/// An element on the way to the current one.
#[derive(Debug, Clone, Copy)]
struct Frame {
    state: StateId,
    /// Where its text starts.
    text: usize,
}

/// An element whose serialisation is a value.
#[derive(Debug, Clone, Copy)]
struct Serialised {
    start: u64,
    /// End of the name in the tag, where declarations are put in.
    name_end: u64,
    /// Where its declarations start.
    declarations: usize,
}

/// The element that becomes an item of a `children` column.
#[derive(Debug, Default)]
struct OpenChild {
    /// How deep it is; none while there is none.
    depth: Option<usize>,
    element: String,
    ns: Option<String>,
    text: String,
    /// Name and value of each attribute, as ranges of `text`.
    attributes: Vec<[usize; 3]>,
}

/// The state of walking a page.
#[derive(Debug)]
pub(super) struct Walker {
    plan: Arc<Plan>,
    states: States,
    bindings: Bindings,
    stack: Vec<Frame>,
    /// Elements below the last one on the stack, which no path wants.
    skipped: usize,
    attributes: Attributes,
    /// Text of the open elements whose text is wanted.
    text: String,
    captures: usize,
    /// There may be carriage returns in the page.
    carriage_returns: bool,
    serialised: Vec<Serialised>,
    declarations: String,
    child: OpenChild,
    scratch: String,
    notice_code: String,
    pub(super) record: Record,
    pub(super) columns: Columns,
    pub(super) seen: Seen,
}

impl Walker {
    pub(super) fn new(plan: &Arc<Plan>) -> Self {
        Self {
            plan: Arc::clone(plan),
            states: States::new(plan),
            bindings: Bindings::default(),
            stack: Vec::new(),
            skipped: 0,
            attributes: Attributes::default(),
            text: String::new(),
            captures: 0,
            carriage_returns: true,
            serialised: Vec::new(),
            declarations: String::new(),
            child: OpenChild::default(),
            scratch: String::new(),
            notice_code: String::new(),
            record: Record::default(),
            columns: Columns::new(&plan.columns),
            seen: Seen::default(),
        }
    }

    /// A new page begins. Columns are not touched: whoever takes the batches empties them.
    pub(super) fn reset(&mut self, carriage_returns: bool) {
        self.carriage_returns = carriage_returns;
        self.bindings.clear();
        self.stack.clear();
        self.skipped = 0;
        self.text.clear();
        self.captures = 0;
        self.serialised.clear();
        self.declarations.clear();
        self.child.depth = None;
        self.record.depth = None;
        self.seen = Seen::default();
    }

    /// Whether no element is open.
    pub(super) fn outside(&self) -> bool {
        self.stack.is_empty() && self.skipped == 0
    }

    /// Whether a root element of that name would begin another document like the first.
    pub(super) fn like_root(&self, tag: &BytesStart<'_>) -> bool {
        self.seen.root.as_ref().is_some_and(|(root, _)| root == tag.name().0)
    }

    /// An element begins at `at`. True if a record does.
    #[inline]
    pub(super) fn start(&mut self, tag: &BytesStart<'_>, at: u64) -> bool {
        if self.skipped > 0 {
            self.skipped += 1;
            return false;
        }
        let depth = self.stack.len();
        self.attributes.find(tag);
        if self.attributes.declares {
            self.declare(tag, depth);
        }
        let name = tag.name().0;
        // Names are short: a plain loop is done before memchr has begun.
        let (prefix, local) = match name.bytes().position(|byte| byte == b':') {
            Some(colon) => (&name[..colon], &name[colon + 1..]),
            None => ("", name),
        };
        let Self { plan, states, bindings, attributes, .. } = self;
        let ns = bindings.element(&plan.namespaces, prefix);
        let from = self.stack.last().map_or(ROOT, |frame| frame.state);
        let state = states.next(from, ns, plan.names.id(local), |predicate| {
            attributes.hold(tag, &plan.predicates[predicate], bindings, &plan.namespaces)
        });
        if depth == 0 && self.seen.root.is_none() {
            self.seen.root = Some((name.to_owned(), self.bindings.uri(&self.plan.namespaces, prefix).map(str::to_owned)));
        }
        if state == DEAD {
            self.bindings.leave(depth);
            self.skipped = 1;
            return false;
        }
        self.stack.push(Frame { state, text: self.text.len() });
        if self.attributes.broken {
            self.record.problem("PX125", format!("an attribute of <{name}> cannot be read; it is left out"), Some(name.to_owned()));
        }
        self.states.get(state).at_start && self.begin(state, tag, (prefix, local), at)
    }

    /// Declares the namespaces of an element.
    fn declare(&mut self, tag: &BytesStart<'_>, depth: usize) {
        for attribute in self.attributes.iter(tag) {
            if let Some(prefix) = attribute.declared() {
                self.scratch.clear();
                attribute_value(attribute.raw, &mut self.scratch, |_| {});
                self.bindings.declare(&self.plan.namespaces, prefix, &self.scratch, depth);
            }
        }
    }

    /// Does what is to be done at the start of an element. True if a record begins.
    fn begin(&mut self, id: StateId, tag: &BytesStart<'_>, (prefix, local): (&str, &str), at: u64) -> bool {
        let depth = self.stack.len() - 1;
        let Self { plan, states, bindings, attributes, record, columns, scratch, .. } = self;
        let state = states.get(id);
        let mut begins = false;
        for action in &state.starts {
            match action {
                Action::Record if record.depth.is_none() => {
                    record.begin(depth, at);
                    columns.begin();
                    begins = true;
                }
                Action::Container => self.seen.container = true,
                Action::Metadata => record.metadata += 1,
                Action::Beside if record.metadata == 0 && record.beside.is_empty() => record.beside.push_str(tag.name().0),
                Action::Open(slot) => columns.open(*slot),
                Action::Name(slot) => columns.text(*slot, local),
                Action::Deleted => record.deleted = true,
                Action::Attribute(test, target) => {
                    if let Some(attribute) = attributes.get(tag, test, bindings, &plan.namespaces) {
                        scratch.clear();
                        attribute_value(attribute.raw, scratch, |name| record.unknown_reference(name));
                        match target {
                            Target::Column(slot) if !scratch.is_empty() => columns.value(*slot, scratch),
                            Target::Column(_) => columns.empty += 1,
                            target => record.offer(*target, scratch),
                        }
                    }
                }
                Action::Notice(_) => {
                    let code = attributes.iter(tag).find(|attribute| attribute.name == "code").map_or("", |attribute| attribute.raw);
                    self.notice_code.clear();
                    self.notice_code.push_str(code);
                }
                _ => {}
            }
        }
        if state.captures {
            self.captures += 1;
        }
        if !state.children.is_empty() && self.child.depth.is_none() {
            let ns = bindings.uri(&plan.namespaces, prefix);
            self.child.open(depth, local, ns, attributes, tag, record);
        }
        if !state.xml.is_empty() {
            let declarations = self.declarations.len();
            bindings.inherited(depth, &mut self.declarations);
            self.serialised.push(Serialised { start: at, name_end: at + 1 + tag.name().0.len() as u64, declarations });
        }
        begins
    }

    /// Text, as written but for references.
    #[inline]
    pub(super) fn text(&mut self, text: &str) {
        if self.captures > 0 {
            if self.carriage_returns {
                push_lines(&mut self.text, text);
            } else {
                self.text.push_str(text);
            }
        }
        // With references taken out, text that starts with & has one that does not end.
        if text.as_bytes().first() == Some(&b'&') {
            self.record.unknown_reference("");
        }
    }

    /// The text of a CDATA section.
    pub(super) fn cdata(&mut self, text: &str) {
        if self.captures > 0 {
            if self.carriage_returns {
                push_lines(&mut self.text, text);
            } else {
                self.text.push_str(text);
            }
        }
    }

    /// `&name;`
    pub(super) fn reference(&mut self, name: &str) {
        let known = if self.captures > 0 {
            resolve(name, &mut self.text)
        } else {
            self.scratch.clear();
            resolve(name, &mut self.scratch)
        };
        if !known {
            self.record.unknown_reference(name);
        }
    }

    /// An element ends at `at`. True if the record does; then the caller finishes it.
    #[inline]
    pub(super) fn end(&mut self, source: &impl Source, at: u64) -> bool {
        if self.skipped > 0 {
            self.skipped -= 1;
            return false;
        }
        let Some(frame) = self.stack.pop() else { return false };
        if self.states.get(frame.state).at_end {
            self.finish(frame, source, at);
        }
        let depth = self.stack.len();
        self.bindings.leave(depth);
        self.record.depth == Some(depth)
    }

    /// Does what is to be done at the end of an element.
    fn finish(&mut self, frame: Frame, source: &impl Source, at: u64) {
        let Self { states, record, columns, text, .. } = self;
        let state = states.get(frame.state);
        if state.captures {
            let value = &text[frame.text..];
            for target in &state.texts {
                match target {
                    Target::Column(slot) => columns.text(*slot, value),
                    target => record.offer(*target, value),
                }
            }
            if let Some(notice) = state.notice.filter(|_| self.seen.notices.len() < 5) {
                self.seen.notices.push((notice, self.notice_code.clone(), value.split_whitespace().collect::<Vec<_>>().join(" ")));
            }
            if self.child.depth == Some(self.stack.len()) {
                self.child.close(&state.children, value, columns);
            }
            self.captures -= 1;
            if self.captures == 0 {
                text.clear();
            }
        }
        if !state.xml.is_empty()
            && let Some(open) = self.serialised.pop()
        {
            let pieces = [source.text(open.start, open.name_end), &self.declarations[open.declarations..], source.text(open.name_end, at)];
            for slot in &state.xml {
                columns.serialised(*slot, pieces);
            }
            self.declarations.truncate(open.declarations);
        }
        for slot in &state.closes {
            columns.close(*slot);
        }
    }
}

impl OpenChild {
    fn open(&mut self, depth: usize, element: &str, ns: Option<&str>, attributes: &Attributes, tag: &str, record: &mut Record) {
        self.depth = Some(depth);
        self.element.clear();
        self.element.push_str(element);
        match (&mut self.ns, ns) {
            (Some(known), Some(ns)) => {
                known.clear();
                known.push_str(ns);
            }
            (known, ns) => *known = ns.map(str::to_owned),
        }
        self.text.clear();
        self.attributes.clear();
        for attribute in attributes.iter(tag).filter(|attribute| attribute.declared().is_none()) {
            let start = self.text.len();
            self.text.push_str(attribute.name);
            let value = self.text.len();
            attribute_value(attribute.raw, &mut self.text, |name| record.unknown_reference(name));
            self.attributes.push([start, value, self.text.len()]);
        }
    }

    fn close(&mut self, slots: &[Slot], value: &str, columns: &mut Columns) {
        self.depth = None;
        let attributes = || self.attributes.iter().map(|[name, value, end]| (&self.text[*name..*value], &self.text[*value..*end]));
        let value = Some(value).filter(|value| !is_blank(value));
        let mut others = attributes().filter(|(name, _)| !matches!(*name, "xml:lang" | "xsi:type")).peekable();
        if value.is_none() && others.peek().is_none() {
            columns.empty += 1;
            return;
        }
        let find = |wanted: &str| attributes().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let child = Child { element: &self.element, ns: self.ns.as_deref(), value, lang: find("xml:lang"), scheme: find("xsi:type") };
        for slot in slots {
            columns.child(*slot, &child, attributes().filter(|(name, _)| !matches!(*name, "xml:lang" | "xsi:type")));
        }
    }
}

/// Appends text with its line ends as XML wants them.
fn push_lines(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find('\r') {
        out.push_str(&rest[..at]);
        out.push('\n');
        rest = rest[at + 1..].strip_prefix('\n').unwrap_or(&rest[at + 1..]);
    }
    out.push_str(rest);
}
