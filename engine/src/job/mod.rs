//! One run of a job, from pinned inputs to the commit.
//!
//! In the order in which a run passes them: [`input`] pins the pages, [`shape`] knows the form of JSON documents, [`key`]
//! says what is unchanged, [`mod@unit`] groups what is left, [`mod@prepare`] plans it all before a record is read, [`attempt`]
//! executes a unit by [`mod@write`], [`carry`] keeps the rows of collections that did not run, `proposal` puts both together, [`unique`]
//! looks for values that are shared, [`step`] runs SQL over the result, [`gate`] decides whether it may be published,
//! [`mod@register`] tells the catalog that others read, [`stop`] is how another process ends it, `watch` what it sees
//! meanwhile, `leftover` what it leaves if it is not published, [`mod@run`] is the whole, and [`record`] what is remembered of it.
//! [`mod@vacuum`] removes what is left of runs and versions that nobody needs.

pub mod attempt;
pub mod carry;
pub mod gate;
pub mod input;
pub mod key;
mod leftover;
pub mod prepare;
pub mod preview;
mod proposal;
pub mod record;
pub mod register;
pub mod run;
pub mod shape;
pub mod step;
pub mod stop;
pub mod unique;
pub mod unit;
pub mod vacuum;
mod watch;
pub mod write;

pub use prepare::{Prepared, prepare};
pub use run::{RunOptions, run};
pub use vacuum::vacuum;
