//! `pick(x, pattern)`: only the values that match.

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "pick",
    family: Family::Lists,
    summary: "Keeps the values in which the regular expression matches somewhere.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the values to choose from"),
        Parameter::required("pattern", Accepts::ConstantText, "a regular expression; `^` and `$` anchor it, `(?i)` ignores case"),
    ],
    returns: Returns::Same,
    bind: pick,
    examples: &[
        ("pick(['id 12', 'http://a.example/cdm/ref/1'], '/cdm/ref/')", "[http://a.example/cdm/ref/1]"),
        ("pick('http://a.example', '^https:')", "NULL"),
    ],
    see_also: &["reject", "first_of"],
};

fn pick(call: &Call<'_>) -> Result<Kernel> {
    let pattern = call.pattern(1)?;
    text_kernel(move |value, _| if pattern.is_match(value) { value } else { "" })
}
