//! Which process a run belongs to, and whether it still lives.
//!
//! A process that was killed leaves its run's record as RUNNING for ever. A process id alone does not tell: ids are used again,
//! and after a reboot soon. So the start time of the process and the boot are kept with it where the system tells them.
//! Nor does the name of a host: two machines, or containers of one, may have the same, and see other processes. Whoever is
//! taken for dead loses its files, so nobody is who could still live where it cannot be seen.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A process of some host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Name of the host.
    pub host: String,
    /// Where its id means something: a machine, or a container of one. None where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Process id there.
    pub pid: u32,
    /// Boot and start time, in the words of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
}

impl Process {
    /// This process.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self { host: host(), place: place(), pid, started: started(pid) }
    }

    /// Whether it is known to be gone. A process of another place is given the benefit of the doubt.
    pub fn dead(&self) -> bool {
        if self.host != host() || self.place.is_none() || self.place != place() {
            return false;
        }
        match (&self.started, started(self.pid)) {
            (Some(then), Some(now)) => *then != now,
            _ => !exists(self.pid),
        }
    }
}

fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}

/// The machine, for processes that see all of it; else boot and namespace, which a container has once. The number of a machine
/// is not for others to know, and this is written where they may read it: so it is hashed.
#[cfg(target_os = "linux")]
fn place() -> Option<String> {
    /// Namespace of the processes that the kernel begins with (`PROC_PID_INIT_INO`).
    const WHOLE: &str = "pid:[4026531836]";
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned();
    let machine = std::fs::read_to_string("/etc/machine-id").ok().filter(|id| namespace == WHOLE && !id.trim().is_empty());
    let known = match machine {
        Some(id) => id.trim().to_owned(),
        None => format!("{} {namespace}", std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim()),
    };
    Some(hashed(&known))
}

/// This boot of this machine, where the system tells it.
#[cfg(not(target_os = "linux"))]
fn place() -> Option<String> {
    let asked = std::process::Command::new("/usr/sbin/sysctl").args(["-n", "kern.bootsessionuuid"]).output().ok()?;
    let boot = String::from_utf8(asked.stdout).ok().filter(|boot| asked.status.success() && !boot.trim().is_empty())?;
    Some(hashed(boot.trim()))
}

fn hashed(text: &str) -> String {
    use std::fmt::Write;

    let digest = Sha256::digest(format!("pachamama place {text}"));
    digest.iter().take(8).fold(String::with_capacity(16), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// `<boot>:<clock ticks from boot to the start of the process>`; `None` if there is no such process, or no `/proc`.
fn started(pid: u32) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 22 of proc(5); the second field, the name in parentheses, may hold spaces and parentheses.
    let ticks = status.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(format!("{}:{ticks}", boot.trim()))
}

#[cfg(target_os = "linux")]
fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(all(unix, not(target_os = "linux")))]
fn exists(pid: u32) -> bool {
    let asked = std::process::Command::new("ps").args(["-p", &pid.to_string()]).output();
    asked.map_or(true, |answer| answer.status.success())
}

#[cfg(not(unix))]
fn exists(_pid: u32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_that_ended_does_not() {
        let current = Process::current();
        assert!(!current.dead());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = Process { pid: child.id(), started: None, ..current.clone() };
        child.wait().unwrap();
        assert_eq!(ended.dead(), current.place.is_some());
        // The same name and number elsewhere is another process.
        assert!(!Process { host: "elsewhere".into(), ..ended.clone() }.dead());
        for place in [None, Some("another".to_owned())] {
            assert!(!Process { place, ..ended.clone() }.dead());
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_id_that_is_used_again_is_not_mistaken_for_the_old_one() {
        let current = Process::current();
        assert!(Process { started: Some("another-boot:17".into()), ..current }.dead());
    }
}
