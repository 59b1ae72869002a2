//! What became of the records that came in. The numbers add up, or nothing is committed.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// `in = mapped + quarantined + skipped + deleted + duplicates`, of a collection or of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Records found in the pages.
    #[serde(rename = "in")]
    pub input: u64,
    /// Published.
    pub mapped: u64,
    /// Withheld because of an error-level finding.
    pub quarantined: u64,
    /// Left out by the mapping's WHERE.
    pub skipped: u64,
    /// Marked as gone by the source.
    pub deleted: u64,
    /// Left out because another record of the same id is published.
    pub duplicates: u64,
}

impl Counts {
    /// Whether every record that came in is accounted for, exactly once.
    pub fn adds_up(&self) -> bool {
        self.input == self.accounted()
    }

    /// The right side of the equation.
    pub fn accounted(&self) -> u64 {
        self.mapped + self.quarantined + self.skipped + self.deleted + self.duplicates
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input: self.input + other.input,
            mapped: self.mapped + other.mapped,
            quarantined: self.quarantined + other.quarantined,
            skipped: self.skipped + other.skipped,
            deleted: self.deleted + other.deleted,
            duplicates: self.duplicates + other.duplicates,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl<'a> Sum<&'a Self> for Counts {
    fn sum<I: Iterator<Item = &'a Self>>(all: I) -> Self {
        all.copied().sum()
    }
}

/// `1,250 in = 1,238 mapped + 7 quarantined + 2 skipped by WHERE + 2 deleted + 1 duplicate`; what is zero is left out.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in = {} mapped", Thousands(self.input), Thousands(self.mapped))?;
        let duplicates = if self.duplicates == 1 { "duplicate" } else { "duplicates" };
        let rest = [
            (self.quarantined, "quarantined"),
            (self.skipped, "skipped by WHERE"),
            (self.deleted, "deleted"),
            (self.duplicates, duplicates),
        ];
        rest.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(f, " + {} {what}", Thousands(*count)))
    }
}

/// A number as people read it: `1,234,567`.
#[derive(Debug, Clone, Copy)]
pub struct Thousands(pub u64);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// How many there are of something: `1 record`, `1,250 records`.
pub fn counted(count: u64, word: &str) -> String {
    format!("{} {word}{}", Thousands(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Counts = Counts { input: 1250, mapped: 1238, quarantined: 7, skipped: 2, deleted: 2, duplicates: 1 };

    #[test]
    fn counts_print_as_an_equation_without_its_zeros() {
        assert_eq!(RUN.to_string(), "1,250 in = 1,238 mapped + 7 quarantined + 2 skipped by WHERE + 2 deleted + 1 duplicate");
        assert_eq!((RUN + RUN).to_string(), "2,500 in = 2,476 mapped + 14 quarantined + 4 skipped by WHERE + 4 deleted + 2 duplicates");
        assert_eq!(Counts::default().to_string(), "0 in = 0 mapped");
        assert_eq!(Counts { input: 1_000_000, mapped: 1_000_000, ..Counts::default() }.to_string(), "1,000,000 in = 1,000,000 mapped");
    }

    #[test]
    fn counts_add_up_only_if_every_record_is_somewhere() {
        assert!(RUN.adds_up() && [RUN, RUN].iter().sum::<Counts>().adds_up());
        assert!(!Counts { mapped: 1237, ..RUN }.adds_up());
    }

    #[test]
    fn counts_are_written_in_full_and_read_in_part() {
        let json = serde_json::to_string(&RUN).unwrap();
        assert_eq!(json, r#"{"in":1250,"mapped":1238,"quarantined":7,"skipped":2,"deleted":2,"duplicates":1}"#);
        let sparse: Counts = serde_json::from_str(r#"{"in":3,"mapped":3,"enriched":2}"#).unwrap();
        assert_eq!(sparse, Counts { input: 3, mapped: 3, ..Counts::default() });
    }
}
