//! An error that leaves the process: typed errors do not cross a cluster, text does.
//!
//! Ballista wraps what a task says into the debug text of its own errors, several deep. So an executor sends the problems of
//! an error as one word between marks that no wrapping changes, after the text for whoever reads its log; the client finds
//! the word and has the error as it would have been in one process.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use arrow::error::ArrowError;
use ballista_core::error::BallistaError;
use datafusion::error::DataFusionError;
use schemas::problem::{Problem, Problems, Severity};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::sql::mistake;

const OPEN: &str = "<pacha:";
const CLOSE: char = '>';

#[derive(Serialize, Deserialize)]
struct Sent {
    severity: bool,
    code: String,
    message: String,
    hint: Option<String>,
}

/// The error of a task, in a form that can be told again at the other end. `executor` says where it happened. What is
/// Ballista's own, such as rows that cannot be fetched from another executor, stays as it is: its scheduler reads it.
pub fn sent(error: DataFusionError, executor: &str) -> DataFusionError {
    let Some(mut said) = said(&error) else { return error };
    if let Some(problem) = said.problems.0.first_mut() {
        let _ = write!(problem.message, " (on executor {executor})");
    }
    let problems: Vec<Sent> = said
        .problems
        .0
        .iter()
        .map(|problem| Sent {
            severity: problem.severity == Severity::Error,
            code: problem.code.into(),
            message: match &problem.place {
                Some(place) => format!("{place}: {}", problem.message),
                None => problem.message.clone(),
            },
            hint: problem.hint.clone(),
        })
        .collect();
    let bytes = serde_json::to_vec(&problems).unwrap_or_default();
    let word = bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut word, byte| {
        let _ = write!(word, "{byte:02x}");
        word
    });
    DataFusionError::Execution(format!("{said} {OPEN}{word}{CLOSE}"))
}

/// The error of a task in our words; `None` if it is Ballista's own. Its writers wrap what the plan said.
fn said(error: &DataFusionError) -> Option<Error> {
    if mistake::ours(error).is_some() {
        return Some(mistake::running(error));
    }
    let mut next: Option<&dyn std::error::Error> = Some(error.find_root());
    while let Some(current) = next {
        match current.downcast_ref::<BallistaError>() {
            Some(BallistaError::DataFusionError(inner)) => return said(inner),
            Some(BallistaError::ArrowError(inner)) => return Some(mistake::running(&arrow(inner))),
            Some(_) => return None,
            None => next = current.source(),
        }
    }
    Some(mistake::running(error))
}

/// An error of Arrow, which cannot be cloned, as far as it is read afterwards.
fn arrow(error: &ArrowError) -> DataFusionError {
    match error {
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone().into(),
            None => DataFusionError::Execution(inner.to_string()),
        },
        other => DataFusionError::Execution(other.to_string()),
    }
}

/// The error that a text brings, if a task of ours sent one.
pub fn received(text: &str) -> Option<Error> {
    let word = text.split_once(OPEN)?.1.split_once(CLOSE)?.0;
    let bytes: Option<Vec<u8>> = (0..word.len()).step_by(2).map(|at| u8::from_str_radix(word.get(at..at + 2)?, 16).ok()).collect();
    let problems: Vec<Sent> = serde_json::from_slice(&bytes?).ok()?;
    let problems = problems.into_iter().map(|sent| Problem {
        severity: if sent.severity { Severity::Error } else { Severity::Warning },
        code: code(sent.code),
        message: sent.message,
        place: None,
        hint: sent.hint,
    });
    Some(Error { kind: Kind::Failed, problems: Problems(problems.collect()) })
}

/// Codes are constants of the program; one that came from elsewhere is kept for good. There are few.
fn code(text: String) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(code) = known.get(text.as_str()) {
        return code;
    }
    let code: &'static str = Box::leak(text.into_boxed_str());
    known.insert(code);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_same_after_any_wrapping() {
        let problem = Problem::error("PS504", "the disk is full: \"w/a b.parquet\" <x>").hint("free some space");
        let error = Error::failed(problem);
        let wrapped = sent(DataFusionError::Context("x".into(), Box::new(error.into())), "10.0.0.7:50051");
        let text = format!("Job j failed: {:?}", DataFusionError::Shared(std::sync::Arc::new(wrapped)));
        let told = received(&format!("{text:?}")).unwrap().to_string();
        for part in ["PS504", "the disk is full: \"w/a b.parquet\" <x> (on executor 10.0.0.7:50051)", "free some space"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(text.contains("PS504") && text.contains("free some space"), "and whoever reads the executor's log sees it too");
    }

    #[test]
    fn what_is_of_ballista_stays_as_it_is() {
        let fetch = BallistaError::FetchFailed("e1".into(), 1, 2, "gone".into()).into_datafusion();
        let kept = sent(DataFusionError::Context("x".into(), Box::new(fetch)), "e2");
        assert!(received(&kept.to_string()).is_none() && kept.to_string().contains("gone"), "{kept}");
    }

    #[test]
    fn what_ballista_has_wrapped_is_said_as_in_one_process() {
        let cast = || ArrowError::CastError("Cannot cast string 'Map 1' to value of Int32 type".into());
        let ours = Error::failed(Problem::error("PS504", "the disk is full").hint("free some space"));
        for (wrapped, code) in [
            (BallistaError::ArrowError(Box::new(cast())), "PM220"),
            (BallistaError::DataFusionError(Box::new(DataFusionError::ArrowError(Box::new(cast()), None))), "PM220"),
            (BallistaError::DataFusionError(Box::new(ours.clone().into())), "PS504"),
            (BallistaError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(ours)))), "PS504"),
        ] {
            let shared = DataFusionError::Shared(std::sync::Arc::new(wrapped.into_datafusion()));
            let told = received(&sent(shared, "e1").to_string()).map(|error| error.to_string()).unwrap_or_default();
            assert!(told.contains(code) && told.contains("on executor e1"), "{told}");
        }
    }

    #[test]
    fn a_text_of_others_brings_nothing() {
        for text in ["", "executor lost", "<pacha:", "<pacha:zz>", "<pacha:00>", "<pacha:é>"] {
            assert!(received(text).is_none(), "{text}");
        }
    }
}
