//! A copy of a small project in a folder of its own, and the binary to run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the cases and of the project that they start from.
pub(crate) fn errors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/errors")
}

/// Copies a folder over another; what says how a case is run stays behind.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(name));
        } else if name != "command" && name != "expected.txt" {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// The binary, in a folder, and without anything of the tester's own environment that changes what it says.
pub(crate) fn pacha(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pacha"));
    command.current_dir(dir).env_remove("RUST_LOG").env_remove("RUST_BACKTRACE").env_remove("PACHA_CRASH_AT").env("NO_COLOR", "1");
    command.stdin(std::process::Stdio::null());
    command
}
