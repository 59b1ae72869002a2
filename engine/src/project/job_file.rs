//! Reads `jobs/<name>.toml` and checks it against the rest of the project: what it names must be there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use schemas::base;
use schemas::document::{self, Placed, Table};
use schemas::problem::{Problem, Problems, Source};
use schemas::source::envelope_fields;
use schemas::suggest;
use schemas::target::TargetSchema;

use super::collection::{check_mapping, missing};
use super::{Collection, Input, Job, MappingFile, Param, Settings, Sql, Step, code, files, name};

/// Tables that a mapping job writes itself; `vernacular…` belongs to the engine too.
const RESERVED: [&str; 3] = ["mapped", "quarantine", "findings"];

/// What a job may name. A collection that could not be read is there without a value, so that it is not also unknown.
pub(super) struct Known<'a> {
    pub(super) root: &'a Path,
    pub(super) settings: &'a Settings,
    pub(super) collections: &'a BTreeMap<String, Option<Arc<Collection>>>,
    pub(super) mappings: &'a BTreeMap<String, Arc<MappingFile>>,
    pub(super) targets: &'a BTreeMap<String, Arc<TargetSchema>>,
}

/// A step before its file is read.
struct WrittenStep {
    table: Placed<String>,
    sql: Option<Placed<String>>,
    file: Option<Placed<String>>,
    doc: String,
    target: Option<Arc<TargetSchema>>,
}

/// Reads a job; mistakes are added to `problems`.
pub(super) fn read(name: &str, file: &Arc<Source>, known: &Known<'_>, problems: &mut Problems) -> Job {
    if let Err(problem) = name::file_name("a job", name) {
        problems.push(problem.at(file, 0..0));
    }
    let (mut job, steps) = document::read(file, problems, |top| from_table(name, top, file, known));
    job.steps = steps.into_iter().filter_map(|step| read_sql(step, file, known.root, problems)).collect();
    job
}

fn from_table(name: &str, top: &mut Table<'_, '_>, file: &Arc<Source>, known: &Known<'_>) -> (Job, Vec<WrittenStep>) {
    let text = |found: Option<Placed<String>>| found.map(|text| text.value);
    let mapping = top.string("mapping");
    if let Some(mapping) = &mapping {
        check_mapping(top, mapping, known.mappings);
    }
    let written_target = top.string("target");
    let target = written_target.as_ref().and_then(|written| find_target(top, written, known));
    let maps = written_target.is_some() || mapping.is_some();
    let mut output = known.settings.output.clone();
    top.table("output", |table| output.apply(table));
    let mut gates = known.settings.gates.clone();
    top.table("gates", |table| gates.apply(table));
    let job = Job {
        title: text(top.string("title")).unwrap_or_else(|| name.to_owned()),
        doc: text(top.string("doc")).unwrap_or_default(),
        database: read_database(top, name),
        collections: read_collections(top, known, maps),
        schedule: read_schedule(top),
        params: read_params(top),
        aliases: read_aliases(top),
        inputs: read_inputs(top, known.root),
        steps: Vec::new(),
        name: name.to_owned(),
        file: Arc::clone(file),
        mapping,
        target,
        output,
        gates,
    };
    let steps = top.tables("step", |table| read_step(table, known));
    check_tables(top, &steps, &job.inputs);
    check_complete(top, &job, written_target.is_some(), steps.is_empty());
    (job, steps)
}

fn find_target(table: &mut Table<'_, '_>, written: &Placed<String>, known: &Known<'_>) -> Option<Arc<TargetSchema>> {
    let found = known.targets.get(&written.value);
    if found.is_none() {
        let problem = Problem::error(code::TARGET, format!("no target \"{}\"", written.value));
        table.report(problem.hint(suggest::hint(&written.value, known.targets.keys().map(String::as_str))), written.span.clone());
    }
    found.map(Arc::clone)
}

fn read_database(top: &mut Table<'_, '_>, job: &str) -> String {
    let written = top.string("database");
    let span = written.as_ref().map_or_else(|| top.span(), |database| database.span.clone());
    let database = written.map_or_else(|| job.to_owned(), |database| database.value);
    if let Err(problem) = name::identifier("a database", &database) {
        let hint = problem.hint.clone().unwrap_or_default();
        top.report(problem.hint(format!("{hint}; it is the job's name unless it says database = \"…\"")), span);
    }
    database
}

