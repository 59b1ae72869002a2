//! URL or path → an object store and a place in it; the one list of schemes this build can read and write.
//!
//! `object_store` is the abstraction of storage, so there is no trait of ours: a [`Location`] is a store, a path in it, and
//! what the user typed. Clients are cached, because a client per call would mean a connection pool and a credential look-up
//! per call; and [`Storage`] is DataFusion's registry too, so that a plan reads through the very stores that we write
//! through. What an object store does not promise on a local disk, surviving a power cut, is in [`durable`]; what is read is
//! what was listed before ([`pinned`]).
//!
//! Remote clients share their limit of requests and the count of them ([`traffic`]); what their answers mean to the user
//! is in `problem` and `refusal`.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::{Path as ObjectPath, PathPart};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use schemas::problem::Problem;
use url::{Position, Url};

use crate::aws::Aws;
use crate::error::{Error, Result};
use crate::project::S3Settings;

mod cloud;
pub mod durable;
mod http;
pub mod pinned;
mod problem;
mod refusal;
mod s3;
pub mod traffic;
pub mod trial;

use http::Connector;
pub use problem::{free_space, page_problem, page_reason, read_problem, storage_problem};
use traffic::TrafficCounts;

/// The stores of a process, by scheme and authority.
#[derive(Debug)]
pub struct Storage {
    stores: RwLock<HashMap<String, Arc<dyn ObjectStore>>>,
    aws: Arc<Aws>,
    s3: S3Settings,
    connector: Connector,
}

impl Default for Storage {
    fn default() -> Self {
        Self::with(Arc::default(), S3Settings::default())
    }
}

impl Storage {
    /// No store yet, and nothing set; each is made when a URL first asks for it.
    pub fn new() -> Self {
        Self::default()
    }

    /// No store yet. Buckets of S3 are opened as this identity, with these settings.
    pub fn with(aws: Arc<Aws>, s3: S3Settings) -> Self {
        let connector = Connector::new(s3.requests);
        Self { stores: RwLock::default(), aws, s3, connector }
    }

    /// What was asked of remote stores so far.
    pub fn traffic(&self) -> TrafficCounts {
        self.connector.traffic.counts()
    }

    /// The place that a URL or a path names. A path is relative to `base`; `~/` is the home directory.
    ///
    /// # Errors
    /// The text is no URL or path, or its scheme is not built in. Nothing is read: the place need not exist.
    pub fn resolve(&self, url_or_path: &str, base: &Path) -> Result<Location> {
        Location::parse(url_or_path, base, |url| self.store(url))
    }

    /// The store of a URL's scheme and authority: the registered or cached one, else a new one.
    fn store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let key = key(url);
        if let Some(store) = self.stores.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(store));
        }
        let store: Arc<dyn ObjectStore> = match url.scheme() {
            "file" => Arc::new(LocalFileSystem::new()),
            "memory" => Arc::new(InMemory::new()),
            "s3" | "s3a" => Arc::new(s3::Bucket::new(bucket(url)?, &self.aws, &self.s3, &self.connector)),
            "gs" => cloud::google(url, &self.connector).map_err(|error| not_set_up(url, &error))?,
            "az" | "abfs" | "abfss" => cloud::azure(url, &self.connector).map_err(|error| not_set_up(url, &error))?,
            scheme => return Err(not_built_in(scheme, url).into()),
        };
        let mut stores = self.stores.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(stores.entry(key).or_insert(store)))
    }
}

