//! The calls of Glue that we make, and no others: each with retries, and with errors in our words.
//!
//! The SDK repeats what is throttled, broken or lost, with jitter; three answers that mean "later" and that it does not know
//! are repeated here. What two of our own would do to each other (a stale version, an entry that is there already) is not
//! repeated: the caller looks again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_glue::config::retry::RetryConfig;
use aws_sdk_glue::config::timeout::TimeoutConfig;
use aws_sdk_glue::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_glue::types::{
    BatchUpdatePartitionRequestEntry, ColumnStatistics, DatabaseInput, Partition, PartitionInput, PartitionValueList, Table, TableInput,
};
use schemas::problem::Problem;
use tokio::sync::OnceCell;

use super::problem::{Refused, refused};
use crate::aws::Aws;
use crate::error::{Error, Result};
use crate::project::GlueSettings;

/// What this client may be asked to do, as IAM names it. `pacha doctor --policy` asks for these, on the project's tables.
pub const ACTIONS: [&str; 13] = [
    "glue:BatchCreatePartition",
    "glue:BatchDeletePartition",
    "glue:BatchUpdatePartition",
    "glue:CreateDatabase",
    "glue:CreateTable",
    "glue:DeleteTable",
    "glue:GetDatabase",
    "glue:GetDatabases",
    "glue:GetPartitions",
    "glue:GetTable",
    "glue:GetTables",
    "glue:UpdateColumnStatisticsForTable",
    "glue:UpdateTable",
];

/// Times that a request is sent before it has failed.
const ATTEMPTS: u32 = 8;
/// The longest first pause between them; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Answers that mean "later", beside those that the SDK knows.
const LATER: [&str; 3] = ["OperationTimeoutException", "ResourceNotReadyException", "FederationSourceRetryableException"];

/// Partitions in one call that writes, and in one that deletes.
pub(super) const WRITES: usize = 100;
pub(super) const DELETES: usize = 25;
/// Columns in one call about statistics.
pub(super) const STATISTICS: usize = 25;

/// A partition that a batch could not write, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) values: Vec<String>,
    pub(super) code: String,
    pub(super) message: String,
}

/// A connection to the catalog of an account.
#[derive(Debug)]
pub(super) struct Client {
    aws: Arc<Aws>,
    settings: GlueSettings,
    sdk: OnceCell<aws_sdk_glue::Client>,
}

impl Client {
    pub(super) fn new(aws: Arc<Aws>, settings: GlueSettings) -> Self {
        Self { aws, settings, sdk: OnceCell::new() }
    }

    /// The server, for messages.
    async fn endpoint(&self) -> String {
        let found = self.aws.endpoint(self.settings.endpoint.as_deref(), "AWS_ENDPOINT_URL_GLUE").await;
        found.map_or_else(|| "Amazon's endpoint".to_owned(), |found| found.value)
    }

    async fn sdk(&self) -> Result<&aws_sdk_glue::Client> {
        self.sdk.get_or_try_init(|| self.connect()).await
    }

