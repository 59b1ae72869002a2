//! The bytes of a page → UTF-8 text, with every repair remembered.
//!
//! The encoding is that of the byte order mark, else of the XML declaration, else UTF-8. Bytes that are not valid become
//! U+FFFD, and their place is kept so that the record they are in can say so.
//!
//! Byte offsets of records are those of the unpacked page. Where a page had to be transcoded (it was UTF-16 or Latin-1)
//! they are those of the transcoded text.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// How the bytes of a page are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The encoding.
    pub encoding: &'static Encoding,
    /// Length of the byte order mark.
    pub mark: usize,
    /// The declaration named an encoding that nobody knows; UTF-8 is taken instead.
    pub unknown: Option<String>,
}

impl Detected {
    /// Detects the encoding from the start of a page, a few hundred bytes.
    pub fn of(start: &[u8]) -> Self {
        let found = |encoding, mark| Self { encoding, mark, unknown: None };
        if let Some((encoding, mark)) = Encoding::for_bom(start) {
            return found(encoding, mark);
        }
        match start {
            [b'<', 0, b'?', 0, ..] => return found(UTF_16LE, 0),
            [0, b'<', 0, b'?', ..] => return found(UTF_16BE, 0),
            _ => {}
        }
        match declared(start) {
            None => found(UTF_8, 0),
            Some(label) => match Encoding::for_label(label.as_bytes()) {
                // The declaration was readable as ASCII, so it cannot be UTF-16, whatever it says.
                Some(encoding) if encoding == UTF_16LE || encoding == UTF_16BE => found(UTF_8, 0),
                Some(encoding) => found(encoding, 0),
                None => Self { encoding: UTF_8, mark: 0, unknown: Some(label) },
            },
        }
    }
}

/// The encoding that an XML declaration names.
fn declared(start: &[u8]) -> Option<String> {
    let start = &start[..start.len().min(400)];
    let start = start.trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = memchr::memchr(b'>', start)?;
    let text = std::str::from_utf8(&start[..end]).ok()?;
    let (_, after) = text.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after[1..].split(quote).next().map(str::to_owned)
}

/// Bytes that were not valid and became U+FFFD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repair {
    /// Where U+FFFD stands in the text.
    pub text: u64,
    /// Where the bytes stand in the page.
    pub page: u64,
    /// How many bytes they are.
    pub len: u8,
}

const REPLACEMENT: &str = "\u{fffd}";

/// A page as text.
#[derive(Debug)]
pub struct PageText<'a> {
    page: &'a [u8],
    text: Cow<'a, str>,
    /// Offset of the text in the page.
    mark: usize,
    transcoded: bool,
    /// Repairs in order.
    pub repairs: Vec<Repair>,
    /// An encoding that was named but is not known.
    pub unknown: Option<String>,
}

impl<'a> PageText<'a> {
    /// Decodes a whole page.
    pub fn decode(page: &'a [u8]) -> Self {
        let Detected { encoding, mut mark, unknown } = Detected::of(page);
        // Pages that were pasted together begin with several marks.
        while encoding == UTF_8 && page[mark..].starts_with(b"\xef\xbb\xbf") {
            mark += 3;
        }
        let mut repairs = Vec::new();
        let bytes = &page[mark..];
        let (text, transcoded) = if encoding != UTF_8 {
            (Cow::Owned(transcode(encoding, bytes, mark, &mut repairs)), true)
        } else if let Some(text) = UTF_8.decode_without_bom_handling_and_without_replacement(bytes) {
            // Borrowed. Checks several times as fast as the standard library does.
            (text, false)
        } else {
            (Cow::Owned(repair(bytes, mark, &mut repairs)), false)
        };
        Self { page, text, mark, transcoded, repairs, unknown }
    }

    /// The text, without a byte order mark.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The place in the page of a place in the text.
    pub fn page_offset(&self, text: u64) -> u64 {
        if self.transcoded {
            return text;
        }
        match self.repairs.partition_point(|repair| repair.text < text).checked_sub(1).map(|last| self.repairs[last]) {
            Some(last) => text - (last.text + REPLACEMENT.len() as u64) + last.page + u64::from(last.len),
            None => text + self.mark as u64,
        }
    }

    /// The bytes of the page behind a part of the text.
    pub fn page_bytes(&self, start: u64, end: u64) -> &[u8] {
        let slice = |bytes: &'a [u8], start: u64, end: u64| bytes.get(start as usize..end as usize).unwrap_or_default();
        if self.transcoded || self.repairs.is_empty() {
            return self.text.as_bytes().get(start as usize..end as usize).unwrap_or_default();
        }
        slice(self.page, self.page_offset(start), self.page_offset(end))
    }
}

fn repair(bytes: &[u8], mark: usize, repairs: &mut Vec<Repair>) -> String {
    let mut text = String::with_capacity(bytes.len() + 64);
    let mut at = mark as u64;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        at += chunk.valid().len() as u64;
        if !chunk.invalid().is_empty() {
            let len = chunk.invalid().len();
            repairs.push(Repair { text: text.len() as u64, page: at, len: len as u8 });
            text.push_str(REPLACEMENT);
            at += len as u64;
        }
    }
    text
}

