//! `after(x, mark)`: what follows a marker.

use memchr::memmem::Finder;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "after",
    family: Family::Text,
    summary: "The part after the first occurrence of a marker. A value without it is dropped: what would follow is not there.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the values"),
        Parameter::required("mark", Accepts::ConstantText, "the marker, taken literally"),
    ],
    returns: Returns::Same,
    bind: after,
    examples: &[
        ("after('http://a.example/cdm/ref/7', 'cdm')", "/ref/7"),
        ("after(['id: 7', '8'], 'id: ')", "[7]"),
        ("coalesce(after('8', 'id: '), '8')", "8"),
    ],
    see_also: &["before", "rewrite"],
};

fn after(call: &Call<'_>) -> Result<Kernel> {
    let finder = Finder::new(call.required_text(1)?).into_owned();
    text_kernel(move |value, _| match finder.find(value.as_bytes()) {
        Some(at) => &value[at + finder.needle().len()..],
        None => "",
    })
}
