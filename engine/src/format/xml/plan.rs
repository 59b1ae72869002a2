//! A source schema and a projection, compiled: one trie of element names for all paths, with what to do at each node.
//!
//! Paths of the records, of the envelope and of the projected fields are joined to full paths from the root of the page
//! and put into one trie; [`super::states`] walks it. Columns that nobody asked for are simply not in it.

use arrow::datatypes::{DataType, Fields};
use schemas::path::{AttributeName, Path, PathValue, Predicate, Step, Test};
use schemas::problem::Problem;
use schemas::source::{FieldKind, FieldSpec, SourceSchema};

use super::names::{NONE, NameId, Names, Namespaces, Ns};
use crate::error::{Error, Result};

/// Index of a column in [`Plan::columns`].
pub(super) type Slot = usize;

/// The compiled schema.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) names: Names,
    pub(super) namespaces: Namespaces,
    pub(super) predicates: Vec<CompiledPredicate>,
    pub(super) columns: Vec<ColumnPlan>,
    /// Slots of the projected fields, in the order of the projection.
    pub(super) projected: Vec<Slot>,
    /// Some record path has a metadata element of its own; without it a record is not complete.
    pub(super) wants_metadata: bool,
    /// Record paths and metadata paths as written, for messages.
    pub(super) record_paths: Vec<String>,
    pub(super) metadata_paths: Vec<String>,
}

/// A node of the trie: an element reached by one path.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) edges: Vec<Edge>,
    pub(super) actions: Vec<Action>,
}

/// A way down: to which elements, and where it leads.
#[derive(Debug)]
pub(super) struct Edge {
    step: Step,
    ns: Option<Ns>,
    name: Option<NameId>,
    pub(super) predicates: Vec<usize>,
    pub(super) to: usize,
}

impl Edge {
    /// Whether an element of that name goes this way. Servers that strip namespaces are forgiven.
    pub(super) fn matches(&self, ns: Ns, name: NameId) -> bool {
        self.name.is_none_or(|wanted| wanted == name) && self.ns.is_none_or(|wanted| wanted == ns || ns == NONE)
    }
}

/// What an element that matches a path is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Action {
    /// A record begins.
    Record,
    /// What records are in; seeing it, but no record, means that the page is empty rather than of another kind.
    Container,
    /// The metadata element of a record.
    Metadata,
    /// An element beside which the metadata was expected.
    Beside,
    /// A group begins.
    Open(Slot),
    /// Some field of the schema reads this child of the metadata element.
    Claim,
    /// Its text is a value.
    Text(Target),
    /// Its local name is a value.
    Name(Slot),
    /// One of its attributes is a value.
    Attribute(AttributeTest, Target),
    /// The record is deleted.
    Deleted,
    /// It is an item of a `children` column, or, if true, only when nothing claims it.
    Child(Slot, bool),
    /// Its serialisation is a value.
    Xml(Slot),
    /// It says why there are no records.
    Notice(Notice),
}

/// What a page may say instead of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Notice {
    /// An OAI error; its code is an attribute.
    OaiError,
    /// An SRU diagnostic.
    Diagnostic,
}

/// Where a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Target {
    /// The identifier; the number is the rank of the candidate.
    RecordId(usize),
    /// The datestamp, likewise.
    Datestamp(usize),
    /// A set.
    Set,
    /// A column.
    Column(Slot),
}

/// An attribute that a path asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct AttributeTest {
    /// None: any namespace.
    pub(super) ns: Option<Ns>,
    pub(super) local: String,
}

/// A condition on an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CompiledPredicate {
    pub(super) attribute: AttributeTest,
    pub(super) test: Test,
}

/// How a column is built.
#[derive(Debug, Clone)]
pub(super) enum ColumnPlan {
    /// `list<utf8>`.
    Texts { delimiter: Option<String> },
    /// `utf8`; the name is for messages: `title`, `name.display`.
    Text { name: String, delimiter: Option<String>, join: Option<String> },
    /// `utf8`: an element, serialised.
    Xml { name: String },
    /// `list<struct>` of other columns.
    Group { members: Vec<Slot>, fields: Fields },
    /// `list<struct<element, …>>`.
    Children,
}

impl Plan {
    /// Compiles a schema for the projected fields: indices into `source.fields`, in the order of the projection.
    pub(super) fn new(source: &SourceSchema, fields: &[usize]) -> Result<Self> {
        let plan = Self {
            nodes: vec![Node::default()],
            names: Names::default(),
            namespaces: Namespaces::new(&source.namespaces),
            predicates: Vec::new(),
            columns: Vec::new(),
            projected: Vec::new(),
            wants_metadata: false,
            record_paths: source.records.iter().map(|record| record.path.clone()).collect(),
            metadata_paths: Vec::new(),
        };
        let mut compiler = Compiler { source, plan };
        compiler.compile(fields).map_err(|wrong| {
            let problem = Problem::error("PX001", format!("source schema {}: {wrong}", source.name));
            Error::configuration(problem.hint("run `pacha check` to see where the path stands"))
        })?;
        Ok(compiler.plan)
    }
}

