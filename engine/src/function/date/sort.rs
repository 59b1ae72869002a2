//! `date_sort_start(dates)`, `date_sort_end(dates)`: one instant to sort a record by.
//!
//! Both are midnight UTC of the first day of what they stand for, so `1934` sorts as 1 January 1934 on either side.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StructArray, TimestampMicrosecondBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result as DataFusionResult;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel};

use super::calendar::Point;
use super::dates::{MODE, mode};
use super::display_date::check;
use super::entry::Mode;

const PARAMETERS: &[Parameter] = &[Parameter::required("dates", Accepts::Any, "what dates() gave"), MODE];

pub(crate) static START: Function = Function {
    name: "date_sort_start",
    family: Family::Dates,
    summary: "The earliest begin of what dates() gave, as a timestamp; the earliest end where no date has a begin.",
    parameters: PARAMETERS,
    returns: Returns::Of(|call| check(call).map(|()| instant())),
    bind: |call| sort(call, Side::Start),
    examples: &[
        ("date_sort_start(dates(['1934-11', '1872-76']))", "1872-01-01T00:00:00Z"),
        ("date_sort_start(dates('before 1900'))", "1900-01-01T00:00:00Z"),
        ("date_sort_start(dates('undated'))", "NULL"),
    ],
    see_also: &["date_sort_end", "dates"],
};

pub(crate) static END: Function = Function {
    name: "date_sort_end",
    family: Family::Dates,
    summary: "The latest end of what dates() gave, as a timestamp; the latest begin where no date has an end.",
    parameters: PARAMETERS,
    returns: Returns::Of(|call| check(call).map(|()| instant())),
    bind: |call| sort(call, Side::End),
    examples: &[
        ("date_sort_end(dates(['1934-11', '1872-76']))", "1934-11-01T00:00:00Z"),
        ("date_sort_end(dates('1872-'))", "1872-01-01T00:00:00Z"),
        ("date_sort_end(dates(['1934', '1872-76']), 'ucldc')", "1876-01-01T00:00:00Z"),
    ],
    see_also: &["date_sort_start", "dates"],
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The rows of what `dates()` gave and the entries under them; `None` for a column of NULLs without a type.
pub(super) fn list(array: &ArrayRef) -> Option<(&ListArray, &StructArray)> {
    let rows = array.as_list_opt::<i32>()?;
    Some((rows, rows.values().as_struct_opt()?))
}

/// A member of the entries.
pub(super) fn texts(entries: &StructArray, name: &str) -> DataFusionResult<StringArray> {
    let column = entries.column_by_name(name).ok_or_else(|| exec_datafusion_err!("dates have no member {name}"))?;
    match column.as_string_opt::<i32>() {
        Some(texts) => Ok(texts.clone()),
        None => Ok(cast(column, &DataType::Utf8)?.as_string().clone()),
    }
}

fn sort(call: &Call<'_>, side: Side) -> Result<Kernel> {
    check(call)?;
    let mode = mode(call, 1)?;
    kernel(move |arguments| {
        let mut out = TimestampMicrosecondBuilder::with_capacity(arguments[0].len()).with_timezone("UTC");
        let Some((rows, entries)) = list(&arguments[0]) else {
            out.append_nulls(arguments[0].len());
            return Ok(Arc::new(out.finish()));
        };
        let (begins, ends) = (texts(entries, "begin")?, texts(entries, "end")?);
        for row in 0..rows.len() {
            let range = rows.value_offsets()[row] as usize..rows.value_offsets()[row + 1] as usize;
            let instants = |points: &StringArray| {
                let valid = range.clone().filter(|index| rows.is_valid(row) && entries.is_valid(*index) && points.is_valid(*index));
                let instants = valid.filter_map(|index| instant_of(points.value(index), mode));
                // Calisphere takes the earliest end.
                if side == Side::Start || mode == Mode::Ucldc { instants.min() } else { instants.max() }
            };
            out.append_option(match side {
                Side::Start => instants(&begins).or_else(|| instants(&ends)),
                Side::End => instants(&ends).or_else(|| instants(&begins)),
            });
        }
        Ok(Arc::new(out.finish()))
    })
}

fn instant_of(text: &str, mode: Mode) -> Option<i64> {
    let point = Point::parse(text)?;
    if mode == Mode::Ucldc && (point.is_month() || text.len() > 10 || text.starts_with(['-', '+'])) {
        return None;
    }
    point.first_instant()
}
