//! Where a scheduler is, `df://host:port`, and how to connect to it: the same for clients and executors.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemas::problem::Problem;
use tonic::transport::{Channel, Endpoint};

use super::tls::{Tls, patient, unusable};
use crate::error::{Error, Result, innermost};

/// A scheduler's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or number; a number of IPv6 in brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Address {
    /// A connection to it, certified if `tls` is given.
    ///
    /// # Errors
    /// The certificates cannot be used, nobody listens there, or the other side is not certified.
    pub async fn connect(&self, tls: Option<&Arc<Tls>>) -> Result<Channel> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}:{}", self.host, self.port));
        let endpoint = patient(endpoint.map_err(|_| no_address(&self.to_string()))?);
        let endpoint = match tls {
            Some(tls) => endpoint.tls_config(tls.client()).map_err(|error| unusable(&error))?,
            None => endpoint,
        };
        endpoint.connect().await.map_err(|error| self.unreachable(&error, tls.is_some()))
    }

    fn unreachable(&self, error: &tonic::transport::Error, tls: bool) -> Error {
        let reason = innermost(error);
        let problem = Problem::error("PK701", format!("no scheduler answers at {self}: {reason}"));
        Error::failed(problem.hint(if tls {
            "start one with `pacha scheduler`; it must have a certificate of the authority in cluster.ca, for that host name"
        } else {
            "start one with `pacha scheduler`, or run in this process, without --cluster"
        }))
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("df://").unwrap_or(text).trim_end_matches('/');
        let parts = rest.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        match parts {
            // What else a URL may hold, such as a password, has no meaning here.
            Some((host, port)) if !host.is_empty() && !host.contains(['/', '@', '?', '#']) => Ok(Self { host: host.to_owned(), port }),
            _ => Err(no_address(text)),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}

fn no_address(text: &str) -> Error {
    // A password that somebody wrote into it is not repeated.
    let shown = text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, after)| format!("…@{after}"));
    let problem = Problem::error("PK700", format!("\"{shown}\" is no address of a scheduler"));
    Error::configuration(problem.hint("write --cluster df://host:port, or --cluster local[2] for a cluster of this run alone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (text, host, port) in
            [("df://scheduler:50050", "scheduler", 50_050), ("[::1]:50050", "[::1]", 50_050), ("df://127.0.0.1:7/", "127.0.0.1", 7)]
        {
            assert_eq!(text.parse::<Address>().unwrap(), Address { host: host.into(), port }, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_a_password_is_not_repeated() {
        for wrong in ["df://scheduler", "scheduler:", ":5", "http://a:1/x", "local[2", "", "df://a:99999", "df://me:secret@a:1"] {
            let error = wrong.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("PK700") && error.contains("df://host:port") && !error.contains("secret"), "{error}");
        }
    }
}
