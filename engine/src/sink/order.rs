//! The order of a file's rows, by collection and record id, as a list of places: the rows themselves are moved once, when written.
//!
//! Ids of a collection begin alike (`oai:host:collection/`), so each collection's common beginning is skipped and the next
//! bytes are compared as a number; whole ids are compared only where these are equal.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use arrow::array::{Array, StringArray};

use super::record::value;

/// The key columns of one chunk of rows, and which of its rows count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) collection: &'a StringArray,
    pub(super) record: &'a StringArray,
    pub(super) chosen: Option<&'a [u32]>,
}

impl<'a> Keys<'a> {
    fn rows(self) -> impl Iterator<Item = usize> + 'a {
        rows(self.chosen, self.collection.len())
    }

    fn key(self, row: usize) -> (Option<&'a str>, Option<&'a str>) {
        (value(self.collection, row), value(self.record, row))
    }
}

/// The chosen rows of so many.
pub(super) fn rows(chosen: Option<&[u32]>, rows: usize) -> impl Iterator<Item = usize> {
    let all = if chosen.is_none() { 0..rows } else { 0..0 };
    chosen.unwrap_or_default().iter().map(|&row| row as usize).chain(all)
}

/// Whether the rows are in order as they lie.
pub(super) fn ordered(chunks: &[Keys<'_>]) -> bool {
    let keys = chunks.iter().flat_map(|chunk| chunk.rows().map(|row| chunk.key(row)));
    keys.is_sorted()
}

/// A row's place, with what decides most comparisons.
#[derive(Debug, Clone, Copy)]
struct Place {
    collection: u32,
    chunk: u32,
    row: u32,
    start: u128,
}

/// Chunk and row of each row, in order. Rows of equal keys stay as they came.
pub(super) fn order(chunks: &[Keys<'_>]) -> Vec<(usize, usize)> {
    let mut collections = collections(chunks);
    for (rank, collection) in (0u32..).zip(collections.values_mut()) {
        collection.rank = rank;
    }
    let mut places = Vec::with_capacity(chunks.iter().map(|chunk| chunk.rows().size_hint().0).sum());
    for (chunk, keys) in (0u32..).zip(chunks) {
        let mut current: Option<(Option<&str>, Collection<'_>)> = None;
        for row in keys.rows() {
            let (collection, record) = keys.key(row);
            let known = match current {
                Some((name, known)) if name == collection => known,
                _ => {
                    let known = collections.get(&collection).copied().unwrap_or_default();
                    current = Some((collection, known));
                    known
                }
            };
            // A batch has far fewer rows than 2³², so does a file have chunks.
            places.push(Place { collection: known.rank, chunk, row: row as u32, start: start(record, known.common) });
        }
    }
    let key = |place: &Place| chunks[place.chunk as usize].key(place.row as usize).1;
    places.sort_unstable_by(|one, other| {
        let quick = (one.collection, one.start).cmp(&(other.collection, other.start));
        let whole = |quick| if quick == Ordering::Equal { key(one).cmp(&key(other)) } else { quick };
        whole(quick).then_with(|| (one.chunk, one.row).cmp(&(other.chunk, other.row)))
    });
    places.into_iter().map(|place| (place.chunk as usize, place.row as usize)).collect()
}

/// A collection's rank, and how many bytes its record ids begin alike.
#[derive(Debug, Clone, Copy, Default)]
struct Collection<'a> {
    rank: u32,
    first: &'a [u8],
    common: usize,
}

fn collections<'a>(chunks: &[Keys<'a>]) -> BTreeMap<Option<&'a str>, Collection<'a>> {
    let mut collections: BTreeMap<Option<&str>, Collection<'_>> = BTreeMap::new();
    for keys in chunks {
        let mut rows = keys.rows().peekable();
        while let Some(row) = rows.next() {
            let (name, record) = keys.key(row);
            let record = record.unwrap_or_default().as_bytes();
            let known = collections.entry(name).or_insert(Collection { rank: 0, first: record, common: record.len() });
            known.narrow(record);
            while let Some(row) = rows.next_if(|&row| value(keys.collection, row) == name) {
                if let Some(record) = value(keys.record, row) {
                    known.narrow(record.as_bytes());
                }
            }
        }
    }
    collections
}

impl Collection<'_> {
    fn narrow(&mut self, record: &[u8]) {
        let same = self.first[..self.common].iter().zip(record).take_while(|(one, other)| one == other).count();
        self.common = same;
    }
}

/// The bytes after the common beginning, as a number that sorts as they do; a null comes first.
fn start(record: Option<&str>, common: usize) -> u128 {
    let Some(record) = record else { return 0 };
    let rest = record.as_bytes().get(common..).unwrap_or_default();
    let mut bytes = [0; 16];
    bytes[0] = 1;
    let length = rest.len().min(15);
    bytes[1..=length].copy_from_slice(&rest[..length]);
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_the_keys(
            chunks in proptest::collection::vec(proptest::collection::vec((proptest::option::of("[ab]"), proptest::option::of("oai:x[ab\u{0}]{0,20}")), 0..8), 1..5),
            choose in any::<bool>(),
        ) {
            type Key = (Option<String>, Option<String>);
            let arrays: Vec<(StringArray, StringArray)> = chunks
                .iter()
                .map(|chunk| (chunk.iter().map(|key| key.0.as_deref()).collect(), chunk.iter().map(|key| key.1.as_deref()).collect()))
                .collect();
            let chosen: Vec<Vec<u32>> = chunks.iter().map(|chunk| (0..u32::try_from(chunk.len()).unwrap()).filter(|row| row % 3 != 1).collect()).collect();
            let keys: Vec<Keys<'_>> = arrays
                .iter()
                .zip(&chosen)
                .map(|((collection, record), chosen)| Keys { collection, record, chosen: choose.then_some(chosen.as_slice()) })
                .collect();
            let mut expected: Vec<(Key, usize, usize)> = Vec::new();
            for (chunk, rows) in chunks.iter().enumerate() {
                expected.extend(rows.iter().enumerate().filter(|(row, _)| !choose || row % 3 != 1).map(|(row, key)| (key.clone(), chunk, row)));
            }
            prop_assert_eq!(ordered(&keys), expected.is_sorted());
            expected.sort();
            let expected: Vec<(usize, usize)> = expected.into_iter().map(|(_, chunk, row)| (chunk, row)).collect();
            prop_assert_eq!(order(&keys), expected);
        }
    }
}
