//! Where the events of a page come from: a slice for pages of ordinary size, a stream for those too large to hold.

use std::io::{self, BufRead, Read};

use memchr::{memchr, memchr_iter, memchr2};
use quick_xml::Reader;
use quick_xml::events::{BytesText, Event};

use crate::format::encoding::{Detected, PageText, Repair, Utf8Reader};

/// The events of a page, and the text behind them. Places are byte offsets in the text.
pub(super) trait Source {
    /// The next event.
    fn next(&mut self) -> Result<Event<'_>, quick_xml::Error>;
    /// The place after the last event.
    fn position(&self) -> u64;
    /// The place of the last error.
    fn error_position(&self) -> u64;
    /// From now on, or no longer, the text since this event is needed.
    fn record(&mut self, on: bool);
    /// Part of the text of the current record.
    fn text(&self, start: u64, end: u64) -> &str;
    /// The bytes of the page behind part of the current record.
    fn page_bytes(&self, start: u64, end: u64) -> &[u8];
    /// The place in the page of a place in the text.
    fn page_offset(&self, at: u64) -> u64;
    /// Line and column, both from 1, of a place at or shortly before the current one.
    fn line_column(&self, at: u64) -> (u64, u64);
    /// Bytes of the current record that were not valid.
    fn repairs(&self) -> &[Repair];
    /// Whether there may be carriage returns in the text, which XML wants as line feeds.
    fn carriage_returns(&self) -> bool;
    /// End tags need not match any more: the page is HTML and only its text is wanted.
    fn relax(&mut self);
}

fn configure<R>(reader: &mut Reader<R>) {
    let config = reader.config_mut();
    config.trim_text(false);
    config.check_end_names = true;
    // A bare & is a fault of one value, not of the page: it stays as it is, and the record says so.
    config.allow_dangling_amp = true;
}

fn relax<R>(reader: &mut Reader<R>) {
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
}

/// A page that is held whole.
pub(super) struct Slice<'a> {
    page: &'a PageText<'a>,
    reader: Reader<&'a [u8]>,
}

impl<'a> Slice<'a> {
    pub(super) fn new(page: &'a PageText<'a>) -> Self {
        let mut reader = Reader::from_str(page.as_str());
        configure(&mut reader);
        Self { page, reader }
    }

    /// The text up to the next tag or reference, cut out of the page and passed over in the reader.
    ///
    /// The page has been checked to be UTF-8. The reader checks every piece again, with the standard library, which takes
    /// longer than to find its end; so it is given the tags and references only, and the text that ends with the page.
    #[inline]
    fn text_ahead(&mut self) -> Option<&'a str> {
        let (page, rest) = (self.page.as_str(), *self.reader.get_ref());
        let start = page.len() - rest.len();
        // Before anything else the reader looks for a byte order mark.
        if start == 0 || matches!(rest.first(), None | Some(b'<' | b'&')) {
            return None;
        }
        let length = memchr2(b'<', b'&', rest)?;
        let text = page.get(start..start + length)?;
        self.reader.stream().consume(length);
        Some(text)
    }
}

impl Source for Slice<'_> {
    #[inline]
    fn next(&mut self) -> Result<Event<'_>, quick_xml::Error> {
        match self.text_ahead() {
            Some(text) => Ok(Event::Text(BytesText::from_escaped(text))),
            None => self.reader.read_event(),
        }
    }

    #[inline]
    fn position(&self) -> u64 {
        self.reader.buffer_position()
    }

    fn error_position(&self) -> u64 {
        self.reader.error_position()
    }

    fn record(&mut self, _: bool) {}

    fn text(&self, start: u64, end: u64) -> &str {
        self.page.as_str().get(start as usize..end as usize).unwrap_or_default()
    }

    fn page_bytes(&self, start: u64, end: u64) -> &[u8] {
        self.page.page_bytes(start, end)
    }

    fn page_offset(&self, at: u64) -> u64 {
        self.page.page_offset(at)
    }

    fn line_column(&self, at: u64) -> (u64, u64) {
        let before = &self.page.as_str()[..self.page.as_str().floor_char_boundary(at as usize)];
        advance((1, 1), before)
    }

    fn repairs(&self) -> &[Repair] {
        &self.page.repairs
    }

    fn carriage_returns(&self) -> bool {
        memchr(b'\r', self.page.as_str().as_bytes()).is_some()
    }

    fn relax(&mut self) {
        relax(&mut self.reader);
    }
}

