//! `pacha.toml`: where the warehouse is, what output looks like, limits and the default gates.
//!
//! The same keys can be given on the command line as `--set KEY=VALUE`. Each override is read as a small document of its
//! own by the same code, so that it is as strictly checked and its mistakes point at the command line.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use schemas::document::{self, Placed, Table};
use schemas::problem::{Place, Problem, Problems, Source};

use super::cloud::{AwsSettings, GlueSettings, S3Settings};
use super::cluster::ClusterSettings;
use super::code;
use super::fleet::FleetSettings;
use crate::cost::Prices;
use crate::table::vacuum::age;

/// Where tables are registered by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CatalogKind {
    /// The warehouse itself.
    #[default]
    Warehouse,
    /// The AWS Glue Data Catalog, after each commit.
    Glue,
}

/// What `pacha.toml` sets for all jobs; a job may override `output` and `gates`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Files that a run writes.
    pub output: Output,
    /// Memory and threads.
    pub limits: Limits,
    /// When a result is held back.
    pub gates: Gates,
    /// Identity at AWS.
    pub aws: AwsSettings,
    /// Buckets.
    pub s3: S3Settings,
    /// The Glue catalog.
    pub glue: GlueSettings,
    /// Executors, for runs on a cluster.
    pub cluster: ClusterSettings,
    /// Executors that a scheduler starts and stops by itself.
    pub fleet: FleetSettings,
    /// What AWS charges, for receipts.
    pub prices: Prices,
}

/// The files that a run writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Bytes of Arrow data in one file, before compression.
    pub file_size: u64,
    /// zstd level, 1 to 22.
    pub compression_level: u8,
    /// Whether the vernacular tables are written too.
    pub vernacular: bool,
    /// Whether vernacular tables hold each record's source text.
    pub raw: bool,
}

/// What a run may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory for queries before they spill to disk.
    pub memory: u64,
    /// Threads; 0 is one for each core.
    pub threads: usize,
}

/// When a result is held back (`halt`) or somebody should look (`warn`). Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Gates {
    /// Share of a collection's records in quarantine that warns.
    pub quarantined_warn: f64,
    /// Share of a collection's records in quarantine that holds the result back.
    pub quarantined_halt: f64,
    /// Fall in a collection's records against the last version that warns.
    pub fall_warn: f64,
    /// Fall in a collection's records against the last version that holds the result back.
    pub fall_halt: f64,
    /// Shares of a collection with fewer records than this are not looked at.
    pub floor: u64,
    /// Records that the whole run must map, at least.
    pub min_records: u64,
    /// What a gate that halts on one collection holds back.
    pub hold: Hold,
}

/// What is held back when a gate halts on one collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hold {
    /// That collection; the others are published.
    #[default]
    Collection,
    /// The whole run.
    Run,
}

impl Default for Output {
    fn default() -> Self {
        Self { file_size: 64 << 20, compression_level: 3, vernacular: true, raw: false }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 500 << 20, threads: 0 }
    }
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            quarantined_warn: 0.2,
            quarantined_halt: 0.4,
            fall_warn: 0.15,
            fall_halt: 0.3,
            floor: 10,
            min_records: 0,
            hold: Hold::default(),
        }
    }
}

impl Output {
    /// Takes what a table `[output]` says, keeping the rest.
    pub(super) fn apply(&mut self, table: &mut Table<'_, '_>) {
        if let Some(size) = read_size(table, "file_size") {
            self.file_size = size;
        }
        if let Some(level) = table.integer("compression_level") {
            match u8::try_from(level.value) {
                Ok(value @ 1..=22) => self.compression_level = value,
                _ => report_range(table, "compression_level is a zstd level from 1 to 22", "write compression_level = 3", level.span),
            }
        }
        self.vernacular = table.boolean("vernacular").unwrap_or(self.vernacular);
        self.raw = table.boolean("raw").unwrap_or(self.raw);
    }
}

impl Limits {
    fn apply(&mut self, table: &mut Table<'_, '_>) {
        if let Some(size) = read_size(table, "memory") {
            self.memory = size;
        }
        if let Some(threads) = table.integer("threads") {
            match usize::try_from(threads.value) {
                Ok(value @ 0..=1024) => self.threads = value,
                _ => report_range(table, "threads is at most 1024", "write threads = 0 for one for each core", threads.span),
            }
        }
    }
}

