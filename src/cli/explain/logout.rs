//! A logout message of an IdP, verified exactly as the single logout service would.

use super::{Verdict, input};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::saml::logout::{
    LogoutError, LogoutExpectations, LogoutMessage, MessageKind, Received, peek, peek_redirect, peek_soap, verify_post,
    verify_redirect, verify_soap,
};
use crate::saml::{IdentityProvider, SamlError};

/// A logout message, by the binding that it came by.
pub(super) enum Found {
    /// Redirect: the query.
    Query(String),
    /// POST: the XML.
    Document(MessageKind, Vec<u8>),
    /// SOAP: the envelope.
    Envelope(Vec<u8>),
}

/// The logout message in what an operator has at hand: the address or the query of a redirect, a form body, base64, XML. `None` for
/// everything else, which the rules for responses judge.
pub(super) fn find(octets: &[u8]) -> Option<Found> {
    if let Some(query) = std::str::from_utf8(octets).ok().and_then(|text| query(text.trim())) {
        return Some(Found::Query(query.to_owned()));
    }
    let decoded = input::decode(octets).ok()?;
    let kinds = [MessageKind::Request, MessageKind::Response];
    match kinds.into_iter().find(|&kind| peek(&decoded, kind).is_ok()) {
        Some(kind) => Some(Found::Document(kind, decoded)),
        None if peek_soap(&decoded).is_ok() => Some(Found::Envelope(decoded)),
        None => None,
    }
}

/// The query of the Redirect binding. A form body looks alike, but has XML in it that isn't compressed.
fn query(text: &str) -> Option<&str> {
    let (is_address, query) = match text.split_once('?') {
        Some((address, query)) if address.starts_with("http") => (true, query),
        _ => (false, text),
    };
    let kind = peek_redirect(query).ok()?.kind;
    let is_form = input::decode(query.as_bytes()).is_ok_and(|decoded| decoded.starts_with(b"<"));
    // A form with a login response that is no XML looks like an unsigned query.
    let is_query = is_address || kind == MessageKind::Request || query.contains("SigAlg=");
    (is_query && !is_form).then_some(query)
}

/// Verifies it. `request_id` is that of our LogoutRequest, which a LogoutResponse answers.
pub(super) fn verify<'a>(
    config: &'a Config,
    found: &Found,
    request_id: Option<&str>,
    now: Timestamp,
    verdict: &mut Verdict<'a>,
) -> Result<(), (&'static str, String)> {
    let slo_urls = config.slo_urls(matches!(found, Found::Envelope(_)));
    let mut outcome = Err(LogoutError::Saml(SamlError::UnknownIssuer(String::new())));
    for idp in candidates(config, found)? {
        let expectations = expectations(config, idp, &slo_urls, request_id);
        let received = match found {
            Found::Query(query) => verify_redirect(query, &idp.anchors, &expectations, now),
            Found::Document(kind, octets) => verify_post(octets, *kind, &idp.anchors, &expectations, now),
            Found::Envelope(octets) => verify_soap(octets, &idp.anchors, &expectations, now),
        };
        // A query says whose it is by its signature alone, so a signature that isn't this IdP's says nothing yet.
        let is_vague = matches!(received, Err(LogoutError::Saml(SamlError::SignatureInvalid(_))));
        outcome = received;
        if !is_vague {
            verdict.idp = Some(idp);
            break;
        }
    }
    match outcome {
        Ok(received) => {
            verdict.checks.passed("logout message", summary(found, &received));
            Ok(())
        }
        Err(error) => {
            verdict.checks.failed("logout message", error.explained());
            if matches!(error, LogoutError::InResponseToMismatch) {
                verdict
                    .notes
                    .push("--request-id says which logout request of ours it answers: saml_request_id in the log".to_owned());
            }
            Err((error.code(), error.explained()))
        }
    }
}

/// The IdPs whose message it may be.
fn candidates<'a>(config: &'a Config, found: &Found) -> Result<Vec<&'a IdentityProvider>, (&'static str, String)> {
    let refused = |error: &LogoutError| (error.code(), error.explained());
    let envelope = match found {
        Found::Query(_) => return Ok(config.identity_providers.iter().collect()),
        Found::Document(kind, octets) => peek(octets, *kind),
        Found::Envelope(octets) => peek_soap(octets),
    };
    let issuer = envelope.map_err(|error| refused(&error))?.issuer.unwrap_or_default();
    match config.identity_providers.iter().find(|idp| idp.entity_id == issuer) {
        Some(idp) => Ok(vec![idp]),
        None => Err(refused(&SamlError::UnknownIssuer(issuer.chars().take(200).collect()).into())),
    }
}

fn expectations<'a>(
    config: &'a Config,
    idp: &'a IdentityProvider,
    slo_urls: &'a [String],
    in_response_to: Option<&'a str>,
) -> LogoutExpectations<'a> {
    LogoutExpectations {
        idp_entity_id: &idp.entity_id,
        slo_urls,
        in_response_to,
        sp_entity_id: &config.service_provider.entity_id,
        decryption_keys: &config.service_provider.keys,
        compat: idp.compat,
        clock_skew: idp.clock_skew,
        max_age: idp.max_age,
    }
}

/// What it would do.
fn summary(found: &Found, received: &Received) -> String {
    let binding = match found {
        Found::Query(_) => "Redirect",
        Found::Document(..) => "POST",
        Found::Envelope(_) => "SOAP",
    };
    match received.message() {
        LogoutMessage::Request(request) => {
            let which = match request.session_indexes() {
                [] => "all sessions".to_owned(),
                some => format!("the sessions with SessionIndex {some:?}"),
            };
            format!("a signed LogoutRequest by {binding}; ends {which} of NameID {:?}", request.name_id().value)
        }
        LogoutMessage::Response(response) if response.status().is_complete() => {
            format!("a signed LogoutResponse by {binding}; the IdP has ended everything")
        }
        LogoutMessage::Response(response) => {
            let status = response.status();
            let codes = [Some(&status.top), status.second.as_ref(), status.message.as_ref()];
            let codes: Vec<_> = codes.into_iter().flatten().collect();
            format!("a signed LogoutResponse by {binding}; the IdP has not ended everything: {codes:?}")
        }
    }
}
