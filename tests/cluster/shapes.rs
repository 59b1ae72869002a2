//! Queries that nobody thought of: made at random of what SQL steps are made of, and answered here and there. Rows are
//! compared as a set with repetitions; a query that is refused must be refused by both.
//!
//! A seed says it all. `PACHA_TESTS_QUERIES=2000` asks more of them than a usual run.

use std::sync::Arc;

use engine::cluster::Cluster;
use engine::project::ClusterSettings;
use pacha_tests::backend::Place;
use pacha_tests::cluster::Setup;
use pacha_tests::slt;

use crate::PACHA;

/// Queries of a usual run.
const QUERIES: u64 = 60;
/// Operations over one another.
const DEPTH: u32 = 4;

/// Each table gives a text, another that groups, and a number, so that anything can stand above anything.
const TABLES: [&str; 5] = [
    "SELECT record_id AS k, collection_id AS g, CAST(length(record_id) AS BIGINT) AS n FROM harbour.mapped",
    "SELECT record_id AS k, collection_id AS g, CAST(page_seq AS BIGINT) AS n FROM harbour.vernacular_oai_dc",
    "SELECT title[1] AS k, record_id AS g, CAST(page_seq AS BIGINT) AS n FROM collection.oai_dc",
    "SELECT port AS k, 'oai_dc' AS g, CAST(boats AS BIGINT) AS n FROM 'files/ports.parquet'",
    "SELECT k, g, CAST(n AS BIGINT) AS n FROM (VALUES ('oai:harbour:1', 'oai_dc', 1), ('x', NULL, 2), (NULL, 'oai_qdc', 13)) AS t(k, g, n)",
];

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides as u64) as usize
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }

    fn query(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.one_of(&TABLES).to_owned();
        }
        let below = depth - 1;
        match self.roll(10) {
            0 => format!("SELECT k, g, n FROM ({}) ORDER BY k, g, n OFFSET {}", self.query(below), self.roll(3)),
            1 => {
                let (of, condition) = (self.query(below), self.condition(below));
                format!("SELECT a.k, a.g, a.n FROM ({of}) AS a WHERE {condition}")
            }
            2 => {
                let of = self.query(below);
                let group = self.one_of(&["GROUP BY g", "GROUP BY g HAVING count(*) > 1"]);
                format!("SELECT max(k) AS k, g, count(DISTINCT n) AS n FROM ({of}) {group}")
            }
            3 => format!("SELECT max(k) AS k, min(g) AS g, sum(n) AS n FROM ({})", self.query(below)),
            4 => format!("SELECT DISTINCT k, g, n FROM ({})", self.query(below)),
            5 => {
                let (one, other) = (self.query(below), self.query(below));
                let set = self.one_of(&["UNION ALL", "UNION", "EXCEPT", "INTERSECT"]);
                format!("SELECT k, g, n FROM ({one}) {set} SELECT k, g, n FROM ({other})")
            }
            6 | 7 => {
                let (one, other) = (self.side(below), self.side(below));
                let join = self.one_of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
                let on =
                    self.one_of(&["a.k = b.k", "a.g = b.g", "a.n < b.n", "a.k = b.k AND a.n <> b.n", "a.g = b.g AND a.k < b.k", "true"]);
                let rows = self.one_of(&["a.k, b.g, coalesce(a.n, 0) - coalesce(b.n, 0) AS n", "b.k, b.g, b.n", "a.k, a.g, a.n"]);
                format!("SELECT {rows} FROM ({one}) AS a {join} ({other}) AS b ON {on}")
            }
            8 => {
                let of = self.query(below);
                let window = self.one_of(&[
                    "row_number() OVER (PARTITION BY g ORDER BY k, n)",
                    "row_number() OVER (ORDER BY k, g, n)",
                    "sum(n) OVER (PARTITION BY g)",
                    "count(*) OVER ()",
                ]);
                format!("SELECT k, g, CAST({window} AS BIGINT) AS n FROM ({of})")
            }
            _ => self.few(below),
        }
    }

    /// The first rows in an order in which only equal ones can change places.
    fn few(&mut self, depth: u32) -> String {
        format!("SELECT k, g, n FROM ({}) ORDER BY k, g, n LIMIT {}", self.query(depth), 1 + self.roll(12))
    }

    /// What may be joined: of few rows, or some joins over one another would have millions, but of many tasks.
    fn side(&mut self, depth: u32) -> String {
        match self.roll(6) {
            0 => self.one_of(&TABLES).to_owned(),
            // Of unknown size; in an order, which is not that of its file.
            1 => format!("SELECT md5(k) AS k, g, unnest([n]) AS n FROM ({})", self.one_of(&TABLES)),
            2 => {
                let number = "row_number() OVER (PARTITION BY md5(k), g ORDER BY n)";
                format!("SELECT md5(k) AS k, g, CAST({number} AS BIGINT) AS n FROM ({})", self.one_of(&TABLES))
            }
            3 => format!("SELECT max(k) AS k, g, sum(n) AS n FROM ({}) GROUP BY g, n % 7", self.few(depth)),
            _ => self.few(depth),
        }
    }

    fn condition(&mut self, depth: u32) -> String {
        let other = self.few(depth);
        match self.roll(9) {
            0 => "a.n > 3".to_owned(),
            1 => "a.k LIKE '%1'".to_owned(),
            2 => format!("a.k IN (SELECT k FROM ({other}) AS o)"),
            3 => format!("a.k NOT IN (SELECT k FROM ({other}) AS o)"),
            4 => format!("EXISTS (SELECT 1 FROM ({other}) AS o WHERE o.g = a.g)"),
            5 => format!("NOT EXISTS (SELECT 1 FROM ({other}) AS o WHERE o.k = a.k)"),
            6 => format!("a.k NOT IN (SELECT k FROM ({other}) AS o WHERE o.g = a.g)"),
            7 => format!("(a.n > 3 OR a.k NOT IN (SELECT k FROM ({other}) AS o))"),
            _ => format!("a.n >= (SELECT avg(o.n) FROM ({other}) AS o)"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_made_at_random_are_answered_there_as_here() {
    let cluster = Setup::new(PACHA).patient().executors(3, 2).start();
    let fixture = slt::published().await.unwrap();
    let project = &fixture.session.project;
    let settings = ClusterSettings { attempts: 1, ..project.settings.cluster.clone() };
    let client = Cluster::connect(&cluster.address(), &settings, &project.root).await.unwrap();
    let (here, client) = (Place::here(&fixture.session), Arc::new(client));
    let places = [1, 5, 16].map(|tasks| Place::there(&client, project, tasks).unwrap());
    let queries = std::env::var("PACHA_TESTS_QUERIES").ok().and_then(|number| number.parse().ok()).unwrap_or(QUERIES);
    let (mut with_rows, mut refused, mut wrong) = (0, 0, Vec::new());
    for seed in 0..queries {
        let sql = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).query(DEPTH);
        let sql = sql.replace("'files/", &format!("'{}/files/", fixture.path().display()));
        let there = &places[seed as usize % places.len()];
        let (one, other) = (here.rows(&sql), there.rows(&sql));
        match (&one, &other) {
            (Ok(one), Ok(other)) if one == other => with_rows += usize::from(!one.is_empty()),
            (Err(_), Err(_)) => refused += 1,
            _ => wrong.push(format!("seed {seed}: {sql}\nhere  {one:?}\nthere {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {queries} queries differ\n\n{}", wrong.len(), wrong.join("\n\n"));
    eprintln!("{queries} queries: {with_rows} gave rows, {refused} were refused by both");
    assert!(with_rows as u64 > queries / 2 && (refused as u64) < queries / 10, "{with_rows} {refused}");
}
