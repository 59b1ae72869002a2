//! `pacha_check(spec, field…, rule…)`: the checks of a target schema over a batch, as a function of the plan.
//!
//! The specification travels as JSON text in the first argument, so that an executor needs nothing else. The result is
//! one list of findings for each row; for nearly all rows it is empty, and nothing is allocated for those.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListBuilder, StringArray, StringBuilder, StructBuilder};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use regex::Regex;
use schemas::check::Check;
use schemas::source::list_of;
use schemas::target::{Level, TargetField, TargetSchema};
use schemas::vocabulary;
use serde::{Deserialize, Serialize};

/// The function, to be registered.
pub fn function() -> ScalarUDF {
    ScalarUDF::from(CheckFunction { signature: Signature::variadic_any(Volatility::Immutable), compiled: Cache::default() })
}

/// `struct<severity, code, field, value, message>`.
pub fn finding_type() -> DataType {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    DataType::Struct(Fields::from(vec![text("severity"), text("code"), text("field"), text("value"), text("message")]))
}

/// What is checked, in the order of the function's arguments: fields, then rules.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CheckSpec {
    /// Fields with something to check.
    pub fields: Vec<FieldSpec>,
    /// Rules over the record.
    pub rules: Vec<RuleSpec>,
}

/// The checks of one field.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FieldSpec {
    /// The field.
    pub name: String,
    /// Severity of a missing value.
    pub required: Option<String>,
    /// Vocabulary and severity of a value outside it.
    pub vocab: Option<(String, String)>,
    /// Names of checks.
    pub checks: Vec<String>,
    /// Regular expression.
    pub pattern: Option<String>,
    /// Severity of a failed check or pattern.
    pub on_fail: String,
}

/// One rule; its argument is the rule's own expression.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleSpec {
    /// The rule.
    pub name: String,
    /// Severity of its finding.
    pub severity: String,
    /// What the finding says.
    pub message: String,
}

impl CheckSpec {
    /// What a target asks for.
    pub fn of(target: &TargetSchema) -> Self {
        let rules = target.rules.iter().map(|rule| RuleSpec {
            name: rule.name.clone(),
            severity: rule.severity.as_str().to_owned(),
            message: rule.message.clone(),
        });
        Self { fields: target.fields.iter().filter(|field| checked(field)).map(FieldSpec::of).collect(), rules: rules.collect() }
    }
}

fn checked(field: &TargetField) -> bool {
    field.required.is_some() || field.vocab.is_some() || !field.checks.is_empty() || field.pattern.is_some()
}

impl FieldSpec {
    fn of(field: &TargetField) -> Self {
        Self {
            name: field.name.clone(),
            required: field.required.map(|level| level.as_str().to_owned()),
            vocab: field.vocab.clone().map(|vocab| (vocab, field.on_unknown.as_str().to_owned())),
            checks: field.checks.iter().map(|check| check.name().to_owned()).collect(),
            pattern: field.pattern.clone(),
            on_fail: field.on_fail.as_str().to_owned(),
        }
    }
}

/// A specification with its vocabularies and patterns at hand.
#[derive(Debug)]
struct Compiled {
    fields: Vec<CompiledField>,
    rules: Vec<RuleSpec>,
}

#[derive(Debug)]
struct CompiledField {
    spec: FieldSpec,
    vocab: Option<Arc<HashSet<String>>>,
    checks: Vec<Check>,
    pattern: Option<Regex>,
}

impl Compiled {
    fn read(text: &str) -> Result<Self> {
        let spec: CheckSpec = serde_json::from_str(text).map_err(|error| DataFusionError::Plan(format!("pacha_check: {error}")))?;
        let fields: Result<Vec<CompiledField>> = spec.fields.into_iter().map(CompiledField::read).collect();
        Ok(Self { fields: fields?, rules: spec.rules })
    }

