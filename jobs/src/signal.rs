//! What ends a process: Ctrl-C, of which the first one stops a run cleanly and a second one at once, or the end of its parent.

/// Resolves at the first Ctrl-C or SIGTERM.
pub(crate) async fn stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            let _ = tokio::signal::ctrl_c().await;
            return;
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    {
        let _ = tokio::signal::ctrl_c().await;
    }
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}

/// What has ended a process that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Ctrl-C or SIGTERM.
    Signal,
    /// Standard input has come to its end: whoever held the other end is gone, however it went.
    Stdin,
}

/// Resolves as [`stop`] does, or when standard input ends if that counts.
pub(crate) async fn ended(until_stdin_closes: bool) -> Ended {
    let stdin = async {
        if !until_stdin_closes {
            std::future::pending::<()>().await;
        }
        // What comes is of no interest.
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
    };
    tokio::select! {
        () = stop() => Ended::Signal,
        () = stdin => Ended::Stdin,
    }
}
