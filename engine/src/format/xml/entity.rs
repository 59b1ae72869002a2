//! References in text: predefined, numeric, and the named ones of HTML, which no page declares and many use.

use std::borrow::Cow;

/// Appends what `&name;` stands for. False if it stands for nothing; then it is appended as it was written.
pub(super) fn resolve(name: &str, out: &mut String) -> bool {
    let predefined = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => match numeric(name) {
            Some(c) => c,
            None => return named(name, out),
        },
    };
    out.push(predefined);
    true
}

fn numeric(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) if !hex.starts_with('+') => u32::from_str_radix(hex, 16).ok()?,
        None if !digits.starts_with('+') => digits.parse().ok()?,
        _ => return None,
    };
    // XML allows no control character but these three, not even by number.
    char::from_u32(code).filter(|c| *c >= ' ' || matches!(c, '\t' | '\n' | '\r'))
}

fn named(name: &str, out: &mut String) -> bool {
    let start = out.len();
    out.push('&');
    out.push_str(name);
    out.push(';');
    if name.is_empty() || name.len() > 32 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    let decoded = match html_escape::decode_html_entities(&out[start..]) {
        Cow::Owned(decoded) if decoded != out[start..] => decoded,
        _ => return false,
    };
    out.truncate(start);
    out.push_str(&decoded);
    true
}

/// Appends an attribute's value: references resolved, line ends and tabs made spaces. Calls `unknown` with each
/// reference that stands for nothing.
pub(super) fn attribute_value(raw: &str, out: &mut String, mut unknown: impl FnMut(&str)) {
    let Some(first) = raw.bytes().position(|byte| matches!(byte, b'&' | b'\t' | b'\n' | b'\r')) else {
        out.push_str(raw);
        return;
    };
    out.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(c) = rest.chars().next() {
        let end = if c == '&' { rest[1..].find(|c: char| matches!(c, ';' | '&') || c.is_whitespace()) } else { None };
        let reference = end.filter(|end| rest.as_bytes()[*end + 1] == b';');
        if let Some(end) = reference {
            let name = &rest[1..=end];
            if !resolve(name, out) {
                unknown(name);
            }
            rest = &rest[end + 2..];
            continue;
        }
        match c {
            '&' => {
                unknown("");
                out.push('&');
            }
            '\r' if rest[1..].starts_with('\n') => {}
            '\t' | '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
        rest = &rest[c.len_utf8()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> (String, bool) {
        let mut out = String::new();
        let known = resolve(name, &mut out);
        (out, known)
    }

    #[test]
    fn references_of_all_kinds_are_resolved() {
        assert_eq!(text("amp"), ("&".into(), true));
        assert_eq!(text("#233"), ("é".into(), true));
        assert_eq!(text("#xE9"), ("é".into(), true));
        assert_eq!(text("nbsp"), ("\u{a0}".into(), true));
        assert_eq!(text("eacute"), ("é".into(), true));
    }

    #[test]
    fn what_stands_for_nothing_stays_as_it_was() {
        for name in ["publisher", "#0", "#x1F", "#xD800", "#+9", "", " T plc", "#99999999999"] {
            assert_eq!(text(name), (format!("&{name};"), false));
        }
    }

    #[test]
    fn an_attribute_is_one_line() {
        let (mut out, mut unknown) = (String::new(), Vec::new());
        attribute_value("a\r\n&lt;b&x; & \tc;", &mut out, |name| unknown.push(name.to_owned()));
        assert_eq!(out, "a <b&x; &  c;");
        assert_eq!(unknown, ["x", ""]);
    }
}
