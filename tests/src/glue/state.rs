//! What the catalog holds, and what each operation does to it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::json::{Answer, Fault, Refusal, Service, refuse};

/// Entries on one page: few, so that nobody gets by without asking for the next.
const PAGE: usize = 5;

/// Columns whose statistics one call may set.
const STATISTICS: usize = 25;

/// One catalog.
#[derive(Debug, Default)]
pub struct State {
    databases: BTreeMap<String, Value>,
    pub(super) tables: BTreeMap<(String, String), Table>,
}

/// One table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) input: Map<String, Value>,
    version: u64,
    archived: u64,
    pub(super) partitions: BTreeMap<Vec<String>, Value>,
    statistics: BTreeMap<String, Value>,
}

impl Service for State {
    const TARGET: &'static str = "AWSGlue.";
    const NAME: &'static str = "glue";

    fn call(&mut self, operation: &str, body: &Value, fault: Option<&Fault>) -> Answer {
        match operation {
            "CreateDatabase" => self.create_database(&body["DatabaseInput"]),
            "GetDatabase" => self.get_database(text(body, "Name")?),
            "GetDatabases" => self.get_databases(body),
            "CreateTable" => self.create_table(body),
            "GetTable" => self.get_table(body),
            "GetTables" => self.get_tables(body),
            "UpdateTable" => self.update_table(body),
            "DeleteTable" => self.delete_table(body),
            "GetPartitions" => self.get_partitions(body),
            "BatchGetPartition" => self.batch_get_partition(body),
            "BatchCreatePartition" => self.batch_create_partition(body, fault),
            "BatchUpdatePartition" => self.batch_update_partition(body, fault),
            "BatchDeletePartition" => self.batch_delete_partition(body, fault),
            "UpdateColumnStatisticsForTable" => self.update_statistics(body),
            "GetColumnStatisticsForTable" => self.get_statistics(body),
            other => Err(refuse("UnknownOperationException", format!("no operation {other}"))),
        }
    }
}

impl State {
    fn create_database(&mut self, input: &Value) -> Answer {
        let name = text(input, "Name")?;
        check_name(name)?;
        if self.databases.contains_key(name) {
            return Err(refuse("AlreadyExistsException", "Database already exists."));
        }
        self.databases.insert(name.to_owned(), input.clone());
        Ok(json!({}))
    }

    fn get_database(&self, name: &str) -> Answer {
        let found = self.databases.get(name).ok_or_else(|| no_database(name))?;
        Ok(json!({ "Database": found }))
    }

    fn get_databases(&self, body: &Value) -> Answer {
        let (page, next) = page(self.databases.values(), body)?;
        Ok(json!({ "DatabaseList": page, "NextToken": next }))
    }

    fn create_table(&mut self, body: &Value) -> Answer {
        let database = text(body, "DatabaseName")?.to_owned();
        if !self.databases.contains_key(&database) {
            return Err(no_database(&database));
        }
        let input = checked(&body["TableInput"])?;
        let name = text(&body["TableInput"], "Name")?.to_owned();
        if self.tables.contains_key(&(database.clone(), name.clone())) {
            return Err(refuse("AlreadyExistsException", "Table already exists."));
        }
        let table = Table { input, version: 0, archived: 0, partitions: BTreeMap::new(), statistics: BTreeMap::new() };
        self.tables.insert((database, name), table);
        Ok(json!({}))
    }

    fn get_table(&self, body: &Value) -> Answer {
        let (database, name) = (text(body, "DatabaseName")?, text(body, "Name")?);
        let table = self.tables.get(&(database.to_owned(), name.to_owned())).ok_or_else(|| self.no_table(database, name))?;
        Ok(json!({ "Table": shown(database, table) }))
    }

    fn get_tables(&self, body: &Value) -> Answer {
        let database = text(body, "DatabaseName")?;
        if !self.databases.contains_key(database) {
            return Err(no_database(database));
        }
        let all: Vec<Value> = self.tables.iter().filter(|((of, _), _)| of == database).map(|(_, table)| shown(database, table)).collect();
        let (page, next) = page(all.iter(), body)?;
        Ok(json!({ "TableList": page, "NextToken": next }))
    }

    fn update_table(&mut self, body: &Value) -> Answer {
        let input = checked(&body["TableInput"])?;
        let name = text(&body["TableInput"], "Name")?.to_owned();
        let table = self.table_mut(text(body, "DatabaseName")?, &name)?;
        if let Some(seen) = body["VersionId"].as_str()
            && seen != table.version.to_string()
        {
            let message = format!("Update table failed due to concurrent modifications: {seen} is not {}", table.version);
            return Err(refuse("ConcurrentModificationException", message));
        }
        table.input = input;
        table.version += 1;
        table.archived += u64::from(body["SkipArchive"] != json!(true));
        Ok(json!({}))
    }

    fn delete_table(&mut self, body: &Value) -> Answer {
        let (database, name) = (text(body, "DatabaseName")?, text(body, "Name")?);
        match self.tables.remove(&(database.to_owned(), name.to_owned())) {
            Some(_) => Ok(json!({})),
            None => Err(self.no_table(database, name)),
        }
    }

