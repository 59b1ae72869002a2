//! What a date's text means: first and last point, and how sure it is.
//!
//! [`read`] understands what cataloguers write; [`super::edtf`] understands the notation made for machines. A text that
//! fits no form is no date: nothing is guessed from a year that stands somewhere in a sentence.

use std::fmt;

use super::calendar::Point;
use super::token::Token::{
    self, After, AfterChrist, And, Before, BeforeChrist, Between, Century, Comma, Compact, Dash, Decade, Dot, Hundred, Month, Open, Or,
    Roman, Season, ShortDecade, Slash, Small, Three, To, Until, Year,
};
use super::token::tokenize;

/// A date as understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub begin: Option<Point>,
    pub end: Option<Point>,
    pub circa: bool,
    pub uncertain: bool,
    pub form: Form,
}

/// How EDTF writes it, where that is not plainly begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    /// `184X`
    Decade,
    /// `18XX`
    Century,
    /// `1984-21`
    Season(u8),
}

impl Reading {
    pub(super) fn plain(begin: Option<Point>, end: Option<Point>) -> Self {
        Self { begin, end, circa: false, uncertain: false, form: Form::Plain }
    }

    pub(super) fn is_approximate(&self) -> bool {
        self.circa || self.uncertain
    }
}

/// As EDTF (ISO 8601-2:2019, level 1).
impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sure = match (self.circa, self.uncertain) {
            (true, true) => "%",
            (true, false) => "~",
            (false, true) => "?",
            (false, false) => "",
        };
        match (self.form, self.begin) {
            (Form::Decade, Some(begin)) => return write!(f, "{:03}X{sure}", begin.year_number() / 10),
            (Form::Century, Some(begin)) => return write!(f, "{:02}XX{sure}", begin.year_number() / 100),
            (Form::Season(season), Some(begin)) => return write!(f, "{:04}-{season}{sure}", begin.year_number()),
            _ => {}
        }
        let side = |f: &mut fmt::Formatter<'_>, point: Option<Point>| match point {
            Some(point) if point.year_number().abs() > 9999 => write!(f, "Y{}{sure}", point.year_number()),
            Some(point) => write!(f, "{point}{sure}"),
            None => f.write_str(".."),
        };
        if self.begin.is_none() && self.end.is_none() {
            return Ok(());
        }
        side(f, self.begin)?;
        if self.begin != self.end {
            f.write_str("/")?;
            side(f, self.end)?;
        }
        Ok(())
    }
}

/// A date without open ends.
#[derive(Debug, Clone, Copy)]
struct Piece {
    begin: Point,
    end: Point,
    form: Form,
}

impl Piece {
    fn point(point: Point) -> Self {
        Self { begin: point, end: point, form: Form::Plain }
    }

    fn years(first: i32, last: i32) -> Self {
        Self { begin: Point::year(first), end: Point::year(last), form: Form::Plain }
    }
}

/// Reads a date as people write it; `None` where it is none.
pub(super) fn read(text: &str) -> Option<Reading> {
    let text = date_of_time(text.trim());
    if let Some(year) = plain_year(text) {
        return Some(Reading::plain(Some(Point::year(year)), Some(Point::year(year))));
    }
    let tokens = tokenize(text)?;
    let mut reading = open_range(&tokens.list).or_else(|| whole(&tokens.list).map(closed))?;
    reading.circa |= tokens.circa;
    reading.uncertain |= tokens.uncertain || tokens.list.contains(&Or);
    Some(reading)
}

/// Four digits and nothing else; most dates are.
pub(super) fn plain_year(text: &str) -> Option<i32> {
    if text.len() != 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|year| *year > 0)
}

/// A time after an ISO date says nothing that a catalogue needs.
fn date_of_time(text: &str) -> &str {
    let time = text.as_bytes().get(10..14);
    let is_time =
        time.is_some_and(|time| matches!(time[0], b'T' | b' ') && time[1].is_ascii_digit() && time[2].is_ascii_digit() && time[3] == b':');
    if is_time && text.as_bytes()[4] == b'-' && !text[14..].contains('/') { &text[..10] } else { text }
}

