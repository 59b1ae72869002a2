//! `pacha executor`: runs tasks until it is told to end.

use engine::Result;
use scheduler::executor::{ExecutorOptions, ExecutorReady, Stop, serve};

use super::DONE;
use crate::cli::{ExecutorArguments, Form, Global};
use crate::printer::Printer;
use crate::signal::{self, Ended};

pub(crate) async fn executor(global: &Global, arguments: ExecutorArguments, printer: &Printer) -> Result<u8> {
    let scheduler = arguments.scheduler.parse()?;
    let session = super::open_member(global, arguments.without_tls, printer)?;
    let options = ExecutorOptions {
        scheduler,
        name: arguments.name,
        listen: arguments.listen,
        advertise: arguments.advertise,
        port: arguments.port,
        grpc_port: arguments.grpc_port,
        vcores: arguments.vcores,
        work_dir: arguments.work_dir,
        allow_plaintext: arguments.allow_plaintext,
        wait: arguments.wait,
        grace: arguments.grace,
        metrics: arguments.metrics_listen,
        heartbeat: arguments.heartbeat,
    };
    let ready = |ready: &ExecutorReady| match arguments.format.format {
        Form::Json => printer.json_line(ready),
        Form::Text => printer.data(&format!("{} runs tasks of {}, {} at a time", ready.id, ready.scheduler, ready.vcores)),
    };
    let stop = async {
        match signal::ended(arguments.until_stdin_closes).await {
            Ended::Signal => Stop::Drain,
            Ended::Stdin => Stop::Now,
        }
    };
    Box::pin(serve(&options, &session, ready, stop)).await?;
    Ok(DONE)
}
