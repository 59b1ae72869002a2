//! What is asked of remote stores, counted where it happens: every request that goes over the wire, retries included.
//!
//! A price list has a line for each verb, so each is kept. `LIST` and `COPY` are what S3 calls a `GET` and a `PUT` of their
//! own kind. Stores on a disk or in memory cost nothing and are not counted.

use std::fmt;
use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::client::HttpRequest;
use serde::{Deserialize, Serialize};

use crate::table::Thousands;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Writes an object, or a part of one.
    Put,
    /// Has the store copy an object.
    Copy,
    /// Begins or ends an upload in parts.
    Post,
    /// Lists.
    List,
    /// Reads an object, or a part of one.
    Get,
    /// Asks for size and etag.
    Head,
    /// Removes objects, one or many, or an upload that was given up.
    Delete,
}

/// Requests and bytes so far, of all clients of a session.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: [AtomicU64; 7],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// Requests and bytes of a span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrafficCounts {
    /// See [`Verb::Put`].
    pub put: u64,
    /// See [`Verb::Copy`].
    pub copy: u64,
    /// See [`Verb::Post`].
    pub post: u64,
    /// See [`Verb::List`].
    pub list: u64,
    /// See [`Verb::Get`].
    pub get: u64,
    /// See [`Verb::Head`].
    pub head: u64,
    /// See [`Verb::Delete`].
    pub delete: u64,
    /// Bytes of the answers' bodies.
    pub bytes_in: u64,
    /// Bytes of the requests' bodies.
    pub bytes_out: u64,
}

impl Verb {
    /// What a request of S3's protocol does. GCS and Azure have the same methods, and none of the marks of copies.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let asks = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        match request.method().as_str() {
            "PUT" if request.headers().contains_key("x-amz-copy-source") => Self::Copy,
            "PUT" => Self::Put,
            "POST" if asks("delete") => Self::Delete,
            "GET" if asks("list-type") || asks("uploads") || asks("comp") => Self::List,
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "DELETE" => Self::Delete,
            _ => Self::Post,
        }
    }
}

impl Traffic {
    pub(super) fn request(&self, verb: Verb, bytes: u64) {
        self.requests[verb as usize].fetch_add(1, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What was counted so far; the difference of two is what happened between them.
    pub fn counts(&self) -> TrafficCounts {
        let of = |verb: Verb| self.requests[verb as usize].load(Ordering::Relaxed);
        TrafficCounts {
            put: of(Verb::Put),
            copy: of(Verb::Copy),
            post: of(Verb::Post),
            list: of(Verb::List),
            get: of(Verb::Get),
            head: of(Verb::Head),
            delete: of(Verb::Delete),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
        }
    }
}

impl TrafficCounts {
    /// The verbs that occurred, with their numbers, as S3's price list orders them.
    pub fn verbs(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [
            ("PUT", self.put),
            ("COPY", self.copy),
            ("POST", self.post),
            ("LIST", self.list),
            ("GET", self.get),
            ("HEAD", self.head),
            ("DELETE", self.delete),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.verbs().map(|(_, count)| count).sum()
    }
}

/// `1,204 requests (12 PUT, 12 LIST, 1,180 GET), 213.0 MB in, 18.2 MB out`
impl fmt::Display for TrafficCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verbs: Vec<String> = self.verbs().map(|(verb, count)| format!("{} {verb}", Thousands(count))).collect();
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let (into, out) = (megabytes(self.bytes_in), megabytes(self.bytes_out));
        write!(f, "{} requests ({}), {into:.1} MB in, {out:.1} MB out", Thousands(self.requests()), verbs.join(", "))
    }
}

impl Sub for TrafficCounts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            put: self.put - earlier.put,
            copy: self.copy - earlier.copy,
            post: self.post - earlier.post,
            list: self.list - earlier.list,
            get: self.get - earlier.get,
            head: self.head - earlier.head,
            delete: self.delete - earlier.delete,
            bytes_in: self.bytes_in - earlier.bytes_in,
            bytes_out: self.bytes_out - earlier.bytes_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_holds_what_happened_between_two_looks() {
        let traffic = Traffic::default();
        traffic.request(Verb::List, 0);
        let before = traffic.counts();
        traffic.request(Verb::Get, 0);
        traffic.request(Verb::Get, 0);
        traffic.request(Verb::Put, 10);
        traffic.received(30);
        let between = traffic.counts() - before;
        assert_eq!(between, TrafficCounts { get: 2, put: 1, bytes_in: 30, bytes_out: 10, ..TrafficCounts::default() });
        assert_eq!(between.verbs().collect::<Vec<_>>(), [("PUT", 1), ("GET", 2)]);
        assert_eq!(between.requests(), 3);
    }

    #[test]
    fn the_verbs_that_occurred_are_told_with_their_numbers() {
        let counts =
            TrafficCounts { put: 12, list: 12, get: 1180, bytes_in: 213_000_000, bytes_out: 18_200_000, ..TrafficCounts::default() };
        assert_eq!(counts.to_string(), "1,204 requests (12 PUT, 12 LIST, 1,180 GET), 213.0 MB in, 18.2 MB out");
    }
}
