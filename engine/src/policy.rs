//! The least that a project's identity at AWS must be allowed: a policy of IAM, from the project's files alone.
//!
//! It is what the code does, no more: pages and inputs are read and listed, the warehouse is written too, and of Glue there
//! are the calls that the catalog makes. Nothing is asked of AWS, so the policy can be had before there is any access. What
//! is under a prefix is allowed by the prefix, since names of runs and pages are not known beforehand.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::catalog::glue::{ACTIONS, names};
use crate::project::{CatalogKind, Project};

/// What S3 is asked for pages and inputs, and for the warehouse.
const READS: [&str; 1] = ["s3:GetObject"];
const WRITES: [&str; 4] = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"];

/// More places in one bucket than this are allowed by what their names have in common: IAM takes 6,144 characters.
const PLACES: usize = 8;

/// A policy, and what it cannot say.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The document, as IAM takes it.
    pub document: Value,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// Prefixes by bucket; the empty one is all of it.
type Places = BTreeMap<String, BTreeSet<String>>;

/// The policy of a project.
pub fn policy(project: &Project) -> Policy {
    let partition = partition(project.settings.aws.region.as_deref());
    let mut statements = Vec::new();
    let mut notes = Vec::new();
    let pages = project.collections.values().flat_map(|collection| &collection.pages).map(|place| place.value.as_str());
    let inputs = project.jobs.values().flat_map(|job| &job.inputs).map(|input| input.location.value.as_str());
    let warehouse = places([project.warehouse.as_str()].into_iter());
    for (bucket, prefixes) in places(pages.chain(inputs)) {
        let number = statements.len() / 2 + 1;
        statements.push(objects(&format!("ReadPages{number}"), partition, &bucket, &prefixes, &READS));
        statements.push(listing(&format!("ListPages{number}"), partition, &bucket, &prefixes));
    }
    for (bucket, prefixes) in &warehouse {
        statements.push(objects("Warehouse", partition, bucket, prefixes, &WRITES));
        statements.push(listing("ListWarehouse", partition, bucket, prefixes));
    }
    if let Some(key) = project.settings.s3.kms_key.as_deref().filter(|_| !warehouse.is_empty()) {
        statements.push(encryption(partition, key));
    }
    if project.catalog == CatalogKind::Glue && !project.jobs.is_empty() {
        statements.push(catalog(project, partition));
        notes
            .push("tables of others that SQL reads through Glue need glue:GetTable, glue:GetPartitions, and reading where they lie".into());
    }
    if statements.is_empty() {
        notes.push("this project reads and writes nothing at AWS: there is nothing to allow".into());
    }
    Policy { document: json!({ "Version": "2012-10-17", "Statement": statements }), notes }
}

/// China and the government have names of their own.
fn partition(region: Option<&str>) -> &'static str {
    match region {
        Some(region) if region.starts_with("cn-") => "aws-cn",
        Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Bucket and prefix of each URL of S3; of a pattern, up to the first folder that is one.
fn places<'a>(written: impl Iterator<Item = &'a str>) -> Places {
    let mut places = Places::new();
    for text in written {
        let Some((scheme, rest)) = text.trim().split_once("://") else { continue };
        if !matches!(scheme, "s3" | "s3a") {
            continue;
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let fixed = match key.find(['*', '?', '[']) {
            Some(wild) => &key[..key[..wild].rfind('/').unwrap_or(0)],
            None => key,
        };
        places.entry(bucket.to_owned()).or_default().insert(fixed.trim_matches('/').to_owned());
    }
    places.values_mut().for_each(simplify);
    places
}

/// Leaves out what is below another, and takes what is in common where there are many.
fn simplify(prefixes: &mut BTreeSet<String>) {
    let all = prefixes.clone();
    let above = |one: &String, other: &String| one.is_empty() || other.strip_prefix(one.as_str()).is_some_and(|rest| rest.starts_with('/'));
    prefixes.retain(|prefix| !all.iter().any(|other| other != prefix && above(other, prefix)));
    if prefixes.len() > PLACES {
        let (first, last) = (prefixes.first().cloned().unwrap_or_default(), prefixes.last().cloned().unwrap_or_default());
        // They are sorted, so what the first and the last have in common all have.
        let parts = first.split('/').zip(last.split('/')).take_while(|(one, other)| one == other).map(|(part, _)| part);
        *prefixes = [parts.collect::<Vec<_>>().join("/")].into();
    }
}

fn objects(sid: &str, partition: &str, bucket: &str, prefixes: &BTreeSet<String>, actions: &[&str]) -> Value {
    let root = format!("arn:{partition}:s3:::{bucket}");
    let below = |prefix: &String| match prefix.as_str() {
        "" => vec![format!("{root}/*")],
        // A page or an input may be named itself; the warehouse is always a folder.
        prefix if actions == READS => vec![format!("{root}/{prefix}"), format!("{root}/{prefix}/*")],
        prefix => vec![format!("{root}/{prefix}/*")],
    };
    let resources: Vec<String> = prefixes.iter().flat_map(below).collect();
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources })
}

