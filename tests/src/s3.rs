//! An S3 server in the test's own process: the real protocol over a real socket, with faults on demand.
//!
//! Requests are parsed and their signatures checked by `s3s`; what they do is in [`bucket`], what can go wrong in
//! [`fault`]. The server has a thread of its own, so that a test may block on a command that talks to it. It also answers
//! `GetCallerIdentity` of STS, which `pacha doctor` asks.
//!
//! ```
//! let server = pacha_tests::s3::Server::start();
//! server.buckets.put("raw", "26001/page-1.xml", "<records/>");
//! // … the command under test, with server.environment() …
//! assert!(server.requests().is_empty());
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use aws_credential_types::Credentials;
use bytes::Bytes;
use engine::aws::Aws;
use engine::project::S3Settings;
use engine::storage::Storage;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::path::S3Path;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Result, s3_error};
use tokio::sync::oneshot;

pub mod bucket;
pub mod fault;

pub use bucket::Buckets;
pub use fault::{Answer, Fault, Gate};

/// The access key of whoever needs only one.
pub const ACCESS_KEY: &str = "AKIDTESTTESTTEST";
/// Its secret.
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/secret-of-the-tests";
/// Who it belongs to, says STS.
pub const ACCOUNT: &str = "123456789012";
/// So many others, see [`access_key`], are known with the same secret.
pub const OTHERS: usize = 16;

/// The access key of one of several processes that use a server together: their requests can be told apart by it.
#[must_use]
pub fn access_key(other: usize) -> String {
    format!("AKIDOTHER{other:07}")
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    /// What it holds.
    pub buckets: Buckets,
    state: Arc<State>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `PUT`…
    pub method: String,
    /// Decoded: `/bucket/key`.
    pub path: String,
    /// As it was sent, without the question mark.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body.
    pub bytes: usize,
}

