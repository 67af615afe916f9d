//! The data plane. A connection meets it in this order: `listener`, `worker`, `connection` (with `proxy_protocol`, `tls`, `transport`, `client_io`,
//! `wire`; HTTP/1.1 is `http1` with `client_head`, `inbox`, `remaining` and `sending`, HTTP/2 is hyper's), `gate` (with `judge`), then `forward`
//! or `upgrade`, which reach the application through `pool`, `link` (HTTP/1.1, with `outbox` and `answer`) or `multiplexed` (HTTP/2),
//! `request_head` and `connect`. A WebSocket, of HTTP/2 too (`extended_connect`), is then a `tunnel` of two `direction`s, which know
//! where `frames` end.
//!
//! Every worker is a thread with an event loop, a socket and connections to the application of its own. What they share is
//! only read while requests run.

mod answer;
mod authority;
mod body;
mod body_lines;
mod client_head;
mod client_io;
mod connect;
mod connection;
mod direction;
mod extended_connect;
mod forward;
mod forward_auth;
mod forwarded;
mod frames;
mod gate;
mod hop_by_hop;
mod http1;
mod inbox;
mod incoming;
mod judge;
mod link;
mod listener;
mod measure;
mod multiplexed;
mod outbox;
mod pool;
mod proxy_protocol;
mod remaining;
mod request_head;
mod request_id;
mod sending;
mod server;
pub mod settings;
mod tls;
mod transport;
mod tunnel;
mod upgrade;
mod watch;
mod wire;
mod worker;

pub use connect::{UpstreamError, Upstreams};
pub use gate::GateParts;
pub use server::{Handle, Server};
pub use tls::{Certificate, TlsError};
