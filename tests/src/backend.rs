//! Where the SQL of a test runs, behind the interface that sqllogictest asks for.
//!
//! The same files pass in this process and on a cluster. A query is planned as `pacha sql` plans it, so that what a test sees of a mistake is what a user sees.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::dataframe::DataFrame;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use engine::backend::Backend;
use engine::cluster::Cluster;
use engine::project::Project;
use engine::query::{self, tables::Overlay};
use engine::session::{Session, cluster_session};
use engine::sql::mistake;
use schemas::problem::Source;
use sqllogictest::{DB, DBOutput, DefaultColumnType};
use tokio::runtime::Handle;

/// Statements that only one process can answer: what is in them, and why. On a cluster the reader of a file is answered by this
/// process; that the cluster refuses is tested with each of them, so that none stays here for longer than it must.
pub const HERE_ALONE: [(&str, &str); 1] = [("WITH RECURSIVE", "its working table is in the memory of one process")];

/// How many queries were asked.
#[derive(Debug, Default)]
pub struct Asked {
    /// On the backend.
    pub answered: AtomicUsize,
    /// Queries of [`HERE_ALONE`].
    pub here_alone: AtomicUsize,
}

/// A backend, and the session that plans for it.
#[derive(Debug, Clone)]
pub struct Place {
    backend: Backend,
    session: Session,
    /// What was asked of it.
    pub asked: Arc<Asked>,
}

impl Place {
    /// This process.
    pub fn here(session: &Session) -> Self {
        Self { backend: Backend::Embedded, session: session.clone(), asked: Arc::default() }
    }

    /// A cluster, whose plans are cut into so many tasks.
    ///
    /// # Errors
    /// The project has no session.
    pub fn there(cluster: &Arc<Cluster>, project: &Arc<Project>, partitions: usize) -> engine::Result<Self> {
        let session = cluster_session(project, partitions)?;
        Ok(Self { backend: Backend::Cluster(Arc::clone(cluster)), session, asked: Arc::default() })
    }
}

impl Place {
    /// The rows of a query as text, sorted. Only where the thread may wait.
    ///
    /// # Errors
    /// It cannot be answered.
    pub fn rows(&self, sql: &str) -> Result<Vec<String>, Mistake> {
        let mut rows = match Client(self.clone()).run(sql)? {
            DBOutput::Rows { rows, .. } => rows.into_iter().map(|row| row.join(" | ")).collect(),
            _ => Vec::new(),
        };
        rows.sort_unstable();
        Ok(rows)
    }
}

/// Who asks, for one file of tests.
#[derive(Debug)]
pub struct Client(pub Place);

impl Client {
    async fn rows(&self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Mistake> {
        let source = Arc::new(Source { path: "query".into(), text: sql.to_owned() });
        let parameters = parameters(sql);
        let mut output = DBOutput::StatementComplete(0);
        for statement in query::statements(&source)? {
            let within = 0..source.text.trim_end().len();
            let frame = query::plan(&self.0.session, &source, within, statement, &Overlay::default(), &parameters).await?;
            let types = frame.schema().as_arrow().fields().iter().map(|field| column_type(field.data_type())).collect();
            let batches = self.collect(sql, frame).await?;
            output = DBOutput::Rows { types, rows: printed(&batches)? };
        }
        Ok(output)
    }

    async fn collect(&self, sql: &str, frame: DataFrame) -> Result<Vec<RecordBatch>, Mistake> {
        let context = Arc::new(frame.task_ctx());
        let planned = frame.create_physical_plan().await.map_err(|error| mistake::running(&error))?;
        let alone = HERE_ALONE.iter().any(|(part, _)| sql.contains(part)) && self.0.backend.cluster().is_some();
        let backend = if alone { &Backend::Embedded } else { &self.0.backend };
        if alone {
            self.refuses(sql, &planned, &context).await?;
        }
        let counter = if alone { &self.0.asked.here_alone } else { &self.0.asked.answered };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(backend.collect(planned, context, "tests/slt").await?)
    }

    async fn refuses(&self, sql: &str, planned: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<(), Mistake> {
        match self.0.backend.collect(Arc::clone(planned), Arc::clone(context), "tests/alone").await {
            Err(error) if error.to_string().starts_with("PK734") => Ok(()),
            Err(error) => Err(Mistake(format!("the cluster should refuse {sql} in its own words: {error}"))),
            Ok(_) => Err(Mistake(format!("the cluster answers {sql}: take it out of HERE_ALONE"))),
        }
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
        match self.0.backend {
            Backend::Embedded => "embedded",
            Backend::Cluster(_) => "cluster",
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
        Self(without_executor(&lines.collect::<Vec<_>>().join("\n")))
    }
}

/// Without the place where it happened, which no file can know.
fn without_executor(text: &str) -> String {
    let Some((before, after)) = text.split_once(" (on executor ") else { return text.to_owned() };
    let (_, after) = after.split_once(')').unwrap_or_default();
    format!("{before}{after}")
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mistake {}
