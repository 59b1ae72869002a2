//! `strip_dot(x)`: no full stop at the end.

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "strip_dot",
    family: Family::Text,
    summary: "Removes one full stop at the end and the white space around it; an ellipsis stays.",
    parameters: &[Parameter::required("x", Accepts::Text, "what to strip")],
    returns: Returns::Same,
    bind: |_| text_kernel(|value, _| strip_dot(value)),
    examples: &[("strip_dot('Sonoma.')", "Sonoma"), ("strip_dot('and then...')", "and then..."), ("strip_dot(['a.', '.'])", "[a]")],
    see_also: &["strip_punct", "clean"],
};

fn strip_dot(value: &str) -> &str {
    match value.trim_end().strip_suffix('.') {
        Some(rest) if !rest.ends_with('.') => rest.trim_end(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::strip_dot;

    #[test]
    fn only_a_single_stop_goes() {
        assert_eq!(strip_dot("Sonoma . "), "Sonoma");
        assert_eq!(strip_dot("wait.."), "wait..");
        assert_eq!(strip_dot("and so on…"), "and so on…");
        assert_eq!(strip_dot("a.b"), "a.b");
        assert_eq!(strip_dot("."), "");
    }
}
