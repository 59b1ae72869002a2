//! `list(x)`: always a list.

use arrow::array::{Array, ArrayRef};
use datafusion::error::Result;

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel};
use crate::function::polymorphic::{Lists, Texts, map};

pub(crate) static FUNCTION: Function = Function {
    name: "list",
    family: Family::Lists,
    summary: "Makes a list of one value of text, and an empty list of NULL; a list stays one, without blank values.",
    parameters: &[Parameter::required("x", Accepts::Text, "the value or values")],
    returns: Returns::List,
    bind: |_| kernel(|arguments| list(&arguments[0])),
    examples: &[("list('Mill')", "[Mill]"), ("list(NULL)", "[]"), ("list(['a', '', 'b'])", "[a, b]")],
    see_also: &["collate", "split", "first_of"],
};

fn list(array: &ArrayRef) -> Result<ArrayRef> {
    let texts = Texts::new(array)?;
    if texts.in_lists() && array.null_count() == 0 {
        return map(array, |value, _| value);
    }
    let mut lists = Lists::with_capacity(texts.len());
    for row in 0..texts.len() {
        texts.row(row).for_each(|value| lists.push(value));
        lists.end()?;
    }
    Ok(lists.finish())
}
