//! A language by any of its codes or names: ISO 639-1, -2 (both its lists), -3, a locale, the English name.
//!
//! The table is that of ISO 639-3 in the crate `isolang`; here are only what that standard does not have: the twenty
//! bibliographic codes of ISO 639-2, codes that library catalogues kept after they were withdrawn, and names in daily use.

use std::collections::HashMap;
use std::sync::LazyLock;

use isolang::Language;

/// The longest name in the table is shorter.
const LONGEST: usize = 80;

#[rustfmt::skip]
static CODES: &[(&str, &str)] = &[
    // ISO 639-2/B and its terminological code, which is that of ISO 639-3.
    ("alb", "sqi"), ("arm", "hye"), ("baq", "eus"), ("bur", "mya"), ("chi", "zho"), ("cze", "ces"), ("dut", "nld"), ("fre", "fra"),
    ("geo", "kat"), ("ger", "deu"), ("gre", "ell"), ("ice", "isl"), ("mac", "mkd"), ("mao", "mri"), ("may", "msa"), ("per", "fas"),
    ("rum", "ron"), ("slo", "slk"), ("tib", "bod"), ("wel", "cym"),
    // Withdrawn, and still in catalogues.
    ("scr", "hrv"), ("scc", "srp"), ("mol", "ron"), ("iw", "heb"), ("ji", "yid"),
];

#[rustfmt::skip]
static NAMES: &[(&str, &str)] = &[
    ("bangla", "ben"), ("bokmål", "nob"), ("burmese", "mya"), ("cantonese", "yue"), ("castilian", "spa"), ("chinese (mandarin)", "cmn"),
    ("chinese (cantonese)", "yue"), ("farsi", "fas"), ("flemish", "nld"), ("frisian", "fry"), ("gaelic", "gla"), ("greek", "ell"),
    ("greenlandic", "kal"), ("haitian creole", "hat"), ("khmer", "khm"), ("kurmanji", "kmr"), ("mandarin", "cmn"), ("nynorsk", "nno"),
    ("odia", "ori"), ("old church slavonic", "chu"), ("church slavonic", "chu"), ("pashto", "pus"), ("punjabi", "pan"),
    ("sinhalese", "sin"), ("slovene", "slv"), ("sami", "sme"), ("taiwanese", "nan"), ("uyghur", "uig"), ("valencian", "cat"),
    ("no linguistic content", "zxx"), ("multiple languages", "mul"), ("undetermined", "und"), ("old norse", "non"), ("min nan", "nan"),
];

static BY_NAME: LazyLock<HashMap<String, Language>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for language in Language::match_names(|_| true) {
        let name = language.to_name().to_lowercase();
        // "Modern Greek (1453-)" is also known without its dates, where no other language has that name.
        if let Some((plain, _)) = name.split_once(" (") {
            names.entry(plain.to_owned()).or_insert(language);
        }
        names.insert(name, language);
    }
    names.extend(NAMES.iter().filter_map(|(name, code)| Some(((*name).to_owned(), Language::from_639_3(code)?))));
    names
});

/// What a value is made of: languages, or text that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Language(Language),
    Unknown(&'a str),
}

/// Finds the languages that `value` names, in order. A part that names none is reported as it is.
pub(super) fn languages<'a>(value: &'a str, report: &mut dyn FnMut(Found<'a>)) {
    for part in value.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        if let Some(language) = language(part) {
            report(Found::Language(language));
        } else if let Some(several) = all_languages(part) {
            several.into_iter().for_each(|language| report(Found::Language(language)));
        } else {
            report(Found::Unknown(part));
        }
    }
}

/// `English, French and Latin`, `eng/fre`, and `engfre` as old MARC records write it; only if every part is a language.
fn all_languages(value: &str) -> Option<Vec<Language>> {
    if value.len().is_multiple_of(3) && (6..=30).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_lowercase()) {
        let codes = (0..value.len()).step_by(3).map(|at| code(&value[at..at + 3]).filter(|language| language.to_639_1().is_some()));
        return codes.collect();
    }
    if !value.contains([',', '/', '|', '&', '+']) && !value.contains(" and ") {
        return None;
    }
    let and = value.replace(" and ", ",");
    let parts: Vec<&str> = and.split([',', '/', '|', '&', '+']).map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.len() < 2 { None } else { parts.into_iter().map(language).collect() }
}

