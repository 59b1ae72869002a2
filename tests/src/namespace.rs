//! A network and disks that only one test sees: the test runs itself again in namespaces of its own, where it may cut cables
//! and fill disks, and where nothing that it leaves behind stays.
//!
//! Neither root nor a container is needed where the kernel lets a user make namespaces. Where it does not, the test is
//! skipped, and says so past the capture of its output; `PACHA_TESTS=all` makes it fail instead.

use std::io::Write;
use std::process::{Command, Stdio};

/// Set in the inner run.
const INSIDE: &str = "PACHA_TESTS_INSIDE";
/// Makes a test fail that would be skipped.
const WANTED: &str = "PACHA_TESTS";

/// Runs the test `name`, its full path in its binary, in namespaces of its own; in there it returns true, and the test goes on.
/// False: it has run, or cannot.
///
/// # Panics
/// The inner run failed; what it said is in the message.
pub fn inside(name: &str) -> bool {
    if std::env::var(INSIDE).is_ok_and(|test| test == name) {
        system("ip", &["link", "set", "lo", "up"]);
        return true;
    }
    let namespaces = ["--user", "--map-root-user", "--net", "--mount"];
    let unshare = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(namespaces).args(arguments).env(INSIDE, name).stdin(Stdio::null());
        command.output()
    };
    let tried = unshare(&["sh", "-c", "ip link set lo up && ip link add near type veth peer name far && mount -t tmpfs tmpfs /mnt"]);
    let refused = match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare cannot be started: {error}")),
    };
    if let Some(reason) = refused {
        skipped(name, &reason);
        return false;
    }
    let this = std::env::current_exe().expect("a test knows its own binary");
    let output = unshare(&[&this.to_string_lossy(), "--exact", name, "--nocapture"]).expect("unshare was there a moment ago");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}\n{}", text(&output.stderr), text(&output.stdout));
    assert!(said.contains("1 passed") && output.status.success(), "in namespaces of its own: {said}");
    false
}

/// Says that a test does not run here, where it cannot be overlooked.
///
/// # Panics
/// `PACHA_TESTS=all` is set.
pub fn skipped(name: &str, reason: &str) {
    assert!(std::env::var(WANTED).as_deref() != Ok("all"), "{name} cannot run here: {reason}");
    // Not by way of eprintln!, which is captured of a test that passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: this machine does not allow it: {reason}");
}

/// Runs a program of the system.
///
/// # Panics
/// It fails.
pub fn system(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| error.to_string());
    let failed = output.map(|output| (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()));
    assert_eq!(failed, Ok(None), "{program} {arguments:?}");
}

/// A disk of `bytes` at a folder, in memory, that is this test's alone.
pub fn small_disk(folder: &std::path::Path, bytes: usize) {
    std::fs::create_dir_all(folder).expect("a folder for a disk can be made");
    system("mount", &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs", &folder.to_string_lossy()]);
}

/// A second network of this machine, joined to ours by one cable, and in it whatever the cable's far end is given to.
#[derive(Debug)]
pub struct Cable {
    holder: std::process::Child,
}

/// Our end of a cable.
pub const NEAR: &str = "10.77.0.1";
/// Its other end.
pub const FAR: &str = "10.77.0.2";

impl Cable {
    /// Lays the cable. Only from [`inside`].
    pub fn lay() -> Self {
        // A process holds the other network open until its standard input ends. Its first line says that it is there.
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sh", "-c", "echo there; read _"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = holder.spawn().expect("unshare was there a moment ago");
        let mut there = [0; 6];
        let stdout = holder.stdout.as_mut().expect("it is piped");
        std::io::Read::read_exact(stdout, &mut there).expect("the other network is there");
        let cable = Self { holder };
        system("ip", &["link", "add", "near", "type", "veth", "peer", "name", "far", "netns", &cable.holder.id().to_string()]);
        system("ip", &["addr", "add", &format!("{NEAR}/24"), "dev", "near"]);
        system("ip", &["link", "set", "near", "up"]);
        cable.there(&["ip", "link", "set", "lo", "up"]);
        cable.there(&["ip", "addr", "add", &format!("{FAR}/24"), "dev", "far"]);
        cable.mend();
        cable
    }

    /// What has to stand before a command to run it at the far end.
    pub fn over(&self) -> Vec<String> {
        ["nsenter", "--target", &self.holder.id().to_string(), "--net"].map(str::to_owned).into()
    }

    /// Cuts the cable: packets are lost, and nobody is told.
    pub fn cut(&self) {
        self.there(&["ip", "link", "set", "far", "down"]);
    }

    /// Joins it again.
    pub fn mend(&self) {
        self.there(&["ip", "link", "set", "far", "up"]);
    }

    fn there(&self, command: &[&str]) {
        let over = self.over();
        let arguments: Vec<&str> = over[1..].iter().map(String::as_str).chain(command.iter().copied()).collect();
        system(&over[0], &arguments);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
