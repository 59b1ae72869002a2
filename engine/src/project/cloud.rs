//! `[aws]`, `[s3]` and `[glue]` of `pacha.toml`: what the environment does not say already.
//!
//! Nothing here is needed on a machine that the AWS command line works on. Credentials are not keys of this file: they come
//! from the default chain, so that none is ever in a project.

use schemas::document::Table;

use super::settings::{read_text, report_range};

/// Who we are at AWS, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// Profile of `~/.aws/config`; else `AWS_PROFILE`, else `default`.
    pub profile: Option<String>,
    /// Region; else `AWS_REGION`, else the profile's, else that of the machine.
    pub region: Option<String>,
}

/// How buckets are read and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// URL of an S3-compatible server; else `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, else Amazon's.
    pub endpoint: Option<String>,
    /// Bucket in the path instead of the host name. Unless said, only with an endpoint.
    pub path_style: Option<bool>,
    /// Whoever reads pays, for buckets that ask for it.
    pub request_payer: bool,
    /// KMS key with which what we write is encrypted.
    pub kms_key: Option<String>,
    /// Requests that are not signed, for public buckets.
    pub anonymous: bool,
    /// Requests under way at a time.
    pub requests: usize,
}

/// How tables are registered in the Glue catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GlueSettings {
    /// URL of a Glue-compatible server; else `AWS_ENDPOINT_URL_GLUE`, `AWS_ENDPOINT_URL`, else Amazon's.
    pub endpoint: Option<String>,
    /// Account whose catalog it is, if another's.
    pub catalog_id: Option<String>,
    /// Name of the database in Glue is this and the database's.
    pub prefix: String,
    /// Tables that are registered; all if empty.
    pub tables: Vec<String>,
    /// Whether tables by collection are partitioned by it.
    pub partitions: Partitions,
}

/// How a table by collection appears in Glue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Partitions {
    /// As one location. A new version is one call, so every reader sees the old or the new one.
    #[default]
    None,
    /// As partitions by `collection_id` that are registered each; any engine prunes by them.
    Registered,
    /// As partitions by `collection_id` that Athena computes from the location; a new version is one call.
    Projected,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self { endpoint: None, path_style: None, request_payer: false, kms_key: None, anonymous: false, requests: 64 }
    }
}

impl AwsSettings {
    pub(super) fn apply(&mut self, table: &mut Table<'_, '_>) {
        self.profile = read_text(table, "profile").map(|given| given.value).or(self.profile.take());
        self.region = read_text(table, "region").map(|given| given.value).or(self.region.take());
    }
}

impl S3Settings {
    pub(super) fn apply(&mut self, table: &mut Table<'_, '_>) {
        read_endpoint(table, &mut self.endpoint);
        self.path_style = table.boolean("path_style").or(self.path_style);
        self.request_payer = table.boolean("request_payer").unwrap_or(self.request_payer);
        self.kms_key = read_text(table, "kms_key").map(|given| given.value).or(self.kms_key.take());
        self.anonymous = table.boolean("anonymous").unwrap_or(self.anonymous);
        if let Some(requests) = table.integer("requests") {
            match usize::try_from(requests.value) {
                Ok(value @ 1..=1024) => self.requests = value,
                _ => report_range(table, "requests is from 1 to 1024", "write requests = 64", requests.span),
            }
        }
    }
}

impl GlueSettings {
    pub(super) fn apply(&mut self, table: &mut Table<'_, '_>) {
        read_endpoint(table, &mut self.endpoint);
        self.catalog_id = read_text(table, "catalog_id").map(|given| given.value).or(self.catalog_id.take());
        if let Some(prefix) = table.string("prefix") {
            self.prefix = prefix.value;
        }
        if table.has("tables") {
            self.tables = table.strings("tables").into_iter().map(|name| name.value).collect();
        }
        if table.has("partitions") {
            self.partitions = match table.word("partitions", &["none", "registered", "projected"]) {
                "registered" => Partitions::Registered,
                "projected" => Partitions::Projected,
                _ => Partitions::None,
            };
        }
    }
}

/// The URL of a server that stands in for Amazon's.
pub(super) fn read_endpoint(table: &mut Table<'_, '_>, kept: &mut Option<String>) {
    let Some(given) = table.string("endpoint") else { return };
    if url::Url::parse(&given.value).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some()) {
        *kept = Some(given.value);
    } else {
        let message = format!("endpoint cannot be \"{}\": it is no URL of a server", given.value);
        report_range(table, &message, "write endpoint = \"http://127.0.0.1:9000\"", given.span);
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::read;
    use super::*;

    #[test]
    fn what_is_said_is_taken_and_the_rest_is_left_to_the_environment() {
        let (head, problems) = read(
            "[aws]\nprofile = \"library\"\n[s3]\nendpoint = \"http://127.0.0.1:9000\"\nrequest_payer = true\nrequests = 16\n\
             [glue]\nprefix = \"lib_\"\ntables = [\"mapped\"]\npartitions = \"projected\"\n",
        );
        assert!(problems.0.is_empty(), "{problems}");
        let settings = head.settings;
        assert_eq!(settings.aws, AwsSettings { profile: Some("library".into()), region: None });
        let s3 = S3Settings { endpoint: Some("http://127.0.0.1:9000".into()), request_payer: true, requests: 16, ..S3Settings::default() };
        assert_eq!(settings.s3, s3);
        let glue = GlueSettings {
            prefix: "lib_".into(),
            tables: vec!["mapped".into()],
            partitions: Partitions::Projected,
            ..GlueSettings::default()
        };
        assert_eq!(settings.glue, glue);
    }

    #[test]
    fn every_mistake_is_reported_at_its_place() {
        let (_, problems) = read(
            "[aws]\nregion = \" \"\nkey = \"x\"\n[s3]\nendpoint = \"minio:9000\"\nrequests = 0\npath_style = \"yes\"\n\
             [glue]\nendpoint = \"glue\"\npartitions = \"hive\"\n",
        );
        let text = problems.to_string();
        assert_eq!(problems.0.len(), 7, "{text}");
        for part in [
            "PC112 pacha.toml:2:10: region is empty; hint: write region = \"…\", or leave the line out",
            "PC101 pacha.toml:3:1: unknown key aws.key",
            "PC112 pacha.toml:5:12: endpoint cannot be \"minio:9000\": it is no URL of a server; hint: write endpoint = \"http://127.0.0.1:9000\"",
            "PC112 pacha.toml:6:12: requests is from 1 to 1024; hint: write requests = 64",
            "PC101 pacha.toml:7:14: s3.path_style wants true or false",
            "PC112 pacha.toml:9:12: endpoint cannot be \"glue\"",
            "PC101 pacha.toml:10:14: glue.partitions cannot be \"hive\"",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
    }
}
