//! Questions to a scheduler: GET over the very connection that plans go through, so that TLS is the same for both.

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use schemas::problem::Problem;
use serde::de::DeserializeOwned;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt};

use super::MESSAGE_BYTES;
use crate::error::{Error, Result};

/// Whatever is asked is answered at once, from memory; who takes longer is not there, though the connection may be.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// The answer at `path`, which must be there.
///
/// # Errors
/// Nobody answers, or something that is not what was asked for.
pub async fn get<T: DeserializeOwned>(channel: Channel, path: &str) -> Result<T> {
    find(channel, path).await?.ok_or_else(|| unanswered("it does not know the question"))
}

/// The answer at `path`, if there is one.
///
/// # Errors
/// Nobody answers, or something that is not what was asked for.
pub async fn find<T: DeserializeOwned>(channel: Channel, path: &str) -> Result<Option<T>> {
    let asked = tokio::time::timeout(ANSWER, ask(channel, path)).await;
    asked.unwrap_or_else(|_| Err(unanswered(&format!("nothing came in {} s", ANSWER.as_secs()))))
}

async fn ask<T: DeserializeOwned>(mut channel: Channel, path: &str) -> Result<Option<T>> {
    let request = Request::get(path).body(Body::empty()).map_err(|error| unanswered(&error.to_string()))?;
    let answer = channel.ready().await.map_err(|error| unanswered(&error.to_string()))?;
    let answer = answer.call(request).await.map_err(|error| unanswered(&error.to_string()))?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        status => return Err(unanswered(&format!("it answers {status}"))),
    }
    let body = Limited::new(answer.into_body(), MESSAGE_BYTES).collect().await.map_err(|error| unanswered(&error.to_string()))?;
    serde_json::from_slice(&body.to_bytes()).map(Some).map_err(|_| unanswered("it answers something else"))
}

fn unanswered(reason: &str) -> Error {
    tracing::debug!("the scheduler does not answer: {reason}");
    let problem = Problem::error("PK701", format!("the scheduler does not answer: {reason}"));
    Error::failed(problem.hint("look whether its process runs, and at which address"))
}
