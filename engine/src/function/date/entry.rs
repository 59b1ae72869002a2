//! A record's dates: one entry per date, in the order of the source, with what it says and what was understood of it.

use std::borrow::Cow;

use super::reading::{Reading, plain_year, read};
use super::{edtf, ucldc};

/// Which rules read the dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// What is right.
    Correct,
    /// What Calisphere shows today.
    Ucldc,
}

/// One date of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// As the source wrote it.
    pub display: Cow<'a, str>,
    /// `None` where it could not be interpreted.
    pub reading: Option<Reading>,
}

/// Reads a date in any form that is known.
pub(super) fn interpret(text: &str) -> Option<Reading> {
    read(text).or_else(|| edtf::read(text))
}

/// Reads a date of which EDTF has the first say: `1919-21` is then the spring of 1919.
pub(super) fn interpret_edtf_first(text: &str) -> Option<Reading> {
    edtf::read(text).or_else(|| read(text))
}

/// The entries of a record's values.
pub(super) fn entries<'a>(values: impl Iterator<Item = &'a str>, mode: Mode) -> Vec<Entry<'a>> {
    let mut texts: Vec<&str> = Vec::new();
    for text in values.flat_map(|value| value.split(';')).map(str::trim) {
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    if let Some((first, last)) = ascending_years(&texts) {
        return vec![Entry { display: Cow::Owned(format!("{first}-{last}")), reading: read(&format!("{first}-{last}")) }];
    }
    match mode {
        Mode::Correct => texts.into_iter().map(|text| Entry { display: Cow::Borrowed(text), reading: interpret(text) }).collect(),
        Mode::Ucldc => ucldc::entries(&texts),
    }
}

/// Sources list the years of a range one by one.
fn ascending_years<'a>(texts: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let (first, last) = (texts.first()?, texts.last()?);
    let plain = texts.len() > 1 && texts.iter().all(|text| plain_year(text).is_some());
    (plain && texts.is_sorted()).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts made of what dates are made of, so that many of them are dates.
    fn date_like() -> impl Strategy<Value = String> {
        let parts = [
            "1871", "1872", "1934", "0079", "44", "12", "9", "31", "07", "184", "19", "19340712", "-", "–", "/", ".", ",", " ", " ", "?",
            "~", "[", ")", "s", "'s", "ca.", "c", "Oct", "août", "XIX", "century", "B.C.", "AD", "before", "after", "between", " and ",
            " or ", " to ", "until", "present", "spring", "th", "er", "u", "X", "y19840", "open", "unknown", "..", "T00:00", "undated",
            "bulk", "printed", "ß", "\u{301}", "年",
        ];
        prop::collection::vec(prop::sample::select(parts.to_vec()), 0..9).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn edtf_says_what_was_read(text in date_like()) {
            for reading in [interpret(&text), interpret_edtf_first(&text)].into_iter().flatten() {
                prop_assert!(reading.begin.is_some() || reading.end.is_some());
                prop_assert!(reading.begin.zip(reading.end).is_none_or(|(begin, end)| begin.may_begin(end)));
                let again = edtf::read(&reading.to_string()).expect("what is written can be read");
                prop_assert_eq!((again.begin, again.end, again.circa, again.uncertain), (reading.begin, reading.end, reading.circa, reading.uncertain));
            }
        }

        #[test]
        fn any_text_is_kept_and_none_throws(values in prop::collection::vec(prop_oneof![date_like(), any::<String>()], 0..4)) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let found = entries(values.iter().copied(), Mode::Correct);
            if found.len() != 1 {
                for part in values.iter().flat_map(|value| value.split(';')).map(str::trim).filter(|part| !part.is_empty()) {
                    prop_assert!(found.iter().any(|entry| entry.display == part));
                }
            }
            entries(values.iter().copied(), Mode::Ucldc);
        }
    }

    fn shown(values: &[&str]) -> Vec<String> {
        let show = |entry: &Entry<'_>| match entry.reading {
            Some(reading) => format!("{} = {reading}", entry.display),
            None => entry.display.to_string(),
        };
        entries(values.iter().copied(), Mode::Correct).iter().map(show).collect()
    }

    #[test]
    fn ascending_years_are_one_range_and_others_are_not() {
        assert_eq!(shown(&["1871", "1872", "1875"]), ["1871-1875 = 1871/1875"]);
        assert_eq!(shown(&["1871; 1872"]), ["1871-1872 = 1871/1872"]);
        assert_eq!(shown(&["1875", "1871"]), ["1875 = 1875", "1871 = 1871"]);
        assert_eq!(shown(&["1871", "1871"]), ["1871 = 1871"]);
        assert_eq!(shown(&["1871", "ca. 1875"]), ["1871 = 1871", "ca. 1875 = 1875~"]);
    }

    #[test]
    fn every_part_is_kept_even_if_nothing_is_understood() {
        assert_eq!(
            shown(&["1872-76; 10/9/1934", " ; no date recorded"]),
            ["1872-76 = 1872/1876", "10/9/1934 = 1934-10-09", "no date recorded"]
        );
    }

    #[test]
    fn edtf_is_understood_where_free_text_is_not() {
        assert_eq!(shown(&["y19840", "2004-06/open", "1919-21"]), ["y19840 = Y19840", "2004-06/open = 2004-06/..", "1919-21 = 1919/1921"]);
        assert_eq!(interpret_edtf_first("1919-21").unwrap().to_string(), "1919-21");
    }
}
