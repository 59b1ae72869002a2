//! Dates in the Extended Date/Time Format, levels 0 and 1: ISO 8601-2:2019, and the draft of 2012 that sources still use.
//!
//! Of both: unknown digits are `X` or `u`, years of more than four digits begin with `Y` or `y`, an end is `..` or `open`
//! when there is none and empty or `unknown` when it is not known. Neither kind of end is a point in time here.

use super::calendar::Point;
use super::reading::{Form, Reading, season_months};

/// Reads an EDTF date or interval; `None` where it is none.
pub(super) fn read(text: &str) -> Option<Reading> {
    let text = text.trim();
    let Some((left, right)) = text.split_once('/') else { return date(text) };
    let (left, right) = (side(left)?, side(right)?);
    let (begin, end) = (left.and_then(|left| left.begin), right.and_then(|right| right.end));
    if begin.is_none() && end.is_none() || begin.zip(end).is_some_and(|(begin, end)| !begin.may_begin(end)) {
        return None;
    }
    let any = |test: fn(&Reading) -> bool| left.as_ref().is_some_and(test) || right.as_ref().is_some_and(test);
    Some(Reading { circa: any(|side| side.circa), uncertain: any(|side| side.uncertain), ..Reading::plain(begin, end) })
}

/// One side of an interval: a date, or an end that is open or unknown.
fn side(text: &str) -> Option<Option<Reading>> {
    match text {
        "" | ".." | "open" | "unknown" => Some(None),
        text => Some(Some(date(text)?)),
    }
}

fn date(text: &str) -> Option<Reading> {
    let plain = text.trim_end_matches(['?', '~', '%']);
    let sure = &text[plain.len()..];
    let (begin, end, form) = if let Some(year) = plain.strip_prefix(['y', 'Y']) { long_year(year)? } else { calendar(plain)? };
    let (circa, uncertain) = (sure.contains(['~', '%']), sure.contains(['?', '%']));
    Some(Reading { circa, uncertain, form, ..Reading::plain(Some(begin), Some(end)) })
}

type Span = (Point, Point, Form);

fn long_year(digits: &str) -> Option<Span> {
    let number = digits.strip_prefix('-').unwrap_or(digits);
    if number.len() < 5 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let year = Point::year(digits.parse().ok()?);
    Some((year, year, Form::Plain))
}

fn calendar(text: &str) -> Option<Span> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next(), parts.next());
    if parts.next().is_some() || year.len() != 4 || [month, day].into_iter().flatten().any(|part| part.len() != 2) {
        return None;
    }
    let known = year.trim_end_matches(['X', 'u']);
    let number = sign * number(known)?;
    let places = year.len() - known.len();
    if places > 0 {
        return (month.is_none() && sign > 0).then(|| unknown_digits(number, places))?;
    }
    let month = month.filter(|month| !is_unknown(month));
    let day = day.filter(|day| !is_unknown(day));
    let point = match (month, day) {
        (None, None) => Point::year(number),
        (None, Some(_)) => return None,
        (Some(month), None) => match month.parse().ok()? {
            season @ 21..=24 => {
                let (begin, end) = season_months(number, season)?;
                return Some((begin, end, Form::Season(season)));
            }
            month => Point::month(number, month).filter(|point| point.is_month())?,
        },
        (Some(month), Some(day)) => {
            let point = Point::day(number, month.parse().ok()?, day.parse().ok()?)?;
            (!point.is_year() && !point.is_month()).then_some(point)?
        }
    };
    Some((point, point, Form::Plain))
}

fn number(digits: &str) -> Option<i32> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn unknown_digits(known: i32, places: usize) -> Option<Span> {
    let (size, form) = match places {
        1 => (10, Form::Decade),
        2 => (100, Form::Century),
        _ => return None,
    };
    Some((Point::year(known * size), Point::year(known * size + size - 1), form))
}

fn is_unknown(part: &str) -> bool {
    matches!(part, "XX" | "uu")
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn levels_0_and_1_are_read_and_written_in_the_form_of_2019() {
        for (text, begin, end, written) in [
            ("1934", "1934", "1934", "1934"),
            ("1934-11-07", "1934-11-07", "1934-11-07", "1934-11-07"),
            ("-0043", "-0043", "-0043", "-0043"),
            ("199u", "1990", "1999", "199X"),
            ("19XX", "1900", "1999", "19XX"),
            ("1999-uu", "1999", "1999", "1999"),
            ("1999-01-uu", "1999-01", "1999-01", "1999-01"),
            ("y19840", "+19840", "+19840", "Y19840"),
            ("Y-17000", "-17000", "-17000", "Y-17000"),
            ("1984?", "1984", "1984", "1984?"),
            ("2004-06~", "2004-06", "2004-06", "2004-06~"),
            ("2004-06?~", "2004-06", "2004-06", "2004-06%"),
            ("1984-21", "1984-03", "1984-05", "1984-21"),
            ("1964/2008", "1964", "2008", "1964/2008"),
            ("1984~/2004-06", "1984", "2004-06", "1984~/2004-06~"),
        ] {
            let reading = read(text).unwrap_or_else(|| panic!("{text}"));
            let ends = (reading.begin.unwrap().to_string(), reading.end.unwrap().to_string());
            assert_eq!((ends.0.as_str(), ends.1.as_str(), reading.to_string().as_str()), (begin, end, written), "{text}");
        }
    }

    #[test]
    fn open_and_unknown_ends_are_no_points() {
        for text in ["2004-06/open", "2004-06/..", "2004-06/unknown", "2004-06/"] {
            assert_eq!(read(text).unwrap().to_string(), "2004-06/..", "{text}");
        }
        assert_eq!(read("unknown/2006").unwrap().to_string(), "../2006");
    }

    #[test]
    fn other_notations_are_left_to_the_reader_of_free_text() {
        for text in ["ca. 1913", "1872-76-1", "1934-13", "1934-11-31", "unknown/open", "1999-uu-07", "193", "", "/", "2004/1999", "1934-00"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