    fn findings(&self, columns: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let mut raised: Vec<Raised<'_>> = Vec::new();
        for (field, column) in self.fields.iter().zip(columns) {
            field.check(column, &mut raised);
        }
        for (rule, column) in self.rules.iter().zip(&columns[self.fields.len()..]) {
            let holds: &BooleanArray = column.as_boolean();
            if holds.true_count() < rows {
                let fails = (0..rows).filter(|row| holds.is_null(*row) || !holds.value(*row));
                raised.extend(fails.map(|row| Raised {
                    row,
                    severity: &rule.severity,
                    code: "PV310",
                    field: &rule.name,
                    value: None,
                    message: Message::Text(&rule.message),
                }));
            }
        }
        raised.sort_by_key(|finding| finding.row);
        Ok(build(&raised, rows))
    }
}

/// A finding before it is written.
struct Raised<'a> {
    row: usize,
    severity: &'a str,
    code: &'static str,
    field: &'a str,
    value: Option<String>,
    message: Message<'a>,
}

enum Message<'a> {
    Text(&'a str),
    Owned(String),
}

impl CompiledField {
    fn read(spec: FieldSpec) -> Result<Self> {
        let vocab = match &spec.vocab {
            Some((name, _)) => Some(vocabulary::shipped(name).map_err(|problem| DataFusionError::from(crate::Error::from(problem)))?),
            None => None,
        };
        let named = |name: &String| Check::ALL.iter().find(|(known, _)| known == name).map(|(_, check)| *check);
        let checks = spec.checks.iter().filter_map(named).collect();
        let pattern = spec.pattern.as_deref().map(Regex::new).transpose().map_err(|error| DataFusionError::Plan(error.to_string()))?;
        Ok(Self { spec, vocab, checks, pattern })
    }

    fn check<'a>(&'a self, column: &ArrayRef, raised: &mut Vec<Raised<'a>>) {
        if let Some(severity) = &self.spec.required {
            self.require(column, severity, raised);
        }
        if self.vocab.is_none() && self.checks.is_empty() && self.pattern.is_none() {
            return;
        }
        match column.data_type() {
            DataType::Utf8 => {
                let texts: &StringArray = column.as_string();
                for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
                    self.value(row, texts.value(row), raised);
                }
            }
            DataType::List(item) if item.data_type() == &DataType::Utf8 => {
                let lists = column.as_list::<i32>();
                let values: &StringArray = lists.values().as_string();
                for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
                    let offsets = lists.value_offsets();
                    for index in (offsets[row]..offsets[row + 1]).filter_map(|index| usize::try_from(index).ok()) {
                        if values.is_valid(index) {
                            self.value(row, values.value(index), raised);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn require<'a>(&'a self, column: &ArrayRef, severity: &'a str, raised: &mut Vec<Raised<'a>>) {
        let lists = column.as_list_opt::<i32>();
        if lists.is_none() && column.null_count() == 0 {
            return;
        }
        for row in 0..column.len() {
            let empty = column.is_null(row) || lists.is_some_and(|lists| lists.value_length(row) == 0);
            if empty {
                let message = Message::Owned(format!("{} is required, and the mapping gives none", self.spec.name));
                raised.push(Raised { row, severity, code: "PV301", field: &self.spec.name, value: None, message });
            }
        }
    }

    fn value<'a>(&'a self, row: usize, value: &str, raised: &mut Vec<Raised<'a>>) {
        let mut raise = |severity: &'a str, code: &'static str, message: String| {
            raised.push(Raised {
                row,
                severity,
                code,
                field: &self.spec.name,
                value: Some(value.to_owned()),
                message: Message::Owned(message),
            });
        };
        if let (Some(vocab), Some((name, severity))) = (&self.vocab, &self.spec.vocab)
            && !vocab.contains(value)
        {
            raise(severity, "PV303", format!("not in the vocabulary {name}"));
        }
        if let Some(fault) = self.checks.iter().find_map(|check| check.fault(value)) {
            raise(&self.spec.on_fail, "PV304", fault.to_owned());
        }
        if let Some(pattern) = &self.pattern
            && !pattern.is_match(value)
        {
            raise(&self.spec.on_fail, "PV304", format!("does not match {}", pattern.as_str()));
        }
    }
}

fn build(raised: &[Raised<'_>], rows: usize) -> ArrayRef {
    let DataType::Struct(fields) = finding_type() else { return arrow::array::new_null_array(&list_of(finding_type()), rows) };
    let mut lists = ListBuilder::new(StructBuilder::from_fields(fields, raised.len()));
    let mut next = 0;
    for row in 0..rows {
        while let Some(finding) = raised.get(next).filter(|finding| finding.row == row) {
            let message = match &finding.message {
                Message::Text(text) => text,
                Message::Owned(text) => text.as_str(),
            };
            let texts = [Some(finding.severity), Some(finding.code), Some(finding.field), finding.value.as_deref(), Some(message)];
            for (index, text) in texts.into_iter().enumerate() {
                if let Some(builder) = lists.values().field_builder::<StringBuilder>(index) {
                    builder.append_option(text);
                }
            }
            lists.values().append(true);
            next += 1;
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// The last specification compiled; a plan has one, and calls for every batch.
#[derive(Debug, Default)]
struct Cache(Mutex<Option<(String, Arc<Compiled>)>>);

impl Cache {
    fn get(&self, text: &str) -> Result<Arc<Compiled>> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, compiled)) = cached.as_ref()
            && known == text
        {
            return Ok(Arc::clone(compiled));
        }
        let compiled = Arc::new(Compiled::read(text)?);
        *cached = Some((text.to_owned(), Arc::clone(&compiled)));
        Ok(compiled)
    }
}

#[derive(Debug)]
struct CheckFunction {
    signature: Signature,
    compiled: Cache,
}

// The cache is no part of what the function is.
impl PartialEq for CheckFunction {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

impl Eq for CheckFunction {}

impl std::hash::Hash for CheckFunction {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.signature.hash(state);
    }
}

impl ScalarUDFImpl for CheckFunction {
    fn name(&self) -> &'static str {
        "pacha_check"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(finding_type()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text)))) = args.args.first() else {
            return exec_err!("pacha_check wants its specification as a literal");
        };
        let compiled = self.compiled.get(text)?;
        let columns: Result<Vec<ArrayRef>> = args.args[1..].iter().map(|value| value.to_array(args.number_rows)).collect();
        Ok(ColumnarValue::Array(compiled.findings(&columns?, args.number_rows)?))
    }
}

