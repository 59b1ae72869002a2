//! A gate that halts holds back its own collection: what that means for the tables, seen from outside.

use std::path::Path;
use std::sync::Arc;

use arrow::util::display::array_value_to_string;
use engine::error::Kind;
use engine::job::prepare::Request;
use engine::job::record::{RunRecord, RunState};
use engine::job::{RunOptions, run};
use engine::project::Project;
use engine::query::{self, tables::Overlay};
use engine::session::session;
use schemas::problem::Source;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The project: collections `a` and `b`, which share files as small collections do, and `link` of which no two may be equal.
const TARGET: &str =
    "schema = \"small\"\nversion = 1\n[fields]\ntitle = { type = \"list<string>\" }\nlink = { type = \"string\", unique = \"warn\" }\n";
const MAPPING: &str = "FROM vernacular SELECT title, first_of(identifier) AS link";

/// A project in a folder of its own; every question opens it anew, as a command does.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(job: &str) -> Outcome<Self> {
        let project = Self { folder: tempfile::tempdir()? };
        project.write("pacha.toml", "[gates]\nfloor = 1\n")?;
        project.write("schemas/targets/small.toml", TARGET)?;
        project.write("mappings/small.sql", MAPPING)?;
        project.write("jobs/j.toml", &format!("target = \"small\"\nmapping = \"small\"\n{job}"))?;
        for id in ["a", "b"] {
            project.write(&format!("collections/{id}.toml"), &format!("source = \"oai_dc\"\npages = \"pages/{id}\"\n"))?;
        }
        project.pages("a", 1..=4)?;
        project.pages("b", 3..=5)?;
        Ok(project)
    }

    fn write(&self, name: &str, text: &str) -> Outcome<()> {
        let path = self.path().join(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        Ok(std::fs::write(path, text)?)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The page of a collection: one record a number, whose link is the number's.
    fn pages(&self, id: &str, records: std::ops::RangeInclusive<u32>) -> Outcome<()> {
        let record = |n: u32| {
            format!(
                "<record><header><identifier>{id}{n}</identifier></header><metadata><oai_dc:dc xmlns:oai_dc=\"http://www.openarchives.org/OAI/2.0/oai_dc/\" \
                 xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:title>T</dc:title><dc:identifier>http://x.example/{n}</dc:identifier></oai_dc:dc></metadata></record>"
            )
        };
        let records: String = records.map(record).collect();
        self.write(
            &format!("pages/{id}/1.xml"),
            &format!("<OAI-PMH xmlns=\"http://www.openarchives.org/OAI/2.0/\"><ListRecords>{records}</ListRecords></OAI-PMH>"),
        )
    }

    async fn run(&self, options: RunOptions) -> Outcome<(RunRecord, Option<engine::Error>)> {
        let session = session(&Arc::new(Project::load(self.path(), &[])?))?;
        let job = Arc::clone(session.project.job("j")?);
        Ok(Box::pin(run(&session, &job, &options, std::future::pending())).await?)
    }

    /// The rows of a query, each on a line.
    async fn ask(&self, sql: &str) -> Outcome<String> {
        let session = session(&Arc::new(Project::load(self.path(), &[])?))?;
        let source = Arc::new(Source { path: "query".into(), text: sql.into() });
        let statement = query::statements(&source)?.remove(0);
        let frame = query::plan(&session, &source, 0..sql.len(), statement, &Overlay::default(), &[].into()).await?;
        let mut lines = Vec::new();
        for batch in frame.collect().await? {
            for row in 0..batch.num_rows() {
                let cells: Result<Vec<String>, _> = batch.columns().iter().map(|column| array_value_to_string(column, row)).collect();
                lines.push(cells?.join(" "));
            }
        }
        Ok(lines.join("\n"))
    }

    /// How many Parquet files a table has on disk.
    fn files(&self, table: &str) -> usize {
        fn count(folder: &Path) -> usize {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
        }
        count(&self.path().join("warehouse/j").join(table))
    }
}

const MAPPED: &str = "SELECT collection_id, count(*), min(link), max(link) FROM j.mapped GROUP BY 1 ORDER BY 1";

#[tokio::test]
async fn one_collection_is_withheld_and_the_others_are_published() -> Outcome<()> {
    let project = Place::new("")?;
    let (first, error) = project.run(RunOptions::default()).await?;
    assert!(error.is_none() && first.withheld.is_empty(), "{error:?}");
    assert_eq!(project.ask(MAPPED).await?, "a 4 http://x.example/1 http://x.example/4\nb 3 http://x.example/3 http://x.example/5");

    // a falls from four records to one; b grows.
    project.pages("a", 3..=3)?;
    project.pages("b", 3..=7)?;
    let (second, error) = project.run(RunOptions::default()).await?;
    let error = error.ok_or("nothing was withheld")?;
    assert_eq!((error.kind, error.exit_code(), error.problems.0.len()), (Kind::Withheld, 3, 1));
    assert!(error.to_string().contains("pacha run j --collection a --accept \"reason\""), "{error}");
    assert_eq!((second.state, second.version), (RunState::Succeeded, Some(2)));
    assert_eq!(second.withheld.iter().collect::<Vec<_>>(), ["a"]);
    assert!(second.counts.add_up() && second.counts.total.input == 6, "{:?}", second.counts);
    assert_eq!(project.ask(MAPPED).await?, "a 4 http://x.example/1 http://x.example/4\nb 5 http://x.example/3 http://x.example/7");
    // Records that share a link: as the tables are now, not as they would be with the withheld ones.
    let shared = "SELECT record_id, value FROM j.findings WHERE code = 'PV321' AND collection_id = 'b' ORDER BY 1";
    assert_eq!(project.ask(shared).await?, "b3 http://x.example/3\nb4 http://x.example/4");
    assert_eq!(project.ask("SELECT collection_id, count(*) FROM j.vernacular_oai_dc GROUP BY 1 ORDER BY 1").await?, "a 4\nb 5");
    let files = project.files("mapped");

    // Unchanged, it is tried again, and nothing else is read; what was written for it is gone again.
    let (third, error) = project.run(RunOptions::default()).await?;
    assert_eq!((third.state, third.version, error.map(|error| error.exit_code())), (RunState::Failed, None, Some(3)));
    assert_eq!((third.counts.total.input, project.files("mapped")), (1, files));

    let request = Request { collections: vec!["a".into()], ..Request::default() };
    let (fourth, error) = project.run(RunOptions { request, accept: Some("known".into()), ..RunOptions::default() }).await?;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(fourth.version, Some(3));
    assert_eq!(project.ask(MAPPED).await?, "a 1 http://x.example/3 http://x.example/3\nb 5 http://x.example/3 http://x.example/7");
    let (fifth, error) = project.run(RunOptions::default()).await?;
    assert!(error.is_none() && fifth.unchanged, "{fifth:?}");
    Ok(())
}

#[tokio::test]
async fn a_collection_that_was_never_published_is_absent_until_it_passes() -> Outcome<()> {
    let project = Place::new("[[step]]\ntable = \"sums\"\nsql = \"SELECT collection_id, count(*) AS n FROM j.mapped GROUP BY 1\"\n")?;
    project.write("schemas/targets/small.toml", &TARGET.replace("type = \"string\",", "type = \"string\", required = \"error\","))?;
    // Links that the mapping does not find: all of b is quarantined.
    project.write("mappings/other.sql", "FROM vernacular SELECT title, first_of(relation) AS link")?;
    project.write("collections/b.toml", "source = \"oai_dc\"\npages = \"pages/b\"\nmapping = \"other\"\n")?;
    let (record, error) = project.run(RunOptions::default()).await?;
    assert_eq!((record.version, error.map(|error| error.exit_code())), (Some(1), Some(3)));
    assert_eq!(project.ask("SELECT * FROM j.sums").await?, "a 4");
    assert_eq!(project.ask("SELECT count(*) FROM j.quarantine").await?, "0");
    assert!(record.findings.iter().any(|group| group.code == "PV301" && group.count == 3), "{:?}", record.findings);
    project.write("mappings/other.sql", MAPPING)?;
    let (record, error) = project.run(RunOptions::default()).await?;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(record.version, Some(2));
    assert_eq!(project.ask("SELECT * FROM j.sums ORDER BY 1").await?, "a 4\nb 3");
    Ok(())
}

#[tokio::test]
async fn a_collection_whose_file_is_gone_stays_until_that_is_accepted() -> Outcome<()> {
    let project = Place::new("")?;
    project.run(RunOptions::default()).await?;
    std::fs::remove_file(project.path().join("collections/a.toml"))?;
    project.pages("b", 3..=4)?;
    let (record, error) = project.run(RunOptions::default()).await?;
    let error = error.ok_or("nothing was withheld")?.to_string();
    // b falls by a third as well: nothing is left to publish.
    assert_eq!((record.version, record.state), (None, RunState::Failed), "{error}");
    project.pages("b", 3..=6)?;
    let (record, error) = project.run(RunOptions::default()).await?;
    let error = error.ok_or("nothing was withheld")?.to_string();
    assert!(error.contains("pacha run j --accept \"reason\""), "{error}");
    assert_eq!((record.version, record.withheld.into_iter().collect()), (Some(2), vec!["a".to_owned()]));
    assert_eq!(project.ask("SELECT collection_id, count(*) FROM j.mapped GROUP BY 1 ORDER BY 1").await?, "a 4\nb 4");
    let (_, error) = project.run(RunOptions { accept: Some("sold".into()), ..RunOptions::default() }).await?;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(project.ask("SELECT collection_id, count(*) FROM j.mapped GROUP BY 1 ORDER BY 1").await?, "b 4");
    Ok(())
}

#[tokio::test]
async fn a_job_may_want_all_or_nothing() -> Outcome<()> {
    let project = Place::new("[gates]\nhold = \"run\"\n")?;
    project.run(RunOptions::default()).await?;
    project.pages("a", 3..=3)?;
    project.pages("b", 3..=7)?;
    let (record, error) = project.run(RunOptions::default()).await?;
    let error = error.ok_or("nothing was withheld")?.to_string();
    assert!(error.contains("Not published") && error.contains("pacha run j --accept \"reason\""), "{error}");
    assert_eq!((record.version, record.withheld.len()), (None, 2));
    assert_eq!(project.ask(MAPPED).await?, "a 4 http://x.example/1 http://x.example/4\nb 3 http://x.example/3 http://x.example/5");
    Ok(())
}

#[tokio::test]
async fn rows_of_another_form_do_not_stay_beside_new_ones() -> Outcome<()> {
    let project = Place::new("")?;
    project.run(RunOptions::default()).await?;
    project.pages("a", 3..=3)?;
    project.write("schemas/targets/small.toml", &format!("{TARGET}date = {{ type = \"list<string>\" }}\n"))?;
    let (record, error) = project.run(RunOptions::default()).await?;
    let error = error.ok_or("nothing was withheld")?;
    assert_eq!((error.kind, record.version, record.withheld.len()), (Kind::Withheld, None, 2));
    let codes: Vec<&str> = error.problems.0.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["PS530", "PG402"]);
    Ok(())
}
