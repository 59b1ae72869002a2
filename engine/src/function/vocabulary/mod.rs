//! Vocabularies and identifiers: values that come from a list, or have a form of their own.
//!
//! What is not on the list stays as it is: the target schema's check of the field says so, with record and value.

use arrow::array::{ArrayRef, AsArray};
use datafusion::error::Result;

use super::polymorphic;

pub(super) mod ark;
pub(super) mod dcmi_type;
mod language;
pub(super) mod language_code;
pub(super) mod language_name;
pub(super) mod rights_uri;
pub(super) mod ucldc_id;

/// Maps values of which each may mean several: a list gets them all, once each; a text joins them with `;`, so that
/// nothing is lost and `split()` takes them apart.
///
/// # Errors
/// The array is neither text nor a list of text.
fn map_several(array: &ArrayRef, f: impl Fn(&str, &mut dyn FnMut(&str))) -> Result<ArrayRef> {
    if array.as_list_opt::<i32>().is_some() {
        return polymorphic::gather(array, |value, out| f(value, &mut |result| out.push_new(result)));
    }
    polymorphic::map(array, |value, scratch| {
        f(value, &mut |result| join(scratch, result));
        scratch
    })
}

/// Adds a value to values joined with `;`, unless it is there.
fn join(joined: &mut String, value: &str) {
    if joined.split(';').any(|known| known == value) {
        return;
    }
    if !joined.is_empty() {
        joined.push(';');
    }
    joined.push_str(value);
}
