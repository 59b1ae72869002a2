//! SQL functions for mappings: one a file, by family; this is the list.
//!
//! All are pure. Text functions take text and give text, or take a list and give a list, value by value; NULL gives
//! NULL; blank results are NULL, and are dropped from a list. Nothing throws on a value.
