//! What the user reads when something is wrong, word for word: one folder of `tests/errors` for each way to fail.
//!
//! A folder holds the files by which its project differs from `tests/errors/base`, a `command`, and what comes of it in
//! `expected.txt`. A line of `command` is the arguments of one call of pacha, or with `!` a change to the folder that no
//! file can express; the outcome of the last call is what is compared. `UPDATE_ERRORS=1` writes what came instead: read the diff.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod small_project;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use regex::Regex;
use small_project::{copy, errors, pacha};

/// Words of the libraries underneath, and of faults: none of them helps who reads the message.
const FOREIGN: [&str; 12] = [
    "DataFusion",
    "Arrow error",
    "sqlparser",
    "External error",
    "Execution error",
    "Internal error",
    "panicked",
    "backtrace",
    "object_store",
    "LocalFileSystem",
    "LogicalPlan",
    "Some(",
];

static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bP[CKXMVGSR]\d{3}\b").unwrap());

/// What differs from run to run, and what stands in its place.
static MASKS: LazyLock<[(Regex, &str); 8]> = LazyLock::new(|| {
    [
        (Regex::new(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap(), "[RUN]"),
        (Regex::new(r"\b\d+(\.\d+)? (ms|s|µs)\b").unwrap(), "[TIME]"),
        (Regex::new(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?").unwrap(), "[INSTANT]"),
        (Regex::new(r"\([\d.]+ \w+ free\)").unwrap(), "([SIZE] free)"),
        (Regex::new(r"127\.0\.0\.1:\d{2,}").unwrap(), "127.0.0.1:[PORT]"),
        (Regex::new(r"[\d.]+ vcore seconds").unwrap(), "[TIME]"),
        // How many files there are depends on which thread was first, and how large they are on their writer.
        (Regex::new(r"(?m)^(\w+ +\d+) +\d+ +\d+\.\d$").unwrap(), "$1  [FILES]  [MB]"),
        (Regex::new(r"(?m)[ \t]+$").unwrap(), ""),
    ]
});

#[test]
fn every_failure_says_what_where_and_what_to_do() {
    let update = std::env::var_os("UPDATE_ERRORS").is_some();
    let only = std::env::var("ONLY_ERROR").ok();
    let mut cases: Vec<PathBuf> = fs::read_dir(errors()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.join("command").is_file() && only.as_ref().is_none_or(|only| case.ends_with(only)));
    cases.sort();
    assert!(only.is_some() || cases.len() >= 40, "{} cases", cases.len());
    let next = std::sync::atomic::AtomicUsize::new(0);
    let wrong = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    wrong.lock().unwrap().extend(look(case, update));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What is wrong with a case.
fn look(case: &Path, update: bool) -> Vec<String> {
    let name = case.file_name().unwrap().to_string_lossy().into_owned();
    let Some(text) = outcome(case) else {
        eprintln!("SKIPPED {name}: a small file system cannot be mounted here (it takes root on Linux)");
        return Vec::new();
    };
    let file = case.join("expected.txt");
    if update {
        fs::write(&file, &text).unwrap();
    }
    let mut wrong = Vec::new();
    let expected = fs::read_to_string(&file).unwrap_or_default();
    if text != expected {
        wrong.push(format!("{name}: expected\n{expected}\nbut came\n{text}"));
    }
    if !CODE.is_match(&text) {
        wrong.push(format!("{name}: no code\n{text}"));
    }
    // Findings are grouped rows, not messages: their code and place say where to look.
    let failed = !text.starts_with("exit code 0");
    if failed && !text.contains("hint: ") {
        wrong.push(format!("{name}: does not say what to do\n{text}"));
    }
    wrong.extend(FOREIGN.iter().filter(|word| text.contains(**word)).map(|word| format!("{name}: says {word:?}\n{text}")));
    wrong
}

/// Exit code and what was printed by the last call; `None` if the machine cannot do what the case needs.
fn outcome(case: &Path) -> Option<String> {
    let place = tempfile::tempdir().unwrap();
    let mut dir = place.path().join("project");
    copy(&errors().join("base"), &dir);
    copy(case, &dir);
    let mut mounted = Mounted::default();
    let mut last: Option<Output> = None;
    let mut race = false;
    for line in fs::read_to_string(case.join("command")).unwrap().lines() {
        let Some(change) = line.strip_prefix('!') else {
            let arguments = words(line);
            last = Some(if race { lost(&dir, &arguments) } else { pacha(&dir).args(&arguments).output().unwrap() });
            continue;
        };
        let change = words(change);
        let parts: Vec<&str> = change.iter().map(String::as_str).collect();
        match parts[..] {
            ["folder", path] => fs::create_dir_all(dir.join(path)).unwrap(),
            ["remove", path] => fs::remove_file(dir.join(path)).unwrap(),
            ["copy", from, to] => drop(fs::copy(dir.join(from), dir.join(to)).unwrap()),
            #[cfg(unix)]
            ["symlink", to, path] => std::os::unix::fs::symlink(to, dir.join(path)).unwrap(),
            ["replace", path, from, to] => {
                let text = fs::read_to_string(dir.join(path)).unwrap();
                assert!(text.contains(from), "{path} does not contain {from}:\n{text}");
                fs::write(dir.join(path), text.replace(from, to)).unwrap();
            }
            ["cd", path] => dir = dir.join(path),
            ["race"] => race = true,
            ["tmpfs", path, options] if !mounted.mount(&dir.join(path), options) => return None,
            ["tmpfs", ..] => {}
            _ => panic!("{}: no such change: {line}", case.display()),
        }
    }
    drop(mounted);
    let output = last.unwrap_or_else(|| panic!("{}: calls nothing", case.display()));
    let code = output.status.code().map_or_else(|| output.status.to_string(), |code| format!("exit code {code}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut text = format!("{code}\n{}\n", err.trim_end());
    if !out.is_empty() {
        text += &format!("-- stdout\n{}\n", out.trim_end());
    }
    let real = place.path().canonicalize().unwrap();
    text = text.replace(&*real.to_string_lossy(), "[DIR]").replace(&*place.path().to_string_lossy(), "[DIR]");
    for (pattern, instead) in MASKS.iter() {
        text = pattern.replace_all(&text, *instead).into_owned();
    }
    Some(text)
}

/// The output of the one of two calls at once that was second; both may succeed if they did not meet, so it tries again.
fn lost(dir: &Path, arguments: &[String]) -> Output {
    for _ in 0..20 {
        let both = [(); 2].map(|()| {
            let mut command = pacha(dir);
            command.args(arguments).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        });
        let [one, other] = both.map(|child| child.wait_with_output().unwrap());
        match (one.status.success(), other.status.success()) {
            (true, true) => {}
            (false, false) => panic!("both failed: {one:?}\n{other:?}"),
            (true, false) => return numbered(other),
            (false, true) => return numbered(one),
        }
    }
    panic!("two runs at once never met")
}

/// Which version won depends on how often both had succeeded before.
fn numbered(mut output: Output) -> Output {
    let version = Regex::new(r"version \d+").unwrap();
    output.stderr = version.replace_all(&String::from_utf8_lossy(&output.stderr), "version [N]").into_owned().into_bytes();
    output
}

/// A small file system that is gone when the case is over.
#[derive(Default)]
struct Mounted(Option<PathBuf>);

impl Mounted {
    fn mount(&mut self, path: &Path, options: &str) -> bool {
        fs::create_dir_all(path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).output();
        let mounted = mount.is_ok_and(|output| output.status.success());
        self.0 = mounted.then(|| path.to_owned());
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = Command::new("umount").arg(path).status();
        }
    }
}

/// A line in words as a shell has them: quotes of both kinds, backslash inside double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match quote {
            Some(open) if letter == open => quote = None,
            Some('"') if letter == '\\' => word.get_or_insert_default().extend(letters.next()),
            Some(_) => word.get_or_insert_default().push(letter),
            None if letter == '\'' || letter == '"' => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            None if letter.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}
