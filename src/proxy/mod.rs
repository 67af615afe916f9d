//! The data plane. A connection meets it in this order: `listener`, `worker`, `connection` (with `client_io`, `wire`, `tls`),
//! `gate` (with `judge`), then `forward` or `upgrade`, which reach the application through `pool`, `link` (with
//! `request_head`, `outbox`, `answer`, `remaining`) and `connect`.
//!
//! Every worker is a thread with an event loop, a socket and connections to the application of its own. What they share is
//! only read while requests run.

mod answer;
mod authority;
mod body;
mod client_io;
mod connect;
mod connection;
mod forward;
mod forward_auth;
mod forwarded;
mod gate;
mod hop_by_hop;
mod judge;
mod link;
mod listener;
mod measure;
mod outbox;
mod pool;
mod remaining;
mod request_head;
mod request_id;
mod server;
pub mod settings;
mod tls;
mod upgrade;
mod watch;
mod wire;
mod worker;

pub use connect::{Upstream, UpstreamError};
pub use gate::GateParts;
pub use server::{Handle, Server};
pub use tls::{Certificate, TlsError};
