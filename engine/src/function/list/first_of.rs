//! `first_of(x)`: the first value that is not blank.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use datafusion::error::Result;

use crate::function::declaration::{Accepts, Family, Function, Parameter, Returns, kernel};
use crate::function::polymorphic::{Texts, is_blank};

pub(crate) static FUNCTION: Function = Function {
    name: "first_of",
    family: Family::Lists,
    summary: "The first value that is not blank, as text; NULL where there is none.",
    parameters: &[Parameter::required("x", Accepts::Text, "the candidates, best first")],
    returns: Returns::Text,
    bind: |_| kernel(|arguments| first_of(&arguments[0])),
    examples: &[("first_of(['', 'a', 'b'])", "a"), ("first_of([])", "NULL"), ("first_of('a')", "a")],
    see_also: &["last_of", "pick"],
};

fn first_of(array: &ArrayRef) -> Result<ArrayRef> {
    let texts = Texts::new(array)?;
    let mut out = StringBuilder::with_capacity(texts.len(), texts.len() * 16);
    for row in 0..texts.len() {
        out.append_option(texts.row(row).find(|value| !is_blank(value)));
    }
    Ok(Arc::new(out.finish()))
}
