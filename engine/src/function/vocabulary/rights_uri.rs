//! `rights_uri(x)`: the rights statement or licence that a text names by its URI.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::StringBuilder;
use regex::Regex;

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel};
use crate::function::polymorphic::Texts;

pub(crate) static FUNCTION: Function = Function {
    name: "rights_uri",
    family: Family::Vocabularies,
    summary: "The first URI of rightsstatements.org or Creative Commons in the values, as the vocabulary `rights_uri` writes it (http, no www, \
              /vocab/, trailing slash); NULL where there is none that the vocabulary has. Further URIs are ignored: a record with two is for a \
              rule of the target to report.",
    parameters: &[Parameter::required("x", Accepts::Text, "rights, as a URI or with one somewhere in the text")],
    returns: Returns::Text,
    bind: |_| {
        kernel(|arguments| {
            let texts = Texts::new(&arguments[0])?;
            let mut out = StringBuilder::with_capacity(texts.len(), texts.len() * 48);
            for row in 0..texts.len() {
                out.append_option(texts.row(row).find_map(rights_uri));
            }
            Ok(Arc::new(out.finish()))
        })
    },
    examples: &[
        ("rights_uri(['https://www.rightsstatements.org/page/InC/1.0/?language=en'])", "http://rightsstatements.org/vocab/InC/1.0/"),
        (
            "rights_uri('Licensed under https://creativecommons.org/licenses/by/4.0/deed.de.')",
            "http://creativecommons.org/licenses/by/4.0/",
        ),
        ("rights_uri('All rights reserved')", "NULL"),
    ],
    see_also: &["dcmi_type"],
};

#[expect(clippy::expect_used, reason = "a constant pattern")]
static URI: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(rightsstatements\.org|creativecommons\.org)/+((?:[a-z0-9.+-]+/*)+)").expect("the pattern is well formed")
});

/// Host and path of each URI of the list in lower case, without the slash at the end.
static KNOWN: LazyLock<HashMap<String, &str>> = LazyLock::new(|| {
    let list = schemas::vocabulary::text("rights_uri").unwrap_or_default();
    let key = |uri: &str| uri.trim_start_matches("http://").trim_end_matches('/').to_lowercase();
    list.lines().skip(1).map(|uri| (key(uri), uri)).collect()
});

/// The first URI in `text` that is on the list, as it stands there.
fn rights_uri(text: &str) -> Option<&'static str> {
    URI.captures_iter(text).find_map(|uri| known(&uri[1], &uri[2]))
}

fn known(host: &str, path: &str) -> Option<&'static str> {
    let mut key = host.to_ascii_lowercase();
    for segment in path.split('/').map(|segment| segment.trim_end_matches(['.', '-', '+'])).filter(|segment| !segment.is_empty()) {
        let segment = segment.to_ascii_lowercase();
        // The legal text, its summary and its machine-readable form are the same licence.
        if ["deed", "legalcode", "rdf"].iter().any(|page| segment.starts_with(page)) {
            break;
        }
        key.push('/');
        key.push_str(if segment == "page" { "vocab" } else { &segment });
    }
    KNOWN.get(&key).copied()
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, rights_uri};

    /// How the shipped list is made: the statements, and each licence in each version and jurisdiction it was ported to.
    fn generate() -> Vec<String> {
        let statements =
            ["InC", "InC-OW-EU", "InC-EDU", "InC-NC", "InC-RUU", "NoC-CR", "NoC-NC", "NoC-OKLR", "NoC-US", "CNE", "UND", "NKC"];
        let licences = ["by", "by-nc", "by-nc-nd", "by-nc-sa", "by-nd", "by-sa"];
        let retired = ["nc", "nc-sa", "nd", "nd-nc", "sa"];
        let versions = [
            ("1.0", "fi il nl"),
            ("2.0", "at au be br ca cl de es fr hr it jp kr nl pl tw uk za"),
            ("2.1", "au es jp"),
            ("2.5", "ar au bg br ca ch cn co dk es hr hu il in it mk mt mx my nl pe pl pt scotland se si tw za"),
            (
                "3.0",
                "am at au az br ch cl cn cr cz de ec ee eg es fr ge gr gt hk hr ie igo it lu nl no nz ph pl pr pt ro rs sg th tw ug us ve vn za",
            ),
            ("4.0", ""),
        ];
        let mut uris: Vec<String> = statements.iter().map(|name| format!("http://rightsstatements.org/vocab/{name}/1.0/")).collect();
        uris.extend(["zero", "mark"].map(|name| format!("http://creativecommons.org/publicdomain/{name}/1.0/")));
        for (version, jurisdictions) in versions {
            let mut add = |licence: &str, place: &str| {
                // In version 1.0 the parts stood in another order.
                let licence = if version == "1.0" { licence.replace("nc-nd", "nd-nc") } else { licence.to_owned() };
                uris.push(format!("http://creativecommons.org/licenses/{licence}/{version}/{place}"));
            };
            for licence in licences {
                if version != "2.1" {
                    add(licence, "");
                }
                jurisdictions.split_whitespace().for_each(|place| add(licence, &format!("{place}/")));
            }
            if version == "1.0" {
                retired.iter().for_each(|licence| add(licence, ""));
            }
        }
        uris.sort();
        uris
    }

    #[test]
    fn the_shipped_list_is_what_the_rule_generates() {
        let text: String = generate().iter().map(|uri| format!("{uri}\n")).collect();
        assert_eq!(schemas::vocabulary::text("rights_uri").unwrap(), format!("value\n{text}"));
        assert_eq!(KNOWN.len(), generate().len());
    }

    #[test]
    fn every_way_of_writing_a_uri_leads_to_the_one_on_the_list() {
        for (text, expected) in [
            ("http://rightsstatements.org/vocab/InC/1.0/", "http://rightsstatements.org/vocab/InC/1.0/"),
            ("https://rightsstatements.org/vocab/inc-ow-eu/1.0", "http://rightsstatements.org/vocab/InC-OW-EU/1.0/"),
            ("see (http://rightsstatements.org/page/NoC-US/1.0/).", "http://rightsstatements.org/vocab/NoC-US/1.0/"),
            ("<a href=\"https://creativecommons.org/licenses/by-nc/3.0/us/\">", "http://creativecommons.org/licenses/by-nc/3.0/us/"),
            ("creativecommons.org//licenses/by/4.0/legalcode", "http://creativecommons.org/licenses/by/4.0/"),
            ("https://creativecommons.org/publicdomain/zero/1.0/deed.en,", "http://creativecommons.org/publicdomain/zero/1.0/"),
            ("http://creativecommons.org/about http://rightsstatements.org/vocab/UND/1.0/", "http://rightsstatements.org/vocab/UND/1.0/"),
        ] {
            assert_eq!(rights_uri(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_on_the_list_is_no_rights_uri() {
        for text in [
            "http://rightsstatements.org/vocab/InC/9.9/",
            "http://rightsstatements.org/vocab/InC/",
            "http://creativecommons.org/licenses/by/3.0/xx/",
            "http://creativecommons.org/licenses/by-nd-nc/4.0/",
            "Copyright unknown",
            "",
        ] {
            assert_eq!(rights_uri(text), None, "{text}");
        }
    }
}