/// The collections named by ids and patterns; each must match something, unless nobody wrote it.
fn read_collections(top: &mut Table<'_, '_>, known: &Known<'_>, maps: bool) -> Vec<Arc<Collection>> {
    let all = known.collections;
    if maps && all.is_empty() {
        let problem = Problem::error(code::COLLECTION, "the job maps collections, but collections/ has none");
        top.report(problem.hint("write collections/<id>.toml with pages and source"), top.span());
    }
    let enabled = |found: Option<&Option<Arc<Collection>>>| {
        found
            .and_then(Option::as_ref)
            .filter(|collection| collection.enabled)
            .map(|collection| (collection.id.clone(), Arc::clone(collection)))
    };
    let mut taken = BTreeMap::new();
    if !top.has("collections") {
        taken.extend(all.values().filter_map(|collection| enabled(Some(collection))));
    }
    for written in top.strings("collections") {
        if all.contains_key(&written.value) {
            taken.extend(enabled(all.get(&written.value)));
            continue;
        }
        if !written.value.contains(['*', '?', '[']) {
            let problem =
                Problem::error(code::COLLECTION, format!("no collection \"{0}\": there is no collections/{0}.toml", written.value));
            top.report(problem.hint(suggest::hint(&written.value, all.keys().map(String::as_str))), written.span);
            continue;
        }
        match glob::Pattern::new(&written.value) {
            Ok(pattern) => {
                let mut matching = all.iter().filter(|(id, _)| pattern.matches(id)).peekable();
                if matching.peek().is_none() && !all.is_empty() {
                    let problem = Problem::error(code::COLLECTION, format!("no collection matches \"{}\"", written.value));
                    top.report(problem.hint(suggest::hint(&written.value, all.keys().map(String::as_str))), written.span);
                    continue;
                }
                taken.extend(matching.filter_map(|(_, collection)| enabled(Some(collection))));
            }
            Err(error) => {
                let problem = Problem::error(code::RANGE, format!("\"{}\" is no pattern: {}", written.value, error.msg));
                top.report(problem.hint("write a pattern such as 26*"), written.span);
            }
        }
    }
    taken.into_values().collect()
}

fn read_schedule(top: &mut Table<'_, '_>) -> Option<Placed<String>> {
    let schedule = top.string("schedule")?;
    let fields = schedule.value.split_whitespace().count();
    let known = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || matches!(c, '*' | '/' | ',' | '-' | '?' | '#');
    if fields != 5 || !schedule.value.chars().all(known) {
        let problem = Problem::error(code::RANGE, format!("schedule \"{}\" is not five cron fields", schedule.value));
        top.report(
            problem.hint("write minute, hour, day, month, weekday: \"30 2 * * *\" is every night at 02:30 UTC"),
            schedule.span.clone(),
        );
    }
    Some(schedule)
}

/// `[params]`: name = default, and `required = [names]` for those without one.
fn read_params(top: &mut Table<'_, '_>) -> Vec<Param> {
    let mut params: Vec<Param> = Vec::new();
    for (key, value) in top.entries("params") {
        let found: Vec<(String, Option<String>)> = if key.value == "required" {
            let Some(names) = value.strings().or_else(|| value.string().map(|name| vec![name])) else {
                let problem = Problem::error(document::CODE, "params.required wants a list of names");
                top.report(problem.hint("write required = [\"since\"]"), value.span());
                continue;
            };
            names.into_iter().map(|name| (name, None)).collect()
        } else if let Some(default) = value.scalar() {
            vec![(key.value, Some(default))]
        } else {
            let problem = Problem::error(document::CODE, format!("params.{} wants a string, its default", key.value));
            top.report(problem.hint(format!("write {} = \"…\"", key.value)), value.span());
            continue;
        };
        for (param, default) in found {
            let span = key.span.clone();
            if let Err(problem) = name::identifier("a parameter", &param) {
                top.report(problem, span.clone());
            }
            if params.iter().any(|known| known.name == param) {
                let problem = Problem::error(code::INCOMPLETE, format!("parameter {param} is required and has a default"));
                top.report(problem.hint("take it out of required, or take its default out"), span.clone());
            }
            params.push(Param { name: param, default, span });
        }
    }
    params
}

fn read_aliases(top: &mut Table<'_, '_>) -> Vec<(String, Placed<String>)> {
    let mut aliases = Vec::new();
    for (key, value) in top.entries("alias") {
        if let Err(problem) = name::identifier("an alias", &key.value) {
            top.report(problem, key.span.clone());
        } else if key.value == "collection" || envelope_fields().iter().any(|field| field.name() == &key.value) {
            let problem = Problem::error(code::NAME, format!("an alias cannot be called \"{}\": that column is there already", key.value));
            top.report(problem.hint("choose another name"), key.span.clone());
        }
        match value.string() {
            Some(path) if !path.trim().is_empty() => aliases.push((key.value, Placed { value: path, span: value.span() })),
            _ => {
                let problem = Problem::error(document::CODE, format!("alias.{} wants a path in a string", key.value));
                top.report(problem.hint(format!("write {} = \"doc.properties\"", key.value)), value.span());
            }
        }
    }
    aliases
}

