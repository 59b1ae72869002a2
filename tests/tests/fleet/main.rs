//! Fleets: one suite that each of them passes, and what the fleet on ECS promises beyond it.
//!
//! ECS is this crate's own fake. The executors of the suite are small scripts: what counts here is how a fleet starts them,
//! knows them, and ends them. Real executors are in `tests/cli/fleet.rs`.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod day;
mod ecs;
mod elsewhere;
mod suite;
mod world;