fn listing(sid: &str, partition: &str, bucket: &str, prefixes: &BTreeSet<String>) -> Value {
    let mut statement =
        json!({ "Sid": sid, "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [format!("arn:{partition}:s3:::{bucket}")] });
    if !prefixes.contains("") {
        let prefixes: Vec<String> = prefixes.iter().flat_map(|prefix| [prefix.clone(), format!("{prefix}/*")]).collect();
        statement["Condition"] = json!({ "StringLike": { "s3:prefix": prefixes } });
    }
    statement
}

/// Only by way of S3. An alias is no resource: the condition names it.
fn encryption(partition: &str, key: &str) -> Value {
    let by_s3 = json!({ "kms:ViaService": "s3.*.amazonaws.com" });
    let (resource, condition) = match key.rsplit_once(":alias/").map(|(_, name)| name).or(key.strip_prefix("alias/")) {
        Some(name) => {
            let alias = json!({ "kms:ResourceAliases": format!("alias/{name}") });
            (format!("arn:{partition}:kms:*:*:key/*"), json!({ "StringLike": by_s3, "ForAnyValue:StringEquals": alias }))
        }
        None if key.starts_with("arn:") => (key.to_owned(), json!({ "StringLike": by_s3 })),
        None => (format!("arn:{partition}:kms:*:*:key/{key}"), json!({ "StringLike": by_s3 })),
    };
    json!({
        "Sid": "Encryption",
        "Effect": "Allow",
        "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
        "Resource": [resource],
        "Condition": condition,
    })
}

/// The catalog itself, the databases that jobs write, and their tables: Glue asks for all three at once.
fn catalog(project: &Project, partition: &str) -> Value {
    let (region, glue) = (project.settings.aws.region.as_deref().unwrap_or("*"), &project.settings.glue);
    let root = format!("arn:{partition}:glue:{region}:{}", glue.catalog_id.as_deref().unwrap_or("*"));
    let databases: BTreeSet<String> = project.jobs.values().map(|job| names::database(glue, &job.database)).collect();
    let mut resources = vec![format!("{root}:catalog")];
    resources.extend(databases.iter().flat_map(|name| [format!("{root}:database/{name}"), format!("{root}:table/{name}/*")]));
    json!({ "Sid": "Catalog", "Effect": "Allow", "Action": ACTIONS, "Resource": resources })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(written: &[&str]) -> Vec<(String, Vec<String>)> {
        places(written.iter().copied()).into_iter().map(|(bucket, prefixes)| (bucket, prefixes.into_iter().collect())).collect()
    }

    fn owned(bucket: &str, prefixes: &[&str]) -> (String, Vec<String>) {
        (bucket.to_owned(), prefixes.iter().map(|prefix| (*prefix).to_owned()).collect())
    }

    #[test]
    fn only_urls_of_s3_are_places_and_a_pattern_is_its_folder() {
        let found = prefixes(&["pages/26001", "s3://raw/26001/", "s3a://raw/26002/*/page-?.xml", "gs://other/x", "s3://all", "s3://all/x"]);
        assert_eq!(found, [owned("all", &[""]), owned("raw", &["26001", "26002"])]);
        assert_eq!(prefixes(&["s3://raw/*.xml", "s3://raw/a"]), [owned("raw", &[""])]);
    }

    #[test]
    fn what_is_below_another_place_is_left_out_and_a_like_name_is_not() {
        assert_eq!(prefixes(&["s3://raw/a", "s3://raw/a/b", "s3://raw/ab"]), [owned("raw", &["a", "ab"])]);
    }

    #[test]
    fn many_places_are_allowed_by_what_they_have_in_common() {
        let many: Vec<String> = (26_000..29_000).map(|id| format!("s3://raw/harvest/{id}/pages")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(prefixes(&many), [owned("raw", &["harvest"])]);
    }

    #[test]
    fn a_key_may_be_an_id_an_arn_or_an_alias() {
        let resource = |key: &str| encryption("aws", key)["Resource"][0].as_str().unwrap().to_owned();
        assert_eq!(resource("1234abcd"), "arn:aws:kms:*:*:key/1234abcd");
        assert_eq!(resource("arn:aws:kms:us-west-2:1:key/k"), "arn:aws:kms:us-west-2:1:key/k");
        for alias in ["alias/harvest", "arn:aws:kms:us-west-2:1:alias/harvest"] {
            assert_eq!(resource(alias), "arn:aws:kms:*:*:key/*");
            assert_eq!(encryption("aws", alias)["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"], "alias/harvest");
        }
    }

    #[test]
    fn the_actions_of_glue_are_those_that_its_client_calls() {
        let client = include_str!("catalog/glue/client.rs");
        let calls = client.split("self.send(\"").skip(1).filter_map(|call| call.split('"').next());
        let called: BTreeSet<String> = calls.map(|action| format!("glue:{action}")).collect();
        assert!(called.len() > 10, "{called:?}");
        assert_eq!(ACTIONS.map(str::to_owned).into_iter().collect::<BTreeSet<_>>(), called);
        // And each of them is a request of the SDK's of the same name.
        for action in ACTIONS {
            let snake: String = action["glue:".len()..]
                .chars()
                .flat_map(|c| if c.is_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
                .collect();
            assert!(client.contains(&format!("sdk.{}()", &snake[1..])), "{action}");
        }
    }

    #[test]
    fn regions_apart_have_names_apart() {
        let names = [None, Some("us-west-2"), Some("cn-north-1"), Some("us-gov-west-1")].map(partition);
        assert_eq!(names, ["aws", "aws", "aws-cn", "aws-us-gov"]);
    }
}
