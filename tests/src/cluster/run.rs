//! A command that uses a cluster while its test goes on, and what it says in the end.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use super::{until, within};
use crate::s3::fault::PATIENCE;
use crate::s3::{Gate, SECRET_KEY};

/// What processes of tests are to say beside what they always say, as `RUST_LOG`; for whoever looks for a fault.
const LOG: &str = "PACHA_TESTS_LOG";

/// Nothing of the tester's own environment that changes what a command does or says.
pub fn without_settings(command: &mut Command) {
    let settings = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("AWS_") || name.starts_with("PACHA_"));
    settings.chain(["RUST_LOG".to_owned(), "RUST_BACKTRACE".to_owned()]).for_each(|name| {
        command.env_remove(name);
    });
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    if let Ok(filter) = std::env::var(LOG) {
        command.env("RUST_LOG", filter);
    }
}

/// What a command printed, and how it ended.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its exit code, if no signal ended it.
    pub code: Option<i32>,
    /// What it gives.
    pub stdout: String,
    /// What it tells.
    pub stderr: String,
}

/// A command under way. What it says goes to files, so that it never waits for its test.
#[derive(Debug)]
pub struct Run {
    child: Child,
    stdout: File,
    stderr: File,
}

impl Run {
    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        let file = || tempfile::tempfile().expect("a temporary file can be made");
        let (stdout, stderr) = (file(), file());
        let other = |file: &File| file.try_clone().expect("a file can be open twice");
        let child = command.stdout(other(&stdout)).stderr(other(&stderr)).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        Self { child, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// It has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap_or_else(|error| panic!("the run cannot be signalled: {error}"));
    }

    /// Kills it without a word.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it has ended.
    pub fn over(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until a request is held at each of the gates.
    ///
    /// # Panics
    /// The run ends before; what it said is in the message.
    pub fn reaches(&mut self, gates: &[&Gate]) {
        until("the run comes to the gate", || {
            let there = gates.iter().all(|gate| gate.waiting() > 0);
            let status = if there { None } else { self.child.try_wait().ok().flatten() };
            assert!(status.is_none(), "the run was over before: {}", self.said(status));
            there.then_some(())
        });
    }

    /// What it says in the end.
    ///
    /// # Panics
    /// It goes on for too long: then it is killed, and what it has said by then is in the message.
    pub fn ended(mut self) -> Said {
        let status = within(PATIENCE, || self.child.try_wait().ok().flatten());
        assert!(status.is_some(), "the run goes on, and is killed: {}", self.said(None));
        self.said(status)
    }

    fn said(&mut self, status: Option<ExitStatus>) -> Said {
        let text = |file: &mut File| {
            let mut bytes = Vec::new();
            let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
            read.expect("what was written can be read");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let code = status.and_then(|status| status.code());
        let said = Said { code, stdout: text(&mut self.stdout), stderr: text(&mut self.stderr) };
        assert!(!said.stdout.contains(SECRET_KEY) && !said.stderr.contains(SECRET_KEY), "a secret is shown: {said}");
        said
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Said {
    /// It went well; this is the JSON that it printed.
    ///
    /// # Panics
    /// It failed, or printed something else.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON: {error}: {self}"))
    }

    /// It failed, said all of this, and what to do.
    ///
    /// # Panics
    /// It did not.
    pub fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        for part in parts {
            assert!(self.stderr.contains(part), "it does not say {part:?}: {self}");
        }
        assert!(self.stderr.contains("hint: "), "it does not say what to do: {self}");
        for foreign in ["DataFusion", "Ballista", "Status {", "tonic", "External(", "Shared(", "<pacha:", "panicked"] {
            assert!(!self.stderr.contains(foreign), "the text of others came through, {foreign:?}: {self}");
        }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\n--- stderr\n{}\n--- stdout\n{}", self.code, self.stderr, self.stdout)
    }
}

/// A shell, as somebody would have it open: what is typed there ends when it is closed.
#[derive(Debug)]
pub struct Terminal(Child);

impl Terminal {
    /// Types a line in a new shell.
    pub fn open(line: &str, mut shell: Command) -> Self {
        use std::os::unix::process::CommandExt;
        let child = shell.args(["-c", line]).process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{shell:?} cannot be started: {error}")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}
