//! Column statistics for the planners of other engines: one query over the flat columns of a table that has changed.
//!
//! Parquet footers know nulls, minimum and maximum, but neither lengths nor how many values are distinct, and Glue wants
//! all of them together. The query's sketch gives the last within a few per cent. Lists and structs have no statistics.

use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use aws_sdk_glue::primitives::DateTime;
use aws_sdk_glue::types::{
    BooleanColumnStatisticsData, ColumnStatistics, ColumnStatisticsData, ColumnStatisticsType, DateColumnStatisticsData,
    DoubleColumnStatisticsData, LongColumnStatisticsData, StringColumnStatisticsData,
};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::functions::string::expr_fn::octet_length;
use datafusion::functions_aggregate::expr_fn::{approx_distinct, avg, count, max, min, sum};
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::prelude::SessionContext;
use schemas::problem::Problem;

use super::client::{Client, STATISTICS};
use super::entry::Entry;
use crate::sql::mistake;
use crate::table::TableVersion;

/// A kind of statistics, as Glue divides types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Long,
    Double,
    Boolean,
    Date,
}

/// Computes and pushes; returns why that was not possible, which is never a failure: no reader needs statistics to be right.
pub(super) async fn push(client: &Client, context: &SessionContext, entry: &Entry, table: TableVersion) -> Option<String> {
    if table.state().files.is_empty() {
        return None;
    }
    let columns = match compute(context, entry, table).await {
        Ok(columns) => columns,
        Err(error) => return Some(first(&mistake::running(&error))),
    };
    let mut refused = Vec::new();
    for columns in columns.chunks(STATISTICS) {
        match client.set_statistics(&entry.database, &entry.table, columns).await {
            Ok(some) => refused.extend(some),
            Err(error) => return Some(first(&error)),
        }
    }
    (!refused.is_empty()).then(|| format!("refused for {}", refused.join(", ")))
}

/// One warning for all tables that lack them: the reason is mostly the same.
pub(super) fn missing(of: &[(String, String)]) -> Option<Problem> {
    let (_, why) = of.first()?;
    let tables: Vec<&str> = of.iter().map(|(table, _)| table.as_str()).collect();
    let problem = Problem::warning("PS573", format!("no column statistics in Glue for {}: {why}", tables.join(", ")));
    Some(problem.hint("the tables themselves are published; queries on them are planned without statistics"))
}

fn first(error: &crate::Error) -> String {
    error.problems.0.first().map(|problem| problem.message.clone()).unwrap_or_default()
}

async fn compute(context: &SessionContext, entry: &Entry, table: TableVersion) -> Result<Vec<ColumnStatistics>, DataFusionError> {
    let schema = datafusion::catalog::TableProvider::schema(&table);
    let wanted: Vec<(String, String, Kind)> = schema
        .fields()
        .iter()
        .filter_map(|field| {
            let (name, hive) = entry.columns().find(|(name, _)| *name == field.name().to_lowercase())?;
            // The query names the column as the file does, Glue as it folds it.
            (name.len() == field.name().len()).then_some(())?;
            Some((field.name().clone(), hive.to_owned(), kind(field.data_type())?))
        })
        .collect();
    let items: Vec<Expr> = wanted.iter().enumerate().flat_map(|(index, (name, _, kind))| aggregates(index, name, *kind)).collect();
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let items = items.into_iter().chain([count(lit(1)).alias("rows")]).collect();
    let batches = context.read_table(Arc::new(table))?.aggregate(Vec::new(), items)?.collect().await?;
    let Some(row) = batches.first().filter(|batch| batch.num_rows() == 1) else { return Ok(Vec::new()) };
    let analyzed = DateTime::from(SystemTime::now());
    let mut columns = Vec::new();
    for (index, (name, hive, kind)) in wanted.iter().enumerate() {
        let Some(data) = data(row, index, *kind)? else { continue };
        let column = ColumnStatistics::builder().column_name(name.to_lowercase()).column_type(hive).analyzed_time(analyzed);
        let column = column.statistics_data(data).build();
        columns.push(column.map_err(|error| DataFusionError::External(Box::new(error)))?);
    }
    Ok(columns)
}

fn kind(data_type: &DataType) -> Option<Kind> {
    match data_type {
        DataType::Utf8 => Some(Kind::Text),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(Kind::Long),
        DataType::Float32 | DataType::Float64 => Some(Kind::Double),
        DataType::Boolean => Some(Kind::Boolean),
        DataType::Date32 => Some(Kind::Date),
        _ => None,
    }
}

