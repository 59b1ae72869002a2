//! The server's half of TLS: connections are decrypted here, and only those get through whose other side is certified.
//!
//! Both sides show a certificate of the same authority, so a client without one gets no further than its handshake. A
//! scheduler serves such connections itself. Ballista's executor knows nothing of TLS: it listens on an address of this
//! machine alone, and a [`Front`] with the same port on the address that others know passes on what it has decrypted. On
//! that machine itself the servers behind can be reached without a certificate.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use engine::cluster::Tls;
use engine::{Error, Result};
use schemas::problem::Problem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Who needs longer than this to say who they are will not.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection without TLS is held.
const HELD: Duration = Duration::from_secs(2);
/// Connections that wait to be served.
const WAITING: usize = 64;
/// The first byte of a TLS connection: a handshake's record.
const RECORD: u8 = 0x16;

/// What decrypts and certifies connections to this process.
///
/// # Errors
/// `PK722`: there is no certificate of this process's own, or one of the files does not hold what it should.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor> {
    let hint = "look at cluster.ca, cluster.cert and cluster.key: a certificate, and the key that belongs to it";
    let unusable =
        |why: String| Error::configuration(Problem::error("PK722", format!("the certificates cannot be used: {why}")).hint(hint));
    let Some((cert, key)) = &tls.own else {
        let problem = Problem::error("PK722", "who listens with TLS needs a certificate of its own");
        return Err(Error::configuration(problem.hint("set cluster.cert and cluster.key beside cluster.ca")));
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(&tls.ca).map_err(|error| unusable(format!("cluster.ca: {error}")))? {
        roots.add(authority).map_err(|error| unusable(format!("cluster.ca: {error}")))?;
    }
    let provider = Arc::new(default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let clients = clients.map_err(|error| unusable(format!("cluster.ca: {error}")))?;
    let chain = certificates(cert).map_err(|error| unusable(format!("cluster.cert: {error}")))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(format!("cluster.key: {error}")))?;
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|error| unusable(error.to_string()))?;
    let mut config = config.with_client_cert_verifier(clients).with_single_cert(chain, key).map_err(|error| unusable(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(pem: &[u8]) -> std::result::Result<Vec<CertificateDer<'static>>, String> {
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("there is no certificate in it".into()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

/// A connection, whose bytes are plain on this side.
pub(crate) enum Connection {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Secure(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// A listener whose connections are certified, if there is something to certify them with. Handshakes go on beside one
/// another: one that is slow, or comes to nothing, keeps nobody waiting.
pub(crate) struct Listener {
    address: SocketAddr,
    connections: mpsc::Receiver<(Connection, SocketAddr)>,
    accepting: JoinHandle<()>,
}

impl Listener {
    /// # Errors
    /// The listener's address is not known.
    pub(crate) fn new(listener: TcpListener, acceptor: Option<TlsAcceptor>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (found, connections) = mpsc::channel(WAITING);
        let accepting = tokio::spawn(accept(listener, acceptor, found));
        Ok(Self { address, connections, accepting })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            // The other end goes with this one.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept(mut listener: TcpListener, acceptor: Option<TlsAcceptor>, found: mpsc::Sender<(Connection, SocketAddr)>) {
    loop {
        // Waits out what passes, such as too many open files.
        let (stream, peer) = axum::serve::Listener::accept(&mut listener).await;
        let _ = stream.set_nodelay(true);
        let (acceptor, found) = (acceptor.clone(), found.clone());
        tokio::spawn(async move {
            let connection = match acceptor {
                None => Connection::Plain(stream),
                Some(acceptor) => match handshake(&acceptor, stream, peer).await {
                    Some(stream) => Connection::Secure(Box::new(stream)),
                    None => return,
                },
            };
            let _ = found.send((connection, peer)).await;
        });
    }
}

async fn handshake(acceptor: &TlsAcceptor, stream: TcpStream, peer: SocketAddr) -> Option<TlsStream<TcpStream>> {
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::info!(target: "pacha", "a connection from {peer} is refused: {error}"),
        Err(_) => tracing::info!(target: "pacha", "a connection from {peer} is refused: no handshake came"),
    }
    None
}

/// Where a server behind a [`Front`] listens: with the same port, so on an address that differs from the front's.
pub(crate) fn behind(front: IpAddr) -> IpAddr {
    let first = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if front == first { IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)) } else { first }
}

/// What others connect to in place of a server without TLS. Ends when it is dropped.
pub(crate) struct Front(JoinHandle<()>);

impl Front {
    /// Passes on what comes in at `address` to the server at `to`.
    ///
    /// # Errors
    /// `PK711`.
    pub(crate) async fn new(address: SocketAddr, to: SocketAddr, acceptor: &TlsAcceptor) -> Result<Self> {
        let listener = crate::listen::bind(address).await?;
        Ok(Self(tokio::spawn(front(listener, to, acceptor.clone()))))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn front(mut listener: TcpListener, to: SocketAddr, acceptor: TlsAcceptor) {
    loop {
        let (stream, peer) = axum::serve::Listener::accept(&mut listener).await;
        let _ = stream.set_nodelay(true);
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if !encrypted(&stream).await {
                return refuse(&stream).await;
            }
            let Some(mut outside) = handshake(&acceptor, stream, peer).await else { return };
            let Ok(mut inside) = TcpStream::connect(to).await else { return };
            let _ = inside.set_nodelay(true);
            // Either side may break off; the other then learns of it.
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}

async fn encrypted(stream: &TcpStream) -> bool {
    let mut first = [0];
    let peeked = tokio::time::timeout(HANDSHAKE, stream.peek(&mut first)).await;
    matches!(peeked, Ok(Ok(1))) && first == [RECORD]
}

/// Whoever does not speak TLS gets no answer, but is not cut off at once either: Ballista's scheduler looks whether a
/// new executor can be reached by opening a connection, always without TLS, and takes one that breaks for none.
async fn refuse(stream: &TcpStream) {
    let gone = async {
        let mut bytes = [0; 512];
        loop {
            match readable(stream, &mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    let _ = tokio::time::timeout(HELD, gone).await;
}

async fn readable(stream: &TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}
