//! What an object store's error means to the user: what failed, where in full, what to do.
//!
//! The store's own text ("Generic LocalFileSystem error: Unable to rename file…") names its internals, not the remedy, so
//! it is looked through for the operating system's answer, and that one is put into words. What remote stores answer is in
//! [`super::refusal`].

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use schemas::problem::Problem;

use super::{Location, refusal};

/// The problem for an error while `doing` ("read", "write", "list", "delete") something at `location`.
pub fn storage_problem(doing: &str, location: &Location, error: &object_store::Error) -> Problem {
    use object_store::Error as Store;
    let place = location.full();
    if location.remote()
        && let Some(reason) = refusal::reason(doing, &place, error)
    {
        return Problem::error(reason.code, format!("cannot {doing} {place}: {}", reason.why)).hint(reason.hint);
    }
    let io = io_error(error);
    match (error, io.map(io::Error::kind)) {
        (Store::NotFound { .. }, _) | (_, Some(io::ErrorKind::NotFound)) => not_found(doing, &place),
        (Store::Unauthenticated { .. }, _) => {
            Problem::error("PS501", format!("cannot {doing} {place}: the store does not accept the credentials, or found none"))
                .hint("log in again, then run `pacha doctor`")
        }
        (Store::PermissionDenied { .. }, _) | (_, Some(io::ErrorKind::PermissionDenied)) => {
            Problem::error("PS503", format!("cannot {doing} {place}: permission denied")).hint(permission_hint(doing))
        }
        (_, Some(io::ErrorKind::ReadOnlyFilesystem)) => {
            Problem::error("PS503", format!("cannot {doing} {place}: the disk is mounted read-only")).hint(permission_hint(doing))
        }
        (_, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) => full(doing, location, &place),
        (Store::AlreadyExists { .. } | Store::Precondition { .. }, _) => {
            Problem::error("PS505", format!("cannot {doing} {place}: it exists already")).hint("run again; another run wrote it meanwhile")
        }
        (_, Some(io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)) => {
            let message = format!("cannot {doing} {place}: a file stands where a directory is needed, or the reverse");
            Problem::error("PS506", message).hint("move it away, or choose another place with --set warehouse=DIR")
        }
        (Store::NotSupported { .. } | Store::NotImplemented { .. }, _) if location.remote() => {
            let message = format!(
                "cannot {doing} {place}: this store has no conditional writes (If-None-Match), so two runs could publish one version"
            );
            Problem::error("PS507", message).hint("put the warehouse on a store that has them, such as Amazon S3, MinIO or a local disk")
        }
        (Store::NotSupported { .. } | Store::NotImplemented { .. }, _) => {
            let message = format!("cannot {doing} {place}: this disk has no atomic \"create only if absent\" (hard links)");
            Problem::error("PS507", message)
                .hint("put the warehouse on another disk with --set warehouse=DIR; exFAT and some mounts lack it")
        }
        _ => Problem::error("PS500", format!("cannot {doing} {place}: {}", plain(error, io)))
            .hint("run again; if it stays so, `pacha doctor` looks at disk, rights and network"),
    }
}

/// The problem for a page that cannot be read. `page` is as shown: its whole URL, where it is in a remote store.
pub fn page_problem(page: &str, collection: &str, error: &object_store::Error) -> Problem {
    let (why, hint) = page_reason(page, error);
    let of = if collection.is_empty() { String::new() } else { format!(" of collection {collection}") };
    Problem::error("PX104", format!("page {page}{of} cannot be read: {why}")).hint(hint)
}

/// Why a page cannot be read, and what to do.
pub fn page_reason(page: &str, error: &object_store::Error) -> (String, String) {
    if let Some(reason) = refusal::reason("read", page, error) {
        return (reason.why, reason.hint);
    }
    let why = match (error, io_error(error)) {
        (object_store::Error::NotFound { .. }, _) => "there is no such file".to_owned(),
        (object_store::Error::Precondition { .. }, _) => "it has changed since the run began".to_owned(),
        (_, io) => plain(error, io),
    };
    (why, "it was there when the run began: fetch it again, then run again".to_owned())
}

