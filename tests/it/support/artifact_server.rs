//! An identity provider's artifact resolution service on loopback, as good or bad as a test wants it.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use super::fake_idp::{ArtifactResponseBuilder, FakeIdp, ParsedResolve, parse_artifact_resolve};
use super::upstream::{Seen, Then, Upstream};

type Change = dyn Fn(ArtifactResponseBuilder) -> String + Send + Sync;

/// What it does for an artifact that it knows.
#[derive(Clone)]
enum Manner {
    /// What it should.
    Proper,
    /// Another envelope.
    Changed(Arc<Change>),
    /// These octets instead of HTTP.
    Raw(Vec<u8>),
    /// Nothing, as long as anybody waits.
    Silence,
    /// Octets without an end.
    Endless,
}

struct State {
    idp: FakeIdp,
    at: samlgate::clock::Timestamp,
    messages: Mutex<HashMap<String, String>>,
    manner: Mutex<Manner>,
    asked: Mutex<Vec<ParsedResolve>>,
}

/// The service. It hands each message out once.
pub(crate) struct ArtifactServer {
    upstream: Upstream,
    state: Arc<State>,
}

impl ArtifactServer {
    /// Of this IdP; it verifies what it is asked with our certificate, and its clock stands at `at`.
    pub(crate) fn start(idp: FakeIdp, at: samlgate::clock::Timestamp) -> Self {
        let state =
            Arc::new(State { idp, at, messages: Mutex::default(), manner: Mutex::new(Manner::Proper), asked: Mutex::default() });
        let own = Arc::clone(&state);
        let upstream = Upstream::answering(move |seen, stream| {
            // a client that has gone is no event
            drop(respond(&own, seen, stream));
            Then::Close
        });
        Self { upstream, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/resolve", self.upstream.address)
    }

    /// A fresh artifact for a message.
    pub(crate) fn keeps(&self, message: String) -> String {
        let mut messages = self.state.messages.lock().unwrap();
        let artifact = self.state.idp.artifact(1, &format!("handle {}", messages.len()));
        messages.insert(artifact.clone(), message);
        artifact
    }

    /// From now on its answers are changed.
    pub(crate) fn answers(&self, change: impl Fn(ArtifactResponseBuilder) -> String + Send + Sync + 'static) {
        *self.state.manner.lock().unwrap() = Manner::Changed(Arc::new(change));
    }

    pub(crate) fn answers_raw(&self, octets: &[u8]) {
        *self.state.manner.lock().unwrap() = Manner::Raw(octets.to_vec());
    }

    pub(crate) fn is_silent(&self) {
        *self.state.manner.lock().unwrap() = Manner::Silence;
    }

    pub(crate) fn is_endless(&self) {
        *self.state.manner.lock().unwrap() = Manner::Endless;
    }

    pub(crate) fn is_proper(&self) {
        *self.state.manner.lock().unwrap() = Manner::Proper;
    }

    /// Every well-signed question so far.
    pub(crate) fn asked(&self) -> Vec<ParsedResolve> {
        self.state.asked.lock().unwrap().clone()
    }

    /// How many requests came, of whatever kind.
    pub(crate) fn contacts(&self) -> Vec<Seen> {
        self.upstream.seen()
    }
}

fn respond(state: &State, seen: &Seen, stream: &mut TcpStream) -> std::io::Result<()> {
    let asked = String::from_utf8_lossy(&seen.body).into_owned();
    let asked = match parse_artifact_resolve(&asked, super::app::SP_CERTIFICATE) {
        Ok(asked) => asked,
        Err(error) => {
            let fault = format!(
                "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><soap:Fault><faultcode>soap:Client\
                 </faultcode><faultstring>{error}</faultstring></soap:Fault></soap:Body></soap:Envelope>"
            );
            return ok(stream, &fault);
        }
    };
    state.asked.lock().unwrap().push(asked.clone());
    let message = state.messages.lock().unwrap().insert(asked.artifact.clone(), String::new()).unwrap_or_default();
    let answer = state.idp.artifact_response(&asked.id, &message).at(state.at);
    let manner = state.manner.lock().unwrap().clone();
    match manner {
        Manner::Proper => ok(stream, &answer.envelope()),
        Manner::Changed(change) => ok(stream, &change(answer)),
        Manner::Raw(octets) => stream.write_all(&octets),
        Manner::Silence => {
            let _ = stream.read(&mut [0]);
            Ok(())
        }
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n")?;
            let some = vec![b' '; 1 << 16];
            loop {
                stream.write_all(&some)?;
            }
        }
    }
}

fn ok(stream: &mut TcpStream, envelope: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{envelope}", envelope.len())
}
