//! Progress of a run: a bar with rates on a terminal, a plain line now and then otherwise.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::progress::Progress;
use engine::table::counted;
use indicatif::{ProgressBar, ProgressStyle};

use crate::printer::thousands;

/// Shows progress until it is dropped.
#[derive(Debug)]
pub(crate) struct Shown {
    task: tokio::task::JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl Shown {
    /// Begins to show the counters; quiet where the result is for a script.
    pub(crate) fn begin(progress: &Arc<Progress>, quiet: bool) -> Self {
        let progress = Arc::clone(progress);
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let bar = terminal.then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
        }
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            let begun = Instant::now();
            let mut ticks = tokio::time::interval(if terminal { Duration::from_millis(100) } else { Duration::from_secs(10) });
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let line = line(&progress, begun.elapsed());
                match &shown {
                    Some(bar) => {
                        bar.set_message(line);
                        bar.tick();
                    }
                    None if !quiet => eprintln!("{line}"),
                    None => {}
                }
            }
        });
        Self { task, bar }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(progress: &Progress, elapsed: Duration) -> String {
    let so_far = progress.counts();
    let seconds = elapsed.as_secs_f64().max(0.001);
    let on_cluster = if so_far.tasks > 0 {
        format!("{} of {} done, {}, ", so_far.units_done, counted(so_far.units, "unit"), counted(so_far.tasks, "task"))
    } else {
        String::new()
    };
    format!(
        "{on_cluster}{} ({}/s), {}, {:.1} MB written, {:.0} s",
        counted(so_far.records, "record"),
        thousands((so_far.records as f64 / seconds) as u64),
        counted(so_far.pages, "page"),
        so_far.bytes_written as f64 / 1e6,
        seconds
    )
}
