//! `limit_length(x, n)`: no over-long values.

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "limit_length",
    family: Family::Text,
    summary: "Drops values of more than n characters; the others stay as they are.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the values"),
        Parameter::required("n", Accepts::ConstantInteger, "the most characters a value may have"),
    ],
    returns: Returns::Same,
    bind: limit_length,
    examples: &[("limit_length(['Mill', 'A very long heading'], 10)", "[Mill]"), ("limit_length('Mühle', 5)", "Mühle")],
    see_also: &["truncate", "reject"],
};

fn limit_length(call: &Call<'_>) -> Result<Kernel> {
    let most = call.length(1)?;
    // Most values are shorter even in bytes, which are never fewer than characters.
    text_kernel(move |value, _| if value.len() <= most || value.chars().count() <= most { value } else { "" })
}
