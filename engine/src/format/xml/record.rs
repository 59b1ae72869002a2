//! What is known of the record that is being read, apart from its columns.

use super::column::{Columns, Surplus};
use super::plan::{ColumnPlan, Plan, Target};
use super::report::excerpt;
use crate::format::encoding::Repair;
use crate::format::envelope::RecordProblem;

/// More are not worth a row's space.
const MOST_PROBLEMS: usize = 20;

/// The values of the envelope; strings are reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Elements above the record's own, while one is open.
    pub(super) depth: Option<usize>,
    /// Where it starts in the text.
    pub(super) start: u64,
    id: Ranked,
    datestamp: Ranked,
    sets: Vec<String>,
    set_count: usize,
    pub(super) deleted: bool,
    /// Metadata elements so far.
    pub(super) metadata: usize,
    /// Name of an element that stands where the metadata should.
    pub(super) beside: String,
    pub(super) problems: Vec<RecordProblem>,
}

/// The best of several candidates.
#[derive(Debug, Default)]
struct Ranked {
    value: String,
    rank: Option<usize>,
}

impl Ranked {
    fn offer(&mut self, rank: usize, value: &str) {
        if self.rank.is_none_or(|best| rank < best) {
            self.value.clear();
            self.value.push_str(value);
            self.rank = Some(rank);
        }
    }

    fn get(&self) -> Option<&str> {
        self.rank.map(|_| self.value.as_str())
    }
}

impl Record {
    /// A record begins: what was known of the last one is forgotten.
    pub(super) fn begin(&mut self, depth: usize, start: u64) {
        (self.depth, self.start) = (Some(depth), start);
        (self.id.rank, self.datestamp.rank) = (None, None);
        (self.set_count, self.metadata, self.deleted) = (0, 0, false);
        self.beside.clear();
        self.problems.clear();
    }

    /// Takes a value of the envelope. They are trimmed: an identifier with a line break in it is of no use.
    pub(super) fn offer(&mut self, target: Target, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        match target {
            Target::RecordId(rank) => self.id.offer(rank, value),
            Target::Datestamp(rank) => self.datestamp.offer(rank, value),
            Target::Set => {
                if self.set_count == self.sets.len() {
                    self.sets.push(String::new());
                }
                self.sets[self.set_count].clear();
                self.sets[self.set_count].push_str(value);
                self.set_count += 1;
            }
            Target::Column(_) => {}
        }
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.get()
    }

    pub(super) fn datestamp(&self) -> Option<&str> {
        self.datestamp.get()
    }

    pub(super) fn sets(&self) -> &[String] {
        &self.sets[..self.set_count]
    }

    /// Adds a problem, once.
    pub(super) fn problem(&mut self, code: &'static str, message: String, path: Option<String>) {
        let known = self.problems.iter().any(|known| known.code == code && known.message == message);
        if self.depth.is_some() && !known && self.problems.len() < MOST_PROBLEMS {
            self.problems.push(RecordProblem { code, message, path });
        }
    }

    /// A reference stands for nothing.
    #[cold]
    pub(super) fn unknown_reference(&mut self, name: &str) {
        let plain = name.chars().take(40).all(|c| c.is_ascii_alphanumeric() || c == '#') && !name.is_empty();
        let message = if plain {
            format!("the entity &{name}; is not declared; it is kept as it stands")
        } else {
            "a bare & is kept as it stands; it should be &amp;".to_owned()
        };
        self.problem("PX122", message, None);
    }

    /// At its end: is it complete?
    pub(super) fn check(&mut self, plan: &Plan, columns: &Columns, repairs: &[Repair], end: u64) {
        if plan.wants_metadata && self.metadata == 0 && !self.deleted {
            let expected = plan.metadata_paths.join(" or ");
            let message = if self.beside.is_empty() {
                format!("the record has no metadata ({expected}), but is not marked as deleted")
            } else {
                format!("the record's metadata is <{}>, not {expected}: is this the right source schema?", self.beside)
            };
            self.problem("PX121", message, expected.split(" or ").next().map(str::to_owned));
        }
        if self.metadata > 1 {
            self.problem("PX124", format!("the record has {} metadata elements; their values are taken together", self.metadata), None);
        }
        let first = repairs.partition_point(|repair| repair.text < self.start);
        for repair in repairs[first..].iter().take_while(|repair| repair.text < end) {
            let plural = if repair.len == 1 { "byte is" } else { "bytes are" };
            let message = format!("{} {plural} not valid at byte {} of the page; U+FFFD stands there now", repair.len, repair.page);
            self.problem("PX123", message, None);
        }
        if columns.full {
            self.problem("PX126", "the record is too large; some of its values are missing".to_owned(), None);
        }
        for surplus in &columns.surplus {
            self.surplus(&plan.columns[surplus.slot], surplus);
        }
    }

    /// A column that holds one value was offered more.
    #[cold]
    fn surplus(&mut self, column: &ColumnPlan, surplus: &Surplus) {
        let (name, hint) = match column {
            ColumnPlan::Text { name, .. } => (name, "to keep all, give the field kind = \"texts\", or join = \"; \", in the source schema"),
            ColumnPlan::Xml { name } => (name, "to choose, give the field the path of one element in the source schema"),
            _ => return,
        };
        let first = excerpt(&surplus.first);
        let message = match surplus.values {
            1 => format!("{name} holds one value; 1 more is left out: \"{first}\"; {hint}"),
            values => format!("{name} holds one value; {values} more are left out, the first of them \"{first}\"; {hint}"),
        };
        self.problem("PX127", message, Some(name.clone()));
    }
}
