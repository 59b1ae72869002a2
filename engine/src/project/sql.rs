//! SQL as written in a project: a mapping file, or the text of a job's step. It is kept with its place, so that a planner's
//! complaint about the fourth line of a step points at the right line of the job's file.

use std::ops::Range;
use std::sync::Arc;

use schemas::document::Placed;
use schemas::problem::Source;

/// Some SQL and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql {
    /// The file it stands in.
    pub source: Arc<Source>,
    /// Its bytes in that file.
    pub span: Range<usize>,
}

impl Sql {
    /// A whole file.
    pub fn whole(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), span: 0..source.text.len() }
    }

    /// A string of a TOML file. One with escapes does not stand there as it reads, so it becomes a source of its own.
    pub(super) fn inline(file: &Arc<Source>, written: &Placed<String>) -> Self {
        let start = file.text.get(written.span.clone()).and_then(|text| text.find(&written.value));
        match start {
            Some(start) => {
                let start = written.span.start + start;
                Self { source: Arc::clone(file), span: start..start + written.value.len() }
            }
            None => Self::whole(&Arc::new(Source { path: format!("{} (sql)", file.path), text: written.value.clone() })),
        }
    }

    /// The SQL.
    pub fn text(&self) -> &str {
        &self.source.text[self.span.clone()]
    }

    /// The place in the file of a range of [`Self::text`].
    pub fn place(&self, range: &Range<usize>) -> Range<usize> {
        self.span.start + range.start..self.span.start + range.end
    }
}

/// A mapping: `mappings/<name>.sql`, one SELECT from vernacular to a target schema, planned later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingFile {
    /// The file's stem; the name under which another mapping can select from it.
    pub name: String,
    /// The file.
    pub source: Arc<Source>,
}

impl MappingFile {
    /// Its text with its place.
    pub fn sql(&self) -> Sql {
        Sql::whole(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_inside_a_toml_string_knows_its_place_in_the_file() {
        let text = "sql = '''\nSELECT 1'''\n".to_owned();
        let file = Arc::new(Source { path: "jobs/a.toml".into(), text });
        let sql = Sql::inline(&file, &Placed { value: "SELECT 1".into(), span: 6..22 });
        assert_eq!(sql.text(), "SELECT 1");
        assert_eq!(&file.text[sql.place(&(7..8))], "1");
    }

    #[test]
    fn sql_with_escapes_is_a_source_of_its_own() {
        let file = Arc::new(Source { path: "jobs/a.toml".into(), text: "sql = \"SELECT \\\"a\\\"\"".into() });
        let sql = Sql::inline(&file, &Placed { value: "SELECT \"a\"".into(), span: 6..20 });
        assert_eq!((sql.text(), sql.source.path.as_str()), ("SELECT \"a\"", "jobs/a.toml (sql)"));
    }
}
