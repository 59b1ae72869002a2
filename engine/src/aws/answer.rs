//! What the answers of all services of AWS have in common: their codes, and how the SDK says that none came.

use std::error::Error as StdError;

use aws_sdk_glue::error::SdkError;

use crate::error::innermost;

/// Codes of too many requests.
pub const THROTTLED: [&str; 4] = ["ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"];

/// Codes of an identity that a service does not accept.
pub const IDENTITY: [&str; 7] = [
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "ExpiredTokenException",
    "ExpiredToken",
    "InvalidClientTokenId",
    "MissingAuthenticationTokenException",
    "IncompleteSignature",
];

/// What to do about an identity that is not accepted.
pub const LOG_IN: &str = "log in again (`aws sso login`), check region and clock; then `pacha doctor`";

/// Why there is no answer of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// Nobody answered, for this reason.
    Unreachable(String),
    /// Somebody answered who is not the service.
    Stranger,
}

/// Why a request that the service said nothing to came to nothing.
pub fn silence<E: StdError + 'static>(error: &SdkError<E>) -> Silence {
    let why = match error {
        SdkError::TimeoutError(_) => "it does not answer in time".to_owned(),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(connector) => reason(connector),
            None => "the request could not be sent".to_owned(),
        },
        SdkError::ResponseError(_) => return Silence::Stranger,
        other => reason(other),
    };
    Silence::Unreachable(why)
}

/// The service's text as a part of a sentence.
pub fn plain(text: &str) -> String {
    text.trim().trim_end_matches('.').to_owned()
}

/// The first words that say something of a chain of errors.
pub(super) fn reason(error: &(dyn StdError + 'static)) -> String {
    let text = innermost(error).to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
