//! A composed mapping → the logical plan of its records, compared with the target before anything is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::functions::core::expr_fn::{coalesce, get_field};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Volatility, cast, lit, when};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use schemas::problem::{Problem, Problems};
use schemas::source::{Codec, SourceSchema, envelope_fields};
use schemas::target::{Level as Severity, TargetField, TargetSchema, type_name};

use super::check::{self, CheckSpec};
use super::compose::{Composition, HARVEST, KEPT, Level, RECORD};
use super::document;
use super::finish::{self, steps_text};
use crate::scan::HarvestTable;
use crate::scan::source::{KIND, PAGE};
use crate::scan::table::{COLLECTION, FILL, OVERWRITE};
use crate::session;
use crate::sql::mistake::{self, Known};

/// Findings column of the plan.
pub const FINDINGS: &str = "_findings";

/// What a mapping is planned over and towards.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// How the records are decoded.
    pub source: Arc<SourceSchema>,
    /// Base view first, the mapping last; none for the records as they are.
    pub levels: Vec<Level>,
    /// What is to come out.
    pub target: Arc<TargetSchema>,
    /// The job's aliases: name → SQL path.
    pub aliases: Vec<(String, String)>,
    /// Whether the harvested columns are carried along, to be written too.
    pub vernacular: bool,
    /// Whether each record's source text is among them.
    pub raw: bool,
    /// Parameters, for `$name`.
    pub parameters: BTreeMap<String, String>,
}

/// A planned mapping.
#[derive(Debug, Clone)]
pub struct MappingPlan {
    /// Columns: the target's fields in order, [`RECORD`], perhaps [`KEPT`], [`FINDINGS`].
    pub plan: LogicalPlan,
    /// Target field → `mappings/x.sql:8`, for findings.
    pub at: BTreeMap<String, String>,
    /// What is not wrong enough to stop.
    pub warnings: Problems,
}

/// Columns of `_harvest` beyond the vernacular's own, which depend on what the collections declare.
fn constants(table: &SchemaRef) -> Vec<String> {
    [COLLECTION, FILL, OVERWRITE].into_iter().filter(|name| table.field_with_name(name).is_ok()).map(str::to_owned).collect()
}

/// The generated SELECT beneath every mapping: harvested columns, aliases, and the record's envelope in one struct.
fn vernacular_select(request: &PlanRequest, table: &SchemaRef) -> (String, Vec<String>) {
    let schema = request.source.table_schema();
    let mut columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    columns.extend(constants(table));
    let mut items: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    // An alias is for the collections that have its column; a job may read several source schemas.
    let known = |path: &str| columns.iter().any(|name| name == path.split(['.', '[']).next().unwrap_or_default().trim().trim_matches('"'));
    let mut aliases: Vec<(String, String)> = request.aliases.iter().filter(|(_, path)| known(path)).cloned().collect();
    if ["leader", "control", "data"].iter().all(|name| schema.field_with_name(name).is_ok()) {
        aliases.push(("m".into(), "named_struct('leader', leader, 'control', control, 'data', data)".into()));
    }
    for (name, path) in aliases {
        items.push(format!("{path} AS \"{name}\""));
        columns.push(name);
    }
    let mut record = format!("'kind', \"{KIND}\", 'page_no', \"{PAGE}\"['no']");
    for name in ["collection_id", "record_id", "page", "page_seq", "deleted", "problems"] {
        record.push_str(&format!(", '{name}', \"{name}\""));
    }
    if request.vernacular {
        let members = schema.fields().iter().filter(|field| request.raw || field.name() != "raw");
        let members: Vec<String> = members.map(|field| format!("'{}', {}", field.name(), stored(request, field.name()))).collect();
        record.push_str(&format!(", 'vernacular', named_struct({})", members.join(", ")));
    }
    items.push(format!("named_struct({record}) AS \"{RECORD}\""));
    columns.push(RECORD.into());
    (format!("SELECT {} FROM \"{HARVEST}\"", items.join(", ")), columns)
}

