//! What a function file declares: name, documentation, parameters, and how it binds to a call.
//!
//! A declaration is data with two function pointers, so that siblings look alike and the documentation cannot drift
//! from what is registered: signature, named arguments, type errors and `pacha functions` all come from it.

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result as DataFusionResult;

use super::call::Call;
use super::polymorphic;
use crate::error::Result;

/// A function bound to its constants: arrays in, one array out. There is one array per argument, all of one length,
/// except that a constant's array has one value.
pub type Kernel = Arc<dyn Fn(&[ArrayRef]) -> DataFusionResult<ArrayRef> + Send + Sync>;

/// One SQL function.
#[derive(Debug)]
pub struct Function {
    /// Lower case, as called.
    pub name: &'static str,
    /// Where `pacha functions` lists it.
    pub family: Family,
    /// One or two sentences: what it does, and what it leaves alone.
    pub summary: &'static str,
    /// In order; their names are the names of named arguments.
    pub parameters: &'static [Parameter],
    /// Type of the result.
    pub returns: Returns,
    /// Compiles patterns, resolves lookups and so on, once per distinct constants.
    pub bind: fn(&Call<'_>) -> Result<Kernel>,
    /// Calls and their results as a query prints them; a test runs them.
    pub examples: &'static [(&'static str, &'static str)],
    /// Names of related functions.
    pub see_also: &'static [&'static str],
}

/// Groups of functions, for printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// One value at a time.
    Text,
    /// Making, filtering and folding lists.
    Lists,
    /// Dates and decades.
    Dates,
    /// Controlled values: types, languages, rights, the project's own lookups.
    Vocabularies,
    /// Identifiers of records.
    Identifiers,
    /// Reaching into a source record: MARC, XML.
    Records,
}

/// One parameter of a function.
#[derive(Debug)]
pub struct Parameter {
    /// Name, usable as `name => value`.
    pub name: &'static str,
    /// What may be given.
    pub accepts: Accepts,
    /// How often it may be given.
    pub presence: Presence,
    /// What it means.
    pub doc: &'static str,
}

/// What an argument may be. Numbers, booleans and dates count as text: a source may send a year as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// Text or a list of text; the kernel sees a `StringArray` or a `ListArray` of strings.
    Text,
    /// Text only; the kernel sees a `StringArray`.
    OneText,
    /// A text that is the same for all rows, see [`Call::text`].
    ConstantText,
    /// A whole number that is the same for all rows, see [`Call::integer`].
    ConstantInteger,
    /// `true` or `false`, the same for all rows, see [`Call::boolean`].
    ConstantBoolean,
    /// Whatever it is: the function's `returns` and `bind` check it.
    Any,
}

/// How often an argument may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Once.
    Required,
    /// Once or not at all; only at the end.
    Optional,
    /// Once or more; only the last parameter.
    Repeated,
}

/// Type of a function's result.
#[derive(Debug, Clone, Copy)]
pub enum Returns {
    /// Text for text, a list for a list, as the first argument.
    Same,
    /// Text.
    Text,
    /// A list of text.
    List,
    /// Another type, which may depend on the call.
    Of(fn(&Call<'_>) -> Result<DataType>),
}

/// Documentation of a function, as `pacha functions` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionDoc {
    /// Lower case, as called.
    pub name: &'static str,
    /// Heading it stands under.
    pub family: String,
    /// `decode(x, lookup [, default])`
    pub signature: String,
    /// One or two sentences.
    pub summary: &'static str,
    /// Name, and what may be given.
    pub arguments: Vec<(&'static str, String)>,
    /// SQL and its result.
    pub examples: Vec<(&'static str, &'static str)>,
    /// Names of related functions.
    pub see_also: Vec<&'static str>,
}

impl Function {
    /// `decode(x, lookup [, default])`
    pub fn signature(&self) -> String {
        let mut text = format!("{}(", self.name);
        for (index, parameter) in self.parameters.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            match parameter.presence {
                Presence::Required => text.extend([separator, parameter.name]),
                Presence::Repeated => text.extend([separator, parameter.name, ", …"]),
                Presence::Optional => text.extend([if index > 0 { " [, " } else { "[" }, parameter.name, "]"]),
            }
        }
        text.push(')');
        text
    }

    /// The declared parameter that argument `index` belongs to.
    pub fn parameter(&self, index: usize) -> Option<&'static Parameter> {
        let last = self.parameters.last().filter(|last| last.presence == Presence::Repeated);
        self.parameters.get(index).or(last)
    }

