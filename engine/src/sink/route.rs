//! Where each row goes, decided once a batch, and counted so that the counts add up.
//!
//! A row has exactly one route, the first that applies, hence `in` is the sum of the others by construction; what reads
//! the counts checks it nevertheless, across partitions and attempts.

use std::collections::BTreeMap;

use arrow::array::{Array, StringArray};

use super::record::Records;
use super::summary::Pages;
use crate::table::Counts;

/// Where a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// Not a record: the end of a page.
    PageEnd,
    /// The same record comes again later.
    Duplicate,
    /// The source says that it is gone.
    Deleted,
    /// The mapping's WHERE does not let it through.
    Skipped,
    /// It has an error-level finding.
    Quarantined,
    /// To the published table.
    Mapped,
}

/// The route of every row. `duplicates` are page number and ordinal, sorted.
pub(super) fn routes(records: &Records, duplicates: &[(u32, u32)]) -> Vec<Route> {
    let findings = records.findings.as_ref().filter(|findings| !findings.empty());
    let deleted = (records.deleted.true_count() > 0).then_some(&records.deleted);
    let route = |row: usize| {
        if records.kind.value(row) != 0 {
            return Route::PageEnd;
        }
        if !duplicates.is_empty() && duplicates.binary_search(&records.place(row)).is_ok() {
            return Route::Duplicate;
        }
        if deleted.is_some_and(|deleted| deleted.is_valid(row) && deleted.value(row)) {
            return Route::Deleted;
        }
        if records.kept.as_ref().is_some_and(|kept| !(kept.is_valid(row) && kept.value(row))) {
            return Route::Skipped;
        }
        let withheld = findings.is_some_and(|findings| findings.items(row).any(|item| findings.get(0, item) == Some("error")));
        if withheld { Route::Quarantined } else { Route::Mapped }
    };
    (0..records.rows).map(route).collect()
}

/// The rows whose route is accepted; `None` if all are.
pub(super) fn chosen(routes: &[Route], accept: impl Fn(Route) -> bool) -> Option<Vec<u32>> {
    if routes.iter().all(|&route| accept(route)) {
        return None;
    }
    Some((0u32..).zip(routes).filter(|(_, route)| accept(**route)).map(|(row, _)| row).collect())
}

/// Counts of a partition, so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) collections: BTreeMap<String, Counts>,
    pub(super) pages: Pages,
}

impl Tally {
    /// Counts the rows of a batch; returns how many are records. Batches hold long runs of one collection, so a collection is looked up once a run.
    pub(super) fn add(&mut self, records: &Records, routes: &[Route]) -> u64 {
        let mut total = 0;
        for (collection, run) in runs(&records.collection_id, routes) {
            let mut counts = Counts::default();
            for (row, route) in run {
                counts.input += 1;
                match route {
                    Route::PageEnd => {
                        counts.input -= 1;
                        self.pages.seen += 1;
                        self.pages.records += u64::from(records.place(row).1);
                    }
                    Route::Duplicate => counts.duplicates += 1,
                    Route::Deleted => counts.deleted += 1,
                    Route::Skipped => counts.skipped += 1,
                    Route::Quarantined => counts.quarantined += 1,
                    Route::Mapped => counts.mapped += 1,
                }
            }
            total += counts.input;
            match self.collections.get_mut(collection) {
                Some(known) => *known += counts,
                None => _ = self.collections.insert(collection.to_owned(), counts),
            }
        }
        total
    }
}

/// Runs of rows of one collection, each row with its route.
fn runs<'a>(
    collections: &'a StringArray,
    routes: &'a [Route],
) -> impl Iterator<Item = (&'a str, impl Iterator<Item = (usize, Route)> + 'a)> + 'a {
    let mut start = 0;
    std::iter::from_fn(move || {
        let first = (start < routes.len()).then(|| collections.value(start))?;
        let end = (start + 1..routes.len()).find(|&row| collections.value(row) != first).unwrap_or(routes.len());
        let run = (start..end).map(|row| (row, routes[row]));
        start = end;
        Some((first, run))
    })
}
