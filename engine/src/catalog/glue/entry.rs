//! What Glue is to say of one table: made from a version of the log, and compared with what Glue says now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_glue::types::{Column, PartitionInput, SerDeInfo, StorageDescriptor, Table, TableInput};
use schemas::problem::Problem;
use url::Position;

use super::docs::Docs;
use super::hive::hive_type;
use super::names;
use crate::error::{Error, Result};
use crate::project::{GlueSettings, Partitions};
use crate::sink::schema::{FINDINGS, MAPPED, QUARANTINE};
use crate::storage::Location;
use crate::table::{Database, TableState, Version};

/// Parameter with the URL of the database's root: the entry is ours, and this log is its truth.
pub(super) const DATABASE: &str = "pachamama.database";
/// Parameter with the version that changed the table last, of those that were published.
pub(super) const VERSION: &str = "pachamama.version";
/// Parameter with the run that committed this version.
pub(super) const RUN: &str = "pachamama.run";

/// The column by which tables are partitioned.
pub(super) const COLLECTION: &str = "collection_id";

/// More collections than this are not listed in a parameter; Athena then wants to be told the collection.
const ENUMERATED: usize = 1_000;

/// Characters of a table's description, and of a column's comment.
const DESCRIPTION: usize = 2_048;
const COMMENT: usize = 255;

/// How a table's files lie and are registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// In one location.
    Whole,
    /// In a location for each collection, each registered.
    Registered(BTreeSet<String>),
    /// In a location for each collection, which readers compute.
    Projected(BTreeSet<String>),
}

/// What Glue is to say.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The database, as Glue calls it.
    pub(super) database: String,
    /// The database, as we call it.
    pub(super) of: String,
    pub(super) table: String,
    pub(super) version: Version,
    pub(super) layout: Layout,
    /// Where this version's files lie for readers of Glue.
    pub(super) place: Location,
    run: String,
    root: String,
    description: String,
    columns: Vec<Column>,
}

impl Entry {
    /// The entry of a table of `database` in this state. `run` is the run that committed it.
    pub(super) fn new(
        settings: &GlueSettings,
        database: &Database,
        table: &str,
        state: &TableState,
        run: String,
        docs: &Docs,
    ) -> Result<Self> {
        let schema = state.schema.to_arrow()?;
        let problems = names::check(settings, database.name(), table, &schema);
        if problems.fatal() {
            return Err(Error { kind: crate::error::Kind::Failed, problems });
        }
        let layout = layout(settings.partitions, table, state);
        let place = database.location().join(table).join("published").join(&format!("{:020}", state.changed_in));
        // Two layouts of one version must not meet in one location: readers would see each row twice.
        let place = place.join(if layout == Layout::Whole { "all" } else { "by_collection" });
        let mut columns = Vec::new();
        for field in schema.fields().iter().filter(|field| layout == Layout::Whole || field.name() != COLLECTION) {
            let kind = hive_type(field.data_type()).map_err(|cast| no_type(table, field.name(), cast))?;
            columns.push(column(&field.name().to_lowercase(), &kind, docs.columns.get(field.name()))?);
        }
        Ok(Self {
            database: names::database(settings, database.name()),
            of: database.name().to_owned(),
            table: table.to_owned(),
            version: state.changed_in,
            layout,
            place,
            run,
            root: location(database.location()),
            description: docs.table.chars().take(DESCRIPTION).collect(),
            columns,
        })
    }

