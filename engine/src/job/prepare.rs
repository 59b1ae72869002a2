//! Everything that can be known before a record is read: which collections have work to do, and the plan of each unit.
//!
//! `pacha check` is this and no more; a run goes on from here. All mistakes of all units are reported together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use schemas::problem::{Problem, Problems};
use schemas::target::TargetSchema;

use super::proposal::vernacular_schema;
use super::unit::{Bounds, RunCollection, Unit, levels, units};
use super::{input, key, shape, step};
use crate::catalog::glue::names;
use crate::error::{Error, Result};
use crate::mapping::{Level, MappingPlan, PlanRequest, plan};
use crate::project::{Collection, Job};
use crate::scan::{HarvestTable, View};
use crate::session::Session;
use crate::sink;
use crate::table::Snapshot;

/// What is to be prepared.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Only these collections; all of the job's if empty.
    pub collections: Vec<String>,
    /// Parameters given by the user.
    pub parameters: BTreeMap<String, String>,
    /// Run what is unchanged too.
    pub force: bool,
}

/// A run before it reads anything.
#[derive(Debug)]
pub struct Prepared {
    /// The units, planned.
    pub units: Vec<(Unit, MappingPlan)>,
    /// Collections that have nothing to do.
    pub unchanged: Vec<String>,
    /// Digest of what all collections share.
    pub shared_key: String,
    /// Digest over the inputs of all collections of the run.
    pub inputs: String,
    /// Run keys of all collections of the run, changed or not.
    pub keys: BTreeMap<String, String>,
    /// Parameters with their defaults.
    pub parameters: BTreeMap<String, String>,
    /// What does not stop the run.
    pub warnings: Problems,
}

/// Pins, compares and plans.
///
/// # Errors
/// Every mistake in mappings, targets and parameters, together.
pub async fn prepare(session: &Session, job: &Job, request: &Request, before: &Snapshot) -> Result<Prepared> {
    let mut problems = Problems::default();
    let parameters = parameters(job, &request.parameters, &mut problems);
    let chosen = chosen(job, &request.collections, &mut problems);
    if problems.fatal() {
        return Err(Error::mistakes(problems));
    }
    let shared_key = key::shared(&session.project, job, job.target.as_deref(), &parameters);
    let mut prepared = Prepared {
        units: Vec::new(),
        unchanged: Vec::new(),
        shared_key,
        inputs: String::new(),
        keys: BTreeMap::new(),
        parameters,
        warnings: problems,
    };
    let Some(target) = &job.target else {
        let tables = step::check(session, job, before, BTreeMap::new(), &prepared.parameters).await?;
        let problems = registrable(session, job, before, &tables);
        if problems.fatal() {
            return Err(Error::mistakes(problems));
        }
        prepared.warnings.extend(problems);
        return Ok(prepared);
    };
    let collections = collections(session, job, target, chosen, &mut prepared).await?;
    let (changed, unchanged): (Vec<_>, Vec<_>) = collections
        .into_iter()
        .partition(|run| request.force || before.collections.get(&run.collection.id).is_none_or(|state| state.key != run.key));
    prepared.unchanged = unchanged.into_iter().map(|run| run.collection.id.clone()).collect();
    let mut problems = Problems::default();
    for unit in units(changed, Bounds::of(session)) {
        match plan_unit(session, job, target, &unit, &prepared.parameters).await {
            Ok(planned) => {
                prepared.warnings.extend(planned.warnings.clone());
                prepared.units.push((unit, planned));
            }
            Err(found) => problems.extend(found.into_iter().filter(|problem| !problems.0.contains(problem)).collect::<Vec<_>>()),
        }
    }
    let fields = target.arrow_schema();
    let mut tables = BTreeMap::from([
        (sink::schema::MAPPED.to_owned(), sink::mapped_schema(fields.fields())),
        (sink::schema::QUARANTINE.to_owned(), sink::quarantine_schema(fields.fields())),
        (sink::schema::FINDINGS.to_owned(), sink::findings_schema()),
    ]);
    let vernacular = prepared.units.iter().filter(|_| job.output.vernacular);
    let vernacular: Vec<_> = vernacular
        .filter_map(|(unit, planned)| Some((sink::schema::vernacular_table(&unit.source.name), vernacular_schema(planned)?)))
        .collect();
    match step::check(session, job, before, tables.clone(), &prepared.parameters).await {
        Ok(steps) => tables.extend(steps),
        Err(error) => problems.extend(error.problems),
    }
    tables.extend(vernacular);
    problems.extend(registrable(session, job, before, &tables));
    if problems.fatal() {
        return Err(Error::mistakes(problems));
    }
    prepared.warnings.extend(problems);
    Ok(prepared)
}

/// What keeps the tables of a job out of Glue, where they are to be registered.
fn registrable(session: &Session, job: &Job, before: &Snapshot, tables: &BTreeMap<String, SchemaRef>) -> Problems {
    let mut problems = Problems::default();
    if session.glue.is_some() {
        let settings = &session.project.settings.glue;
        problems.extend(names::none_wanted(settings, &job.database, before.tables.keys().chain(tables.keys()).map(String::as_str)));
        for (table, schema) in tables {
            problems.extend(names::check(settings, &job.database, table, schema));
        }
    }
    problems
}

