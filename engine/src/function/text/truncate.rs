//! `truncate(x, n)`: over-long values are cut.

use unicode_normalization::char::is_combining_mark;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "truncate",
    family: Family::Text,
    summary: "Cuts values after n characters, and white space before the cut; a letter is never parted from its accents.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the values"),
        Parameter::required("n", Accepts::ConstantInteger, "the most characters to keep"),
    ],
    returns: Returns::Same,
    bind: truncate,
    examples: &[("truncate('Mill Valley', 5)", "Mill"), ("truncate(['水車小屋', 'Mill'], 2)", "[水車, Mi]")],
    see_also: &["limit_length"],
};

fn truncate(call: &Call<'_>) -> Result<Kernel> {
    let most = call.length(1)?;
    text_kernel(move |value, _| cut(value, most))
}

fn cut(value: &str, most: usize) -> &str {
    if value.len() <= most {
        return value;
    }
    let Some((mut end, mut next)) = value.char_indices().nth(most) else { return value };
    while is_combining_mark(next) {
        let Some((before, letter)) = value[..end].char_indices().next_back() else { return "" };
        (end, next) = (before, letter);
    }
    value[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_letter_keeps_its_accents() {
        assert_eq!(cut("cafe\u{301}s", 5), "cafe\u{301}");
        assert_eq!(cut("cafe\u{301}s", 4), "caf");
        assert_eq!(cut("e\u{301}", 1), "");
        assert_eq!(cut("Mühle", 5), "Mühle");
    }
}
