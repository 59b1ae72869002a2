//! `collate(x, …)`: several columns in one list.

use arrow::array::{Array, ArrayRef};
use datafusion::error::Result;

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel};
use crate::function::polymorphic::{Lists, Texts};

pub(crate) static FUNCTION: Function = Function {
    name: "collate",
    family: Family::Lists,
    summary: "All values of all arguments in one list, in order; blank values and NULLs are left out. Never NULL itself.",
    parameters: &[Parameter::repeated("x", Accepts::Text, "a value or values")],
    returns: Returns::List,
    bind: |_| kernel(collate),
    examples: &[("collate('Mill', ['Bridge', ''], NULL, ['Road'])", "[Mill, Bridge, Road]"), ("collate(NULL, NULL)", "[]")],
    see_also: &["list", "dedupe", "join_nonempty"],
};

fn collate(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let columns = arguments.iter().map(Texts::new).collect::<Result<Vec<_>>>()?;
    let rows = arguments.first().map_or(0, |array| array.len());
    let mut lists = Lists::with_capacity(rows);
    for row in 0..rows {
        columns.iter().flat_map(|column| column.row(row)).for_each(|value| lists.push(value));
        lists.end()?;
    }
    Ok(lists.finish())
}
