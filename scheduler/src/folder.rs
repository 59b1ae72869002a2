//! Where a process keeps what nobody needs after it: a folder of its own, gone when it is.
//!
//! A process that is killed cannot tidy up. So each holds a lock beside its folder, which goes with the process whatever
//! ends it, and the next one removes the folders whose locks nobody holds.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use engine::{Error, Result};
use schemas::problem::Problem;

const PREFIX: &str = "pacha-work-";
const LOCK: &str = "lock";

/// A folder that is removed with the value.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: PathBuf,
    /// Held for as long as the folder is in use.
    _held: File,
}

impl Folder {
    /// A new folder below `root`, which is made if need be, after what dead processes left there is removed.
    ///
    /// # Errors
    /// `PK714`: it cannot be made, or its name is not text.
    pub(crate) fn new(root: &Path) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| unusable(root, error);
        make(root).map_err(|error| failed(&error))?;
        sweep(root);
        let name = format!("{PREFIX}{}", uuid::Uuid::now_v7().simple());
        let (path, lock) = (root.join(&name), root.join(format!("{name}.{LOCK}")));
        if path.to_str().is_none() {
            return Err(failed(&"its name is not UTF-8"));
        }
        // It gets its name only when it is locked: a lock that nobody holds is never to be seen while its process lives.
        let early = root.join(format!(".{name}.{LOCK}"));
        let held = hold(&early).map_err(|error| failed(&error))?;
        fs::rename(&early, &lock).map_err(|error| failed(&error))?;
        make(&path).map_err(|error| failed(&error))?;
        Ok(Self { path, lock, _held: held })
    }

    /// Its path, which is UTF-8.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it.
    ///
    /// # Errors
    /// As for [`Folder::new`].
    pub(crate) fn below(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        make(&path).map_err(|error| unusable(&path, &error))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A task that still runs may be writing; what it leaves goes with the next process.
        let _ = fs::remove_dir_all(&self.path);
        if !self.path.exists() {
            let _ = fs::remove_file(&self.lock);
        }
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    let problem = Problem::error("PK714", format!("{} cannot keep what processes exchange: {error}", path.display()));
    let hint = "name a folder on a disk with room, which may be written: --work-dir of pacha executor, elsewhere TMPDIR in the environment";
    Error::configuration(problem.hint(hint))
}

/// Rows of others are nobody's business: the folder is the user's alone.
fn make(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path)
}

fn hold(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::Error(error) => error,
        TryLockError::WouldBlock => io::Error::from(io::ErrorKind::WouldBlock),
    })?;
    Ok(file)
}

/// Removes what processes left that are dead. Whatever cannot be removed stays.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let lock = entry.path();
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) && lock.extension().is_some_and(|e| e == LOCK);
        if !ours || hold(&lock).is_err() {
            continue;
        }
        let path = lock.with_extension("");
        if fs::remove_dir_all(&path).is_ok() || !path.exists() {
            tracing::debug!("removed {}, of a process that died", path.display());
            let _ = fs::remove_file(&lock);
        }
    }
}

/// Bytes of the files below a path.
pub(crate) fn size(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_process_and_one_of_a_dead_process_with_the_next() {
        let root = tempfile::tempdir().unwrap();
        let first = Folder::new(root.path()).unwrap();
        fs::create_dir(first.path.join("job")).unwrap();
        fs::write(first.path.join("job/rows"), "12345").unwrap();
        assert_eq!(size(first.path()), 5);
        let dead = root.path().join("pacha-work-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(root.path().join("pacha-work-dead.lock"), "").unwrap();
        let others = root.path().join("somebody-elses");
        fs::create_dir(&others).unwrap();
        let second = Folder::new(root.path()).unwrap();
        assert!(!dead.exists() && others.exists() && first.path.exists());
        drop((first, second));
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["somebody-elses"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Folder::new(&file.join("below")).unwrap_err().to_string();
        assert!(error.contains("PK714") && error.contains("--work-dir") && error.contains("TMPDIR"), "{error}");
    }
}
