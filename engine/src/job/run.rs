//! A whole run: prepare, execute, account, gate, commit, remember.
//!
//! Until the commit everything can be stopped and nothing is visible; what was written by then is removed. The commit
//! itself is one put, and is not interrupted. The run record is written at every change of state, so that a run which
//! was killed can be told from one that goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use schemas::problem::{Problem, Problems};
use schemas::target::Level;

use super::attempt::{self, Destination};
use super::gate::{self, GateResult};
use super::prepare::{Prepared, Request, prepare};
use super::proposal::{self, Made};
use super::record::{self, RecordedProblem, RunCounts, RunRecord, RunState};
use super::{carry, key, step, unique};
use crate::backend::Backend;
use crate::error::{Error, Kind, Result};
use crate::project::Job;
use crate::query::tables::Overlay;
use crate::session::Session;
use crate::sink::{FindingGroup, Manifest};
use crate::table::{Columns, Counts, DataFile, Database, Operation, Proposal, Snapshot, TableChange, crash_point};

/// Units executed at the same time: while one waits for its files, another computes.
const CONCURRENT_UNITS: usize = 4;

/// How often, and how long apart, a stopped run looks for files that its last tasks still wrote.
const CLEANINGS: usize = 3;
const CLEANING_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// What the user asked for beyond the job itself.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Collections, parameters, and whether to run what is unchanged.
    pub request: Request,
    /// Why gates are to be overridden.
    pub accept: Option<String>,
    /// Where plans run.
    pub backend: Backend,
}

/// Runs a job. `stop` resolves when the user wants it stopped; nothing is committed then.
///
/// The record is the result whether the run succeeded or not; its state and problems say which.
///
/// # Errors
/// The run record itself cannot be written.
pub async fn run(
    session: &Session,
    job: &Arc<Job>,
    options: &RunOptions,
    stop: impl Future<Output = ()>,
) -> Result<(RunRecord, Option<Error>)> {
    let database = Database::open(session.warehouse.join(&job.database));
    let mut record = RunRecord::start(&job.name, &database, options.request.parameters.clone());
    let destination = Destination { database: database.clone(), run_id: record.id.clone(), output: job.output.clone() };
    bury(&database).await;
    let work = Work { session, job, options, to: &destination };
    let outcome = tokio::select! {
        outcome = work.until_commit(&mut record) => outcome,
        () = stop => Err(Error::new(Kind::Stopped, Problem::error("PR001", "the run was stopped").hint(format!("nothing was published; run again with: pacha run {}", job.name)))),
    };
    let outcome = match outcome {
        Ok(Some((base, proposal))) => publish(&database, &base, proposal, &mut record).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let error = outcome.err();
    if let Some(error) = &error {
        record.fail(error);
        if error.kind != Kind::Configuration {
            clean_up(&database, &record.id, error).await;
        }
    } else {
        record.become_state(RunState::Succeeded);
    }
    record.next = next_command(job, &record);
    // A mistake in the project leaves no trace in the warehouse; everything that ran does.
    if error.as_ref().is_none_or(|error| error.kind != Kind::Configuration) {
        let written = record.save(&database).await;
        match (&error, written) {
            (None, written) => written?,
            // There is no record to show: the error itself is all there is.
            (Some(_), Err(_)) => record.next = format!("pacha run {}", job.name),
            (Some(_), Ok(())) => {}
        }
    }
    Ok((record, error))
}

/// Removes what a run wrote that did not publish. Tasks of a run that was stopped may still be closing a file, so it looks
/// again until nothing more appears; where it is not known whether the commit was published, nothing is removed.
async fn clean_up(database: &Database, run_id: &str, error: &Error) {
    if error.problems.0.iter().any(|problem| problem.code == "PS522") {
        return;
    }
    for _ in 0..CLEANINGS {
        match database.remove_strays(run_id).await {
            Ok(swept) if swept.files == 0 && error.kind != Kind::Stopped => return,
            Ok(_) => tokio::time::sleep(CLEANING_PAUSE).await,
            Err(_) => {
                tracing::warn!(target: "pacha", "what run {run_id} has written cannot be removed now; no version names it");
                return;
            }
        }
    }
}

/// Ends what runs whose process died have left. It is not this run's business to fail for them.
async fn bury(database: &Database) {
    match record::sweep(database).await {
        Ok(swept) => {
            for (dead, files) in swept {
                tracing::info!(target: "pacha", "run {} had died: {} files of it removed", dead.id, files.files);
            }
        }
        Err(error) => tracing::debug!("what dead runs have left cannot be removed now: {error}"),
    }
}

async fn publish(database: &Database, base: &Snapshot, proposal: Proposal, record: &mut RunRecord) -> Result<()> {
    let version = database.commit(base, proposal).await?;
    record.version = Some(version);
    Ok(())
}

fn next_command(job: &Job, record: &RunRecord) -> String {
    let total = record.counts.total;
    match record.state {
        RunState::Succeeded if total.quarantined > 0 => format!("pacha findings {}", job.name),
        RunState::Succeeded => {
            let table = if job.target.is_some() { "mapped" } else { job.steps.first().map_or("mapped", |step| step.table.value.as_str()) };
            format!("pacha sql \"SELECT * FROM {}.{table} LIMIT 10\"", job.database)
        }
        _ => format!("pacha show {}", record.id),
    }
}

struct Work<'a> {
    session: &'a Session,
    job: &'a Arc<Job>,
    options: &'a RunOptions,
    to: &'a Destination,
}

