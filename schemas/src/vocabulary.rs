//! The value lists that a target schema or a function may name: `schemas/vocabularies/*.csv`.
//!
//! The first column of a list is the value; the other columns belong to whoever uses the list.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use include_dir::{Dir, include_dir};

use crate::document;
use crate::problem::Problem;
use crate::suggest;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/vocabularies");
static READ: LazyLock<Mutex<HashMap<String, Arc<HashSet<String>>>>> = LazyLock::new(Mutex::default);

/// The CSV text of a shipped list.
pub fn text(name: &str) -> Option<&'static str> {
    SHIPPED.get_file(format!("{name}.csv"))?.contents_utf8()
}

/// The values of a shipped list; read once per process.
///
/// # Errors
/// No list of that name.
pub fn shipped(name: &str) -> Result<Arc<HashSet<String>>, Problem> {
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(values) = read.get(name) {
        return Ok(Arc::clone(values));
    }
    let Some(text) = text(name) else {
        let known: Vec<&str> = SHIPPED.files().filter_map(|file| file.path().file_stem()?.to_str()).collect();
        let problem = Problem::error(document::CODE, format!("no vocabulary \"{name}\""));
        return Err(problem.hint(suggest::hint(name, known.iter().copied())));
    };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let values: HashSet<String> = reader.records().filter_map(|row| row.ok()?.get(0).map(str::to_owned)).collect();
    let values = Arc::new(values);
    read.insert(name.to_owned(), Arc::clone(&values));
    Ok(values)
}
