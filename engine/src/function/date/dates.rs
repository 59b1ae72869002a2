//! `dates(x)`: each date with what it says, where it begins and ends, and how sure it is.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, BooleanBuilder, ListArray, StringBuilder, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::exec_err;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel, list_of};
use crate::function::polymorphic::Texts;

use super::calendar::Point;
use super::entry::{Entry, Mode, entries};

pub(crate) static FUNCTION: Function = Function {
    name: "dates",
    family: Family::Dates,
    summary: "Reads dates as people write them: one entry per date (values are split at `;`) with `display` as it was written, `begin` and \
              `end` in the precision of the source, `edtf`, and `approx` where the source is not sure. What cannot be read keeps its display. \
              A list of nothing but years in ascending order is one range. `1900s` is a decade.",
    parameters: &[Parameter::required("x", Accepts::Text, "the dates"), MODE],
    returns: Returns::Of(|_| Ok(list_of(DataType::Struct(members())))),
    bind: dates,
    examples: &[
        ("dates(['ca. 1913'])", "[{display: ca. 1913, begin: 1913, end: 1913, edtf: 1913~, approx: true}]"),
        ("dates('1872-76')", "[{display: 1872-76, begin: 1872, end: 1876, edtf: 1872/1876, approx: false}]"),
        ("dates(['1871', '1872', '1875'])", "[{display: 1871-1875, begin: 1871, end: 1875, edtf: 1871/1875, approx: false}]"),
        ("dates('1905-06', 'ucldc')", "[{display: 1905-06, begin: 1905, end: 1906, edtf: 1905/1906, approx: false}]"),
    ],
    see_also: &["display_date", "date_sort_start", "date_sort_end", "move_dates"],
};

/// The optional parameter of functions that can reproduce what Calisphere shows today.
pub(super) const MODE: Parameter =
    Parameter::optional("mode", Accepts::ConstantText, "'ucldc' reproduces what Calisphere shows today, faults included");

/// The mode that a call asks for at `index`.
pub(super) fn mode(call: &Call<'_>, index: usize) -> Result<Mode> {
    Ok(if call.choice(index, &["ucldc"])?.is_some() { Mode::Ucldc } else { Mode::Correct })
}

fn members() -> Fields {
    let text = |name| Field::new(name, DataType::Utf8, true);
    Fields::from(vec![text("display"), text("begin"), text("end"), text("edtf"), Field::new("approx", DataType::Boolean, true)])
}

fn dates(call: &Call<'_>) -> Result<Kernel> {
    let mode = mode(call, 1)?;
    kernel(move |arguments| {
        let texts = Texts::new(&arguments[0])?;
        let mut columns = Columns::default();
        let mut ends = Vec::with_capacity(texts.len() + 1);
        ends.push(0);
        for row in 0..texts.len() {
            entries(texts.row(row), mode).iter().for_each(|entry| columns.append(entry));
            match i32::try_from(ArrayBuilder::len(&columns.approx)) {
                Ok(end) => ends.push(end),
                Err(_) => return exec_err!("more than 2,147,483,647 dates in one batch"),
            }
        }
        let nulls: NullBuffer = (0..texts.len()).map(|row| !texts.is_null(row)).collect();
        let field = Arc::new(Field::new_list_field(DataType::Struct(members()), true));
        Ok(Arc::new(ListArray::new(field, OffsetBuffer::new(ends.into()), Arc::new(columns.finish()), Some(nulls))))
    })
}

#[derive(Default)]
struct Columns {
    display: StringBuilder,
    begin: StringBuilder,
    end: StringBuilder,
    edtf: StringBuilder,
    approx: BooleanBuilder,
}

impl Columns {
    fn append(&mut self, entry: &Entry<'_>) {
        self.display.append_value(&entry.display);
        point(&mut self.begin, entry.reading.and_then(|reading| reading.begin));
        point(&mut self.end, entry.reading.and_then(|reading| reading.end));
        match entry.reading {
            Some(reading) => {
                // A builder can be written to.
                let _ = write!(self.edtf, "{reading}");
                self.edtf.append_value("");
            }
            None => self.edtf.append_null(),
        }
        self.approx.append_value(entry.reading.is_some_and(|reading| reading.is_approximate()));
    }

    fn finish(mut self) -> StructArray {
        let approx = Arc::new(self.approx.finish());
        let texts = [&mut self.display, &mut self.begin, &mut self.end, &mut self.edtf].map(|text| Arc::new(text.finish()) as ArrayRef);
        let [display, begin, end, edtf] = texts;
        StructArray::new(members(), vec![display, begin, end, edtf, approx], None)
    }
}

fn point(out: &mut StringBuilder, point: Option<Point>) {
    match point {
        Some(point) => {
            // A builder can be written to.
            let _ = write!(out, "{point}");
            out.append_value("");
        }
        None => out.append_null(),
    }
}