fn closed(piece: Piece) -> Reading {
    Reading { form: piece.form, ..Reading::plain(Some(piece.begin), Some(piece.end)) }
}

fn open_range(tokens: &[Token]) -> Option<Reading> {
    match tokens {
        [Before | Until, date @ ..] => Some(Reading::plain(None, Some(whole(date)?.end))),
        [After, date @ .., To | Until | Dash, Open] | [date @ .., To | Until | Dash, Open] | [date @ .., Dash] => {
            Some(Reading::plain(Some(single(date)?.begin), None))
        }
        [After, date @ ..] => match range(date) {
            Some(piece) => Some(closed(piece)),
            None => Some(Reading::plain(Some(single(date)?.begin), None)),
        },
        _ => None,
    }
}

fn whole(tokens: &[Token]) -> Option<Piece> {
    match tokens {
        [Between, dates @ ..] => range(dates),
        _ => single(tokens).or_else(|| range(tokens)).or_else(|| years(tokens)),
    }
}

/// A date that is not a range between two others.
fn single(tokens: &[Token]) -> Option<Piece> {
    let point = match *tokens {
        [Year(year)] => Some(Point::year(year)),
        [Month(month), Year(year)] | [Year(year), Month(month)] => Point::month(year, month),
        [Month(month), Dash | Slash, Year(year)] | [Year(year), Dash | Slash, Month(month)] => Point::month(year, month),
        [Year(year), Dash | Dot, Small(month, 2)] => Point::month(year, month),
        [Small(month, _), Dash | Slash | Dot, Year(year)] => Point::month(year, month),
        [Year(year), Dash, Small(month, _), Dash, Small(day, _)]
        | [Year(year), Slash, Small(month, _), Slash, Small(day, _)]
        | [Year(year), Dot, Small(month, _), Dot, Small(day, _)] => Point::day(year, month, day),
        [Small(day, _), Dot, Small(month, _), Dot, Year(year)] => Point::day(year, month, day),
        [Small(first, _), Slash, Small(second, _), Slash, Year(year)] | [Small(first, _), Dash, Small(second, _), Dash, Year(year)] => {
            // Month first, as in the United States, unless that cannot be.
            let (month, day) = if first > 12 { (second, first) } else { (first, second) };
            Point::day(year, month, day)
        }
        [Month(month), Small(day, _), Year(year)]
        | [Small(day, _), Month(month), Year(year)]
        | [Year(year), Month(month), Small(day, _)]
        | [Year(year), Small(day, _), Month(month)]
        | [Small(day, _), Dash | Slash, Month(month), Dash | Slash, Year(year)]
        | [Month(month), Dash | Slash, Small(day, _), Dash | Slash, Year(year)]
        | [Year(year), Dash | Slash, Month(month), Dash | Slash, Small(day, _)] => Point::day(year, month, day),
        [Small(day, _), Roman(month), Year(year)] => Point::day(year, month, day),
        [Compact(number)] => compact(number),
        _ => return span(tokens),
    };
    point.map(Piece::point)
}

/// Decades, centuries, seasons, and years of an era.
fn span(tokens: &[Token]) -> Option<Piece> {
    match *tokens {
        [Decade(first)] => Some(Piece { form: Form::Decade, ..Piece::years(first, first + 9) }),
        [Hundred(first)] => Some(Piece { form: Form::Century, ..Piece::years(first, first + 99) }),
        [Small(number, _) | Roman(number), Century] | [Century, Small(number, _) | Roman(number)] => century(number, false),
        [Small(number, _) | Roman(number), Century, era @ (BeforeChrist | AfterChrist)]
        | [Century, Small(number, _) | Roman(number), era @ (BeforeChrist | AfterChrist)] => century(number, era == BeforeChrist),
        [Season(season), Year(year)] | [Year(year), Season(season)] => season_of(year, season),
        [number, BeforeChrist] => Some(Piece::point(Point::year(1 - plain_number(number)?))),
        [number, AfterChrist] | [AfterChrist, number] => Some(Piece::point(Point::year(plain_number(number)?))),
        _ => None,
    }
}