    /// Looks for an identity first, so that its absence is said in its own words.
    async fn connect(&self) -> Result<aws_sdk_glue::Client> {
        self.aws.credentials().await?;
        if self.aws.region().await.is_none() {
            let problem = Problem::error("PS569", "no region for Glue: neither pacha.toml, the environment nor the profile names one");
            return Err(Error::configuration(problem.hint("set region in [aws] of pacha.toml, or AWS_REGION")));
        }
        let timeouts =
            TimeoutConfig::builder().connect_timeout(Duration::from_secs(5)).operation_attempt_timeout(Duration::from_secs(30)).build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_PAUSE);
        let mut config = aws_sdk_glue::config::Builder::from(self.aws.config().await).retry_config(retries).timeout_config(timeouts);
        if let Some(endpoint) = &self.settings.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok(aws_sdk_glue::Client::from_conf(config.build()))
    }

    fn catalog(&self) -> Option<String> {
        self.settings.catalog_id.clone()
    }

    /// Sends until the answer is not "later".
    async fn send<T, E, F>(&self, action: &str, place: &str, send: impl Fn() -> F) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let error = match send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
            if attempt == ATTEMPTS || !code.is_some_and(|code| LATER.contains(&code)) {
                return Err(refused(&error, action, place, &self.endpoint().await));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(refused(&SdkError::<E>::timeout_error("it was never sent"), action, place, &self.endpoint().await))
    }

    /// Names of all databases.
    pub(super) async fn databases(&self) -> Result<Vec<String>> {
        let sdk = self.sdk().await?;
        let (mut names, mut token) = (Vec::new(), None);
        loop {
            let request = || sdk.get_databases().set_catalog_id(self.catalog()).set_next_token(token.clone()).send();
            let answer = self.send("GetDatabases", "the catalog", request).await?;
            names.extend(answer.database_list.into_iter().map(|database| database.name));
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(names);
            }
        }
    }

    /// Makes a database unless it is there.
    pub(super) async fn ensure_database(&self, name: &str) -> Result<()> {
        let sdk = self.sdk().await?;
        let look = || sdk.get_database().set_catalog_id(self.catalog()).name(name).send();
        match self.send("GetDatabase", name, look).await {
            Ok(_) => return Ok(()),
            Err(refused) if refused.is("EntityNotFoundException") => {}
            Err(refused) => return Err(refused.into()),
        }
        let input =
            DatabaseInput::builder().name(name).description("Published by Pachamama").build().map_err(|error| incomplete(&error))?;
        let make = || sdk.create_database().set_catalog_id(self.catalog()).database_input(input.clone()).send();
        match self.send("CreateDatabase", name, make).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.is("AlreadyExistsException") => Ok(()),
            Err(refused) => Err(refused.into()),
        }
    }

    /// All tables of a database; none if there is no such database.
    pub(super) async fn tables(&self, database: &str) -> Result<Vec<Table>> {
        let sdk = self.sdk().await?;
        let (mut tables, mut token) = (Vec::new(), None);
        loop {
            let request = || sdk.get_tables().set_catalog_id(self.catalog()).database_name(database).set_next_token(token.clone()).send();
            let answer = match self.send("GetTables", database, request).await {
                Ok(answer) => answer,
                Err(refused) if refused.is("EntityNotFoundException") => return Ok(Vec::new()),
                Err(refused) => return Err(refused.into()),
            };
            tables.extend(answer.table_list.unwrap_or_default());
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(tables);
            }
        }
    }

    /// A table, or `None` if there is no such table or database.
    pub(super) async fn table(&self, database: &str, table: &str) -> Result<Option<Table>> {
        let sdk = self.sdk().await?;
        let request = || sdk.get_table().set_catalog_id(self.catalog()).database_name(database).name(table).send();
        match self.send("GetTable", &format!("{database}.{table}"), request).await {
            Ok(answer) => Ok(answer.table),
            Err(refused) if refused.is("EntityNotFoundException") => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }

    /// Makes a table; false if somebody else made it first.
    pub(super) async fn create(&self, database: &str, input: &TableInput) -> Result<bool> {
        let sdk = self.sdk().await?;
        let request = || sdk.create_table().set_catalog_id(self.catalog()).database_name(database).table_input(input.clone()).send();
        match self.send("CreateTable", &format!("{database}.{}", input.name), request).await {
            Ok(_) => Ok(true),
            Err(refused) if refused.is("AlreadyExistsException") => Ok(false),
            Err(refused) => Err(refused.into()),
        }
    }

    /// Changes a table that is as it was `seen`; false if it is not any more, or is gone.
    pub(super) async fn update(&self, database: &str, input: &TableInput, seen: Option<&str>) -> Result<bool> {
        let sdk = self.sdk().await?;
        let request = || {
            // Each archived version counts against a limit that stops all writing one day; the log keeps ours.
            let request = sdk.update_table().set_catalog_id(self.catalog()).database_name(database).skip_archive(true);
            request.table_input(input.clone()).set_version_id(seen.map(str::to_owned)).send()
        };
        match self.send("UpdateTable", &format!("{database}.{}", input.name), request).await {
            Ok(_) => Ok(true),
            Err(refused) if refused.is("ConcurrentModificationException") || refused.is("EntityNotFoundException") => Ok(false),
            Err(refused) => Err(refused.into()),
        }
    }

    /// Removes a table from the catalog, and no data.
    pub(super) async fn delete(&self, database: &str, table: &str) -> Result<()> {
        let sdk = self.sdk().await?;
        let request = || sdk.delete_table().set_catalog_id(self.catalog()).database_name(database).name(table).send();
        match self.send("DeleteTable", &format!("{database}.{table}"), request).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.is("EntityNotFoundException") => Ok(()),
            Err(refused) => Err(refused.into()),
        }
    }

    /// The partitions that an expression means, or all.
    pub(super) async fn partitions(&self, database: &str, table: &str, expression: Option<&str>) -> Result<Vec<Partition>> {
        let sdk = self.sdk().await?;
        let (mut partitions, mut token) = (Vec::new(), None);
        loop {
            let request = || {
                let request = sdk.get_partitions().set_catalog_id(self.catalog()).database_name(database).table_name(table);
                let request = request.set_expression(expression.map(str::to_owned)).exclude_column_schema(true);
                request.set_next_token(token.clone()).send()
            };
            let answer = self.send("GetPartitions", &format!("{database}.{table}"), request).await?;
            partitions.extend(answer.partitions.unwrap_or_default());
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(partitions);
            }
        }
    }

    /// Makes partitions, at most [`WRITES`]; returns those that could not be made.
    pub(super) async fn create_partitions(&self, database: &str, table: &str, inputs: &[PartitionInput]) -> Result<Vec<Item>> {
        let sdk = self.sdk().await?;
        let request = || {
            let request = sdk.batch_create_partition().set_catalog_id(self.catalog()).database_name(database).table_name(table);
            request.set_partition_input_list(Some(inputs.to_vec())).send()
        };
        let answer = self.send("BatchCreatePartition", &format!("{database}.{table}"), request).await?;
        Ok(answer.errors.unwrap_or_default().into_iter().map(|error| item(error.partition_values, error.error_detail)).collect())
    }

    /// Changes partitions, at most [`WRITES`]; returns those that could not be changed.
    pub(super) async fn update_partitions(&self, database: &str, table: &str, inputs: &[PartitionInput]) -> Result<Vec<Item>> {
        let sdk = self.sdk().await?;
        let entry = |input: &PartitionInput| {
            let entry = BatchUpdatePartitionRequestEntry::builder().partition_input(input.clone());
            entry.set_partition_value_list(input.values.clone()).build().map_err(|error| incomplete(&error))
        };
        let entries: Vec<_> = inputs.iter().map(entry).collect::<Result<_>>()?;
        let request = || {
            let request = sdk.batch_update_partition().set_catalog_id(self.catalog()).database_name(database).table_name(table);
            request.set_entries(Some(entries.clone())).send()
        };
        let answer = self.send("BatchUpdatePartition", &format!("{database}.{table}"), request).await?;
        Ok(answer.errors.unwrap_or_default().into_iter().map(|error| item(error.partition_value_list, error.error_detail)).collect())
    }

    /// Removes partitions, at most [`DELETES`]; returns those that could not be removed.
    pub(super) async fn delete_partitions(&self, database: &str, table: &str, values: &[Vec<String>]) -> Result<Vec<Item>> {
        let sdk = self.sdk().await?;
        let list = |values: &Vec<String>| {
            PartitionValueList::builder().set_values(Some(values.clone())).build().map_err(|error| incomplete(&error))
        };
        let lists: Vec<_> = values.iter().map(list).collect::<Result<_>>()?;
        let request = || {
            let request = sdk.batch_delete_partition().set_catalog_id(self.catalog()).database_name(database).table_name(table);
            request.set_partitions_to_delete(Some(lists.clone())).send()
        };
        let answer = self.send("BatchDeletePartition", &format!("{database}.{table}"), request).await?;
        Ok(answer.errors.unwrap_or_default().into_iter().map(|error| item(error.partition_values, error.error_detail)).collect())
    }

    /// Sets the statistics of columns, at most [`STATISTICS`]; returns the columns that were refused, with the reason.
    pub(super) async fn set_statistics(&self, database: &str, table: &str, columns: &[ColumnStatistics]) -> Result<Vec<String>> {
        let sdk = self.sdk().await?;
        let request = || {
            let request = sdk.update_column_statistics_for_table().set_catalog_id(self.catalog()).database_name(database);
            let request = request.table_name(table).set_column_statistics_list(Some(columns.to_vec()));
            // Nobody waits for these: what does not work at once is left.
            let once = RetryConfig::standard().with_max_attempts(2).with_initial_backoff(FIRST_PAUSE);
            request.customize().config_override(aws_sdk_glue::config::Builder::new().retry_config(once)).send()
        };
        let answer = self.send("UpdateColumnStatisticsForTable", &format!("{database}.{table}"), request).await?;
        let refused = answer.errors.unwrap_or_default().into_iter().map(|error| {
            let column = error.column_statistics.map(|column| column.column_name).unwrap_or_default();
            let why = error.error.and_then(|detail| detail.error_message).unwrap_or_default();
            format!("{column} ({why})")
        });
        Ok(refused.collect())
    }
}

fn item(values: Option<Vec<String>>, detail: Option<aws_sdk_glue::types::ErrorDetail>) -> Item {
    let (code, message) = detail.map(|detail| (detail.error_code, detail.error_message)).unwrap_or_default();
    Item { values: values.unwrap_or_default(), code: code.unwrap_or_default(), message: message.unwrap_or_default() }
}

/// A request that this code did not fill in: a fault of ours.
fn incomplete(error: &aws_sdk_glue::error::BuildError) -> Error {
    Error::failed(Problem::error("PR013", format!("a request to Glue cannot be made: {error}")).hint("report this"))
}
