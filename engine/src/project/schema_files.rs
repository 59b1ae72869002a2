//! The schemas of a project: the shipped ones and its own, which cannot take the place of a shipped one.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::problem::{Problem, Problems, Source};
use schemas::source::SourceSchema;
use schemas::target::TargetSchema;

use super::files::Folders;
use super::{code, name};

/// Source schemas by name.
pub(super) fn sources(folders: Folders<'_>, problems: &mut Problems) -> BTreeMap<String, Arc<SourceSchema>> {
    let shipped = SourceSchema::shipped_names().into_iter().filter_map(|name| Some((name.to_owned(), SourceSchema::shipped(name)?)));
    let mut sources: BTreeMap<_, _> = shipped.collect();
    let own = folders.load("schemas/sources", "toml", problems, |stem, file, problems| {
        name::check(name::identifier("a source schema", stem), file, problems);
        let schema = SourceSchema::read(file, problems);
        check_schema("source", stem, &schema.name, sources.contains_key(stem), file, problems);
        Arc::new(schema)
    });
    sources.extend(own);
    sources
}

/// Target schemas by name.
pub(super) fn targets(folders: Folders<'_>, problems: &mut Problems) -> BTreeMap<String, Arc<TargetSchema>> {
    let shipped = TargetSchema::shipped_names().into_iter().filter_map(|name| Some((name.to_owned(), TargetSchema::shipped(name)?)));
    let mut targets: BTreeMap<_, _> = shipped.collect();
    let own = folders.load("schemas/targets", "toml", problems, |stem, file, problems| {
        name::check(name::file_name("a target schema", stem), file, problems);
        let schema = TargetSchema::read(file, problems);
        check_schema("schema", stem, &schema.name, targets.contains_key(stem), file, problems);
        Arc::new(schema)
    });
    targets.extend(own);
    targets
}

fn check_schema(key: &str, stem: &str, written: &str, shipped: bool, file: &Arc<Source>, problems: &mut Problems) {
    if shipped {
        let problem = Problem::error(code::SCHEMA, format!("\"{stem}\" is a shipped schema, and stays as it is"));
        problems.push(problem.at(file, 0..0).hint("rename the file, and name the new schema where it is meant"));
    } else if written != stem && !written.is_empty() {
        let problem = Problem::error(code::SCHEMA, format!("the file is called {stem}, the schema \"{written}\""));
        let start = file.text.find(written).unwrap_or(0);
        problems.push(problem.at(file, start..start + written.len()).hint(format!("write {key} = \"{stem}\", or rename the file")));
    }
}
