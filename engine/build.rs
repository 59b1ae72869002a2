//! Which commit a release is built from: processes of a cluster compare it. A debug build does not ask, so that a commit is
//! no reason to build again.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=PACHA_BUILD");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if !release || std::env::var_os("PACHA_BUILD").is_some() {
        return;
    }
    let git = |words: &[&str]| {
        let answer = Command::new("git").args(words).output().ok().filter(|answer| answer.status.success())?;
        String::from_utf8(answer.stdout).ok().map(|text| text.trim().to_owned())
    };
    // Outside a repository, as in a source archive, there is nothing to ask.
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    println!("cargo:rustc-env=PACHA_BUILD={commit}{}", if changed { "-changed" } else { "" });
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
}