fn transcode(encoding: &'static Encoding, bytes: &[u8], mark: usize, repairs: &mut Vec<Repair>) -> String {
    let mut reader = Utf8Reader::new(io::Cursor::new(bytes), &Detected { encoding, mark: 0, unknown: None });
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 4);
    // Neither reading from memory nor the decoder can fail, and what it gives is UTF-8.
    let _ = reader.read_to_end(&mut text);
    repairs.extend(reader.repairs.iter().map(|repair| Repair { page: repair.page + mark as u64, ..*repair }));
    String::from_utf8(text).unwrap_or_default()
}

/// A stream of any encoding as UTF-8.
pub struct Utf8Reader<R> {
    inner: R,
    decoder: encoding_rs::Decoder,
    out: Box<[u8]>,
    start: usize,
    end: usize,
    mark: u64,
    skip: usize,
    done: bool,
    /// Bytes taken from the page, and bytes of text given, at the end of `out`.
    taken: u64,
    given: u64,
    /// Repairs since the last call of [`Self::forget`].
    pub repairs: Vec<Repair>,
}

impl<R: BufRead> Utf8Reader<R> {
    /// Reads `inner`, which is encoded as `detected`.
    pub fn new(inner: R, detected: &Detected) -> Self {
        let decoder = detected.encoding.new_decoder_without_bom_handling();
        let out = vec![0; 1 << 17].into_boxed_slice();
        Self {
            inner,
            decoder,
            out,
            start: 0,
            end: 0,
            mark: if detected.encoding == UTF_8 { detected.mark as u64 } else { 0 },
            skip: detected.mark,
            done: false,
            taken: 0,
            given: 0,
            repairs: Vec::new(),
        }
    }

    /// How far the text starts into the page, where the one is a part of the other: the length of the byte order mark.
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// Drops the repairs before a place in the text.
    pub fn forget(&mut self, before: u64) {
        self.repairs.retain(|repair| repair.text >= before);
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.start == self.end && !self.done {
            (self.start, self.end) = (0, 0);
            let input = self.inner.fill_buf()?;
            if self.skip > 0 && !input.is_empty() {
                let mark = self.skip.min(input.len());
                self.inner.consume(mark);
                (self.skip, self.taken) = (self.skip - mark, self.taken + mark as u64);
                continue;
            }
            let last = input.is_empty();
            let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(input, &mut self.out, last);
            self.inner.consume(read);
            self.taken += read as u64;
            self.end = written;
            match result {
                DecoderResult::InputEmpty => self.done = last,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(len, after) => {
                    let page = self.taken.saturating_sub(u64::from(len) + u64::from(after));
                    self.repairs.push(Repair { text: self.given + written as u64, page, len });
                    // The decoder leaves room: it stops before a character that might not fit.
                    let room = self.out.len() - written;
                    debug_assert!(room >= REPLACEMENT.len());
                    if room >= REPLACEMENT.len() {
                        self.out[written..written + REPLACEMENT.len()].copy_from_slice(REPLACEMENT.as_bytes());
                        self.end += REPLACEMENT.len();
                    }
                }
            }
            self.given += self.end as u64;
        }
        Ok(())
    }
}

impl<R: BufRead> BufRead for Utf8Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill()?;
        Ok(&self.out[self.start..self.end])
    }

    fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.end);
    }
}

impl<R: BufRead> Read for Utf8Reader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(into.len());
        into[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, mark: bool) -> Vec<u8> {
        let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_byte_order_mark_wins_over_the_declaration() {
        let page = PageText::decode(b"\xef\xbb\xbf<?xml version='1.0' encoding='ISO-8859-1'?><r>\xc3\xa9</r>");
        assert!(page.as_str().ends_with("<r>é</r>"));
        assert_eq!(page.page_offset(0), 3);
        assert_eq!(PageText::decode(&utf16("<r>é</r>", true)).as_str(), "<r>é</r>");
    }

    #[test]
    fn declared_encodings_are_followed() {
        let latin = PageText::decode(b"<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><r>caf\xe9 \x93x\x94</r>");
        assert!(latin.as_str().ends_with("<r>café “x”</r>"), "{}", latin.as_str());
        let wide = utf16("<?xml version='1.0' encoding='UTF-16'?><r>ñ</r>", false);
        assert!(PageText::decode(&wide).as_str().ends_with("<r>ñ</r>"));
        assert_eq!(PageText::decode(b"<?xml version='1.0' encoding='klingon'?><r/>").unknown.as_deref(), Some("klingon"));
    }

    #[test]
    fn invalid_bytes_are_replaced_and_their_place_is_known() {
        let bytes = b"<a>x\xffy</a><b>\xe2\x82</b>";
        let page = PageText::decode(bytes);
        assert_eq!(page.as_str(), "<a>x\u{fffd}y</a><b>\u{fffd}</b>");
        assert_eq!(page.repairs, [Repair { text: 4, page: 4, len: 1 }, Repair { text: 15, page: 13, len: 2 }]);
        let start = page.as_str().find("<b>").unwrap() as u64;
        assert_eq!(page.page_offset(start), 10);
        assert_eq!(page.page_bytes(start, page.as_str().len() as u64), b"<b>\xe2\x82</b>");
    }

    #[test]
    fn a_stream_is_repaired_like_a_whole_page() {
        let mut bytes = "aé".repeat(100_000).into_bytes();
        bytes.extend(b"\xff\xe2\x82");
        let mut reader = Utf8Reader::new(io::BufReader::with_capacity(7, &bytes[..]), &Detected::of(&bytes));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let page = PageText::decode(&bytes);
        assert_eq!(text, page.as_str());
        assert_eq!(reader.repairs, page.repairs);
    }
}
