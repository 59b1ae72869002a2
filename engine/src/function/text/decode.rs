//! `decode(x, lookup [, default])`: values through one of the project's tables.

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, text_kernel};

pub(crate) static FUNCTION: Function = Function {
    name: "decode",
    family: Family::Vocabularies,
    summary: "Looks each value up in lookups/<lookup>.csv, whose first column is the key. A value that is not there stays, unless a \
              default is given. A blank cell drops the value.",
    parameters: &[
        Parameter::required("x", Accepts::Text, "the values to look up"),
        Parameter::required(
            "lookup",
            Accepts::ConstantText,
            "`rights` is the second column of lookups/rights.csv, `rights.uri` its column uri",
        ),
        Parameter::optional("default", Accepts::ConstantText, "what an unknown value becomes; NULL drops it"),
    ],
    returns: Returns::Same,
    bind: decode,
    examples: &[
        ("decode(['CR', 'XX'], 'rights')", "[copyrighted, XX]"),
        ("decode('CR', 'rights.uri')", "http://rightsstatements.org/vocab/InC/1.0/"),
        ("decode(['PD', 'XX'], 'rights', default => NULL)", "[public domain]"),
        ("decode('XX', 'rights', 'copyright unknown')", "copyright unknown"),
    ],
    see_also: &["rewrite", "drop_values"],
};

fn decode(call: &Call<'_>) -> Result<Kernel> {
    let column = call.lookups.column(call.required_text(1)?)?;
    let default = (call.types.len() > 2).then(|| call.text(2).unwrap_or_default().to_owned());
    text_kernel(move |value, scratch| {
        match (column.get(value), &default) {
            (Some(found), _) => scratch.push_str(found),
            (None, Some(default)) => scratch.push_str(default),
            (None, None) => return value,
        }
        scratch
    })
}