fn plain_number(token: Token) -> Option<i32> {
    let number = match token {
        Year(year) | Three(year) => year,
        Small(number, _) => i32::from(number),
        _ => return None,
    };
    (number > 0).then_some(number)
}

fn compact(number: u32) -> Option<Point> {
    let part = |number: u32| u8::try_from(number % 100).ok();
    let year = i32::try_from(number / 10_000).ok().filter(|year| (1000..3000).contains(year))?;
    Point::day(year, part(number / 100)?, part(number)?)
}

/// As EDTF's `18XX`: the 19th century is 1800 to 1899. Before Christ it is counted in full hundreds: the 1st is 100 BC to 1 BC.
fn century(number: u8, before_christ: bool) -> Option<Piece> {
    let number = i32::from(number);
    if !(1..=21).contains(&number) {
        return None;
    }
    if before_christ {
        return Some(Piece::years(1 - number * 100, 1 - (number * 100 - 99)));
    }
    let first = (number - 1) * 100;
    Some(if first == 0 { Piece::years(1, 99) } else { Piece { form: Form::Century, ..Piece::years(first, first + 99) } })
}

/// Seasons of the northern half of the world, where the sources are; winter begins in December.
pub(super) fn season_months(year: i32, season: u8) -> Option<(Point, Point)> {
    let (first, last) = match season {
        21 => (3, (year, 5)),
        22 => (6, (year, 8)),
        23 => (9, (year, 11)),
        24 => (12, (year + 1, 2)),
        _ => return None,
    };
    Some((Point::month(year, first)?, Point::month(last.0, last.1)?))
}

fn season_of(year: i32, season: u8) -> Option<Piece> {
    let (begin, end) = season_months(year, season)?;
    Some(Piece { begin, end, form: Form::Season(season) })
}

/// Two dates with something between them, either of which may leave to the other what both have in common.
fn range(tokens: &[Token]) -> Option<Piece> {
    let words = |token: &Token| token.is_separator() && !token.is_mark();
    let by_words = (1..tokens.len()).filter(|at| words(&tokens[*at]));
    let by_marks = (1..tokens.len()).filter(|at| tokens[*at].is_separator() && tokens[*at].is_mark());
    by_words.chain(by_marks).find_map(|at| between(&tokens[..at], tokens[at], &tokens[at + 1..]))
}

fn between(left: &[Token], separator: Token, right: &[Token]) -> Option<Piece> {
    if let ([Year(year)], [Small(number, digits)]) = (left, right) {
        return short_end(*year, separator, *number, *digits);
    }
    if let (Or, [Small(..), Dash, ..]) = (separator, right) {
        // "1767 or 9 – 1818" is no September.
        return None;
    }
    if let ([Year(year) | Decade(year)], [ShortDecade(decade)]) = (left, right) {
        let last = year - year % 100 + i32::from(*decade) + 9;
        return (*year < last).then(|| Piece::years(*year, last));
    }
    let last = single(right).or_else(|| borrow((1..left.len()).rev().map(|count| (&left[..count], right))))?;
    let first = single(left).or_else(|| {
        let tails = (1..right.len()).map(|from| (left, &right[from..]));
        borrow(tails.filter(|(_, tail)| !tail[0].is_mark()))
    })?;
    let (begin, end) = (first.begin, last.end);
    begin.may_begin(end).then_some(Piece { begin, end, form: Form::Plain })
}

/// The first of the pairs that is a date when put together; the pairs that borrow most come first.
fn borrow<'a>(mut pairs: impl Iterator<Item = (&'a [Token], &'a [Token])>) -> Option<Piece> {
    pairs.find_map(|(head, tail)| single(&[head, tail].concat()))
}

/// `1872-76`, `1872-9`, `1934/35`: the end of a year, unless it is a month or a season.
fn short_end(year: i32, separator: Token, number: u8, digits: u8) -> Option<Piece> {
    let base = if digits == 2 { 100 } else { 10 };
    let last = year - year % base + i32::from(number);
    if last > year {
        return Some(Piece::years(year, last));
    }
    match number {
        1..=12 => Point::month(year, number).map(Piece::point),
        21..=24 if separator == Dash => season_of(year, number),
        _ => None,
    }
}

