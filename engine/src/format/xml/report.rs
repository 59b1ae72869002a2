//! What is wrong with a page as a whole, in words: what, where with line and column, and what to do. Which page it is stands
//! beside every message already.

use quick_xml::errors::{Error, IllFormedError, SyntaxError};

use super::plan::{Notice, Plan};
use super::source::Source;
use super::walker::Seen;
use schemas::problem::printable;

use crate::format::PageProblem;

/// Where in a page something is: `line 88 col 14`.
fn place(source: &impl Source, at: u64) -> String {
    let (line, column) = source.line_column(at);
    format!("line {line} col {column}")
}

fn kept(records: u64) -> String {
    match records {
        0 => "no record before it could be read".to_owned(),
        1 => "the 1 record before it was read".to_owned(),
        many => format!("the {many} records before it were read"),
    }
}

/// The page is not well-formed from here on.
pub(super) fn broken(source: &impl Source, error: &Error, records: u64) -> PageProblem {
    let what = match error {
        Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => format!("<{expected}> closed by </{found}>"),
        Error::IllFormed(IllFormedError::UnmatchedEndTag(name)) => format!("</{name}> closes nothing"),
        Error::Syntax(syntax) => match syntax {
            SyntaxError::UnclosedTag => "the page ends inside a tag".to_owned(),
            SyntaxError::UnclosedComment => "a comment does not end".to_owned(),
            SyntaxError::UnclosedCData => "a CDATA section does not end".to_owned(),
            other => other.to_string(),
        },
        other => other.to_string(),
    };
    let at = place(source, source.error_position());
    let kept = kept(records);
    let message = format!("not well-formed XML: {at}: {what}; {kept}, the rest of the page is missing; mend or fetch the page again");
    PageProblem { code: "PX101", message }
}

/// The page ends before its root element does.
pub(super) fn cut_off(source: &impl Source, root: &str, records: u64) -> PageProblem {
    let at = place(source, source.position());
    let kept = kept(records);
    let message =
        format!("not well-formed XML: {at}: the page ends before </{root}>; {kept}, the rest is missing; mend or fetch the page again");
    PageProblem { code: "PX101", message }
}

/// Something follows the end of the document.
pub(super) fn trailing(source: &impl Source, at: u64, text: &str, records: u64) -> PageProblem {
    let (at, text, kept) = (place(source, at), excerpt(text), kept(records));
    let message = format!("{at}: something follows the end of the document: \"{text}\"; {kept} and kept, what follows is ignored");
    PageProblem { code: "PX114", message }
}

/// The page begins with text.
pub(super) fn not_xml(source: &impl Source, at: u64, text: &str) -> PageProblem {
    let (at, text) = (place(source, at), excerpt(text));
    let message = format!("not well-formed XML: {at}: the page begins with \"{text}\", not with an element; mend or fetch the page again");
    PageProblem { code: "PX101", message }
}

/// HTML where XML should be.
pub(super) fn html(text: &str) -> PageProblem {
    let says = match excerpt(text) {
        text if text.is_empty() => String::new(),
        text => format!(", which says: \"{text}\""),
    };
    let message =
        format!("the page is HTML, not XML{says}; the server answered with a web page: fetch it again, or see what its address shows");
    PageProblem { code: "PX111", message }
}

/// A page of no bytes.
pub(super) fn empty() -> PageProblem {
    PageProblem { code: "PX115", message: "the page is empty (0 bytes); fetch it again".to_owned() }
}

/// The packing of a page is broken.
pub(super) fn unpacking(fault: &str, records: u64) -> PageProblem {
    let read = match records {
        0 => "no record could be read".to_owned(),
        1 => "1 record was read".to_owned(),
        many => format!("{many} records were read"),
    };
    PageProblem {
        code: "PX105",
        message: format!("the page is gzip that breaks off or is damaged ({fault}); {read}, the rest is missing; fetch the page again"),
    }
}

/// A record, or a single token, that is too long to hold.
pub(super) fn too_long(source: &impl Source, error: &std::io::Error, records: u64) -> PageProblem {
    let (at, kept) = (place(source, source.position()), kept(records));
    PageProblem { code: "PX116", message: format!("{at}: {error}; {kept}, the rest of the page is missing; split the page") }
}

/// The declared encoding is not known.
pub(super) fn encoding(label: &str) -> PageProblem {
    let message = format!("line 1: the encoding \"{label}\" is not known; the page was read as UTF-8: check that its accents are right");
    PageProblem { code: "PX106", message }
}

/// Why a page that is well-formed has no records.
pub(super) fn no_records(seen: &Seen, plan: &Plan) -> Vec<PageProblem> {
    let notices: Vec<PageProblem> = seen.notices.iter().filter_map(|(notice, code, text)| said(*notice, code, text)).collect();
    if !notices.is_empty() {
        return notices;
    }
    if seen.container {
        return vec![PageProblem { code: "PX112", message: "the page has no records; the server had none to give".to_owned() }];
    }
    let diagnostic = seen.notices.iter().find(|(notice, ..)| *notice == Notice::Diagnostic);
    let says = diagnostic.map_or_else(String::new, |(_, _, text)| format!("; it says: \"{}\"", excerpt(text)));
    let root = match &seen.root {
        Some((name, Some(ns))) => format!("its root element is <{name}> ({ns})"),
        Some((name, None)) => format!("its root element is <{name}>, in no namespace"),
        None => "it has no elements".to_owned(),
    };
    let tried = plan.record_paths.join(", ");
    let message =
        format!("the page has no records: {root}, and nothing is at {tried}{says}; name the source schema that fits, or remove the page");
    vec![PageProblem { code: "PX113", message }]
}

fn said(notice: Notice, code: &str, text: &str) -> Option<PageProblem> {
    let quoted = if text.is_empty() { String::new() } else { format!(" \"{}\"", excerpt(text)) };
    match (notice, code) {
        (Notice::Diagnostic, _) => None,
        (Notice::OaiError, "noRecordsMatch") => Some(PageProblem {
            code: "PX112",
            message: format!("the page has no records: the server had none to give (noRecordsMatch{quoted})"),
        }),
        (Notice::OaiError, code) => {
            let code = if code.is_empty() { "without a code" } else { code };
            let todo = match code {
                "badResumptionToken" => "records are missing from here on: resume the harvest from the page before",
                "idDoesNotExist" => "remove the page, or ask for another identifier",
                "cannotDisseminateFormat" => "ask the server for a format it has (ListMetadataFormats)",
                _ => "mend the request and fetch the page again",
            };
            Some(PageProblem { code: "PX110", message: format!("the page is an OAI error, not records: {code}{quoted}; {todo}") })
        }
    }
}

/// At most eighty characters on one line, none of them a control character: a page may be anything.
pub(super) fn excerpt(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = printable(&words);
    match words.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.into_owned(),
    }
}
