//! Reads the files of one folder of a project, on all cores when there are many: a registry has thousands of collections,
//! and every command loads them all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use schemas::problem::{Problem, Problems, Source};

use super::code;

/// Below this many files a thread costs more than it saves.
const PER_THREAD: usize = 128;

/// How the folders of a project are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folders<'a> {
    /// The project.
    pub(super) root: &'a Path,
    /// Whether nothing comes of a file with a mistake, as if it were not there.
    pub(super) sound: bool,
}

impl Folders<'_> {
    /// Reads `root/folder/*.extension` and parses each with `parse(stem, file, problems)`. A missing folder is an empty one.
    pub(super) fn load<T: Send>(
        &self,
        folder: &str,
        extension: &str,
        problems: &mut Problems,
        parse: impl Fn(&str, &Arc<Source>, &mut Problems) -> T + Sync,
    ) -> BTreeMap<String, T> {
        let Self { root, sound } = *self;
        let stems = list(root, folder, extension, problems);
        let read = |stems: &[String]| {
            let mut problems = Problems::default();
            let mut parsed = Vec::with_capacity(stems.len());
            for stem in stems {
                if let Some(source) = read(root, &format!("{folder}/{stem}.{extension}"), &mut problems) {
                    let mut found = Problems::default();
                    let value = parse(stem, &source, &mut found);
                    if !(sound && found.fatal()) {
                        parsed.push((stem.clone(), value));
                    }
                    problems.extend(found);
                }
            }
            (parsed, problems)
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (stems.len() / PER_THREAD).clamp(1, cores);
        let parts = std::thread::scope(|scope| {
            let mut chunks = stems.chunks(stems.len().div_ceil(threads).max(1));
            let first = chunks.next();
            let others: Vec<_> = chunks.map(|chunk| scope.spawn(|| read(chunk))).collect();
            let mut parts: Vec<_> = first.map(read).into_iter().collect();
            parts.extend(others.into_iter().map(|thread| thread.join().expect("reading a file does not panic")));
            parts
        });
        let mut all = BTreeMap::new();
        for (parsed, found) in parts {
            all.extend(parsed);
            problems.extend(found);
        }
        all
    }
}

/// Reads one file; `path` is relative to the project.
pub(super) fn read(root: &Path, path: &str, problems: &mut Problems) -> Option<Arc<Source>> {
    let fault = match std::fs::read(root.join(path)).map(String::from_utf8) {
        Ok(Ok(text)) => {
            let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
            return Some(Arc::new(Source { path: path.to_owned(), text }));
        }
        Ok(Err(error)) => {
            let good = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
            Problem::error(code::UNREADABLE, format!("{path} is not UTF-8: line {line} has a byte that is no text"))
                .hint("save the file as UTF-8")
        }
        Err(error) => Problem::error(code::UNREADABLE, format!("cannot read {path}: {error}")).hint("check the file and its permissions"),
    };
    problems.push(fault);
    None
}

/// Stems of the files to read, sorted. Other files are mentioned, except notes, locks and hidden ones.
fn list(root: &Path, folder: &str, extension: &str, problems: &mut Problems) -> Vec<String> {
    let entries = match std::fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problems
                .push(Problem::error(code::UNREADABLE, format!("cannot list {folder}/: {error}")).hint("check the folder's permissions"));
            return Vec::new();
        }
    };
    let mut stems = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let stem = name.strip_suffix(extension).and_then(|rest| rest.strip_suffix('.'));
        match stem {
            _ if name.starts_with('.') || name.contains(".lock.") => {}
            Some(stem) if !stem.is_empty() => stems.push(stem.to_owned()),
            _ if name.ends_with(".md") || entry.file_type().is_ok_and(|kind| kind.is_dir()) => {}
            _ => {
                let problem = Problem::warning(code::IGNORED, format!("{folder}/{name} is not read: only *.{extension} files are"));
                problems.push(problem.hint(format!("rename it to end in .{extension}, or move it out of {folder}/")));
            }
        }
    }
    stems.sort_unstable();
    stems
}