/// Two or more years, none before the one in front of it: from the first to the last.
fn years(tokens: &[Token]) -> Option<Piece> {
    let (first, mut last) = match *tokens {
        [Year(first), _, ..] => (first, first),
        _ => return None,
    };
    let mut separated = true;
    for token in &tokens[1..] {
        match *token {
            Year(year) if year >= last => (last, separated) = (year, true),
            Comma | And | Or if separated => separated = false,
            _ => return None,
        }
    }
    separated.then(|| Piece::years(first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begin and end as `1871..1875`, one point alone, an open end as nothing; then `~` or `?`.
    fn shown(text: &str) -> String {
        let Some(reading) = read(text) else { return "none".to_owned() };
        let point = |point: Option<Point>| point.map_or_else(String::new, |point| point.to_string());
        let (begin, end) = (point(reading.begin), point(reading.end));
        let sure = format!("{}{}", if reading.circa { "~" } else { "" }, if reading.uncertain { "?" } else { "" });
        if begin == end { format!("{begin}{sure}") } else { format!("{begin}..{end}{sure}") }
    }

    fn check(rows: &[(&str, &str)]) {
        let wrong: Vec<_> = rows.iter().filter(|(text, expected)| shown(text) != *expected).map(|(text, _)| (*text, shown(text))).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn qualifiers_are_ignored_but_noted() {
        check(&[
            ("1913", "1913"),
            ("ca. 1913", "1913~"),
            ("c1913", "1913~"),
            ("circa 1913", "1913~"),
            ("approximately August-September 1913", "1913-08..1913-09~"),
            ("[1913]", "1913"),
            ("[1913?]", "1913?"),
            ("1913~", "1913~"),
            ("©1913", "1913"),
            ("1913 or 1914", "1913..1914?"),
        ]);
    }

    #[test]
    fn days_are_read_in_many_orders() {
        check(&[
            ("10/9/1934", "1934-10-09"),
            ("23/9/1934", "1934-09-23"),
            ("9.10.1934", "1934-10-09"),
            ("1934/10/09", "1934-10-09"),
            ("1934-10-9", "1934-10-09"),
            ("19341009", "1934-10-09"),
            ("1934-10-09T04:05:06Z", "1934-10-09"),
            ("12 Oct 1871", "1871-10-12"),
            ("Oct. 12th, 1871", "1871-10-12"),
            ("Thursday, October 12, 1871", "1871-10-12"),
            ("1871 October 12", "1871-10-12"),
            ("12-Oct-1871", "1871-10-12"),
            ("12.X.1871", "1871-10-12"),
            ("12 de octubre de 1871", "1871-10-12"),
            ("1er août 1914", "1914-08-01"),
            ("12. März 1871", "1871-03-12"),
            ("1934-11-31", "none"),
            ("30/30/1934", "none"),
            ("10/9/34", "none"),
        ]);
    }

    #[test]
    fn months_and_seasons_stand_for_their_time() {
        check(&[
            ("1905-06", "1905-06"),
            ("June 1905", "1905-06"),
            ("1905 juin", "1905-06"),
            ("6/1905", "1905-06"),
            ("1905-06-00", "1905-06"),
            ("1905-00-00", "1905"),
            ("Spring 1905", "1905-03..1905-05"),
            ("winter 1905", "1905-12..1906-02"),
            ("0000", "none"),
        ]);
    }

    #[test]
    fn ranges_may_shorten_either_side() {
        check(&[
            ("1872-1876", "1872..1876"),
            ("1872 – 1876", "1872..1876"),
            ("1872--1876", "1872..1876"),
            ("1872-76", "1872..1876"),
            ("1890-95", "1890..1895"),
            ("1872-9", "1872..1879"),
            ("1919-21", "1919..1921"),
            ("1934/35", "1934..1935"),
            ("1970-08-01/02", "1970-08-01..1970-08-02"),
            ("1956-11-03/07", "1956-11-03..1956-11-07"),
            ("1970-08/09", "1970-08..1970-09"),
            ("1998-05-01 to 1998-06-02", "1998-05-01..1998-06-02"),
            ("between 1890 and 1895", "1890..1895"),
            ("from 1890 to 1895", "1890..1895"),
            ("von 1890 bis 1895", "1890..1895"),
            ("1890 bis 1895", "1890..1895"),
            ("Oct 12-15, 1871", "1871-10-12..1871-10-15"),
            ("12-15 October 1871", "1871-10-12..1871-10-15"),
            ("October 12 - November 3, 1871", "1871-10-12..1871-11-03"),
            ("1871 April 29 - May 9", "1871-04-29..1871-05-09"),
            ("1871 March 2-9", "1871-03-02..1871-03-09"),
            ("10/9/1934-10/12/1934", "1934-10-09..1934-10-12"),
            ("10/9-12/1934", "none"),
            ("1875-1871", "none"),
            ("1871, 1872, 1875", "1871..1875"),
            ("1871 1875", "1871..1875"),
            ("ca. 1973 ca. 1973", "1973~"),
            ("1767 or 9–1818", "none"),
            ("1947-1965, undated", "1947..1965"),
            ("1964 and undated", "1964"),
            ("1890-1920 (bulk 1911-1912)", "1890..1920"),
            ("bulk, 1911-1912", "1911..1912"),
            ("1894, printed 1921", "none"),
            ("(Print executed 1967)", "none"),
            ("printed 1921", "1921"),
            ("1875, 1871", "none"),
        ]);
    }

    #[test]
    fn open_ranges_have_one_end() {
        check(&[
            ("1872-", "1872.."),
            ("1872-present", "1872.."),
            ("since 1872", "1872.."),
            ("ca. after 1872", "1872..~"),
            ("before 1872", "..1872"),
            ("pre-1872", "..1872"),
            ("until March 1872", "..1872-03"),
        ]);
    }

    #[test]
    fn decades_and_centuries_are_spans() {
        check(&[
            ("1920s", "1920..1929"),
            ("1920's", "1920..1929"),
            ("early 1920s", "1920..1929~"),
            ("1920s-1930s", "1920..1939"),
            ("1920s-30s", "1920..1939"),
            ("195-", "1950..1959"),
            ("184-?", "1840..1849?"),
            ("[192-?]", "1920..1929?"),
            ("199u", "1990..1999"),
            ("19--", "1900..1999"),
            ("19th century", "1800..1899"),
            ("Late 19th century", "1800..1899~"),
            ("18th-19th century", "1700..1899"),
            ("XIXe siècle", "1800..1899"),
            ("siglo XIX", "1800..1899"),
            ("19. Jahrhundert", "1800..1899"),
            ("1925s", "none"),
        ]);
    }

    #[test]
    fn years_before_christ_are_astronomical() {
        check(&[
            ("44 BC", "-0043"),
            ("AD 79", "0079"),
            ("500-300 B.C.", "-0499..-0299"),
            ("100 BC - AD 200", "-0099..0200"),
            ("2nd century BC", "-0199..-0100"),
        ]);
    }

    #[test]
    fn what_is_no_date_stays_uninterpreted() {
        for text in ["no date recorded", "undated", "n.d.", "roll 1908", "19081", "????-09-09", "Era 9 (1945-1970)", "", "-", "May", "12"] {
            assert_eq!(shown(text), "none", "{text}");
        }
    }

    #[test]
    fn edtf_is_written_for_what_was_read() {
        for (text, expected) in [
            ("ca. 1913", "1913~"),
            ("1913?", "1913?"),
            ("[ca. 1913?]", "1913%"),
            ("1872-76", "1872/1876"),
            ("ca. 1872-76", "1872~/1876~"),
            ("1872-", "1872/.."),
            ("before 1872", "../1872"),
            ("184-", "184X"),
            ("19th century", "18XX"),
            ("Spring 1905", "1905-21"),
        ] {
            assert_eq!(read(text).unwrap().to_string(), expected, "{text}");
        }
    }
}