impl Work<'_> {
    /// Everything before the commit; nothing to commit if nothing changed.
    async fn until_commit(&self, record: &mut RunRecord) -> Result<Option<(Snapshot, Proposal)>> {
        let database = &self.to.database;
        let before = Arc::new(database.snapshot(None).await?);
        let prepared = prepare(self.session, self.job, &self.options.request, &before).await?;
        record.parameters.clone_from(&prepared.parameters);
        record.problems = prepared.warnings.0.iter().map(RecordedProblem::from).collect();
        let removed = self.removed(&before);
        let run_key = self.run_key(&prepared).await?;
        let nothing_ran = prepared.units.is_empty() && removed.is_empty();
        if nothing_ran && !self.options.request.force && before.run_keys.get(&self.job.name) == Some(&run_key) {
            record.unchanged = true;
            record.version = Some(before.version);
            record.remember_tables(&before.tables);
            record.counts =
                RunCounts::of(prepared.unchanged.iter().filter_map(|id| Some((id.clone(), before.collections.get(id)?.counts))).collect());
            return Ok(None);
        }
        record.become_state(RunState::Running);
        record.save(database).await?;
        crash_point("before-data-files");
        let ran: BTreeSet<String> =
            prepared.units.iter().flat_map(|(unit, _)| &unit.collections).map(|run| run.collection.id.clone()).collect();
        let mut made = self.execute(&prepared).await?;
        for id in &ran {
            made.counts.entry(id.clone()).or_default();
        }
        let touched: BTreeSet<String> = ran.iter().chain(&removed).cloned().collect();
        let carried = carry::carry(self.session, self.options.backend, self.to, &before, &touched).await?;
        let mut proposal = Proposal::new(self.to.run_id.clone(), self.job.name.clone());
        let partial = !self.options.request.collections.is_empty();
        proposal.run_key = if partial { before.run_keys.get(&self.job.name).cloned() } else { Some(run_key) };
        proposal.parameters.clone_from(&prepared.parameters);
        proposal.removed_collections = removed;
        proposal::collections(&mut proposal, &prepared, &made);
        proposal::tables(&mut proposal, self.job, &made, &before, carried)?;
        self.unique(&mut proposal, &mut made, &before, &ran).await?;
        self.steps(&mut proposal, &prepared, &before).await?;
        crash_point("after-data-files");
        record.counts = RunCounts::of(proposal.collections.iter().map(|(id, state)| (id.clone(), state.counts)).collect());
        record.remember_tables(&proposal::after(&before, &proposal).tables);
        record.findings = FindingGroup::merged(std::mem::take(&mut made.findings));
        record.problems.extend(proposal.collections.iter().filter(|(_, state)| state.counts.input == 0 && state.pages > 0).map(
            |(id, state)| {
                let problem = Problem::warning("PX109", format!("collection {id}: no records in {} pages", state.pages));
                RecordedProblem::from(&problem.hint(format!("look at its pages: pacha inspect {id}")))
            },
        ));
        self.gates(record, &mut proposal, &before)?;
        Ok(Some((Snapshot::clone(&before), proposal)))
    }

    async fn execute(&self, prepared: &Prepared) -> Result<Made> {
        let (session, backend, vernacular) = (self.session, self.options.backend, self.job.output.vernacular);
        let attempts = prepared.units.iter().map(|(unit, planned)| attempt::attempt(session, backend, self.to, unit, planned, vernacular));
        let manifests: Vec<Manifest> = futures::stream::iter(attempts).buffer_unordered(CONCURRENT_UNITS).try_collect().await?;
        let mut made = Made::default();
        for manifest in manifests {
            made.take(manifest);
        }
        made.schemas = proposal::schemas(self.job, prepared);
        Ok(made)
    }

    /// Collections of the last version that no job of this database has any more.
    fn removed(&self, before: &Snapshot) -> BTreeSet<String> {
        if !self.options.request.collections.is_empty() {
            return BTreeSet::new();
        }
        let jobs = self.session.project.jobs.values().filter(|job| job.database == self.job.database);
        let kept: BTreeSet<&str> = jobs.flat_map(|job| &job.collections).filter(|c| c.enabled).map(|c| c.id.as_str()).collect();
        before.collections.keys().filter(|id| !kept.contains(id.as_str())).cloned().collect()
    }

    /// Digest of all that the whole result depends on, the files and tables that steps read included.
    async fn run_key(&self, prepared: &Prepared) -> Result<String> {
        let mut whole = key::KeyBuilder::default();
        whole.add("job", &self.job.file.text).add("shared", &prepared.shared_key).add("inputs", &prepared.inputs);
        for (id, key) in &prepared.keys {
            whole.add(id, key);
        }
        for step in &self.job.steps {
            whole.add(&step.table.value, step.sql.text());
        }
        for input in &self.job.inputs {
            for (_, meta) in super::input::list(self.session, &input.location.value).await? {
                whole.add(meta.location.as_ref(), format!("{:?} {} {}", meta.e_tag, meta.size, meta.last_modified));
            }
        }
        for database in self.databases_read() {
            let head = Database::open(self.session.warehouse.join(&database)).head().await?;
            whole.add(&database, head.to_le_bytes());
        }
        Ok(whole.finish())
    }

    /// Other databases that the steps name.
    fn databases_read(&self) -> BTreeSet<String> {
        let state = self.session.context.state();
        let named = self.job.steps.iter().filter_map(|step| {
            let dialect = state.config_options().sql_parser.dialect;
            let statement = state.sql_to_statement(step.sql.text(), &dialect).ok()?;
            state.resolve_table_references(&statement).ok()
        });
        let schemas = named.flatten().filter_map(|reference| reference.schema().map(str::to_owned));
        schemas.filter(|name| *name != self.job.database && name != crate::query::tables::COLLECTIONS).collect()
    }

    /// Values that two records share although the target says that none may: a finding each.
    async fn unique(&self, proposal: &mut Proposal, made: &mut Made, before: &Arc<Snapshot>, ran: &BTreeSet<String>) -> Result<()> {
        let Some(target) = self.job.target.as_ref().filter(|_| !ran.is_empty()) else { return Ok(()) };
        for field in target.fields.iter().filter(|field| field.unique.is_some()) {
            let level = field.unique.unwrap_or(Level::Warn);
            let after = Arc::new(proposal::after(before, proposal));
            let files = unique::findings(self.session, self.options.backend, self.to, &after, field, level, ran).await?;
            for file in &files.files {
                if let Some(change) = proposal.tables.get_mut("findings") {
                    change.add.push(proposal::data_file(file));
                }
            }
            let records: u64 = files.files.iter().map(|file| file.rows).sum();
            if records > 0 {
                made.findings.push(FindingGroup {
                    severity: level.as_str().into(),
                    code: "PV321".into(),
                    field: Some(field.name.clone()),
                    count: records,
                    records,
                    examples: Vec::new(),
                });
            }
        }
        Ok(())
    }

    /// The SQL steps, in order; each sees the ones before it.
    async fn steps(&self, proposal: &mut Proposal, prepared: &Prepared, before: &Arc<Snapshot>) -> Result<()> {
        for (done, one) in self.job.steps.iter().enumerate() {
            let after = Arc::new(proposal::after(before, proposal));
            let overlay = Overlay { database: Some((self.to.database.clone(), after)), inputs: BTreeMap::new() };
            let frame = step::plan(self.session, self.job, one, &overlay, &prepared.parameters).await?;
            let columns = Columns::new(&step::schema(&frame)).map_err(Error::from)?;
            let manifest = step::execute(self.session, self.options.backend, self.to, &one.table.value, frame).await?;
            tracing::debug!(step = done, table = one.table.value, "step written");
            let add = manifest.files.iter().map(proposal::data_file).map(|file| DataFile { collections: Vec::new(), ..file }).collect();
            let change = TableChange { operation: Operation::Replace, schema: columns, add, remove: Vec::new() };
            proposal.tables.insert(one.table.value.clone(), change);
        }
        Ok(())
    }

    fn gates(&self, record: &mut RunRecord, proposal: &mut Proposal, before: &Snapshot) -> Result<()> {
        if self.job.target.is_none() {
            return Ok(());
        }
        let counts = proposal.collections.iter().map(|(id, state)| (id.clone(), state.counts)).collect();
        let whole = self.options.request.collections.is_empty();
        let after = proposal::after(before, proposal);
        let mut total = Counts::default();
        for state in after.collections.values() {
            total += state.counts;
        }
        let mut counts: BTreeMap<String, Counts> = counts;
        // A collection whose file is gone falls to nothing: the gate for a fall is the gate for that too.
        counts.extend(proposal.removed_collections.iter().map(|id| (id.clone(), Counts::default())));
        let fired: Vec<GateResult> = gate::look(&self.job.gates, &counts, &before.collections, total, whole);
        record.gates.clone_from(&fired);
        let halting = gate::withheld(&fired, &record.id);
        if halting.is_empty() {
            return Ok(());
        }
        match &self.options.accept {
            Some(reason) => {
                let halts = fired.iter().filter(|gate| gate.halts);
                let of = |gate: &GateResult| gate.collection.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
                proposal.overrides = halts.map(|gate| format!("{} {}{}", gate.code, of(gate), gate.message)).collect();
                proposal.message = Some(format!("accepted: {reason}"));
                Ok(())
            }
            None => Err(Error { kind: Kind::Withheld, problems: Problems(halting) }),
        }
    }
}
