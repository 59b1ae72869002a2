//! What an answer of Glue means to the user: what failed, where, what to do.
//!
//! The SDK's own texts name its inner workings ("dispatch failure", "unhandled error"); what an operator needs is the
//! permission that is missing, the host that does not answer, or the table that is in the way.

use std::error::Error as StdError;

use aws_sdk_glue::error::{ProvideErrorMetadata, SdkError};
use schemas::problem::Problem;

use crate::aws::answer::{IDENTITY, LOG_IN, Silence, THROTTLED, plain, silence};
use crate::error::Error;

/// An answer that is none of the wanted ones.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    /// The service's code, if the service said anything.
    pub(super) code: Option<String>,
    /// What the user reads.
    pub(super) error: Error,
}

impl Refused {
    /// Whether the service refused with this code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

/// What happened to a request: `action` is Glue's word, `place` the database or table, `endpoint` the server.
pub(super) fn refused<E>(error: &SdkError<E>, action: &str, place: &str, endpoint: &str) -> Refused
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let SdkError::ServiceError(answer) = error else {
        return Refused { code: None, error: Error::failed(no_answer(error, place, endpoint)) };
    };
    let code = answer.err().code().unwrap_or_default();
    let text = answer.err().message().unwrap_or_default();
    let problem = said(code, text, action, place).unwrap_or_else(|| {
        let status = answer.raw().status().as_u16();
        if status >= 500 || code.is_empty() {
            let what = if code.is_empty() { "no reason given" } else { code };
            return Problem::error("PS565", format!("Glue failed at glue:{action} of {place}, again and again: {what} (status {status})"))
                .hint("this is Glue's own fault: try again in some minutes with `pacha catalog repair`");
        }
        Problem::error("PS567", format!("Glue refuses glue:{action} of {place}: {} ({code})", plain(text)))
            .hint("`pacha catalog diff` shows what is registered and what should be")
    });
    Refused { code: Some(code.to_owned()), error: Error::failed(problem) }
}

/// What a refusal means that everybody meets some day.
fn said(code: &str, text: &str, action: &str, place: &str) -> Option<Problem> {
    if code == "AccessDeniedException" && text.contains("Lake Formation") {
        let message = format!("Lake Formation denies glue:{action} of {place}: {}", plain(text));
        return Some(
            Problem::error("PS563", message)
                .hint("an administrator of the data lake must grant it to the identity that `pacha doctor` shows"),
        );
    }
    if code == "AccessDeniedException" || code == "AccessDenied" {
        let on = text.find("arn:aws:glue").map(|start| text[start..].split([' ', '"']).next().unwrap_or_default());
        let on = on.map_or(String::new(), |arn| format!(" on {arn}"));
        let message = format!("access denied: this identity may not do glue:{action}{on} ({place})");
        return Some(
            Problem::error("PS562", message).hint("allow it in the identity's policy: `pacha doctor --policy` prints the whole policy"),
        );
    }
    if THROTTLED.contains(&code) {
        let message = format!("Glue answers too slowly for what is asked of it: glue:{action} of {place} was throttled to the end");
        return Some(Problem::error("PS564", message).hint("run again later with `pacha catalog repair`, or ask for a higher limit"));
    }
    if IDENTITY.contains(&code) {
        let message = format!("Glue does not accept the credentials at glue:{action} of {place}: {} ({code})", plain(text));
        return Some(Problem::error("PS576", message).hint(LOG_IN));
    }
    None
}

/// No answer came, or none that can be read.
fn no_answer<E: StdError + 'static>(error: &SdkError<E>, place: &str, endpoint: &str) -> Problem {
    let unreachable = |why: &str| {
        Problem::error("PS561", format!("Glue cannot be reached at {endpoint} for {place}: {why}"))
            .hint("check the network, and endpoint in [glue] or AWS_ENDPOINT_URL_GLUE; then `pacha doctor`")
    };
    match silence(error) {
        Silence::Unreachable(why) => unreachable(&why),
        Silence::Stranger => Problem::error("PS565", format!("the answer about {place} is none of Glue's: is {endpoint} another server?"))
            .hint("check endpoint in [glue] of pacha.toml"),
    }
}
