//! `pacha_json(value)`: a struct as JSON text, one document a row; nulls are left out.
//!
//! The vernacular table of JSON collections stores documents so: their types differ from one collection to the next.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The function, to be registered.
pub fn function() -> ScalarUDF {
    ScalarUDF::from(DocumentFunction { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DocumentFunction {
    signature: Signature,
}

impl ScalarUDFImpl for DocumentFunction {
    fn name(&self) -> &'static str {
        "pacha_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(texts(&array)?))
    }
}

/// Every row as JSON text.
///
/// # Errors
/// A type that has no JSON form.
pub fn texts(array: &ArrayRef) -> Result<ArrayRef> {
    let field: FieldRef = Arc::new(Field::new("doc", array.data_type().clone(), true));
    let options = EncoderOptions::default();
    let mut encoder = make_encoder(&field, array.as_ref(), &options)?;
    let mut built = StringBuilder::with_capacity(array.len(), 0);
    let mut scratch = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            built.append_null();
            continue;
        }
        scratch.clear();
        encoder.encode(row, &mut scratch);
        built.append_value(String::from_utf8_lossy(&scratch));
    }
    Ok(Arc::new(built.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, StringArray, StructArray};

    use super::*;

    #[test]
    fn a_document_is_written_without_its_nulls() {
        let members: Vec<(FieldRef, ArrayRef)> = vec![
            (Arc::new(Field::new("dc:title", DataType::Utf8, true)), Arc::new(StringArray::from(vec![Some("A \"b\""), None]))),
            (Arc::new(Field::new("n", DataType::Int64, true)), Arc::new(Int64Array::from(vec![None, Some(2)]))),
        ];
        let documents: ArrayRef = Arc::new(StructArray::from(members));
        let written = texts(&documents).unwrap();
        let written = written.as_string::<i32>();
        assert_eq!((written.value(0), written.value(1)), (r#"{"dc:title":"A \"b\""}"#, r#"{"n":2}"#));
    }
}