/// A harvested column as its table stores it. The documents of one collection have another type than those of the next,
/// and a table has one, so they are stored as JSON text; `collection."id"` reads them typed.
fn stored(request: &PlanRequest, name: &str) -> String {
    match request.source.codec {
        Codec::Json if name == "doc" => "pacha_json(\"doc\")".to_owned(),
        _ => format!("\"{name}\""),
    }
}

/// Plans a mapping over the pages of `table`.
///
/// # Errors
/// Every mistake in the mapping, and every way in which its columns are not those of the target, each with its place.
pub async fn plan(context: &SessionContext, table: Arc<HarvestTable>, request: &PlanRequest) -> Result<MappingPlan, Problems> {
    use datafusion::catalog::TableProvider;
    let schema = table.schema();
    let (select, columns) = vernacular_select(request, &schema);
    let mut pass: Vec<String> = envelope_fields().iter().map(|field| field.name().clone()).collect();
    pass.extend(constants(&schema));
    pass.push(RECORD.into());
    pass.retain(|name| request.target.field(name).is_none());
    let composed = Composition::new(request.levels.clone(), &select, columns, pass)?;
    // Each mapping is planned over tables of its own, so that many can be planned at the same time.
    let context = session::private(context);
    context.register_table(HARVEST, table).map_err(|error| Problems(vec![unplanned(&error.to_string())]))?;
    let planner = Planner { context, composed: &composed, request };
    let mapped = planner.records().await?;
    planner.finish(mapped)
}

fn unplanned(text: &str) -> Problem {
    Problem::error("PM299", text.to_owned())
}

struct Planner<'a> {
    context: SessionContext,
    composed: &'a Composition,
    request: &'a PlanRequest,
}