/// The severity whose findings withhold a record.
pub fn withholds(severity: &str) -> bool {
    severity == Level::Error.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::util::display::array_value_to_string;

    #[test]
    fn each_kind_of_check_raises_its_finding_and_a_good_row_none() {
        let spec = CheckSpec {
            fields: vec![
                FieldSpec {
                    name: "title".into(),
                    required: Some("error".into()),
                    vocab: None,
                    checks: vec![],
                    pattern: None,
                    on_fail: "error".into(),
                },
                FieldSpec {
                    name: "type".into(),
                    required: None,
                    vocab: Some(("dcmi_type".into(), "warn".into())),
                    checks: vec![],
                    pattern: None,
                    on_fail: "error".into(),
                },
                FieldSpec {
                    name: "url".into(),
                    required: None,
                    vocab: None,
                    checks: vec!["url".into()],
                    pattern: Some("example".into()),
                    on_fail: "error".into(),
                },
            ],
            rules: vec![RuleSpec { name: "rights".into(), severity: "error".into(), message: "no rights".into() }],
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("A"), None])),
            Arc::new(StringArray::from(vec!["image", "Map"])),
            Arc::new(StringArray::from(vec!["http://example.org/1", "http//x"])),
            Arc::new(BooleanArray::from(vec![Some(true), None])),
        ];
        let compiled = Compiled::read(&serde_json::to_string(&spec).unwrap()).unwrap();
        let findings = compiled.findings(&columns, 2).unwrap();
        assert_eq!(array_value_to_string(&findings, 0).unwrap(), "[]");
        let bad = array_value_to_string(&findings, 1).unwrap();
        for part in [
            "PV301",
            "title is required",
            "PV303",
            "not in the vocabulary dcmi_type",
            "the colon after http is missing",
            "does not match example",
            "PV310",
            "no rights",
        ] {
            assert!(bad.contains(part), "{part} in {bad}");
        }
    }
}