/// Line and column after `text`, when it starts at `from`.
fn advance((line, column): (u64, u64), text: &str) -> (u64, u64) {
    match text.rfind('\n') {
        Some(last) => (line + memchr_iter(b'\n', text.as_bytes()).count() as u64, text[last + 1..].chars().count() as u64 + 1),
        None => (line, column + text.chars().count() as u64),
    }
}

/// Longest record, or longest single token, that is read from a stream.
const LONGEST: usize = 256 << 20;

/// A page that is read as it comes. Only the current record is held.
pub(super) struct Stream {
    reader: Reader<Kept<Utf8Reader<Box<dyn BufRead + Send>>>>,
    buffer: Vec<u8>,
    recording: bool,
}

impl Stream {
    pub(super) fn new(mut page: Box<dyn BufRead + Send>) -> io::Result<(Self, Option<String>)> {
        let detected = Detected::of(page.fill_buf()?);
        let kept = Kept { inner: Utf8Reader::new(page, &detected), text: Vec::new(), start: 0, place: (1, 1) };
        let mut reader = Reader::from_reader(kept);
        configure(&mut reader);
        Ok((Self { reader, buffer: Vec::new(), recording: false }, detected.unknown))
    }
}

impl Source for Stream {
    fn next(&mut self) -> Result<Event<'_>, quick_xml::Error> {
        self.buffer.clear();
        if !self.recording {
            let position = self.reader.buffer_position();
            self.reader.get_mut().forget(position);
        }
        self.reader.read_event_into(&mut self.buffer)
    }

    fn position(&self) -> u64 {
        self.reader.buffer_position()
    }

    fn error_position(&self) -> u64 {
        self.reader.error_position()
    }

    fn record(&mut self, on: bool) {
        self.recording = on;
    }

    fn text(&self, start: u64, end: u64) -> &str {
        std::str::from_utf8(self.page_bytes(start, end)).unwrap_or_default()
    }

    fn page_bytes(&self, start: u64, end: u64) -> &[u8] {
        let kept = self.reader.get_ref();
        let from = |at: u64| at.saturating_sub(kept.start) as usize;
        kept.text.get(from(start)..from(end)).unwrap_or_default()
    }

    fn page_offset(&self, at: u64) -> u64 {
        at + self.reader.get_ref().inner.mark()
    }

    fn line_column(&self, at: u64) -> (u64, u64) {
        let kept = self.reader.get_ref();
        let end = (at.saturating_sub(kept.start) as usize).min(kept.text.len());
        let text = String::from_utf8_lossy(&kept.text[..end]);
        advance(kept.place, &text)
    }

    fn repairs(&self) -> &[Repair] {
        &self.reader.get_ref().inner.repairs
    }

    fn carriage_returns(&self) -> bool {
        true
    }

    fn relax(&mut self) {
        relax(&mut self.reader);
    }
}

/// Keeps what was consumed, until it is told to forget it.
struct Kept<R> {
    inner: R,
    text: Vec<u8>,
    /// Place of the first byte that is kept, as offset and as line and column.
    start: u64,
    place: (u64, u64),
}

impl<R: BufRead> Kept<Utf8Reader<R>> {
    fn forget(&mut self, before: u64) {
        let gone = (before.saturating_sub(self.start) as usize).min(self.text.len());
        let text = String::from_utf8_lossy(&self.text[..gone]);
        self.place = advance(self.place, &text);
        self.text.drain(..gone);
        self.start = before;
        self.inner.forget(before);
    }
}

impl<R: BufRead> BufRead for Kept<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.text.len() > LONGEST {
            return Err(io::Error::other(format!("a record, or one element of it, is longer than {} MiB", LONGEST >> 20)));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed is buffered already, so this neither reads nor fails.
        if let Ok(buffered) = self.inner.fill_buf() {
            self.text.extend_from_slice(&buffered[..amount.min(buffered.len())]);
        }
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Kept<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}
