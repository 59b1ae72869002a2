//! Instants in commits and run records: RFC 3339 in UTC with milliseconds, which people and `jq` can read and sort.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serializer, de};

/// For `#[serde(with = "instant")]`.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{at:.3}"))
}

/// For `#[serde(with = "instant")]`.
///
/// # Errors
/// The text is no instant.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    String::deserialize(from)?.parse().map_err(de::Error::custom)
}

/// For `#[serde(with = "instant::option", default)]`.
pub mod option {
    use super::{Deserialize, Deserializer, Serializer, Timestamp, de};

    /// As [`super::serialize`], or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::serialize(at, to),
            None => to.serialize_none(),
        }
    }

    /// As [`super::deserialize`], or null.
    ///
    /// # Errors
    /// The text is no instant.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
    }
}
