//! The bytes of a page as JSON text: unpacked, turned into UTF-8, cut into lines or held whole.
//!
//! The name of the file is not asked. JSON Lines of any size pass through in pieces; anything else has no place at which
//! it could be cut, so it is held whole, up to a limit.

use std::borrow::Cow;
use std::io::{BufRead, ErrorKind, Read};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use memchr::{memchr, memrchr};
use schemas::problem::Problem;

use super::locate::Locator;
use super::stretch::{Stretch, balanced_end, repair};
use crate::error::{Error, Result};
use crate::format::{Page, PageBytes};

/// How much of a page is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Bytes of JSON Lines read at a time, and from which the form of a page is told.
    pub(super) piece: usize,
    /// Bytes of a document, an array or a line.
    pub(super) whole: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { piece: 4 << 20, whole: 1 << 30 }
    }
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Bytes of lines that are checked to be UTF-8 at once: few enough to be still in the cache when they are read.
const CHECKED: usize = 256 << 10;

/// Leads `locator` through a page.
pub(super) fn read(page: &Page, bytes: PageBytes, limits: Limits, locator: &mut Locator<'_>) -> Result<()> {
    match bytes {
        PageBytes::Whole(bytes) if !gzipped(&bytes) => whole(&bytes, limits, locator),
        packed @ PageBytes::Whole(_) => stream(page, packed, limits, locator),
        PageBytes::Stream(stream_of) => stream(page, PageBytes::Stream(stream_of), limits, locator),
    }
}

fn gzipped(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// A page that is in memory.
fn whole(bytes: &[u8], limits: Limits, locator: &mut Locator<'_>) -> Result<()> {
    if let Some(encoding) = utf16(bytes) {
        let (text, _, damaged) = encoding.decode(bytes);
        if damaged {
            locator.problem("PX134", || {
                format!("the page is not all {}: what could not be read is U+FFFD; mend or fetch the page again", encoding.name())
            });
        }
        return whole(text.as_bytes(), limits, locator);
    }
    let start = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
    let body = &bytes[start..];
    if !is_json(body, locator) {
        return Ok(());
    }
    if is_lines(body, true) {
        locator.lines = memchr(b'\n', body.trim_ascii()).is_some();
        return Lines { start: start as u64, line: 1, limits }.read(body, locator);
    }
    if body.len() > limits.whole {
        too_large(limits, locator);
        return Ok(());
    }
    piece(body, start as u64, 1, utf8(body), limits, locator)
}

/// A page that comes bit by bit.
fn stream(page: &Page, bytes: PageBytes, limits: Limits, locator: &mut Locator<'_>) -> Result<()> {
    let mut source = bytes.reader().map_err(|error| unreadable(page, &error))?;
    let mut buffer = Vec::new();
    let ended = fill(page, &mut source, &mut buffer, limits.piece, locator)?;
    if ended {
        return whole(&buffer, limits, locator);
    }
    let bom = if buffer.starts_with(BOM) { BOM.len() } else { 0 };
    if utf16(&buffer).is_some() || !is_lines(&buffer[bom..], false) {
        fill(page, &mut source, &mut buffer, limits.whole.saturating_add(1), locator)?;
        if buffer.len() > limits.whole {
            too_large(limits, locator);
            return Ok(());
        }
        return whole(&buffer, limits, locator);
    }
    locator.lines = true;
    buffer.drain(..bom);
    let mut lines = Lines { start: bom as u64, line: 1, limits };
    let mut ended = false;
    let mut wanted = limits.piece;
    loop {
        let cut = if ended { buffer.len() } else { memrchr(b'\n', &buffer).map_or(0, |newline| newline + 1) };
        lines.read(&buffer[..cut], locator)?;
        buffer.drain(..cut);
        if ended {
            return Ok(());
        }
        // A line longer than what was read: read on until it ends.
        wanted = if cut == 0 { wanted * 2 } else { limits.piece };
        if buffer.len() >= limits.whole {
            too_large(limits, locator);
            return Ok(());
        }
        ended = fill(page, &mut source, &mut buffer, wanted.min(limits.whole), locator)?;
    }
}

/// Fills `buffer` up to `size`; true at the end of the page. Damaged gzip ends the page where the damage is.
fn fill(page: &Page, source: &mut dyn BufRead, buffer: &mut Vec<u8>, size: usize, locator: &mut Locator<'_>) -> Result<bool> {
    let missing = size.saturating_sub(buffer.len()) as u64;
    buffer.reserve_exact(usize::try_from(missing.min(4 << 20)).unwrap_or_default());
    match source.take(missing).read_to_end(buffer) {
        Ok(read) => Ok((read as u64) < missing),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof) => {
            locator
                .problem("PX105", || format!("the page is damaged gzip ({error}); what could be unpacked is kept: fetch the page again"));
            Ok(true)
        }
        Err(error) => Err(unreadable(page, &error)),
    }
}

