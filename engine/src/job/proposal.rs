//! What a run made, put together into what it wants to publish.
//!
//! Until it is committed a proposal changes nothing; [`after`] is the state that it would lead to, for what has to look
//! at the tables before they are published: steps, checks over whole tables, gates.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use schemas::problem::Problem;

use super::carry::Carried;
use super::prepare::Prepared;
use crate::error::{Error, Kind, Result};
use crate::mapping::MappingPlan;
use crate::mapping::compose::RECORD;
use crate::project::Job;
use crate::sink::{self, FindingGroup, Manifest, ManifestFile};
use crate::table::{CollectionState, Columns, Counts, DataFile, Inputs, Operation, Proposal, Snapshot, TableChange, TableState};

/// What the units of a run have made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The files.
    pub(super) files: Vec<ManifestFile>,
    /// What became of the records of each collection.
    pub(super) counts: BTreeMap<String, Counts>,
    /// The findings, by cause.
    pub(super) findings: Vec<FindingGroup>,
    /// The columns of the tables.
    pub(super) schemas: BTreeMap<String, SchemaRef>,
}

impl Made {
    /// Takes what a unit made.
    pub(super) fn take(&mut self, manifest: Manifest) {
        self.files.extend(manifest.files);
        for (id, counts) in manifest.counts {
            *self.counts.entry(id).or_default() += counts;
        }
        self.findings.extend(manifest.findings);
    }

    /// The files as the tables of a database that holds nothing else.
    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        for (name, schema) in &self.schemas {
            let mut files: Vec<DataFile> = self.files.iter().filter(|file| &file.table == name).map(data_file).collect();
            files.sort_by(|one, other| one.path.cmp(&other.path));
            let schema = Columns::new(schema).map_err(Error::from)?;
            snapshot.tables.insert(name.clone(), TableState { schema, files, ..TableState::default() });
        }
        Ok(snapshot)
    }

    /// Puts other files in the place of some of a table.
    pub(super) fn exchange(&mut self, table: &str, carried: Carried) {
        let gone: HashSet<String> = carried.remove.into_iter().collect();
        self.files.retain(|file| file.table != table || !gone.contains(&data_file(file).path));
        self.files.extend(carried.add);
    }
}

/// The columns of the tables that a run writes for all collections but those that are `held` back.
pub(super) fn schemas(job: &Job, prepared: &Prepared, held: &BTreeSet<String>) -> BTreeMap<String, SchemaRef> {
    let mut schemas = BTreeMap::new();
    if let Some(target) = &job.target {
        let fields = target.arrow_schema();
        schemas.insert("mapped".into(), sink::mapped_schema(fields.fields()));
        schemas.insert("quarantine".into(), sink::quarantine_schema(fields.fields()));
        schemas.insert("findings".into(), sink::findings_schema());
    }
    for (unit, planned) in prepared.units.iter().filter(|_| job.output.vernacular) {
        if unit.collections.iter().all(|run| held.contains(&run.collection.id)) {
            continue;
        }
        if let Some(schema) = vernacular_schema(planned) {
            schemas.insert(format!("vernacular_{}", unit.source.name), schema);
        }
    }
    schemas
}

/// The columns of the vernacular records that a plan carries along.
pub(super) fn vernacular_schema(planned: &MappingPlan) -> Option<SchemaRef> {
    let record = planned.plan.schema().field_with_unqualified_name(RECORD).ok()?.data_type().clone();
    let DataType::Struct(members) = record else { return None };
    match members.find("vernacular")?.1.data_type() {
        DataType::Struct(fields) => Some(Arc::new(Schema::new(fields.clone()))),
        _ => None,
    }
}

