//! Base views: the records of a source schema in the columns of a target, cleaned (`schemas/bases/<target>/<source>.sql`).
//!
//! A mapping that reads `FROM oai_dc` inherits all of them and overrides a few with `* REPLACE`. JSON has none: its
//! documents are of no common form.

use std::sync::Arc;

use include_dir::{Dir, include_dir};

use crate::problem::Source;

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/bases");

/// Source schemas with the columns of another one, whose base view they share.
const SAME_COLUMNS: [(&str, &str); 2] = [("oai_qdc", "oai_dc"), ("oai_mods", "mods")];

/// The base view of a source schema in the columns of a target, if there is one.
pub fn shipped(target: &str, source: &str) -> Option<Arc<Source>> {
    let view = SAME_COLUMNS.iter().find(|(name, _)| *name == source).map_or(source, |(_, view)| view);
    let path = format!("{target}/{view}.sql");
    let text = SHIPPED.get_file(&path)?.contents_utf8()?.to_owned();
    Some(Arc::new(Source { path: format!("schemas/bases/{path}"), text }))
}

/// Source schemas that have a base view for a target, sorted.
pub fn sources(target: &str) -> Vec<&'static str> {
    let files = SHIPPED.get_dir(target).into_iter().flat_map(Dir::files);
    let mut names: Vec<&str> = files.filter_map(|file| file.path().file_stem()?.to_str()).collect();
    for (name, view) in SAME_COLUMNS {
        if names.contains(&view) {
            names.push(name);
        }
    }
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::TargetSchema;

    #[test]
    fn a_base_view_gives_the_columns_of_its_target_in_their_order() {
        for target in TargetSchema::shipped_names() {
            let fields: Vec<String> = TargetSchema::shipped(target).unwrap().fields.iter().map(|field| field.name.clone()).collect();
            for source in sources(target) {
                let view = shipped(target, source).unwrap();
                // One column a line, and each line of a column ends with its name.
                let columns: Vec<String> = view
                    .text
                    .lines()
                    .skip_while(|line| *line != "SELECT")
                    .filter_map(|line| Some(line.strip_suffix(',')?.rsplit(' ').next()?.to_owned()))
                    .collect();
                assert_eq!(columns, fields, "{}", view.path);
            }
        }
    }

    #[test]
    fn qualified_dublin_core_shares_the_view_of_plain_dublin_core() {
        assert_eq!(sources("ucldc"), ["marcxml", "mods", "oai_dc", "oai_mods", "oai_qdc"]);
        assert_eq!(shipped("ucldc", "oai_qdc"), shipped("ucldc", "oai_dc"));
        assert_eq!(shipped("ucldc", "json"), None);
    }
}
