//! A page: one fetched response or file, the unit of raw provenance.
//!
//! Bytes are trusted, not file names: gzip is known by its first bytes, whatever the page is called. A fault of the page
//! (gzip that breaks off) is something to report; a fault of the storage is an error.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

/// What is known of a page before it is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The collection it belongs to.
    pub collection_id: String,
    /// Its path, as shown to the user and stored in the `page` column.
    pub path: String,
    /// The request it answered, if known.
    pub source_url: Option<String>,
    /// Seconds since 1970 of the fetch, if known.
    pub harvested_at: Option<i64>,
}

/// The bytes of a page, as stored (perhaps gzipped, perhaps not UTF-8).
pub enum PageBytes {
    /// All of them: the fast way, for pages of ordinary size.
    Whole(Bytes),
    /// A stream, for pages too large to hold.
    Stream(Box<dyn Read + Send>),
}

impl fmt::Debug for PageBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// What a codec saw of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageTally {
    /// Records emitted, deleted ones included.
    pub records: u64,
    /// Values that were nothing but white space, and were dropped.
    pub empty_values: u64,
    /// What is wrong with the page itself, beyond single records.
    pub problems: Vec<PageProblem>,
}

/// Something wrong with a page as a whole: it is cut off, it is an error message, it is not the format it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageProblem {
    /// Stable code, such as `PX101`.
    pub code: &'static str,
    /// What and where, with line and column, and what to do.
    pub message: String,
}

/// Pages up to this size are decoded as one slice, larger ones as a stream.
pub const WHOLE: usize = 64 << 20;

/// The unpacked bytes of a page.
pub enum Unpacked {
    /// All of them.
    Whole {
        /// The bytes, as far as they could be unpacked.
        bytes: Bytes,
        /// Why the rest is missing.
        fault: Option<String>,
    },
    /// More than [`WHOLE`]. A fault of the packing shows as an error of the reader, see [`storage_fault`].
    Stream(Box<dyn BufRead + Send>),
}

impl PageBytes {
    /// Whether the bytes are gzip; the name of the file is not trusted.
    fn gzipped(start: &[u8]) -> bool {
        start.starts_with(&[0x1f, 0x8b])
    }

    /// A buffered reader over the unpacked bytes.
    ///
    /// # Errors
    /// The first bytes could not be read.
    pub fn reader(self) -> io::Result<Box<dyn BufRead + Send>> {
        let mut plain: Box<dyn BufRead + Send> = match self {
            Self::Whole(bytes) => Box::new(Cursor::new(bytes)),
            Self::Stream(read) => Box::new(BufReader::with_capacity(1 << 18, Stored(read))),
        };
        if Self::gzipped(plain.fill_buf()?) {
            return Ok(Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(plain))));
        }
        Ok(plain)
    }

    /// The unpacked bytes: whole if there are at most `limit`.
    ///
    /// # Errors
    /// The storage failed. That the page itself is broken is in the result.
    pub fn unpack(self, limit: usize) -> io::Result<Unpacked> {
        if let Self::Whole(bytes) = &self
            && !Self::gzipped(bytes)
            && bytes.len() <= limit
        {
            return Ok(Unpacked::Whole { bytes: bytes.clone(), fault: None });
        }
        let mut reader = self.reader()?;
        let mut start = Vec::new();
        // What is read ahead also tells the encoding, so a stream begins with more than a few bytes.
        match reader.by_ref().take((limit as u64 + 1).max(1 << 12)).read_to_end(&mut start) {
            Ok(_) if start.len() > limit => Ok(Unpacked::Stream(Box::new(Cursor::new(start).chain(reader)))),
            Ok(_) => Ok(Unpacked::Whole { bytes: start.into(), fault: None }),
            Err(error) if storage_fault(&error) => Err(error),
            Err(error) => Ok(Unpacked::Whole { bytes: start.into(), fault: Some(error.to_string()) }),
        }
    }
}

/// Marks errors of the storage, so that they are not taken for faults of the page.
struct Stored(Box<dyn Read + Send>);

#[derive(Debug)]
struct StorageFault(io::Error);

impl Read for Stored {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => io::Error::other(StorageFault(error)),
        })
    }
}

impl fmt::Display for StorageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for StorageFault {}

/// Whether reading failed because of the storage, not because the page is broken.
pub fn storage_fault(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<StorageFault>())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn whole(bytes: Vec<u8>) -> (Vec<u8>, Option<String>) {
        match PageBytes::Whole(bytes.into()).unpack(WHOLE).unwrap() {
            Unpacked::Whole { bytes, fault } => (bytes.to_vec(), fault),
            Unpacked::Stream(_) => panic!("small pages are whole"),
        }
    }

    #[test]
    fn gzip_is_known_by_its_bytes() {
        assert_eq!(whole(gzip(b"<r/>")), (b"<r/>".to_vec(), None));
        assert_eq!(whole(b"<r/>".to_vec()), (b"<r/>".to_vec(), None));
    }

    #[test]
    fn gzip_that_breaks_off_gives_what_there_was() {
        let text = b"<record>one</record>".repeat(10_000);
        let mut packed = gzip(&text);
        packed.truncate(packed.len() - 9);
        let (bytes, fault) = whole(packed);
        assert!(text.starts_with(&bytes));
        assert!(fault.is_some());
    }

    #[test]
    fn a_page_over_the_limit_is_a_stream() {
        let bytes = PageBytes::Whole(gzip(&[b'x'; 100]).into());
        let Unpacked::Stream(mut reader) = bytes.unpack(10).unwrap() else { panic!("a stream") };
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        assert_eq!(text.len(), 100);
    }

    #[test]
    fn a_failing_storage_is_an_error() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection lost"))
            }
        }
        assert!(PageBytes::Stream(Box::new(Failing)).unpack(10).is_err());
    }
}
