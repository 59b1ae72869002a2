//! `strip_punct(x)`: no separators at either end.

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "strip_punct",
    family: Family::Text,
    summary: "Removes `; : / , -` at both ends, with the white space around them.",
    parameters: &[Parameter::required("x", Accepts::Text, "what to strip")],
    returns: Returns::Same,
    bind: |_| text_kernel(|value, _| strip_punct(value)),
    examples: &[("strip_punct(' ; Mill Valley,')", "Mill Valley"), ("strip_punct(['Maps :', '--'])", "[Maps]")],
    see_also: &["strip_dot", "strip_brackets", "clean"],
};

fn strip_punct(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_whitespace() || matches!(c, ';' | ':' | '/' | ',' | '-'))
}

#[cfg(test)]
mod tests {
    use super::strip_punct;

    #[test]
    fn what_stands_inside_stays() {
        assert_eq!(strip_punct("- A: b, c-d /\u{a0}"), "A: b, c-d");
        assert_eq!(strip_punct("«Mühle» –"), "«Mühle» –");
        assert_eq!(strip_punct("-- ;"), "");
    }
}
