//! `ucldc_id(collection, record, identifiers)`: the identifier under which Calisphere publishes a record.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use regex::Regex;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel};
use crate::function::polymorphic::Texts;

use super::ark::find_ark;

pub(crate) static FUNCTION: Function = Function {
    name: "ucldc_id",
    family: Family::Identifiers,
    summary: "The identifier that Calisphere publishes: the first ARK among the identifiers, else the record's Nuxeo UUID, else its UCLA ARK \
              (`21198-zz…`), else the MD5 of `collection--record` in hex.",
    parameters: &[
        Parameter::required("collection", Accepts::OneText, "collection_id"),
        Parameter::required("record", Accepts::OneText, "record_id"),
        Parameter::required("identifiers", Accepts::Text, "the record's identifiers"),
        Parameter::optional("mode", Accepts::ConstantText, "'ucldc' may be given, as for dates(); both ways give the same"),
    ],
    returns: Returns::Text,
    bind: ucldc_id,
    examples: &[
        ("ucldc_id('26773', 'mill-0042', ['1934.12', 'http://n2t.net/ark:/13030/kt7v19q5nf'])", "ark:/13030/kt7v19q5nf"),
        ("ucldc_id('26773', '0C5F8A1E-77d0-4c0e-9a51-2f5a3b1c9d10', [])", "0c5f8a1e-77d0-4c0e-9a51-2f5a3b1c9d10"),
        ("ucldc_id('153', '21198-zz002hnvbh', NULL)", "ark:/21198/zz002hnvbh"),
        ("ucldc_id('26773', 'mill-0042', ['1934.12'])", "b332782fe06a266d70e23d7ee5f7820f"),
    ],
    see_also: &["ark"],
};

#[expect(clippy::expect_used, reason = "a constant pattern")]
static UUID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$").expect("the pattern is well formed")
});

#[expect(clippy::expect_used, reason = "a constant pattern")]
static UCLA: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^21198-(z[0-9a-z]+)$").expect("the pattern is well formed"));

fn ucldc_id(call: &Call<'_>) -> Result<Kernel> {
    call.choice(3, &["ucldc"])?;
    kernel(|arguments| {
        let (collections, records) = (arguments[0].as_string::<i32>(), arguments[1].as_string::<i32>());
        let identifiers = Texts::new(&arguments[2])?;
        let mut out = StringBuilder::with_capacity(records.len(), records.len() * 32);
        let mut found = String::new();
        let mut harvest_ids = Vec::new();
        for row in 0..records.len() {
            found.clear();
            let record = if records.is_valid(row) { records.value(row) } else { "" };
            if identifiers.row(row).any(|value| find_ark(value, &mut found)) || own_id(record, identifiers.row(row), &mut found) {
                out.append_value(&found);
            } else if records.is_null(row) || collections.is_null(row) {
                out.append_null();
            } else {
                // Filled in below, all in one go.
                harvest_ids.push(format!("{}--{record}", collections.value(row)));
                out.append_value("");
            }
        }
        let ids = out.finish();
        if harvest_ids.is_empty() {
            return Ok(Arc::new(ids));
        }
        let digests = md5(harvest_ids)?;
        let mut digests = digests.iter().flatten();
        let filled = ids.iter().map(|id| if id == Some("") { digests.next() } else { id });
        Ok(Arc::new(filled.collect::<StringArray>()))
    })
}

/// A Nuxeo UUID, else a UCLA ARK with its slash made a hyphen.
fn own_id<'a>(record: &'a str, identifiers: impl Iterator<Item = &'a str>, out: &mut String) -> bool {
    if UUID.is_match(record) {
        out.extend(record.chars().map(|letter| letter.to_ascii_lowercase()));
        return true;
    }
    let name = std::iter::once(record).chain(identifiers).find_map(|value| UCLA.captures(value)?.get(1));
    if let Some(name) = name {
        out.extend(["ark:/21198/", name.as_str()]);
    }
    name.is_some()
}

/// DataFusion's own `md5()`, in lower-case hex.
fn md5(texts: Vec<String>) -> DataFusionResult<StringArray> {
    let number_rows = texts.len();
    let function = datafusion::functions::crypto::md5();
    let return_field = Arc::new(Field::new("md5", function.return_type(&[DataType::Utf8])?, true));
    let array: ArrayRef = Arc::new(StringArray::from(texts));
    let digests = function.invoke_with_args(ScalarFunctionArgs {
        args: vec![ColumnarValue::Array(array)],
        arg_fields: vec![Arc::new(Field::new("text", DataType::Utf8, true))],
        number_rows,
        return_field,
        config_options: Arc::new(ConfigOptions::default()),
    })?;
    let digests = digests.into_array(number_rows)?;
    Ok(cast(&digests, &DataType::Utf8)?.as_string().clone())
}
