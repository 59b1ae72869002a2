//! The wire to remote stores: so many requests at a time, each of them counted.
//!
//! `object_store` retries above this, so what is counted here is what was asked, and paid for. A request is carried out by
//! a task of its own which holds its permit until the answer is in memory: so nobody who holds a permit ever waits for
//! somebody who needs one, and bytes arrive while the thread that wants them decodes others. Only a long answer is handed
//! on as it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService, ReqwestConnector,
};
use tokio::sync::Semaphore;

use super::traffic::{Traffic, Verb};

/// Answers up to this size are in memory before their permit is given back.
const WHOLE: u64 = 16 << 20;

/// A host that was never reached is not tried more often than this, lest a wrong endpoint be noticed after minutes.
const MISSES: u32 = 3;

/// Makes clients that share permits and counts.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) traffic: Arc<Traffic>,
    permits: Arc<Semaphore>,
    /// Set when a store says that the credentials have run out.
    pub(super) expired: Arc<AtomicBool>,
}

impl Connector {
    pub(super) fn new(requests: usize) -> Self {
        Self { traffic: Arc::default(), permits: Arc::new(Semaphore::new(requests)), expired: Arc::default() }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Wire { client, shared: self.clone(), reach: Arc::default() }))
    }
}

/// One client.
#[derive(Debug)]
struct Wire {
    client: HttpClient,
    shared: Connector,
    reach: Arc<Reach>,
}

/// Whether the host has ever answered, and how often it was not reached until then.
#[derive(Debug, Default)]
struct Reach {
    answered: AtomicBool,
    misses: AtomicU32,
}

#[async_trait::async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let gone = |_| HttpError::new(HttpErrorKind::Unknown, std::io::Error::other("the client was closed"));
        let permit = Arc::clone(&self.shared.permits).acquire_owned().await.map_err(gone)?;
        self.shared.traffic.request(Verb::of(&request), request.body().content_length() as u64);
        let (client, shared, reach) = (self.client.clone(), self.shared.clone(), Arc::clone(&self.reach));
        let task = SpawnedTask::spawn(async move {
            let answer = client.execute(request).await;
            let (mut parts, body) = reach.judge(answer)?.into_parts();
            // What another attempt cannot change is given a status that is not tried again, and keeps its text: 301 is
            // the wrong region, 501 an operation that the store lacks.
            if matches!(parts.status.as_u16(), 301 | 501)
                && let Ok(final_status) = 400_u16.try_into()
            {
                parts.status = final_status;
            }
            let body = match content_length(&parts.headers) {
                Some(length) if length > WHOLE => counted(body, &shared.traffic),
                _ => {
                    let bytes = body.bytes().await?;
                    shared.traffic.received(bytes.len() as u64);
                    if parts.status.is_client_error() && is_expired(&bytes) {
                        shared.expired.store(true, Ordering::Relaxed);
                    }
                    HttpResponseBody::from(bytes)
                }
            };
            drop(permit);
            Ok(HttpResponse::from_parts(parts, body))
        });
        task.join().await.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))?
    }
}

impl Reach {
    /// Gives an error of a host that never answered a kind that is not tried again, after a few times.
    fn judge(&self, answer: Result<HttpResponse, HttpError>) -> Result<HttpResponse, HttpError> {
        match answer {
            Ok(answer) => {
                self.answered.store(true, Ordering::Relaxed);
                Ok(answer)
            }
            Err(error) if error.kind() == HttpErrorKind::Connect && !self.answered.load(Ordering::Relaxed) => {
                let misses = self.misses.fetch_add(1, Ordering::Relaxed) + 1;
                Err(if misses < MISSES { error } else { HttpError::new(HttpErrorKind::Unknown, error) })
            }
            Err(error) => Err(error),
        }
    }
}

fn content_length(headers: &object_store::HeaderMap) -> Option<u64> {
    headers.get("content-length")?.to_str().ok()?.parse().ok()
}

fn counted(body: HttpResponseBody, traffic: &Arc<Traffic>) -> HttpResponseBody {
    let traffic = Arc::clone(traffic);
    HttpResponseBody::new(body.map_frame(move |frame| {
        traffic.received(frame.data_ref().map_or(0, Bytes::len) as u64);
        frame
    }))
}

fn is_expired(body: &Bytes) -> bool {
    memchr::memmem::find(body, b"<Code>ExpiredToken</Code>").is_some()
}
