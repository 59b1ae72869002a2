//! A mapping: one SELECT from harvested records to a target schema.
//!
//! * [`compose`]: the mapping, its parents and its base view become one query in which every record keeps its envelope,
//!   and a WHERE is a column instead of a filter, so that skipped records can be counted and named.
//! * [`plan`]: that query planned, its columns compared with the target, finishing and checks added.
//! * [`finish`] and [`check`]: the two functions that the plan ends with. [`document`]: JSON documents as text.

pub mod check;
pub mod compose;
pub mod document;
pub mod finish;
pub mod plan;

pub use compose::{Composition, Level};
pub use plan::{MappingPlan, PlanRequest};
