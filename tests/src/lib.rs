//! Behaviour of Pachamama seen from outside, and what it takes to look.
//!
//! * [`certificates`]: of an authority that each test makes for itself.
//! * [`fixture`]: the projects under `projects/`, each test with a copy of its own.
//! * [`backend`]: where the SQL of a test runs.
//! * [`cluster`]: scheduler and executors as processes, which can be killed, frozen and cut off.
//! * [`ecs`]: an ECS cluster in this process, with faults, whose tasks may be real processes.
//! * [`glue`]: a Glue catalog in this process, with faults.
//! * [`json`]: what the fakes of Glue and ECS share.
//! * [`namespace`]: a network and disks that only one test sees.
//! * [`slt`]: the sqllogictest files under `sql/`, one folder after the other.
//! * [`s3`]: an S3 server in the same process, with faults on demand.
//!
//! The tests of the command line are in `cli/`; cargo builds them with the package that has the binary.

pub mod backend;
pub mod certificates;
pub mod cluster;
pub mod ecs;
pub mod fixture;
pub mod glue;
pub mod json;
pub mod namespace;
pub mod s3;
pub mod slt;
