//! `lookups/*.csv`: the value tables of `decode()`. The first column is the value, the second what it stands for.

use std::sync::Arc;

use schemas::problem::{Problem, Problems, Source};

use super::code;

/// Checks that the text is a table of at least two columns; each mistake has its line.
pub(super) fn check(source: &Arc<Source>, problems: &mut Problems) {
    let mut reader = csv::ReaderBuilder::new().from_reader(source.text.as_bytes());
    let columns = reader.headers().map_or(0, csv::StringRecord::len);
    if columns < 2 {
        let problem = Problem::error(code::LOOKUP, format!("a lookup has two columns or more, this one has {columns}"));
        problems.push(problem.at(source, line(source, 0)).hint("start with a header line such as value,label"));
        return;
    }
    for row in reader.records() {
        let Err(error) = row else { continue };
        let at = error.position().map_or(0, |position| usize::try_from(position.byte()).unwrap_or(0));
        let message = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("values of this row: {len}, of the header: {expected_len}")
            }
            _ => format!("no CSV row: {error}"),
        };
        problems.push(
            Problem::error(code::LOOKUP, message)
                .at(source, line(source, at))
                .hint("put a value that holds a comma in double quotes, and close every quote"),
        );
    }
}

/// The line that starts at (or after line breaks from) a byte.
fn line(source: &Source, start: usize) -> std::ops::Range<usize> {
    let text = source.text.get(start..).unwrap_or_default();
    let start = start + (text.len() - text.trim_start_matches(['\r', '\n']).len());
    let length = source.text.get(start..).and_then(|rest| rest.lines().next()).map_or(0, str::len);
    start..start + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ragged_row_of_a_lookup_is_reported_with_its_line() {
        let text = "value,label\nphoto,image\nmap\nfilm,\"moving image, sound\"\na,b,c\n".to_owned();
        let source = Arc::new(Source { path: "lookups/types.csv".into(), text });
        let mut problems = Problems::default();
        check(&source, &mut problems);
        let text = problems.to_string();
        assert_eq!(problems.0.len(), 2, "{text}");
        assert!(text.contains("PC113 lookups/types.csv:3:1: values of this row: 1, of the header: 2"), "{text}");
        assert!(text.contains("lookups/types.csv:5:1: values of this row: 3"), "{text}");
    }

    #[test]
    fn a_lookup_of_one_column_decodes_nothing() {
        let source = Arc::new(Source { path: "lookups/types.csv".into(), text: "value\nphoto\n".into() });
        let mut problems = Problems::default();
        check(&source, &mut problems);
        assert!(problems.to_string().contains("two columns or more, this one has 1"), "{problems}");
    }
}
