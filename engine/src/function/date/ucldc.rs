//! The dates that Calisphere shows today, mode `'ucldc'`: for comparison with what is published, not for new mappings.
//!
//! Its rules lose months and invent days. They are reproduced from their description in the field's documentation:
//! `c` counts as circa wherever it stands, words go to a lenient parser that fills what is missing with 01, days that do not
//! exist roll over, and centuries, eras and unknown digits are not understood.

use std::borrow::Cow;

use super::calendar::Point;
use super::entry::Entry;
use super::reading::{Form, Reading, read};
use super::word::{Word, meaning};

/// The entries of texts that are trimmed and no two alike: sorted by begin, those without one last.
pub(super) fn entries<'a>(texts: &[&'a str]) -> Vec<Entry<'a>> {
    let entry = |text: &&'a str| Some(Entry { display: Cow::Borrowed(*text), reading: Some(interpret(text)?) });
    let mut entries: Vec<Entry<'a>> = texts.iter().filter_map(entry).collect();
    let begin = |entry: &Entry<'_>| entry.reading.and_then(|reading| reading.begin);
    entries.sort_by_key(|entry| (begin(entry).is_none(), begin(entry)));
    entries
}

/// `None` where the value is dropped.
fn interpret(text: &str) -> Option<Reading> {
    let lower = text.to_lowercase();
    let circa = lower.contains('c') && !["circa", "century", "dec"].iter().any(|word| lower.contains(word));
    let unsure: &[char] = &['[', ']', '(', ')', '?', '~'];
    let mut plain = text.replace("ca.", "").replace(unsure, "");
    if circa {
        plain.retain(|letter| letter != 'c');
    }
    let plain = plain.trim();
    let is_plain = plain.split(|letter: char| !letter.is_alphabetic()).all(|word| word.is_empty() || is_plain_word(word));
    let reading = if is_plain { month_or_range(plain).or_else(|| rolled_over(plain)).or_else(|| read(plain)) } else { None };
    let reading = reading.filter(|reading| reading.form != Form::Century);
    let reading = reading.or_else(|| lenient(plain))?;
    Some(Reading {
        circa: reading.circa || circa || lower.contains("circa") || text.contains('~'),
        uncertain: reading.uncertain || text.contains('?'),
        ..reading
    })
}

/// Words that its first parser knows; all others are left to the lenient one.
fn is_plain_word(word: &str) -> bool {
    word == "s" || word == "T" || word == "Z" || matches!(meaning(word), Some(Word::Month(_) | Word::Between | Word::And | Word::To))
}

/// `YYYY-N`: a month if N has one digit, or is 01 to 12 and not above the year's last two digits; otherwise a range.
fn month_or_range(text: &str) -> Option<Reading> {
    let (year, number) = text.split_once('-')?;
    if year.len() != 4 || !(1..=2).contains(&number.len()) || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return None;
    }
    let (year, digits): (i32, usize) = (year.parse().ok()?, number.len());
    let number: u8 = number.parse().ok()?;
    let point =
        Point::month(year, number).filter(|_| number > 0 && (digits == 1 || i32::from(number) > 12 || i32::from(number) <= year % 100));
    // The documented example: 1905-06 is 1905 to 1906, because 6 is above 5.
    match point {
        Some(point) => Some(Reading::plain(Some(point), Some(point))),
        None => {
            let end = year - year % 100 + i32::from(number);
            (end > year).then(|| Reading::plain(Some(Point::year(year)), Some(Point::year(end))))
        }
    }
}

/// A day that its month does not have: `1934-11-31` is `1934-12-01`.
fn rolled_over(text: &str) -> Option<Reading> {
    let mut numbers = text.split(['-', '/']);
    let parts = (numbers.next()?, numbers.next()?, numbers.next()?);
    if numbers.next().is_some() {
        return None;
    }
    let (year, month, day) = if parts.0.len() == 4 { parts } else { (parts.2, parts.0, parts.1) };
    let (year, month, day): (i32, u8, u8) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    if year < 1000 || !(1..=12).contains(&month) || !(29..=31).contains(&day) || Point::day(year, month, day).is_some() {
        return None;
    }
    let last = (28..day).rev().find(|last| Point::day(year, month, *last).is_some())?;
    // Only months other than December have fewer than 31 days.
    let point = Point::day(year, month + 1, day - last);
    Some(Reading::plain(point, point))
}

/// Picks a year, a month name and a day out of any text, and fills what is missing with 01; `None` without a year.
fn lenient(text: &str) -> Option<Reading> {
    let (mut year, mut month, mut day) = (None, None, None);
    for part in text.split(|letter: char| !letter.is_alphanumeric()) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            match part.len() {
                4 => year = year.or(part.parse().ok().filter(|year| *year > 0)),
                1 | 2 => day = day.or(part.parse().ok().filter(|day| (1..=31).contains(day))),
                _ => {}
            }
        } else if let Some(Word::Month(number)) = meaning(part) {
            month = month.or(Some(number));
        }
    }
    let (year, month) = (year?, month.unwrap_or(1));
    let point = Point::day(year, month, day.unwrap_or(1)).or_else(|| Point::day(year, month, 1));
    Some(Reading::plain(point, point))
}

#[cfg(test)]
mod tests {
    use super::entries;

    fn shown(values: &[&str]) -> Vec<String> {
        entries(values)
            .iter()
            .map(|entry| {
                let point = |point: Option<super::Point>| point.map_or_else(String::new, |point| point.to_string());
                let reading = entry.reading.unwrap();
                format!("{} = {}..{}", entry.display, point(reading.begin), point(reading.end))
            })
            .collect()
    }

    #[test]
    fn the_documented_differences_are_reproduced() {
        for (text, expected) in [
            ("12 Oct 1871", "1871-01-12..1871-01-12"),
            ("12 Dec 1871", "1871-12-12..1871-12-12"),
            ("circa 1844", "1844-01-01..1844-01-01"),
            ("1934-11-31", "1934-12-01..1934-12-01"),
            ("1872-9", "1872-09..1872-09"),
            ("1905-06", "1905..1906"),
            ("1912-06", "1912-06..1912-06"),
            ("1872-76", "1872..1876"),
            ("ca. 1913", "1913..1913"),
            ("195-", "1950..1959"),
            ("between 1890 and 1895", "1890..1895"),
        ] {
            assert_eq!(shown(&[text]), [format!("{text} = {expected}")], "{text}");
        }
    }

    #[test]
    fn what_has_nothing_of_a_date_is_dropped() {
        assert_eq!(shown(&["no date recorded", "19th century", "19--", "44 BC", "199u"]), Vec::<String>::new());
    }

    #[test]
    fn entries_are_sorted_by_begin() {
        assert_eq!(shown(&["1934", "1871"]), ["1871 = 1871..1871", "1934 = 1934..1934"]);
    }
}
