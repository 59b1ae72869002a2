//! Arrow types as Hive writes them, and back.
//!
//! Glue, Athena, Spark and Trino share Hive's words for types. What Hive has no word for is no accident of a table of ours:
//! it is refused before a record is read, with the cast that mends it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use schemas::source::list_of;

/// The Hive type of an Arrow type.
///
/// # Errors
/// Hive has none; the text says what to cast to, as in "CAST(… AS BIGINT)".
pub fn hive_type(data_type: &DataType) -> Result<String, &'static str> {
    Ok(match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int8 => "tinyint".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "int".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "timestamp".into(),
        DataType::Decimal128(precision, scale) if (0..=38).contains(scale) && *precision <= 38 => format!("decimal({precision},{scale})"),
        DataType::Dictionary(_, value) => hive_type(value)?,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("array<{}>", hive_type(item.data_type())?)
        }
        DataType::Struct(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|member| Ok(format!("{}:{}", member.name().to_lowercase(), hive_type(member.data_type())?)))
                .collect::<Result<_, &'static str>>()?;
            format!("struct<{}>", members.join(","))
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else { return Err("a list of structs") };
            let [key, value] = &pair[..] else { return Err("a list of structs") };
            format!("map<{},{}>", hive_type(key.data_type())?, hive_type(value.data_type())?)
        }
        DataType::UInt8 => return Err("CAST(… AS SMALLINT)"),
        DataType::UInt16 => return Err("CAST(… AS INT)"),
        DataType::UInt32 => return Err("CAST(… AS BIGINT)"),
        DataType::UInt64 => return Err("CAST(… AS DECIMAL(20, 0))"),
        DataType::Float16 => return Err("CAST(… AS FLOAT)"),
        DataType::Date64 => return Err("CAST(… AS DATE)"),
        DataType::Timestamp(..) => return Err("arrow_cast(…, 'Timestamp(Microsecond, None)')"),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            return Err("CAST(… AS DECIMAL(38, 9))");
        }
        DataType::FixedSizeBinary(_) => return Err("arrow_cast(…, 'Binary')"),
        _ => return Err("CAST(… AS VARCHAR)"),
    })
}

/// The Arrow type in which a column of this Hive type is read; `None` for a word that is not known.
pub fn arrow_type(hive: &str) -> Option<DataType> {
    let hive = hive.trim();
    let lower = hive.to_ascii_lowercase();
    if let Some(inner) = inside(&lower, "array") {
        return arrow_type(inner).map(list_of);
    }
    if let Some(inner) = inside(&lower, "map") {
        let [key, value] = parts(inner)[..] else { return None };
        let pair = vec![Field::new("key", arrow_type(key)?, false), Field::new("value", arrow_type(value)?, true)];
        return Some(DataType::Map(Arc::new(Field::new("entries", DataType::Struct(pair.into()), false)), false));
    }
    if let Some(inner) = inside(&lower, "struct") {
        let members: Option<Vec<Field>> = parts(inner)
            .into_iter()
            .map(|part| {
                let (name, kind) = part.split_once(':')?;
                Some(Field::new(name.trim(), arrow_type(kind)?, true))
            })
            .collect();
        return Some(DataType::Struct(Fields::from(members?)));
    }
    let (word, arguments) = match lower.split_once('(') {
        Some((word, rest)) => (word.trim(), rest.strip_suffix(')')?),
        None => (lower.as_str(), ""),
    };
    Some(match word {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" => DataType::Float64,
        "string" | "varchar" | "char" => DataType::Utf8,
        "binary" => DataType::Binary,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "decimal" => {
            let mut numbers = arguments.split(',').map(str::trim).filter(|number| !number.is_empty());
            let precision = numbers.next().map_or(Some(10), |number| number.parse().ok())?;
            let scale = numbers.next().map_or(Some(0), |number| number.parse().ok())?;
            DataType::Decimal128(precision, scale)
        }
        _ => return None,
    })
}

/// What stands between the angle brackets of `word<…>`.
fn inside<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.strip_prefix(word)?.trim_start().strip_prefix('<')?.strip_suffix('>')
}

/// The parts between the commas that are inside no bracket.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (index, character) in text.char_indices() {
        match character {
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    found.push(text[start..].trim());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> Field {
        Field::new(name, DataType::Utf8, true)
    }

    #[test]
    fn every_type_that_a_target_can_hold_has_a_word_nested_ones_too() {
        let agent = DataType::Struct(vec![text("name"), Field::new("Born", DataType::Int32, true)].into());
        let pair = DataType::Struct(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)].into());
        let cases = [
            (DataType::Boolean, "boolean"),
            (DataType::Int32, "int"),
            (DataType::Float64, "double"),
            (DataType::Date32, "date"),
            (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "timestamp"),
            (DataType::Decimal128(20, 2), "decimal(20,2)"),
            (DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), "string"),
            (list_of(DataType::Utf8), "array<string>"),
            (list_of(agent.clone()), "array<struct<name:string,born:int>>"),
            (list_of(list_of(agent)), "array<array<struct<name:string,born:int>>>"),
            (DataType::Map(Arc::new(Field::new("entries", pair, false)), false), "map<string,bigint>"),
        ];
        for (arrow, hive) in cases {
            assert_eq!(hive_type(&arrow).as_deref(), Ok(hive), "{arrow}");
        }
    }

    #[test]
    fn what_hive_has_no_word_for_comes_with_its_cast_however_deep() {
        assert_eq!(hive_type(&DataType::UInt64), Err("CAST(… AS DECIMAL(20, 0))"));
        assert_eq!(hive_type(&list_of(DataType::UInt32)), Err("CAST(… AS BIGINT)"));
        assert!(hive_type(&DataType::Timestamp(TimeUnit::Second, None)).is_err());
        assert!(hive_type(&DataType::Time64(TimeUnit::Microsecond)).is_err());
    }

    #[test]
    fn words_of_others_are_read_with_their_arguments_and_nesting() {
        for word in [
            "boolean",
            "int",
            "double",
            "date",
            "timestamp",
            "decimal(20,2)",
            "array<string>",
            "map<string,bigint>",
            "struct<a:array<struct<b:int,c:decimal(5,2)>>,d:string>",
        ] {
            let arrow = arrow_type(word).unwrap_or_else(|| panic!("{word}"));
            assert_eq!(hive_type(&arrow).as_deref(), Ok(word));
        }
        assert_eq!(arrow_type("varchar(20)"), Some(DataType::Utf8));
        assert_eq!(arrow_type("decimal"), Some(DataType::Decimal128(10, 0)));
        assert_eq!(arrow_type("uniontype<int,string>"), None);
        assert_eq!(arrow_type("array<colour>"), None);
    }
}