    /// `database.table` in Glue.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.database, self.table)
    }

    /// Whether each partition is registered by itself.
    pub(super) fn registers(&self) -> bool {
        matches!(self.layout, Layout::Registered(_))
    }

    /// URL of the database's root.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// What to send. What others have noted about the table stays.
    pub(super) fn input(&self, seen: Option<&Table>, version: Version) -> Result<TableInput> {
        let mut parameters: HashMap<String, String> = seen.and_then(|table| table.parameters.clone()).unwrap_or_default();
        parameters.retain(|name, _| !name.starts_with("projection.") && name != "storage.location.template");
        parameters.extend(self.parameters(version));
        TableInput::builder()
            .name(&self.table)
            .description(&self.description)
            .set_owner(seen.and_then(|table| table.owner.clone()))
            .table_type("EXTERNAL_TABLE")
            .set_partition_keys(Some(self.keys()?))
            .storage_descriptor(self.descriptor(&self.place))
            .set_parameters(Some(parameters))
            .build()
            .map_err(|error| incomplete(&error))
    }

    /// The partitions to register, each with its collection and location.
    pub(super) fn partitions(&self) -> BTreeMap<String, PartitionInput> {
        let Layout::Registered(ids) = &self.layout else { return BTreeMap::new() };
        let partition = |id: &String| {
            let place = self.place.join(&folder(id));
            let input = PartitionInput::builder().values(id).storage_descriptor(self.descriptor(&place));
            (id.clone(), input.parameters(VERSION, self.version.to_string()).build())
        };
        ids.iter().map(partition).collect()
    }

    /// Columns by which the table is partitioned.
    fn keys(&self) -> Result<Vec<Column>> {
        match self.layout {
            Layout::Whole => Ok(Vec::new()),
            Layout::Registered(_) | Layout::Projected(_) => Ok(vec![column(COLLECTION, "string", Some(&"The collection.".to_owned()))?]),
        }
    }

    /// Whether a table is partitioned as this one is to be.
    pub(super) fn same_keys(&self, seen: &Table) -> bool {
        let names = |keys: &[Column]| keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>();
        names(seen.partition_keys()) == names(&self.keys().unwrap_or_default())
    }

    fn parameters(&self, version: Version) -> BTreeMap<String, String> {
        let mut parameters: BTreeMap<String, String> = [
            (DATABASE, self.root.clone()),
            (VERSION, version.to_string()),
            (RUN, self.run.clone()),
            ("classification", "parquet".to_owned()),
            ("compressionType", "zstd".to_owned()),
            ("typeOfData", "file".to_owned()),
            ("EXTERNAL", "TRUE".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Layout::Projected(ids) = &self.layout {
            let template = format!("{}{COLLECTION}=${{{COLLECTION}}}/", location(&self.place));
            parameters.insert("projection.enabled".into(), "true".into());
            parameters.insert("storage.location.template".into(), template);
            let key = |what: &str| format!("projection.{COLLECTION}.{what}");
            if ids.is_empty() || ids.len() > ENUMERATED {
                parameters.insert(key("type"), "injected".into());
            } else {
                parameters.insert(key("type"), "enum".into());
                parameters.insert(key("values"), ids.iter().map(String::as_str).collect::<Vec<_>>().join(","));
            }
        }
        parameters
    }

    fn descriptor(&self, place: &Location) -> StorageDescriptor {
        let serde = SerDeInfo::builder()
            .serialization_library("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe")
            .parameters("serialization.format", "1");
        StorageDescriptor::builder()
            .set_columns(Some(self.columns.clone()))
            .location(location(place))
            .input_format("org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat")
            .output_format("org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat")
            .serde_info(serde.build())
            .compressed(true)
            .number_of_buckets(-1)
            .set_bucket_columns(Some(Vec::new()))
            .set_sort_columns(Some(Vec::new()))
            .stored_as_sub_directories(false)
            .build()
    }

    /// Names and types of the columns, without the one by which it is partitioned.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&str, &str)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.r#type.as_deref().unwrap_or_default()))
    }

    /// In what Glue's entry is not this one, in words.
    pub(super) fn differences(&self, seen: &Table) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, has: &str, should: &str| {
            if has != should {
                found.push(if has.is_empty() {
                    format!("{what} is missing: {should}")
                } else {
                    format!("{what} is {has}: should be {should}")
                });
            }
        };
        let parameter = |name: &str| seen.parameters.as_ref().and_then(|all| all.get(name)).map_or("", String::as_str);
        compare("version", parameter(VERSION), &self.version.to_string());
        let descriptor = seen.storage_descriptor();
        compare("location", descriptor.and_then(StorageDescriptor::location).unwrap_or_default(), &location(&self.place));
        for (name, value) in self.parameters(self.version) {
            if name != VERSION {
                compare(&format!("parameter {name}"), parameter(&name), &value);
            }
        }
        if !matches!(self.layout, Layout::Projected(_)) && !parameter("projection.enabled").is_empty() {
            compare("parameter projection.enabled", parameter("projection.enabled"), "absent");
        }
        let registered = descriptor.map(StorageDescriptor::columns).unwrap_or_default();
        let kinds = |columns: &[Column]| -> BTreeMap<String, String> {
            columns.iter().map(|column| (column.name.clone(), column.r#type.clone().unwrap_or_default())).collect()
        };
        let (has, should) = (kinds(registered), kinds(&self.columns));
        for name in has.keys().chain(should.keys()).collect::<BTreeSet<_>>() {
            match (has.get(name), should.get(name)) {
                (Some(kind), Some(wanted)) => compare(&format!("column {name}"), kind, wanted),
                (Some(kind), None) => compare(&format!("column {name}"), kind, "absent"),
                (None, Some(kind)) => compare(&format!("column {name}"), "", kind),
                (None, None) => {}
            }
        }
        let order = |columns: &[Column]| columns.iter().map(|column| (column.name.clone(), column.comment.clone())).collect::<Vec<_>>();
        if found.is_empty() && order(registered) != order(&self.columns) {
            found.push("the order or the comments of columns are others".into());
        }
        if !self.same_keys(seen) {
            found.push("it is partitioned in another way".into());
        }
        found
    }
}

/// Ours by the collections that files name, if the project wants it and the engine wrote the table by collection.
fn layout(partitions: Partitions, table: &str, state: &TableState) -> Layout {
    let by_collection = [MAPPED, QUARANTINE, FINDINGS].contains(&table) || table.starts_with("vernacular_");
    if !by_collection || partitions == Partitions::None || !state.schema.names().any(|name| name == COLLECTION) {
        return Layout::Whole;
    }
    let ids = state.files.iter().flat_map(|file| &file.collections).cloned().collect();
    if partitions == Partitions::Registered { Layout::Registered(ids) } else { Layout::Projected(ids) }
}

/// The URL of a place as Glue wants it: the key as it is, with a slash at its end.
pub(super) fn location(place: &Location) -> String {
    let scheme = if place.url.scheme() == "s3a" { "s3" } else { place.url.scheme() };
    let path = if place.prefix.as_ref().is_empty() { String::new() } else { format!("{}/", place.prefix) };
    format!("{scheme}://{}/{path}", &place.url[Position::BeforeHost..Position::AfterPort])
}

/// The folder of a collection, as Hive writes it.
pub(super) fn folder(id: &str) -> String {
    let mut folder = format!("{COLLECTION}=");
    for character in id.chars() {
        if character.is_ascii_control() || "\"#%'*/:=?\\{}[]^\u{7f}".contains(character) {
            folder.push_str(&format!("%{:02X}", u32::from(character)));
        } else {
            folder.push(character);
        }
    }
    folder
}

fn column(name: &str, kind: &str, comment: Option<&String>) -> Result<Column> {
    let comment = comment.filter(|comment| !comment.is_empty()).map(|comment| {
        let line = comment.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().take(COMMENT).collect::<String>()
    });
    Column::builder().name(name).r#type(kind).set_comment(comment).build().map_err(|error| incomplete(&error))
}

fn no_type(table: &str, column: &str, cast: &str) -> Error {
    let message = format!("column {column} of {table} has a type that readers of Glue do not have");
    Error::failed(Problem::error("PC163", message).hint(format!("write {cast} in the SELECT")))
}

/// A request that this code did not fill in: a fault of ours.
fn incomplete(error: &aws_sdk_glue::error::BuildError) -> Error {
    Error::failed(Problem::error("PR013", format!("an entry for Glue cannot be made: {error}")).hint("report this"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::storage::Storage;

    #[test]
    fn a_location_is_the_key_as_it_is_with_a_slash_at_its_end() {
        let place = Storage::new().resolve("memory://bucket/a%20b", Path::new("/")).unwrap().join("collection_id=x%3Ay");
        assert_eq!(location(&place), "memory://bucket/a b/collection_id=x%3Ay/");
    }

    #[test]
    fn a_collection_id_is_escaped_as_hive_does() {
        assert_eq!(folder("26001"), "collection_id=26001");
        assert_eq!(folder("a/b:c=d%"), "collection_id=a%2Fb%3Ac%3Dd%25");
    }

    #[test]
    fn a_comment_is_one_line_of_bounded_length() {
        let comment = column("x", "int", Some(&format!("two\n lines {}", "ä".repeat(300)))).unwrap().comment.unwrap();
        assert!(comment.starts_with("two lines ä") && comment.chars().count() == COMMENT, "{comment}");
    }
}
