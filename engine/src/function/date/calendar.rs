//! A point in time as a source knows it: a year, perhaps a month, perhaps a day.
//!
//! Written and read as ISO 8601 in the precision it has (`1934`, `1934-11`, `1934-11-07`), with a minus for years
//! before the year 0 (44 BC is `-0043`) and a plus for those of more than four digits.

use std::fmt;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// A year, month or day of the Gregorian calendar, proleptic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    year: i32,
    month: Option<u8>,
    day: Option<u8>,
}

impl Point {
    pub(super) const fn year(year: i32) -> Self {
        Self { year, month: None, day: None }
    }

    /// `None` where there is no such month. Month 0 is how some sources say that they do not know it.
    pub(super) fn month(year: i32, month: u8) -> Option<Self> {
        match month {
            0 => Some(Self::year(year)),
            1..=12 => Some(Self { year, month: Some(month), day: None }),
            _ => None,
        }
    }

    /// `None` where there is no such day. Day 0 is how some sources say that they do not know it.
    pub(super) fn day(year: i32, month: u8, day: u8) -> Option<Self> {
        if day == 0 {
            return Self::month(year, month);
        }
        civil(year, month, day)?;
        Some(Self { year, month: Some(month), day: Some(day) })
    }

    pub(super) const fn year_number(self) -> i32 {
        self.year
    }

    pub(super) const fn is_year(self) -> bool {
        self.month.is_none()
    }

    pub(super) const fn is_month(self) -> bool {
        self.month.is_some() && self.day.is_none()
    }

    /// Whether a range may go from here to `end`; what only one of them says counts as equal.
    pub(super) fn may_begin(self, end: Self) -> bool {
        if self.year != end.year {
            return self.year < end.year;
        }
        match (self.month, end.month) {
            (Some(first), Some(last)) if first != last => first < last,
            (Some(_), Some(_)) => self.day.zip(end.day).is_none_or(|(first, last)| first <= last),
            _ => true,
        }
    }

    /// Microseconds since 1970 (UTC) of its first day; `None` before the year -9999 or after 9999.
    pub(super) fn first_instant(self) -> Option<i64> {
        let date = civil(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1))?;
        let zoned = date.to_datetime(Time::midnight()).to_zoned(TimeZone::UTC).ok()?;
        Some(zoned.timestamp().as_microsecond())
    }

    /// Reads what `Display` writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let mut parts = text.strip_prefix(['-', '+']).unwrap_or(text).splitn(3, '-');
        let year = digits(parts.next()?, 4)?;
        let year = sign * i32::try_from(year).ok()?;
        let Some(month) = parts.next() else { return Some(Self::year(year)) };
        let month = u8::try_from(digits(month, 2)?).ok()?;
        match parts.next() {
            None => Self::month(year, month),
            Some(day) => Self::day(year, month, u8::try_from(digits(day, 2)?).ok()?),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            year @ ..0 => write!(f, "-{:04}", year.unsigned_abs())?,
            year @ 0..=9999 => write!(f, "{year:04}")?,
            year => write!(f, "+{year}")?,
        }
        if let Some(month) = self.month {
            write!(f, "-{month:02}")?;
        }
        if let Some(day) = self.day {
            write!(f, "-{day:02}")?;
        }
        Ok(())
    }
}

fn digits(text: &str, least: usize) -> Option<u32> {
    (text.len() >= least && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn civil(year: i32, month: u8, day: u8) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::Point;

    #[test]
    fn a_point_reads_what_it_writes() {
        for text in ["1934", "1934-11", "1934-11-07", "-0043", "0079", "+19840"] {
            assert_eq!(Point::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "34", "1934-13", "1934-11-31", "193x", "1934-1"] {
            assert_eq!(Point::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_zero_month_or_day_is_an_unknown_one() {
        assert_eq!(Point::day(1934, 0, 0), Some(Point::year(1934)));
        assert_eq!(Point::day(1934, 11, 0), Point::month(1934, 11));
        assert_eq!(Point::day(1934, 0, 5), None);
    }

    #[test]
    fn the_first_instant_is_midnight_utc_of_the_first_day() {
        assert_eq!(Point::year(1970).first_instant(), Some(0));
        assert_eq!(Point::day(1970, 1, 2).unwrap().first_instant(), Some(86_400_000_000));
        assert_eq!(Point::year(-43).first_instant(), Some(-63_524_131_200_000_000));
        assert_eq!(Point::year(19840).first_instant(), None);
    }

    #[test]
    fn a_range_may_mix_precisions() {
        let (year, month) = (Point::year(1934), Point::month(1934, 3).unwrap());
        assert!(year.may_begin(month) && month.may_begin(year));
        assert!(!Point::month(1934, 4).unwrap().may_begin(month));
    }
}
