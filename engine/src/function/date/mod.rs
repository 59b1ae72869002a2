//! Dates: what cataloguers write, as points in time.
//!
//! * [`word`], [`token`], [`reading`]: free text, from letters to first and last point. [`edtf`]: the machine's notation.
//! * [`calendar`]: a point, in the precision of its source.
//! * [`entry`]: the list logic of `dates()`; [`ucldc`]: the same as Calisphere does it today.
//! * The other files are one SQL function (or a pair) each.

mod calendar;
mod edtf;
mod entry;
mod reading;
mod token;
mod ucldc;
mod word;

pub(super) mod bounds;
pub(super) mod dates;
pub(super) mod display_date;
pub(super) mod facet_decade;
pub(super) mod move_dates;
pub(super) mod sort;
