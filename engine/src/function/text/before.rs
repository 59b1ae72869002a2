//! `before(x, mark)`: what precedes a marker.

use memchr::memmem::Finder;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "before",
    family: Family::Text,
    summary: "The part before the first occurrence of a marker. A value without it stays whole: there is nothing to cut off.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the values"),
        Parameter::required("mark", Accepts::ConstantText, "the marker, taken literally"),
    ],
    returns: Returns::Same,
    bind: before,
    examples: &[("before('Quilts / Ada Smith', ' / ')", "Quilts"), ("before(['7?size=s', '8'], '?')", "[7, 8]")],
    see_also: &["after", "rewrite"],
};

fn before(call: &Call<'_>) -> Result<Kernel> {
    let finder = Finder::new(call.required_text(1)?).into_owned();
    text_kernel(move |value, _| match finder.find(value.as_bytes()) {
        Some(at) => &value[..at],
        None => value,
    })
}
