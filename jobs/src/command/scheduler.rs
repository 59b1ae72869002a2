//! `pacha scheduler`: hands out tasks until it is told to end.

use engine::Result;
use scheduler::scheduler::{SchedulerOptions, SchedulerReady, serve};

use super::DONE;
use crate::cli::{Form, Global, SchedulerArguments};
use crate::printer::Printer;
use crate::signal;

pub(crate) async fn scheduler(global: &Global, arguments: SchedulerArguments, printer: &Printer) -> Result<u8> {
    let SchedulerArguments { listen, advertise, allow_plaintext, until_stdin_closes, without_tls, format } = arguments;
    let session = super::open_member(global, without_tls, printer)?;
    let options = SchedulerOptions { listen, advertise, allow_plaintext };
    let ready = |ready: &SchedulerReady| match format.format {
        Form::Json => printer.json_line(ready),
        Form::Text => printer.data(&ready.address),
    };
    let stop = async {
        signal::ended(until_stdin_closes).await;
    };
    Box::pin(serve(&options, &session, ready, stop)).await?;
    Ok(DONE)
}
