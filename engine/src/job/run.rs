//! A whole run: prepare, execute, account, gate, commit, remember.
//!
//! Until the commit everything can be stopped and nothing is visible; what was written by then is removed. The commit
//! itself is one put, and is not interrupted. The run record is written at every change of state, so that a run which
//! was killed can be told from one that goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::{StreamExt, TryStreamExt};
use schemas::problem::{Problem, Problems};
use schemas::target::Level;

use super::attempt;
use super::gate::{self, Verdict};
use super::prepare::{Prepared, Request, prepare};
use super::proposal::{self, Made};
use super::record::{RecordedProblem, RunCounts, RunRecord, RunState};
use super::unit::RunCollection;
use super::watch::Watched;
use super::write::{Destination, Writing};
use super::{carry, key, leftover, register, step, stop, unique};
use crate::backend::Backend;
use crate::catalog::TableName;
use crate::cost::{Meter, Receipt, Requests};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
use crate::project::Job;
use crate::query::tables::Overlay;
use crate::session::Session;
use crate::sink::{FindingGroup, Manifest};
use crate::storage::durable;
use crate::table::{Columns, DataFile, Database, Operation, Proposal, Snapshot, TableChange, counted, crash_point};

/// Units executed at the same time: while one waits for its files, another computes.
const CONCURRENT_UNITS: usize = 4;

