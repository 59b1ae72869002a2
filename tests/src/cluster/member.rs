//! One process of a cluster: what it says goes to a file. It never outlives its test, whose end of its standard input it reads.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::within;

/// A process and its log.
#[derive(Debug)]
pub struct Member {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Member {
    /// Starts a process. Its log is a new file of `folder`, also if an earlier process had the same name.
    pub(super) fn start(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = |turn: usize| folder.join(format!("{name} {turn}.log"));
        let turn = (1..).find(|&turn| !log(turn).exists()).expect("some number is free");
        let file = File::create(log(turn)).expect("a log can be written");
        let errors = file.try_clone().expect("a file can be open twice");
        let child = command.stdin(Stdio::piped()).stdout(file).stderr(errors).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}: {command:?}"));
        Self { name: name.into(), child, log: log(turn), ended: None }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port of `host` that it says it listens on.
    pub(super) fn port(&mut self, host: &str, patience: Duration) -> u16 {
        let named = within(patience, || {
            // What has ended will not say any more; but it may have said it before.
            let over = self.status().is_some();
            let said = self.said();
            let after = said.lines().find_map(|line| line.split_once(&format!("{host}:"))).map(|(_, after)| after);
            let digits: String = after.unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
            let port = digits.parse::<u16>().ok().filter(|port| *port > 0);
            (port.is_some() || over).then_some(port)
        });
        named.flatten().unwrap_or_else(|| panic!("{} does not say where it listens\n{}", self.name, self.said()))
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// The process is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap_or_else(|error| panic!("{} cannot be signalled: {error}", self.name));
    }

    /// Kills it without a word, and returns when it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.ended = self.child.wait().ok();
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits until it has ended by itself; its exit code, if no signal ended it.
    ///
    /// # Panics
    /// It goes on.
    pub fn ended(&mut self, patience: Duration) -> Option<i32> {
        let ended = within(patience, || self.status());
        ended.unwrap_or_else(|| panic!("{} does not end\n{}", self.name, self.said())).code()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}
