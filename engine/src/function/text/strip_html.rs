//! `strip_html(x)`: the text of a value that carries HTML.
//!
//! Sources escape HTML, sometimes twice, so entities are decoded before and after the tags go. Only what has the form of
//! a tag is one: `a < b`, `<ada@example.org>` and `<http://example.org>` are text.

use datafusion::error::Result;
use html_escape::decode_html_entities_to_string;

use arrow::array::ArrayRef;

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel};
use crate::function::polymorphic::map;

pub(crate) static FUNCTION: Function = Function {
    name: "strip_html",
    family: Family::Text,
    summary: "Decodes entities, drops tags (also unbalanced ones), decodes again. A tag that breaks a line becomes a space.",
    parameters: &[Parameter::required("x", Accepts::Text, "text that may carry HTML")],
    returns: Returns::Same,
    bind: |_| kernel(|arguments| strip_all(&arguments[0])),
    examples: &[
        ("strip_html('&lt;i&gt;Plan&lt;/i&gt; of A &amp;amp; B')", "Plan of A & B"),
        ("strip_html('<p>Two lines,<br>one value</b>')", "Two lines, one value"),
        ("strip_html('3 < 4 <ada@example.org>')", "3 < 4 <ada@example.org>"),
    ],
    see_also: &["clean"],
};

/// Tags that end a line where they stand: dropping them would glue two words together.
const BREAKS: [&str; 18] =
    ["br", "p", "div", "li", "ul", "ol", "tr", "td", "th", "hr", "dd", "dt", "table", "h1", "h2", "h3", "h4", "blockquote"];

fn strip_all(array: &ArrayRef) -> Result<ArrayRef> {
    let (mut decoded, mut bare) = (String::new(), String::new());
    map(array, |value, scratch| {
        if memchr::memchr2(b'<', b'&', value.as_bytes()).is_none() {
            return value;
        }
        decoded.clear();
        bare.clear();
        decode_html_entities_to_string(value, &mut decoded);
        drop_tags(&decoded, &mut bare);
        decode_html_entities_to_string(&bare, scratch);
        scratch.trim()
    })
}

fn drop_tags(mut text: &str, out: &mut String) {
    while let Some(start) = text.find('<') {
        out.push_str(&text[..start]);
        text = &text[start..];
        match tag(text) {
            Some((name, length)) => {
                text = &text[length..];
                let breaks = BREAKS.iter().any(|known| known.eq_ignore_ascii_case(name));
                if breaks && !out.is_empty() && !out.ends_with(char::is_whitespace) && !text.starts_with(char::is_whitespace) {
                    out.push(' ');
                }
            }
            None => {
                out.push('<');
                text = &text[1..];
            }
        }
    }
    out.push_str(text);
}

/// Name and length of the tag or comment at the start of `text`, if it is one.
fn tag(text: &str) -> Option<(&str, usize)> {
    if let Some(comment) = text.strip_prefix("<!--") {
        return Some(("", comment.find("-->")? + 7));
    }
    let end = text[1..].find(['<', '>'])? + 1;
    if text.as_bytes()[end] != b'>' {
        return None;
    }
    let inside = text[1..end].strip_prefix(['/', '!', '?']).unwrap_or(&text[1..end]);
    let length = inside.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_'))).unwrap_or(inside.len());
    let (name, rest) = inside.split_at(length);
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let goes_on = rest.is_empty() || rest.starts_with(|c: char| c == '/' || c.is_whitespace());
    (begins && goes_on && !name.ends_with(':')).then_some((name, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(text: &str) -> String {
        let mut out = String::new();
        drop_tags(text, &mut out);
        out
    }

    #[test]
    fn tags_go_and_what_only_looks_like_one_stays() {
        assert_eq!(bare(r#"<a href="http://a.example/x">Mill</a>, <BR/>1871<!-- a < b -->"#), "Mill, 1871");
        assert_eq!(bare("x <b and no end"), "x <b and no end");
        assert_eq!(bare("<<i>mill</i>"), "<mill");
        assert_eq!(bare("1 < 2 > 1"), "1 < 2 > 1");
        assert_eq!(bare("<http://a.example/> <Smith, J.> <>"), "<http://a.example/> <Smith, J.> <>");
        assert_eq!(bare("<jats:p>é</jats:p><"), "é<");
    }

    #[test]
    fn a_break_keeps_words_apart() {
        assert_eq!(bare("<p>a</p><p>b</p>c<br />d"), "a b c d");
    }
}