impl Gates {
    /// Takes what a table `[gates]` says, keeping the rest.
    pub(super) fn apply(&mut self, table: &mut Table<'_, '_>) {
        read_share(table, "quarantined_warn", &mut self.quarantined_warn);
        read_share(table, "quarantined_halt", &mut self.quarantined_halt);
        read_share(table, "fall_warn", &mut self.fall_warn);
        read_share(table, "fall_halt", &mut self.fall_halt);
        self.floor = table.integer("floor").map_or(self.floor, |floor| floor.value);
        self.min_records = table.integer("min_records").map_or(self.min_records, |records| records.value);
        if table.has("hold") {
            self.hold = if table.word("hold", &["collection", "run"]) == "run" { Hold::Run } else { Hold::Collection };
        }
        for (name, warn, halt) in [("quarantined", self.quarantined_warn, self.quarantined_halt), ("fall", self.fall_warn, self.fall_halt)]
        {
            if warn > halt {
                let message = format!("{name}_warn = {warn} is above {name}_halt = {halt}: it would never warn first");
                report_range(table, &message, &format!("set {name}_warn below {name}_halt"), table.span());
            }
        }
    }
}

/// Everything in `pacha.toml`.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) name: Option<String>,
    pub(super) warehouse: Option<String>,
    pub(super) catalog: CatalogKind,
    pub(super) settings: Settings,
}

impl Head {
    /// Takes what the file says.
    pub(super) fn read(&mut self, source: &Arc<Source>, problems: &mut Problems) {
        document::read(source, problems, |top| self.apply(top));
    }

    fn apply(&mut self, top: &mut Table<'_, '_>) {
        for (key, kept) in [("name", &mut self.name), ("warehouse", &mut self.warehouse)] {
            let Some(given) = read_text(top, key) else { continue };
            if key == "warehouse" && given.value.starts_with("~/") {
                let message = "warehouse begins with ~, which means the home folder in a shell only";
                report_range(top, message, "write the whole path, or one that starts at the project", given.span);
            } else {
                *kept = Some(given.value);
            }
        }
        if top.has("catalog") {
            self.catalog = if top.word("catalog", &["warehouse", "glue"]) == "glue" { CatalogKind::Glue } else { CatalogKind::Warehouse };
        }
        top.table("output", |table| self.settings.output.apply(table));
        top.table("limits", |table| self.settings.limits.apply(table));
        top.table("gates", |table| self.settings.gates.apply(table));
        top.table("aws", |table| self.settings.aws.apply(table));
        top.table("s3", |table| self.settings.s3.apply(table));
        top.table("glue", |table| self.settings.glue.apply(table));
        top.table("cluster", |table| self.settings.cluster.apply(table));
        top.table("fleet", |table| self.settings.fleet.apply(table));
        top.table("prices", |table| self.settings.prices.apply(table));
    }

    /// Takes one `--set KEY=VALUE`. The value may be TOML, or bare text: `--set catalog=glue` needs no quotes.
    pub(super) fn set(&mut self, key: &str, value: &str, problems: &mut Problems) {
        let shown = Arc::new(Source { path: "--set".into(), text: format!("{key}={value}") });
        if !key.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))) {
            let problem = Problem::error(document::CODE, format!("\"{key}\" is no key of pacha.toml"));
            problems.push(problem.at(&shown, 0..key.len()).hint("write --set KEY=VALUE with a dotted key, such as output.file_size=64MiB"));
            return;
        }
        let quoted = toml::Value::String(value.to_owned()).to_string();
        let is_toml = toml::from_str::<toml::Table>(&format!("v={value}")).is_ok_and(|table| table.len() == 1);
        let mut first = None;
        for text in [is_toml.then_some(value), Some(&quoted)].into_iter().flatten() {
            let (mut head, mut found) = (self.clone(), Problems::default());
            let source = Arc::new(Source { path: "--set".into(), text: format!("{key}={text}") });
            head.read(&source, &mut found);
            if found.0.is_empty() {
                *self = head;
                return;
            }
            first.get_or_insert(found);
        }
        problems.extend(first.into_iter().flatten().map(|problem| show_at(problem, &shown, key.len())));
    }
}

/// Moves a mistake to the override as the user typed it, which may lack the quotes.
fn show_at(mut problem: Problem, shown: &Arc<Source>, key: usize) -> Problem {
    let in_key = problem.place.take().is_some_and(|place: Place| place.span.start < key && place.span.end > 0);
    let span = if in_key { 0..key } else { key + 1..shown.text.len() };
    problem.at(shown, span)
}

/// A text that may be missing but not blank.
pub(super) fn read_text(table: &mut Table<'_, '_>, key: &'static str) -> Option<Placed<String>> {
    let given = table.string(key)?;
    if given.value.trim().is_empty() {
        report_range(table, &format!("{key} is empty"), &format!("write {key} = \"…\", or leave the line out"), given.span);
        return None;
    }
    Some(given)
}

pub(super) fn report_range(table: &mut Table<'_, '_>, message: &str, hint: &str, span: Range<usize>) {
    table.report(Problem::error(code::RANGE, message).hint(hint), span);
}

