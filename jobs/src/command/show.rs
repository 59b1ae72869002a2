//! `pacha show`: one run, from its record.

use std::fmt::Write;

use engine::Result;
use engine::job::record::{self, RunRecord};

use super::DONE;
use crate::cli::{Form, Global};
use crate::printer::{Printer, table, thousands};

/// Collections listed one by one; of more, those with something to say.
const LISTED: usize = 20;

pub(crate) async fn show(global: &Global, id: &str, form: Form, printer: &Printer) -> Result<u8> {
    let session = super::open(global, printer)?;
    let found = record::find(&session.warehouse, id).await?;
    match form {
        Form::Json => printer.json(&found),
        Form::Text => printer.data(&text(&found)),
    }
    Ok(DONE)
}

/// The run for people: what became of the records, where they are, what was noticed, what to type next.
pub(crate) fn text(record: &RunRecord) -> String {
    let mut out = format!("{} · run {} · {}", record.job, record.id, record.state);
    let _ = writeln!(out, " in {:.1} s", record.seconds);
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
    }
    if let Some(version) = record.version {
        let _ = writeln!(out, "\nversion {version} of {}", record.database);
    }
    let _ = write!(out, "next: {}", record.next);
    out
}

fn collections(record: &RunRecord, out: &mut String) {
    let all = &record.counts.collections;
    if all.len() < 2 {
        return;
    }
    let odd = |id: &&String| all.len() <= LISTED || all[*id].input != all[*id].mapped;
    let shown: Vec<&String> = all.keys().filter(odd).take(LISTED).collect();
    for id in &shown {
        let _ = writeln!(out, "  {id}  {}", all[*id]);
    }
    if shown.len() < all.len() {
        let _ = writeln!(out, "  … and {} more collections", thousands((all.len() - shown.len()) as u64));
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
