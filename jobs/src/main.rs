//! `pacha`: the jobs CLI. Arguments as typed → a command → an exit code; everything else is in [`command`].
//!
//! stdout is data, stderr is everything else. Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 withheld by a gate.

mod cli;
mod command;
mod log;
mod printer;
mod progress;
mod signal;

use std::process::ExitCode;

use crate::cli::Cli;
use crate::printer::Printer;

/// Planning recurses deeply, and so does decoding of nested records.
const STACK: usize = 32 << 20;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            Printer::new(clap::ColorChoice::Auto).error(&error);
            return ExitCode::from(error.exit_code());
        }
    };
    let printer = Printer::new(cli.global.color);
    log::init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.note(&format!("the process cannot start its threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(command::dispatch(cli, &printer)) {
        Ok(code) => code,
        Err(error) => {
            printer.error(&error);
            error.exit_code()
        }
    };
    // Threads that still decode a page nobody waits for must not delay the prompt.
    runtime.shutdown_background();
    ExitCode::from(code)
}