/// The language of one code, locale, URI or name.
fn language(value: &str) -> Option<Language> {
    if value.len() > LONGEST {
        return None;
    }
    let value = value.trim_end_matches(['.', ',']).trim_end();
    if let Some((_, code_of_uri)) = value.strip_prefix("http").and_then(|uri| uri.trim_end_matches('/').rsplit_once('/')) {
        return code(&code_of_uri.to_ascii_lowercase());
    }
    let mut lower = [0; LONGEST];
    if value.is_ascii() {
        let lower = &mut lower[..value.len()];
        lower.copy_from_slice(value.as_bytes());
        lower.make_ascii_lowercase();
        return known(std::str::from_utf8(lower).ok()?);
    }
    known(&value.to_lowercase())
}

fn known(value: &str) -> Option<Language> {
    code(value)
        .or_else(|| locale(value))
        .or_else(|| BY_NAME.get(value.strip_suffix(" language").unwrap_or(value)).copied())
        .or_else(|| inverted(value))
}

fn code(value: &str) -> Option<Language> {
    match value.len() {
        2 | 3 => {
            let own = CODES.iter().find(|(old, _)| *old == value).and_then(|(_, code)| Language::from_639_3(code));
            own.or_else(|| Language::from_639_3(value)).or_else(|| Language::from_639_1(value))
        }
        _ => None,
    }
}

/// `en_us`, `zh-hant-tw`, `en_us.utf-8`: the first part is the language.
fn locale(value: &str) -> Option<Language> {
    let (first, region) = value.split_once(['_', '-'])?;
    let region = region.split(['_', '-', '.', '@']).next()?;
    let is_region = (2..=4).contains(&region.len()) && region.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_region.then(|| code(first))?
}

/// `greek, modern (1453- )`, `english, old`: as ISO 639-2 writes its names.
fn inverted(value: &str) -> Option<Language> {
    let plain = value.split(" (").next()?;
    let (noun, kind) = plain.split_once(", ")?;
    BY_NAME.get(format!("{kind} {noun}").as_str()).copied()
}

#[cfg(test)]
mod tests {
    use super::{BY_NAME, CODES, Found, NAMES, languages};
    use isolang::Language;

    fn codes(value: &str) -> Vec<String> {
        let mut found = Vec::new();
        languages(value, &mut |part| {
            found.push(match part {
                Found::Language(language) => language.to_639_3().to_owned(),
                Found::Unknown(text) => format!("?{text}"),
            });
        });
        found
    }

    #[test]
    fn every_code_of_our_own_stands_for_a_language() {
        for (_, code) in CODES.iter().chain(NAMES) {
            assert!(Language::from_639_3(code).is_some(), "{code}");
        }
        assert_eq!(
            CODES.iter().filter(|(old, code)| old.len() == 3 && code.len() == 3 && !["scr", "scc", "mol"].contains(old)).count(),
            20
        );
        assert!(BY_NAME.len() > 7000);
    }

    #[test]
    fn codes_of_all_three_parts_are_known() {
        for (value, expected) in
            [("en", "eng"), ("eng", "eng"), ("ENG", "eng"), ("fre", "fra"), ("ger", "deu"), ("chi", "zho"), ("cmn", "cmn")]
        {
            assert_eq!(codes(value), [expected], "{value}");
        }
    }

    #[test]
    fn locales_uris_and_names_are_known() {
        for (value, expected) in [
            ("en_US", "eng"),
            ("pt-BR", "por"),
            ("zh-Hant-TW", "zho"),
            ("http://id.loc.gov/vocabulary/iso639-2/spa", "spa"),
            ("English.", "eng"),
            ("Greek, Modern (1453- )", "ell"),
            ("English, Old (ca. 450-1100)", "ang"),
            ("Norwegian Bokmål", "nob"),
            ("Tagalog", "tgl"),
            ("Farsi", "fas"),
            ("English language", "eng"),
        ] {
            assert_eq!(codes(value), [expected], "{value}");
        }
    }

    #[test]
    fn several_languages_in_one_value_are_taken_apart() {
        assert_eq!(codes("eng;fre"), ["eng", "fra"]);
        assert_eq!(codes("English, French and Latin"), ["eng", "fra", "lat"]);
        assert_eq!(codes("engfre"), ["eng", "fra"]);
        assert_eq!(codes("Spanish; Klingonish"), ["spa", "?Klingonish"]);
    }

    #[test]
    fn what_names_no_language_is_left_alone() {
        for value in ["Tolowan?", "x", "in English and two others", "1934"] {
            assert_eq!(codes(value), [format!("?{value}")]);
        }
        assert!(codes(" ; ").is_empty());
    }
}