impl ObjectStoreRegistry for Storage {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.stores.write().unwrap_or_else(PoisonError::into_inner).insert(key(url), store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, DataFusionError> {
        let removed = self.stores.write().unwrap_or_else(PoisonError::into_inner).remove(&key(url));
        removed.ok_or_else(|| Error::from(Problem::error("PS502", format!("no store is open for {url}"))).into())
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, DataFusionError> {
        Ok(self.store(url)?)
    }
}

/// A place in a store: a directory or an object. Prints as the user typed it.
#[derive(Debug, Clone)]
pub struct Location {
    /// The client.
    pub store: Arc<dyn ObjectStore>,
    /// Where in the store.
    pub prefix: ObjectPath,
    /// The same as a URL.
    pub url: Url,
    shown: String,
}

impl Location {
    /// The place that a URL or a path names, in the store that `open` gives for it.
    ///
    /// # Errors
    /// As for [`Storage::resolve`], or those of `open`.
    pub fn parse<E: From<Error>>(
        url_or_path: &str,
        base: &Path,
        open: impl FnOnce(&Url) -> Result<Arc<dyn ObjectStore>, E>,
    ) -> Result<Self, E> {
        let (url, prefix, shown) = parse(url_or_path, base)?;
        Ok(Self { store: open(&url)?, prefix, url, shown })
    }

    /// A place below this one. `relative` may have several parts; `.` and `..` have no meaning in a store and are taken as names.
    #[must_use]
    pub fn join(&self, relative: &str) -> Self {
        let parts = relative.split('/').filter(|part| !part.is_empty());
        let parts: Vec<PathPart<'_>> = parts.map(|part| PathPart::parse(part).unwrap_or_else(|_| PathPart::from(part))).collect();
        let prefix = self.prefix.parts().chain(parts.iter().cloned()).collect();
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&parts);
        }
        let below = parts.iter().fold(self.shown.trim_end_matches('/').to_owned(), |shown, part| shown + "/" + part.as_ref());
        Self { store: Arc::clone(&self.store), prefix, url, shown: below }
    }

    /// The same place seen through another client, such as one that retries or, in tests, one that fails.
    #[must_use]
    pub fn through(&self, store: Arc<dyn ObjectStore>) -> Self {
        Self { store, ..self.clone() }
    }

    /// The path on disk, if this is one.
    pub fn local_path(&self) -> Option<PathBuf> {
        (self.url.scheme() == "file").then(|| self.url.to_file_path().ok()).flatten()
    }

    /// Whether every look there is a request over the network.
    pub fn remote(&self) -> bool {
        remote(&self.url)
    }

    /// The whole path or URL, for a message.
    pub fn full(&self) -> String {
        match self.local_path() {
            Some(path) => path.display().to_string(),
            None => self.url.to_string(),
        }
    }

    /// How DataFusion asks the registry for this store.
    pub fn store_url(&self) -> ObjectStoreUrl {
        ObjectStoreUrl::parse(&self.url[..Position::BeforePath]).unwrap_or_else(|_| ObjectStoreUrl::local_filesystem())
    }

    /// The object here, or `None` if there is none.
    ///
    /// # Errors
    /// It is there, perhaps, and cannot be read.
    pub async fn read(&self) -> Result<Option<Bytes>> {
        let answer = match self.store.get(&self.prefix).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if self.is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    /// Whether an error says that there is nothing here. That there is no such bucket says more than that.
    pub fn is_missing(&self, error: &object_store::Error) -> bool {
        matches!(error, object_store::Error::NotFound { .. }) && !(self.remote() && refusal::of_the_bucket(error))
    }

    /// Writes the object here, over an older one if need be. Readers see the old or the new one, never a part.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn write(&self, bytes: impl Into<PutPayload> + Send) -> Result<()> {
        self.store.put(&self.prefix, bytes.into()).await.map_err(|error| self.failed("write", &error))?;
        Ok(())
    }

