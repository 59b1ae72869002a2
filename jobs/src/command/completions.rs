//! `pacha completions`: a completion script for a shell.

use clap::CommandFactory;
use engine::Result;

use super::DONE;
use crate::cli::Cli;
use crate::printer::Printer;

pub(crate) fn completions(shell: clap_complete::Shell, printer: &Printer) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pacha", &mut script);
    printer.data(&String::from_utf8_lossy(&script));
    Ok(DONE)
}
