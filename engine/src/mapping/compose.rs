//! The mapping, the mappings it inherits from, and the base view beneath them, composed into one query.
//!
//! Each becomes a common table expression over the one before. Two things are added to every SELECT: the columns of the
//! envelope, so that a record can be accounted for and traced whatever the mapping does; and its WHERE as the column
//! [`KEPT`], so that "skipped by WHERE" is a count with names instead of a silent loss.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Cte, ExcludeSelectItem, Expr, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectFlavor,
    SelectItem, SetExpr, Spanned, TableAlias, TableFactor, WildcardAdditionalOptions, With,
};
use schemas::problem::{Problem, Problems, Source};
use schemas::suggest;

use crate::sql::parse;

/// Struct column with the record's envelope, carried through every mapping.
pub const RECORD: &str = "_record";
/// Boolean column: the WHERE clauses of the mapping and its parents.
pub const KEPT: &str = "_kept";
/// Name under which the harvest table is registered.
pub const HARVEST: &str = "_harvest";
/// Name by which mappings read the harvested records.
pub const VERNACULAR: &str = "vernacular";

/// One SELECT of the chain: a base view or a mapping.
#[derive(Debug, Clone)]
pub struct Level {
    /// Name by which the next level reads it.
    pub name: String,
    /// Its text.
    pub source: Arc<Source>,
}

/// Where a column of the result was written.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file.
    pub source: Arc<Source>,
    /// The expression in it.
    pub span: Range<usize>,
}

/// What a relation offers to the level above.
#[derive(Debug, Clone, Default)]
pub(super) struct Relation {
    pub(super) columns: Vec<String>,
    pub(super) kept: bool,
}

/// One level after rewriting, with what is needed to find its mistakes one by one.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) level: Level,
    pub(super) query: Query,
    pub(super) parts: Vec<(Expr, Range<usize>)>,
    pub(super) from: String,
}

/// The composed query.
#[derive(Debug, Clone)]
pub struct Composition {
    pub(super) prepared: Vec<Prepared>,
    vernacular: Query,
    /// Columns that every record carries, beside the target's.
    pub pass: Vec<String>,
    /// Whether some level has a WHERE.
    pub has_kept: bool,
    /// Where each column of the result was written.
    pub origins: BTreeMap<String, Origin>,
}

/// What a level may read, and what it must pass on.
pub(super) struct Scope {
    pub(super) relations: BTreeMap<String, Relation>,
    pub(super) pass: Vec<String>,
}

impl Composition {
    /// Composes `levels` (base view first, the mapping last) over the generated SELECT `vernacular`.
    ///
    /// # Errors
    /// Every mistake of form: more than one SELECT, a join, a GROUP BY, an unknown relation, an unnamed column.
    pub fn new(levels: Vec<Level>, vernacular: &str, columns: Vec<String>, pass: Vec<String>) -> Result<Self, Problems> {
        let generated = Arc::new(Source { path: VERNACULAR.into(), text: vernacular.to_owned() });
        let vernacular = parse::query(&generated).map_err(|problem| Problems(vec![problem]))?;
        let relations = BTreeMap::from([(VERNACULAR.to_owned(), Relation { columns, kept: false })]);
        let mut scope = Scope { relations, pass };
        let mut problems = Problems::default();
        let mut origins = BTreeMap::new();
        let mut prepared = Vec::new();
        for level in levels {
            match prepare(&level, &mut scope, &mut origins) {
                Ok(level) => prepared.push(level),
                Err(found) => {
                    problems.extend(found);
                    return Err(problems);
                }
            }
        }
        let has_kept = prepared.last().and_then(|last| scope.relations.get(&last.level.name)).is_some_and(|relation| relation.kept);
        Ok(Self { prepared, vernacular, pass: scope.pass, has_kept, origins })
    }

    /// The query whose result is the first `levels` levels.
    pub(super) fn query(&self, levels: usize) -> Query {
        let from = levels.checked_sub(1).map_or(VERNACULAR, |last| self.prepared[last].level.name.as_str());
        self.select_from(levels, from, vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())])
    }

    /// A SELECT of `items` from relation `from`, over the first `levels` levels.
    pub(super) fn select_from(&self, levels: usize, from: &str, items: Vec<SelectItem>) -> Query {
        let text = format!("SELECT 1 FROM \"{from}\"");
        let source = Arc::new(Source { path: String::new(), text });
        let mut query = parse::query(&source).expect("a generated SELECT parses");
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection = items;
        }
        let mut tables = vec![table_expression(VERNACULAR, self.vernacular.clone())];
        tables.extend(self.prepared[..levels].iter().map(|level| table_expression(&level.level.name, level.query.clone())));
        query.with = Some(With { with_token: AttachedToken::empty(), recursive: false, cte_tables: tables });
        query
    }
}

