//! Builders that go on after a batch: the next one needs about as much room as the last.
//!
//! A builder that starts empty copies every value twice while it grows by doubling, and one with just the room of the
//! last batch doubles as soon as a batch is a little larger; so there is some to spare. It costs nothing until it is used.

use arrow::array::{StringArray, StringBuilder};

/// Takes the array, and keeps room for the next one.
pub(super) fn take(builder: &mut StringBuilder) -> StringArray {
    let room = |used: usize| used + used / 4;
    let next = StringBuilder::with_capacity(room(builder.offsets_slice().len()), room(builder.values_slice().len()));
    std::mem::replace(builder, next).finish()
}
