//! The operations on partitions: batches of bounded size that succeed or fail item by item.

use serde_json::{Value, json};

use super::expression::{self, Row};
use super::state::{State, Table, check_location, page, text};
use crate::json::{Answer, Fault, Refusal, refuse};

/// Items of a batch that creates or updates.
const WRITES: usize = 100;
/// Items of a batch that deletes.
const DELETES: usize = 25;
/// Items of a batch that reads.
const READS: usize = 1_000;

impl State {
    pub(super) fn get_partitions(&self, body: &Value) -> Answer {
        let (database, name) = (text(body, "DatabaseName")?, text(body, "TableName")?);
        let table = self.tables.get(&(database.to_owned(), name.to_owned())).ok_or_else(|| self.no_table(database, name))?;
        let keys = keys(table);
        let mut found = Vec::new();
        for (values, partition) in &table.partitions {
            let meant = match body["Expression"].as_str() {
                Some(expression) if expression.len() > 2_048 => return Err(refuse("InvalidInputException", "the expression is too long")),
                Some(expression) => {
                    expression::matches(expression, Row { keys: &keys, values }).map_err(|why| refuse("InvalidInputException", why))?
                }
                None => true,
            };
            if meant {
                found.push(partition);
            }
        }
        let (page, next) = page(found.into_iter(), body)?;
        Ok(json!({ "Partitions": page, "NextToken": next }))
    }

    pub(super) fn batch_get_partition(&mut self, body: &Value) -> Answer {
        let wanted = items(body, "PartitionsToGet", READS)?;
        let table = self.table_mut(text(body, "DatabaseName")?, text(body, "TableName")?)?;
        let found: Vec<&Value> = wanted.iter().filter_map(|one| table.partitions.get(&values(&one["Values"]))).collect();
        Ok(json!({ "Partitions": found, "UnprocessedKeys": [] }))
    }

    pub(super) fn batch_create_partition(&mut self, body: &Value, fault: Option<&Fault>) -> Answer {
        let inputs = items(body, "PartitionInputList", WRITES)?;
        let table = self.table_mut(text(body, "DatabaseName")?, text(body, "TableName")?)?;
        let mut errors = Vec::new();
        for input in inputs {
            let key = values(&input["Values"]);
            let outcome = match faulty(fault, &key) {
                Some(error) => Err(error),
                None if table.partitions.contains_key(&key) => Err(refuse("AlreadyExistsException", "Partition already exists.")),
                None => checked(table, &input).map(|()| table.partitions.insert(key.clone(), input.clone())),
            };
            if let Err(refusal) = outcome {
                errors.push(json!({ "PartitionValues": key, "ErrorDetail": detail(&refusal) }));
            }
        }
        Ok(json!({ "Errors": errors }))
    }

    pub(super) fn batch_update_partition(&mut self, body: &Value, fault: Option<&Fault>) -> Answer {
        let entries = items(body, "Entries", WRITES)?;
        let table = self.table_mut(text(body, "DatabaseName")?, text(body, "TableName")?)?;
        let mut errors = Vec::new();
        for entry in entries {
            let (key, input) = (values(&entry["PartitionValueList"]), &entry["PartitionInput"]);
            let outcome = match faulty(fault, &key) {
                Some(error) => Err(error),
                None if !table.partitions.contains_key(&key) => Err(refuse("EntityNotFoundException", "Partition not found.")),
                None => checked(table, input).map(|()| table.partitions.insert(key.clone(), input.clone())),
            };
            if let Err(refusal) = outcome {
                errors.push(json!({ "PartitionValueList": key, "ErrorDetail": detail(&refusal) }));
            }
        }
        Ok(json!({ "Errors": errors }))
    }

    pub(super) fn batch_delete_partition(&mut self, body: &Value, fault: Option<&Fault>) -> Answer {
        let wanted = items(body, "PartitionsToDelete", DELETES)?;
        let table = self.table_mut(text(body, "DatabaseName")?, text(body, "TableName")?)?;
        let mut errors = Vec::new();
        for one in wanted {
            let key = values(&one["Values"]);
            let outcome = match faulty(fault, &key) {
                Some(error) => Err(error),
                None => table.partitions.remove(&key).ok_or_else(|| refuse("EntityNotFoundException", "Partition not found.")),
            };
            if let Err(refusal) = outcome {
                errors.push(json!({ "PartitionValues": key, "ErrorDetail": detail(&refusal) }));
            }
        }
        Ok(json!({ "Errors": errors }))
    }

    pub(super) fn partition_locations(&self, database: &str, name: &str) -> Vec<(String, String)> {
        let Some(table) = self.tables.get(&(database.to_owned(), name.to_owned())) else { return Vec::new() };
        let location = |partition: &Value| partition["StorageDescriptor"]["Location"].as_str().unwrap_or_default().to_owned();
        table.partitions.iter().map(|(values, partition)| (values.join("/"), location(partition))).collect()
    }
}

fn keys(table: &Table) -> Vec<(String, String)> {
    let keys = table.input["PartitionKeys"].as_array().cloned().unwrap_or_default();
    let member = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
    keys.iter().map(|key| (member(key, "Name"), member(key, "Type"))).collect()
}

fn checked(table: &Table, input: &Value) -> Result<(), Refusal> {
    if values(&input["Values"]).len() != keys(table).len() {
        return Err(refuse("InvalidInputException", "The number of partition keys do not match the number of partition values"));
    }
    check_location(text(&input["StorageDescriptor"], "Location")?)
}

fn items(body: &Value, name: &str, limit: usize) -> Result<Vec<Value>, Refusal> {
    let items = body[name].as_array().cloned().unwrap_or_default();
    if items.is_empty() || items.len() > limit {
        let message = format!("Member must have length between 1 and {limit}; {name} has {}", items.len());
        return Err(refuse("InvalidInputException", message));
    }
    Ok(items)
}

fn values(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts.map(|value| value.as_str().unwrap_or_default().to_owned()).collect()
}

fn faulty(fault: Option<&Fault>, key: &[String]) -> Option<Refusal> {
    match fault {
        Some(Fault::Item(value, code)) if key.iter().any(|part| part == value) => Some(refuse(code, "this one does not work")),
        _ => None,
    }
}

fn detail(refusal: &Refusal) -> Value {
    json!({ "ErrorCode": refusal.code, "ErrorMessage": refusal.message })
}
