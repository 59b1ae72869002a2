//! What can go wrong between us and S3, on demand: which requests, how many of them, and what becomes of each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use s3s::Body;
use tokio::sync::watch;

use super::{Buckets, Request};

/// A test gives up what it waits for after so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What becomes of a request.
#[derive(Clone)]
pub enum Fault {
    /// It is not executed; this is the answer.
    Answer(Answer),
    /// It is not executed, and the connection is closed.
    Refused,
    /// It is executed; then the connection is closed without an answer.
    Lost,
    /// It waits at the gate, and is executed when the gate is opened.
    Held(Gate),
    /// Called, then executed.
    Before(Callback),
    /// Executed, then called, then answered.
    After(Callback),
}

/// Called with the buckets and the request.
pub type Callback = Arc<dyn Fn(&Buckets, &Request) + Send + Sync>;

/// Which requests.
pub type When = Box<dyn Fn(&Request) -> bool + Send + Sync>;

/// An answer that S3 gives instead of what was asked for.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Code of the error, such as `SlowDown`.
    pub code: &'static str,
    /// Its text.
    pub message: String,
    /// Elements after the text, such as `<Region>eu-west-1</Region>`.
    pub more: String,
}

/// Requests wait here until it is opened.
#[derive(Debug, Clone)]
pub struct Gate {
    waiting: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

/// A fault that is due.
pub(super) struct Rule {
    pub(super) when: When,
    pub(super) left: usize,
    pub(super) fault: Fault,
}

impl Fault {
    /// An error of S3 in its own form.
    pub fn answer(status: u16, code: &'static str, message: &str) -> Self {
        Self::Answer(Answer { status, code, message: message.into(), more: String::new() })
    }

    /// 503: too many requests at a time.
    pub fn slow_down() -> Self {
        Self::answer(503, "SlowDown", "Please reduce your request rate.")
    }

    /// 500.
    pub fn internal_error() -> Self {
        Self::answer(500, "InternalError", "We encountered an internal error. Please try again.")
    }

    /// 400: the session's credentials have run out.
    pub fn expired_token() -> Self {
        Self::answer(400, "ExpiredToken", "The provided token has expired.")
    }

    /// 403: this machine's clock is wrong.
    pub fn clock_skew() -> Self {
        let message = "The difference between the request time and the current time is too large.";
        let more = "<RequestTime>20261101T020304Z</RequestTime><ServerTime>2026-11-01T03:03:04Z</ServerTime>\
                    <MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>";
        Self::Answer(Answer { status: 403, code: "RequestTimeTooSkewed", message: message.into(), more: more.into() })
    }

    /// 403: no policy allows it.
    pub fn access_denied() -> Self {
        Self::answer(403, "AccessDenied", "Access Denied")
    }

    /// 400: signed for a region that is not the bucket's.
    pub fn wrong_region(right: &str) -> Self {
        let message = format!("The authorization header is malformed; the region 'us-east-1' is wrong; expecting '{right}'");
        let more = format!("<Region>{right}</Region>");
        Self::Answer(Answer { status: 400, code: "AuthorizationHeaderMalformed", message, more })
    }

    /// 301: the bucket is at another endpoint.
    pub fn permanent_redirect(right: &str) -> Self {
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint.";
        let more = format!("<Endpoint>bucket.s3.{right}.amazonaws.com</Endpoint><Region>{right}</Region>");
        Self::Answer(Answer { status: 301, code: "PermanentRedirect", message: message.into(), more })
    }

    /// 404: there is no such bucket.
    pub fn no_such_bucket() -> Self {
        Self::answer(404, "NoSuchBucket", "The specified bucket does not exist")
    }

    /// 501: the store does not know conditional writes.
    pub fn not_implemented() -> Self {
        Self::answer(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
    }

    /// 409: another conditional write of the key is under way.
    pub fn conditional_conflict() -> Self {
        Self::answer(409, "ConditionalRequestConflict", "The conditional request cannot succeed due to a conflicting operation")
    }

    /// Called before the request is executed.
    pub fn before(callback: impl Fn(&Buckets, &Request) + Send + Sync + 'static) -> Self {
        Self::Before(Arc::new(callback))
    }

    /// Called after the request was executed.
    pub fn after(callback: impl Fn(&Buckets, &Request) + Send + Sync + 'static) -> Self {
        Self::After(Arc::new(callback))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer(answer) => answer.code,
            Self::Refused => "Refused",
            Self::Lost => "Lost",
            Self::Held(_) => "Held",
            Self::Before(_) => "Before",
            Self::After(_) => "After",
        })
    }
}

impl Answer {
    pub(super) fn response(&self) -> Option<hyper::Response<Body>> {
        let Self { code, message, more, .. } = self;
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}<RequestId>TEST</RequestId></Error>"
        );
        let response = hyper::Response::builder().status(self.status).header("content-type", "application/xml");
        response.body(Body::from(text)).ok()
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self { waiting: watch::Sender::new(0), open: watch::Sender::new(false) }
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets through what waits and whatever comes.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Returns when `requests` have come to the gate.
    pub async fn reached(&self, requests: usize) {
        let mut waiting = self.waiting.subscribe();
        // The sender lives as long as this gate.
        let _ = waiting.wait_for(|waiting| *waiting >= requests).await;
    }

    /// The same, for a test that is not async.
    ///
    /// # Panics
    /// They have not come within [`PATIENCE`].
    pub fn wait(&self, requests: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime of one thread starts");
        let reached = runtime.block_on(async { tokio::time::timeout(PATIENCE, self.reached(requests)).await });
        assert!(reached.is_ok(), "of {requests} requests that were waited for, {} have come", *self.waiting.borrow());
    }

    /// How many requests have come to the gate so far.
    pub fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }

    pub(super) async fn pass(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}
