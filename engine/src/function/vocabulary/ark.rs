//! `ark(x)`: the first Archival Resource Key.

use std::sync::{Arc, LazyLock};

use arrow::array::StringBuilder;
use regex::Regex;

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel};
use crate::function::polymorphic::Texts;

pub(crate) static FUNCTION: Function = Function {
    name: "ark",
    family: Family::Identifiers,
    summary: "The first ARK in the values, also inside a URL, as `ark:/NAAN/name`; NULL where there is none. What follows the name after a \
              further slash (parts, page names of a URL) is left out.",
    parameters: &[Parameter::required("x", Accepts::Text, "identifiers or URLs")],
    returns: Returns::Text,
    bind: |_| {
        kernel(|arguments| {
            let texts = Texts::new(&arguments[0])?;
            let mut out = StringBuilder::with_capacity(texts.len(), texts.len() * 24);
            let mut found = String::new();
            for row in 0..texts.len() {
                found.clear();
                out.append_option(texts.row(row).any(|value| find_ark(value, &mut found)).then_some(&found));
            }
            Ok(Arc::new(out.finish()))
        })
    },
    examples: &[
        ("ark(['1934.12', 'https://oac.example.org/ark:/13030/kt7v19q5nf/?brand=oac4'])", "ark:/13030/kt7v19q5nf"),
        ("ark('ark:21198/zz002hnvbh')", "ark:/21198/zz002hnvbh"),
        ("ark('bark:/1/2')", "NULL"),
    ],
    see_also: &["ucldc_id"],
};

/// The name assigning authority has five digits or nine; a name has letters, digits and `=~*+@_$.-%`.
#[expect(clippy::expect_used, reason = "a constant pattern")]
static ARK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:^|[^a-z0-9])ark:/?([0-9]{5}|[0-9]{9})/([a-z0-9=~*+@_$.%-]+)").expect("the pattern is well formed")
});

/// Writes the first ARK of `text` to `out`; false where there is none.
pub(super) fn find_ark(text: &str, out: &mut String) -> bool {
    if !text.contains(':') {
        return false;
    }
    let found = ARK.captures_iter(text).find_map(|found| {
        let (authority, name) = (found.get(1)?.as_str(), found.get(2)?.as_str().trim_end_matches(['.', '-', '*', '+', '=']));
        (!name.is_empty()).then_some((authority, name))
    });
    let Some((authority, name)) = found else { return false };
    out.extend(["ark:/", authority, "/", name]);
    true
}

#[cfg(test)]
mod tests {
    use super::find_ark;

    fn ark(text: &str) -> Option<String> {
        let mut out = String::new();
        find_ark(text, &mut out).then_some(out)
    }

    #[test]
    fn an_ark_is_found_wherever_it_stands() {
        for text in [
            "ark:/13030/kt7v19q5nf",
            "ark:13030/kt7v19q5nf",
            "ARK:/13030/kt7v19q5nf.",
            "http://n2t.net/ark:/13030/kt7v19q5nf",
            "(see https://calisphere.org/item/ark:/13030/kt7v19q5nf/)",
            "ark:/13030/kt7v19q5nf/entire_text/",
        ] {
            assert_eq!(ark(text).as_deref(), Some("ark:/13030/kt7v19q5nf"), "{text}");
        }
        assert_eq!(ark("ark:/13030/kt7v19q5nf_v1.2").as_deref(), Some("ark:/13030/kt7v19q5nf_v1.2"));
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in ["spark:/13030/x", "ark:/13030/", "ark:/130301/x", "ark", "ark:/13030/..", ""] {
            assert_eq!(ark(text), None, "{text}");
        }
    }
}
