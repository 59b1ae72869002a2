//! What is known of one call of a function when it is planned: types and constants, and the errors about them.
//!
//! Type errors are found here and not in the coercion rules, because only here are the names of the columns known:
//! "date is list<struct<…>>" helps, "failed to match any signature" does not.

use std::borrow::Cow;

use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use regex::Regex;
use schemas::problem::Problem;
use schemas::suggest;
use schemas::target::type_name;

use super::declaration::{Accepts, Function, Presence};
use super::lookup::Lookups;
use crate::error::{Error, Result};

/// Code of a wrong argument.
pub const CODE: &str = "PM210";

/// One call of a function, as far as it is known before the first row.
#[derive(Debug)]
pub struct Call<'a> {
    /// What is called.
    pub function: &'static Function,
    /// The project's value tables.
    pub lookups: &'a Lookups,
    /// Types of the arguments, coerced as far as they can be.
    pub types: &'a [DataType],
    /// The arguments as they read in SQL; empty when rows are already flowing.
    pub names: &'a [&'a str],
    /// Values of the constant arguments; `None` for other arguments, and where a constant is not folded yet.
    pub constants: &'a [Option<ScalarValue>],
}

impl Call<'_> {
    /// Checks number and types of the arguments.
    ///
    /// # Errors
    /// The first that is wrong, with what to write instead where that can be told.
    pub fn check(&self) -> Result<()> {
        let parameters = self.function.parameters;
        let least = parameters.iter().filter(|parameter| parameter.presence != Presence::Optional).count();
        let endless = parameters.last().is_some_and(|last| last.presence == Presence::Repeated);
        let given = self.types.len();
        if given < least || (given > parameters.len() && !endless) {
            let count = match (least, parameters.len()) {
                (least, _) if endless => format!("{least} or more arguments"),
                (least, most) if least < most => format!("{least} to {most} arguments"),
                (1, _) => "1 argument".to_owned(),
                (least, _) => format!("{least} arguments"),
            };
            let message = format!("{}() wants {count}, not {given}", self.function.name);
            return Err(Error::configuration(Problem::error(CODE, message).hint(format!("write {}", self.function.signature()))));
        }
        for (index, data_type) in self.types.iter().enumerate() {
            if let Some(parameter) = self.function.parameter(index)
                && parameter.accepts.coerce(data_type).is_none()
            {
                return Err(self.wrong_type(index, parameter.accepts.wants()));
            }
        }
        Ok(())
    }

    /// Whether every constant that was given has its value: not so for `'a' || 'b'` before it is folded.
    pub fn constants_known(&self) -> bool {
        (0..self.types.len()).all(|index| !self.is_constant(index) || self.constants[index].is_some())
    }

    /// Type of an argument that is known to be there.
    pub fn data_type(&self, index: usize) -> &DataType {
        self.types.get(index).unwrap_or(&DataType::Null)
    }

    /// The constant text at `index`; `None` where it is left out or NULL.
    pub fn text(&self, index: usize) -> Option<&str> {
        self.constants.get(index)?.as_ref()?.try_as_str()?
    }

    /// The constant text at `index`, which must be one.
    ///
    /// # Errors
    /// It is NULL, or differs from row to row.
    pub fn required_text(&self, index: usize) -> Result<&str> {
        self.text(index).ok_or_else(|| {
            let name = self.function.parameter(index).map_or("argument", |parameter| parameter.name);
            self.problem(format!("wants a text as {name}, the same for all rows")).into()
        })
    }

    /// All constant texts from `index` on, of a repeated parameter; NULLs are left out.
    pub fn texts(&self, index: usize) -> impl Iterator<Item = &str> {
        (index..self.types.len()).filter_map(|index| self.text(index))
    }

    /// The constant text at `index`, which must be one of `choices`; `None` where it is left out.
    ///
    /// # Errors
    /// It is another text.
    pub fn choice<'c>(&self, index: usize, choices: &[&'c str]) -> Result<Option<&'c str>> {
        let Some(text) = self.text(index) else { return Ok(None) };
        match choices.iter().find(|choice| **choice == text) {
            Some(choice) => Ok(Some(choice)),
            None => {
                let name = self.function.parameter(index).map_or("argument", |parameter| parameter.name);
                let problem = self.problem(format!("knows no {name} '{text}'"));
                Err(problem.hint(suggest::hint(text, choices.iter().copied())).into())
            }
        }
    }

    /// The constant number at `index`; `None` where it is left out or NULL.
    pub fn integer(&self, index: usize) -> Option<i64> {
        let value = self.constants.get(index)?.as_ref()?.cast_to(&DataType::Int64).ok()?;
        if let ScalarValue::Int64(value) = value { value } else { None }
    }

    /// The constant number of characters or values at `index`.
    ///
    /// # Errors
    /// It is NULL or negative, or differs from row to row.
    pub fn length(&self, index: usize) -> Result<usize> {
        self.integer(index).and_then(|length| usize::try_from(length).ok()).ok_or_else(|| {
            let name = self.function.parameter(index).map_or("argument", |parameter| parameter.name);
            self.problem(format!("wants a number of 0 or more as {name}, the same for all rows")).into()
        })
    }

    /// Whether the constant at `index` is there and true.
    pub fn boolean(&self, index: usize) -> bool {
        matches!(self.constants.get(index), Some(Some(ScalarValue::Boolean(Some(true)))))
    }

    /// The constant regular expression at `index`, compiled.
    ///
    /// # Errors
    /// It is no text, or no regular expression; the message says where it breaks.
    pub fn pattern(&self, index: usize) -> Result<Regex> {
        let text = self.required_text(index)?;
        Regex::new(text).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let problem = self.problem(format!("cannot read the pattern '{text}': {reason}"));
            problem.hint("escape a literal ( ) [ ] { } . * + ? ^ $ | with a backslash").into()
        })
    }

    /// An error about this call: `split() <message>`.
    pub fn problem(&self, message: impl AsRef<str>) -> Problem {
        Problem::error(CODE, format!("{}() {}", self.function.name, message.as_ref()))
    }

    /// The error that argument `index` has a type the function does not take; `wants` says what it takes.
    pub fn wrong_type(&self, index: usize, wants: &str) -> Error {
        let (name, data_type) = (self.argument(index), self.data_type(index));
        let problem = self.problem(format!("wants {wants}; {name} is {}", type_name(data_type)));
        Error::configuration(match self.instead(index) {
            Some(argument) => problem.hint(format!("try {}", self.rewritten(index, &argument))),
            None => problem.hint(format!("see `pacha functions {}`", self.function.name)),
        })
    }

    fn is_constant(&self, index: usize) -> bool {
        self.function.parameter(index).is_some_and(|parameter| parameter.accepts.is_constant())
    }

    /// An argument as one could write it.
    fn argument(&self, index: usize) -> Cow<'_, str> {
        if let Some(Some(constant)) = self.constants.get(index) {
            return match constant.try_as_str() {
                Some(Some(text)) => format!("'{text}'").into(),
                _ => constant.to_string().into(),
            };
        }
        let name = self.names.get(index).map(|name| name.rsplit('.').next().unwrap_or(name));
        let plain = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        name.filter(plain).or(self.function.parameter(index).map(|parameter| parameter.name)).unwrap_or("x").into()
    }

    /// An expression over argument `index` that has a type the function takes.
    fn instead(&self, index: usize) -> Option<String> {
        if self.function.parameter(index)?.accepts != Accepts::Text {
            return None;
        }
        let name = self.argument(index);
        let (DataType::List(item) | DataType::LargeList(item)) = self.data_type(index) else {
            let DataType::Struct(members) = self.data_type(index) else { return None };
            return Some(format!("{name}['{}']", telling_member(members)?));
        };
        match item.data_type() {
            DataType::Struct(members) => Some(format!("pluck({name}, '{}')", telling_member(members)?)),
            DataType::List(_) | DataType::LargeList(_) => Some(format!("flatten({name})")),
            _ => None,
        }
    }

    fn rewritten(&self, index: usize, argument: &str) -> String {
        let arguments: Vec<Cow<'_, str>> =
            (0..self.types.len()).map(|other| if other == index { argument.into() } else { self.argument(other) }).collect();
        format!("{}({})", self.function.name, arguments.join(", "))
    }
}

/// The member of a struct that is most likely its text.
fn telling_member(members: &arrow::datatypes::Fields) -> Option<&str> {
    let textual = |member: &&std::sync::Arc<Field>| Accepts::OneText.coerce(member.data_type()).is_some();
    let usual = ["display", "value", "name", "text", "label"];
    let named = usual.iter().find_map(|name| members.iter().find(|member| member.name() == name));
    named.or_else(|| members.iter().find(textual)).map(|member| member.name().as_str())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::declaration::Kernel;
    use super::*;

    /// The kernel of `function(<text>, constant, …)`, for tests that hand it arrays.
    pub(crate) fn bound(function: &'static Function, constants: &[&str]) -> Kernel {
        let types = vec![DataType::Utf8; constants.len() + 1];
        let mut values = vec![None];
        values.extend(constants.iter().map(|text| Some(ScalarValue::from(*text))));
        let lookups = Lookups::default();
        let call = Call { function, lookups: &lookups, types: &types, names: &[], constants: &values };
        call.check().unwrap();
        (function.bind)(&call).unwrap()
    }
}
