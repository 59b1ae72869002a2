//! Pins the pages of a collection: lists its locations once, in order, before anything is planned.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use schemas::problem::Problem;

use crate::error::{Error, Result};
use crate::project::{Collection, FreeValue, Harvest, Project, code};
use crate::scan::{PinnedCollection, PinnedPage};
use crate::session::Session;
use crate::storage::Location;

/// Collections listed at the same time: enough to hide a store's latency, few enough for its limits.
const CONCURRENT: usize = 16;

/// Pins all pages of all `collections`, in their order.
///
/// # Errors
/// A location that cannot be listed.
pub async fn pin_all(session: &Session, collections: &[Arc<Collection>]) -> Result<Vec<PinnedCollection>> {
    let pins = collections.iter().map(|collection| pin(session, Arc::clone(collection)));
    futures::stream::iter(pins).buffered(CONCURRENT).try_collect().await
}

/// Pins the pages of one collection.
///
/// # Errors
/// A location that cannot be listed.
pub async fn pin(session: &Session, collection: Arc<Collection>) -> Result<PinnedCollection> {
    let mut pages = Vec::new();
    for written in &collection.pages {
        let mut found = list(session, &written.value).await?;
        if collection.harvest == Harvest::Latest {
            keep_latest(&mut found);
        }
        pages.extend(found.into_iter().map(|(location, meta)| page(&session.project, &location, meta, &collection)));
    }
    let mut values = vec![
        ("id".to_owned(), text(&collection.id)),
        ("title".to_owned(), text(&collection.title)),
        ("institution".to_owned(), ScalarValue::Utf8(collection.institution.clone())),
        ("source_url".to_owned(), ScalarValue::Utf8(collection.source_url.clone())),
    ];
    values.extend(collection.values.iter().map(|(name, value)| (name.clone(), scalar(value))));
    let given =
        |all: &[crate::project::Given]| all.iter().map(|given| (given.field.value.clone(), given.value.clone())).collect::<Vec<_>>();
    // Always lists: what a field takes, one value or many, is known only where the target is.
    let typed = |all: Vec<(String, FreeValue)>| all.into_iter().map(|(name, value)| (name, list_of_text(value.values()))).collect();
    Ok(PinnedCollection {
        id: collection.id.clone(),
        pages,
        values,
        fill: typed(given(&collection.fill)),
        overwrite: typed(given(&collection.overwrite)),
    })
}

/// The store that holds a collection's pages. One scan reads one store, so it is an error if they are in several.
///
/// # Errors
/// The scheme of a location is not built in, or one is in another store than the first.
pub fn store_of(session: &Session, collection: &Collection) -> Result<ObjectStoreUrl> {
    let store = |written: &str| place(session, fixed(written)).map(|place| place.store_url());
    let Some(first) = collection.pages.first() else { return store("") };
    let of_all = store(&first.value)?;
    for page in &collection.pages[1..] {
        if store(&page.value)? != of_all {
            let message = format!("{} and {} are in different stores", first.value, page.value);
            let problem = Problem::error(code::RANGE, message).at(&collection.file, page.span.clone());
            return Err(problem.hint("the pages of a collection are in one bucket, or on the disk: make two collections of it").into());
        }
    }
    Ok(of_all)
}

/// The folders of a location that come before its first wildcard; all of it if it has none.
fn fixed(written: &str) -> &str {
    written.find(['*', '?', '[']).map_or(written, |wild| &written[..written[..wild].rfind('/').map_or(0, |slash| slash + 1)])
}

fn place(session: &Session, fixed: &str) -> Result<Location> {
    session.storage.resolve(if fixed.is_empty() { "." } else { fixed }, &session.project.root)
}

