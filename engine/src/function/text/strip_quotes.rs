//! `strip_quotes(x)`: no double quotes.

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "strip_quotes",
    family: Family::Text,
    summary: "Removes all double quotes, straight and curly; apostrophes stay.",
    parameters: &[Parameter::required("x", Accepts::Text, "what to strip")],
    returns: Returns::Same,
    bind: |_| text_kernel(strip_quotes),
    examples: &[("strip_quotes('\"Quilt\" pattern')", "Quilt pattern"), ("strip_quotes(['“Mill”', 'Ada’s'])", "[Mill, Ada’s]")],
    see_also: &["strip_brackets", "strip_punct"],
};

const QUOTES: [char; 5] = ['"', '“', '”', '„', '‟'];

fn strip_quotes<'a>(value: &'a str, scratch: &'a mut String) -> &'a str {
    if !value.contains(QUOTES) {
        return value;
    }
    scratch.extend(value.split(QUOTES));
    scratch.trim()
}

#[cfg(test)]
mod tests {
    use super::strip_quotes;

    #[test]
    fn quotes_go_wherever_they_stand() {
        assert_eq!(strip_quotes("\"\" „Mühle‟ 3'4\"", &mut String::new()), "Mühle 3'4");
        assert_eq!(strip_quotes("\"", &mut String::new()), "");
    }
}