fn read_inputs(top: &mut Table<'_, '_>, root: &Path) -> Vec<Input> {
    let mut inputs = Vec::new();
    for (key, value) in top.entries("inputs") {
        if let Err(problem) = name::identifier("an input", &key.value) {
            top.report(problem, key.span.clone());
        }
        let Some(location) = value.string() else {
            let problem = Problem::error(document::CODE, format!("inputs.{} wants a path or URL in a string", key.value));
            top.report(problem.hint(format!("write {} = \"data/{}.parquet\"", key.value, key.value)), value.span());
            continue;
        };
        if let Some(problem) = missing(root, &location) {
            top.report(problem, value.span());
        }
        inputs.push(Input { name: key.value, location: Placed { value: location, span: value.span() } });
    }
    inputs
}

fn read_step(table: &mut Table<'_, '_>, known: &Known<'_>) -> WrittenStep {
    let name = table.required_string("table");
    if !name.value.is_empty()
        && let Err(problem) = name::identifier("a table", &name.value)
    {
        table.report(problem, name.span.clone());
    }
    let (sql, file) = (table.string("sql"), table.string("file"));
    let fault = match (&sql, &file) {
        (None, None) => Some(("has no query", "add sql = '''…''' or file = \"steps/….sql\"")),
        (Some(_), Some(_)) => Some(("has two queries, sql and file", "take one of them out")),
        (Some(sql), None) if sql.value.trim().is_empty() => Some(("has an empty query", "write a SELECT")),
        _ => None,
    };
    if let Some((fault, hint)) = fault {
        table.report(Problem::error(code::INCOMPLETE, format!("step {} {fault}", name.value)).hint(hint), table.span());
    }
    let doc = table.string("doc").map_or_else(String::new, |doc| doc.value);
    let target = table.string("target").and_then(|written| find_target(table, &written, known));
    WrittenStep { table: name, sql, file, doc, target }
}

fn read_sql(step: WrittenStep, job: &Arc<Source>, root: &Path, problems: &mut Problems) -> Option<Step> {
    let sql = match (&step.sql, &step.file) {
        (Some(sql), _) => Sql::inline(job, sql),
        (None, Some(path)) if root.join(&path.value).is_file() => Sql::whole(&files::read(root, &path.value, problems)?),
        (None, Some(path)) => {
            let problem = Problem::error(code::UNREADABLE, format!("no file \"{}\"", path.value)).at(job, path.span.clone());
            problems.push(problem.hint(format!("looked for {}; paths start at the project's folder", root.join(&path.value).display())));
            return None;
        }
        (None, None) => return None,
    };
    Some(Step { table: step.table, sql, doc: step.doc, target: step.target })
}

fn check_tables(top: &mut Table<'_, '_>, steps: &[WrittenStep], inputs: &[Input]) {
    for (index, step) in steps.iter().enumerate() {
        let table = step.table.value.as_str();
        let fault = if RESERVED.contains(&table) || table == "vernacular" || table.starts_with("vernacular_") {
            format!("a step cannot write {table}: the engine writes that table")
        } else if steps[..index].iter().any(|earlier| earlier.table.value == table && !table.is_empty()) {
            format!("two steps write the table {table}")
        } else if inputs.iter().any(|input| input.name == table) {
            format!("{table} is an input of this job already")
        } else {
            continue;
        };
        top.report(Problem::error(code::TABLE, fault).hint("choose another table name"), step.table.span.clone());
    }
}

/// A job maps (target, and a mapping or base view for every collection) or has steps.
fn check_complete(top: &mut Table<'_, '_>, job: &Job, targeted: bool, stepless: bool) {
    if let Some(mapping) = &job.mapping {
        if !targeted {
            let problem = Problem::error(code::INCOMPLETE, "target is missing: nothing says what the mapped table must hold");
            top.report(problem.hint("add target = \"ucldc\""), mapping.span.clone());
        }
        return;
    }
    if !targeted && stepless {
        let problem = Problem::error(code::INCOMPLETE, "the job does nothing: it has neither a target nor a step");
        top.report(problem.hint("add mapping = \"…\" and target = \"…\", or a [[step]]"), top.span());
    }
    let Some(target) = &job.target else { return };
    let lacks =
        |collection: &&Arc<Collection>| collection.mapping.is_none() && base::shipped(&target.name, &collection.source.name).is_none();
    let bare: Vec<&str> = job.collections.iter().filter(lacks).map(|collection| collection.id.as_str()).collect();
    if !bare.is_empty() {
        let shown = bare[..bare.len().min(5)].join(", ");
        let more = if bare.len() > 5 { format!(" and {} more", bare.len() - 5) } else { String::new() };
        let message = format!("no mapping for {shown}{more}, and no base view from their source to {}", target.name);
        let problem = Problem::error(code::MAPPING, message);
        top.report(problem.hint("add mapping = \"…\" to the job, or to each of these collections"), top.span());
    }
}