/// The collections of which something was made, with their new state.
pub(super) fn collections(proposal: &mut Proposal, prepared: &Prepared, made: &Made) {
    for run in prepared.units.iter().flat_map(|(unit, _)| &unit.collections) {
        let Some(&counts) = made.counts.get(&run.collection.id) else { continue };
        proposal.counts += counts;
        proposal.inputs.pages += run.pinned.pages.len() as u64;
        proposal.inputs.bytes += run.pinned.bytes();
        let harvested = run.pinned.pages.iter().filter_map(|page| page.harvested_at).max();
        let state = CollectionState {
            key: run.key.clone(),
            counts,
            pages: run.pinned.pages.len() as u64,
            bytes: run.pinned.bytes(),
            harvested: harvested.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()),
        };
        proposal.collections.insert(run.collection.id.clone(), state);
    }
    proposal.inputs = Inputs { digest: prepared.inputs.clone(), ..proposal.inputs.clone() };
}

/// The tables by collection: what ran comes, what it replaces goes, what stays is carried.
///
/// # Errors
/// A table would have rows of two forms.
pub(super) fn tables(
    proposal: &mut Proposal,
    job: &Job,
    made: &Made,
    before: &Snapshot,
    mut carried: BTreeMap<String, Carried>,
    held: &BTreeSet<String>,
) -> Result<()> {
    let names: BTreeSet<String> = made.schemas.keys().chain(carried.keys()).cloned().collect();
    let mut changes = BTreeMap::new();
    for name in &names {
        let columns = match (made.schemas.get(name), before.tables.get(name)) {
            (Some(schema), _) => Columns::new(schema).map_err(Error::from)?,
            (None, Some(table)) => table.schema.clone(),
            (None, None) => continue,
        };
        same_columns(proposal, job, name, &columns, before, held)?;
        let carried = carried.remove(name).unwrap_or_default();
        let written = made.files.iter().filter(|file| &file.table == name).chain(&carried.add);
        let add = written.map(data_file).collect();
        changes
            .insert(name.clone(), TableChange { operation: Operation::ReplaceCollections, schema: columns, add, remove: carried.remove });
    }
    proposal.tables.extend(changes);
    Ok(())
}

/// A table cannot change its columns while rows of the old form stay in it.
fn same_columns(proposal: &Proposal, job: &Job, name: &str, columns: &Columns, before: &Snapshot, held: &BTreeSet<String>) -> Result<()> {
    let Some(table) = before.tables.get(name).filter(|table| &table.schema != columns) else { return Ok(()) };
    let mut stay = table
        .files
        .iter()
        .flat_map(|file| &file.collections)
        .filter(|id| !proposal.collections.contains_key(*id) && !proposal.removed_collections.contains(*id));
    let Some(stays) = stay.next() else { return Ok(()) };
    let problem = Problem::error(
        "PS530",
        format!("the columns of {}.{name} have changed, and collection {stays} still has rows of the old form", job.database),
    );
    if held.contains(stays) {
        let hint = format!("mend what its gate complains of, or publish it with the others: pacha run {} --accept \"reason\"", job.name);
        return Err(Error::new(Kind::Withheld, problem.hint(hint)));
    }
    Err(Error::configuration(problem.hint(format!("run all collections: pacha run {} --force", job.name))))
}

/// The state that a proposal would lead to.
pub(super) fn after(before: &Snapshot, proposal: &Proposal) -> Snapshot {
    let mut after = Snapshot::clone(before);
    for (name, change) in &proposal.tables {
        let table = after.tables.entry(name.clone()).or_default();
        table.schema = change.schema.clone();
        match change.operation {
            Operation::Replace | Operation::Drop => table.files.clear(),
            Operation::ReplaceCollections | Operation::Append => table.files.retain(|file| !change.remove.contains(&file.path)),
        }
        table.files.extend(change.add.iter().cloned());
        table.files.sort_by(|one, other| one.path.cmp(&other.path));
    }
    after.collections.retain(|id, _| !proposal.removed_collections.contains(id));
    after.collections.extend(proposal.collections.clone());
    after
}

/// A manifest's path is below the database; a commit's is below the table's data.
pub(super) fn data_file(file: &ManifestFile) -> DataFile {
    let below = file.path.strip_prefix(&format!("{}/data/", file.table)).unwrap_or(&file.path);
    DataFile {
        path: below.to_owned(),
        rows: file.rows,
        bytes: file.bytes,
        row_hash: file.row_hash,
        collections: file.collections.keys().cloned().collect(),
    }
}
