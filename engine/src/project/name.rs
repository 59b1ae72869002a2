//! What may be a name. Collection ids are the registry's; names that SQL sees must be plain identifiers, because a name
//! that needs quotes in one place and not in another is a mistake waiting.

use std::sync::Arc;

use schemas::problem::{Problem, Problems, Source};

use super::code;

/// Letters, digits, `.`, `_` and `-`; not starting with `.` or `-`. For ids of collections and names of jobs.
pub(super) fn file_name(what: &str, name: &str) -> Result<(), Problem> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.chars().all(good) && !name.starts_with(['.', '-']) {
        return Ok(());
    }
    let problem = Problem::error(code::NAME, format!("{what} cannot be called \"{name}\""));
    Err(problem.hint("rename the file: letters, digits, \".\", \"_\" and \"-\", starting with a letter or digit"))
}

/// Lower-case letters, digits and `_`, starting with a letter. For everything that SQL names.
pub(super) fn identifier(what: &str, name: &str) -> Result<(), Problem> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(good) {
        return Ok(());
    }
    let problem = Problem::error(code::NAME, format!("{what} cannot be called \"{name}\""));
    let plain: String = name.to_lowercase().chars().map(|c| if good(c) { c } else { '_' }).collect();
    let plain = plain.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let rule = "lower-case letters, digits and \"_\", starting with a letter";
    Err(problem.hint(if plain.is_empty() { format!("use {rule}") } else { format!("use {rule}, such as {plain}") }))
}

/// Reports a name that cannot be one, at the top of its file.
pub(super) fn check(checked: Result<(), Problem>, source: &Arc<Source>, problems: &mut Problems) {
    if let Err(problem) = checked {
        problems.push(problem.at(source, 0..0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_for_sql_is_a_plain_identifier_and_the_hint_proposes_one() {
        assert!(identifier("a table", "by_decade").is_ok());
        let problem = identifier("a table", "By-Decade").unwrap_err();
        assert!(problem.to_string().ends_with("such as by_decade"), "{problem}");
        assert!(identifier("a table", "2").is_err());
    }

    #[test]
    fn a_collection_id_may_start_with_a_digit_but_not_with_a_dot() {
        assert!(file_name("a collection", "26001").is_ok());
        assert!(file_name("a collection", ".hidden").is_err());
        assert!(file_name("a collection", "a b").is_err());
    }
}
