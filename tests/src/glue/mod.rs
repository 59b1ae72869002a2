//! A Glue catalog in this process: the real protocol, the real rules of `VersionId`, and faults when they are wanted.
//!
//! Other stand-ins ignore a stale `VersionId`, so they cannot show that a catalog never goes backwards. This one keeps to
//! what AWS does: `aws.json-1.1` over HTTP, signatures that are recomputed, limits of batch calls, errors of single items,
//! pages of a few entries, and names and locations refused that Glue or Athena would refuse.
//!
//! * [`state`]: what the catalog holds, and one function for each operation.
//! * [`partition`]: the operations on partitions; [`expression`]: which of them `GetPartitions` returns.

mod expression;
mod partition;
mod state;

use serde_json::{Value, json};

use crate::json::{self, Server};
pub use crate::json::{Fault, Held, Logged, REGION};
use state::State;

/// A running catalog.
pub type FakeGlue = Server<State>;

impl FakeGlue {
    /// The key whose signatures it accepts.
    pub fn credentials() -> aws_credential_types::Credentials {
        json::credentials()
    }

    /// A table, as `GetTable` shows it.
    pub fn table(&self, database: &str, name: &str) -> Option<Value> {
        self.call("GetTable", &json!({ "DatabaseName": database, "Name": name })).ok().map(|answer| answer["Table"].clone())
    }

    /// Values and location of every partition of a table, sorted.
    pub fn partitions(&self, database: &str, name: &str) -> Vec<(String, String)> {
        self.state().partition_locations(database, name)
    }

    /// The statistics of a column.
    pub fn statistics(&self, database: &str, name: &str, column: &str) -> Option<Value> {
        self.state().column_statistics(database, name, column)
    }
}
