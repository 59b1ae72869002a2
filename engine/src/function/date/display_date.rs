//! `display_date(dates)`: the dates as their source wrote them.

use arrow::array::Array;
use arrow::datatypes::DataType;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel, list_of_text};
use crate::function::polymorphic::Lists;

use super::sort::{list, texts};

pub(crate) static FUNCTION: Function = Function {
    name: "display_date",
    family: Family::Dates,
    summary: "The display of each entry that dates() made.",
    parameters: &[Parameter::required("dates", Accepts::Any, "what dates() gave")],
    returns: Returns::Of(|call| check(call).map(|()| list_of_text())),
    bind: display_date,
    examples: &[("display_date(dates('ca. 1913; 1872-76'))", "[ca. 1913, 1872-76]"), ("display_date(NULL)", "NULL")],
    see_also: &["dates"],
};

/// The argument must be the list of structs that `dates()` gives.
pub(super) fn check(call: &Call<'_>) -> Result<()> {
    let members = match call.data_type(0) {
        DataType::List(item) => match item.data_type() {
            DataType::Struct(members) => Some(members),
            _ => None,
        },
        DataType::Null => return Ok(()),
        _ => None,
    };
    // Read back from a file, texts come as views.
    let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let known = |name| members.is_some_and(|members| members.find(name).is_some_and(|(_, member)| is_text(member.data_type())));
    if ["display", "begin", "end"].into_iter().all(known) {
        return Ok(());
    }
    let problem = call.problem("wants what dates() gives");
    Err(problem.hint(format!("write {}(dates(…))", call.function.name)).into())
}

fn display_date(call: &Call<'_>) -> Result<Kernel> {
    check(call)?;
    kernel(|arguments| {
        let mut out = Lists::with_capacity(arguments[0].len());
        let Some((rows, entries)) = list(&arguments[0]) else {
            (0..arguments[0].len()).try_for_each(|_| out.end_null())?;
            return Ok(out.finish());
        };
        let display = texts(entries, "display")?;
        for row in 0..rows.len() {
            if rows.is_null(row) {
                out.end_null()?;
                continue;
            }
            let offsets = rows.value_offsets();
            for index in offsets[row] as usize..offsets[row + 1] as usize {
                if entries.is_valid(index) && display.is_valid(index) {
                    out.push(display.value(index));
                }
            }
            out.end()?;
        }
        Ok(out.finish())
    })
}