/// Plans the mapping of a unit over its pinned pages.
///
/// # Errors
/// Every mistake in the mapping.
pub async fn plan_unit(
    session: &Session,
    job: &Job,
    target: &Arc<TargetSchema>,
    unit: &Unit,
    parameters: &BTreeMap<String, String>,
) -> Result<MappingPlan, Problems> {
    let table = HarvestTable::new(&unit.source, unit.store.clone(), &unit.pinned(), View::Run);
    let request = PlanRequest {
        source: Arc::clone(&unit.source),
        levels: unit.levels.to_vec(),
        target: Arc::clone(target),
        aliases: job.aliases.iter().map(|(name, path)| (name.clone(), path.value.clone())).collect(),
        vernacular: job.output.vernacular,
        raw: job.output.raw,
        parameters: parameters.clone(),
    };
    plan::plan(&session.context, Arc::new(table), &request).await
}

/// The chain of each mapping for each source schema, or why it has none.
type Chains = BTreeMap<(String, String), Result<Arc<Vec<Level>>, Problem>>;

/// The collections of a run with their pages, shapes, chains and keys.
async fn collections(
    session: &Session,
    job: &Job,
    target: &TargetSchema,
    chosen: Vec<Arc<Collection>>,
    prepared: &mut Prepared,
) -> Result<Vec<RunCollection>> {
    let pinned = input::pin_all(session, &chosen).await?;
    prepared.inputs = key::inputs(&pinned);
    let mut chains: Chains = BTreeMap::new();
    let mut problems = Problems::default();
    let mut runs = Vec::with_capacity(chosen.len());
    for (collection, pinned) in chosen.into_iter().zip(pinned) {
        if pinned.pages.is_empty() {
            let problem =
                Problem::warning("PX103", format!("collection {} has no pages: nothing at {}", collection.id, written(&collection)));
            prepared.warnings.push(problem.hint("harvest it, or correct pages in its file; its records in the last version are removed"));
        }
        let mapping = job.mapping_of(&collection).unwrap_or_default().to_owned();
        let chain = chains
            .entry((mapping.clone(), collection.source.name.clone()))
            .or_insert_with(|| levels(&session.project, target, &collection.source, &mapping, &collection.id).map(Arc::new));
        let levels = match chain {
            Ok(levels) => Arc::clone(levels),
            Err(problem) => {
                if !problems.0.contains(problem) {
                    problems.push(problem.clone());
                }
                continue;
            }
        };
        let source = shape::resolved(session, &collection, &pinned).await?;
        let store = input::store_of(session, &collection)?;
        let key = key::collection(&prepared.shared_key, &collection, &source, &levels, &pinned);
        prepared.keys.insert(collection.id.clone(), key.clone());
        runs.push(RunCollection { collection, source, levels, store, pinned, key });
    }
    if problems.fatal() { Err(Error::mistakes(problems)) } else { Ok(runs) }
}

fn written(collection: &Collection) -> String {
    collection.pages.iter().map(|page| page.value.as_str()).collect::<Vec<_>>().join(", ")
}

fn chosen(job: &Job, wanted: &[String], problems: &mut Problems) -> Vec<Arc<Collection>> {
    let enabled = || job.collections.iter().filter(|collection| collection.enabled);
    let known: Vec<&str> = enabled().map(|collection| collection.id.as_str()).collect();
    for id in wanted.iter().filter(|id| !known.contains(&id.as_str())) {
        let problem = Problem::error("PC130", format!("job {} has no collection {id}", job.name));
        problems.push(problem.hint(schemas::suggest::hint(id, known.iter().copied())));
    }
    let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    enabled().filter(|collection| wanted.is_empty() || wanted.contains(collection.id.as_str())).cloned().collect()
}

/// The parameters of a run: those given, and the defaults of the others.
pub(super) fn parameters(job: &Job, given: &BTreeMap<String, String>, problems: &mut Problems) -> BTreeMap<String, String> {
    let known: Vec<&str> = job.params.iter().map(|param| param.name.as_str()).collect();
    for name in given.keys().filter(|name| !known.contains(&name.as_str())) {
        let problem = Problem::error("PC131", format!("job {} has no parameter {name}", job.name));
        problems.push(problem.hint(if known.is_empty() {
            format!("declare it: [params] {name} = \"…\" in jobs/{}.toml", job.name)
        } else {
            schemas::suggest::hint(name, known.iter().copied())
        }));
    }
    let mut values = BTreeMap::new();
    for param in &job.params {
        match given.get(&param.name).or(param.default.as_ref()) {
            Some(value) => {
                values.insert(param.name.clone(), value.clone());
            }
            None => {
                let problem = Problem::error("PC132", format!("parameter {} is required", param.name)).at(&job.file, param.span.clone());
                problems.push(problem.hint(format!("pass --param {}=…", param.name)));
            }
        }
    }
    values
}
