//! Settings of the data plane.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IP and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
    /// The socket that systemd, or whoever started the process, passed on (sd_listen_fds(3)).
    Systemd,
}

/// As `listen.address` is written.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd => f.write_str("systemd"),
        }
    }
}

/// Certificate chain and key, PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Chain, the server's own first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// `[listen]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSettings {
    /// Public address.
    pub address: Address,
    /// Health, metrics and the operator's API; `None`: off.
    pub ops_address: Option<SocketAddr>,
    /// TLS, when given.
    pub tls: Option<TlsFiles>,
    /// Peers whose Forwarded and X-Forwarded-* are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether trusted proxies may ask about requests.
    pub forward_auth: bool,
    /// Whether trusted proxies begin each connection with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Worker threads; 0: one a core.
    pub workers: usize,
}

/// Where the application is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamUrl {
    /// Plain HTTP/1.1 to host and port.
    Http {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// HTTP/2 without TLS, known beforehand (RFC 9113 section 3.3), to host and port.
    H2c {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// TLS to host and port: HTTP/2 when the application takes it, else HTTP/1.1.
    Https {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// HTTP/1.1 over a unix socket.
    Unix(PathBuf),
}

/// As `upstream.url` is written.
impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { host, port } => write!(f, "http://{host}:{port}"),
            Self::H2c { host, port } => write!(f, "h2c://{host}:{port}"),
            Self::Https { host, port } => write!(f, "https://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `[upstream]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Where.
    pub url: UpstreamUrl,
    /// Whether the client's Host is kept; otherwise the upstream's own name is sent.
    pub preserve_host: bool,
    /// Until connected (and TLS done).
    pub connect_timeout: Duration,
    /// Until response headers.
    pub response_timeout: Duration,
    /// Of a stream or WebSocket without a byte in either direction.
    pub idle_timeout: Duration,
    /// CA certificates (PEM) instead of the system's, https only.
    pub ca: Option<PathBuf>,
    /// Client certificate, https only.
    pub client_certificate: Option<TlsFiles>,
    /// Name to check in the certificate instead of the URL's host.
    pub server_name: Option<String>,
    /// Largest request body, in octets; `None`: unlimited.
    pub max_body: Option<u64>,
}