    /// What `pacha functions NAME` prints.
    pub fn documentation(&self) -> FunctionDoc {
        let argument = |parameter: &Parameter| match parameter.accepts.wants() {
            "" => (parameter.name, parameter.doc.to_owned()),
            wants => (parameter.name, format!("{wants}: {}", parameter.doc)),
        };
        FunctionDoc {
            name: self.name,
            family: self.family.to_string(),
            signature: self.signature(),
            summary: self.summary,
            arguments: self.parameters.iter().map(argument).collect(),
            examples: self.examples.to_vec(),
            see_also: self.see_also.to_vec(),
        }
    }
}

impl Parameter {
    /// One that must be given.
    pub const fn required(name: &'static str, accepts: Accepts, doc: &'static str) -> Self {
        Self { name, accepts, presence: Presence::Required, doc }
    }

    /// One that may be left out.
    pub const fn optional(name: &'static str, accepts: Accepts, doc: &'static str) -> Self {
        Self { name, accepts, presence: Presence::Optional, doc }
    }

    /// One that is given once or more.
    pub const fn repeated(name: &'static str, accepts: Accepts, doc: &'static str) -> Self {
        Self { name, accepts, presence: Presence::Repeated, doc }
    }
}

impl Accepts {
    /// In words, for errors and documentation.
    pub fn wants(self) -> &'static str {
        match self {
            Self::Text => "text or a list of text",
            Self::OneText => "text",
            Self::ConstantText => "a constant text",
            Self::ConstantInteger => "a constant whole number",
            Self::ConstantBoolean => "true or false",
            Self::Any => "",
        }
    }

    /// Whether the value is needed before the first row.
    pub fn is_constant(self) -> bool {
        matches!(self, Self::ConstantText | Self::ConstantInteger | Self::ConstantBoolean)
    }

    /// The type an argument of type `given` is cast to; `None` where it cannot be meant.
    pub fn coerce(self, given: &DataType) -> Option<DataType> {
        match self {
            Self::Text => match given {
                DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                    is_textual(item.data_type()).then(list_of_text)
                }
                _ => is_textual(given).then_some(DataType::Utf8),
            },
            Self::OneText | Self::ConstantText => is_textual(given).then_some(DataType::Utf8),
            Self::ConstantInteger => (given.is_integer() || given.is_null()).then_some(DataType::Int64),
            Self::ConstantBoolean => matches!(given, DataType::Boolean | DataType::Null).then_some(DataType::Boolean),
            Self::Any => Some(given.clone()),
        }
    }
}

impl Returns {
    /// The type for one call, whose arguments have been coerced.
    ///
    /// # Errors
    /// Those of a type that depends on the call.
    pub fn data_type(self, call: &Call<'_>) -> Result<DataType> {
        match self {
            Self::Same => Ok(call.data_type(0).clone()),
            Self::Text => Ok(DataType::Utf8),
            Self::List => Ok(list_of_text()),
            Self::Of(data_type) => data_type(call),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Lists => "lists",
            Self::Dates => "dates",
            Self::Vocabularies => "vocabularies",
            Self::Identifiers => "identifiers",
            Self::Records => "records",
        })
    }
}

/// The list type that text functions take and give.
pub fn list_of_text() -> DataType {
    list_of(DataType::Utf8)
}

/// A list in the form that all our functions give.
pub fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// A kernel over all arguments.
///
/// # Errors
/// None; a `Result` so that a `bind` can end with it.
pub fn kernel(run: impl Fn(&[ArrayRef]) -> DataFusionResult<ArrayRef> + Send + Sync + 'static) -> Result<Kernel> {
    Ok(Arc::new(run))
}

/// A kernel that maps each text of the first argument, see [`polymorphic::map`].
///
/// # Errors
/// None; a `Result` so that a `bind` can end with it.
pub fn text_kernel(run: impl for<'a> Fn(&'a str, &'a mut String) -> &'a str + Send + Sync + 'static) -> Result<Kernel> {
    kernel(move |arguments| polymorphic::map(&arguments[0], &run))
}

fn is_textual(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null | DataType::Boolean => true,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => true,
        DataType::Dictionary(_, value) => is_textual(value),
        other => other.is_numeric(),
    }
}
