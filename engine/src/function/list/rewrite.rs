//! `rewrite(x, pattern, replacement)`: regular-expression replacement in each value.

use regex::{Captures, Regex};

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "rewrite",
    family: Family::Lists,
    summary: "Replaces every match of the regular expression in each value; a value without a match stays.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the values"),
        Parameter::required("pattern", Accepts::ConstantText, "a regular expression; `^` and `$` anchor it, `(?i)` ignores case"),
        Parameter::required(
            "replacement",
            Accepts::ConstantText,
            r"the text instead; `\1` is the first group, `\0` the whole match, `\\` a backslash",
        ),
    ],
    returns: Returns::Same,
    bind: rewrite,
    examples: &[
        (
            r"rewrite(['http://a.example/cdm/ref/collection/p1/id/7'], '^(.*)/cdm/ref/collection/([^/]+)/id/(.+)$', '\1/utils/getthumbnail/collection/\2/id/\3')",
            "[http://a.example/utils/getthumbnail/collection/p1/id/7]",
        ),
        ("rewrite('a  b  c', ' +', '_')", "a_b_c"),
        (r"rewrite('12', '^(\d+)$', '$\1')", "$12"),
    ],
    see_also: &["after", "before", "pick"],
};

/// A piece of the replacement.
enum Piece {
    Text(String),
    Group(usize),
}

fn rewrite(call: &Call<'_>) -> Result<Kernel> {
    let pattern = call.pattern(1)?;
    let pieces = pieces(call.required_text(2)?);
    let groups = pattern.captures_len() - 1;
    if let Some(Piece::Group(group)) = pieces.iter().find(|piece| matches!(piece, Piece::Group(group) if *group > groups)) {
        let problem = call.problem(format!("has no group \\{group} to put in: the pattern has {groups}"));
        return Err(problem.hint("put parentheses around the part to keep").into());
    }
    text_kernel(move |value, scratch| replace(value, &pattern, &pieces, scratch))
}

fn pieces(replacement: &str) -> Vec<Piece> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut letters = replacement.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek().copied()) {
            ('\\', Some(next)) if next.is_ascii_digit() => {
                letters.next();
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Group(next as usize - '0' as usize));
            }
            ('\\', Some('\\')) => {
                letters.next();
                text.push('\\');
            }
            (letter, _) => text.push(letter),
        }
    }
    pieces.push(Piece::Text(text));
    pieces
}

fn replace<'a>(value: &'a str, pattern: &Regex, pieces: &[Piece], scratch: &'a mut String) -> &'a str {
    if !pattern.is_match(value) {
        return value;
    }
    let mut kept = 0;
    for found in pattern.captures_iter(value) {
        let whole = found.get_match();
        scratch.push_str(&value[kept..whole.start()]);
        pieces.iter().for_each(|piece| scratch.push_str(piece.text(&found)));
        kept = whole.end();
    }
    scratch.push_str(&value[kept..]);
    scratch
}

impl Piece {
    fn text<'t>(&'t self, found: &Captures<'t>) -> &'t str {
        match self {
            Self::Text(text) => text,
            Self::Group(group) => found.get(*group).map_or("", |group| group.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(value: &str, pattern: &str, replacement: &str) -> String {
        replace(value, &Regex::new(pattern).unwrap(), &pieces(replacement), &mut String::new()).to_owned()
    }

    #[test]
    fn groups_are_numbered_and_nothing_else_is_special() {
        assert_eq!(rewritten("ab", "(a)(x)?(b)", r"\3\2\1\\$1"), r"ba\$1");
        assert_eq!(rewritten("aé", "", "-"), "-a-é-");
        assert_eq!(rewritten("x", "y", ""), "x");
        assert_eq!(rewritten("a1b2", "[0-9]", r"<\0>"), "a<1>b<2>");
    }
}
