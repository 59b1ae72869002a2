//! `s3server DIR PORT [LATENCY_MS]`: the S3 server of the tests on its own, for trying and for measuring.
//!
//! Every folder of DIR is a bucket, every file below it an object. They are read once, at the start; what is written stays
//! in memory. It prints the settings that a client needs and runs until its input ends or it is stopped.

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use pacha_tests::s3::Server;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [folder, port] => run(folder, port, "0"),
        [folder, port, latency] => run(folder, port, latency),
        _ => Err("write: s3server DIR PORT [LATENCY_MS]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "s3server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &str, port: &str, latency: &str) -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::listen(port.parse()?, true)?;
    for entry in std::fs::read_dir(Path::new(folder))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            server.load(&entry.file_name().to_string_lossy(), "", &entry.path())?;
        }
    }
    server.slow(Duration::from_millis(latency.parse()?));
    let mut out = std::io::stdout();
    for (name, value) in server.environment() {
        writeln!(out, "export {name}={value}")?;
    }
    out.flush()?;
    // A script that started us and ends closes the pipe.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
