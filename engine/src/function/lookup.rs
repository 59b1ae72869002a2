//! The project's value tables: `lookups/<name>.csv`, for `decode()`.
//!
//! The first row names the columns, the first column is the key. `decode(x, 'rights')` reads the second column,
//! `decode(x, 'rights.uri')` the one called `uri`. All tables are read once, when the project is loaded.

use std::collections::BTreeMap;
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord, Trim, WriterBuilder};
use datafusion::common::{DataFusionError, HashMap, Result as DataFusionResult};
use schemas::problem::{Problem, Problems, Source};
use schemas::suggest;

use crate::project::code;

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
            Some(name) => lookup
                .columns
                .iter()
                .position(|column| column == name)
                .ok_or_else(|| lookup.unknown(address.split('.').next().unwrap_or(address), name))?,
        };
        Ok(LookupColumn { lookup: Arc::clone(lookup), column })
    }

    /// The tables as [`Self::read`] takes them, for a plan that travels.
    ///
    /// # Errors
    /// Never in practice: what was read can be written.
    pub fn texts(&self) -> DataFusionResult<Vec<(&str, String)>> {
        let texts = self.tables.iter().map(|(name, lookup)| Ok((name.as_str(), lookup.text()?)));
        texts.collect::<Result<_, csv::Error>>().map_err(|error| DataFusionError::External(Box::new(error)))
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
                    problems.push(Problem::error(code::LOOKUP, format!("cannot read the CSV: {error}")).at(source, 0..0));
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
                let problem = Problem::error(code::LOOKUP, message).at(source, span);
                problems.push(problem.hint("put double quotes around a value that has a comma"));
                continue;
            }
            let key = row.get(0).unwrap_or_default();
            if lookup.keys.contains_key(key) {
                let problem = Problem::warning(code::LOOKUP, format!("the key \"{key}\" is there already")).at(source, span);
                problems.push(problem.hint("remove one of the two; the first is used"));
                continue;
            }
            lookup.keys.insert(key.to_owned(), lookup.rows.len());
            lookup.rows.push(row);
        }
        if lookup.columns.len() < 2 {
            let problem = Problem::error(code::LOOKUP, "a lookup needs a key and at least one value column").at(source, 0..0);
            problems.push(problem.hint("begin the file with a header row such as key,value"));
            return None;
        }
        Some(lookup)
    }

    fn text(&self) -> Result<String, csv::Error> {
        let mut writer = WriterBuilder::new().flexible(true).from_writer(Vec::new());
        writer.write_record(&self.columns)?;
        for row in &self.rows {
            writer.write_record(row)?;
        }
        let bytes = writer.into_inner().map_err(|error| error.into_error())?;
        Ok(String::from_utf8(bytes).expect("text in, text out"))
    }

    fn unknown(&self, table: &str, name: &str) -> Problem {
        let problem = Problem::error(UNKNOWN_CODE, format!("no column \"{name}\" in the lookup \"{table}\""));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Lookups, Vec<String>) {
        let mut problems = Problems::default();
        let lookups = Lookups::read([("rights".to_owned(), text.to_owned())], &mut problems);
        (lookups, problems.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_table_is_addressed_by_name_and_column() {
        let (lookups, problems) = read("\u{feff}code,label,uri\r\n\r\nCR, copyrighted ,http://a.example\r\n\"a, b\",c\r\n");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(lookups.column("rights").unwrap().get("CR"), Some("copyrighted"));
        assert_eq!(lookups.column("rights.uri").unwrap().get(" CR "), Some("http://a.example"));
        assert_eq!(lookups.column("rights").unwrap().get("a, b"), Some("c"));
        assert_eq!(lookups.column("rights.uri").unwrap().get("a, b"), Some(""));
        assert_eq!(lookups.column("rights").unwrap().get("XX"), None);
    }

    #[test]
    fn an_unknown_table_or_column_is_told_with_the_closest_name() {
        let (lookups, _) = read("code,label,uri\nCR,copyrighted,\n");
        let message = |address: &str| lookups.column(address).unwrap_err().to_string();
        assert_eq!(message("rigths"), "PM203 no lookup \"rigths\" in lookups/; hint: did you mean rights?");
        assert_eq!(message("rights.url"), "PM203 no column \"url\" in the lookup \"rights\"; hint: did you mean uri?");
        let none = Lookups::default().column("x").unwrap_err().to_string();
        assert_eq!(none, "PM203 no lookup \"x\" in lookups/; hint: write lookups/x.csv with a header row; its first column is the key");
    }

    #[test]
    fn a_repeated_key_and_a_row_too_long_are_told_with_their_line() {
        let (lookups, problems) = read("code,label\nCR,one\nCR,two\nPD,a,b\nPD,public domain\n");
        assert_eq!(
            problems,
            [
                "PC113 lookups/rights.csv:3:1: the key \"CR\" is there already; hint: remove one of the two; the first is used",
                "PC113 lookups/rights.csv:4:1: 3 cells in a row of 2 columns; hint: put double quotes around a value that has a comma",
            ]
        );
        let column = lookups.column("rights").unwrap();
        assert_eq!((column.get("CR"), column.get("PD")), (Some("one"), Some("public domain")));
    }

    #[test]
    fn a_file_without_a_value_column_is_no_lookup() {
        let (lookups, problems) = read("code\nCR\n");
        assert_eq!(problems.len(), 1);
        assert!(lookups.column("rights").is_err());
    }
}
