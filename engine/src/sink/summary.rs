//! What a partition says of its rows as a whole: counts per collection, pages, findings by cause; and how partitions add up.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::finding::EXAMPLES;
use crate::table::Counts;

/// Pages that came to their end, and the records they gave: both must be what was pinned and counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// Pages.
    pub seen: u64,
    /// Records in them.
    pub records: u64,
}

/// Findings of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingGroup {
    /// `error`, `warn` or `info`.
    pub severity: String,
    /// Stable code.
    pub code: String,
    /// The target field, or the path in the record; none if it is about a whole record or page.
    pub field: Option<String>,
    /// Findings.
    pub count: u64,
    /// Records they are about; problems of pages are about none.
    pub records: u64,
    /// A few of them.
    pub examples: Vec<Example>,
}

/// One finding, as an example of its cause.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Example {
    /// The collection.
    pub collection_id: String,
    /// The page.
    pub page: String,
    /// Ordinal of the record in the page.
    pub page_seq: Option<u32>,
    /// The record; none if it is about the page.
    pub record_id: Option<String>,
    /// The value complained of, perhaps cut.
    pub value: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// What a partition says of its rows as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Counts of each collection that a page or record was of.
    pub counts: BTreeMap<String, Counts>,
    /// Pages.
    pub pages: Pages,
    /// Findings by severity, code and field.
    pub findings: Vec<FindingGroup>,
}

impl FindingGroup {
    /// One group of each cause, however many partitions and units saw it: errors first, then what is most frequent.
    pub fn merged(groups: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut causes: BTreeMap<(String, String, Option<String>), Self> = BTreeMap::new();
        for group in groups {
            let key = (group.severity.clone(), group.code.clone(), group.field.clone());
            match causes.get_mut(&key) {
                Some(known) => {
                    known.count += group.count;
                    known.records += group.records;
                    known.examples.extend(group.examples);
                }
                None => _ = causes.insert(key, group),
            }
        }
        let mut merged: Vec<Self> = causes.into_values().collect();
        for group in &mut merged {
            group.examples.sort_unstable();
            group.examples.truncate(EXAMPLES);
        }
        let rank = |severity: &str| ["error", "warn", "info"].iter().position(|known| *known == severity);
        merged.sort_by_key(|group| (rank(&group.severity), Reverse(group.count)));
        merged
    }
}

impl Summary {
    /// Adds partitions up, in any order with the same outcome.
    pub fn merged(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::default();
        let mut groups = Vec::new();
        for part in parts {
            for (collection, counts) in part.counts {
                *whole.counts.entry(collection).or_default() += counts;
            }
            whole.pages.seen += part.pages.seen;
            whole.pages.records += part.pages.records;
            groups.extend(part.findings);
        }
        whole.findings = FindingGroup::merged(groups);
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(collection: &str, mapped: u64, example: &str) -> Summary {
        let example = Example {
            collection_id: collection.into(),
            page: "p".into(),
            page_seq: Some(0),
            record_id: Some(example.into()),
            value: None,
            message: "m".into(),
        };
        let group = FindingGroup {
            severity: "warn".into(),
            code: "PV301".into(),
            field: Some("title".into()),
            count: 2,
            records: 1,
            examples: vec![example; 2],
        };
        let counts = Counts { input: mapped, mapped, ..Counts::default() };
        Summary { counts: BTreeMap::from([(collection.into(), counts)]), pages: Pages { seen: 1, records: mapped }, findings: vec![group] }
    }

    #[test]
    fn partitions_add_up_the_same_in_any_order() {
        let parts = [part("a", 1, "x"), part("b", 2, "y"), part("a", 4, "z")];
        let whole = Summary::merged(parts.clone());
        assert_eq!(whole, Summary::merged(parts.into_iter().rev()));
        assert_eq!(whole.counts["a"].mapped, 5);
        assert_eq!(whole.pages, Pages { seen: 3, records: 7 });
        assert_eq!((whole.findings[0].count, whole.findings[0].records, whole.findings[0].examples.len()), (6, 3, 3));
    }
}