/// What the user asked for beyond the job itself.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Collections, parameters, and whether to run what is unchanged.
    pub request: Request,
    /// Why gates are to be overridden.
    pub accept: Option<String>,
    /// Where plans run.
    pub backend: Backend,
    /// A session of this process: each plan is made and run with it too, and has to give the same rows.
    pub twin: Option<Session>,
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
    let meter = Meter::begin();
    let database = Database::open(session.warehouse.join(&job.database));
    let mut record = RunRecord::start(&job.name, &database, options.request.parameters.clone());
    let destination = Destination { database: database.clone(), run_id: record.id.clone(), output: job.output.clone() };
    let asked = session.storage.traffic();
    let cancelled = leftover::of_the_dead(&database, &options.backend).await;
    let writing = Writing { session, backend: &options.backend, twin: options.twin.as_ref(), to: &destination };
    let watched = Watched::default();
    let work = Work { job, options, writing, watched: &watched };
    let outcome = tokio::select! {
        outcome = work.until_commit(&mut record) => outcome,
        () = stop => Err(stopped(job)),
        () = stop::asked(&database, &destination.run_id) => Err(stopped(job)),
        () = watched.report(&database, &session.progress, &options.backend) => Err(stopped(job)),
    };
    if let (Err(_), Some(cluster)) = (&outcome, options.backend.cluster()) {
        cluster.cancel_all().await;
    }
    // Before that nothing was written that could stay behind.
    let wrote = record.state == RunState::Running;
    let outcome = match outcome {
        Ok(Some(ready)) => publish(&database, ready, &mut record).await,
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let outcome = match outcome {
        Ok(withheld) => register::register(session, &database, &mut record, withheld).await,
        refused => refused,
    };
    let error = match outcome {
        Ok(withheld) => {
            record.succeed(withheld.as_ref());
            withheld
        }
        Err(error) => {
            record.fail(&error);
            Some(error)
        }
    };
    if let Some(error) = error.as_ref().filter(|_| wrote) {
        leftover::remove(&database, &options.backend, &record.id, error).await;
    }
    for dead in cancelled {
        let _ = database.remove_strays(&dead).await;
    }
    record.next = next_command(job, &record);
    record.cluster = options.backend.cluster().map(|cluster| cluster.used());
    record.progress = Some(session.progress.counts()).filter(|_| wrote);
    if record.state == RunState::Stopped {
        stop::forget(&database, &record.id).await;
    }
    record.traffic = Some(session.storage.traffic() - asked).filter(|traffic| traffic.requests() > 0);
    let requests = record.traffic.map(Requests::from).unwrap_or_default();
    record.receipt =
        Some(Receipt::new(meter.read(), requests, record.cluster.as_ref().map(|used| used.task_seconds), &session.project.settings.prices));
    // A mistake in the project leaves no trace in the warehouse; everything that ran does.
    if wrote || error.as_ref().is_none_or(|error| error.kind != Kind::Configuration) {
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

/// What is ready to be published.
struct Ready {
    base: Snapshot,
    proposal: Proposal,
    /// What is to be said of the collections that are not in it.
    withheld: Vec<Problem>,
}

/// Commits; what was withheld all the same is the error of a run that published.
async fn publish(database: &Database, ready: Ready, record: &mut RunRecord) -> Result<Option<Error>> {
    record.version = Some(database.commit(&ready.base, ready.proposal).await?);
    Ok((!ready.withheld.is_empty()).then_some(Error { kind: Kind::Withheld, problems: Problems(ready.withheld) }))
}

fn stopped(job: &Job) -> Error {
    let problem = Problem::error("PR001", "the run was stopped");
    Error::new(Kind::Stopped, problem.hint(format!("nothing was published; run again with: pacha run {}", job.name)))
}

fn next_command(job: &Job, record: &RunRecord) -> String {
    let total = record.counts.total;
    match record.state {
        RunState::Succeeded if !record.withheld.is_empty() => format!("pacha show {}", record.id),
        RunState::Succeeded if total.quarantined > 0 => format!("pacha findings {}", job.name),
        RunState::Succeeded => {
            let table = if job.target.is_some() { "mapped" } else { job.steps.first().map_or("mapped", |step| step.table.value.as_str()) };
            format!("pacha sql \"SELECT * FROM {}.{table} LIMIT 10\"", job.database)
        }
        _ if record.version.is_some() => format!("pacha catalog repair {}", job.database),
        _ => format!("pacha show {}", record.id),
    }
}

struct Work<'a> {
    job: &'a Arc<Job>,
    options: &'a RunOptions,
    writing: Writing<'a>,
    watched: &'a Watched,
}

impl Work<'_> {
    /// Everything before the commit; nothing to commit if nothing changed.
    async fn until_commit(&self, record: &mut RunRecord) -> Result<Option<Ready>> {
        let database = &self.writing.to.database;
        let before = Arc::new(database.snapshot(None).await?);
        if before.version == 0 && database.location().remote() {
            durable::probe(database.location()).await?;
        }
        let prepared = prepare(self.writing.session, self.job, &self.options.request, &before).await?;
        record.parameters.clone_from(&prepared.parameters);
        record.problems = prepared.warnings.0.iter().map(RecordedProblem::from).collect();
        let removed = self.removed(&before);
        let run_key = self.run_key(&prepared).await?;
        let nothing_ran = prepared.units.is_empty() && removed.is_empty();
        // Without steps the result is that of the collections, and theirs is what it was.
        let same = before.run_keys.get(&self.job.name) == Some(&run_key) || (before.version > 0 && self.job.steps.is_empty());
        if nothing_ran && same && !self.options.request.force {
            unchanged(record, &prepared, &before);
            return Ok(None);
        }
        record.become_state(RunState::Running);
        record.cluster = self.options.backend.cluster().map(|cluster| cluster.used());
        record.save(database).await?;
        self.watched.begin(record);
        crash_point("before-data-files");
        let ran: BTreeSet<String> =
            prepared.units.iter().flat_map(|(unit, _)| &unit.collections).map(|run| run.collection.id.clone()).collect();
        let mut made = self.execute(&prepared).await?;
        for id in &ran {
            made.counts.entry(id.clone()).or_default();
        }
        record.counts = RunCounts::of(made.counts.clone());
        record.findings = FindingGroup::merged(std::mem::take(&mut made.findings));
        record.problems.extend(without_records(&prepared, &made));
        let verdict = gate::judge(self.job, self.options, record, &made.counts, &removed, &before)?;
        self.leave_out(&prepared, &mut made, &verdict.held).await?;
        let (ran, removed) = (&ran - &verdict.held, &removed - &verdict.held);
        let carried = carry::carry(&self.writing, &before, &(&ran | &removed)).await?;
        let mut proposal = self.proposal(&prepared, &before, run_key, &verdict);
        proposal.removed_collections = removed;
        proposal::collections(&mut proposal, &prepared, &made);
        if let Err(mut error) = proposal::tables(&mut proposal, self.job, &made, &before, carried, &verdict.held) {
            if error.kind == Kind::Withheld {
                record.withheld.extend(ran);
                error.problems.extend(verdict.problems);
            }
            return Err(error);
        }
        let shared = self.unique(&mut proposal, &before, &ran).await?;
        record.findings = FindingGroup::merged(std::mem::take(&mut record.findings).into_iter().chain(shared));
        self.steps(&mut proposal, &prepared, &before).await?;
        if self.options.backend.cluster().is_some() {
            self.keep_only(&proposal).await?;
        }
        crash_point("after-data-files");
        record.remember_tables(&proposal::after(&before, &proposal).tables);
        Ok(Some(Ready { base: Snapshot::clone(&before), proposal, withheld: verdict.problems }))
    }

    async fn execute(&self, prepared: &Prepared) -> Result<Made> {
        let progress = &self.writing.session.progress;
        progress.units.store(prepared.units.len() as u64, Ordering::Relaxed);
        let attempts = prepared.units.iter().zip(1..).map(|((unit, planned), number)| async move {
            let manifest = attempt::attempt(&self.writing, &format!("unit-{number}"), unit, planned, self.job.output.vernacular).await;
            Progress::add(&progress.units_done, 1);
            manifest
        });
        let at_once = self.options.backend.cluster().map_or(CONCURRENT_UNITS, |cluster| cluster.settings.units);
        let manifests: Vec<Manifest> = futures::stream::iter(attempts).buffer_unordered(at_once).try_collect().await?;
        let mut made = Made::default();
        for manifest in manifests {
            made.take(manifest);
        }
        made.schemas = proposal::schemas(self.job, prepared, &BTreeSet::new());
        Ok(made)
    }

    /// What lies in the run's folders is what it publishes: attempts that did not count leave files, and an executor that
    /// writes somewhere else leaves none.
    async fn keep_only(&self, proposal: &Proposal) -> Result<()> {
        let below = format!("/data/{}/", self.writing.to.run_id);
        let added = proposal.tables.iter().flat_map(|(table, change)| change.add.iter().map(move |file| (table, file)));
        let publish =
            added.map(|(table, file)| (format!("{table}/data/{}", file.path), file.bytes)).filter(|(path, _)| path.contains(&below));
        let swept = self.writing.to.database.keep_only(&self.writing.to.run_id, &publish.collect()).await?;
        if swept.files > 0 {
            tracing::info!(target: "pacha", "{} of attempts that did not count removed", counted(swept.files, "file"));
        }
        Ok(())
    }

    /// What is known of the commit before its tables.
    fn proposal(&self, prepared: &Prepared, before: &Snapshot, run_key: String, verdict: &Verdict) -> Proposal {
        let partial = !self.options.request.collections.is_empty();
        let mut proposal = Proposal::new(self.writing.to.run_id.clone(), self.job.name.clone());
        proposal.run_key = match before.run_keys.get(&self.job.name) {
            // What is withheld is tried again by every run, until it passes or is accepted.
            _ if !verdict.held.is_empty() => None,
            last if partial => last.cloned(),
            _ => Some(run_key),
        };
        proposal.parameters.clone_from(&prepared.parameters);
        if !verdict.overrides.is_empty() {
            proposal.message = self.options.accept.as_ref().map(|reason| format!("accepted: {reason}"));
            proposal.overrides.clone_from(&verdict.overrides);
        }
        proposal
    }

    /// Takes the collections that are held back out of what was made, and out of the files that others share with them.
    async fn leave_out(&self, prepared: &Prepared, made: &mut Made, held: &BTreeSet<String>) -> Result<()> {
        if held.is_empty() {
            return Ok(());
        }
        let written = Arc::new(made.snapshot()?);
        for (table, carried) in carry::carry(&self.writing, &written, held).await? {
            made.exchange(&table, carried);
        }
        made.counts.retain(|id, _| !held.contains(id));
        made.schemas = proposal::schemas(self.job, prepared, held);
        Ok(())
    }

    /// Collections of the last version that no job of this database has any more.
    fn removed(&self, before: &Snapshot) -> BTreeSet<String> {
        if !self.options.request.collections.is_empty() {
            return BTreeSet::new();
        }
        let jobs = self.writing.session.project.jobs.values().filter(|job| job.database == self.job.database);
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
            for (_, meta) in super::input::list(self.writing.session, &input.location.value).await? {
                whole.add(meta.location.as_ref(), format!("{:?} {} {}", meta.e_tag, meta.size, meta.last_modified));
            }
        }
        for (database, table) in self.tables_read() {
            // Not the version of the database: a vacuum is one too, and changes nothing.
            let snapshot = Database::open(self.writing.session.warehouse.join(&database)).snapshot(None).await?;
            let changed_in = snapshot.tables.get(&table).map(|table| table.changed_in);
            let name = TableName::new(database, table);
            whole.add(&name.to_string(), changed_in.unwrap_or(0).to_le_bytes());
            if let Some(glue) = self.writing.session.glue.as_ref().filter(|_| snapshot.version == 0) {
                whole.add(&name.to_string(), glue.fingerprint(&name).await?.unwrap_or_default());
            }
        }
        Ok(whole.finish())
    }

    /// Tables of other databases that the steps name.
    fn tables_read(&self) -> BTreeSet<(String, String)> {
        let state = self.writing.session.context.state();
        let named = self.job.steps.iter().filter_map(|step| {
            let dialect = state.config_options().sql_parser.dialect;
            let statement = state.sql_to_statement(step.sql.text(), &dialect).ok()?;
            state.resolve_table_references(&statement).ok()
        });
        let tables = named.flatten().filter_map(|reference| Some((reference.schema()?.to_owned(), reference.table().to_owned())));
        tables.filter(|(name, _)| *name != self.job.database && name != crate::query::tables::COLLECTIONS).collect()
    }

    /// Values that two records share although the target says that none may: a finding each.
    async fn unique(&self, proposal: &mut Proposal, before: &Arc<Snapshot>, ran: &BTreeSet<String>) -> Result<Vec<FindingGroup>> {
        let mut groups = Vec::new();
        let Some(target) = self.job.target.as_ref().filter(|_| !ran.is_empty()) else { return Ok(groups) };
        for field in target.fields.iter().filter(|field| field.unique.is_some()) {
            let level = field.unique.unwrap_or(Level::Warn);
            let after = Arc::new(proposal::after(before, proposal));
            let files = unique::findings(&self.writing, &after, field, level, ran).await?;
            for file in &files.files {
                if let Some(change) = proposal.tables.get_mut("findings") {
                    change.add.push(proposal::data_file(file));
                }
            }
            let records: u64 = files.files.iter().map(|file| file.rows).sum();
            if records > 0 {
                groups.push(FindingGroup {
                    severity: level.as_str().into(),
                    code: "PV321".into(),
                    field: Some(field.name.clone()),
                    count: records,
                    records,
                    examples: Vec::new(),
                });
            }
        }
        Ok(groups)
    }

    /// The SQL steps, in order; each sees the ones before it.
    async fn steps(&self, proposal: &mut Proposal, prepared: &Prepared, before: &Arc<Snapshot>) -> Result<()> {
        for (done, one) in self.job.steps.iter().enumerate() {
            let after = Arc::new(proposal::after(before, proposal));
            let overlay = Overlay { database: Some((self.writing.to.database.clone(), after)), inputs: BTreeMap::new() };
            let frame = step::plan(self.writing.session, self.job, one, &overlay, &prepared.parameters).await?;
            let columns = Columns::new(&step::schema(&frame)).map_err(Error::from)?;
            let manifest = step::execute(&self.writing, &format!("step-{}", one.table.value), &one.table.value, &frame).await?;
            tracing::debug!(step = done, table = one.table.value, "step written");
            let add = manifest.files.iter().map(proposal::data_file).map(|file| DataFile { collections: Vec::new(), ..file }).collect();
            let change = TableChange { operation: Operation::Replace, schema: columns, add, remove: Vec::new() };
            proposal.tables.insert(one.table.value.clone(), change);
        }
        Ok(())
    }
}

/// The record of a run that has found everything published already.
fn unchanged(record: &mut RunRecord, prepared: &Prepared, before: &Snapshot) {
    record.unchanged = true;
    record.version = Some(before.version);
    record.remember_tables(&before.tables);
    let counts = prepared.unchanged.iter().filter_map(|id| Some((id.clone(), before.collections.get(id)?.counts)));
    record.counts = RunCounts::of(counts.collect());
}

/// Collections whose pages hold nothing.
fn without_records(prepared: &Prepared, made: &Made) -> Vec<RecordedProblem> {
    let ran = prepared.units.iter().flat_map(|(unit, _)| &unit.collections);
    let empty =
        ran.filter(|run| !run.pinned.pages.is_empty() && made.counts.get(&run.collection.id).is_none_or(|counts| counts.input == 0));
    let problem = |run: &RunCollection| {
        let (id, pages) = (&run.collection.id, counted(run.pinned.pages.len() as u64, "page"));
        let problem = Problem::warning("PX109", format!("collection {id}: no records in {pages}"));
        RecordedProblem::from(&problem.hint(format!("look at its pages: pacha inspect {id}")))
    };
    empty.map(problem).collect()
}