/// The problem for an error of a remote store that is known by its text alone, as when a query read a file; `None` if
/// the store is none that answers in a form known here.
pub fn read_problem(error: &object_store::Error) -> Option<Problem> {
    let place = refusal::place(error);
    let reason = refusal::reason("read", &place, error)?;
    Some(Problem::error(reason.code, format!("cannot read {place}: {}", reason.why)).hint(reason.hint))
}

/// Bytes that this user may still write where `path` is or will be; `None` if the system does not say.
pub fn free_space(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|ancestor| ancestor.exists())?;
    let answer = rustix::fs::statvfs(existing).ok()?;
    Some(answer.f_bavail.saturating_mul(answer.f_frsize))
}

/// The operating system's error at the bottom of a store's error.
pub(super) fn io_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<io::Error>() {
            return Some(found);
        }
        next = current.source();
    }
    None
}

fn not_found(doing: &str, place: &str) -> Problem {
    Problem::error("PS502", format!("cannot {doing} {place}: there is no such file"))
        .hint("check the path; it may have been moved or removed")
}

fn permission_hint(doing: &str) -> &'static str {
    match doing {
        "read" | "list" => "give this user the right to read it",
        _ => "give this user the right to write there, or choose another place with --set warehouse=DIR",
    }
}

fn full(doing: &str, location: &Location, place: &str) -> Problem {
    let free = location.local_path().and_then(|path| free_space(&path));
    let left = free.map_or_else(String::new, |bytes| format!(" ({} free)", size(bytes)));
    Problem::error("PS504", format!("cannot {doing} {place}: the disk is full{left}"))
        .hint("make room, or choose another place with --set warehouse=DIR, and run again; nothing was published")
}

/// `1.5 GB`, in the decimal units of disk makers.
fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

/// The innermost text, without the numbers that only a programmer reads.
fn plain(error: &object_store::Error, io: Option<&io::Error>) -> String {
    if let Some(io) = io {
        let text = io.to_string();
        return text.split(" (os error").next().unwrap_or(&text).to_lowercase();
    }
    innermost(error)
}

/// The text at the bottom of a store's error.
pub(super) fn innermost(error: &object_store::Error) -> String {
    let text = crate::error::innermost(error).to_string();
    text.strip_prefix("Generic ").unwrap_or(&text).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::Storage;
    use super::*;

    fn problem(doing: &str, kind: io::ErrorKind) -> String {
        let location = Storage::new().resolve("wh/db", Path::new("/nowhere")).unwrap();
        let error = object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(io::Error::from(kind)) };
        storage_problem(doing, &location, &error).to_string()
    }

    #[test]
    fn each_answer_of_the_system_has_its_code_and_its_remedy() {
        use io::ErrorKind as Kind;
        let cases = [
            (Kind::NotFound, "PS502"),
            (Kind::PermissionDenied, "PS503"),
            (Kind::ReadOnlyFilesystem, "PS503"),
            (Kind::StorageFull, "PS504"),
            (Kind::QuotaExceeded, "PS504"),
            (Kind::NotADirectory, "PS506"),
            (Kind::TimedOut, "PS500"),
        ];
        for (kind, code) in cases {
            let text = problem("write", kind);
            assert!(text.starts_with(&format!("{code} cannot write /nowhere/wh/db: ")), "{text}");
            assert!(text.contains("; hint: ") && !text.contains("LocalFileSystem") && !text.contains("Generic"), "{text}");
        }
        assert!(problem("write", io::ErrorKind::StorageFull).contains(" free)"));
    }

    #[tokio::test]
    async fn a_missing_file_a_file_in_the_way_and_a_forbidden_one_read_differently() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "x").unwrap();
        let base = Storage::new().resolve("wh", directory.path()).unwrap();
        assert_eq!(base.join("missing").read().await.unwrap(), None);
        let in_the_way = Storage::new().resolve("file", directory.path()).unwrap().join("below");
        let error = in_the_way.write(bytes::Bytes::from_static(b"x")).await.unwrap_err().to_string();
        assert!(error.starts_with("PS506 cannot write "), "{error}");
    }

    #[test]
    fn free_space_is_known_for_a_place_that_does_not_exist_yet() {
        assert!(free_space(Path::new("/not/yet/there")).unwrap() > 0);
        assert_eq!(size(1_530_000_000), "1.5 GB");
        assert_eq!(size(12), "12 bytes");
    }
}
