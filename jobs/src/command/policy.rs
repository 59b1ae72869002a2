//! `pacha doctor --policy`: what the project's identity at AWS must be allowed, and no more.

use engine::Result;

use super::DONE;
use crate::cli::Global;
use crate::printer::Printer;

pub(crate) fn policy(global: &Global, printer: &Printer) -> Result<u8> {
    let project = super::load(global, printer)?;
    let policy = engine::policy::policy(&project);
    printer.json(&policy.document);
    policy.notes.iter().for_each(|note| printer.note(note));
    Ok(DONE)
}
