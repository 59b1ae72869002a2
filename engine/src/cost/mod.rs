//! What a run cost, and what the same work would have cost elsewhere.
//!
//! * [`prices`]: what AWS charges, with the date on which it did.
//! * [`used`]: what a run took: time, processor, memory.
//! * [`receipt`]: the one multiplied by the other. Pure.

pub mod prices;
pub mod receipt;
pub mod used;

pub use prices::Prices;
pub use receipt::{Alternative, Receipt, Requests};
pub use used::{Meter, Used};
