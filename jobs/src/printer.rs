//! Where output goes: data to stdout, everything else to stderr; colour only on a terminal that wants it.

use std::io::{IsTerminal, Write};

use clap::ColorChoice;
use engine::Error;
use engine::error::Kind;
use schemas::problem::{Problem, printable};

/// Writes results and messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    color: bool,
}

impl Printer {
    pub(crate) fn new(choice: ColorChoice) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal();
        let color = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => wanted,
        };
        Self { color }
    }

    /// A result, without control characters that came with the data. A reader that has seen enough (`pacha … | head`) is no failure.
    pub(crate) fn data(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let text = printable(text);
        let ended = if text.ends_with('\n') || text.is_empty() { out.write_all(text.as_bytes()) } else { writeln!(out, "{text}") };
        if ended.and_then(|()| out.flush()).is_err_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            std::process::exit(0);
        }
    }

    /// A result as JSON for scripts.
    pub(crate) fn json(&self, value: &impl serde::Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.data(&text),
            Err(error) => self.note(&format!("the result cannot be written as JSON: {error}")),
        }
    }

    /// A result as JSON in one line, for whoever reads on while the process lives.
    pub(crate) fn json_line(&self, value: &impl serde::Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.data(&text),
            Err(error) => self.note(&format!("the result cannot be written as JSON: {error}")),
        }
    }

    /// A line for people, beside the result.
    pub(crate) fn note(&self, text: &str) {
        eprintln!("{}", printable(text));
    }

    /// Problems with their places.
    pub(crate) fn problems<'p>(&self, problems: impl IntoIterator<Item = &'p Problem>) {
        for problem in problems {
            eprintln!("{}\n", problem.render(self.color));
        }
    }

    /// An error, every problem of it, and how many there are.
    pub(crate) fn error(&self, error: &Error) {
        self.problems(&error.problems.0);
        // A run of which gates have withheld a part has published the rest.
        if error.problems.0.len() > 1 && error.kind != Kind::Withheld {
            eprintln!("{} problems; nothing was changed", error.problems.0.len());
        }
    }
}

/// Text on its way to a terminal: control characters of the data are written as in [`printable`].
pub(crate) struct ForTerminal<W> {
    out: W,
    /// The beginning of a letter whose other bytes are still to come.
    held: Vec<u8>,
}

impl<W: Write> ForTerminal<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, held: Vec::new() }
    }
}

impl<W: Write> Write for ForTerminal<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.held.extend_from_slice(bytes);
        let whole = std::str::from_utf8(&self.held).map_or_else(|error| error.valid_up_to(), str::len);
        let text = String::from_utf8_lossy(&self.held[..whole]);
        self.out.write_all(printable(&text).as_bytes())?;
        self.held.drain(..whole);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// `1234567` → `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    engine::table::Thousands(number).to_string()
}

/// Columns side by side: a plain table that reads well without colour.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    use std::fmt::Write as _;
    let mut widths = header.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let numeric: Vec<bool> = (0..N)
        .map(|column| !rows.is_empty() && rows.iter().all(|row| row[column].chars().all(|c| c.is_ascii_digit() || ",.%− ".contains(c))))
        .collect();
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        let mut written = String::new();
        for (index, cell) in cells.into_iter().enumerate() {
            let pad = " ".repeat(widths[index] - cell.chars().count());
            let gap = if index == 0 { "" } else { "  " };
            let _ = if numeric[index] { write!(written, "{gap}{pad}{cell}") } else { write!(written, "{gap}{cell}{pad}") };
        }
        text.push_str(written.trim_end());
        text.push('\n');
    };
    line(header);
    for row in rows {
        line(row.each_ref().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_in_the_data_reaches_a_terminal() {
        let mut out = Vec::new();
        let mut terminal = ForTerminal::new(&mut out);
        for bytes in ["a\u{1b}[2Jé\tb\n\u{9b}".as_bytes(), "ç".as_bytes()].concat().chunks(1) {
            terminal.write_all(bytes).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "a\\u001b[2Jé\tb\n\\u009bç");
    }
}