/// The relation that a mapping reads: the name after its FROM, as far as the text can be parsed.
pub fn reads(source: &Arc<Source>) -> Result<String, Problem> {
    let query = parse::query(source)?;
    let inner: Vec<String> = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| cte.alias.name.value.clone()).collect();
    let mut bodies = vec![&query];
    bodies.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| cte.query.as_ref()));
    for body in bodies {
        if let SetExpr::Select(select) = body.body.as_ref()
            && let Some(table) = select.from.first()
            && let TableFactor::Table { name, .. } = &table.relation
            && !inner.contains(&plain(name))
        {
            return Ok(plain(name));
        }
    }
    Ok(VERNACULAR.to_owned())
}

fn plain(name: &ObjectName) -> String {
    name.0.iter().map(|part| part.as_ident().map_or_else(|| part.to_string(), |ident| ident.value.clone())).collect::<Vec<_>>().join(".")
}

fn prepare(level: &Level, scope: &mut Scope, origins: &mut BTreeMap<String, Origin>) -> Result<Prepared, Problems> {
    let mut query = parse::query(&level.source).map_err(|problem| Problems(vec![problem]))?;
    let mut problems = Problems::default();
    let mut local = BTreeMap::new();
    if let Some(with) = &mut query.with {
        for cte in &mut with.cte_tables {
            let name = cte.alias.name.value.clone();
            let mut ignored = BTreeMap::new();
            let relation = rewrite(&mut cte.query, level, scope, &local, &mut problems, &mut ignored, &mut Vec::new());
            local.insert(name, relation.0);
        }
    }
    let mut parts = Vec::new();
    let (relation, from) = rewrite(&mut query, level, scope, &local, &mut problems, origins, &mut parts);
    if problems.fatal() {
        return Err(problems);
    }
    scope.relations.insert(level.name.clone(), relation);
    Ok(Prepared { level: level.clone(), query, parts, from })
}

/// Rewrites one SELECT; returns what it offers, and the relation it reads.
fn rewrite(
    query: &mut Query,
    level: &Level,
    scope: &Scope,
    local: &BTreeMap<String, Relation>,
    problems: &mut Problems,
    origins: &mut BTreeMap<String, Origin>,
    parts: &mut Vec<(Expr, Range<usize>)>,
) -> (Relation, String) {
    let source = &level.source;
    let whole = 0..source.text.trim_end().len();
    let span = |spanned: &dyn SpanOf| parse::range(source, spanned.span_of(), &whole);
    let order = query.order_by.as_ref().map(|order| span(order)).or_else(|| query.limit_clause.is_some().then(|| whole.clone()));
    if let Some(place) = order {
        let problem = Problem::error("PM231", "a mapping maps every record: ORDER BY and LIMIT do not belong in it").at(source, place);
        problems.push(problem.hint("remove it; files are sorted by collection and id, and preview takes -n"));
    }
    let query_span = span(query);
    let SetExpr::Select(select) = query.body.as_mut() else {
        let problem = Problem::error("PM231", "a mapping is one SELECT, not a UNION or VALUES").at(source, query_span);
        problems.push(problem.hint("write a job with [[step]] for anything else"));
        return (Relation::default(), VERNACULAR.to_owned());
    };
    refuse_other_shapes(select, source, &whole, problems);
    let (from, input) = relation_read(select, source, &whole, scope, local, problems);
    if matches!(select.flavor, SelectFlavor::FromFirstNoSelect) || select.projection.is_empty() {
        select.flavor = SelectFlavor::Standard;
        select.projection = vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())];
    }
    let condition = select.selection.take();
    if let Some(condition) = &condition {
        parts.push((condition.clone(), parse::range(source, condition.span(), &whole)));
    }
    check_replaced(select, &from, &input, source, &whole, problems);
    let named = named_items(select, source, &whole, problems, parts, origins);
    let wildcard = select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
    let mut columns = if wildcard { override_wildcard(select, &named, &input) } else { Vec::new() };
    for name in named {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    if !wildcard {
        for name in scope.pass.iter().filter(|name| !columns.contains(name)).cloned().collect::<Vec<_>>() {
            select.projection.push(SelectItem::UnnamedExpr(Expr::Identifier(quoted(&name))));
            columns.push(name);
        }
    }
    let kept = carry_condition(select, condition, wildcard, input.kept);
    (Relation { columns, kept }, from)
}