struct Compiler<'a> {
    source: &'a SourceSchema,
    plan: Plan,
}

type Compiled<T = ()> = std::result::Result<T, String>;

fn parse(path: &str) -> Compiled<Path> {
    Path::parse(path).map_err(|wrong| format!("path \"{path}\": {wrong}"))
}

impl Compiler<'_> {
    fn compile(&mut self, fields: &[usize]) -> Compiled {
        let source = self.source;
        let projected: Vec<&FieldSpec> = fields.iter().filter_map(|&index| source.fields.get(index)).collect();
        for field in &projected {
            let slot = self.column(field, field.name.clone());
            self.plan.projected.push(slot);
        }
        for record in &source.records {
            let path = parse(&record.path)?.steps;
            self.add(&path, Action::Record)?;
            if let Some((_, parent @ [_, ..])) = path.split_last() {
                self.add(parent, Action::Container)?;
            }
            self.envelope(&path)?;
            let metadata = parse(&record.metadata)?;
            self.metadata(&path, &metadata, &record.metadata)?;
            let base = join(&path, &metadata);
            for (field, slot) in projected.iter().zip(self.plan.projected.clone()) {
                self.field(&base, field, slot)?;
            }
            if projected.iter().any(|field| field.kind == FieldKind::Children { unclaimed: true }) {
                self.claims(&base)?;
            }
        }
        self.notices()
    }

    /// Answers of a server that are not records, in any namespace.
    fn notices(&mut self) -> Compiled {
        self.add(&parse("OAI-PMH/error")?.steps, Action::Notice(Notice::OaiError))?;
        self.add(&parse("*/diagnostics/diagnostic/message")?.steps, Action::Notice(Notice::Diagnostic))
    }

    fn metadata(&mut self, record: &[Step], metadata: &Path, written: &str) -> Compiled {
        self.add(&join(record, metadata), Action::Metadata)?;
        if let Some((_, parent)) = metadata.steps.split_last() {
            self.plan.wants_metadata = true;
            if !self.plan.metadata_paths.iter().any(|known| known == written) {
                self.plan.metadata_paths.push(written.to_owned());
            }
            if !parent.is_empty() {
                let any = Step { prefix: None, name: None, predicates: Vec::new() };
                let beside: Vec<Step> = record.iter().chain(parent).chain([&any]).cloned().collect();
                self.add(&beside, Action::Beside)?;
            }
        }
        Ok(())
    }

    fn envelope(&mut self, record: &[Step]) -> Compiled {
        let paths = &self.source.envelope;
        for (rank, path) in paths.record_id.iter().enumerate() {
            self.value(record, &parse(path)?, Target::RecordId(rank))?;
        }
        for (rank, path) in paths.datestamp.iter().enumerate() {
            self.value(record, &parse(path)?, Target::Datestamp(rank))?;
        }
        for path in &paths.sets {
            self.value(record, &parse(path)?, Target::Set)?;
        }
        for path in &paths.deleted {
            let mut path = parse(path)?;
            // `@deleted` means that the attribute is there.
            if let PathValue::Attribute(attribute) = std::mem::take(&mut path.value) {
                let present = Predicate { attribute, test: Test::Present };
                path.steps.last_mut().map_or(&mut path.own, |step| &mut step.predicates).push(present);
            }
            self.add(&join(record, &path), Action::Deleted)?;
        }
        Ok(())
    }

    /// Reserves the slots of a field and its members.
    fn column(&mut self, field: &FieldSpec, name: String) -> Slot {
        let delimiter = field.delimiter.clone().filter(|delimiter| !delimiter.is_empty());
        let column = match &field.kind {
            FieldKind::Texts => ColumnPlan::Texts { delimiter },
            FieldKind::Text => ColumnPlan::Text { name, delimiter, join: field.join.clone() },
            FieldKind::Xml => ColumnPlan::Xml { name },
            FieldKind::Children { .. } => ColumnPlan::Children,
            FieldKind::Group(members) => {
                let members = members.iter().map(|member| self.column(member, format!("{name}.{}", member.name))).collect();
                let fields = match field.kind.data_type() {
                    DataType::List(item) => match item.data_type() {
                        DataType::Struct(fields) => fields.clone(),
                        _ => Fields::empty(),
                    },
                    _ => Fields::empty(),
                };
                ColumnPlan::Group { members, fields }
            }
        };
        self.plan.columns.push(column);
        self.plan.columns.len() - 1
    }

    /// Puts a field's paths into the trie, below `base`.
    fn field(&mut self, base: &[Step], field: &FieldSpec, slot: Slot) -> Compiled {
        let here = [".".to_owned()];
        let paths = if field.paths.is_empty() { &here[..] } else { &field.paths };
        for path in paths {
            let path = parse(path)?;
            match &field.kind {
                FieldKind::Texts | FieldKind::Text => self.value(base, &path, Target::Column(slot))?,
                FieldKind::Xml => self.add(&join(base, &path), Action::Xml(slot))?,
                FieldKind::Children { unclaimed } => {
                    let mut children = join(base, &path);
                    children.push(Step { prefix: None, name: None, predicates: Vec::new() });
                    self.add(&children, Action::Child(slot, *unclaimed))?;
                }
                FieldKind::Group(members) => {
                    let group = join(base, &path);
                    self.add(&group, Action::Open(slot))?;
                    let ColumnPlan::Group { members: slots, .. } = self.plan.columns[slot].clone() else { continue };
                    for (member, slot) in members.iter().zip(slots) {
                        self.field(&group, member, slot)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Marks the children of the metadata element that any field of the schema reads, projected or not.
    fn claims(&mut self, base: &[Step]) -> Compiled {
        for field in &self.source.fields {
            for path in field.paths.iter().filter(|_| !matches!(field.kind, FieldKind::Children { .. } | FieldKind::Xml)) {
                if let Some(first) = parse(path)?.steps.first() {
                    let child: Vec<Step> = base.iter().chain([first]).cloned().collect();
                    self.add(&child, Action::Claim)?;
                }
            }
        }
        Ok(())
    }

    fn value(&mut self, base: &[Step], path: &Path, target: Target) -> Compiled {
        let action = match (&path.value, target) {
            (PathValue::Attribute(attribute), _) => Action::Attribute(self.attribute(attribute)?, target),
            (PathValue::Name, Target::Column(slot)) => Action::Name(slot),
            (PathValue::Name | PathValue::Text, _) => Action::Text(target),
        };
        self.add(&join(base, path), action)
    }

    fn namespace(&self, prefix: Option<&String>) -> Compiled<Option<Ns>> {
        let Some(prefix) = prefix else { return Ok(None) };
        let known = self.plan.namespaces.of_prefix(prefix);
        known.map(Some).ok_or_else(|| format!("no namespace has the prefix {prefix}"))
    }

    fn attribute(&self, attribute: &AttributeName) -> Compiled<AttributeTest> {
        Ok(AttributeTest { ns: self.namespace(attribute.prefix.as_ref())?, local: attribute.name.clone() })
    }

    fn predicate(&mut self, predicate: &Predicate) -> Compiled<usize> {
        let compiled = CompiledPredicate { attribute: self.attribute(&predicate.attribute)?, test: predicate.test.clone() };
        let known = self.plan.predicates.iter().position(|known| *known == compiled);
        Ok(known.unwrap_or_else(|| {
            self.plan.predicates.push(compiled);
            self.plan.predicates.len() - 1
        }))
    }

    /// Adds an action at the end of a path from the root.
    fn add(&mut self, steps: &[Step], action: Action) -> Compiled {
        let mut node = 0;
        for step in steps {
            node = match self.plan.nodes[node].edges.iter().find(|edge| edge.step == *step) {
                Some(edge) => edge.to,
                None => self.edge(node, step)?,
            };
        }
        let actions = &mut self.plan.nodes[node].actions;
        if !actions.contains(&action) {
            actions.push(action);
        }
        Ok(())
    }

    fn edge(&mut self, from: usize, step: &Step) -> Compiled<usize> {
        let ns = self.namespace(step.prefix.as_ref())?;
        let name = step.name.as_deref().map(|name| self.plan.names.add(name));
        let predicates = step.predicates.iter().map(|predicate| self.predicate(predicate)).collect::<Compiled<Vec<usize>>>()?;
        self.plan.nodes.push(Node::default());
        let to = self.plan.nodes.len() - 1;
        self.plan.nodes[from].edges.push(Edge { step: step.clone(), ns, name, predicates, to });
        Ok(to)
    }
}

/// `path`, seen from `base`, as one path; conditions on the starting element join those of the base's last step.
fn join(base: &[Step], path: &Path) -> Vec<Step> {
    let mut steps = base.to_vec();
    if let Some(last) = steps.last_mut() {
        last.predicates.extend(path.own.iter().cloned());
    }
    steps.extend(path.steps.iter().cloned());
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_projected_fields_are_in_the_trie() {
        let source = SourceSchema::shipped("oai_dc").unwrap();
        let title = source.fields.iter().position(|field| field.name == "title").unwrap();
        let some = Plan::new(&source, &[title]).unwrap();
        let all = Plan::new(&source, &(0..source.fields.len()).collect::<Vec<_>>()).unwrap();
        assert!(some.nodes.len() < all.nodes.len());
        assert_eq!(some.names.id("subject"), 0);
        assert_ne!(some.names.id("title"), 0);
    }
}
