//! What a sink is told: where to write, under which run, and which of the two kinds of rows it gets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reread::Reread;

/// Arrow bytes gathered for one output file, unless the job says otherwise.
pub const FILE_BYTES: u64 = 64 << 20;
/// Zstandard level: the best trade on text, as higher levels cost more than the mapping itself.
pub const COMPRESSION_LEVEL: i32 = 1;

/// Everything an executor must know to write; it travels as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkSpec {
    /// URL of `<warehouse>/<database>/`.
    pub database: String,
    /// The run that the files belong to.
    pub run_id: String,
    /// What the rows are.
    pub mode: SinkMode,
    /// Arrow bytes gathered for one output file.
    #[serde(default = "file_bytes")]
    pub file_bytes: u64,
    /// Zstandard level.
    #[serde(default = "compression_level")]
    pub compression_level: i32,
}

/// What the rows of the input are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SinkMode {
    /// Mapped records with `_record`, perhaps `_kept` and `_findings`, to be routed to the tables of a job.
    Records {
        /// Name of the source schema: the suffix of the vernacular table.
        source: String,
        /// Whether the vernacular table is written.
        vernacular: bool,
        /// Page number and ordinal of the rows that occur again later, sorted.
        duplicates: Vec<(u32, u32)>,
        /// Target field → place in the mapping, such as `mappings/x.sql:8`.
        at: BTreeMap<String, String>,
        /// How withheld records are read again where the plan does not carry them along.
        #[serde(default)]
        reread: Option<Box<Reread>>,
    },
    /// Plain rows of one table: SQL steps, and rows carried over from the last version.
    Rows {
        /// The table.
        table: String,
    },
}

fn file_bytes() -> u64 {
    FILE_BYTES
}

fn compression_level() -> i32 {
    COMPRESSION_LEVEL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_comes_back_from_json_as_it_was() {
        let mode = SinkMode::Records {
            source: "oai_dc".into(),
            vernacular: true,
            duplicates: vec![(0, 1), (2, 3)],
            at: BTreeMap::from([("title".into(), "mappings/x.sql:8".into())]),
            reread: None,
        };
        let spec = SinkSpec { database: "file:///w/d/".into(), run_id: "r1".into(), mode, file_bytes: 1, compression_level: 3 };
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<SinkSpec>(&text).unwrap(), spec);
        let short = r#"{"database": "file:///w/d/", "run_id": "r1", "mode": {"rows": {"table": "t"}}}"#;
        assert_eq!(serde_json::from_str::<SinkSpec>(short).unwrap().file_bytes, FILE_BYTES);
    }
}
