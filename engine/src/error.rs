//! The one error of the engine: what happened, where, what to do; its kind decides the exit code.
//!
//! The parts are [`Problem`]s, so that an error can be several mistakes at once. Typed errors do not cross a cluster but
//! text does, hence all three parts are in `Display`.

use std::fmt;

use datafusion::error::DataFusionError;
use schemas::problem::{Problem, Problems};

/// What kind of failure it is: the process's exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The project, the command line or the SQL is wrong; nothing was read. Exit code 2.
    Configuration,
    /// It ran and failed. Exit code 1.
    Failed,
    /// Another run published first. Exit code 1; running again may succeed.
    Conflict,
    /// A gate held the result back. Exit code 3.
    Withheld,
    /// Stopped on request; nothing was committed. Exit code 1.
    Stopped,
}

/// What happened, where, and what to do.
#[derive(Debug, Clone)]
pub struct Error {
    /// Decides the exit code.
    pub kind: Kind,
    /// At least one.
    pub problems: Problems,
}

/// Result of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A mistake in project, command line or SQL.
    pub fn configuration(problem: Problem) -> Self {
        Self::new(Kind::Configuration, problem)
    }

    /// A failure while running.
    pub fn failed(problem: Problem) -> Self {
        Self::new(Kind::Failed, problem)
    }

    /// An error of one problem.
    pub fn new(kind: Kind, problem: Problem) -> Self {
        Self { kind, problems: Problems(vec![problem]) }
    }

    /// All mistakes of a pass over the project.
    pub fn mistakes(problems: Problems) -> Self {
        Self { kind: Kind::Configuration, problems }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Configuration => 2,
            Kind::Withheld => 3,
            Kind::Failed | Kind::Conflict | Kind::Stopped => 1,
        }
    }
}

/// The error at the bottom of a chain, which says what happened; those above it say where in a library.
pub fn innermost<'e>(error: &'e (dyn std::error::Error + 'static)) -> &'e (dyn std::error::Error + 'static) {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problems.fmt(f)
    }
}

impl std::error::Error for Error {}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::configuration(problem)
    }
}

/// Inside DataFusion's traits our error travels as an external one; see [`crate::sql::mistake`].
impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