fn unreadable(page: &Page, error: &std::io::Error) -> Error {
    let problem = Problem::error("PX104", format!("page {} of collection {} cannot be read: {error}", page.path, page.collection_id));
    Error::failed(problem.hint("check the storage and run again"))
}

fn too_large(limits: Limits, locator: &mut Locator<'_>) {
    locator.problem("PX116", || {
        let limit = limits.whole >> 20;
        format!("the page holds a document or line of more than {limit} MiB, which is not read: split it, or store it as JSON Lines")
    });
}

/// UTF-16, by its byte order mark or by every second byte of its beginning.
fn utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [0xFF, 0xFE, ..] | [b'{' | b'[' | b' ' | b'\n' | b'\r', 0, _, 0, ..] => Some(UTF_16LE),
        [0xFE, 0xFF, ..] | [0, b'{' | b'[' | b' ' | b'\n' | b'\r', 0, _, ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// Says why, if the page is not JSON at all.
fn is_json(body: &[u8], locator: &mut Locator<'_>) -> bool {
    let trimmed = body.trim_ascii();
    if trimmed.is_empty() {
        locator.problem("PX115", || "the page is empty: fetch it again".to_owned());
    } else if trimmed[0] == b'<' {
        let head = String::from_utf8_lossy(&trimmed[..trimmed.len().min(2000)]);
        let small = head.to_ascii_lowercase();
        let kind = if small.contains("<html") || small.starts_with("<!doctype html") { "HTML" } else { "XML" };
        let title = small.find("<title>").and_then(|start| head[start + 7..].split('<').next());
        let says = title.map_or_else(|| head.chars().take(60).collect(), |title| title.trim().to_owned());
        locator.problem("PX111", || {
            let next = if kind == "HTML" { "the server gave a web page: fetch it again" } else { "set codec to \"xml\"" };
            format!("{kind} in place of JSON, which says \"{says}\"; {next}")
        });
    } else {
        return true;
    }
    false
}

/// Whether each line is a value of its own: the first is, or it is broken and the second is.
fn is_lines(head: &[u8], complete: bool) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let Some(first) = lines.next() else { return false };
    if !complete && first.len() == head.trim_ascii().len() {
        return false;
    }
    if is_value(first) {
        return true;
    }
    let cut_short = first[0] == b'{' && !matches!(first.last(), Some(b'{' | b'[' | b':' | b','));
    cut_short && lines.next().is_some_and(|second| second[0] == b'{' && is_value(second))
}

/// Whether the line is one or more objects or lists, going by brackets alone.
fn is_value(line: &[u8]) -> bool {
    let mut rest = line;
    while matches!(rest.first(), Some(b'{' | b'[')) {
        let Some(end) = balanced_end(rest, 0) else { return false };
        rest = rest[end..].trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
        if rest.is_empty() {
            return true;
        }
    }
    false
}

/// A document or a line; `text` is the bytes if they are UTF-8.
fn piece(bytes: &[u8], start: u64, line: u64, text: Option<&str>, limits: Limits, locator: &mut Locator<'_>) -> Result<()> {
    let Some(text) = text else {
        let (text, repairs) = repair(bytes);
        return if text.len() > limits.whole {
            too_large(limits, locator);
            Ok(())
        } else {
            locator.stretch(&Stretch { text: &text, bytes, start, line, repairs: &repairs })
        };
    };
    locator.stretch(&Stretch { text, bytes, start, line, repairs: &[] })
}

/// Reads JSON Lines piece by piece.
struct Lines {
    /// Where the next piece starts in the page.
    start: u64,
    /// Its first line.
    line: u64,
    limits: Limits,
}

impl Lines {
    /// Reads whole lines.
    fn read(&mut self, bytes: &[u8], locator: &mut Locator<'_>) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let newline = memrchr(b'\n', &rest[..rest.len().min(CHECKED)]).or_else(|| memchr(b'\n', rest));
            let (some, more) = rest.split_at(newline.map_or(rest.len(), |newline| newline + 1));
            self.read_checked(some, utf8(some), locator)?;
            rest = more;
        }
        Ok(())
    }

    fn read_checked(&mut self, bytes: &[u8], text: Option<&str>, locator: &mut Locator<'_>) -> Result<()> {
        let mut at = 0;
        while at < bytes.len() {
            let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |newline| at + newline);
            let line = &bytes[at..end];
            let text = text.map_or_else(|| utf8(line), |text| Some(&text[at..end]));
            if line.len() > self.limits.whole {
                too_large(self.limits, locator);
            } else {
                piece(line, self.start + at as u64, self.line, text, self.limits, locator)?;
            }
            self.line += 1;
            at = end + 1;
        }
        self.start += bytes.len() as u64;
        Ok(())
    }
}

/// The bytes as text, if they are UTF-8. The standard library's check takes a third of all the time that decoding takes
/// where letters with accents are many; this one is vectorised.
fn utf8(bytes: &[u8]) -> Option<&str> {
    match UTF_8.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(Cow::Borrowed(text)) => Some(text),
        _ => None,
    }
}