fn read_share(table: &mut Table<'_, '_>, key: &'static str, share: &mut f64) {
    let Some(Placed { value, span }) = table.number(key) else { return };
    if (0.0..=1.0).contains(&value) {
        *share = value;
    } else {
        report_range(table, &format!("{key} is a share from 0 to 1, not {value}"), &format!("write {key} = 0.2 for 20 %"), span);
    }
}

pub(super) fn read_size(table: &mut Table<'_, '_>, key: &'static str) -> Option<u64> {
    let written = table.string(key)?;
    let size = parse_size(&written.value);
    if size.is_none() {
        let message = format!("{key} cannot be \"{}\": it is no number of bytes", written.value);
        report_range(table, &message, &format!("write {key} = \"64MiB\"; units are B, KB, MB, GB, KiB, MiB, GiB"), written.span);
    }
    size
}

pub(super) fn read_duration(table: &mut Table<'_, '_>, key: &'static str) -> Option<Duration> {
    let written = table.string(key)?;
    let duration = age(&written.value).and_then(|age| Duration::try_from(age).ok()).filter(|age| !age.is_zero());
    if duration.is_none() {
        let message = format!("{key} cannot be \"{}\": it is no length of time", written.value);
        report_range(table, &message, &format!("write {key} = \"10m\"; units are s, m, h, d"), written.span);
    }
    duration
}

/// Bytes of `64MiB`, `1.5 GB` or `4096`; none for zero and for what is no size.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    let bytes = number * unit as f64;
    (1.0..=(1u64 << 53) as f64).contains(&bytes).then_some(bytes as u64)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::project) fn read(text: &str) -> (Head, Problems) {
        let source = Arc::new(Source { path: "pacha.toml".into(), text: text.into() });
        let (mut head, mut problems) = (Head::default(), Problems::default());
        head.read(&source, &mut problems);
        (head, problems)
    }

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        assert_eq!(parse_size("64MiB"), Some(64 << 20));
        assert_eq!(parse_size("1.5 GB"), Some(1_500_000_000));
        assert_eq!(parse_size("4096"), Some(4096));
        for wrong in ["", "0", "64 quarts", "-1", "MiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let (head, problems) = read("");
        assert!(problems.0.is_empty(), "{problems}");
        assert_eq!(head.settings, Settings::default());
    }

    #[test]
    fn every_mistake_of_the_settings_is_reported_at_its_place() {
        let (_, problems) = read(
            "catalog = \"glu\"\nwarehouse = \"\"\n[output]\nfile_size = \"64 quarts\"\ncompression_level = 40\n[gates]\nfall_warn = 15\nquarantined_warn = 0.5\n",
        );
        let text = problems.to_string();
        assert_eq!(problems.0.len(), 6, "{text}");
        for part in [
            "PC101 pacha.toml:1:11: catalog cannot be \"glu\"; hint: did you mean glue?",
            "PC112 pacha.toml:2:13: warehouse is empty",
            "PC112 pacha.toml:4:13: file_size cannot be \"64 quarts\": it is no number of bytes; hint: write file_size = \"64MiB\"",
            "PC112 pacha.toml:5:21: compression_level is a zstd level from 1 to 22",
            "PC112 pacha.toml:7:13: fall_warn is a share from 0 to 1, not 15; hint: write fall_warn = 0.2 for 20 %",
            "quarantined_warn = 0.5 is above quarantined_halt = 0.4",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
    }

    #[test]
    fn an_override_may_be_toml_or_bare_text() {
        let (mut head, mut problems) = read("[output]\nraw = false\n");
        for (key, value) in
            [("catalog", "glue"), ("output.raw", "true"), ("output.file_size", "1000"), ("limits.memory", "\"1GiB\""), ("name", "26")]
        {
            head.set(key, value, &mut problems);
        }
        assert!(problems.0.is_empty(), "{problems}");
        assert_eq!((head.catalog, head.settings.output.raw, head.settings.output.file_size), (CatalogKind::Glue, true, 1000));
        assert_eq!((head.settings.limits.memory, head.name.as_deref()), (1 << 30, Some("26")));
    }

    #[test]
    fn a_wrong_override_points_at_the_command_line() {
        let mut problems = Problems::default();
        let mut head = Head::default();
        for (key, value) in [("output.file_size", "64 quarts"), ("output.fil_size", "1"), ("output.raw", "maybe"), ("a b", "1")] {
            head.set(key, value, &mut problems);
        }
        let text = problems.to_string();
        assert_eq!(problems.0.len(), 4, "{text}");
        for part in [
            "PC112 --set:1:18: file_size cannot be \"64 quarts\"",
            "PC101 --set:1:1: unknown key output.fil_size; hint: did you mean file_size?",
            "PC101 --set:1:12: output.raw wants true or false, not string",
            "PC101 --set:1:1: \"a b\" is no key of pacha.toml",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
        assert!(problems.0[0].render(false).contains("output.file_size=64 quarts"));
    }
}
