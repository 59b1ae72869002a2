//! A project whose pages and warehouse are in buckets, runs of it here and on a cluster, and what must hold of what they
//! published.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use pacha_tests::cluster::{Cluster, Run, Said, Setup, run};
use pacha_tests::s3::{Request, Server, access_key};
use serde_json::Value;

use crate::PACHA;

/// Pages of the project, of one size, so that each is a task of its own.
pub(crate) const PAGES: usize = 6;
/// Records of a page: all are mapped but one, which has no title.
const RECORDS: usize = 5;
/// Records that are mapped, and that are withheld.
pub(crate) const MAPPED: u64 = (PAGES * (RECORDS - 1)) as u64;
pub(crate) const WITHHELD: u64 = PAGES as u64;

/// The bucket of the warehouse.
pub(crate) const LAKE: &str = "lake";

/// A job that maps every page, and one whose step joins two tables; each also as a twin that is run without a cluster, and
/// publishes what the other should.
const JOBS: [(&str, &str); 4] = [
    ("nightly", "target = \"ucldc\"\nmapping = \"plain\"\ndatabase = \"alder\"\n"),
    ("nightly_twin", "target = \"ucldc\"\nmapping = \"plain\"\ndatabase = \"alder_twin\"\n"),
    ("report", "database = \"shelf\"\n"),
    ("report_twin", "database = \"shelf_twin\"\n"),
];

/// The step: a join of two tables, then groups.
const STEP: &str = r"
[[step]]
table = 'titles'
sql = '''
SELECT v.record_id, v.collection_id, count(*) AS rows, count(DISTINCT m.title[1]) AS titles, max(m.description[1]) AS description
FROM alder.vernacular_oai_dc AS v LEFT JOIN alder.mapped AS m ON m.record_id = v.record_id
GROUP BY v.record_id, v.collection_id
'''
";

/// Tables of the job that maps.
const TABLES: [&str; 4] = ["mapped", "quarantine", "findings", "vernacular_oai_dc"];

/// The project, its buckets, and what its commands find in their environment.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) place: tempfile::TempDir,
    warehouse: String,
}

impl World {
    /// Nothing was run yet.
    pub(crate) fn new() -> Self {
        Self::on(Server::start(), 40)
    }

    /// The same with a server of its own kind, and so many characters in the description of each record.
    pub(crate) fn on(server: Server, description: usize) -> Self {
        let place = tempfile::tempdir().unwrap();
        server.buckets.make(LAKE);
        let world = Self { server, place, warehouse: format!("s3://{LAKE}/warehouse") };
        world.write("mappings/plain.sql", include_str!("../errors/base/mappings/plain.sql"));
        world.write("lookups/types.csv", include_str!("../errors/base/lookups/types.csv"));
        for (collection, pages) in [("letters", 0..PAGES / 2), ("maps", PAGES / 2..PAGES)] {
            world.write(&format!("collections/{collection}.toml"), &format!("source = \"oai_dc\"\npages = \"s3://raw/{collection}\"\n"));
            for number in pages {
                world.server.buckets.put("raw", &format!("{collection}/page-{number}.xml"), page(collection, number, description));
            }
        }
        for (name, text) in JOBS {
            let step = if name.starts_with("report") { STEP } else { "" };
            world.write(&format!("jobs/{name}.toml"), &format!("{text}{step}"));
        }
        world.settings("");
        world
    }

    /// A project whose tables are published, in as many files as a cluster would have written.
    pub(crate) fn published() -> Self {
        Self::new().publish()
    }

    /// Publishes them.
    pub(crate) fn publish(self) -> Self {
        self.pacha(&["run", "nightly", "--set", &format!("limits.threads={PAGES}"), "--format", "json"]).json();
        self
    }

    /// The project's settings, and more lines of `[cluster]`.
    pub(crate) fn settings(&self, cluster: &str) {
        let text = format!("name = \"alder\"\nwarehouse = \"{}\"\n\n[cluster]\npartitions = {PAGES}\n{cluster}", self.warehouse);
        self.write("pacha.toml", &text);
    }

