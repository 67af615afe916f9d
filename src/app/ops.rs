//! The ops address' own thread, so that health and metrics answer whatever the workers do.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;

use crate::web::ops::OpsPeer;

/// How often metrics are put into buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// A started ops listener.
pub(super) struct Ops {
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Its thread; ends when `stop` changes.
    pub(super) thread: JoinHandle<()>,
}

/// Listens and serves `router` until `stop` changes. `upkeep` is called every few seconds: what was recorded since is put into
/// buckets, whether anybody reads the metrics or not.
///
/// # Errors
/// When the address can't be had or there is no thread.
pub(super) fn start(
    address: SocketAddr,
    router: Router,
    upkeep: impl Fn() + Send + 'static,
    stop: watch::Receiver<bool>,
) -> io::Result<Ops> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("ops".to_owned()).spawn(move || {
        runtime.block_on(serve(listener, router, upkeep, stop));
    })?;
    Ok(Ops { address, thread })
}

async fn serve(listener: TcpListener, router: Router, upkeep: impl Fn(), mut stop: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut tick = tokio::time::interval(UPKEEP);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = tick.tick() => {
                upkeep();
                continue;
            }
            _ = stop.changed() => return,
        };
        // Out of file descriptors, or a client that has gone: nothing to do but to go on.
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone().layer(Extension(OpsPeer(peer.ip()))));
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), service);
            let ended: Result<(), _> = connection.await;
            drop::<Result<(), hyper::Error>>(ended);
        });
    }
}
