//! Whether a table can be registered at all: names and types, checked before a record is read.
//!
//! Glue folds names to lower case, and its readers accept letters, digits and `_` only. A name that would be changed
//! silently, or a column that would hide another, is a mistake of the job, found by `pacha check`.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Fields, Schema};
use schemas::problem::{Problem, Problems};
use schemas::source::envelope_fields;

use super::hive::hive_type;
use crate::project::GlueSettings;
use crate::sink::schema::{FINDINGS, MAPPED, QUARANTINE};

/// Characters of a name in Glue.
const LENGTH: usize = 255;

/// The database in Glue of a database of ours.
pub fn database(settings: &GlueSettings, database: &str) -> String {
    format!("{}{database}", settings.prefix)
}

/// Whether a table is to be registered.
pub fn wanted(settings: &GlueSettings, table: &str) -> bool {
    settings.tables.is_empty() || settings.tables.iter().any(|name| name == table)
}

/// A warning if the setting names none of the tables that a database has: a spelling mistake would register nothing.
pub fn none_wanted<'a>(settings: &GlueSettings, of: &str, tables: impl Iterator<Item = &'a str> + Clone) -> Option<Problem> {
    if tables.clone().any(|table| wanted(settings, table)) {
        return None;
    }
    let given = settings.tables.first()?;
    let problem = Problem::warning("PC166", format!("no table of {of} will be in Glue: [glue] tables names none of them"));
    Some(problem.hint(schemas::suggest::hint(given, tables)))
}

/// What keeps a table with these columns out of Glue.
pub fn check(settings: &GlueSettings, of: &str, table: &str, schema: &Schema) -> Problems {
    let mut problems = Problems::default();
    if !wanted(settings, table) {
        return problems;
    }
    let named = database(settings, of);
    if !good(&named) {
        let problem = Problem::error("PC161", format!("Glue cannot have a database \"{named}\""));
        problems.push(problem.hint("use lower-case letters, digits and \"_\" in [glue] prefix and in the database's name"));
    }
    let check = Check { place: format!("{of}.{table}"), table };
    check.members(schema.fields(), "", &mut problems);
    problems
}

struct Check<'a> {
    place: String,
    table: &'a str,
}

impl Check<'_> {
    fn members(&self, fields: &Fields, within: &str, problems: &mut Problems) {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for field in fields {
            let (name, lower) = (field.name(), field.name().to_lowercase());
            if !good(&lower) {
                let message = format!("column {within}{name} of {} cannot be named so in Glue", self.place);
                problems.push(Problem::error("PC161", message).hint(self.hint("letters, digits and \"_\" only")));
            }
            if let Some(other) = seen.insert(lower, name) {
                let message =
                    format!("columns {within}{other} and {within}{name} of {} are one name in Glue, which knows no capitals", self.place);
                problems.push(Problem::error("PC162", message).hint(self.hint("one name for each")));
            }
            self.kind(field.data_type(), &format!("{within}{name}"), problems);
        }
    }

    /// The innermost type that Hive does not have, and the names inside.
    fn kind(&self, data_type: &DataType, path: &str, problems: &mut Problems) {
        match data_type {
            DataType::Struct(members) => self.members(members, &format!("{path}."), problems),
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                self.kind(item.data_type(), path, problems);
            }
            _ => {
                if let Err(cast) = hive_type(data_type) {
                    let message = format!("column {path} of {} is {data_type}, which readers of Glue do not have", self.place);
                    let own = envelope_fields().iter().any(|field| field.name() == path) && self.table_of_records();
                    let older = "an older pacha wrote it: run its job again with --force".to_owned();
                    problems.push(Problem::error("PC163", message).hint(if own { older } else { format!("write {cast} in the SELECT") }));
                }
            }
        }
    }

    /// Whether the engine writes the table, with columns of its own that no SELECT makes.
    fn table_of_records(&self) -> bool {
        [MAPPED, QUARANTINE, FINDINGS].contains(&self.table) || self.table.starts_with("vernacular")
    }

    fn hint(&self, rule: &str) -> String {
        if self.table.starts_with("vernacular") {
            return format!("{rule}: list the other tables in [glue] tables, or set vernacular = false in [output]");
        }
        format!("{rule}: rename it with AS in the SELECT, or leave the table out of [glue] tables")
    }
}

fn good(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !name.is_empty() && name.len() <= LENGTH && name.chars().all(good)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    fn of(fields: Vec<Field>) -> Vec<String> {
        check(&GlueSettings::default(), "calisphere", "mapped", &Schema::new(fields)).0.iter().map(ToString::to_string).collect()
    }

    fn text(name: &str) -> Field {
        Field::new(name, DataType::Utf8, true)
    }

    #[test]
    fn capitals_are_folded_and_what_glue_cannot_name_is_refused_at_any_depth() {
        assert!(of(vec![text("title"), text("Subject")]).is_empty());
        let inner = DataType::Struct(vec![text("@id")].into());
        let found = of(vec![text("dc:title"), Field::new("doc", schemas::source::list_of(inner), true)]);
        assert_eq!(
            found[0],
            "PC161 column dc:title of calisphere.mapped cannot be named so in Glue; hint: letters, digits and \"_\" only: rename it with AS in the SELECT, or leave the table out of [glue] tables"
        );
        assert!(found[1].starts_with("PC161 column doc.@id of calisphere.mapped"), "{found:?}");
    }

    #[test]
    fn names_that_differ_by_case_only_would_hide_each_other() {
        let found = of(vec![text("title"), text("Title")]);
        assert!(found[0].starts_with("PC162 columns title and Title of calisphere.mapped are one name in Glue"), "{found:?}");
    }

    #[test]
    fn a_type_that_hive_lacks_names_its_column_and_the_cast() {
        let found = of(vec![Field::new("n", DataType::UInt64, true)]);
        assert_eq!(
            found,
            [
                "PC163 column n of calisphere.mapped is UInt64, which readers of Glue do not have; hint: write CAST(… AS DECIMAL(20, 0)) in the SELECT"
            ]
        );
    }

    #[test]
    fn a_column_of_the_engine_that_an_older_version_wrote_is_written_anew() {
        let found = of(vec![Field::new("page_seq", DataType::UInt32, false)]);
        assert!(found[0].ends_with("hint: an older pacha wrote it: run its job again with --force"), "{found:?}");
    }

    #[test]
    fn a_setting_that_names_no_table_is_probably_misspelt() {
        let settings = GlueSettings { tables: vec!["maped".into()], ..GlueSettings::default() };
        let warning = none_wanted(&settings, "calisphere", ["findings", "mapped"].into_iter()).unwrap().to_string();
        assert_eq!(warning, "PC166 no table of calisphere will be in Glue: [glue] tables names none of them; hint: did you mean mapped?");
        assert!(none_wanted(&settings, "calisphere", ["maped"].into_iter()).is_none());
        assert!(none_wanted(&GlueSettings::default(), "calisphere", ["mapped"].into_iter()).is_none());
    }

    #[test]
    fn a_table_that_is_not_registered_may_be_called_anything() {
        let settings = GlueSettings { tables: vec!["findings".into()], prefix: "A-".into(), ..GlueSettings::default() };
        assert!(check(&settings, "calisphere", "mapped", &Schema::new(vec![text("dc:title")])).0.is_empty());
        let found = check(&settings, "calisphere", "findings", &Schema::new(vec![text("code")])).to_string();
        assert!(found.starts_with("PC161 Glue cannot have a database \"A-calisphere\""), "{found}");
    }
}
