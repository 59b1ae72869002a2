//! Cuts a run into units: collections that are read the same way and take the same mapping, planned and run together.
//!
//! Thousands of small collections with one mapping are one unit and one plan. On a cluster a unit is also what is
//! thrown away and submitted again after a fault, so its size is bounded.

use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreUrl;
use schemas::problem::Problem;
use schemas::source::SourceSchema;
use schemas::target::TargetSchema;

use crate::mapping::Level;
use crate::mapping::compose::{VERNACULAR, reads};
use crate::project::{Collection, Project};
use crate::scan::PinnedCollection;
use crate::session::{Plans, Session};
use crate::sink::{Reread, RereadPage};
use crate::sql::mistake;

/// What a unit takes at most, unless one collection alone has more.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of pages.
    pub bytes: u64,
    /// Pages.
    pub pages: usize,
}

impl Bounds {
    /// In one process large units are cheap; on a cluster one is what a lost executor costs, and its pages travel by name.
    pub fn of(session: &Session) -> Self {
        match session.plans {
            Plans::Embedded => Self { bytes: 8 << 30, pages: 50_000 },
            Plans::Cluster(_) => Self { bytes: session.project.settings.cluster.unit_bytes, pages: 20_000 },
        }
    }
}

/// A collection of a run: what the project says, what is pinned, how it is read and mapped.
#[derive(Debug, Clone)]
pub struct RunCollection {
    /// What the project says of it.
    pub collection: Arc<Collection>,
    /// Its source schema, with the shape of its documents known.
    pub source: Arc<SourceSchema>,
    /// Base view first, the mapping last.
    pub levels: Arc<Vec<Level>>,
    /// Where its pages are.
    pub store: ObjectStoreUrl,
    /// Its pages.
    pub pinned: PinnedCollection,
    /// Its run key.
    pub key: String,
}

/// Collections that are planned and run together.
#[derive(Debug, Clone)]
pub struct Unit {
    /// How they are read.
    pub source: Arc<SourceSchema>,
    /// Base view first, the mapping last.
    pub levels: Arc<Vec<Level>>,
    /// Where their pages are.
    pub store: ObjectStoreUrl,
    /// The collections, in order.
    pub collections: Vec<RunCollection>,
    bytes: u64,
    pages: usize,
}

/// Groups collections into units, in order of the first collection of each.
pub fn units(collections: Vec<RunCollection>, bounds: Bounds) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for collection in collections {
        let (bytes, pages) = (collection.pinned.bytes(), collection.pinned.pages.len());
        match units.iter_mut().find(|unit| unit.takes(&collection, bytes, pages, bounds)) {
            Some(unit) => {
                unit.bytes += bytes;
                unit.pages += pages;
                unit.collections.push(collection);
            }
            None => units.push(Unit {
                source: Arc::clone(&collection.source),
                levels: Arc::clone(&collection.levels),
                store: collection.store.clone(),
                collections: vec![collection],
                bytes,
                pages,
            }),
        }
    }
    units
}

impl Unit {
    fn takes(&self, next: &RunCollection, bytes: u64, pages: usize, bounds: Bounds) -> bool {
        let same_source = Arc::ptr_eq(&self.source, &next.source) || self.source == next.source;
        Arc::ptr_eq(&self.levels, &next.levels)
            && same_source
            && self.store == next.store
            && self.bytes + bytes <= bounds.bytes
            && self.pages + pages <= bounds.pages
    }

    /// How its pages are read again, for withheld records.
    pub fn reread(&self) -> Reread {
        let pages = self.collections.iter().flat_map(|collection| collection.pinned.pages.iter().map(move |page| (collection, page)));
        let pages = pages.map(|(collection, page)| RereadPage {
            collection_id: collection.collection.id.clone(),
            path: page.path.clone(),
            location: page.meta.location.to_string(),
            bytes: page.meta.size,
            modified: page.meta.last_modified.timestamp_micros(),
            e_tag: page.meta.e_tag.clone(),
        });
        let pages = pages.collect();
        Reread { source: SourceSchema::clone(&self.source), store: self.store.as_str().to_owned(), pages }
    }

    /// The pinned collections, for the scan.
    pub fn pinned(&self) -> Vec<PinnedCollection> {
        self.collections.iter().map(|collection| collection.pinned.clone()).collect()
    }
}

/// The chain of a mapping, base view first. An empty name means the base view itself.
///
/// # Errors
/// It reads something that does not exist, itself, or the base view of another source schema.
pub fn levels(
    project: &Project,
    target: &TargetSchema,
    source: &SourceSchema,
    mapping: &str,
    collection: &str,
) -> Result<Vec<Level>, Problem> {
    let mut chain: Vec<Level> = Vec::new();
    let mut next = if mapping.is_empty() { source.name.clone() } else { mapping.to_owned() };
    while next != VERNACULAR {
        if chain.iter().any(|level| level.name == next) {
            let names: Vec<&str> = chain.iter().map(|level| level.name.as_str()).collect();
            let problem = Problem::error("PM234", format!("mapping {next} inherits from itself: {} → {next}", names.join(" → ")));
            let problem = problem.hint("let one of them read a base view or vernacular");
            return Err(match chain.last() {
                Some(level) => {
                    let span = mistake::find_word(&level.source, &next).unwrap_or(0..1);
                    problem.at(&level.source, span)
                }
                None => problem,
            });
        }
        let text = match project.mappings.get(&next) {
            Some(file) => Arc::clone(&file.source),
            None => base(project, target, source, &next, &chain, collection)?,
        };
        let read = reads(&text)?;
        chain.push(Level { name: std::mem::replace(&mut next, read), source: text });
    }
    chain.reverse();
    Ok(chain)
}

fn base(
    project: &Project,
    target: &TargetSchema,
    source: &SourceSchema,
    name: &str,
    chain: &[Level],
    collection: &str,
) -> Result<Arc<schemas::problem::Source>, Problem> {
    let place = |problem: Problem| match chain.last() {
        Some(level) => {
            let start = level.source.text.find(name).unwrap_or_default();
            problem.at(&level.source, start..start + name.len())
        }
        None => problem,
    };
    if name == source.name {
        if let Some(text) = schemas::base::shipped(&target.name, name) {
            return Ok(text);
        }
        let problem = Problem::error(
            "PM233",
            format!("there is no base view from {name} to {}, and collection {collection} has no mapping", target.name),
        );
        return Err(place(
            problem.hint("write mappings/<name>.sql with FROM vernacular SELECT …, and name it in the collection or the job"),
        ));
    }
    if project.sources.contains_key(name) {
        let problem =
            Problem::error("PM232", format!("base view {name} is for source {name}; collection {collection} has source {}", source.name));
        return Err(place(problem.hint(format!("read FROM {} or FROM vernacular, or give the collection another mapping", source.name))));
    }
    let known: Vec<&str> = project.mappings.keys().map(String::as_str).chain([VERNACULAR, source.name.as_str()]).collect();
    let problem = Problem::error("PM204", format!("no view or mapping \"{name}\""));
    Err(place(problem.hint(schemas::suggest::hint(name, known.iter().copied()))))
}
