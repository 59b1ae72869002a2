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
use super::unit::RunCollection;
use super::{carry, key, register, step, unique};
use crate::backend::Backend;
use crate::catalog::TableName;
use crate::cost::{Meter, Receipt, Requests};
use crate::error::{Error, Kind, Result};
use crate::project::{Hold, Job};
use crate::query::tables::Overlay;
use crate::session::Session;
use crate::sink::{FindingGroup, Manifest};
use crate::storage::durable;
use crate::table::{Columns, Counts, DataFile, Database, Operation, Proposal, Snapshot, TableChange, counted, crash_point};

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
    let meter = Meter::begin();
    let database = Database::open(session.warehouse.join(&job.database));
    let mut record = RunRecord::start(&job.name, &database, options.request.parameters.clone());
    let destination = Destination { database: database.clone(), run_id: record.id.clone(), output: job.output.clone() };
    let asked = session.storage.traffic();
    bury(&database).await;
    let work = Work { session, job, options, to: &destination };
    let outcome = tokio::select! {
        outcome = work.until_commit(&mut record) => outcome,
        () = stop => Err(Error::new(Kind::Stopped, Problem::error("PR001", "the run was stopped").hint(format!("nothing was published; run again with: pacha run {}", job.name)))),
    };
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
        clean_up(&database, &record.id, error).await;
    }
    record.next = next_command(job, &record);
    record.traffic = Some(session.storage.traffic() - asked).filter(|traffic| traffic.requests() > 0);
    let requests = record.traffic.map(Requests::from).unwrap_or_default();
    record.receipt = Some(Receipt::new(meter.read(), requests, &session.project.settings.prices));
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

/// Removes what a run wrote and did not publish. Tasks of a run that was stopped may still be closing a file, so it looks
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
    session: &'a Session,
    job: &'a Arc<Job>,
    options: &'a RunOptions,
    to: &'a Destination,
}

impl Work<'_> {
    /// Everything before the commit; nothing to commit if nothing changed.
    async fn until_commit(&self, record: &mut RunRecord) -> Result<Option<Ready>> {
        let database = &self.to.database;
        let before = Arc::new(database.snapshot(None).await?);
        if before.version == 0 && database.location().remote() {
            durable::probe(database.location()).await?;
        }
        let prepared = prepare(self.session, self.job, &self.options.request, &before).await?;
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
        record.save(database).await?;
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
        let verdict = self.gates(record, &made.counts, &removed, &before)?;
        self.leave_out(&prepared, &mut made, &verdict.held).await?;
        let (ran, removed) = (&ran - &verdict.held, &removed - &verdict.held);
        let carried = carry::carry(self.session, self.options.backend, self.to, &before, &(&ran | &removed)).await?;
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
        crash_point("after-data-files");
        record.remember_tables(&proposal::after(&before, &proposal).tables);
        Ok(Some(Ready { base: Snapshot::clone(&before), proposal, withheld: verdict.problems }))
    }

    async fn execute(&self, prepared: &Prepared) -> Result<Made> {
        let (session, backend, vernacular) = (self.session, self.options.backend, self.job.output.vernacular);
        let attempts = prepared.units.iter().map(|(unit, planned)| attempt::attempt(session, backend, self.to, unit, planned, vernacular));
        let manifests: Vec<Manifest> = futures::stream::iter(attempts).buffer_unordered(CONCURRENT_UNITS).try_collect().await?;
        let mut made = Made::default();
        for manifest in manifests {
            made.take(manifest);
        }
        made.schemas = proposal::schemas(self.job, prepared, &BTreeSet::new());
        Ok(made)
    }

    /// What is known of the commit before its tables.
    fn proposal(&self, prepared: &Prepared, before: &Snapshot, run_key: String, verdict: &Verdict) -> Proposal {
        let partial = !self.options.request.collections.is_empty();
        let mut proposal = Proposal::new(self.to.run_id.clone(), self.job.name.clone());
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
        for (table, carried) in carry::carry(self.session, self.options.backend, self.to, &written, held).await? {
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
        for (database, table) in self.tables_read() {
            // Not the version of the database: a vacuum is one too, and changes nothing.
            let snapshot = Database::open(self.session.warehouse.join(&database)).snapshot(None).await?;
            let changed_in = snapshot.tables.get(&table).map(|table| table.changed_in);
            let name = TableName::new(database, table);
            whole.add(&name.to_string(), changed_in.unwrap_or(0).to_le_bytes());
            if let Some(glue) = self.session.glue.as_ref().filter(|_| snapshot.version == 0) {
                whole.add(&name.to_string(), glue.fingerprint(&name).await?.unwrap_or_default());
            }
        }
        Ok(whole.finish())
    }

    /// Tables of other databases that the steps name.
    fn tables_read(&self) -> BTreeSet<(String, String)> {
        let state = self.session.context.state();
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
            let files = unique::findings(self.session, self.options.backend, self.to, &after, field, level, ran).await?;
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

    /// What the gates let through. Those of a collection hold it back, or the whole run if the job says so; the gate for
    /// the whole looks at what would be published then.
    fn gates(
        &self,
        record: &mut RunRecord,
        counts: &BTreeMap<String, Counts>,
        removed: &BTreeSet<String>,
        before: &Snapshot,
    ) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        if self.job.target.is_none() {
            return Ok(verdict);
        }
        let mut counts = counts.clone();
        // A collection whose file is gone falls to nothing: the gate for a fall is the gate for that too.
        counts.extend(removed.iter().map(|id| (id.clone(), Counts::default())));
        let mut fired = gate::look(&self.job.gates, &counts, &before.collections);
        if self.options.accept.is_none() {
            verdict.held = fired.iter().filter(|gate| gate.halts).filter_map(|gate| gate.collection.clone()).collect();
        }
        if self.options.request.collections.is_empty() {
            let stay = before.collections.iter().filter(|(id, _)| !counts.contains_key(*id) || verdict.held.contains(*id));
            let come = counts.iter().filter(|(id, _)| !verdict.held.contains(*id));
            let mapped = stay.map(|(_, state)| state.counts.mapped).chain(come.map(|(_, counts)| counts.mapped)).sum();
            fired.extend(gate::look_at_all(&self.job.gates, mapped));
        }
        record.gates.clone_from(&fired);
        let mut halting = fired.iter().filter(|gate| gate.halts).peekable();
        if halting.peek().is_none() {
            return Ok(verdict);
        }
        if self.options.accept.is_some() {
            let of = |gate: &GateResult| gate.collection.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
            verdict.overrides = halting.map(|gate| format!("{} {}{}", gate.code, of(gate), gate.message)).collect();
            return Ok(verdict);
        }
        let all = self.job.gates.hold == Hold::Run || verdict.held.len() == counts.len() || halting.any(|gate| gate.collection.is_none());
        verdict.problems = gate::withheld(&fired, self.job, &record.id, all, removed);
        record.withheld = if all { counts.into_keys().collect() } else { verdict.held.clone() };
        if all { Err(Error { kind: Kind::Withheld, problems: Problems(verdict.problems) }) } else { Ok(verdict) }
    }
}

/// What the gates let through.
#[derive(Default)]
struct Verdict {
    /// Collections that are held back.
    held: BTreeSet<String>,
    /// What is to be said of them.
    problems: Vec<Problem>,
    /// Gates that the user has overridden.
    overrides: Vec<String>,
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
