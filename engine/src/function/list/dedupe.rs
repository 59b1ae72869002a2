//! `dedupe(x [, ignore_case])`: each value once.

use std::collections::HashSet;

use arrow::array::ArrayRef;
use datafusion::error::Result as DataFusionResult;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel};
use crate::function::polymorphic::{Lists, Texts, gather, map};

pub(crate) static FUNCTION: Function = Function {
    name: "dedupe",
    family: Family::Lists,
    summary: "Keeps the first of equal values, in order.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the values"),
        Parameter::optional("ignore_case", Accepts::ConstantBoolean, "whether `Maps` and `maps` are equal; the first spelling stays"),
    ],
    returns: Returns::Same,
    bind: dedupe,
    examples: &[("dedupe(['Maps', 'Roads', 'Maps'])", "[Maps, Roads]"), ("dedupe(['Maps', 'maps'], ignore_case => true)", "[Maps]")],
    see_also: &["collate", "split", "drop_values"],
};

fn dedupe(call: &Call<'_>) -> Result<Kernel> {
    let ignore_case = call.boolean(1);
    kernel(move |arguments| if ignore_case { each_once_folded(&arguments[0]) } else { each_once(&arguments[0]) })
}

fn each_once(array: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let texts = Texts::new(array)?;
    if !texts.in_lists() || !(0..texts.len()).any(|row| repeats(texts.row(row))) {
        return map(array, |value, _| value);
    }
    gather(array, |value, lists| lists.push_new(value))
}

fn each_once_folded(array: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let texts = Texts::new(array)?;
    if !texts.in_lists() {
        return map(array, |value, _| value);
    }
    let mut seen: HashSet<String> = HashSet::new();
    let mut lists = Lists::with_capacity(texts.len());
    for row in 0..texts.len() {
        seen.clear();
        texts.row(row).filter(|value| seen.insert(value.to_lowercase())).for_each(|value| lists.push(value));
        if texts.is_null(row) { lists.end_null()? } else { lists.end()? }
    }
    Ok(lists.finish())
}

/// Whether a value comes twice. Lists are short; a long one is simply rebuilt.
fn repeats<'a>(values: impl Iterator<Item = &'a str> + Clone) -> bool {
    let mut rest = values;
    let mut compared = 0;
    while let Some(value) = rest.next() {
        compared += 1;
        if compared > 48 || rest.clone().any(|other| other == value) {
            return true;
        }
    }
    false
}