    /// What a store's answer means to the user: what, where, what to do.
    pub fn failed(&self, doing: &str, error: &object_store::Error) -> Error {
        Error::failed(storage_problem(doing, self, error))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Whether a store answers over a network.
pub fn remote(url: &Url) -> bool {
    !matches!(url.scheme(), "file" | "memory")
}

/// URL, path in the store, and what to show.
fn parse(url_or_path: &str, base: &Path) -> Result<(Url, ObjectPath, String)> {
    let typed = url_or_path.trim();
    if typed.is_empty() {
        return Err(Problem::error("PS511", "an empty text is no place").hint("write a directory or a URL").into());
    }
    if let Some(meant) = misspelt(typed) {
        let problem = Problem::error("PS511", format!("{typed:?} is no URL, and hardly a path"));
        return Err(problem.hint(format!("write {meant}, or ./{typed} if a folder is meant")).into());
    }
    let url = if typed.contains("://") {
        Url::parse(typed).map_err(|error| not_a_place(typed, &error.to_string()))?
    } else {
        let path = absolute(typed, base).map_err(|error| not_a_place(typed, &error.to_string()))?;
        Url::from_file_path(&path).map_err(|()| not_a_place(typed, "it is not a path of this system"))?
    };
    if url.scheme() == "file" && url.to_file_path().is_err() {
        return Err(not_a_place(typed, "a file URL has three slashes, as in file:///data/warehouse").into());
    }
    let prefix = ObjectPath::from_url_path(url.path()).map_err(|error| not_a_place(typed, &error.to_string()))?;
    let shown = if typed.ends_with("//") { typed } else { typed.trim_end_matches('/') };
    Ok((url, prefix, if shown.is_empty() { "/".into() } else { shown.into() }))
}

/// What is meant where `s3//bucket` or `s3:/bucket` is typed: as a path it would make a folder called `s3`.
fn misspelt(typed: &str) -> Option<String> {
    ["s3", "s3a", "gs", "az", "abfs", "abfss", "memory"].into_iter().find_map(|scheme| {
        let rest = typed.strip_prefix(scheme)?;
        let wrong = !rest.starts_with("://") && (rest.starts_with("//") || rest.starts_with(":/"));
        wrong.then(|| format!("{scheme}://{}", rest.trim_start_matches([':', '/'])))
    })
}

/// The bucket that an S3 URL names.
fn bucket(url: &Url) -> Result<&str> {
    if !url.username().is_empty() || url.password().is_some() {
        let place = format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
        let problem = Problem::error("PS511", format!("the URL of {place} holds credentials, and URLs are shown and stored"));
        return Err(problem.hint(format!("write {place}; credentials come from the environment or ~/.aws")).into());
    }
    match url.host_str().filter(|name| !name.is_empty()) {
        Some(name) => Ok(name),
        None => Err(not_a_place(url.as_str(), "it names no bucket").into()),
    }
}

/// Scheme and authority, without credentials. Where the authority's first part is a container it stays.
fn key(url: &Url) -> String {
    let host = &url[Position::BeforeHost..Position::AfterPort];
    match url.scheme() {
        "s3a" => format!("s3://{host}"),
        scheme @ ("abfs" | "abfss") => format!("{scheme}://{}@{host}", url.username()),
        scheme => format!("{scheme}://{host}"),
    }
}

/// Absolute, with `..` resolved on the text: the place need not exist yet, so the disk cannot be asked.
fn absolute(typed: &str, base: &Path) -> std::io::Result<PathBuf> {
    let path = match (typed.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => base.join(typed),
    };
    let mut clean = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            std::path::Component::ParentDir => _ = clean.pop(),
            other => clean.push(other),
        }
    }
    Ok(clean)
}

fn not_a_place(typed: &str, why: &str) -> Problem {
    Problem::error("PS511", format!("{typed:?} is neither a path nor a URL: {why}")).hint("write a directory such as ./warehouse, or a URL")
}

fn not_built_in(scheme: &str, url: &Url) -> Problem {
    let place = format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path());
    let known = "file://, s3://, gs://, az://, abfss:// and memory://";
    let problem = Problem::error("PS510", format!("cannot use {place}: this build reads and writes {known} only"));
    problem.hint(match scheme {
        "http" | "https" => "download it and name the file".to_owned(),
        _ => format!("use a directory or a bucket; {scheme}:// is not known, is it a spelling mistake?"),
    })
}

