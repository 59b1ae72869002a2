//! SQL as users write it: parsing, and turning the engine's errors into messages one can act on.
//!
//! * [`parse`]: text → statements in the `duckdb` dialect, with the place of every mistake.
//! * [`mistake`]: a DataFusion error → what, where, hint. Nothing of DataFusion reaches the user bare.
//! * [`one_row`]: a subquery in place of a value, on a cluster.

pub mod mistake;
pub mod one_row;
pub mod parse;
