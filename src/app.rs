//! Wiring: configuration -> a running samlgate, and back to rest.

mod assertion_key;
pub mod logging;
mod metadata;
mod ops;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::access::Rules;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::identity::assertion::{AssertionSigner, generate_key};
use crate::login::{BackChannel, Login, LoginParts};
use crate::metadata::{Board, Kept, WatchedParts};
use crate::outbound::Client;
use crate::proxy::settings::Address;
use crate::proxy::{GateParts, Server, Upstreams};
use crate::saml::{SamlError, sp_metadata, verify};
use crate::store::Store;
use crate::store::memory::{MemoryLimits, MemoryStore};
use crate::token::{Entropy, SystemEntropy};
use crate::web::ops::{OpsParts, router};
use crate::web::{Cookies, Web, WebParts};

/// Bounds of the histograms of times, in seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Why samlgate can't start, or had to stop.
#[derive(Debug, Error)]
pub enum AppError {
    /// The public address can't be listened on, or its certificate can't be used.
    #[error("listen: {address}: {source}")]
    Listen {
        /// `listen.address`.
        address: String,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The ops address can't be listened on.
    #[error("listen.ops_address: {address}: {source}")]
    Ops {
        /// `listen.ops_address`.
        address: SocketAddr,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The assertion's key can't be read or made.
    #[error("headers.assertion.key: {0}")]
    AssertionKey(String),
    /// `[upstream]` can't be used.
    #[error("upstream: {0}")]
    Upstream(String),
    /// A signature engine doesn't work on this machine.
    #[error("a signature engine does not verify a document that is known to be good: {0}")]
    Engine(SamlError),
    /// The system gives no thread or event loop.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The data plane ended by itself.
    #[error("the data plane ended: {0}")]
    Ended(std::io::Error),
}

/// A running samlgate. Dropping it without [`App::shutdown`] leaves it running.
pub struct App {
    address: Address,
    ops_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    server: JoinHandle<std::io::Result<()>>,
    /// Says when the data plane has ended, asked to or not.
    ended: watch::Receiver<bool>,
    others: Vec<JoinHandle<()>>,
}

impl App {
    /// Starts everything that `config` says, on threads of its own.
    ///
    /// # Errors
    /// When an address, a file or a thread can't be had. Nothing is left running then.
    pub fn start(config: Config, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, AppError> {
        // Its clock is calibrated for some 25 ms, so that is done beside everything else. Without an ops address nobody could read metrics,
        // so nothing is recorded.
        let metrics = config.listen.ops_address.map(|_| std::thread::spawn(metrics_of_this_process));
        // The generator collects its first seed for some 30 ms. Without a thread for that, the first request waits.
        let _ = std::thread::Builder::new().name("entropy".to_owned()).spawn(|| SystemEntropy.fill(&mut [0]));
        verify::prepare().map_err(AppError::Engine)?;
        let store: Arc<dyn Store> = Arc::new(MemoryStore::beginning(MemoryLimits::default(), clock.now()));
        let (stop, stopping) = watch::channel(false);
        let client = Client::new();
        let (server, login) = bind(&config, &store, &clock, &entropy, &client)?;
        let address = server.local_address().clone();

        let board = Arc::new(Board::default());
        let watched = WatchedParts {
            login: Arc::clone(&login),
            client,
            kept: config.data_dir.as_deref().map(Kept::new),
            board: Arc::clone(&board),
            clock: Arc::clone(&clock),
            entropy,
        };
        let watching = metadata::start(config.metadata_sources.clone(), watched, stopping.clone()).map_err(AppError::Thread)?;
        // Nobody is told that we are alive and ready before everybody can sign in who ever will.
        watching.wait_for_first_look();

        let ops = match config.listen.ops_address.zip(metrics) {
            None => None,
            Some((address, metrics)) => {
                let metrics = metrics.join().map_err(|_| AppError::Thread(std::io::Error::other("it panicked")))?;
                let router = router(OpsParts { store, clock, metrics: metrics.clone(), login, board });
                let started = ops::start(address, router, move || metrics.run_upkeep(), stopping.clone());
                Some(started.map_err(|source| AppError::Ops { address, source })?)
            }
        };
        let ops_address = ops.as_ref().map(|ops| ops.address);
        let (server, ended) = serve(server, stopping).map_err(AppError::Thread)?;
        let others = ops.map(|ops| ops.thread).into_iter().chain([watching.into_thread()]).collect();
        Ok(Self { address, ops_address, stop, server, ended, others })
    }

    /// Waits until the data plane has ended: by [`App::shutdown`], or because it can't go on. Then nobody is served any more.
    pub async fn ended(&self) {
        // A sender that is gone has ended too.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Where users are served; for port 0, the port that was taken.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Where operators are served.
    pub fn ops_address(&self) -> Option<SocketAddr> {
        self.ops_address
    }

    /// Answers what has begun, then ends.
    ///
    /// # Errors
    /// When the data plane had ended by itself.
    pub fn shutdown(self) -> Result<(), AppError> {
        let _ = self.stop.send(true);
        let ended = self.server.join().unwrap_or_else(|_| Err(std::io::Error::other("it panicked")));
        for thread in self.others {
            let _ = thread.join();
        }
        ended.map_err(AppError::Ended)
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When samlgate can't start, or the data plane ends by itself.
pub fn run(config: Config) -> Result<(), AppError> {
    logging::start(&config.log);
    for warning in &config.warnings {
        warn!(event = "configuration", "{warning}");
    }
    let public_url = config.public_url.to_string();
    let app =
        App::start(config, Arc::new(SystemClock), Arc::new(SystemEntropy)).inspect_err(|error| error!(%error, "cannot start"))?;
    let ops = app.ops_address().map(|address| address.to_string());
    info!(event = "started", address = %app.address(), ops, public_url, version = env!("CARGO_PKG_VERSION"), "serving");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AppError::Thread)?;
    let name = runtime.block_on(async {
        tokio::select! {
            signal = asked_to_stop() => signal.map(Some),
            () = app.ended() => Ok(None),
        }
    });
    if let Some(name) = name.map_err(AppError::Thread)? {
        info!(event = "stopping", signal = name, "answering what has begun, then ending");
    }
    app.shutdown().inspect_err(|error| error!(%error, "cannot go on"))?;
    info!(event = "stopped", "ended");
    Ok(())
}

/// The data plane with all that it needs, bound and not yet serving; and its logins.
fn bind(
    config: &Config,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    client: &Client,
) -> Result<(Server, Arc<Login>), AppError> {
    let headers = Arc::new(config.headers.clone());
    let signer = Arc::new(signer(config)?);
    let login = Arc::new(Login::new(LoginParts {
        public_url: config.public_url.clone(),
        prefix: config.prefix.clone(),
        sp: config.service_provider.clone(),
        idps: config.identity_providers.clone(),
        order: config.idp_order.clone(),
        mapping: config.mapping.clone(),
        headers: Arc::clone(&headers),
        session: config.session,
        store: Arc::clone(store),
        verifications: std::thread::available_parallelism().map_or(1, usize::from),
        back_channel: BackChannel::new(client.clone()),
    }));
    let rules = Arc::new(Rules::new(config.rules.clone()));
    let web = Arc::new(Web::new(WebParts {
        public_url: config.public_url.clone(),
        prefix: config.prefix.clone(),
        rules: Arc::clone(&rules),
        login: Arc::clone(&login),
        store: Arc::clone(store),
        cookies: Cookies::new(&config.public_url, Some(&config.session_cookie)),
        signer: Arc::clone(&signer),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        sp_metadata: sp_metadata::write(&config.service_provider),
        logout_return_to: config.logout_return_to.clone(),
    }));
    let upstreams = Upstreams::new(config.upstream.clone(), config.other_upstreams.clone());
    let upstreams = upstreams.map_err(|error| AppError::Upstream(error.to_string()))?;
    let gate = Arc::new(GateParts {
        web,
        store: Arc::clone(store),
        rules,
        headers,
        signer,
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        public_url: config.public_url.clone(),
        upstreams,
        trusted_proxies: config.listen.trusted_proxies.clone(),
        forward_auth: config.listen.forward_auth,
    });
    let failed = |source| AppError::Listen { address: config.listen.address.to_string(), source };
    Ok((Server::bind(&config.listen, gate).map_err(failed)?, login))
}

fn signer(config: &Config) -> Result<AssertionSigner, AppError> {
    let fresh = || generate_key().map_err(|error| error.to_string());
    let pem = assertion_key::find(config.assertion.key_pem.as_deref(), config.data_dir.as_deref(), fresh)
        .map_err(AppError::AssertionKey)?;
    let signer = AssertionSigner::from_pem(
        &pem,
        config.public_url.to_string(),
        config.assertion.audience.clone(),
        config.assertion.lifetime,
    );
    let signer = signer.map_err(|error| AppError::AssertionKey(error.to_string()))?;
    // Applications find all keys in one place.
    Ok(match config.headers.signer().and_then(|requests| requests.jwk()) {
        Some(jwk) => signer.publishing(jwk),
        None => signer,
    })
}

/// Runs the data plane on a thread of its own until `stopping` changes, and says when it has ended.
fn serve(
    server: Server,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<(JoinHandle<std::io::Result<()>>, watch::Receiver<bool>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (end, ended) = watch::channel(false);
    let thread = std::thread::Builder::new().name("data-plane".to_owned()).spawn(move || {
        let stop = async move { drop(stopping.changed().await) };
        let outcome = runtime.block_on(server.run(stop));
        let _ = end.send(true);
        outcome
    })?;
    Ok((thread, ended))
}

async fn asked_to_stop() -> std::io::Result<&'static str> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// Counters belong to the process: two instances in one (tests) share them.
fn metrics_of_this_process() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let seconds = Matcher::Suffix("_seconds".to_owned());
            let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS);
            let recorder = builder.unwrap_or_else(|_| PrometheusBuilder::new()).build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                warn!(event = "metrics", "another metrics recorder is in place; /metrics stays empty");
            }
            handle
        })
        .clone()
}
