//! The project's value tables: `lookups/<name>.csv`, for `decode()`.
//!
//! The first row names the columns, the first column is the key. `decode(x, 'rights')` reads the second column,
//! `decode(x, 'rights.uri')` the one called `uri`. All tables are read once, when the project is loaded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord, Trim};
use schemas::problem::{Problem, Problems, Source};
use schemas::suggest;

/// Code of a mistake in a lookup file.
pub const FILE_CODE: &str = "PC120";

/// Code of a lookup or column that does not exist.
pub const UNKNOWN_CODE: &str = "PM203";

/// All value tables of a project, by name. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct Lookups {
    tables: BTreeMap<String, Arc<Lookup>>,
}

/// One value table.
#[derive(Debug)]
struct Lookup {
    /// Names of all columns, the key's first.
    columns: Vec<String>,
    /// Row of a key.
    keys: HashMap<String, usize>,
    rows: Vec<StringRecord>,
}

/// One column of a value table: key → value.
#[derive(Debug, Clone)]
pub struct LookupColumn {
    lookup: Arc<Lookup>,
    column: usize,
}

impl Lookups {
    /// Reads tables from their names and CSV texts; what is wrong with a file goes to `problems`.
    pub fn read(entries: impl IntoIterator<Item = (String, String)>, problems: &mut Problems) -> Self {
        let mut tables = BTreeMap::new();
        for (name, text) in entries {
            let source = Arc::new(Source { path: format!("lookups/{name}.csv"), text });
            if let Some(lookup) = Lookup::read(&source, problems) {
                tables.insert(name, Arc::new(lookup));
            }
        }
        Self { tables }
    }

    /// The column that `address` names: `rights`, the second of its table, or `rights.uri`.
    ///
    /// # Errors
    /// There is no such table or column; the hint has the closest name.
    pub fn column(&self, address: &str) -> Result<LookupColumn, Problem> {
        let (lookup, wanted) = match self.tables.get(address) {
            Some(lookup) => (lookup, None),
            None => {
                let (name, column) = address.split_once('.').unwrap_or((address, ""));
                let lookup = self.tables.get(name).ok_or_else(|| self.unknown(name))?;
                (lookup, Some(column))
            }
        };
        let column = match wanted {
            None => 1,
            Some(name) => lookup.columns.iter().position(|column| column == name).ok_or_else(|| lookup.unknown(address, name))?,
        };
        Ok(LookupColumn { lookup: Arc::clone(lookup), column })
    }

    fn unknown(&self, name: &str) -> Problem {
        let problem = Problem::error(UNKNOWN_CODE, format!("no lookup \"{name}\" in lookups/"));
        if self.tables.is_empty() {
            return problem.hint(format!("write lookups/{name}.csv with a header row; its first column is the key"));
        }
        problem.hint(suggest::hint(name, self.tables.keys().map(String::as_str)))
    }
}

impl Lookup {
    fn read(source: &Arc<Source>, problems: &mut Problems) -> Option<Self> {
        let text = source.text.trim_start_matches('\u{feff}');
        let start = source.text.len() - text.len();
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(text.as_bytes());
        let mut lookup = Self { columns: Vec::new(), keys: HashMap::new(), rows: Vec::new() };
        for record in reader.records() {
            let row = match record {
                Ok(row) => row,
                Err(error) => {
                    problems.push(Problem::error(FILE_CODE, format!("cannot read the CSV: {error}")).at(source, 0..0));
                    return None;
                }
            };
            let begin = start + row.position().map_or(0, |position| usize::try_from(position.byte()).unwrap_or(0));
            let span = begin..begin + source.text[begin..].lines().next().unwrap_or("").len();
            if lookup.columns.is_empty() {
                lookup.columns = row.iter().map(str::to_owned).collect();
                continue;
            }
            if row.len() > lookup.columns.len() {
                let message = format!("{} cells in a row of {} columns", row.len(), lookup.columns.len());
                let problem = Problem::error(FILE_CODE, message).at(source, span);
                problems.push(problem.hint("put double quotes around a value that has a comma"));
                continue;
            }
            let key = row.get(0).unwrap_or_default();
            if lookup.keys.contains_key(key) {
                let problem = Problem::warning(FILE_CODE, format!("the key \"{key}\" is there already")).at(source, span);
                problems.push(problem.hint("remove one of the two; the first is used"));
                continue;
            }
            lookup.keys.insert(key.to_owned(), lookup.rows.len());
            lookup.rows.push(row);
        }
        if lookup.columns.len() < 2 {
            let problem = Problem::error(FILE_CODE, "a lookup needs a key and at least one value column").at(source, 0..0);
            problems.push(problem.hint("begin the file with a header row such as key,value"));
            return None;
        }
        Some(lookup)
    }

    fn unknown(&self, address: &str, name: &str) -> Problem {
        let problem = Problem::error(UNKNOWN_CODE, format!("no column \"{name}\" in the lookup \"{address}\""));
        problem.hint(suggest::hint(name, self.columns.iter().skip(1).map(String::as_str)))
    }
}

impl LookupColumn {
    /// The value of a key; blank where the cell is.
    pub fn get(&self, key: &str) -> Option<&str> {
        let row = self.lookup.keys.get(key).or_else(|| self.lookup.keys.get(key.trim()))?;
        Some(self.lookup.rows[*row].get(self.column).unwrap_or_default())
    }
}
