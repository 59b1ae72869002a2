//! The shape of a JSON value over all pages of a collection: what its column's type is.
//!
//! JSON says nothing about types that the next record could not contradict. So a shape is inferred over every page once
//! and then locked in a file beside the collection; from then on a query knows its columns before a page is opened.

use arrow::datatypes::{DataType, Field, Fields};
use serde::{Deserialize, Serialize};

use crate::source::list_of;

/// The shape of a JSON value over all pages of a collection; locked in a file beside the collection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// true and false.
    Boolean,
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers with fractions or exponents, none of which loses a digit as a 64-bit float.
    Float,
    /// Text; also where scalars of more than one kind occur, and numbers that no other shape holds without loss. A
    /// number kept as text keeps its spelling.
    Text,
    /// Text that holds a scalar as it is, or an object or list as JSON: where objects and scalars are mixed, where
    /// objects are always empty, and below 64 levels of nesting.
    Json,
    /// A list; also where both a single value and a list of them occur, and where a key is repeated.
    List(Box<Shape>),
    /// An object: members in the order first seen.
    Object(Vec<(String, Shape)>),
    /// An object whose keys are data (identifiers, dates): a list of its keys and values.
    Entries(Box<Shape>),
}

impl Shape {
    /// The Arrow type of values of this shape.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::List(item) => list_of(item.data_type()),
            Self::Object(members) => {
                DataType::Struct(members.iter().map(|(name, shape)| Field::new(name, shape.data_type(), true)).collect())
            }
            Self::Entries(value) => list_of(DataType::Struct(Fields::from(vec![
                Field::new("key", DataType::Utf8, false),
                Field::new("value", value.data_type(), true),
            ]))),
        }
    }

    /// What values of this shape are called in messages.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Float => "a number",
            Self::Text => "text",
            Self::Json => "text or JSON",
            Self::List(_) => "a list",
            Self::Object(_) | Self::Entries(_) => "an object",
        }
    }

    /// The part of the shape that lies on `paths`: each a sequence of keys, lists passed through; an empty path is all of
    /// it. This is what a query reads of `doc`.
    #[must_use]
    pub fn part(&self, paths: &[&[String]]) -> Self {
        if paths.iter().any(|path| path.is_empty()) {
            return self.clone();
        }
        match self {
            Self::List(item) => Self::List(Box::new(item.part(paths))),
            Self::Object(members) => {
                let below = |name: &String| -> Vec<&[String]> {
                    paths.iter().filter_map(|path| path.split_first()).filter(|(first, _)| *first == name).map(|(_, rest)| rest).collect()
                };
                let kept = members.iter().map(|(name, shape)| (name, shape, below(name))).filter(|(_, _, below)| !below.is_empty());
                Self::Object(kept.map(|(name, shape, below)| (name.clone(), shape.part(&below))).collect())
            }
            _ => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(members: Vec<(&str, Shape)>) -> Shape {
        Shape::Object(members.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect())
    }

    #[test]
    fn a_part_keeps_only_the_members_on_the_paths() {
        let place = object(vec![("name", Shape::Text), ("lat", Shape::Float)]);
        let whole = object(vec![("title", Shape::Text), ("places", Shape::List(Box::new(place.clone()))), ("id", Shape::Integer)]);
        let path = |text: &str| -> Vec<String> { text.split('/').map(str::to_owned).collect() };
        let (lat, id) = (path("places/lat"), path("id"));
        let lat_only = Shape::List(Box::new(object(vec![("lat", Shape::Float)])));
        assert_eq!(whole.part(&[&lat, &id]), object(vec![("places", lat_only), ("id", Shape::Integer)]));
        assert_eq!(whole.part(&[&path("places")]), object(vec![("places", Shape::List(Box::new(place)))]));
        assert_eq!(whole.part(&[&[]]), whole);
        assert_eq!(whole.part(&[]), object(vec![]));
    }
}
