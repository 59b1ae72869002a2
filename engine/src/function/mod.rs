//! SQL functions for mappings: one a file, by family; this is the list.
//!
//! All are pure. Text functions take text and give text, or take a list and give a list, value by value; NULL gives
//! NULL; blank results are NULL, and are dropped from a list. Nothing throws on a value.
//!
//! * [`declaration`]: what a function file declares: name, parameters, examples, and how it binds to a call.
//! * [`call`]: what is known of one call when it is planned: types and constants; the errors about them.
//! * [`adapter`]: a declaration as DataFusion's `ScalarUDF`.
//! * [`polymorphic`]: one kernel for text and for lists of text, without an allocation per value.
//! * [`composed`]: whether text is in Unicode form C.
//! * [`lookup`]: the project's value tables, for `decode()`.
//!
//! To add a function: a file that declares `FUNCTION`, its `mod` line, and its line in `FUNCTIONS`, both below.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub mod adapter;
pub mod call;
pub mod composed;
pub mod declaration;
pub mod lookup;
pub mod polymorphic;

#[cfg(test)]
mod examples;

mod date;
mod record;
mod vocabulary;

mod text {
    //! One value in, one value out.
    pub(super) mod after;
    pub(super) mod before;
    pub(super) mod capitalize;
    pub(super) mod clean;
    pub(super) mod decode;
    pub(super) mod limit_length;
    pub(super) mod slug;
    pub(super) mod sort_title;
    pub(super) mod strip_brackets;
    pub(super) mod strip_dot;
    pub(super) mod strip_html;
    pub(super) mod strip_punct;
    pub(super) mod strip_quotes;
    pub(super) mod truncate;
}

mod list {
    //! Functions that make, filter or fold lists of text.
    pub(super) mod collate;
    pub(super) mod dedupe;
    pub(super) mod drop_values;
    pub(super) mod first_of;
    pub(super) mod join_nonempty;
    pub(super) mod last_of;
    #[expect(clippy::module_inception, reason = "the function list() stands in the family of lists")]
    pub(super) mod list;
    pub(super) mod pick;
    pub(super) mod pluck;
    pub(super) mod reject;
    pub(super) mod rewrite;
    pub(super) mod split;
}

pub use adapter::Udf;
pub use declaration::{Function, FunctionDoc};
pub use lookup::Lookups;

/// Every SQL function, in the order in which `pacha functions` prints them.
static FUNCTIONS: &[&Function] = &[
    // text
    &text::clean::FUNCTION,
    &text::strip_html::FUNCTION,
    &text::strip_punct::FUNCTION,
    &text::strip_dot::FUNCTION,
    &text::strip_brackets::FUNCTION,
    &text::strip_quotes::FUNCTION,
    &text::capitalize::FUNCTION,
    &text::limit_length::FUNCTION,
    &text::truncate::FUNCTION,
    &text::slug::FUNCTION,
    &text::sort_title::FUNCTION,
    &text::before::FUNCTION,
    &text::after::FUNCTION,
    // lists
    &list::list::FUNCTION,
    &list::split::FUNCTION,
    &list::collate::FUNCTION,
    &list::join_nonempty::FUNCTION,
    &list::pick::FUNCTION,
    &list::reject::FUNCTION,
    &list::first_of::FUNCTION,
    &list::last_of::FUNCTION,
    &list::pluck::FUNCTION,
    &list::rewrite::FUNCTION,
    &list::dedupe::FUNCTION,
    &list::drop_values::FUNCTION,
    // dates
    &date::dates::FUNCTION,
    &date::display_date::FUNCTION,
    &date::bounds::BEGIN,
    &date::bounds::END,
    &date::bounds::EDTF,
    &date::sort::START,
    &date::sort::END,
    &date::facet_decade::FUNCTION,
    &date::move_dates::FUNCTION,
    // vocabularies
    &text::decode::FUNCTION,
    &vocabulary::dcmi_type::FUNCTION,
    &vocabulary::language_code::FUNCTION,
    &vocabulary::language_name::FUNCTION,
    &vocabulary::rights_uri::FUNCTION,
    // identifiers
    &vocabulary::ark::FUNCTION,
    &vocabulary::ucldc_id::FUNCTION,
    // records
    &record::marc::ALL,
    &record::marc::FIRST,
    &record::xpath::FUNCTION,
];

/// All functions, ready to be registered on a session; `decode()` reads `lookups`.
pub fn all(lookups: &Arc<Lookups>) -> Vec<Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(|function| Arc::new(ScalarUDF::from(Udf::new(function, lookups)))).collect()
}

/// What `pacha functions` prints.
pub fn documentation() -> Vec<FunctionDoc> {
    FUNCTIONS.iter().map(|function| function.documentation()).collect()
}
