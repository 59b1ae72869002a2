//! The hash of a set of rows: the same whatever their order, their batches and their files, another if any cell differs.
//!
//! Two attempts at the same work, an embedded run and a cluster's, this version and the last are compared by it. A value
//! is hashed where it lies, column after column, into one accumulator a row; a row's hash is what its accumulator has
//! become, and the sum over rows forgets their order. XXH3 hashes each value by itself, so values cannot run together;
//! mixing does not commute, so they cannot change places. It finds accidents; it is no defence against an adversary.

use std::ops::Range;

use crate::table::RowHash;
use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{ArrowNativeType, DataType};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use xxhash_rust::xxh3::xxh3_128;

// Odd, without structure: digits of pi and of e. Part of the format: manifests and commits carry hashes made with them.
const MULTIPLIER: u128 = 0x243f_6a88_85a3_08d3_1319_8a2e_0370_7345;
const FINISHER: u128 = 0xb7e1_5162_8aed_2a6a_bf71_5880_9cf4_f3c7;
const NULL: u128 = 0x4528_21e6_38d0_1377_be54_66cf_34e9_0c6c;
const TRUE: u128 = 0xc0ac_29b7_c97c_50dd_3f84_d5b5_b547_0917;
const FALSE: u128 = 0x9216_d5d9_8979_fb1b_d131_0ba6_98df_b5ac;

/// Hashes batches of rows; keeps its accumulators between them.
#[derive(Debug, Default)]
pub struct RowHasher {
    rows: Vec<u128>,
}

/// What was seen of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Hashed {
    /// The hash of the chosen rows.
    pub hash: RowHash,
    /// Bytes that the values of all rows take, without what their buffers have to spare.
    pub bytes: usize,
}

impl RowHasher {
    /// Hashes `chosen` of the rows of `columns`, all if none are named.
    ///
    /// # Errors
    /// A column is of a type that can be neither hashed nor printed.
    pub fn hash(&mut self, columns: &[ArrayRef], rows: usize, chosen: Option<&[u32]>) -> Result<Hashed, ArrowError> {
        self.rows.clear();
        self.rows.resize(rows, 0);
        let mut bytes = 0;
        for column in columns {
            bytes += fold(column, &mut self.rows)?;
        }
        let sum = |sum: u128, row: &u128| sum.wrapping_add(finish(*row));
        let hash = match chosen {
            None => self.rows.iter().fold(0, sum),
            Some(chosen) => chosen.iter().map(|&row| &self.rows[row as usize]).fold(0, sum),
        };
        Ok(Hashed { hash: RowHash(hash), bytes })
    }
}

fn mix(row: u128, value: u128) -> u128 {
    (row.rotate_left(29) ^ value).wrapping_mul(MULTIPLIER)
}

fn finish(row: u128) -> u128 {
    let row = (row ^ (row >> 64)).wrapping_mul(FINISHER);
    row ^ (row >> 67)
}