/// Pages at a path, directory, pattern or URL, in order of their names. Names that begin with `.` or `_` are not pages.
///
/// # Errors
/// The location cannot be listed.
pub async fn list(session: &Session, written: &str) -> Result<Vec<(Location, ObjectMeta)>> {
    let fixed = fixed(written);
    let place = place(session, fixed)?;
    let pattern = pattern(written, fixed, &place)?;
    // One request where it can be: a name without an extension is taken for a directory, and asked for as one first.
    let directory = place.remote() && !place.prefix.filename().is_some_and(|name| name.contains('.'));
    if pattern.is_none()
        && !directory
        && let Ok(meta) = place.store.head(&place.prefix).await
    {
        return Ok(vec![(place, meta)]);
    }
    let listed: Result<Vec<ObjectMeta>, _> = place.store.list(Some(&place.prefix)).try_collect().await;
    let mut found = match listed {
        Ok(found) => found,
        Err(error) if place.is_missing(&error) => Vec::new(),
        Err(error) => return Err(place.failed("list", &error)),
    };
    if pattern.is_none()
        && directory
        && found.is_empty()
        && let Ok(meta) = place.store.head(&place.prefix).await
    {
        return Ok(vec![(place, meta)]);
    }
    if let Some(root) = place.local_path() {
        let links = tokio::task::spawn_blocking(move || broken_links(&root)).await.unwrap_or_default();
        let wanted =
            |link: &&PathBuf| pattern.as_ref().is_none_or(|pattern| pattern.matches(link.to_string_lossy().trim_start_matches('/')));
        if let Some(link) = links.iter().find(wanted) {
            let to = std::fs::read_link(link).unwrap_or_default();
            let problem =
                Problem::error("PS502", format!("cannot read {}: it is a link to {}, and nothing is there", link.display(), to.display()));
            return Err(Error::failed(problem.hint("put the page there, or remove the link; without it records would be missing unseen")));
        }
    }
    found.retain(|meta| {
        let below = meta.location.prefix_match(&place.prefix).map(|parts| parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>());
        let hidden = below.iter().flatten().any(|part| part.starts_with(['.', '_']));
        !hidden && pattern.as_ref().is_none_or(|pattern| pattern.matches(meta.location.as_ref()))
    });
    found.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(found.into_iter().map(|meta| (place.clone(), meta)).collect())
}

/// Links below a directory that lead nowhere. The store passes them over, and a page would be lost in silence.
fn broken_links(path: &Path) -> Vec<PathBuf> {
    if path.is_symlink() && !path.exists() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with(['.', '_'])) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(broken_links(&entry.path())),
            Ok(kind) if kind.is_symlink() && !entry.path().exists() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

fn pattern(written: &str, fixed: &str, place: &Location) -> Result<Option<glob::Pattern>> {
    if written == fixed {
        return Ok(None);
    }
    let prefix =
        if place.prefix.as_ref().is_empty() { String::new() } else { format!("{}/", glob::Pattern::escape(place.prefix.as_ref())) };
    let pattern = glob::Pattern::new(&format!("{prefix}{}", &written[fixed.len()..]));
    let wrong = |error: glob::PatternError| {
        Error::from(
            Problem::error("PC112", format!("\"{written}\" is not a pattern: {error}")).hint("use * for any name, ** for any directories"),
        )
    };
    pattern.map(Some).map_err(wrong)
}

/// Keeps the pages of the last harvest: the subdirectory whose name sorts last.
fn keep_latest(found: &mut Vec<(Location, ObjectMeta)>) {
    let harvest = |(place, meta): &(Location, ObjectMeta)| {
        let parts: Vec<String> = meta.location.prefix_match(&place.prefix)?.map(|part| part.as_ref().to_owned()).collect();
        (parts.len() > 1).then(|| parts[0].clone())
    };
    if let Some(last) = found.iter().filter_map(harvest).max() {
        found.retain(|page| harvest(page).as_deref() == Some(&last));
    }
}

fn page(project: &Project, place: &Location, meta: ObjectMeta, collection: &Collection) -> PinnedPage {
    let harvested_at = meta.location.parts().filter_map(|part| crate::format::envelope::seconds(part.as_ref())).next_back();
    let shown = shown(project, place, &meta);
    PinnedPage { meta, path: shown, source_url: collection.source_url.clone(), harvested_at }
}

/// The page's path as a user would type it: relative to the project where it lies inside it.
pub(crate) fn shown(project: &Project, place: &Location, meta: &ObjectMeta) -> String {
    if place.url.scheme() != "file" {
        let base = &place.url[..url::Position::BeforePath];
        return format!("{base}/{}", meta.location);
    }
    let full = format!("/{}", meta.location);
    let root = std::path::absolute(&project.root).unwrap_or_else(|_| project.root.clone());
    match Path::new(&full).strip_prefix(&root) {
        Ok(inside) => inside.display().to_string(),
        Err(_) => full,
    }
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(value.to_owned()))
}

fn scalar(value: &FreeValue) -> ScalarValue {
    match value {
        FreeValue::Text(value) => text(value),
        FreeValue::List(values) => list_of_text(values),
    }
}

fn list_of_text(values: &[String]) -> ScalarValue {
    let values: Vec<ScalarValue> = values.iter().map(|value| text(value)).collect();
    ScalarValue::List(ScalarValue::new_list(&values, &DataType::Utf8, true))
}
