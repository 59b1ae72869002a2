//! `[cluster]` of `pacha.toml`: where executors are, how patient a run is with them, and how the processes know one another.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemas::document::Table;

use super::settings::{read_duration, read_size, read_text, report_range};
use crate::cluster::tls::TlsFiles;

/// How a run uses a cluster. Nothing of it changes what a run publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Certificates; paths are relative to the project.
    pub tls: TlsFiles,
    /// Times that a unit is submitted before the run fails.
    pub attempts: u32,
    /// Bytes of pages in one unit, which is what a lost executor costs.
    pub unit_bytes: u64,
    /// Units under way at a time.
    pub units: usize,
    /// Tasks that a unit is cut into; 0 is 16, or twice the tasks that the executors run at a
    /// time if that is more.
    pub partitions: usize,
    /// A unit none of whose tasks begins or ends for so long is given up and submitted again.
    pub no_progress: Duration,
    /// How long a unit may wait for the first executor.
    pub wait: Duration,
    /// A unit that takes longer than this is given up, and the run with it.
    pub timeout: Duration,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            tls: TlsFiles::default(),
            attempts: 3,
            unit_bytes: 2 << 30,
            units: 4,
            partitions: 0,
            no_progress: Duration::from_secs(600),
            wait: Duration::from_secs(300),
            timeout: Duration::from_secs(6 * 3600),
        }
    }
}

impl ClusterSettings {
    pub(super) fn apply(&mut self, table: &mut Table<'_, '_>) {
        for (key, kept) in [("ca", &mut self.tls.ca), ("cert", &mut self.tls.cert), ("key", &mut self.tls.key)] {
            if let Some(given) = read_text(table, key) {
                *kept = Some(PathBuf::from(given.value));
            }
        }
        if let Some(attempts) = table.integer("attempts") {
            match u32::try_from(attempts.value) {
                Ok(value @ 1..=10) => self.attempts = value,
                _ => report_range(table, "attempts is from 1 to 10", "write attempts = 3", attempts.span),
            }
        }
        if let Some(size) = read_size(table, "unit_bytes") {
            self.unit_bytes = size;
        }
        for (key, kept, least) in [("units", &mut self.units, 1), ("partitions", &mut self.partitions, 0)] {
            if let Some(given) = table.integer(key) {
                match usize::try_from(given.value) {
                    Ok(value) if (least..=4096).contains(&value) => *kept = value,
                    _ => report_range(table, &format!("{key} is from {least} to 4096"), &format!("write {key} = 4"), given.span),
                }
            }
        }
        for (key, kept) in [("no_progress", &mut self.no_progress), ("wait", &mut self.wait), ("timeout", &mut self.timeout)] {
            if let Some(given) = read_duration(table, key) {
                *kept = given;
            }
        }
    }

    /// The certificates' paths as seen from the project's folder.
    pub fn tls_files(&self, root: &Path) -> TlsFiles {
        let at = |path: &Option<PathBuf>| path.as_ref().map(|path| root.join(path));
        TlsFiles { ca: at(&self.tls.ca), cert: at(&self.tls.cert), key: at(&self.tls.key) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::read;
    use super::*;

    #[test]
    fn patience_and_size_of_units_are_read() {
        let (head, problems) = read(
            "[cluster]\nca = \"ca.pem\"\nattempts = 2\nunit_bytes = \"64MiB\"\nunits = 2\npartitions = 8\nno_progress = \"30s\"\nwait = \"1m\"\ntimeout = \"2h\"\n",
        );
        assert!(problems.0.is_empty(), "{problems}");
        let cluster = head.settings.cluster;
        assert_eq!(cluster.tls_files(Path::new("/p")).ca, Some(PathBuf::from("/p/ca.pem")));
        assert_eq!((cluster.attempts, cluster.unit_bytes, cluster.units, cluster.partitions), (2, 64 << 20, 2, 8));
        assert_eq!((cluster.no_progress.as_secs(), cluster.wait.as_secs(), cluster.timeout.as_secs()), (30, 60, 7200));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let (_, problems) = read("[cluster]\nattempts = 0\nunits = 0\nno_progress = \"soon\"\n");
        assert_eq!(problems.0.len(), 3, "{problems}");
    }
}
