//! `pacha show`: one run, from its record.

use std::fmt::Write;

use engine::Result;
use engine::cost::{Receipt, Requests};
use engine::job::record::{self, RunRecord};
use engine::table::counted;

use super::DONE;
use crate::cli::{Form, Global};
use crate::printer::{Printer, table, thousands};

/// Collections listed one by one; of more, those with something to say.
const LISTED: usize = 20;

pub(crate) async fn show(global: &Global, id: &str, form: Form, printer: &Printer) -> Result<u8> {
    let session = super::open_sound(global, printer)?;
    let found = record::find(&session.warehouse, id).await?;
    match form {
        Form::Json => printer.json(&found),
        Form::Text => printer.data(&text(&found, true)),
    }
    Ok(DONE)
}

/// What the run cost, and would have cost elsewhere.
fn receipt(receipt: &Receipt) -> String {
    let requests = receipt.requests;
    let mut rows = Vec::new();
    if requests != Requests::default() {
        let size = format!("{} PUT, COPY, POST, LIST; {} GET, HEAD", thousands(requests.writes), thousands(requests.reads));
        rows.push(["S3 requests".to_owned(), usd(receipt.requests_cost), size]);
    }
    if let (Some(seconds), Some(cost)) = (receipt.executor_seconds, receipt.executor_cost) {
        rows.push(["executors, on Fargate".to_owned(), usd(cost), format!("{seconds:.1} vcore seconds")]);
    }
    for other in &receipt.alternatives {
        rows.push([format!("on {}", other.service), other.cost.map_or("–".to_owned(), usd), other.size.clone()]);
    }
    let used = &receipt.used;
    let cpu = used.cpu_seconds.map_or("processor not measured".to_owned(), |cpu| format!("{cpu:.1} s of processor"));
    let memory = used.peak_memory.map_or("memory not measured".to_owned(), |bytes| format!("{} MB of memory", thousands(bytes >> 20)));
    format!(
        "{}took {:.1} s, {cpu}, {memory}; elsewhere: {}; prices of {}, {}",
        table(["cost", "USD", "for"], &rows),
        used.seconds,
        receipt.assumed,
        receipt.prices_of,
        receipt.region
    )
}

/// The run for people: what became of the records, where they are, what was noticed, what it cost, what to type next.
pub(crate) fn text(record: &RunRecord, priced: bool) -> String {
    let mut out = format!("{} · run {} · {}", record.job, record.id, record.state);
    let detail = record.state_detail.as_ref().map(|detail| format!(" · {detail}")).unwrap_or_default();
    let _ = writeln!(out, " in {:.1} s{detail}", record.seconds);
    if let Some(so_far) = record.progress.filter(|_| !record.state.ended()) {
        let tasks = if so_far.tasks > 0 { format!(", {} done", counted(so_far.tasks, "task")) } else { String::new() };
        let (records, pages) = (counted(so_far.records, "record"), counted(so_far.pages, "page"));
        let units = format!("{} of {}", so_far.units_done, counted(so_far.units, "unit"));
        let _ = writeln!(out, "so far: {units}{tasks}, {records}, {pages}, {:.1} MB written", so_far.bytes_written as f64 / 1e6);
    }
    // What a gate says stands with the gates, below the findings that it is about.
    let of_gate = |code: &str| record.gates.iter().any(|gate| gate.code == code);
    for problem in record.problems.iter().filter(|problem| !of_gate(&problem.code)) {
        let _ = writeln!(out, "{} {}", problem.code, problem.message);
    }
    collections(record, &mut out);
    if record.counts.total.input > 0 {
        let _ = writeln!(out, "{}", record.counts.total);
    }
    let rows: Vec<[String; 4]> = record
        .tables
        .iter()
        .map(|(name, table)| [name.clone(), thousands(table.rows), thousands(table.files), format!("{:.1}", table.bytes as f64 / 1e6)])
        .collect();
    if !rows.is_empty() {
        let _ = write!(out, "\n{}", table(["table", "rows", "files", "MB"], &rows));
    }
    let rows: Vec<[String; 5]> = record
        .findings
        .iter()
        .map(|group| {
            let example = group.examples.first();
            let text = example.map_or(String::new(), |one| format!("{}: {}", one.record_id.as_deref().unwrap_or(&one.page), one.message));
            [group.severity.clone(), group.code.clone(), group.field.clone().unwrap_or_default(), thousands(group.count), cut(&text, 90)]
        })
        .collect();
    if !rows.is_empty() {
        let _ = write!(out, "\n{}", table(["finding", "code", "field", "count", "for example"], &rows));
    }
    for gate in &record.gates {
        let of = gate.collection.as_ref().map(|id| format!(" {id}:")).unwrap_or_default();
        let _ = writeln!(out, "gate {}{of} {}", gate.code, gate.message);
        let said = record.problems.iter().find(|problem| problem.code == gate.code && problem.message.contains(&gate.message));
        if let Some(hint) = said.and_then(|problem| problem.hint.as_ref()) {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    if let Some(used) = &record.cluster {
        let again =
            if used.again.is_empty() { String::new() } else { format!("; {} submitted again", counted(used.again.len() as u64, "unit")) };
        let (executors, tasks) = (counted(used.executors.len() as u64, "executor"), counted(used.tasks, "task"));
        let _ = writeln!(out, "\n{}: {tasks} on {executors}, {:.1} vcore seconds{again}", used.scheduler, used.task_seconds);
        for reason in &used.again {
            let _ = writeln!(out, "  again: {reason}");
        }
    }
    if let Some(traffic) = &record.traffic {
        let _ = writeln!(out, "\n{traffic}");
    }
    if let Some(receipt) = record.receipt.as_ref().filter(|_| priced) {
        let _ = writeln!(out, "\n{}", self::receipt(receipt));
    }
    if let Some(version) = record.version {
        let _ = writeln!(out, "\nversion {version} of {}{}", record.database, without(record));
    } else if !record.withheld.is_empty() {
        let _ = writeln!(out, "\nnothing was published");
    }
    let _ = write!(out, "next: {}", record.next);
    out
}

/// Small runs cost fractions of a cent.
fn usd(cost: f64) -> String {
    format!("{cost:.6}")
}

fn collections(record: &RunRecord, out: &mut String) {
    let all = &record.counts.collections;
    if all.len() < 2 {
        return;
    }
    let odd = |id: &&String| all.len() <= LISTED || all[*id].input != all[*id].mapped || record.withheld.contains(*id);
    let shown: Vec<&String> = all.keys().filter(odd).take(LISTED).collect();
    for id in &shown {
        let withheld = if record.withheld.contains(*id) { " · withheld" } else { "" };
        let _ = writeln!(out, "  {id}  {}{withheld}", all[*id]);
    }
    if shown.len() < all.len() {
        let _ = writeln!(out, "  … and {} more collections", thousands((all.len() - shown.len()) as u64));
    }
}

/// What a version lacks of what its run has read.
fn without(record: &RunRecord) -> String {
    let listed: Vec<&str> = record.withheld.iter().take(LISTED).map(String::as_str).collect();
    match record.withheld.len() {
        0 => String::new(),
        all if all > listed.len() => format!("; withheld: {} and {} more", listed.join(", "), all - listed.len()),
        _ => format!("; withheld: {}", listed.join(", ")),
    }
}

/// At most `length` characters.
pub(crate) fn cut(text: &str, length: usize) -> String {
    let line = text.replace('\n', " ");
    match line.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
