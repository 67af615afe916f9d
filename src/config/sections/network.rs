//! `[listen]` and `[upstream]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{SizeLimit, Span};

/// Where samlgate listens.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct ListenSection {
    /// IP and port, unix:/run/samlgate.sock, or systemd: the socket that systemd passes on.
    pub(in crate::config) address: String,
    /// IP and port of health, metrics and the operator's API, or off.
    pub(in crate::config) ops_address: String,
    /// Certificate chain (PEM), with key: TLS.
    pub(in crate::config) certificate: Option<String>,
    /// Private key of the certificate: a file (PEM).
    pub(in crate::config) key: Option<String>,
    /// The same file, under the name that every secret's file has.
    pub(in crate::config) key_file: Option<String>,
    /// CIDRs of proxies whose Forwarded and X-Forwarded-* are believed.
    pub(in crate::config) trusted_proxies: Vec<String>,
    /// Whether trusted proxies may ask about requests (forward-auth); they may when nothing is said.
    pub(in crate::config) forward_auth: Option<bool>,
    /// Whether trusted proxies begin each connection with a header of the PROXY protocol, version 1 or 2.
    pub(in crate::config) proxy_protocol: bool,
    /// Worker threads; 0: one a core.
    pub(in crate::config) workers: usize,
}

impl Default for ListenSection {
    fn default() -> Self {
        Self {
            address: "0.0.0.0:8080".to_owned(),
            ops_address: "127.0.0.1:9090".to_owned(),
            certificate: None,
            key: None,
            key_file: None,
            trusted_proxies: Vec::new(),
            forward_auth: None,
            proxy_protocol: false,
            workers: 0,
        }
    }
}

/// The application.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct UpstreamSection {
    /// Required: http://host:port, https://host:port or unix:/run/app.sock.
    pub(in crate::config) url: Option<String>,
    /// Whether the application sees the Host that the client sent.
    pub(in crate::config) preserve_host: bool,
    /// Until connected, TLS included.
    pub(in crate::config) connect_timeout: Span,
    /// Until response headers; streams have no total limit.
    pub(in crate::config) response_timeout: Span,
    /// Of a stream or WebSocket with no bytes in either direction.
    pub(in crate::config) idle_timeout: Span,
    /// CA certificates (PEM) instead of the system's; https only.
    pub(in crate::config) ca: Option<String>,
    /// Client certificate (PEM), with key; https only.
    pub(in crate::config) certificate: Option<String>,
    /// Private key of the client certificate: a file (PEM).
    pub(in crate::config) key: Option<String>,
    /// The same file, under the name that every secret's file has.
    pub(in crate::config) key_file: Option<String>,
    /// Name to check in the application's certificate, instead of the URL's host.
    pub(in crate::config) server_name: Option<String>,
    /// Largest request body.
    pub(in crate::config) max_body: SizeLimit,
}

impl Default for UpstreamSection {
    fn default() -> Self {
        Self {
            url: None,
            preserve_host: true,
            connect_timeout: Span::seconds(5),
            response_timeout: Span::seconds(60),
            idle_timeout: Span::seconds(600),
            ca: None,
            certificate: None,
            key: None,
            key_file: None,
            server_name: None,
            max_body: SizeLimit::unlimited(),
        }
    }
}
