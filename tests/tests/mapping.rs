//! What a mapping gives, seen in the published table.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::util::display::array_value_to_string;
use engine::job::{RunOptions, run};
use engine::project::Project;
use engine::query::{self, tables::Overlay};
use engine::session::{Session, session};
use schemas::problem::Source;

const PAGE: &str = r#"<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><ListRecords><record><header><identifier>r1</identifier></header>
<metadata><oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>mill</dc:title><dc:type>image</dc:type><dc:identifier>http://mills.example/1</dc:identifier></oai_dc:dc></metadata></record></ListRecords></OAI-PMH>"#;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn write(root: &Path, name: &str, text: &str) -> Outcome<()> {
    let path = root.join(name);
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    Ok(std::fs::write(path, text)?)
}

/// The optimizer once took the base view's columns for those of the mapping above it, as soon as a field was filled.
#[tokio::test]
async fn a_mapping_replaces_columns_where_the_collection_fills_another() -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let root = dir.path();
    write(root, "pacha.toml", "")?;
    write(root, "pages/1.xml", PAGE)?;
    write(root, "mappings/loud.sql", "FROM oai_dc SELECT * REPLACE (list('LOUD') AS title, first_of(identifier) AS is_shown_at)")?;
    write(
        root,
        "collections/c.toml",
        "pages = \"pages\"\nsource = \"oai_dc\"\nmapping = \"loud\"\n[fill]\nrights = \"free\"\n[overwrite]\ntype = [\"text\"]\n",
    )?;
    write(root, "jobs/j.toml", "target = \"ucldc\"\n")?;
    let session = session(&Arc::new(Project::load(root, &[])?))?;
    let job = Arc::clone(session.project.job("j")?);
    let (record, error) = Box::pin(run(&session, &job, &RunOptions::default(), std::future::pending())).await?;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(record.counts.total.mapped, 1);
    let shown = answer(&session, "SELECT title, is_shown_at, rights, type FROM j.mapped").await?;
    assert_eq!(shown, "[LOUD] http://mills.example/1 [free] [text]");
    Ok(())
}

/// The first row of a query, values separated by a space.
async fn answer(session: &Session, sql: &str) -> Outcome<String> {
    let source = Arc::new(Source { path: "query".into(), text: sql.into() });
    let statement = query::statements(&source)?.remove(0);
    let frame = query::plan(session, &source, 0..sql.len(), statement, &Overlay::default(), &BTreeMap::new()).await?;
    let batches = frame.collect().await?;
    let row: Result<Vec<String>, _> = batches[0].columns().iter().map(|column| array_value_to_string(column, 0)).collect();
    Ok(row?.join(" "))
}
