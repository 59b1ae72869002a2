//! `move_dates(x)`: values that are only a date, apart from the rest.

use std::sync::Arc;

use arrow::array::StructArray;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel, list_of_text};
use crate::function::polymorphic::{Lists, Texts};

use super::entry::interpret;

pub(crate) static FUNCTION: Function = Function {
    name: "move_dates",
    family: Family::Dates,
    summary: "Takes the values that are only a date out of a list of subjects or places: `kept` has the others, `dates` the dates without \
              brackets and question marks. Write `move_dates(subject)['kept'] AS subject, move_dates(subject)['dates'] AS temporal`.",
    parameters: &[Parameter::required("x", Accepts::Text, "subjects or places")],
    returns: Returns::Of(|_| Ok(DataType::Struct(members()))),
    bind: |_| {
        kernel(|arguments| {
            let texts = Texts::new(&arguments[0])?;
            let (mut kept, mut dates) = (Lists::with_capacity(texts.len()), Lists::with_capacity(texts.len()));
            let mut scratch = String::new();
            for row in 0..texts.len() {
                if texts.is_null(row) {
                    kept.end_null()?;
                    dates.end_null()?;
                    continue;
                }
                for value in texts.row(row) {
                    if interpret(value).is_some() { dates.push(plain(value, &mut scratch)) } else { kept.push(value) }
                }
                kept.end()?;
                dates.end()?;
            }
            let nulls: NullBuffer = (0..texts.len()).map(|row| !texts.is_null(row)).collect();
            Ok(Arc::new(StructArray::new(members(), vec![kept.finish(), dates.finish()], Some(nulls))))
        })
    },
    examples: &[
        ("move_dates(['Bridges', '(1931?)'])", "{kept: [Bridges], dates: [1931]}"),
        ("move_dates(['1920-1930', 'Route 1950', '19th century'])", "{kept: [Route 1950], dates: [1920-1930, 19th century]}"),
    ],
    see_also: &["dates"],
};

fn members() -> Fields {
    Fields::from(vec![Field::new("kept", list_of_text(), true), Field::new("dates", list_of_text(), true)])
}

/// A date without what qualifies it as one among subjects.
fn plain<'a>(value: &'a str, scratch: &'a mut String) -> &'a str {
    let unsure: &[char] = &['(', ')', '[', ']', '?'];
    let value = value.trim();
    if !value.contains(unsure) {
        return value;
    }
    scratch.clear();
    scratch.extend(value.chars().filter(|letter| !unsure.contains(letter)));
    scratch.trim()
}
