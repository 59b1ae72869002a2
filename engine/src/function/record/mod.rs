//! Reaching into a source record: MARC by tags and subfields, XML by paths.
//!
//! * [`marc_spec`], [`marc_record`]: which values of a record are meant, and how they are taken out of its columns.
//! * [`xml_path`], [`xml_tree`], [`xml_steps`]: a path, a record as a tree, and the walk of one along the other.
//! * [`marc`] and [`xpath`]: the SQL functions.

pub(super) mod marc;
mod marc_record;
mod marc_spec;
mod xml_path;
mod xml_steps;
mod xml_tree;
pub(super) mod xpath;
