//! What a scheduler answers to a GET: a socket and a few lines, so that nothing of ours stands between it and the test.

use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A server that says nothing for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head, as it came.
    pub head: String,
    /// Its body.
    pub body: String,
}

/// The answer to `GET path` at `host:port`.
///
/// # Errors
/// Nobody is there, or what answers does not speak HTTP.
pub fn get(authority: &str, path: &str) -> Result<Answer> {
    request(authority, "GET", path)
}

/// The answer to another method.
///
/// # Errors
/// As for [`get`].
pub fn request(authority: &str, method: &str, path: &str) -> Result<Answer> {
    let mut socket = TcpStream::connect(authority)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // Of version 1.0, so that the body is never sent in chunks.
    write!(socket, "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| Error::other(format!("no HTTP: {text:?}")))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| Error::other(format!("no status: {head:?}")))?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// The body of the answer to `GET path`.
///
/// # Errors
/// As for [`get`], or it is another status than 200.
pub fn body(authority: &str, path: &str) -> Result<String> {
    let answer = get(authority, path)?;
    if answer.status == 200 { Ok(answer.body) } else { Err(Error::other(format!("{}: {}", answer.status, answer.body))) }
}
