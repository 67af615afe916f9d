//! Integration tests: everything that needs more than one module, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what goes wrong ends the test"
)]
#![allow(unreachable_pub, reason = "a test binary has no one to reach it")]

mod architecture;
mod artifacts;
mod artifacts_forged;
mod attacks;
mod choosing;
mod commands;
mod desync;
mod encryption;
mod end_to_end;
mod endpoints;
mod explain_logout;
mod fake_idp;
mod forward_auth;
mod front_proxies;
mod http2_application;
mod http_targets;
mod identity_headers;
mod kept_through_login;
mod key_rollover;
mod login_record;
mod login_start;
mod logins;
mod logout;
mod logout_sent;
mod logout_vectors;
mod long_transfers;
mod metadata;
mod metadata_commands;
mod metadata_refresh;
mod metadata_signed;
mod own_vectors;
mod proxy_protocol;
mod proxying;
mod request_signature;
mod requests;
mod return_paths;
mod several_applications;
mod single_logout;
mod smuggling;
mod smuggling_table;
mod snippets;
mod step_up;
mod store_away;
mod support;
mod tls_versions;
mod vectors;
mod websocket;
mod websocket_ends;
mod websocket_http2;