    /// Two executors of one task at a time.
    pub(crate) fn cluster(&self) -> Cluster {
        self.setup().start()
    }

    pub(crate) fn setup(&self) -> Setup {
        Setup::new(PACHA).store(&self.server)
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.place.path().to_owned()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.place.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PACHA);
        run::without_settings(&mut command);
        command.args(arguments).current_dir(self.place.path()).envs(self.server.environment());
        command
    }

    /// A command, to its end.
    pub(crate) fn pacha(&self, arguments: &[&str]) -> Said {
        Run::start(self.command(arguments)).ended()
    }

    /// A run of a job on a cluster, under way.
    pub(crate) fn start(&self, job: &str, cluster: &Cluster) -> Run {
        Run::start(self.command(&["run", job, "--cluster", &cluster.address(), "--format", "json"]))
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.pacha(&[arguments, &["--format", "json"]].concat()).json()
    }

    /// The rows of a query, in whatever order.
    pub(crate) fn rows(&self, sql: &str) -> Vec<String> {
        let said = self.pacha(&["sql", sql, "--format", "ndjson"]);
        assert_eq!(said.code, Some(0), "{said}");
        let mut rows: Vec<String> = said.stdout.lines().map(str::to_owned).collect();
        rows.sort_unstable();
        rows
    }

    pub(crate) fn version(&self, database: &str) -> u64 {
        self.json(&["commits", database])[0]["version"].as_u64().unwrap()
    }

    /// The newest run's record.
    pub(crate) fn last_run(&self) -> Value {
        self.json(&["runs", "--limit", "1"])[0].clone()
    }

    /// Nothing was ever published in the database.
    pub(crate) fn unpublished(&self, database: &str) {
        let keys = self.server.buckets.keys(LAKE, &format!("warehouse/{database}/"));
        let beside: Vec<&String> = keys.iter().filter(|key| !key.contains("/_runs/")).collect();
        assert!(beside.is_empty(), "nothing should be left: {beside:?}");
    }

    /// The job that maps has published what it publishes without a cluster, and nothing lies beside it.
    pub(crate) fn is_mapped(&self, said: &Said) -> Value {
        let record = said.json();
        assert_eq!(record["state"], "SUCCEEDED", "{said}");
        let twin = self.json(&["run", "nightly_twin", "--force"]);
        assert_eq!(record["counts"], twin["counts"]);
        assert_eq!((record["counts"]["mapped"].as_u64(), record["counts"]["quarantined"].as_u64()), (Some(MAPPED), Some(WITHHELD)));
        self.same("alder", &TABLES);
        let ids = "SELECT count(*) - count(DISTINCT record_id) AS double FROM alder.mapped";
        assert_eq!(self.rows(ids), [r#"{"double":0}"#]);
        self.is_clean();
        record
    }

    /// The same of the job that joins.
    pub(crate) fn is_joined(&self, said: &Said) -> Value {
        let record = said.json();
        assert_eq!(record["state"], "SUCCEEDED", "{said}");
        self.json(&["run", "report_twin", "--force"]);
        self.same("shelf", &["titles"]);
        assert_eq!(self.rows("SELECT sum(rows) AS rows FROM shelf.titles"), [format!(r#"{{"rows":{}}}"#, PAGES * RECORDS)]);
        self.is_clean();
        record
    }

    pub(crate) fn same(&self, database: &str, tables: &[&str]) {
        for table in tables {
            let there = self.rows(&format!("SELECT * FROM {database}.{table}"));
            let here = self.rows(&format!("SELECT * FROM {database}_twin.{table}"));
            assert!(!there.is_empty(), "{table} has no rows");
            assert_eq!(there, here, "{table} of {database} is not what it is without a cluster");
        }
    }

    /// No file lies in the warehouse that no version names, and no upload is open.
    pub(crate) fn is_clean(&self) {
        assert_eq!(self.strays(), BTreeSet::new());
        assert_eq!(self.server.buckets.uploads(), Vec::<String>::new());
    }

    /// Keys of data files that no version names.
    pub(crate) fn strays(&self) -> BTreeSet<String> {
        let keys = self.server.buckets.keys(LAKE, "warehouse/");
        let log = keys.iter().filter(|key| key.contains("/_commits/"));
        let named: String = log.map(|key| String::from_utf8(self.server.buckets.get(LAKE, key).unwrap().to_vec()).unwrap()).collect();
        let data = keys.iter().filter(|key| key.contains("/data/"));
        data.filter(|key| !named.contains(key.rsplit('/').next().unwrap())).cloned().collect()
    }
}

/// It took more than one attempt, and the record says why of each.
pub(crate) fn took_more(record: &Value) -> Vec<String> {
    let used = &record["cluster"];
    let again: Vec<String> = used["again"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    assert!(!again.is_empty(), "it should not have been the first attempt: {used:#}");
    let (jobs, units) = (used["jobs"].as_u64().unwrap(), used["units"].as_u64().unwrap());
    assert!(jobs <= units + again.len() as u64 && jobs >= units, "{used:#}");
    assert!(again.iter().all(|text| text.contains(": ")), "{again:?}");
    again
}

/// It took one attempt, though something happened on the way.
pub(crate) fn took_one(record: &Value) {
    let used = &record["cluster"];
    assert_eq!((used["again"].as_array().map(Vec::len), used["jobs"].as_u64()), (Some(0), used["units"].as_u64()), "{used:#}");
}

/// A page of as many bytes as any other.
fn page(collection: &str, number: usize, description: usize) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<OAI-PMH xmlns=\"http://www.openarchives.org/OAI/2.0/\">\n<ListRecords>\n",
    );
    let name = format!("{collection:_<8}");
    for record in 0..RECORDS {
        let id = format!("{name}/{number}{record}");
        let title = if record == 0 { String::new() } else { format!("<dc:title>Sheet {number}{record}</dc:title>") };
        let words = letters(description, (number * RECORDS + record) as u64);
        let _ = writeln!(
            text,
            "<record><header><identifier>oai:{id}</identifier><datestamp>2026-03-01</datestamp></header><metadata>\
             <oai_dc:dc xmlns:oai_dc=\"http://www.openarchives.org/OAI/2.0/oai_dc/\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">{title}\
             <dc:type>Maps</dc:type><dc:subject>Rivers; Roads</dc:subject><dc:rights>public domain</dc:rights>\
             <dc:description>{words}</dc:description><dc:identifier>https://alder.example/{id}</dc:identifier>\
             </oai_dc:dc></metadata></record>"
        );
    }
    text + "</ListRecords>\n</OAI-PMH>\n"
}

/// Letters that no compression makes much smaller.
fn letters(count: usize, seed: u64) -> String {
    let mut random = seed.wrapping_add(0x5eed);
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + ((random >> 33) % 26) as u8)
    };
    (0..count).map(|_| next()).collect()
}

/// Executor `by` reads a page.
pub(crate) fn page_read(by: usize) -> impl Fn(&Request) -> bool + Clone {
    move |request| {
        request.method == "GET" && request.path.starts_with("/raw/") && request.path.ends_with(".xml") && request.signed_by(&access_key(by))
    }
}

/// Executor `by` writes a file of a table.
pub(crate) fn data_put(by: usize, table: &'static str) -> impl Fn(&Request) -> bool + Clone {
    move |request| request.method == "PUT" && request.path.contains(&format!("/{table}/data/")) && request.signed_by(&access_key(by))
}

/// Executor `by` reads a file of a table.
pub(crate) fn data_read(by: usize, table: &'static str) -> impl Fn(&Request) -> bool + Clone {
    move |request| request.method == "GET" && request.path.contains(&format!("/{table}/data/")) && request.signed_by(&access_key(by))
}
