//! The data plane as a whole: bound, run, drained.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;

use super::gate::GateParts;
use super::listener::{self, Bound};
use super::measure;
use super::settings::{Address, ListenSettings};
use super::tls::{Certificate, server_config};
use super::worker::{self, Shared};

/// How often the certificate's files are looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(5);

/// A bound data plane that doesn't accept yet.
pub struct Server {
    sockets: Vec<Bound>,
    address: Address,
    shared: Arc<Shared>,
    tls: Option<(TlsAcceptor, Arc<Certificate>)>,
    proxy_protocol: bool,
}

/// Replaces what a running data plane judges by.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// From the next request on, on all workers; requests under way end as they began.
    pub fn replace(&self, parts: Arc<GateParts>) {
        self.0.replace(parts);
    }
}

impl Server {
    /// Binds the public address and reads the certificate.
    ///
    /// # Errors
    /// When the address can't be listened on, or (as [`io::ErrorKind::Other`], with a [`super::TlsError`] inside) the certificate
    /// can't be used.
    pub fn bind(listen: &ListenSettings, parts: Arc<GateParts>) -> io::Result<Self> {
        let tls = match &listen.tls {
            None => None,
            Some(files) => {
                let certificate = Certificate::read(files.clone()).map_err(io::Error::other)?;
                let config = server_config(Arc::clone(&certificate)).map_err(io::Error::other)?;
                Some((TlsAcceptor::from(Arc::new(config)), certificate))
            }
        };
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = if listen.workers == 0 { cores() } else { listen.workers };
        let (sockets, address) = listener::bind(&listen.address, workers)?;
        Ok(Self { sockets, address, shared: Arc::new(Shared::new(parts)), tls, proxy_protocol: listen.proxy_protocol })
    }

    /// Where it listens; for port 0, the port that was taken.
    pub fn local_address(&self) -> &Address {
        &self.address
    }

    /// To replace the configuration while it runs.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Serves until `shutdown` is done; then answers what has begun, for at most 25 seconds, and closes.
    ///
    /// # Errors
    /// When a worker can't be started or ends by itself.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        measure::describe();
        let (stop, stopping) = watch::channel(false);
        let mut workers = Vec::with_capacity(self.sockets.len());
        for (number, socket) in self.sockets.into_iter().enumerate() {
            let (ended, end) = oneshot::channel();
            let (shared, stopping) = (Arc::clone(&self.shared), stopping.clone());
            let tls = self.tls.as_ref().map(|(acceptor, _)| acceptor.clone());
            let proxy_protocol = self.proxy_protocol;
            std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                let _ = ended.send(worker::run(socket, shared, tls, proxy_protocol, stopping));
            })?;
            workers.push(end);
        }
        let certificate = self.tls.map(|(_, certificate)| certificate);
        let mut all = futures_util::future::try_join_all(workers.into_iter().map(|end| async {
            // A worker that is gone without a word has panicked.
            end.await.unwrap_or_else(|_| Err(io::Error::other("a worker of the data plane ended unexpectedly")))
        }));
        let ended = tokio::select! {
            ended = &mut all => Some(ended),
            () = shutdown => None,
            () = refresh(certificate) => None,
        };
        // Nobody may listen any more; then all is well already.
        let _ = stop.send(true);
        let ended = match ended {
            Some(ended) => ended,
            None => all.await,
        };
        ended.map(|_| ())
    }
}

/// Takes over new certificates for ever.
async fn refresh(certificate: Option<Arc<Certificate>>) {
    let Some(certificate) = certificate else { return std::future::pending().await };
    let mut interval = tokio::time::interval(CERTIFICATE_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        match certificate.refresh() {
            Ok(true) => tracing::info!("a new certificate is in use"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the new certificate can't be used; the old one stays"),
        }
    }
}
