//! A table's columns as a commit file holds them: JSON that people read, and that gives back the very same Arrow schema.
//!
//! A form of our own, because Arrow has no stable one: its `Display` changes between releases, and a flatbuffer cannot be
//! read in an editor. `{"name": "subject", "type": {"list": {"name": "item", "type": "utf8"}}}`; columns are nullable
//! unless they say otherwise.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit};
use schemas::problem::Problem;
use serde::{Deserialize, Serialize};

/// The columns of a table, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(pub Vec<Column>);

/// One column, or one field of a struct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether it may be null.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub nullable: bool,
    /// Arrow's annotations, such as extension types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// The type of a column: a word, or an object with what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is the Arrow type of its name")]
pub enum ColumnType {
    Plain(String),
    List { list: Box<Column> },
    LargeList { large_list: Box<Column> },
    FixedSizeList { fixed_size_list: Box<Column>, size: i32 },
    Struct { r#struct: Vec<Column> },
    Map { map: Box<Column>, sorted: bool },
    Dictionary { dictionary: Box<ColumnType>, keys: Box<ColumnType> },
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_yes(nullable: &bool) -> bool {
    *nullable
}

impl Columns {
    /// The columns of an Arrow schema.
    ///
    /// # Errors
    /// A column has a type that a table cannot hold, such as a union.
    pub fn new(schema: &Schema) -> Result<Self, Problem> {
        schema.fields().iter().map(column).collect::<Result<_, _>>().map(Self)
    }

    /// The Arrow schema.
    ///
    /// # Errors
    /// A type is not known: the commit is of a newer version, or damaged.
    pub fn to_arrow(&self) -> Result<SchemaRef, Problem> {
        Ok(Arc::new(Schema::new(fields(&self.0)?)))
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|column| column.name.as_str())
    }
}

fn column(field: &FieldRef) -> Result<Column, Problem> {
    let metadata = field.metadata().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let kind = kind(field.data_type()).ok_or_else(|| not_storable(field))?;
    Ok(Column { name: field.name().clone(), kind: kind?, nullable: field.is_nullable(), metadata })
}

/// `None` for a type that has no form here; an error for one that has such a type inside.
fn kind(from: &DataType) -> Option<Result<ColumnType, Problem>> {
    let boxed = |field: &FieldRef| column(field).map(Box::new);
    Some(match from {
        DataType::List(item) => boxed(item).map(|list| ColumnType::List { list }),
        DataType::LargeList(item) => boxed(item).map(|large_list| ColumnType::LargeList { large_list }),
        DataType::FixedSizeList(item, size) => {
            boxed(item).map(|fixed_size_list| ColumnType::FixedSizeList { fixed_size_list, size: *size })
        }
        DataType::Struct(inner) => inner.iter().map(column).collect::<Result<_, _>>().map(|r#struct| ColumnType::Struct { r#struct }),
        DataType::Map(entries, sorted) => boxed(entries).map(|map| ColumnType::Map { map, sorted: *sorted }),
        DataType::Dictionary(keys, values) => match (kind(keys)?, kind(values)?) {
            (Ok(keys), Ok(values)) => Ok(ColumnType::Dictionary { dictionary: Box::new(values), keys: Box::new(keys) }),
            (Err(problem), _) | (_, Err(problem)) => Err(problem),
        },
        plain => Ok(ColumnType::Plain(word(plain)?)),
    })
}

/// The words of the plain types, without their arguments.
static WORDS: [(&str, DataType); 21] = [
    ("null", DataType::Null),
    ("boolean", DataType::Boolean),
    ("int8", DataType::Int8),
    ("int16", DataType::Int16),
    ("int32", DataType::Int32),
    ("int64", DataType::Int64),
    ("uint8", DataType::UInt8),
    ("uint16", DataType::UInt16),
    ("uint32", DataType::UInt32),
    ("uint64", DataType::UInt64),
    ("float16", DataType::Float16),
    ("float32", DataType::Float32),
    ("float64", DataType::Float64),
    ("utf8", DataType::Utf8),
    ("large_utf8", DataType::LargeUtf8),
    ("utf8_view", DataType::Utf8View),
    ("binary", DataType::Binary),
    ("large_binary", DataType::LargeBinary),
    ("binary_view", DataType::BinaryView),
    ("date32", DataType::Date32),
    ("date64", DataType::Date64),
];

fn word(plain: &DataType) -> Option<String> {
    Some(match plain {
        DataType::FixedSizeBinary(size) => format!("fixed_size_binary({size})"),
        DataType::Time32(unit) => format!("time32({unit})"),
        DataType::Time64(unit) => format!("time64({unit})"),
        DataType::Duration(unit) => format!("duration({unit})"),
        DataType::Timestamp(unit, None) => format!("timestamp({unit})"),
        DataType::Timestamp(unit, Some(zone)) => format!("timestamp({unit},{zone})"),
        DataType::Interval(IntervalUnit::YearMonth) => "interval(year_month)".into(),
        DataType::Interval(IntervalUnit::DayTime) => "interval(day_time)".into(),
        DataType::Interval(IntervalUnit::MonthDayNano) => "interval(month_day_nano)".into(),
        DataType::Decimal128(precision, scale) => format!("decimal128({precision},{scale})"),
        DataType::Decimal256(precision, scale) => format!("decimal256({precision},{scale})"),
        other => WORDS.iter().find(|(_, kind)| kind == other)?.0.to_owned(),
    })
}

fn plain(word: &str) -> Option<DataType> {
    let Some((name, arguments)) = word.strip_suffix(')').and_then(|word| word.split_once('(')) else {
        return WORDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| kind.clone());
    };
    let (first, second) = arguments.split_once(',').map_or((arguments, None), |(first, second)| (first, Some(second)));
    let unit = || match first {
        "s" => Some(TimeUnit::Second),
        "ms" => Some(TimeUnit::Millisecond),
        "µs" | "us" => Some(TimeUnit::Microsecond),
        "ns" => Some(TimeUnit::Nanosecond),
        _ => None,
    };
    Some(match name {
        "fixed_size_binary" => DataType::FixedSizeBinary(first.parse().ok()?),
        "time32" => DataType::Time32(unit()?),
        "time64" => DataType::Time64(unit()?),
        "duration" => DataType::Duration(unit()?),
        "timestamp" => DataType::Timestamp(unit()?, second.map(Into::into)),
        "interval" => DataType::Interval(match first {
            "year_month" => IntervalUnit::YearMonth,
            "day_time" => IntervalUnit::DayTime,
            "month_day_nano" => IntervalUnit::MonthDayNano,
            _ => return None,
        }),
        "decimal128" => DataType::Decimal128(first.parse().ok()?, second?.parse().ok()?),
        "decimal256" => DataType::Decimal256(first.parse().ok()?, second?.parse().ok()?),
        _ => return None,
    })
}

fn fields(columns: &[Column]) -> Result<Fields, Problem> {
    columns.iter().map(field).collect()
}

fn field(column: &Column) -> Result<FieldRef, Problem> {
    let field = Field::new(&column.name, data_type(&column.kind)?, column.nullable);
    let metadata: HashMap<_, _> = column.metadata.clone().into_iter().collect();
    Ok(Arc::new(field.with_metadata(metadata)))
}

fn data_type(kind: &ColumnType) -> Result<DataType, Problem> {
    Ok(match kind {
        ColumnType::Plain(word) => plain(word).ok_or_else(|| not_known(word))?,
        ColumnType::List { list } => DataType::List(field(list)?),
        ColumnType::LargeList { large_list } => DataType::LargeList(field(large_list)?),
        ColumnType::FixedSizeList { fixed_size_list, size } => DataType::FixedSizeList(field(fixed_size_list)?, *size),
        ColumnType::Struct { r#struct } => DataType::Struct(fields(r#struct)?),
        ColumnType::Map { map, sorted } => DataType::Map(field(map)?, *sorted),
        ColumnType::Dictionary { dictionary, keys } => DataType::Dictionary(Box::new(data_type(keys)?), Box::new(data_type(dictionary)?)),
    })
}

fn not_storable(field: &Field) -> Problem {
    let message = format!("column {} has the type {}, which a table cannot hold", field.name(), field.data_type());
    Problem::error("PS528", message).hint("cast it in the SQL, for example to text with CAST(… AS VARCHAR)")
}

fn not_known(word: &str) -> Problem {
    Problem::error("PS524", format!("a commit names the column type {word:?}, which this version of pacha does not know"))
        .hint("a newer pacha wrote it: upgrade this one")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_type() -> impl Strategy<Value = DataType> {
        let unit =
            prop_oneof![Just(TimeUnit::Second), Just(TimeUnit::Millisecond), Just(TimeUnit::Microsecond), Just(TimeUnit::Nanosecond)];
        let leaf = prop_oneof![
            (0..WORDS.len()).prop_map(|index| WORDS[index].1.clone()),
            (unit, prop::option::of("[A-Z][a-z]{2}/[A-Za-z]{3,8}|\\+0[0-9]:00"))
                .prop_map(|(unit, zone)| DataType::Timestamp(unit, zone.map(Into::into))),
            (1i32..64).prop_map(DataType::FixedSizeBinary),
            (1u8..38, -3i8..9).prop_map(|(precision, scale)| DataType::Decimal128(precision, scale)),
            Just(DataType::Time64(TimeUnit::Microsecond)),
            Just(DataType::Interval(IntervalUnit::MonthDayNano)),
            Just(DataType::Duration(TimeUnit::Millisecond)),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            let item = (inner.clone(), any::<bool>()).prop_map(|(kind, nullable)| Arc::new(Field::new("item", kind, nullable)));
            prop_oneof![
                item.clone().prop_map(DataType::List),
                item.clone().prop_map(DataType::LargeList),
                item.prop_map(|item| DataType::FixedSizeList(item, 3)),
                prop::collection::vec((inner.clone(), any::<bool>()), 1..4).prop_map(|parts| {
                    let parts = parts.into_iter().enumerate();
                    DataType::Struct(parts.map(|(index, (kind, nullable))| Field::new(format!("f{index}"), kind, nullable)).collect())
                }),
                inner.prop_map(|value| DataType::Dictionary(Box::new(DataType::Int32), Box::new(value))),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_schema_comes_back_from_its_json_as_it_was(kinds in prop::collection::vec((any_type(), any::<bool>()), 0..6)) {
            let columns = kinds.into_iter().enumerate();
            let schema = Schema::new(columns.map(|(index, (kind, nullable))| Field::new(format!("c{index}"), kind, nullable)).collect::<Fields>());
            let json = serde_json::to_string_pretty(&Columns::new(&schema).unwrap()).unwrap();
            let back: Columns = serde_json::from_str(&json).unwrap();
            let back = back.to_arrow().unwrap();
            prop_assert_eq!(back.as_ref(), &schema);
        }
    }

    #[test]
    fn the_form_is_one_that_people_read() {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("subject", DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))), true),
        ]);
        let json = serde_json::to_string(&Columns::new(&schema).unwrap()).unwrap();
        let expected = r#"[{"name":"id","type":"utf8","nullable":false},{"name":"subject","type":{"list":{"name":"item","type":"utf8"}}}]"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn a_type_that_no_table_can_hold_names_its_column() {
        let inner = DataType::ListView(Arc::new(Field::new("item", DataType::Utf8, true)));
        let schema = Schema::new(vec![Field::new("s", DataType::Struct(vec![Field::new("views", inner, true)].into()), true)]);
        let problem = Columns::new(&schema).unwrap_err().to_string();
        assert!(problem.starts_with("PS528 column views has the type"), "{problem}");
        let unknown: Columns = serde_json::from_str(r#"[{"name":"x","type":"uint128"}]"#).unwrap();
        assert!(unknown.to_arrow().unwrap_err().to_string().starts_with("PS524"));
    }
}