fn not_set_up(url: &Url, error: &object_store::Error) -> Error {
    let (variables, why) = match url.scheme() {
        "gs" => ("GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS", problem::innermost(error)),
        _ => ("AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or a client's", problem::innermost(error)),
    };
    let place = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
    Problem::error("PS501", format!("cannot open {place}: {why}")).hint(format!("set {variables}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Location> {
        Storage::new().resolve(text, Path::new("/projects/calisphere"))
    }

    #[test]
    fn a_path_is_relative_to_the_project_and_prints_as_typed() {
        let location = resolve("../warehouse/").unwrap();
        assert_eq!(location.to_string(), "../warehouse");
        assert_eq!(location.full(), "/projects/warehouse");
        assert_eq!(location.prefix.as_ref(), "projects/warehouse");
        let file = location.join("calisphere/mapped");
        assert_eq!(file.to_string(), "../warehouse/calisphere/mapped");
        assert_eq!(file.full(), "/projects/warehouse/calisphere/mapped");
        assert_eq!(file.url.as_str(), "file:///projects/warehouse/calisphere/mapped");
        assert_eq!(file.store_url().as_str(), "file:///");
    }

    #[test]
    fn a_name_with_spaces_marks_and_umlauts_is_the_same_on_disk_and_in_the_url() {
        let location = resolve("my wärehouse #1, 100%").unwrap().join("a b");
        assert_eq!(location.full(), "/projects/calisphere/my wärehouse #1, 100%/a b");
        assert_eq!(location.prefix.as_ref(), "projects/calisphere/my wärehouse #1, 100%/a b");
        assert_eq!(ObjectPath::from_url_path(location.url.path()).unwrap(), location.prefix);
    }

    #[test]
    fn two_names_of_one_store_share_one_client() {
        let storage = Storage::new();
        let one = storage.resolve("memory://warehouse/a", Path::new("/")).unwrap();
        let two = storage.resolve("memory://warehouse/b", Path::new("/")).unwrap();
        let other = storage.resolve("memory://elsewhere/a", Path::new("/")).unwrap();
        assert!(Arc::ptr_eq(&one.store, &two.store));
        assert!(!Arc::ptr_eq(&one.store, &other.store));
        assert!(Arc::ptr_eq(&one.store, &storage.get_store(&one.url).unwrap()));
        assert_eq!(one.store_url().as_str(), "memory://warehouse/");
    }

    #[test]
    fn a_scheme_that_is_not_built_in_says_so_without_the_credentials() {
        let error = resolve("ftp://key:secret@server/x").unwrap_err().to_string();
        assert!(error.starts_with("PS510 cannot use ftp://server/x: this build reads and writes file://, s3://,"), "{error}");
        assert!(!error.contains("secret"));
        assert!(resolve("sf3://bucket").unwrap_err().to_string().contains("spelling mistake"));
    }

    #[test]
    fn a_bucket_is_opened_without_asking_anybody_and_a_url_with_keys_is_refused() {
        let location = resolve("s3://raw/26001/").unwrap();
        assert_eq!((location.to_string().as_str(), location.prefix.as_ref()), ("s3://raw/26001", "26001"));
        assert!(location.remote() && location.local_path().is_none());
        let storage = Storage::new();
        let (one, other) =
            (storage.resolve("s3://raw/a", Path::new("/")).unwrap(), storage.resolve("s3a://raw/b", Path::new("/")).unwrap());
        assert!(Arc::ptr_eq(&one.store, &other.store), "two spellings of one bucket");
        let error = resolve("s3://key:secret@bucket/x").unwrap_err().to_string();
        assert!(error.starts_with("PS511 the URL of s3://bucket/x holds credentials") && !error.contains("secret"), "{error}");
        assert!(resolve("s3:///x").unwrap_err().to_string().starts_with("PS511"));
        let (one, other) = ("abfss://a@account.dfs.core.windows.net/x", "abfss://b@account.dfs.core.windows.net/x");
        assert_ne!(key(&Url::parse(one).unwrap()), key(&Url::parse(other).unwrap()));
    }

    #[test]
    fn buckets_of_google_and_azure_are_opened_and_a_container_without_an_account_says_what_is_missing() {
        assert_eq!(resolve("gs://raw/26001").unwrap().prefix.as_ref(), "26001");
        assert_eq!(resolve("abfss://raw@account.dfs.core.windows.net/26001").unwrap().prefix.as_ref(), "26001");
        if std::env::var_os("AZURE_STORAGE_ACCOUNT_NAME").is_none() {
            let error = resolve("az://raw/26001").unwrap_err().to_string();
            assert!(error.starts_with("PS501 cannot open az://raw: ") && error.contains("hint: set AZURE_STORAGE_ACCOUNT_NAME"), "{error}");
        }
    }

    #[test]
    fn what_is_no_place_is_a_mistake_of_the_project() {
        for text in ["", "file://warehouse/x", "s3://[x", "s3//lake/w", "s3:/lake/w", "memory//x"] {
            let error = resolve(text).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().starts_with("PS511"), "{text}: {error}");
        }
    }
}
