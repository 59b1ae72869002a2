//! SQL steps: each a query whose result becomes a table of the job's database.
//!
//! A step sees the tables of its own run, the ones before it included, before anything is published.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, cast};
use schemas::problem::{Problem, Problems, Source};
use schemas::target::type_name;

use super::write::Writing;
use crate::cluster;
use crate::error::{Error, Result};
use crate::project::{Job, Step};
use crate::query::{self, tables::Overlay};
use crate::session::{Plans, Session};
use crate::sink::{Manifest, SinkMode};
use crate::sql::{mistake, parse};
use crate::table::{Columns, Database, Snapshot};

/// Plans a step over what `overlay` holds.
///
/// # Errors
/// Every mistake in its SQL, or a column that is not the target's.
pub async fn plan(
    session: &Session,
    job: &Job,
    step: &Step,
    overlay: &Overlay,
    parameters: &BTreeMap<String, String>,
) -> Result<DataFrame> {
    let text = Arc::new(Source { path: step.sql.source.path.clone(), text: step.sql.text().to_owned() });
    let placed = |error: Error| moved(error, step, &text);
    let parsed = parse::query(&text).map_err(|problem| placed(problem.into()))?;
    let statement = datafusion::sql::sqlparser::ast::Statement::Query(Box::new(parsed));
    let whole = 0..text.text.trim_end().len();
    let mut overlay = overlay.clone();
    overlay.inputs = job.inputs.iter().map(|input| (input.name.clone(), input.location.value.clone())).collect();
    let frame = query::plan(session, &text, whole, statement, &overlay, parameters).await.map_err(placed)?;
    fit(frame, step).map_err(placed)
}

