//! How client, scheduler and executors know one another: certificates in PEM files, or nothing on a private network.
//!
//! With `ca` every connection is encrypted and the other side must be certified by it; with `cert` and `key` besides, we
//! show who we are, and servers ask it of whoever connects (mutual TLS).

use std::path::PathBuf;
use std::sync::Arc;

use ballista_core::extension::EndpointOverrideFn;
use schemas::problem::Problem;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::error::{Error, Result};

/// The files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate of the authority that signs ours.
    pub ca: Option<PathBuf>,
    /// Our certificate.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

/// What is in the files.
#[derive(Clone)]
pub struct Tls {
    /// PEM of the authority.
    pub ca: Vec<u8>,
    /// PEM of our certificate and key; without it we are a client that nobody asks.
    pub own: Option<(Vec<u8>, Vec<u8>)>,
}

/// Keys are never printed.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls {{ own: {} }}", self.own.is_some())
    }
}

impl Tls {
    /// Reads the files; `None` if none are named.
    ///
    /// # Errors
    /// A file cannot be read or is no PEM, or one of the three is named without those that it needs.
    pub fn read(files: &TlsFiles) -> Result<Option<Arc<Self>>> {
        let missing = |what: &str| {
            Error::configuration(
                Problem::error("PK720", format!("TLS wants {what} too")).hint("set cluster.ca, cluster.cert and cluster.key"),
            )
        };
        let Some(ca) = &files.ca else {
            return if files.cert.is_some() || files.key.is_some() { Err(missing("cluster.ca")) } else { Ok(None) };
        };
        let own = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => Some((pem(cert)?, pem(key)?)),
            (None, None) => None,
            (None, Some(_)) => return Err(missing("cluster.cert")),
            (Some(_), None) => return Err(missing("cluster.key")),
        };
        Ok(Some(Arc::new(Self { ca: pem(ca)?, own })))
    }

    /// The client's half, for an endpoint to any host.
    pub fn client(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca));
        match &self.own {
            Some((cert, key)) => config.identity(Identity::from_pem(cert, key)),
            None => config,
        }
    }

    /// What Ballista calls for each endpoint it makes. It makes them for `http://`; ours go to `https://`.
    pub fn endpoints(self: &Arc<Self>) -> EndpointOverrideFn {
        let tls = Arc::clone(self);
        Arc::new(move |endpoint: Endpoint| {
            let uri = endpoint.uri();
            let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
            let secure = Endpoint::from_shared(format!("https://{authority}"))?;
            Ok(patient(secure).tls_config(tls.client())?)
        })
    }
}

/// The patience of every connection between our processes: quick to see that nobody is there, no limit to one call.
pub fn patient(endpoint: Endpoint) -> Endpoint {
    use std::time::Duration;
    endpoint
        .connect_timeout(Duration::from_secs(10))
        .tcp_nodelay(true)
        .tcp_keepalive(Some(Duration::from_secs(30)))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
}

fn pem(path: &PathBuf) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|error| {
        let problem = Problem::error("PK721", format!("{} cannot be read: {error}", path.display()));
        Error::configuration(problem.hint("name a PEM file in cluster.ca, cluster.cert and cluster.key"))
    })?;
    if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        return Ok(bytes);
    }
    let problem = Problem::error("PK721", format!("{} is no PEM file", path.display()));
    Err(Error::configuration(problem.hint("convert it, for example with: openssl x509 -inform der -in FILE -out FILE.pem")))
}

/// Certificates that no connection can be made with.
pub(super) fn unusable(error: &tonic::transport::Error) -> Error {
    let problem = Problem::error("PK722", format!("the certificates cannot be used: {error}"));
    Error::configuration(problem.hint("look at cluster.ca, cluster.cert and cluster.key: a certificate, and the key that belongs to it"))
}
