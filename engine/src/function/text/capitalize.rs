//! `capitalize(x)`: a capital first letter.

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "capitalize",
    family: Family::Text,
    summary: "Makes the first letter upper case, skipping punctuation before it, and leaves the rest. A value that begins with a \
              digit stays.",
    parameters: &[Parameter::required("x", Accepts::Text, "what to capitalize")],
    returns: Returns::Same,
    bind: |_| text_kernel(capitalize),
    examples: &[("capitalize('\"quilt\" pattern')", "\"Quilt\" pattern"), ("capitalize(['3 mills', 'éditions'])", "[3 mills, Éditions]")],
    see_also: &["clean", "strip_punct"],
};

fn capitalize<'a>(value: &'a str, scratch: &'a mut String) -> &'a str {
    let Some((at, first)) = value.char_indices().find(|(_, letter)| letter.is_alphanumeric()) else { return value };
    if !first.is_lowercase() {
        return value;
    }
    scratch.push_str(&value[..at]);
    scratch.extend(first.to_uppercase());
    scratch.push_str(&value[at + first.len_utf8()..]);
    scratch
}

#[cfg(test)]
mod tests {
    use super::capitalize;

    #[test]
    fn letters_are_letters_in_any_script() {
        for (value, expected) in [("(ōtsu) road", "(Ōtsu) road"), ("мельница", "Мельница"), ("水車", "水車"), ("…", "…"), ("Mill", "Mill")]
        {
            assert_eq!(capitalize(value, &mut String::new()), expected);
        }
    }
}
