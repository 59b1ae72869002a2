//! A project: every file an operator writes, read in full and checked before anything runs.
//!
//! * [`Project`] finds and loads a project folder; its error is the list of all mistakes.
//! * [`settings`]: `pacha.toml` and `--set`; [`cloud`]: its tables about AWS, [`cluster`] and [`fleet`]: about executors.
//! * [`collection`]: `collections/*.toml`. [`job`]: `jobs/*.toml`.
//! * [`sql`]: `mappings/*.sql` and the SQL of job steps. [`lookup`]: `lookups/*.csv`.
//! * [`code`]: the codes of the mistakes. `docs/project.md` is the reference of every key.
//!
//! What is loaded here is parsed once into types and trusted afterwards. SQL stays text: it is planned later.

pub mod cloud;
pub mod cluster;
pub mod code;
pub mod collection;
mod files;
pub mod fleet;
pub mod job;
mod job_file;
mod load;
pub mod lookup;
mod name;
mod schema_files;
pub mod settings;
pub mod sql;

pub use cloud::{AwsSettings, GlueSettings, Partitions, S3Settings};
pub use cluster::ClusterSettings;
pub use collection::{Collection, FreeValue, Given, Harvest};
pub use fleet::{EcsSettings, FleetKind, FleetSettings};
pub use job::{Input, Job, Param, Step};
pub use load::{FILE, Project};
pub use settings::{CatalogKind, Gates, Hold, Limits, Output, Settings};
pub use sql::{MappingFile, Sql};
