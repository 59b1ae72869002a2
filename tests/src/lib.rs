//! Behaviour of Pachamama seen from outside, and what it takes to look.
//!
//! * [`fixture`]: the projects under `projects/`, each test with a copy of its own.
//! * [`backend`]: where the SQL of a test runs.
//! * [`glue`]: a Glue catalog in this process, with faults.
//! * [`slt`]: the sqllogictest files under `sql/`, one folder after the other.
//! * [`s3`]: an S3 server in the same process, with faults on demand.
//!
//! The tests of the command line are in `cli/`; cargo builds them with the package that has the binary.

pub mod backend;
pub mod fixture;
pub mod glue;
pub mod s3;
pub mod slt;
