//! A service of AWS in this process: `aws.json-1.1` over HTTP with signatures that are recomputed, and faults when they are
//! wanted. What the service does is a [`Service`]; the fakes of Glue and of ECS are two.
//!
//! * [`signature`]: whether a request is signed with the key that this server knows.

mod signature;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use aws_credential_types::Credentials;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

use crate::s3::{ACCESS_KEY, SECRET_KEY};

/// The region that requests must be signed for.
pub const REGION: &str = "us-east-1";

/// What happens to a request instead of, or after, being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is carried out; the answer is this status and error code.
    Refuse(u16, &'static str, &'static str),
    /// It is carried out, and the connection closes before the answer.
    Lost,
    /// Of a batch, the items with this value fail with this error code.
    Item(&'static str, &'static str),
}

impl Fault {
    /// Too many requests.
    pub fn throttled() -> Self {
        Self::Refuse(400, "ThrottlingException", "Rate exceeded")
    }

    /// The service has a bad moment.
    pub fn broken() -> Self {
        Self::Refuse(500, "InternalServiceException", "Something is wrong in here")
    }
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Such as `UpdateTable`.
    pub operation: String,
    /// The body.
    pub body: Value,
}

/// Why an operation is refused.
#[derive(Debug)]
pub struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// What an operation answers.
pub type Answer = Result<Value, Refusal>;

/// A refusal of the caller.
pub(crate) fn refuse(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { status: 400, code, message: message.into() }
}

/// What a service knows and does.
pub trait Service: Default + Send + 'static {
    /// Before the operation's name in `x-amz-target`.
    const TARGET: &'static str;
    /// Its name in signatures.
    const NAME: &'static str;

    /// Carries out an operation, into which a fault may reach.
    ///
    /// # Errors
    /// The operation is refused.
    fn call(&mut self, operation: &str, body: &Value, fault: Option<&Fault>) -> Answer;
}

/// The key whose signatures are accepted: that of the S3 server, as one identity does all.
pub fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test")
}

/// The running server; it ends with this value. It has a thread of its own, so that a test may block on a command that talks
/// to it.
#[derive(Debug)]
pub struct Server<S> {
    address: SocketAddr,
    shared: Arc<Shared<S>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared<S> {
    state: Mutex<S>,
    log: Mutex<Vec<Logged>>,
    faults: Mutex<Vec<(String, VecDeque<Option<Fault>>)>>,
    gates: Mutex<Vec<(String, Arc<Gate>)>>,
}

#[derive(Debug, Default)]
struct Gate {
    arrived: Notify,
    opened: Notify,
}

/// A request that waits until it is let through.
#[derive(Debug)]
pub struct Held(Arc<Gate>);

impl Held {
    /// Returns when the request has come.
    pub async fn arrived(&self) {
        self.0.arrived.notified().await;
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.0.opened.notify_one();
    }
}

impl<S: Service> Server<S> {
    /// An empty service at a free port of this machine.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared::<S>::default());
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = serve(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The URL for `endpoint` in `pacha.toml`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next `times` requests of this operation meet the fault.
    pub fn fail(&self, operation: &str, times: usize, fault: &Fault) {
        self.fail_after(operation, 0, times, fault);
    }

    /// As [`Self::fail`], once `spared` requests of the operation have gone well.
    pub fn fail_after(&self, operation: &str, spared: usize, times: usize, fault: &Fault) {
        let faults = std::iter::repeat_n(None, spared).chain(std::iter::repeat_n(Some(fault.clone()), times)).collect();
        lock(&self.shared.faults).push((operation.to_owned(), faults));
    }

    /// Faults that were not met yet are called off.
    pub fn recover(&self) {
        lock(&self.shared.faults).clear();
    }

    /// The next request of this operation waits before it is carried out.
    pub fn hold(&self, operation: &str) -> Held {
        let gate = Arc::new(Gate::default());
        lock(&self.shared.gates).push((operation.to_owned(), Arc::clone(&gate)));
        Held(gate)
    }

    /// What was asked, in order.
    pub fn requests(&self) -> Vec<Logged> {
        lock(&self.shared.log).clone()
    }

    /// The bodies of the requests of one operation.
    pub fn asked(&self, operation: &str) -> Vec<Value> {
        self.requests().into_iter().filter(|one| one.operation == operation).map(|one| one.body).collect()
    }

    /// Forgets what was asked.
    pub fn forget_requests(&self) {
        lock(&self.shared.log).clear();
    }

    /// Carries out an operation as another client of the service would.
    ///
    /// # Errors
    /// The error's code and text.
    pub fn call(&self, operation: &str, body: &Value) -> Result<Value, (u16, String, String)> {
        lock(&self.shared.state).call(operation, body, None).map_err(|refusal| (refusal.status, refusal.code.to_owned(), refusal.message))
    }

    /// What the service knows.
    pub(crate) fn state(&self) -> MutexGuard<'_, S> {
        lock(&self.shared.state)
    }
}

impl<S> Drop for Server<S> {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve<S: Service>(listener: std::net::TcpListener, shared: Arc<Shared<S>>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, &shared));
            // A connection that ends early is what some tests want.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer<S: Service>(
    request: Request<Incoming>,
    shared: &Shared<S>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix(S::TARGET).unwrap_or_default().to_owned();
    if let Err(why) = signature::check(&head, &body, &credentials(), (REGION, S::NAME)) {
        return Ok(refused(403, "InvalidSignatureException", &why));
    }
    if head.headers.get("content-type").is_none_or(|kind| kind != "application/x-amz-json-1.1") {
        return Ok(refused(400, "SerializationException", "the body is no aws.json-1.1"));
    }
    let body: Value = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return Ok(refused(400, "SerializationException", &error.to_string())),
    };
    lock(&shared.log).push(Logged { operation: operation.clone(), body: body.clone() });
    let gate = {
        let mut gates = lock(&shared.gates);
        gates.iter().position(|(of, _)| *of == operation).map(|index| gates.remove(index).1)
    };
    if let Some(gate) = gate {
        gate.arrived.notify_one();
        gate.opened.notified().await;
    }
    let fault = next_fault(shared, &operation);
    if let Some(Fault::Refuse(status, code, message)) = fault {
        return Ok(refused(status, code, message));
    }
    let outcome = lock(&shared.state).call(&operation, &body, fault.as_ref());
    if fault == Some(Fault::Lost) {
        return Err("the answer is lost".into());
    }
    Ok(match outcome {
        Ok(answer) => respond(200, &answer),
        Err(refusal) => refused(refusal.status, refusal.code, &refusal.message),
    })
}

fn next_fault<S>(shared: &Shared<S>, operation: &str) -> Option<Fault> {
    let mut faults = lock(&shared.faults);
    let found = faults.iter_mut().find(|(of, left)| of == operation && !left.is_empty())?;
    found.1.pop_front().flatten()
}

fn refused(status: u16, code: &str, message: &str) -> Response<Full<Bytes>> {
    respond(status, &json!({ "__type": code, "Message": message }))
}

fn respond(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/x-amz-json-1.1"));
    response
}
