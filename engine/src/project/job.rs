//! A job: inputs, a mapping with its target or SQL steps, output, gates and a schedule. Reading `jobs/<name>.toml` is in
//! `job_file`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use schemas::document::Placed;
use schemas::problem::Source;
use schemas::target::TargetSchema;

use super::{Collection, FreeValue, Gates, Output, Sql};

/// What one run does, parsed and checked. It maps collections to a target, or runs steps, or both: steps come after.
#[derive(Debug, Clone)]
pub struct Job {
    /// The file's stem.
    pub name: String,
    /// What people call it; the name if the file says nothing.
    pub title: String,
    /// What it is for.
    pub doc: String,
    /// The database it writes.
    pub database: String,
    /// The collections it takes, sorted by id; disabled ones are left out.
    pub collections: Vec<Arc<Collection>>,
    /// The mapping of collections that have none of their own.
    pub mapping: Option<Placed<String>>,
    /// What `mapped` must hold; a job without one maps nothing.
    pub target: Option<Arc<TargetSchema>>,
    /// Five cron fields.
    pub schedule: Option<Placed<String>>,
    /// What `--param` may set, `$name` in SQL.
    pub params: Vec<Param>,
    /// Short names for paths, such as `p` for `doc.properties`.
    pub aliases: Vec<(String, Placed<String>)>,
    /// Tables read from files, by name.
    pub inputs: Vec<Input>,
    /// SQL steps, in order.
    pub steps: Vec<Step>,
    /// The project's output settings with the job's own in them.
    pub output: Output,
    /// The project's gates with the job's own in them.
    pub gates: Gates,
    /// The file, for messages and for the run key.
    pub file: Arc<Source>,
}

/// A value that a run may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name, `$name` in SQL.
    pub name: String,
    /// Its value unless `--param` gives one; none if one must be given.
    pub default: Option<String>,
    /// Where it stands in the job's file.
    pub span: Range<usize>,
}

/// A file that a step may read as a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Name of the table.
    pub name: String,
    /// Path or URL of Parquet, CSV or JSON.
    pub location: Placed<String>,
}

/// One SQL step: a query whose result becomes a table of the job's database.
#[derive(Debug, Clone)]
pub struct Step {
    /// The table it writes.
    pub table: Placed<String>,
    /// The query.
    pub sql: Sql,
    /// What the table is.
    pub doc: String,
    /// What the table must hold, if that is checked.
    pub target: Option<Arc<TargetSchema>>,
}

impl Job {
    /// The mapping of one of its collections: the collection's own, or the job's.
    pub fn mapping_of<'a>(&'a self, collection: &'a Collection) -> Option<&'a str> {
        collection.mapping.as_ref().or(self.mapping.as_ref()).map(|mapping| mapping.value.as_str())
    }

    /// The free keys of its collections, sorted; true where a collection gives a list, so that all must.
    pub fn value_keys(&self) -> BTreeMap<&str, bool> {
        let mut keys = BTreeMap::new();
        for (key, value) in self.collections.iter().flat_map(|collection| &collection.values) {
            *keys.entry(key.as_str()).or_insert(false) |= matches!(value, FreeValue::List(_));
        }
        keys
    }
}
