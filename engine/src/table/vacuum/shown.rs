//! What readers of a catalog may hold: the published location that it shows, and those that it showed until lately.
//!
//! A catalog says what it shows now and when that was last changed, and nothing of what it showed before. So each vacuum writes down what
//! it has seen, and a later one can rely on it: what was seen to be replaced before the time of the retention is held by nobody.
//! Where nothing was seen, nothing is removed; the next vacuum knows more.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::commit::Version;
use super::super::instant;
use super::super::log::Database;
use super::Retention;
use crate::error::Result;

/// Name of the file with what was seen. Names with an underscore are never tables.
const FILE: &str = "_shown.json";

/// Of each table, at most so many looks are remembered.
const LOOKS: usize = 64;

/// What a catalog shows of a table now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Now {
    /// The version; none if it has no such table.
    pub version: Option<Version>,
    /// Versions whose locations it points at: that one, and those that partitions were left at.
    pub locations: BTreeSet<Version>,
    /// When it was told so, if it says that.
    pub since: Option<Timestamp>,
}

/// What readers of a table may hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Versions whose locations are pointed at now.
    pub now: BTreeSet<Version>,
    /// All older ones were replaced before the time of the retention.
    pub settled: Version,
}

/// By table. One that is not here is not looked at.
pub type Held = BTreeMap<String, Shown>;

/// What earlier vacuums have seen of a catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    tables: BTreeMap<String, Vec<Look>>,
}

/// A version that was shown at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    /// None if there was no such table.
    version: Option<Version>,
    #[serde(with = "instant")]
    at: Timestamp,
}

impl Look {
    /// Older versions were not shown any more.
    fn settles(&self) -> Version {
        self.version.unwrap_or(Version::MAX)
    }
}

impl Seen {
    /// What was written down for a database. A file that cannot be understood is as good as none: less is removed then.
    ///
    /// # Errors
    /// The store fails.
    pub async fn read(database: &Database) -> Result<Self> {
        let bytes = database.location().join(FILE).read().await?.unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Writes it down.
    ///
    /// # Errors
    /// The store fails.
    pub async fn write(&self, database: &Database) -> Result<()> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        database.location().join(FILE).write(Bytes::from(text + "\n")).await
    }

    /// Takes a look at `at`.
    pub fn look(&mut self, now: &BTreeMap<String, Now>, at: Timestamp) {
        for (table, now) in now {
            let looks = self.tables.entry(table.clone()).or_default();
            // The first look at a version says the most. The times are in order, whatever the catalog's clock says.
            let last = looks.last();
            if last.is_none_or(|last| last.version != now.version) {
                let told = now.since.unwrap_or(at).min(at);
                let at = last.map_or(told, |last| told.max(last.at));
                looks.push(Look { version: now.version, at });
            }
            looks.drain(..looks.len().saturating_sub(LOOKS));
        }
    }

    /// What readers may hold, this look included.
    pub fn held(&self, now: &BTreeMap<String, Now>, retention: &Retention) -> Held {
        let held = |(table, now): (&String, &Now)| {
            let looks = self.tables.get(table).map_or(&[][..], Vec::as_slice);
            let lately = looks.partition_point(|look| look.at < retention.since);
            // What was shown last before the time of the retention, and all that was shown after.
            let shown = looks[lately.saturating_sub(1)..].iter().map(Look::settles).chain(now.locations.first().copied());
            let settled = if lately == 0 { 0 } else { shown.min().unwrap_or(0) };
            (table.clone(), Shown { now: now.locations.clone(), settled })
        };
        now.iter().map(held).collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn now(version: Option<Version>, since: Option<Timestamp>) -> BTreeMap<String, Now> {
        [("mapped".to_owned(), Now { version, locations: version.into_iter().collect(), since })].into()
    }

    fn hours(hours: i64) -> Timestamp {
        "2026-11-01T00:00:00Z".parse::<Timestamp>().unwrap().checked_add(SignedDuration::from_hours(hours)).unwrap()
    }

    /// What is settled a day before `at`.
    fn settled(seen: &Seen, now: &BTreeMap<String, Now>, at: Timestamp) -> Version {
        seen.held(now, &Retention { versions: 4, since: at.checked_sub(SignedDuration::from_hours(24)).unwrap() })["mapped"].settled
    }

    #[test]
    fn what_was_replaced_is_held_until_it_has_been_seen_for_long_enough() {
        let mut seen = Seen::default();
        let (first, second) = (now(Some(3), None), now(Some(5), None));
        seen.look(&first, hours(0));
        assert_eq!(settled(&seen, &first, hours(0)), 0, "3 may have come a moment ago");
        seen.look(&first, hours(20));
        assert_eq!(settled(&seen, &first, hours(25)), 3, "what was before 3 has not been shown for 25 hours");
        seen.look(&second, hours(26));
        assert_eq!(settled(&seen, &second, hours(26)), 3, "readers of 3 may go on");
        assert_eq!(settled(&seen, &second, hours(51)), 5);
    }

    #[test]
    fn a_catalog_that_knows_when_it_was_told_is_believed() {
        let mut seen = Seen::default();
        let told = now(Some(7), Some(hours(-30)));
        seen.look(&told, hours(0));
        assert_eq!(settled(&seen, &told, hours(0)), 7);
    }

    #[test]
    fn a_table_that_is_gone_for_long_is_held_by_nobody_and_one_that_came_back_is() {
        let mut seen = Seen::default();
        let gone = now(None, None);
        seen.look(&gone, hours(0));
        assert_eq!(settled(&seen, &gone, hours(30)), Version::MAX);
        let back = now(Some(2), None);
        seen.look(&back, hours(31));
        assert_eq!(settled(&seen, &back, hours(31)), 2);
        let newer = now(Some(5), None);
        seen.look(&newer, hours(40));
        assert_eq!(settled(&seen, &newer, hours(41)), 2, "2 was shown until an hour ago");
        assert_eq!(settled(&seen, &newer, hours(65)), 5);
    }

    #[test]
    fn partitions_that_were_left_at_an_older_location_keep_it() {
        let mut left = now(Some(9), Some(hours(-48)));
        left.get_mut("mapped").unwrap().locations.insert(6);
        let mut seen = Seen::default();
        seen.look(&left, hours(0));
        let held = seen.held(&left, &Retention { versions: 4, since: hours(-24) });
        assert_eq!(held["mapped"], Shown { now: [6, 9].into(), settled: 6 });
    }
}