impl Planner<'_> {
    async fn plan_query(&self, state: &SessionState, query: ast::Query) -> datafusion::common::Result<LogicalPlan> {
        let statement = Statement::Statement(Box::new(ast::Statement::Query(Box::new(query))));
        let plan = state.statement_to_plan(statement).await?;
        let values: Vec<(String, ScalarValue)> =
            self.request.parameters.iter().map(|(name, value)| (name.clone(), ScalarValue::Utf8(Some(value.clone())))).collect();
        plan.with_param_values(values)
    }

    /// The mapping's own result.
    async fn records(&self) -> Result<LogicalPlan, Problems> {
        let state = self.context.state();
        let levels = self.composed.prepared.len();
        match self.plan_query(&state, self.composed.query(levels)).await {
            Ok(plan) => Ok(plan),
            Err(error) => Err(self.explain(&state, &error).await),
        }
    }

    /// Finds the first level that cannot be planned, and in it every expression that cannot.
    async fn explain(&self, state: &SessionState, error: &datafusion::error::DataFusionError) -> Problems {
        let known = Known {
            functions: state.scalar_functions().keys().chain(state.aggregate_functions().keys()).cloned().collect(),
            tables: self.composed.prepared.iter().map(|level| level.level.name.clone()).collect(),
            members: self.context.table_provider(HARVEST).await.map(|table| mistake::members(table.schema().fields())).unwrap_or_default(),
        };
        let mut problems = Problems::default();
        for (index, level) in self.composed.prepared.iter().enumerate() {
            let Err(error) = self.plan_query(state, self.composed.query(index + 1)).await else { continue };
            let whole = 0..level.level.source.text.trim_end().len();
            for (expr, span) in &level.parts {
                let item = ast::SelectItem::UnnamedExpr(expr.clone());
                let query = self.composed.select_from(index, &level.from, vec![item]);
                if let Err(error) = self.plan_query(state, query).await {
                    problems.push(mistake::planning(&error, &level.level.source, span, &known));
                }
            }
            if problems.0.is_empty() {
                problems.push(mistake::planning(&error, &level.level.source, &whole, &known));
            }
            problems.0.dedup();
            return problems;
        }
        problems.push(unplanned(&error.to_string()));
        problems
    }

    /// Compares the mapping's columns with the target, then adds finishing and checks.
    fn finish(&self, mapped: LogicalPlan) -> Result<MappingPlan, Problems> {
        let target = &self.request.target;
        let mut problems = self.mismatches(&mapped);
        problems.extend(self.impure(&mapped));
        problems.extend(self.reshaped(&mapped));
        let schema = Arc::clone(mapped.schema());
        let constant = |column: &str, field: &str| match schema.field_with_unqualified_name(column).map(|field| field.data_type().clone()) {
            Ok(DataType::Struct(members)) => members.find(field).is_some(),
            _ => false,
        };
        let mut items: Vec<Expr> = Vec::with_capacity(target.fields.len() + 2);
        for field in &target.fields {
            let mut value = match schema.field_with_unqualified_name(&field.name) {
                Ok(found) if found.data_type() == &field.data_type => named(&field.name),
                Ok(_) => cast(named(&field.name), field.data_type.clone()),
                Err(_) => cast(lit(ScalarValue::Null), field.data_type.clone()),
            };
            if constant(OVERWRITE, &field.name) {
                value = coalesce(vec![given(OVERWRITE, field), value]);
            }
            if constant(FILL, &field.name) {
                value = filled(value, given(FILL, field), field).map_err(|error| Problems(vec![unplanned(&error.to_string())]))?;
            }
            if is_text(&field.data_type) && !field.finish.is_empty() {
                value = self.call("pacha_finish", vec![value, lit(steps_text(&field.finish))])?;
            }
            items.push(value.alias(&field.name));
        }
        items.push(named(RECORD));
        if self.composed.has_kept {
            items.push(named(KEPT));
        }
        let (plan, spec) = self.checked(mapped, items, &mut problems)?;
        let _ = spec;
        if problems.fatal() {
            return Err(problems);
        }
        let at = self.composed.origins.iter().filter(|(name, _)| target.field(name).is_some());
        let at = at.map(|(name, origin)| (name.clone(), format!("{}:{}", origin.source.path, line(origin)))).collect();
        Ok(MappingPlan { plan, at, warnings: problems })
    }

    fn checked(&self, mapped: LogicalPlan, items: Vec<Expr>, problems: &mut Problems) -> Result<(LogicalPlan, CheckSpec), Problems> {
        let target = &self.request.target;
        let failed = |error: datafusion::error::DataFusionError| Problems(vec![unplanned(&error.strip_backtrace())]);
        let finished = LogicalPlanBuilder::from(mapped).project(items).and_then(LogicalPlanBuilder::build).map_err(failed)?;
        let spec = CheckSpec::of(target);
        let text = serde_json::to_string(&spec).expect("a check specification is plain data");
        let mut arguments = vec![lit(text)];
        arguments.extend(spec.fields.iter().map(|field| named(&field.name)));
        arguments.extend(self.rules(finished.schema(), problems));
        let mut all: Vec<Expr> = finished.schema().iter().map(|(_, field)| named(field.name())).collect();
        all.push(self.call("pacha_check", arguments)?.alias(FINDINGS));
        if problems.fatal() {
            return Ok((finished, spec));
        }
        let plan = LogicalPlanBuilder::from(finished).project(all).and_then(LogicalPlanBuilder::build).map_err(failed)?;
        Ok((plan, spec))
    }

    /// The target's rules as expressions over the finished record.
    fn rules(&self, schema: &DFSchema, problems: &mut Problems) -> Vec<Expr> {
        let state = self.context.state();
        let known = Known { functions: state.scalar_functions().keys().cloned().collect(), ..Known::default() };
        let mut expressions = Vec::new();
        for rule in &self.request.target.rules {
            match state.create_logical_expr(&rule.sql.value, schema) {
                Ok(expression) => expressions.push(expression),
                Err(error) => problems.push(mistake::planning(&error, &self.request.target.source, &rule.sql.span, &known)),
            }
        }
        expressions
    }

    fn call(&self, name: &str, arguments: Vec<Expr>) -> Result<Expr, Problems> {
        let function = self.context.state_ref().read().scalar_functions().get(name).cloned();
        match function {
            Some(function) => Ok(function.call(arguments)),
            None => Err(Problems(vec![unplanned(&format!("function {name} is not registered on this session"))])),
        }
    }

    /// Every way in which the mapping's columns are not the target's.
    fn mismatches(&self, mapped: &LogicalPlan) -> Problems {
        let target = &self.request.target;
        let mut problems = Problems::default();
        let carried: BTreeSet<&str> =
            self.composed.pass.iter().map(String::as_str).chain(self.request.aliases.iter().map(|(name, _)| name.as_str())).collect();
        let mut given = BTreeSet::new();
        for (_, column) in mapped.schema().iter() {
            let name = column.name().as_str();
            given.insert(name);
            match target.field(name) {
                Some(field) => problems.extend(self.type_mistake(field, column.data_type())),
                None if carried.contains(name) || name.starts_with('_') || name == "m" => {}
                None => problems.push(self.unknown_field(name)),
            }
        }
        let filled = |field: &str| {
            [FILL, OVERWRITE].iter().any(|column| {
                matches!(mapped.schema().field_with_unqualified_name(column).map(|field| field.data_type().clone()),
                    Ok(DataType::Struct(members)) if members.find(field).is_some())
            })
        };
        for field in target.fields.iter().filter(|field| field.required == Some(Severity::Error)) {
            if !given.contains(field.name.as_str()) && !filled(&field.name) {
                let problem = Problem::error("PV302", format!("the mapping gives no {}, which {} requires", field.name, target.name));
                problems
                    .push(self.placed(problem, None).hint(format!("add … AS {} to the SELECT, or fill it in the collection", field.name)));
            }
        }
        problems
    }

    /// Functions whose result is not the same for the same record at every run.
    fn impure(&self, mapped: &LogicalPlan) -> Vec<Problem> {
        let mut names = BTreeSet::new();
        let _ = mapped.apply(|node| {
            node.apply_expressions(|expression| {
                expression.apply(|part| {
                    if let Expr::ScalarFunction(call) = part
                        && call.func.signature().volatility != Volatility::Immutable
                    {
                        names.insert(call.func.name().to_owned());
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        let problem = |name: String| {
            let problem = Problem::error(
                "PM235",
                format!("{name}() gives another value at every run, so the same record would not give the same result"),
            );
            let place = self
                .composed
                .prepared
                .iter()
                .rev()
                .find_map(|level| mistake::find_word(&level.level.source, &name).map(|span| (&level.level.source, span)));
            let problem = problem.hint("pass the value in: $name in the SQL, [params] in the job, --param name=value at the run");
            match place {
                Some((source, span)) => problem.at(source, span),
                None => self.placed(problem, None),
            }
        };
        names.into_iter().map(problem).collect()
    }

    /// Parts of the plan that would not give exactly one row for each record.
    fn reshaped(&self, mapped: &LogicalPlan) -> Option<Problem> {
        let mut found = None;
        let _ = mapped.apply(|node| {
            let what = match node {
                LogicalPlan::Unnest(_) => "unnest()",
                LogicalPlan::Window(_) => "a window function",
                LogicalPlan::Aggregate(_) => "an aggregate function",
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            found = Some(what);
            Ok(TreeNodeRecursion::Stop)
        });
        let problem = Problem::error("PM231", format!("a mapping gives one row for each record: {} does not belong in it", found?));
        Some(self.placed(problem, None).hint("use array_transform(…) on a list; group, number and unnest in a job with [[step]]"))
    }

    fn unknown_field(&self, name: &str) -> Problem {
        let target = &self.request.target;
        let problem = Problem::error("PV306", format!("{name} is not a field of {}", target.name));
        let fields: Vec<&str> = target.fields.iter().map(|field| field.name.as_str()).collect();
        let hint = match schemas::suggest::closest(name, fields.iter().copied()) {
            Some(close) => format!("did you mean {close}? Otherwise leave it out: EXCLUDE ({name})"),
            None if self.composed.origins.contains_key(name) => format!("remove it; {} has: {}", target.name, fields.join(", ")),
            None => format!("it comes with the *: name the columns you want, or EXCLUDE ({name})"),
        };
        self.placed(problem, Some(name)).hint(hint)
    }

    fn type_mistake(&self, field: &TargetField, given: &DataType) -> Option<Problem> {
        if fits(given, &field.data_type) {
            return None;
        }
        let (wanted, found) = (type_name(&field.data_type), type_name(given));
        let problem = Problem::error("PV305", format!("{} must be {wanted}; the mapping gives {found}", field.name));
        let hint = match (given, &field.data_type) {
            (DataType::List(item), wanted) if fits(item.data_type(), wanted) => format!("use first_of(…) AS {}", field.name),
            (given, DataType::List(item)) if fits(given, item.data_type()) => format!("use list(…) AS {}", field.name),
            (_, DataType::Utf8) => format!("use CAST(… AS VARCHAR) AS {}", field.name),
            _ => format!("use TRY_CAST(… AS {wanted}) AS {}", field.name),
        };
        Some(self.placed(problem, Some(&field.name)).hint(hint))
    }

    /// A problem at the expression that gives `column`, or at the mapping's SELECT.
    fn placed(&self, problem: Problem, column: Option<&str>) -> Problem {
        if let Some(origin) = column.and_then(|column| self.composed.origins.get(column)) {
            return problem.at(&origin.source, origin.span.clone());
        }
        match self.composed.prepared.last() {
            Some(last) => problem.at(&last.level.source, 0..last.level.source.text.lines().next().unwrap_or_default().len()),
            None => problem,
        }
    }
}

fn line(origin: &super::compose::Origin) -> usize {
    let end = origin.span.start.min(origin.source.text.len());
    origin.source.text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// A column by its exact name; `col()` would lower-case it.
fn named(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 => true,
        DataType::List(item) => item.data_type() == &DataType::Utf8,
        _ => false,
    }
}

/// What the collection gives for a field: always a list there, one value or many here.
fn given(column: &str, field: &TargetField) -> Expr {
    let values = get_field(named(column), field.name.as_str());
    match field.data_type {
        DataType::List(_) => values,
        _ => datafusion::functions_nested::expr_fn::array_element(values, lit(1_i64)),
    }
}

fn filled(value: Expr, fill: Expr, field: &TargetField) -> datafusion::common::Result<Expr> {
    match field.data_type {
        DataType::List(_) => {
            let filled = datafusion::functions_nested::expr_fn::cardinality(value.clone()).gt(lit(0_u64));
            when(filled, value).otherwise(fill)
        }
        _ => Ok(coalesce(vec![value, fill])),
    }
}

/// Whether a column may become a field without changing what it says.
fn fits(given: &DataType, wanted: &DataType) -> bool {
    use DataType::{
        Dictionary, Float32, Float64, Int8, Int16, Int32, Int64, LargeList, LargeUtf8, List, Null, Struct, Timestamp, UInt8, UInt16,
        UInt32, Utf8, Utf8View,
    };
    if given == wanted {
        return true;
    }
    match (given, wanted) {
        (Null, _) | (Utf8View | LargeUtf8, Utf8) | (Timestamp(..), Timestamp(..)) => true,
        (Dictionary(_, value), _) => fits(value, wanted),
        (Int8 | Int16 | UInt8 | UInt16, Int32 | Int64) | (Int32 | UInt32, Int64) => true,
        (Int64, Int32) => true, // literals and arithmetic are 64-bit; a value that does not fit fails the cast with its text
        (Int8 | Int16 | Int32 | Int64 | Float32, Float64) => true,
        (List(given) | LargeList(given), List(wanted)) => fits(given.data_type(), wanted.data_type()),
        (Struct(given), Struct(wanted)) => {
            given.len() == wanted.len()
                && given
                    .iter()
                    .zip(wanted)
                    .all(|(given, wanted)| given.name() == wanted.name() && fits(given.data_type(), wanted.data_type()))
        }
        _ => false,
    }
}

/// The functions that a mapping's plan ends with.
pub fn functions() -> Vec<datafusion::logical_expr::ScalarUDF> {
    vec![finish::function(), check::function(), document::function()]
}

/// Whether the source schema's documents must be inferred before planning.
pub fn needs_shape(source: &SourceSchema) -> bool {
    source.codec == Codec::Json && source.shape.is_none()
}
