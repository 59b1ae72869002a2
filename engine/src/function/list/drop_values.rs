//! `drop_values(x, value, …)`: no fillers.

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "drop_values",
    family: Family::Lists,
    summary: "Drops values that say nothing. A filler is compared with the whole value, upper or lower case alike.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the values"),
        Parameter::repeated("value", Accepts::ConstantText, "a value to drop, such as `none` or `n/a`"),
    ],
    returns: Returns::Same,
    bind: drop_values,
    examples: &[
        ("drop_values(['Mill', 'None', 'N/A', 'none known'], 'none', 'n/a')", "[Mill, none known]"),
        ("drop_values(' unknown ', 'unknown')", "NULL"),
    ],
    see_also: &["reject", "dedupe"],
};

fn drop_values(call: &Call<'_>) -> Result<Kernel> {
    let fillers: Vec<String> = call.texts(1).map(|text| text.trim().to_lowercase()).collect();
    text_kernel(move |value, _| if fillers.iter().any(|filler| same(value.trim(), filler)) { "" } else { value })
}

/// `filler` is in lower case already.
fn same(value: &str, filler: &str) -> bool {
    if value.is_ascii() { value.eq_ignore_ascii_case(filler) } else { value.chars().flat_map(char::to_lowercase).eq(filler.chars()) }
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn case_is_ignored_in_any_script() {
        assert!(same("НЕТ", "нет") && same("N/A", "n/a"));
        assert!(!same("nones", "none"));
    }
}
