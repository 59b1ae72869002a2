//! What tables look like: how a source format's records become columns, and what a published table must hold.
//!
//! * [`source`]: a [`source::SourceSchema`] says where records are in a page and which paths fill which columns.
//! * [`shape`]: the shape of JSON documents, from which the type of their column follows.
//! * [`path`]: the paths of an XML source schema.
//! * [`target`]: a [`target::TargetSchema`] says which fields a published table has, which are required, what is checked.
//! * [`base`]: records of a source schema in the columns of a target, for mappings to inherit.
//! * [`check`]: the checks a target may name; [`vocabulary`]: the value lists it may name.
//! * [`document`]: reads the TOML files both are written in, and collects every mistake with its place.
//! * [`problem`]: one mistake: what, where, and what to type next. [`suggest`]: "did you mean".
//!
//! This crate knows Arrow's types, and nothing of DataFusion, files or networks.

pub mod base;
pub mod check;
pub mod document;
pub mod path;
pub mod problem;
pub mod shape;
pub mod source;
mod source_file;
pub mod suggest;
pub mod target;
pub mod vocabulary;
