//! `join_nonempty(separator, x, …)`: one text of the parts that are there.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder};
use datafusion::error::Result as DataFusionResult;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel};
use crate::function::polymorphic::{Texts, is_blank};

pub(crate) static FUNCTION: Function = Function {
    name: "join_nonempty",
    family: Family::Lists,
    summary: "Joins the values that are not blank to one text; NULL where all are blank. Lists are joined value by value.",
    parameters: &[
        Parameter::required("separator", Accepts::ConstantText, "what stands between two values"),
        Parameter::repeated("x", Accepts::Text, "a value or values"),
    ],
    returns: Returns::Text,
    bind: join_nonempty,
    examples: &[
        ("join_nonempty(': ', NULL, 'Verso')", "Verso"),
        ("join_nonempty(', ', 'Mill', ['Sonoma', ''], 'California')", "Mill, Sonoma, California"),
        ("join_nonempty('; ', '', NULL)", "NULL"),
    ],
    see_also: &["collate", "split"],
};

fn join_nonempty(call: &Call<'_>) -> Result<Kernel> {
    let separator = call.required_text(0)?.to_owned();
    kernel(move |arguments| join(&separator, &arguments[1..]))
}

fn join(separator: &str, parts: &[ArrayRef]) -> DataFusionResult<ArrayRef> {
    let columns = parts.iter().map(Texts::new).collect::<DataFusionResult<Vec<_>>>()?;
    let rows = parts.first().map_or(0, |array| array.len());
    let mut out = StringBuilder::with_capacity(rows, rows * 32);
    let mut joined = String::new();
    for row in 0..rows {
        joined.clear();
        for value in columns.iter().flat_map(|column| column.row(row)).filter(|value| !is_blank(value)) {
            if !joined.is_empty() {
                joined.push_str(separator);
            }
            joined.push_str(value);
        }
        out.append_option((!joined.is_empty()).then_some(&joined));
    }
    Ok(Arc::new(out.finish()))
}
