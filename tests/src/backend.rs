//! Where the SQL of a test runs, behind the interface that sqllogictest asks for.
//!
//! A query is planned as `pacha sql` plans it, so that what a test sees of a mistake is what a user sees.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::query::{self, tables::Overlay};
use engine::session::Session;
use engine::sql::mistake;
use schemas::problem::Source;
use sqllogictest::{DB, DBOutput, DefaultColumnType};
use tokio::runtime::Handle;

/// Where plans run. The same files pass on every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// In this process.
    Embedded,
}

/// A session on a backend, for one file of tests.
#[derive(Debug)]
pub struct Client {
    backend: Backend,
    session: Session,
}

impl Client {
    /// A client of its own for `session`.
    pub fn new(backend: Backend, session: &Session) -> Self {
        Self { backend, session: session.clone() }
    }

    async fn rows(&self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Mistake> {
        let source = Arc::new(Source { path: "query".into(), text: sql.to_owned() });
        let parameters = parameters(sql);
        let mut output = DBOutput::StatementComplete(0);
        for statement in query::statements(&source)? {
            let within = 0..source.text.trim_end().len();
            let frame = query::plan(&self.session, &source, within, statement, &Overlay::default(), &parameters).await?;
            let types = frame.schema().as_arrow().fields().iter().map(|field| column_type(field.data_type())).collect();
            let batches = match self.backend {
                Backend::Embedded => frame.collect().await.map_err(|error| mistake::running(&error))?,
            };
            output = DBOutput::Rows { types, rows: printed(&batches)? };
        }
        Ok(output)
    }
}

/// The interface that does not wait: sqllogictest wants futures that may move between threads, and planning's may not.
impl DB for Client {
    type Error = Mistake;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<Self::ColumnType>, Self::Error> {
        tokio::task::block_in_place(|| Handle::current().block_on(self.rows(sql)))
    }

    fn engine_name(&self) -> &str {
        match self.backend {
            Backend::Embedded => "embedded",
        }
    }
}

/// Parameters, from comments at the start of a query: `-- $least = 2`.
fn parameters(sql: &str) -> BTreeMap<String, String> {
    let lines = sql.lines().map_while(|line| line.strip_prefix("-- $"));
    lines.filter_map(|line| line.split_once(" = ")).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        data_type if data_type.is_integer() => DefaultColumnType::Integer,
        data_type if data_type.is_floating() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}

/// Values as a reader of a test wants to see them: null is `NULL`, no text at all is `(empty)`.
fn printed(batches: &[RecordBatch]) -> Result<Vec<Vec<String>>, Mistake> {
    let options = FormatOptions::default().with_null("NULL").with_timestamp_format(Some("%Y-%m-%dT%H:%M:%SZ"));
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>().map_err(|error| Mistake::unprintable(&error, &batch.schema()))?;
        let cell = |column: &ArrayFormatter<'_>, row| match column.value(row).to_string() {
            text if text.is_empty() => "(empty)".to_owned(),
            text => text,
        };
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect::<Vec<_>>()));
    }
    Ok(rows)
}

/// An error as tests write it: `PM201 no column "titel" in oai_dc; hint: did you mean title? (1:8)`. The place stands at
/// the end because few tests are about it.
#[derive(Debug)]
pub struct Mistake(String);

impl Mistake {
    fn unprintable(error: &ArrowError, schema: &Schema) -> Self {
        Self(format!("the result cannot be printed: {error}; its schema is {schema:?}"))
    }
}

impl From<engine::Error> for Mistake {
    fn from(error: engine::Error) -> Self {
        let lines = error.problems.0.into_iter().map(|mut problem| match problem.place.take() {
            Some(place) => {
                let (line, column) = place.line_column();
                format!("{problem} ({line}:{column})")
            }
            None => problem.to_string(),
        });
        Self(lines.collect::<Vec<_>>().join("\n"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mistake {}
