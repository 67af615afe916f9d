//! The thread on which IdPs' metadata is fetched and read: whatever a source does, no worker waits for it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::metadata::{Source, Watched, WatchedParts, warn_of_ends};

/// How long a start waits for sources that have to be fetched. What isn't there then may come later.
const START: Duration = Duration::from_secs(10);
/// How often certificates are looked at for their end.
const DAILY: Duration = Duration::from_secs(24 * 60 * 60);

/// A thread that watches sources.
pub(super) struct Watching {
    thread: JoinHandle<()>,
    first_look: Receiver<()>,
}

impl Watching {
    /// Waits until every source that is fetched was asked once, or took too long.
    pub(super) fn wait_for_first_look(&self) {
        // An error means that the thread has ended: then nothing is to be waited for.
        let _ = self.first_look.recv_timeout(START + Duration::from_secs(5));
    }

    /// Its thread; ends when `stop` changes.
    pub(super) fn into_thread(self) -> JoinHandle<()> {
        self.thread
    }
}

/// Watches sources until `stop` changes.
///
/// # Errors
/// When there is no thread.
pub(super) fn start(sources: Vec<Source>, parts: WatchedParts, stop: watch::Receiver<bool>) -> io::Result<Watching> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (looked, first_look) = channel();
    let thread = std::thread::Builder::new().name("metadata".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let parts = Arc::new(parts);
            let sources = sources.into_iter().map(|source| Watched::new(source, Arc::clone(&parts)));
            let mut looks = tokio::task::JoinSet::new();
            for mut source in sources {
                looks.spawn(async move {
                    // A file was read with the configuration.
                    let wait = if source.is_fetched() { source.step_within(START).await } else { Duration::ZERO };
                    (source, wait)
                });
            }
            while let Some(done) = looks.join_next().await {
                // A panic in there has been told by the panic itself; that source isn't watched any more.
                if let Ok((source, wait)) = done {
                    tokio::spawn(follow(source, wait, Arc::clone(&parts), stop.clone()));
                }
            }
            let _ = looked.send(());
            warn_daily(&parts, stop).await;
        });
    })?;
    Ok(Watching { thread, first_look })
}

/// Step after step, each after the time that the one before said, or when an operator wants it.
async fn follow(mut source: Watched, mut wait: Duration, parts: Arc<WatchedParts>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = parts.board.wanted() => {}
            _ = stop.changed() => return,
        }
        wait = source.step().await;
    }
}

async fn warn_daily(parts: &WatchedParts, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(DAILY) => {}
            _ = stop.changed() => return,
        }
        warn_of_ends(&parts.login, parts.clock.now());
    }
}
