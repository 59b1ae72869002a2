//! A page: one fetched response or file, the unit of raw provenance.

use std::io::{BufRead, BufReader, Cursor, Read};

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

impl std::fmt::Debug for PageBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

impl PageBytes {
    /// Whether the bytes are gzip; the name of the file is not trusted.
    fn gzipped(start: &[u8]) -> bool {
        start.starts_with(&[0x1f, 0x8b])
    }

    /// A buffered reader over the unpacked bytes.
    ///
    /// # Errors
    /// The first bytes could not be read.
    pub fn reader(self) -> std::io::Result<Box<dyn BufRead + Send>> {
        let mut plain: Box<dyn BufRead + Send> = match self {
            Self::Whole(bytes) => Box::new(Cursor::new(bytes)),
            Self::Stream(read) => Box::new(BufReader::with_capacity(1 << 18, read)),
        };
        if Self::gzipped(plain.fill_buf()?) {
            return Ok(Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(plain))));
        }
        Ok(plain)
    }
}