/// Plans every step of a job without running one, over tables that this run will write and those of the last version;
/// returns the columns of the steps' own tables.
///
/// # Errors
/// Every mistake in every step.
pub async fn check(
    session: &Session,
    job: &Job,
    before: &Snapshot,
    tables: BTreeMap<String, SchemaRef>,
    parameters: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, SchemaRef>> {
    let database = Database::open(session.warehouse.join(&job.database));
    let mut after = Snapshot::clone(before);
    for (name, schema) in tables {
        let table = after.tables.entry(name).or_default();
        table.schema = Columns::new(&schema).map_err(Error::from)?;
    }
    let (mut problems, mut written) = (Problems::default(), BTreeMap::new());
    for step in &job.steps {
        let overlay = Overlay { database: Some((database.clone(), Arc::new(after.clone()))), inputs: BTreeMap::new() };
        match plan(session, job, step, &overlay, parameters).await {
            Ok(frame) => {
                problems.extend(impossible(session, step, &frame));
                let table = after.tables.entry(step.table.value.clone()).or_default();
                table.schema = Columns::new(&schema(&frame)).map_err(Error::from)?;
                table.files.clear();
                written.insert(step.table.value.clone(), schema(&frame));
            }
            Err(error) => problems.extend(error.problems),
        }
    }
    if problems.fatal() { Err(Error::mistakes(problems)) } else { Ok(written) }
}

/// Why the cluster on which a step is to run cannot run it.
fn impossible(session: &Session, step: &Step, frame: &DataFrame) -> Option<Problem> {
    if session.plans == Plans::Embedded {
        return None;
    }
    let problem = cluster::refusal(frame.logical_plan())?;
    let text = step.sql.text().to_ascii_lowercase();
    let word = text.find("recursive").map_or(0..text.trim_end().len(), |start| start..start + "recursive".len());
    Some(problem.at(&step.sql.source, step.sql.place(&word)))
}

/// Points problems in a step's own text at the file it stands in.
fn moved(mut error: Error, step: &Step, text: &Arc<Source>) -> Error {
    for problem in &mut error.problems.0 {
        if let Some(place) = &mut problem.place
            && place.source == *text
        {
            place.span = step.sql.place(&place.span);
            place.source = Arc::clone(&step.sql.source);
        }
    }
    error
}

/// Brings the columns into the step's target, if it names one, and into types that can be stored.
fn fit(frame: DataFrame, step: &Step) -> Result<DataFrame> {
    let failed = |error: datafusion::error::DataFusionError| mistake::running(&error);
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let named = |name: &str| Expr::Column(Column::from_name(name));
    if let Some(target) = &step.target {
        let mut problems = Problems::default();
        let mut items = Vec::new();
        for field in &target.fields {
            match schema.field_with_name(&field.name) {
                Ok(found) if found.data_type() == &field.data_type => items.push(named(&field.name)),
                Ok(found) if type_name(found.data_type()) == type_name(&field.data_type) => {
                    items.push(cast(named(&field.name), field.data_type.clone()).alias(&field.name))
                }
                Ok(found) => problems.push(
                    Problem::error(
                        "PV305",
                        format!("{} must be {}; the step gives {}", field.name, type_name(&field.data_type), type_name(found.data_type())),
                    )
                    .hint(format!("CAST it in the SELECT of table {}", step.table.value)),
                ),
                Err(_) => problems.push(
                    Problem::error("PV302", format!("the step gives no {}, which {} has", field.name, target.name))
                        .hint("add it to the SELECT"),
                ),
            }
        }
        return if problems.fatal() { Err(Error::mistakes(problems)) } else { frame.select(items).map_err(failed) };
    }
    let items: Vec<Expr> = schema.fields().iter().map(|field| stored(field, named(field.name()))).collect();
    frame.select(items).map_err(failed)
}

/// Views, dictionaries and nulls become the plain types that every reader knows.
fn stored(field: &Field, column: Expr) -> Expr {
    match plain(field.data_type()) {
        Some(data_type) => cast(column, data_type).alias(field.name()),
        None => column,
    }
}

/// The type to cast to, if this one is not plain. Numbers without a sign are for no engine of the Hive family, and neither
/// Parquet nor Hive has seconds.
fn plain(data_type: &DataType) -> Option<DataType> {
    let item = |item: &Field| schemas::source::list_of(plain(item.data_type()).unwrap_or_else(|| item.data_type().clone()));
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null | DataType::Time32(_) | DataType::Time64(_) => Some(DataType::Utf8),
        DataType::BinaryView | DataType::LargeBinary | DataType::FixedSizeBinary(_) => Some(DataType::Binary),
        DataType::UInt8 => Some(DataType::Int16),
        DataType::UInt16 => Some(DataType::Int32),
        DataType::UInt32 => Some(DataType::Int64),
        DataType::UInt64 => Some(DataType::Decimal128(20, 0)),
        DataType::Float16 => Some(DataType::Float32),
        DataType::Date64 => Some(DataType::Date32),
        DataType::Timestamp(unit, zone) if *unit != TimeUnit::Microsecond => Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
        DataType::Dictionary(_, value) => Some(plain(value).unwrap_or_else(|| value.as_ref().clone())),
        DataType::LargeList(of) | DataType::ListView(of) | DataType::FixedSizeList(of, _) => Some(item(of)),
        DataType::List(of) => plain(of.data_type()).map(schemas::source::list_of),
        DataType::Struct(members) if members.iter().any(|member| plain(member.data_type()).is_some()) => {
            let stored = |member: &FieldRef| {
                let data_type = plain(member.data_type()).unwrap_or_else(|| member.data_type().clone());
                Arc::new(Field::clone(member).with_data_type(data_type))
            };
            Some(DataType::Struct(members.iter().map(stored).collect()))
        }
        _ => None,
    }
}

/// The columns that a step's table will have; all may be null, as a later version may not know them.
pub fn schema(frame: &DataFrame) -> SchemaRef {
    let fields: Vec<Field> =
        frame.schema().fields().iter().map(|field| Field::new(field.name(), field.data_type().clone(), true)).collect();
    Arc::new(Schema::new(fields))
}

/// Executes a query into files of a table; `name` is what the run calls it.
///
/// # Errors
/// The query failed.
pub async fn execute(writing: &Writing<'_>, name: &str, table: &str, frame: &DataFrame) -> Result<Manifest> {
    writing.write(name, &SinkMode::Rows { table: table.to_owned() }, frame.logical_plan(), |_| Ok(())).await
}
