//! A session at the terminal: commands typed in a folder of its own, and all that they print.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;
use tempfile::TempDir;

/// What differs from run to run or from machine to machine, and what stands in its place.
static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let masks = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "[RUN]"),
        (r"(STARTING|SUCCEEDED|FAILED|STOPPED) in \d+\.\d s", "$1 in [TIME]"),
        (r"\b20[2-9]\d-\d\d-\d\d \d\d:\d\d:\d\d( +)\d+\.\d\b", "[INSTANT]$1[S]"),
        (r"\b20[2-9]\d-\d\d-\d\d \d\d:\d\d:\d\d", "[INSTANT]"),
        (r"ready in \d+ ms", "ready in [TIME]"),
        (r"\d+\.\d+ GB free", "[N] GB free"),
        (r"cores( +)\d+", "cores$1[N]"),
        (r"beyond [\d,]+ MB", "beyond [N] MB"),
        (r"DataFusion \d+\.\d+\.\d+", "DataFusion [VERSION]"),
        (r"pacha( +)\d+\.\d+\.\d+", "pacha$1[VERSION]"),
        // Which partitions get a page at all depends on the cores and on chance, and each writes a file.
        (r"(?m)^([a-z_]+ +[\d,]+) +\d+ +\d+\.\d$", "$1 [FILES] [MB]"),
        (r"(?m)^([a-z_]+ +(?:of versions|of dead runs|published once|never named)) +[\d,]+ +\d+\.\d$", "$1 [FILES] [MB]"),
        (r"[\d,]+ files(,| removed,) \d+\.\d MB", "[FILES] files$1 [MB] MB"),
        (r"(?m)^on (AWS Glue|Lambda|Fargate) .*$", "on $1 [COST]"),
        (r"(?m)^cost +USD +for$", "cost USD for"),
        (r"took \d+\.\d s, \d+\.\d s of processor, [\d,]+ MB of memory", "took [TIME], [TIME] of processor, [MB] MB of memory"),
        (r"(?m)[ \t]+$", ""),
    ];
    masks.map(|(pattern, mask)| (Regex::new(pattern).unwrap(), mask)).into()
});

/// What one command printed.
pub(crate) struct Printed {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// Commands typed so far, and what came.
pub(crate) struct Session {
    top: TempDir,
    folder: PathBuf,
    transcript: String,
}

impl Session {
    /// In an empty folder that no project is above.
    pub(crate) fn empty() -> Self {
        let top = tempfile::tempdir().unwrap();
        Self { folder: top.path().to_owned(), top, transcript: String::new() }
    }

    /// In the sample project, unpacked without a word.
    pub(crate) fn demo() -> Self {
        let mut session = Self::empty();
        let made = session.run(&["init".into(), "demo".into(), "--example".into(), "calisphere".into()], "");
        assert_eq!(made.code, 0, "{}", made.stderr);
        session.enter("demo");
        session
    }

    /// Goes into a folder.
    pub(crate) fn enter(&mut self, folder: &str) {
        self.folder.push(folder);
    }

    /// Goes up again.
    pub(crate) fn leave(&mut self) {
        self.folder.pop();
    }

    /// Runs a command as one would type it, and keeps it with all it printed.
    pub(crate) fn type_in(&mut self, line: &str) -> Printed {
        self.keep(line, "")
    }

    /// Like [`Self::type_in`], with a text on standard input.
    pub(crate) fn pipe(&mut self, text: &str, line: &str) -> Printed {
        self.keep(line, text)
    }

    /// Runs a job without keeping what it prints; returns the run's id.
    pub(crate) fn run_quietly(&self, job: &str) -> String {
        let printed = self.run(&["run".into(), job.into(), "--format".into(), "json".into()], "");
        assert_eq!(printed.code, 0, "{}", printed.stderr);
        let record: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
        record["id"].as_str().unwrap().to_owned()
    }

    /// Keeps nothing of what was typed so far.
    pub(crate) fn forget(&mut self) {
        self.transcript.clear();
    }

    /// Writes a file of the folder.
    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.join(file), text).unwrap();
    }

    /// Changes a file of the folder.
    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.folder.join(file)).unwrap();
        assert!(text.contains(from), "no {from} in {file}");
        self.write(file, &text.replace(from, to));
    }

    /// Copies a file into the folder above.
    pub(crate) fn move_up(&self, file: &str, name: &str) {
        fs::copy(self.folder.join(file), self.folder.join("..").join(name)).unwrap();
    }

    /// Keeps the names of all files in a folder.
    pub(crate) fn list(&mut self, folder: &str) {
        let root = self.folder.join(folder);
        let mut names = Vec::new();
        walk(&root, &root, &mut names);
        names.sort();
        let _ = writeln!(self.transcript, "$ find {folder} -type f\n{}\n", names.join("\n"));
    }

    /// The transcript, masked.
    pub(crate) fn text(&self) -> String {
        let mut text = self.transcript.clone();
        for place in [self.top.path().canonicalize().unwrap(), self.top.path().to_owned()] {
            text = text.replace(&place.display().to_string(), "[DIR]");
        }
        MASKS.iter().fold(text, |text, (pattern, mask)| pattern.replace_all(&text, *mask).into_owned())
    }

    /// Where snapshots are; without metadata that changes with the test's own text.
    pub(crate) fn settings(&self) -> insta::Settings {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/snapshots"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
    }

    fn keep(&mut self, line: &str, input: &str) -> Printed {
        let mut words = words(line).into_iter();
        assert_eq!(words.next().as_deref(), Some("pacha"), "{line}");
        let printed = self.run(&words.collect::<Vec<_>>(), input);
        let text = &mut self.transcript;
        let _ = writeln!(text, "$ {}{line}", if input.is_empty() { String::new() } else { format!("echo {input:?} | ") });
        for (name, stream) in [("stdout", &printed.stdout), ("stderr", &printed.stderr)] {
            if !stream.is_empty() {
                let _ = writeln!(text, "-- {name}\n{}", in_order(stream.trim_end_matches('\n')));
            }
        }
        let _ = writeln!(text, "-- exit code {}\n", printed.code);
        printed
    }

    fn run(&self, arguments: &[String], input: &str) -> Printed {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pacha"));
        command.args(arguments).current_dir(&self.folder).env("NO_COLOR", "1").env_remove("RUST_LOG").env_remove("RUST_BACKTRACE");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input closes the pipe, and that is no failure.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Printed { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code().unwrap() }
    }
}

/// Notes on pages come in the order in which threads happen to read them: sorted, where they follow each other.
fn in_order(stream: &str) -> String {
    let mut lines: Vec<&str> = stream.lines().collect();
    lines.chunk_by_mut(|one, other| one.starts_with("PX") && other.starts_with("PX")).for_each(<[&str]>::sort_unstable);
    lines.join("\n")
}

fn walk(root: &Path, folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, names);
        } else {
            names.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

/// The words of a command line, as a shell takes it apart: double quotes keep words together, `\"` is a quote in them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut escaped) = (Vec::new(), None::<String>, false, false);
    for character in line.chars() {
        match character {
            '\\' if quoted && !escaped => escaped = true,
            '"' if !escaped => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => {
                word.get_or_insert_default().push(other);
                escaped = false;
            }
        }
    }
    words.extend(word);
    words
}