/// `Spanned` as a trait object.
trait SpanOf {
    fn span_of(&self) -> datafusion::sql::sqlparser::tokenizer::Span;
}

impl<T: Spanned> SpanOf for T {
    fn span_of(&self) -> datafusion::sql::sqlparser::tokenizer::Span {
        self.span()
    }
}

fn refuse_other_shapes(select: &Select, source: &Arc<Source>, whole: &Range<usize>, problems: &mut Problems) {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let faults = [
        (select.distinct.is_some(), "DISTINCT"),
        (grouped, "GROUP BY"),
        (select.having.is_some(), "HAVING"),
        (select.qualify.is_some(), "QUALIFY"),
        (select.from.first().is_some_and(|table| !table.joins.is_empty()) || select.from.len() > 1, "a join"),
    ];
    for (_, name) in faults.iter().filter(|(found, _)| *found) {
        let problem = Problem::error("PM231", format!("a mapping gives one row for each record: {name} does not belong in it"))
            .at(source, whole.clone());
        problems.push(problem.hint("look values up with decode(value, 'lookup'); group and join in a job with [[step]]"));
    }
}

fn relation_read(
    select: &Select,
    source: &Arc<Source>,
    whole: &Range<usize>,
    scope: &Scope,
    local: &BTreeMap<String, Relation>,
    problems: &mut Problems,
) -> (String, Relation) {
    let Some(TableFactor::Table { name, .. }) = select.from.first().map(|table| &table.relation) else {
        let problem = Problem::error("PM204", "the mapping reads from nothing").at(source, whole.clone());
        problems.push(problem.hint("begin with FROM vernacular, FROM a base view such as oai_dc, or FROM another mapping"));
        return (VERNACULAR.to_owned(), Relation::default());
    };
    let wanted = plain(name);
    if let Some(relation) = local.get(&wanted).or_else(|| scope.relations.get(&wanted)) {
        return (wanted, relation.clone());
    }
    let known: Vec<&str> = local.keys().chain(scope.relations.keys()).map(String::as_str).collect();
    let problem = Problem::error("PM204", format!("no view or mapping \"{wanted}\"")).at(source, parse::range(source, name.span(), whole));
    problems.push(problem.hint(suggest::hint(&wanted, known.iter().copied())));
    (wanted, Relation::default())
}

/// Names of the items written out, noting each expression and its place.
fn named_items(
    select: &Select,
    source: &Arc<Source>,
    whole: &Range<usize>,
    problems: &mut Problems,
    parts: &mut Vec<(Expr, Range<usize>)>,
    origins: &mut BTreeMap<String, Origin>,
) -> Vec<String> {
    let mut names = Vec::new();
    let mut note = |name: &str, expr: &Expr, parts: &mut Vec<(Expr, Range<usize>)>| {
        let span = parse::range(source, expr.span(), whole);
        parts.push((expr.clone(), span.clone()));
        origins.insert(name.to_owned(), Origin { source: Arc::clone(source), span });
    };
    for item in &select.projection {
        let (name, expr) = match item {
            SelectItem::ExprWithAlias { expr, alias } => (alias.value.clone(), expr),
            SelectItem::UnnamedExpr(expr @ Expr::Identifier(ident)) => (ident.value.clone(), expr),
            SelectItem::UnnamedExpr(expr @ Expr::CompoundIdentifier(idents)) if !idents.is_empty() => {
                (idents[idents.len() - 1].value.clone(), expr)
            }
            SelectItem::Wildcard(options) => {
                for element in options.opt_replace.iter().flat_map(|replace| &replace.items) {
                    note(&element.column_name.value, &element.expr, parts);
                }
                continue;
            }
            other => {
                let problem = Problem::error("PM208", "this column has no name").at(source, parse::range(source, other.span(), whole));
                problems.push(problem.hint("add AS and the target field it fills"));
                continue;
            }
        };
        if names.contains(&name) {
            let problem =
                Problem::error("PM206", format!("column \"{name}\" is given twice")).at(source, parse::range(source, expr.span(), whole));
            problems.push(problem.hint("remove one of the two"));
        }
        note(&name, expr, parts);
        names.push(name);
    }
    names
}

