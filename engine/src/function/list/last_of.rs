//! `last_of(x)`: the last value that is not blank.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use datafusion::error::Result;

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel};
use crate::function::polymorphic::{Texts, is_blank};

pub(crate) static FUNCTION: Function = Function {
    name: "last_of",
    family: Family::Lists,
    summary: "The last value that is not blank, as text; NULL where there is none.",
    parameters: &[Parameter::required("x", Accepts::Text, "the candidates, best last")],
    returns: Returns::Text,
    bind: |_| kernel(|arguments| last_of(&arguments[0])),
    examples: &[("last_of(['a', 'b', ''])", "b"), ("last_of([])", "NULL"), ("last_of('a')", "a")],
    see_also: &["first_of", "pick"],
};

fn last_of(array: &ArrayRef) -> Result<ArrayRef> {
    let texts = Texts::new(array)?;
    let mut out = StringBuilder::with_capacity(texts.len(), texts.len() * 16);
    for row in 0..texts.len() {
        out.append_option(texts.row(row).rfind(|value| !is_blank(value)));
    }
    Ok(Arc::new(out.finish()))
}
