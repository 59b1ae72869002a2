//! Behaviour of Pachamama seen from outside, and what it takes to look.
//!
//! * [`fixture`]: the projects under `projects/`, each test with a copy of its own.
//! * [`backend`]: where the SQL of a test runs.
//! * [`slt`]: the sqllogictest files under `sql/`, one folder after the other.
//!
//! The tests of the command line are in `cli/`; cargo builds them with the package that has the binary.

pub mod backend;
pub mod fixture;
pub mod slt;