/// Mixes each value of `array` into the accumulator of its row; returns the bytes that the values take.
fn fold(array: &dyn Array, rows: &mut [u128]) -> Result<usize, ArrowError> {
    let data_type = array.data_type();
    if let Some(width) = data_type.primitive_width() {
        return Ok(fold_fixed(array, width, rows));
    }
    match data_type {
        DataType::Null => Ok(fold_values(rows, std::iter::repeat_n(None::<&[u8]>, array.len()))),
        DataType::Boolean => {
            for (row, value) in rows.iter_mut().zip(array.as_boolean()) {
                *row = mix(*row, value.map_or(NULL, |value| if value { TRUE } else { FALSE }));
            }
            Ok(array.len().div_ceil(8))
        }
        DataType::Utf8 => Ok(fold_values(rows, array.as_string::<i32>())),
        DataType::LargeUtf8 => Ok(fold_values(rows, array.as_string::<i64>())),
        DataType::Utf8View => Ok(fold_values(rows, array.as_string_view())),
        DataType::Binary => Ok(fold_values(rows, array.as_binary::<i32>())),
        DataType::LargeBinary => Ok(fold_values(rows, array.as_binary::<i64>())),
        DataType::BinaryView => Ok(fold_values(rows, array.as_binary_view())),
        DataType::FixedSizeBinary(_) => Ok(fold_values(rows, array.as_fixed_size_binary())),
        DataType::List(_) => fold_list(array.as_list::<i32>(), rows),
        DataType::LargeList(_) => fold_list(array.as_list::<i64>(), rows),
        DataType::FixedSizeList(_, size) => {
            let (list, size) = (array.as_fixed_size_list(), usize::try_from(*size).unwrap_or_default());
            let start = usize::try_from(list.value_offset(0)).unwrap_or_default();
            let items = list.values().slice(start, size * list.len());
            fold_items(&items, list.nulls(), (0..list.len()).map(|row| row * size..(row + 1) * size), rows)
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let start = map.value_offsets().first().map_or(0, |offset| offset.as_usize());
            let end = map.value_offsets().last().map_or(0, |offset| offset.as_usize());
            let entries = map.entries().slice(start, end - start);
            fold_items(&entries, map.nulls(), ranges(map.value_offsets(), start), rows)
        }
        DataType::Struct(_) => {
            let mut inner = vec![0; array.len()];
            let mut bytes = 0;
            for member in array.as_struct().columns() {
                bytes += fold(member, &mut inner)?;
            }
            for (index, (row, inner)) in rows.iter_mut().zip(inner).enumerate() {
                *row = mix(*row, if array.is_valid(index) { finish(inner) } else { NULL });
            }
            Ok(bytes)
        }
        // As the values they stand for, so that the encoding of a column does not count.
        DataType::Dictionary(_, value) => fold(&cast(array, value)?, rows),
        DataType::RunEndEncoded(_, value) => fold(&cast(array, value.data_type())?, rows),
        _ => fold_printed(array, rows),
    }
}

fn fold_values<V: AsRef<[u8]>>(rows: &mut [u128], values: impl IntoIterator<Item = Option<V>>) -> usize {
    let mut bytes = 4 * rows.len();
    for (row, value) in rows.iter_mut().zip(values) {
        *row = mix(
            *row,
            value.map_or(NULL, |value| {
                bytes += value.as_ref().len();
                xxh3_128(value.as_ref())
            }),
        );
    }
    bytes
}

fn fold_fixed(array: &dyn Array, width: usize, rows: &mut [u128]) -> usize {
    let data = array.to_data();
    let Some(buffer) = data.buffers().first() else { return 0 };
    let values = buffer.as_slice()[data.offset() * width..].chunks_exact(width);
    for (index, (row, value)) in rows.iter_mut().zip(values).enumerate() {
        *row = mix(*row, if array.is_valid(index) { xxh3_128(value) } else { NULL });
    }
    width * array.len()
}

fn fold_list<O: OffsetSizeTrait>(list: &arrow::array::GenericListArray<O>, rows: &mut [u128]) -> Result<usize, ArrowError> {
    let offsets = list.value_offsets();
    let (start, end) = (offsets.first().map_or(0, |offset| offset.as_usize()), offsets.last().map_or(0, |offset| offset.as_usize()));
    let items = list.values().slice(start, end - start);
    fold_items(&items, list.nulls(), ranges(offsets, start), rows)
}

/// The ranges that offsets delimit, counted from `start`.
fn ranges<O: OffsetSizeTrait>(offsets: &[O], start: usize) -> impl Iterator<Item = Range<usize>> {
    offsets.windows(2).map(move |pair| pair[0].as_usize() - start..pair[1].as_usize() - start)
}

fn fold_items(
    items: &dyn Array,
    nulls: Option<&NullBuffer>,
    ranges: impl Iterator<Item = Range<usize>>,
    rows: &mut [u128],
) -> Result<usize, ArrowError> {
    let mut inner = vec![0; items.len()];
    let bytes = fold(items, &mut inner)? + 4 * rows.len();
    for (index, (row, range)) in rows.iter_mut().zip(ranges).enumerate() {
        let valid = nulls.is_none_or(|nulls| nulls.is_valid(index));
        // Begins with the length, so that an item more is never an item of another list.
        let list = |range: Range<usize>| finish(inner[range.clone()].iter().fold(range.len() as u128, |list, &item| mix(list, item)));
        *row = mix(*row, if valid { list(range) } else { NULL });
    }
    Ok(bytes)
}

