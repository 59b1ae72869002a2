//! `pacha init`: a project to start from, empty or from an example inside the binary.

use std::path::Path;

use engine::{Error, Result};
use include_dir::{Dir, include_dir};
use schemas::problem::Problem;

use super::DONE;
use crate::printer::Printer;

static EXAMPLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples");

const EMPTY: &str = "# Where tables are written: a folder beside this file, or a URL.\nwarehouse = \"warehouse\"\n";

pub(crate) fn init(dir: Option<&Path>, example: Option<&str>, printer: &Printer) -> Result<u8> {
    let dir = dir.unwrap_or(Path::new("."));
    if dir.join(engine::project::FILE).exists() {
        let problem = Problem::error("PC002", format!("{} is a project already", dir.display()));
        return Err(Error::configuration(problem.hint("choose another folder: pacha init DIR")));
    }
    match example {
        Some(name) => unpack(name, dir, printer),
        None => {
            for folder in ["collections", "mappings", "jobs", "lookups"] {
                make(dir, |dir| std::fs::create_dir_all(dir.join(folder)))?;
            }
            make(dir, |dir| std::fs::write(dir.join(engine::project::FILE), EMPTY))?;
            printer.note(&format!("made an empty project in {}", dir.display()));
            printer.note("next: pacha inspect PATH shows what your pages hold; README has the first mapping in five minutes");
            Ok(DONE)
        }
    }
}

fn unpack(name: &str, dir: &Path, printer: &Printer) -> Result<u8> {
    let Some(example) = EXAMPLES.get_dir(name) else {
        let known: Vec<&str> = EXAMPLES.dirs().filter_map(|dir| dir.path().to_str()).collect();
        let problem = Problem::error("PC003", format!("no example \"{name}\""));
        return Err(Error::configuration(problem.hint(schemas::suggest::hint(name, known.iter().copied()))));
    };
    write(example, Path::new(name), dir)?;
    printer.note(&format!("unpacked example {name} into {}", dir.display()));
    let change = if dir == Path::new(".") { String::new() } else { format!("cd {} && ", dir.display()) };
    printer.note(&format!("next: {change}pacha run nightly"));
    Ok(DONE)
}

fn write(from: &Dir<'_>, base: &Path, to: &Path) -> Result<()> {
    for file in from.files() {
        let below = file.path().strip_prefix(base).unwrap_or(file.path());
        make(to, |to| {
            let path = to.join(below);
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(path, file.contents())
        })?;
    }
    from.dirs().try_for_each(|dir| write(dir, base, to))
}

fn make(dir: &Path, act: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    act(dir).map_err(|error| {
        let problem = Problem::error("PS503", format!("{} cannot be written: {error}", dir.display()));
        Error::failed(problem.hint("choose a folder you may write to"))
    })
}