    fn update_statistics(&mut self, body: &Value) -> Answer {
        let list = body["ColumnStatisticsList"].as_array().cloned().unwrap_or_default();
        if list.len() > STATISTICS {
            return Err(refuse("InvalidInputException", format!("{} columns, and {STATISTICS} are allowed", list.len())));
        }
        let table = self.table_mut(text(body, "DatabaseName")?, text(body, "TableName")?)?;
        let columns = table.input["StorageDescriptor"]["Columns"].as_array().cloned().unwrap_or_default();
        for one in list {
            let (name, kind) = (text(&one, "ColumnName")?, text(&one, "ColumnType")?);
            if !columns.iter().any(|column| column["Name"] == name && column["Type"] == kind) {
                return Err(refuse("InvalidInputException", format!("Column {name} of type {kind} is not in the table.")));
            }
            table.statistics.insert(name.to_owned(), one["StatisticsData"].clone());
        }
        Ok(json!({ "Errors": [] }))
    }

    fn get_statistics(&self, body: &Value) -> Answer {
        let (database, name) = (text(body, "DatabaseName")?, text(body, "TableName")?);
        let table = self.tables.get(&(database.to_owned(), name.to_owned())).ok_or_else(|| self.no_table(database, name))?;
        let wanted = body["ColumnNames"].as_array().cloned().unwrap_or_default();
        let found: Vec<Value> = wanted
            .iter()
            .filter_map(|name| Some(json!({ "ColumnName": name, "StatisticsData": table.statistics.get(name.as_str()?)? })))
            .collect();
        Ok(json!({ "ColumnStatisticsList": found, "Errors": [] }))
    }

    pub(super) fn column_statistics(&self, database: &str, name: &str, column: &str) -> Option<Value> {
        self.tables.get(&(database.to_owned(), name.to_owned()))?.statistics.get(column).cloned()
    }

    pub(super) fn table_mut(&mut self, database: &str, name: &str) -> Result<&mut Table, Refusal> {
        let missing = self.no_table(database, name);
        self.tables.get_mut(&(database.to_owned(), name.to_owned())).ok_or(missing)
    }

    pub(super) fn no_table(&self, database: &str, name: &str) -> Refusal {
        if self.databases.contains_key(database) {
            refuse("EntityNotFoundException", format!("Table {name} not found."))
        } else {
            no_database(database)
        }
    }
}

fn no_database(name: &str) -> Refusal {
    refuse("EntityNotFoundException", format!("Database {name} not found."))
}

/// A table as the catalog shows it.
fn shown(database: &str, table: &Table) -> Value {
    let mut shown = table.input.clone();
    shown.insert("DatabaseName".into(), json!(database));
    shown.insert("VersionId".into(), json!(table.version.to_string()));
    shown.insert("CreateTime".into(), json!(1_767_225_600.0));
    shown.insert("UpdateTime".into(), json!(1_767_225_600.0 + table.version as f64));
    shown.insert("CatalogId".into(), json!("123456789012"));
    shown.insert("IsRegisteredWithLakeFormation".into(), json!(false));
    // How many versions were archived: what SkipArchive is there to keep at none.
    shown.insert("ArchivedVersions".into(), json!(table.archived));
    Value::Object(shown)
}

/// The member of a request that must be a text.
pub(super) fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    body[name].as_str().ok_or_else(|| refuse("InvalidInputException", format!("{name} is missing")))
}

/// One page of entries, and the token for the next.
pub(super) fn page<'a>(all: impl Iterator<Item = &'a Value>, body: &Value) -> Result<(Vec<&'a Value>, Option<String>), Refusal> {
    let from = match body["NextToken"].as_str() {
        None => 0,
        Some(token) => token.parse().map_err(|_| refuse("InvalidInputException", "the token is none of this server"))?,
    };
    let mut all = all.skip(from).peekable();
    let page: Vec<&Value> = all.by_ref().take(PAGE).collect();
    let next = all.peek().is_some().then(|| (from + PAGE).to_string());
    Ok((page, next))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 255 || !name.chars().all(good) {
        return Err(refuse("InvalidInputException", format!("the name {name} is not one that Athena reads")));
    }
    Ok(())
}

/// A table that Athena, Spark and Trino would read.
fn checked(input: &Value) -> Result<Map<String, Value>, Refusal> {
    let wrong = |message: String| refuse("InvalidInputException", message);
    check_name(text(input, "Name")?)?;
    let Some(keys) = input["PartitionKeys"].as_array() else { return Err(wrong("PartitionKeys must be there, [] if none".into())) };
    let descriptor = &input["StorageDescriptor"];
    check_location(text(descriptor, "Location")?)?;
    let columns = descriptor["Columns"].as_array().cloned().unwrap_or_default();
    let mut seen = Vec::new();
    for column in columns.iter().chain(keys) {
        let (name, kind) = (text(column, "Name")?, text(column, "Type")?);
        check_name(name)?;
        if seen.contains(&name) {
            return Err(wrong(format!("column {name} is there twice")));
        }
        if kind.contains(' ') || kind != kind.to_lowercase() {
            return Err(wrong(format!("no type {kind}")));
        }
        if column["Comment"].as_str().is_some_and(|comment| comment.chars().count() > 255) {
            return Err(wrong(format!("the comment of column {name} is longer than 255 characters")));
        }
        seen.push(name);
    }
    input.as_object().cloned().ok_or_else(|| wrong("TableInput is no object".into()))
}

/// A location as Athena wants it.
pub(super) fn check_location(location: &str) -> Result<(), Refusal> {
    let Some((_, path)) = location.split_once("://") else {
        return Err(refuse("InvalidInputException", format!("the location {location} is no URL")));
    };
    // A path of a test's disk begins with a slash of its own.
    let path = path.trim_start_matches('/');
    if !location.ends_with('/') || path.contains("//") || path.contains('*') || location.len() > 2_056 {
        return Err(refuse("InvalidInputException", format!("the location {location} is not one that Athena reads")));
    }
    Ok(())
}
