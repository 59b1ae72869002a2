//! The table over a collection's pages.
//!
//! * [`pin`]: which pages a run reads, fixed once, with size and etag.
//! * [`table`]: [`HarvestTable`], the `TableProvider`: balances pages into groups by bytes.
//! * [`source`]: [`HarvestSource`], the `FileSource` under DataFusion's own `DataSourceExec`. Not a leaf plan of ours:
//!   Ballista cuts a plan into tasks only at the leaves it knows, and would run an unknown one whole in every task.
//! * [`opener`]: one page → batches.
//! * [`prefetch`]: where a page's bytes come from; over a network, before they are needed.

mod opener;
pub mod pin;
mod prefetch;
pub mod source;
pub mod table;

pub use pin::{PinnedCollection, PinnedPage};
pub use source::HarvestSource;
pub use table::{HarvestTable, View};