/// Types that no table of ours has: by what they print as.
fn fold_printed(array: &dyn Array, rows: &mut [u128]) -> Result<usize, ArrowError> {
    let options = FormatOptions::default();
    let printer = ArrayFormatter::try_new(array, &options)?;
    let printed = (0..array.len()).map(|index| array.is_valid(index).then(|| printer.value(index).to_string()));
    Ok(fold_values(rows, printed))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, RecordBatch, StringArray, StructArray, UInt32Array};
    use arrow::compute::{concat_batches, take_record_batch};
    use arrow::datatypes::{Field, Fields, Int32Type, Schema};
    use proptest::prelude::*;
    use schemas::source::list_of;

    use super::*;

    type Row = (Option<String>, Option<i64>, Option<Vec<Option<String>>>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let mut lists = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
        for (_, _, list) in rows {
            match list {
                Some(items) => lists.append_value(items.iter().map(Option::as_deref)),
                None => lists.append_null(),
            }
        }
        let text: ArrayRef = Arc::new(rows.iter().map(|row| row.0.as_deref()).collect::<StringArray>());
        let number: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
        let list: ArrayRef = Arc::new(lists.finish());
        let members = Fields::from(vec![Field::new("number", DataType::Int64, true), Field::new("list", list_of(DataType::Utf8), true)]);
        let nested: ArrayRef = Arc::new(StructArray::new(members.clone(), vec![Arc::clone(&number), Arc::clone(&list)], None));
        let schema = Schema::new(vec![
            Field::new("text", DataType::Utf8, true),
            Field::new("number", DataType::Int64, true),
            Field::new("list", list_of(DataType::Utf8), true),
            Field::new("nested", DataType::Struct(members), true),
        ]);
        RecordBatch::try_new(Arc::new(schema), vec![text, number, list, nested]).unwrap()
    }

    fn hash(batch: &RecordBatch) -> RowHash {
        RowHasher::default().hash(batch.columns(), batch.num_rows(), None).unwrap().hash
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let text = || proptest::option::of("[ab]{0,3}");
        proptest::collection::vec(
            (text(), proptest::option::of(-2i64..3), proptest::option::of(proptest::collection::vec(text(), 0..3))),
            1..12,
        )
    }

    proptest! {
        #[test]
        fn order_slices_and_batches_do_not_count(rows in rows(), seed in any::<u32>(), cut in 0usize..12) {
            let whole = batch(&rows);
            let expected = hash(&whole);
            let mut order: Vec<u32> = (0..u32::try_from(rows.len()).unwrap()).collect();
            order.sort_by_key(|&row| xxh3_128(&[seed.to_le_bytes(), row.to_le_bytes()].concat()));
            prop_assert_eq!(hash(&take_record_batch(&whole, &UInt32Array::from(order)).unwrap()), expected);
            let cut = cut.min(rows.len());
            let (head, tail) = (whole.slice(0, cut), whole.slice(cut, rows.len() - cut));
            prop_assert_eq!(hash(&head).and(hash(&tail)), expected);
            let joined = concat_batches(&whole.schema(), [&tail, &head]).unwrap();
            prop_assert_eq!(hash(&joined), expected);
            let (head, tail): (Vec<u32>, Vec<u32>) = (0..u32::try_from(rows.len()).unwrap()).partition(|row| row % 2 == 0);
            let chosen = |rows: &[u32]| RowHasher::default().hash(whole.columns(), whole.num_rows(), Some(rows)).unwrap().hash;
            prop_assert_eq!(chosen(&head).and(chosen(&tail)), expected);
        }

        #[test]
        fn a_changed_cell_changes_the_hash(one in rows(), other in rows(), at in any::<prop::sample::Index>(), cell in 0..3) {
            let mut two = one.clone();
            let (row, new) = (at.index(one.len()), other[0].clone());
            match cell {
                0 => two[row].0 = new.0,
                1 => two[row].1 = new.1,
                _ => two[row].2 = new.2,
            }
            prop_assert_eq!(hash(&batch(&one)) == hash(&batch(&two)), one[row] == two[row]);
        }

        #[test]
        fn another_set_of_rows_has_another_hash(one in rows(), two in rows()) {
            let sorted = |rows: &[Row]| { let mut rows = rows.to_vec(); rows.sort(); rows };
            prop_assert_eq!(hash(&batch(&one)) == hash(&batch(&two)), sorted(&one) == sorted(&two));
        }
    }

    #[test]
    fn values_that_trade_places_change_the_hash() {
        let row = |text: &str, number: i64, list: &[&str]| -> Row {
            (Some(text.into()), Some(number), Some(list.iter().map(|item| Some((*item).to_owned())).collect()))
        };
        let hashes = [
            hash(&batch(&[row("a", 1, &["x"]), row("b", 2, &["y"])])),
            hash(&batch(&[row("b", 1, &["x"]), row("a", 2, &["y"])])),
            hash(&batch(&[row("a", 1, &["x", "y"]), row("b", 2, &[])])),
            hash(&batch(&[row("a", 1, &["y", "x"]), row("b", 2, &[])])),
            hash(&batch(&[row("a", 1, &["xy"]), row("b", 2, &[])])),
        ];
        for (index, one) in hashes.iter().enumerate() {
            assert!(hashes[index + 1..].iter().all(|other| other != one), "{index}");
        }
    }

    #[test]
    fn null_is_neither_empty_nor_a_list_of_null() {
        let list = |list: Option<Vec<Option<String>>>| hash(&batch(&[(None, None, list)]));
        let all =
            [list(None), list(Some(vec![])), list(Some(vec![None])), list(Some(vec![Some(String::new())])), list(Some(vec![None, None]))];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one), "{index}");
        }
        assert_ne!(hash(&batch(&[(None, None, None)])), hash(&batch(&[(Some(String::new()), None, None)])));
    }

    #[test]
    fn how_a_column_is_encoded_does_not_count() {
        let plain: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b"), Some("a")]));
        let one = |array: &ArrayRef| RowHasher::default().hash(std::slice::from_ref(array), 4, None).unwrap().hash;
        for other in [DataType::Utf8View, DataType::LargeUtf8, DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))] {
            assert_eq!(one(&cast(&plain, &other).unwrap()), one(&plain), "{other}");
        }
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
            Some(vec![Some(2)]),
        ]));
        let item = Arc::new(Field::new_list_field(DataType::Int32, true));
        assert_eq!(one(&cast(&list, &DataType::LargeList(item)).unwrap()), one(&list));
    }

    #[test]
    fn what_lies_under_a_null_does_not_count() {
        let items = StringArray::from(vec!["hidden", "seen"]);
        let offsets = arrow::buffer::OffsetBuffer::new(vec![0, 1, 2].into());
        let field = Arc::new(Field::new_list_field(DataType::Utf8, true));
        let hidden: ArrayRef = Arc::new(ListArray::new(field, offsets, Arc::new(items), Some(NullBuffer::from(vec![false, true]))));
        let mut builder = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
        builder.append_null();
        builder.append_value([Some("seen")]);
        let plain: ArrayRef = Arc::new(builder.finish());
        let one = |array: &ArrayRef| RowHasher::default().hash(std::slice::from_ref(array), 2, None).unwrap().hash;
        assert_eq!(one(&hidden), one(&plain));
    }

    #[test]
    fn the_hash_is_part_of_the_format_and_stays() {
        let rows = [(Some("a".to_owned()), Some(1), Some(vec![Some("x".to_owned()), None])), (None, None, None)];
        let text = hash(&batch(&rows)).to_string();
        assert_eq!(text.parse::<RowHash>().unwrap(), hash(&batch(&rows)));
        assert_eq!(text, "3eb82cccc77ecc66087098ecbd7b1150");
    }
}
