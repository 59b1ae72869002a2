//! `reject(x, pattern)`: only the values that do not match.

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "reject",
    family: Family::Lists,
    summary: "Drops the values in which the regular expression matches somewhere.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the values to choose from"),
        Parameter::required("pattern", Accepts::ConstantText, "a regular expression; `^` and `$` anchor it, `(?i)` ignores case"),
    ],
    returns: Returns::Same,
    bind: reject,
    examples: &[("reject(['Mill', 'http://a.example/1'], '^https?:')", "[Mill]"), ("reject('N/A', '(?i)^n/a$')", "NULL")],
    see_also: &["pick", "drop_values"],
};

fn reject(call: &Call<'_>) -> Result<Kernel> {
    let pattern = call.pattern(1)?;
    text_kernel(move |value, _| if pattern.is_match(value) { "" } else { value })
}
