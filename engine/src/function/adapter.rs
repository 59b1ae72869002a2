//! A declared function as DataFusion's `ScalarUDF`.
//!
//! Coercion never fails here: an argument that cannot be coerced is left as it is and reported by
//! `return_field_from_args`, where column names are known and errors keep their type. A call is bound once per distinct
//! types and constants, while planning, so that a pattern is compiled once however many batches follow.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::call::Call;
use super::declaration::{Function, Kernel};
use super::lookup::Lookups;
use crate::error::Result;

/// A long-lived session sees many plans; beyond this many calls the oldest are bound again when they come back.
const BOUND_CALLS: usize = 256;

type Key = (Vec<DataType>, Vec<Option<ScalarValue>>);

/// A function as registered on a session.
pub struct Udf {
    function: &'static Function,
    signature: Signature,
    lookups: Arc<Lookups>,
    bound: Mutex<HashMap<Key, Kernel>>,
}

impl Udf {
    /// The function with the value tables that it may look into.
    pub fn new(function: &'static Function, lookups: &Arc<Lookups>) -> Self {
        let mut signature = Signature::user_defined(Volatility::Immutable);
        signature.parameter_names = Some(function.parameters.iter().map(|parameter| parameter.name.to_owned()).collect());
        Self { function, signature, lookups: Arc::clone(lookups), bound: Mutex::default() }
    }

    /// The value tables it looks into; a plan that travels must bring them along.
    pub fn lookups(&self) -> &Arc<Lookups> {
        &self.lookups
    }

    /// Whether it looks into them.
    pub fn looks_up(&self) -> bool {
        self.function.name == super::text::decode::FUNCTION.name
    }

    /// The kernel for a call, bound now or before.
    fn kernel(&self, call: &Call<'_>) -> Result<Kernel> {
        let key = (call.types.to_vec(), call.constants.to_vec());
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = bound.get(&key) {
            return Ok(Arc::clone(kernel));
        }
        let kernel = (self.function.bind)(call)?;
        if bound.len() >= BOUND_CALLS {
            bound.clear();
        }
        bound.insert(key, Arc::clone(&kernel));
        Ok(kernel)
    }

    fn is_constant(&self, index: usize) -> bool {
        self.function.parameter(index).is_some_and(|parameter| parameter.accepts.is_constant())
    }
}

impl ScalarUDFImpl for Udf {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let coerce = |(index, given): (usize, &DataType)| {
            let parameter = self.function.parameter(index);
            parameter.and_then(|parameter| parameter.accepts.coerce(given)).unwrap_or_else(|| given.clone())
        };
        Ok(given.iter().enumerate().map(coerce).collect())
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        let fields: Vec<FieldRef> = types.iter().map(|given| Arc::new(Field::new("", given.clone(), true))).collect();
        let scalar_arguments = vec![None; types.len()];
        let field = self.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &scalar_arguments })?;
        Ok(field.data_type().clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> DataFusionResult<FieldRef> {
        let types: Vec<DataType> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let names: Vec<&str> = arguments.arg_fields.iter().map(|field| field.name().as_str()).collect();
        let constant = |(index, value): (usize, &Option<&ScalarValue>)| value.filter(|_| self.is_constant(index)).cloned();
        let constants: Vec<Option<ScalarValue>> = arguments.scalar_arguments.iter().enumerate().map(constant).collect();
        let call = Call { function: self.function, lookups: &self.lookups, types: &types, names: &names, constants: &constants };
        call.check()?;
        let data_type = self.function.returns.data_type(&call)?;
        if call.constants_known() {
            self.kernel(&call)?;
        }
        Ok(Arc::new(Field::new(self.function.name, data_type, true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let ScalarFunctionArgs { args, number_rows, .. } = arguments;
        let types: Vec<DataType> = args.iter().map(ColumnarValue::data_type).collect();
        let constants = args.iter().enumerate().map(|(index, value)| if self.is_constant(index) { constant(value) } else { Ok(None) });
        let constants = constants.collect::<DataFusionResult<Vec<_>>>()?;
        let call = Call { function: self.function, lookups: &self.lookups, types: &types, names: &[], constants: &constants };
        let kernel = self.kernel(&call)?;

        let varies = |(index, value): (usize, &ColumnarValue)| !self.is_constant(index) && matches!(value, ColumnarValue::Array(_));
        let scalar = !args.iter().enumerate().any(varies);
        let rows = if scalar { 1 } else { number_rows };
        let array = |(index, value): (usize, &ColumnarValue)| match value {
            ColumnarValue::Array(array) => Ok(Arc::clone(array)),
            ColumnarValue::Scalar(value) => value.to_array_of_size(if self.is_constant(index) { 1 } else { rows }),
        };
        let arrays = args.iter().enumerate().map(array).collect::<DataFusionResult<Vec<ArrayRef>>>()?;
        let result = kernel(&arrays)?;
        if scalar { ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar) } else { Ok(ColumnarValue::Array(result)) }
    }
}

/// The one value of a constant argument; none where rows differ, which `bind` reports.
fn constant(value: &ColumnarValue) -> DataFusionResult<Option<ScalarValue>> {
    match value {
        ColumnarValue::Scalar(value) => Ok(Some(value.clone())),
        ColumnarValue::Array(array) if array.len() == 1 => ScalarValue::try_from_array(array, 0).map(Some),
        ColumnarValue::Array(_) => Ok(None),
    }
}

impl fmt::Debug for Udf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Udf").field("name", &self.function.name).finish_non_exhaustive()
    }
}

/// The same function over the same lookups; what is bound already is no difference.
impl PartialEq for Udf {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && Arc::ptr_eq(&self.lookups, &other.lookups)
    }
}

impl Eq for Udf {}

impl Hash for Udf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}