/// `* REPLACE (x AS titel)` where there is no such column: the planner would pass over it, and a field would be lost.
fn check_replaced(select: &Select, from: &str, input: &Relation, source: &Arc<Source>, whole: &Range<usize>, problems: &mut Problems) {
    let wildcards = select.projection.iter().filter_map(|item| match item {
        SelectItem::Wildcard(options) => options.opt_replace.as_ref(),
        _ => None,
    });
    let names = wildcards.flat_map(|replace| &replace.items).map(|item| &item.column_name);
    for name in names.filter(|name| !input.columns.is_empty() && !input.columns.contains(&name.value)) {
        let problem = Problem::error("PM201", format!("no column \"{}\" in {from} to replace", name.value));
        let hint = match suggest::closest(&name.value, input.columns.iter().map(String::as_str)) {
            Some(close) => format!("did you mean {close}? A column that is new stands after the star: *, … AS {}", name.value),
            None => format!("a column that is new stands after the star: *, … AS {}", name.value),
        };
        problems.push(problem.at(source, parse::range(source, name.span, whole)).hint(hint));
    }
}

/// `*, x AS title` means the new title: the wildcard's own column of that name is excluded.
fn override_wildcard(select: &mut Select, named: &[String], input: &Relation) -> Vec<String> {
    let mut columns = input.columns.clone();
    for item in &mut select.projection {
        let SelectItem::Wildcard(options) = item else { continue };
        let mut excluded: Vec<ObjectName> = match options.opt_exclude.take() {
            Some(ExcludeSelectItem::Single(name)) => vec![name],
            Some(ExcludeSelectItem::Multiple(names)) => names,
            None => Vec::new(),
        };
        let replaced: Vec<String> =
            options.opt_replace.iter().flat_map(|replace| &replace.items).map(|item| item.column_name.value.clone()).collect();
        for name in named.iter().filter(|name| input.columns.contains(name) && !replaced.contains(name)) {
            excluded.push(ObjectName(vec![ObjectNamePart::Identifier(quoted(name))]));
        }
        columns.retain(|column| !excluded.iter().any(|name| &plain(name) == column));
        options.opt_exclude = (!excluded.is_empty()).then_some(ExcludeSelectItem::Multiple(excluded));
    }
    columns
}

/// Turns the WHERE into [`KEPT`], and guards the level's expressions by it, so that they are not computed for rows that
/// the WHERE was meant to keep from them.
fn carry_condition(select: &mut Select, condition: Option<Expr>, wildcard: bool, inherited: bool) -> bool {
    let Some(condition) = condition else {
        if inherited && !wildcard {
            select.projection.push(SelectItem::UnnamedExpr(Expr::Identifier(quoted(KEPT))));
        }
        return inherited;
    };
    for item in &mut select.projection {
        match item {
            SelectItem::ExprWithAlias { expr, .. } => guard(expr, &condition),
            SelectItem::Wildcard(options) => {
                for element in options.opt_replace.iter_mut().flat_map(|replace| &mut replace.items) {
                    guard(&mut element.expr, &condition);
                }
                if inherited {
                    let name = ObjectName(vec![ObjectNamePart::Identifier(quoted(KEPT))]);
                    match &mut options.opt_exclude {
                        Some(ExcludeSelectItem::Multiple(names)) => names.push(name),
                        other => *other = Some(ExcludeSelectItem::Multiple(vec![name])),
                    }
                }
            }
            _ => {}
        }
    }
    let own = Expr::Nested(Box::new(condition));
    let expr = if inherited {
        Expr::BinaryOp { left: Box::new(Expr::Identifier(quoted(KEPT))), op: BinaryOperator::And, right: Box::new(own) }
    } else {
        own
    };
    select.projection.push(SelectItem::ExprWithAlias { expr, alias: quoted(KEPT) });
    true
}

fn guard(expr: &mut Expr, condition: &Expr) {
    if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_)) {
        return;
    }
    let result = std::mem::replace(expr, Expr::Identifier(quoted(KEPT)));
    *expr = Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: condition.clone(), result }],
        else_result: None,
    };
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn table_expression(name: &str, query: Query) -> Cte {
    let alias = TableAlias { explicit: true, name: quoted(name), columns: Vec::new(), at: None };
    Cte { alias, query: Box::new(query), from: None, materialized: None, closing_paren_token: AttachedToken::empty() }
}
