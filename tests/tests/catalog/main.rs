//! Catalogs: one suite that each of them passes, and what the Glue catalog promises beyond it.
//!
//! Glue is this crate's own fake, which keeps to the rules that matter; with `PACHA_TEST_GLUE_ENDPOINT` the suite and the
//! publication run against another server too.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod partitions;
mod publish;
mod reading;
mod runs;
mod suite;
mod world;
