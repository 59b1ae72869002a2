//! What a process is: its version and everything that decides what a plan means to it.
//!
//! Functions travel by name, and nodes as bytes. Two builds that differ in either would fail in a task with a text that
//! says nothing, or give other rows. So they compare this before any work is done, and name both where they differ.

use std::fmt;
use std::fmt::Write;

use schemas::problem::Problem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::function::{self, lookup::Lookups};
use crate::sql::one_row;
use crate::{codec, mapping};

/// Version, build and a digest over functions and codec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Version of pacha.
    pub version: String,
    /// Commit that a release was built from, or what `PACHA_BUILD` said when it was; `dev` otherwise.
    pub build: String,
    /// Over the build, the names and types of all functions, the codec's version and the versions of DataFusion and Ballista.
    pub digest: String,
}

impl Identity {
    /// This process.
    pub fn current() -> Self {
        let mut digest = Sha256::new();
        let mut functions: Vec<_> = function::all(&std::sync::Arc::new(Lookups::default()));
        functions.extend(mapping::plan::functions().into_iter().chain([one_row::function()]).map(std::sync::Arc::new));
        let mut lines: Vec<String> = functions.iter().map(|one| format!("{} {:?}", one.name(), one.signature())).collect();
        lines.sort_unstable();
        for line in &lines {
            digest.update(line);
            digest.update([0]);
        }
        let build = option_env!("PACHA_BUILD").unwrap_or("dev");
        digest.update(build);
        digest.update(codec::VERSION.to_le_bytes());
        digest.update(datafusion::DATAFUSION_VERSION);
        digest.update(ballista_core::BALLISTA_VERSION);
        let digest = digest.finalize().iter().take(6).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { version: env!("CARGO_PKG_VERSION").into(), build: build.into(), digest }
    }

    /// Refuses to work with another build.
    ///
    /// # Errors
    /// They differ; both are named. `us` and `them` say which process each is, such as `this executor` and `the scheduler at …`.
    pub fn agrees(&self, us: &str, other: &Self, them: &str) -> Result<(), Error> {
        if self == other {
            return Ok(());
        }
        let problem = Problem::error("PK702", format!("{us} is pacha {self}, {them} is pacha {other}"));
        Err(Error::configuration(problem.hint("run the same build of pacha in all places")))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.version, self.build, self.digest)
    }
}

/// The id of a new executor: it carries the build, so that a client sees who would run its tasks.
pub fn executor_id(identity: &Identity) -> String {
    named(identity, &uuid::Uuid::now_v7().simple().to_string())
}

/// The id of an executor that was given a name by whoever started it, and is known by it.
pub fn named(identity: &Identity, name: &str) -> String {
    format!("pacha-{}-{name}", identity.digest)
}

/// The digest that an executor's id carries, if it is one of ours.
pub fn digest_of(executor_id: &str) -> Option<&str> {
    Some(parts(executor_id)?.0)
}

/// The name that an executor's id carries, if it is one of ours.
pub fn name_of(executor_id: &str) -> Option<&str> {
    Some(parts(executor_id)?.1)
}

fn parts(executor_id: &str) -> Option<(&str, &str)> {
    executor_id.strip_prefix("pacha-")?.split_once('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_is_refused_and_both_are_named() {
        let current = Identity::current();
        assert!(current.agrees("this client", &Identity::current(), "the scheduler").is_ok());
        let other = Identity { version: "9.9.9".into(), ..current.clone() };
        let error = current.agrees("this client", &other, "the scheduler at df://a:1").unwrap_err().to_string();
        assert!(error.contains("PK702") && error.contains("9.9.9") && error.contains(env!("CARGO_PKG_VERSION")), "{error}");
    }

    #[test]
    fn an_executor_carries_its_build_in_its_id() {
        let identity = Identity::current();
        assert_eq!(digest_of(&executor_id(&identity)), Some(identity.digest.as_str()));
        assert_eq!(digest_of("4a1f-stock-ballista"), None);
        let id = named(&identity, "night-1");
        assert_eq!((digest_of(&id), name_of(&id)), (Some(identity.digest.as_str()), Some("night-1")));
    }
}
