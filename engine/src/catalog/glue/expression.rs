//! Filters of a query → the `Expression` of `GetPartitions`, so that Glue names the partitions that matter and no others.
//!
//! Only what is surely meant the same on both sides is passed on; DataFusion applies every filter again to the rows.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};

/// Characters that Glue takes.
const LENGTH: usize = 2_048;

/// Name and type of the columns by which a table is partitioned.
pub(super) type Keys = [(String, DataType)];

/// The expression for filters that all must hold, or `None` if they say nothing about the partitions.
pub(super) fn expression(filters: &[Expr], keys: &Keys) -> Option<String> {
    let parts: Vec<String> = filters.iter().filter_map(|filter| necessary(filter, keys)).collect();
    let whole = parts.join(" AND ");
    (!whole.is_empty() && whole.len() <= LENGTH).then_some(whole)
}

/// What must hold for the filter to hold; of an AND one side is enough, of an OR both are needed.
fn necessary(filter: &Expr, keys: &Keys) -> Option<String> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => match (necessary(left, keys), necessary(right, keys)) {
            (Some(left), Some(right)) => Some(format!("{left} AND {right}")),
            (one, other) => one.or(other),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(format!("({} OR {})", necessary(left, keys)?, necessary(right, keys)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if let Some((name, kind)) = key(left, keys) {
                return Some(format!("{name} {} {}", sign(*op)?, literal(right, kind)?));
            }
            let (name, kind) = key(right, keys)?;
            Some(format!("{name} {} {}", sign(op.swap()?)?, literal(left, kind)?))
        }
        Expr::InList(list) if !list.negated => {
            let (name, kind) = key(&list.expr, keys)?;
            let values: Vec<String> = list.list.iter().map(|value| literal(value, kind)).collect::<Option<_>>()?;
            Some(format!("{name} IN ({})", values.join(", ")))
        }
        Expr::Between(Between { expr, negated: false, low, high }) => {
            let (name, kind) = key(expr, keys)?;
            Some(format!("{name} BETWEEN {} AND {}", literal(low, kind)?, literal(high, kind)?))
        }
        _ => None,
    }
}

fn key<'k>(expression: &Expr, keys: &'k Keys) -> Option<&'k (String, DataType)> {
    let Expr::Column(column) = expression else { return None };
    keys.iter().find(|(name, _)| *name == column.name)
}

fn sign(operator: Operator) -> Option<&'static str> {
    Some(match operator {
        Operator::Eq => "=",
        Operator::NotEq => "<>",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        _ => return None,
    })
}

/// A literal as Glue writes it for a column of this type; none where it would compare otherwise than SQL does.
fn literal(expression: &Expr, kind: &DataType) -> Option<String> {
    let Expr::Literal(value, _) = expression else { return None };
    match (kind, value) {
        (DataType::Utf8, ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text))) => {
            Some(format!("'{}'", text.replace('\'', "''")))
        }
        (DataType::Date32, ScalarValue::Date32(Some(_))) => Some(format!("'{value}'")),
        (kind, value) if kind.is_integer() && value.data_type().is_integer() && !value.is_null() => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn of(filter: Expr) -> Option<String> {
        expression(&[filter], &[("day".into(), DataType::Utf8), ("year".into(), DataType::Int32)])
    }

    #[test]
    fn filters_on_partition_columns_become_what_glue_understands() {
        assert_eq!(of(col("day").eq(lit("it's"))).as_deref(), Some("day = 'it''s'"));
        assert_eq!(of(lit(1990).lt(col("year"))).as_deref(), Some("year > 1990"));
        assert_eq!(of(col("year").in_list(vec![lit(1), lit(2)], false)).as_deref(), Some("year IN (1, 2)"));
        assert_eq!(of(col("year").between(lit(1), lit(2))).as_deref(), Some("year BETWEEN 1 AND 2"));
        assert_eq!(of(col("year").eq(lit(1)).or(col("day").not_eq(lit("a")))).as_deref(), Some("(year = 1 OR day <> 'a')"));
        assert_eq!(of(col("year").eq(lit(1)).and(col("title").eq(lit("x")))).as_deref(), Some("year = 1"));
    }

    #[test]
    fn what_glue_could_take_otherwise_is_left_to_the_query() {
        assert_eq!(of(col("title").eq(lit("x"))), None);
        assert_eq!(of(col("year").eq(lit(1)).or(col("title").eq(lit("x")))), None);
        assert_eq!(of(col("year").eq(lit("1990"))), None);
        assert_eq!(of(col("year").in_list(vec![lit(1)], true)), None);
        assert_eq!(of(col("day").eq(lit("x".repeat(LENGTH)))), None, "too long an expression would be refused");
    }
}
