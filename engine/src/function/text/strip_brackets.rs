//! `strip_brackets(x)`: no square bracket without its partner.

use datafusion::error::Result;

use arrow::array::ArrayRef;

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel};
use crate::function::polymorphic::map;

pub(crate) static FUNCTION: Function = Function {
    name: "strip_brackets",
    family: Family::Text,
    summary: "Removes every `[` and `]` that has no partner; pairs stay.",
    parameters: &[Parameter::required("x", Accepts::Text, "what to strip")],
    returns: Returns::Same,
    bind: |_| kernel(|arguments| strip_all(&arguments[0])),
    examples: &[("strip_brackets('Letter to Ada]')", "Letter to Ada"), ("strip_brackets('[Letter]')", "[Letter]")],
    see_also: &["strip_punct", "strip_quotes"],
};

fn strip_all(array: &ArrayRef) -> Result<ArrayRef> {
    let (mut open, mut alone) = (Vec::new(), Vec::new());
    map(array, |value, scratch| {
        open.clear();
        alone.clear();
        for at in memchr::memchr2_iter(b'[', b']', value.as_bytes()) {
            if value.as_bytes()[at] == b'[' {
                open.push(at);
            } else if open.pop().is_none() {
                alone.push(at);
            }
        }
        if open.is_empty() && alone.is_empty() {
            return value;
        }
        alone.extend_from_slice(&open);
        alone.sort_unstable();
        let mut kept = 0;
        for at in &alone {
            scratch.push_str(&value[kept..*at]);
            kept = at + 1;
        }
        scratch.push_str(&value[kept..]);
        scratch.trim()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, StringArray};

    use super::*;

    #[test]
    fn only_the_bracket_without_a_partner_goes() {
        let array: ArrayRef = Arc::new(StringArray::from(vec!["[ca. 1871", "a] [b] [c", "]é[", "[[x]", "[x] ", "]["]));
        let stripped = strip_all(&array).unwrap();
        let expected = StringArray::from(vec![Some("ca. 1871"), Some("a [b] c"), Some("é"), Some("[x]"), Some("[x] "), None]);
        assert_eq!(stripped.as_string::<i32>(), &expected);
    }
}
