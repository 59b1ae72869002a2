//! What the engine says while it works, on stderr: one fragment a line, without time or level.
//!
//! A query may read a page more than once, and the page would complain every time; what was said of a page is not said again.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Target of what is wrong with pages.
const PAGES: &str = "pacha::page";

/// Sets up what is logged: the engine's messages for people, or what RUST_LOG says.
pub(crate) fn init() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off,pacha=info".into());
    let format = tracing_subscriber::fmt().with_writer(Lines::default()).with_env_filter(filter).with_ansi(false);
    format.without_time().with_target(false).with_level(false).init();
}

/// Hashes of the lines about pages so far.
#[derive(Debug, Default)]
struct Said {
    hasher: RandomState,
    lines: Mutex<HashSet<u64>>,
}

impl Said {
    fn first(&self, line: &[u8]) -> bool {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).insert(self.hasher.hash_one(line))
    }
}

#[derive(Debug, Default)]
struct Lines {
    said: Arc<Said>,
}

/// Writes one line, perhaps only if it is new.
struct Line {
    only_if_new: Option<Arc<Said>>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { only_if_new: None }
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Line {
        Line { only_if_new: (meta.target() == PAGES).then(|| Arc::clone(&self.said)) }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.only_if_new.as_ref().is_none_or(|said| said.first(line)) {
            std::io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