fn aggregates(index: usize, name: &str, kind: Kind) -> Vec<Expr> {
    let column = || Expr::Column(Column::from_name(name));
    let named = |what: &str, expression: Expr| expression.alias(format!("{what}{index}"));
    let mut items = vec![named("count", count(column()))];
    match kind {
        Kind::Text => items.extend([
            named("distinct", approx_distinct(column())),
            named("longest", max(cast(octet_length(column()), DataType::Int64))),
            named("average", avg(cast(octet_length(column()), DataType::Float64))),
        ]),
        Kind::Long => items.extend([
            named("distinct", approx_distinct(column())),
            named("min", min(cast(column(), DataType::Int64))),
            named("max", max(cast(column(), DataType::Int64))),
        ]),
        Kind::Double => items.extend([
            // Numbers with a fraction are counted by their text: the sketch does not take them.
            named("distinct", approx_distinct(cast(column(), DataType::Utf8))),
            named("min", min(cast(column(), DataType::Float64))),
            named("max", max(cast(column(), DataType::Float64))),
        ]),
        Kind::Boolean => items.push(named("trues", sum(cast(column(), DataType::Int64)))),
        Kind::Date => items.extend([
            named("distinct", approx_distinct(cast(column(), DataType::Int32))),
            named("min", min(cast(cast(column(), DataType::Int32), DataType::Int64))),
            named("max", max(cast(cast(column(), DataType::Int32), DataType::Int64))),
        ]),
    }
    items
}

/// One column's numbers; none for a column that has no value, of which there is nothing to say.
fn data(row: &RecordBatch, index: usize, kind: Kind) -> Result<Option<ColumnStatisticsData>, DataFusionError> {
    let scalar = |name: &str| match row.column_by_name(name) {
        Some(column) if column.is_valid(0) => ScalarValue::try_from_array(column, 0).map(Some),
        _ => Ok(None),
    };
    let number = |what: &str| -> Result<i64, DataFusionError> {
        let found = scalar(&format!("{what}{index}"))?.map(|value| value.cast_to(&DataType::Int64)).transpose()?;
        Ok(if let Some(ScalarValue::Int64(Some(number))) = found { number } else { 0 })
    };
    let float = |what: &str| -> Result<f64, DataFusionError> {
        let found = scalar(&format!("{what}{index}"))?.map(|value| value.cast_to(&DataType::Float64)).transpose()?;
        Ok(if let Some(ScalarValue::Float64(Some(number))) = found { number } else { 0.0 })
    };
    let rows = match scalar("rows")? {
        Some(ScalarValue::Int64(Some(rows))) => rows,
        _ => 0,
    };
    let filled = number("count")?;
    if filled == 0 {
        return Ok(None);
    }
    let (nulls, distinct) = (rows - filled, number("distinct")?.clamp(1, filled));
    let built = match kind {
        Kind::Text => ColumnStatisticsData::builder().r#type(ColumnStatisticsType::String).string_column_statistics_data(
            StringColumnStatisticsData::builder()
                .maximum_length(number("longest")?)
                .average_length(float("average")?)
                .number_of_nulls(nulls)
                .number_of_distinct_values(distinct)
                .build(),
        ),
        Kind::Long => ColumnStatisticsData::builder().r#type(ColumnStatisticsType::Long).long_column_statistics_data(
            LongColumnStatisticsData::builder()
                .minimum_value(number("min")?)
                .maximum_value(number("max")?)
                .number_of_nulls(nulls)
                .number_of_distinct_values(distinct)
                .build(),
        ),
        Kind::Double => ColumnStatisticsData::builder().r#type(ColumnStatisticsType::Double).double_column_statistics_data(
            DoubleColumnStatisticsData::builder()
                .minimum_value(float("min")?)
                .maximum_value(float("max")?)
                .number_of_nulls(nulls)
                .number_of_distinct_values(distinct)
                .build(),
        ),
        Kind::Boolean => {
            let trues = number("trues")?;
            ColumnStatisticsData::builder().r#type(ColumnStatisticsType::Boolean).boolean_column_statistics_data(
                BooleanColumnStatisticsData::builder()
                    .number_of_trues(trues)
                    .number_of_falses(filled - trues)
                    .number_of_nulls(nulls)
                    .build(),
            )
        }
        Kind::Date => {
            let instant = |days: i64| DateTime::from_secs(days * 24 * 60 * 60);
            ColumnStatisticsData::builder().r#type(ColumnStatisticsType::Date).date_column_statistics_data(
                DateColumnStatisticsData::builder()
                    .minimum_value(instant(number("min")?))
                    .maximum_value(instant(number("max")?))
                    .number_of_nulls(nulls)
                    .number_of_distinct_values(distinct)
                    .build(),
            )
        }
    };
    built.build().map(Some).map_err(|error| DataFusionError::External(Box::new(error)))
}
