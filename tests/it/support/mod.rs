//! What the tests stand on.

pub(crate) mod app;
pub(crate) mod artifact_server;
pub(crate) mod browser;
pub(crate) mod fake_idp;
pub(crate) mod flaky_store;
pub(crate) mod front_proxy;
pub(crate) mod gateway;
pub(crate) mod h2_upstream;
pub(crate) mod http2;
pub(crate) mod metadata_server;
pub(crate) mod page;
pub(crate) mod raw;
pub(crate) mod site;
pub(crate) mod upstream;
pub(crate) mod vector_cases;
pub(crate) mod websocket_application;
pub(crate) mod websocket_http2;

/// A file of the shared vectors; `None`, with a word about it, when they aren't there.
pub(crate) fn vector_file(name: &str) -> Option<serde_json::Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors").join(name);
    match std::fs::read(&path) {
        Ok(octets) => Some(serde_json::from_slice(&octets).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: {}: {error}", path.display());
            None
        }
    }
}