#[derive(Default)]
struct State {
    log: Mutex<Vec<Request>>,
    rules: Mutex<Vec<fault::Rule>>,
    /// Microseconds that every request takes at least.
    latency: AtomicU64,
    now: AtomicUsize,
    most: AtomicUsize,
    quiet: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl Server {
    /// A server with no buckets, on a free port of this machine.
    ///
    /// # Panics
    /// There is no port to listen on.
    #[must_use]
    pub fn start() -> Self {
        Self::listen(0, false).expect("a port of this machine is free")
    }

    /// A server on a given port that keeps no log.
    ///
    /// # Errors
    /// The port is taken.
    pub fn listen(port: u16, quiet: bool) -> io::Result<Self> {
        Self::listen_at((Ipv4Addr::LOCALHOST, port).into(), quiet)
    }

    /// A server at an address of another network of this machine.
    ///
    /// # Errors
    /// There is no such address, or the port is taken.
    pub fn listen_at(address: SocketAddr, quiet: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (buckets, state) = (Buckets::default(), Arc::new(State { quiet, ..State::default() }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (held, shared) = (buckets.clone(), Arc::clone(&state));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, held, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { buckets, state, address, stop: Some(stop), thread: Some(thread) })
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a process needs to use it, and nothing of the machine's own settings for AWS.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_CONFIG_FILE", "/dev/null".into()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".into()),
        ]
    }

    /// The same for one of several processes, whose requests are to be known.
    pub fn environment_of(&self, other: usize) -> Vec<(&'static str, String)> {
        let mut environment = self.environment();
        for (_, value) in environment.iter_mut().filter(|(name, _)| *name == "AWS_ACCESS_KEY_ID") {
            *value = access_key(other);
        }
        environment
    }

    /// The stores of a session that uses this server; nothing of the environment is asked.
    pub fn storage(&self) -> Storage {
        self.storage_with(S3Settings::default())
    }

    /// The same, with settings of the test's own.
    pub fn storage_with(&self, settings: S3Settings) -> Storage {
        let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests");
        let aws = Arc::new(Aws::with_credentials(credentials, "us-east-1"));
        Storage::with(aws, S3Settings { endpoint: Some(self.endpoint()), ..settings })
    }

    /// From now on, the next `times` requests that `when` holds for fail so. The fault that was set first goes first.
    pub fn fail(&self, times: usize, when: impl Fn(&Request) -> bool + Send + Sync + 'static, fault: Fault) {
        lock(&self.state.rules).push(fault::Rule { when: Box::new(when), left: times, fault });
    }

    /// From now on, the next `times` requests that `when` holds for wait at the gate.
    pub fn hold(&self, times: usize, when: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Gate {
        let gate = Gate::new();
        self.fail(times, when, Fault::Held(gate.clone()));
        gate
    }

    /// No fault is due any more.
    pub fn heal(&self) {
        lock(&self.state.rules).clear();
    }

    /// Faults that are still due.
    pub fn faults_left(&self) -> usize {
        lock(&self.state.rules).iter().map(|rule| rule.left).sum()
    }

    /// Every request takes this much longer, as over a network.
    pub fn slow(&self, by: Duration) {
        self.state.latency.store(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was asked since the start, or since it was last forgotten, in order.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.log).clone()
    }

    /// Forgets the requests.
    pub fn forget(&self) {
        lock(&self.state.log).clear();
        self.state.most.store(0, Ordering::Relaxed);
    }

    /// The most requests that were under way at a time.
    pub fn most_at_once(&self) -> usize {
        self.state.most.load(Ordering::Relaxed)
    }

    /// Puts every file below a folder, as `prefix/relative/path`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn load(&self, bucket: &str, prefix: &str, folder: &Path) -> io::Result<()> {
        self.buckets.make(bucket);
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let key = [prefix, &name.to_string_lossy()].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
            if entry.file_type()?.is_dir() {
                self.load(bucket, &key, &entry.path())?;
            } else {
                self.buckets.put(bucket, &key, std::fs::read(entry.path())?);
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is signed with this access key.
    pub fn signed_by(&self, access_key: &str) -> bool {
        self.header("authorization").is_some_and(|text| text.contains(&format!("Credential={access_key}/")))
    }

    /// A conditional write.
    pub fn conditional(&self) -> bool {
        self.header("if-none-match").is_some() || self.header("if-match").is_some()
    }
}

/// Accepts until it is dropped.
async fn serve(listener: TcpListener, buckets: Buckets, state: Arc<State>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut builder = S3ServiceBuilder::new(buckets.clone());
    let mut keys = SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY);
    for other in 0..OTHERS {
        keys.register(access_key(other), SECRET_KEY.into());
    }
    builder.set_auth(keys);
    builder.set_access(Access);
    let service = builder.build();
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let (service, buckets, state) = (service.clone(), buckets.clone(), Arc::clone(&state));
        let answer = hyper::service::service_fn(move |request| {
            let (service, buckets, state) = (service.clone(), buckets.clone(), Arc::clone(&state));
            async move { state.answer(&service, &buckets, request).await }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

impl State {
    async fn answer(
        &self,
        service: &S3Service,
        buckets: &Buckets,
        request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Body>, Closed> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
        let request = seen(&parts, &body);
        if !self.quiet {
            lock(&self.log).push(request.clone());
        }
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        let answer = self.execute(service, buckets, &request, parts, body).await;
        self.now.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    async fn execute(
        &self,
        service: &S3Service,
        buckets: &Buckets,
        request: &Request,
        parts: hyper::http::request::Parts,
        body: Bytes,
    ) -> Result<hyper::Response<Body>, Closed> {
        let latency = self.latency.load(Ordering::Relaxed);
        if latency > 0 {
            tokio::time::sleep(Duration::from_micros(latency)).await;
        }
        let fault = self.due(request);
        match &fault {
            Some(Fault::Answer(answer)) => return answer.response().ok_or(Closed),
            Some(Fault::Refused) => return Err(Closed),
            Some(Fault::Held(gate)) => gate.pass().await,
            Some(Fault::Before(callback)) => callback(buckets, request),
            Some(Fault::Lost | Fault::After(_)) | None => {}
        }
        let answer = if request.method == "POST" && request.path == "/" && body.starts_with(b"Action=GetCallerIdentity") {
            identity().ok_or(Closed)
        } else {
            service.call(hyper::Request::from_parts(parts, Body::from(body))).await.map_err(|_| Closed)
        };
        match fault {
            Some(Fault::Lost) => return Err(Closed),
            Some(Fault::After(callback)) => callback(buckets, request),
            _ => {}
        }
        answer
    }

    fn due(&self, request: &Request) -> Option<Fault> {
        let mut rules = lock(&self.rules);
        let rule = rules.iter_mut().find(|rule| rule.left > 0 && (rule.when)(request))?;
        rule.left -= 1;
        Some(rule.fault.clone())
    }
}

/// With the key everything; without one, reading from buckets whose name begins with `public`.
struct Access;

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let public = match context.s3_path() {
            S3Path::Root => false,
            S3Path::Bucket { bucket } | S3Path::Object { bucket, .. } => bucket.starts_with("public"),
        };
        let reads = matches!(context.method().as_str(), "GET" | "HEAD");
        if context.credentials().is_some() || (public && reads) {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "Access Denied"))
    }
}

fn seen(parts: &hyper::http::request::Parts, body: &Bytes) -> Request {
    let headers =
        parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    Request {
        method: parts.method.to_string(),
        path: decoded(parts.uri.path()),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        bytes: body.len(),
    }
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let pair = (first == b'%').then(|| after.get(..2)).flatten();
        match pair.and_then(|pair| std::str::from_utf8(pair).ok()).and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn identity() -> Option<hyper::Response<Body>> {
    let text = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{ACCOUNT}:user/tests</Arn><UserId>{ACCESS_KEY}</UserId><Account>{ACCOUNT}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>TEST</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    hyper::Response::builder().status(200).header("content-type", "text/xml").body(Body::from(text)).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
