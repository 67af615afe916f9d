//! `samlgate explain`: why a response or a logout message is refused, or who the user would be.

mod input;
mod logout;
mod report;

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::fetched::{self, Missing};
use super::{ConfigFile, USAGE, say, say_error};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::config::Config;
use crate::identity::Identity;
use crate::saml::artifact::response_in;
use crate::saml::envelope::{Envelope, peek};
use crate::saml::logout::{LogoutDocument, MessageKind, logout_document};
use crate::saml::verify::verify_response;
use crate::saml::{Checks, Expectations, Expected, IdentityProvider, IdpInitiated, SamlError, VerifiedAssertion};
use input::Input;
use logout::{Logout, Seen};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Verify as of this point in time (RFC 3339) instead of now
    #[arg(long, value_name = "RFC3339", value_parser = at)]
    at: Option<Timestamp>,
    /// The ID of the request that is answered; without it a login's response counts as unsolicited
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    request_id: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A file with the response or a logout message, as XML, base64, form body, or address with its query; - for standard input
    response: PathBuf,
}

/// What a saved answer to an artifact can't be held to.
const NOT_JUDGED: &str = "This is an IdP's answer to an artifact. The response in it is verified; the ArtifactResponse around it is not, since \
                          nobody knows any more what was asked";

fn at(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| "not a time like 2026-03-01T12:00:00Z".to_owned())
}

/// What became of a response.
struct Verdict<'a> {
    idp: Option<&'a IdentityProvider>,
    assertion: Option<VerifiedAssertion>,
    identity: Option<Identity>,
    /// When it is a logout message: which, and what it says.
    logout: Option<Seen>,
    checks: Checks,
    /// Reason code and what to change.
    refused: Option<(&'static str, String)>,
    /// What is worth knowing beside.
    notes: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut config = match arguments.file.load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    for Missing { id, url, why } in fetched::complete(&mut config, SystemClock.now()) {
        say_error(&format!("the metadata of {id} can't be had from {url}: {why}"));
    }
    let octets = match input::read(&arguments.response) {
        Ok(octets) if octets.trim_ascii().is_empty() => {
            say_error(&format!(
                "{} is empty; it must hold a message, as XML, base64, form body or address",
                input::name(&arguments.response)
            ));
            return ExitCode::from(USAGE);
        }
        Ok(octets) => octets,
        Err(error) => {
            say_error(&format!("cannot read {}: {error}", input::name(&arguments.response)));
            return ExitCode::from(USAGE);
        }
    };
    let now = arguments.at.unwrap_or_else(|| SystemClock.now());
    let verdict = judge(&config, &octets, arguments.request_id.as_deref(), now);
    let text = if arguments.json { report::json(&verdict) } else { report::text(&verdict) };
    match (say(&text), verdict.refused) {
        (printed, None) => printed,
        (_, Some(_)) => ExitCode::from(1),
    }
}

fn judge<'a>(config: &'a Config, octets: &[u8], request_id: Option<&str>, now: Timestamp) -> Verdict<'a> {
    let mut verdict = Verdict {
        idp: None,
        assertion: None,
        identity: None,
        logout: None,
        checks: Checks::default(),
        refused: None,
        notes: Vec::new(),
    };
    if let Err(refused) = sort_out(config, octets, request_id, now, &mut verdict) {
        verdict.refused = Some(refused);
    }
    verdict
}

/// Decodes the input and gives it to the service that it is for.
fn sort_out<'a>(
    config: &'a Config,
    octets: &[u8],
    request_id: Option<&str>,
    now: Timestamp,
    verdict: &mut Verdict<'a>,
) -> Result<(), (&'static str, String)> {
    let decoded = input::decode(octets).map_err(|error| {
        verdict.checks.failed("form field", error.explained());
        (error.code(), error.explained())
    })?;
    let (octets, field) = match decoded {
        Input::Query(query) => return logout::judge(config, &Logout::Redirect(query), request_id, now, verdict),
        Input::Xml(octets, field) => (octets, field),
    };
    match (field, logout_document(&octets)) {
        // Responses to logins come in the other field.
        (Some(MessageKind::Request), _) => {
            logout::judge(config, &Logout::Post(octets, MessageKind::Request), request_id, now, verdict)
        }
        (_, Some(LogoutDocument::Message(kind))) => {
            logout::judge(config, &Logout::Post(octets, field.unwrap_or(kind)), request_id, now, verdict)
        }
        (None, Some(LogoutDocument::Envelope)) => logout::judge(config, &Logout::Soap(octets), request_id, now, verdict),
        (_, _) => verify(config, &octets, request_id, now, verdict),
    }
}

fn verify<'a>(
    config: &'a Config,
    octets: &[u8],
    request_id: Option<&str>,
    now: Timestamp,
    verdict: &mut Verdict<'a>,
) -> Result<(), (&'static str, String)> {
    let octets = match response_in(octets) {
        None => Cow::Borrowed(octets),
        Some(inside) => inside.inspect(|_| verdict.notes.push(NOT_JUDGED.to_owned())).map(Cow::Owned).map_err(|error| {
            verdict.checks.failed("artifact", error.explained());
            (error.code(), error.explained())
        })?,
    };
    let envelope = peek(&octets).map_err(|error| {
        // What isn't fit to be looked at fails the first rules too, whoever sent it: they say how far it got.
        if let Some(idp) = config.identity_providers.first() {
            let acs_urls = config.acs_urls(idp);
            let expectations = expectations(config, idp, &acs_urls, request_id);
            drop(verify_response(&octets, &idp.anchors, &expectations, now, &mut verdict.checks));
        }
        refusal(error)
    })?;
    let idp = choose(config, &envelope).map_err(|error| {
        verdict.checks.failed("issuer", error.explained());
        refusal(error)
    })?;
    verdict.idp = Some(idp);
    let acs_urls = config.acs_urls(idp);
    let expectations = expectations(config, idp, &acs_urls, request_id);
    // The same function as the assertion consumer service calls.
    let verified = verify_response(&octets, &idp.anchors, &expectations, now, &mut verdict.checks);
    if request_id.is_none() {
        match (&envelope.in_response_to, idp.idp_initiated) {
            (Some(id), _) => {
                verdict.notes.push(format!(
                    "The response answers the login request {id:?}. To verify it as the answer to that request: --request-id {id}"
                ));
                if let Err(error @ SamlError::InResponseToMismatch { .. }) = &verified {
                    // That nobody said which request it answers is no sign of anything that went wrong in the browser.
                    verdict.checks = without_advice(&verdict.checks, error);
                    return Err((error.code(), error.to_string()));
                }
            }
            (None, IdpInitiated::Off) => {
                let error = SamlError::UnsolicitedNotAllowed;
                verdict.checks.failed("idp_initiated", error.explained());
                return Err(refusal(error));
            }
            (None, IdpInitiated::Restart) => verdict.notes.push(
                "idp_initiated is \"restart\": samlgate would take this response as a wish and start a login of its own"
                    .to_owned(),
            ),
            (None, IdpInitiated::Accept) => {}
        }
    }
    let assertion = verified.map_err(refusal)?;
    let identity = config.mapping.apply(&assertion);
    verdict.assertion = Some(assertion);
    match identity {
        Ok(identity) => {
            verdict.checks.passed("identity", format!("the user is {:?}", identity.user()));
            verdict.identity = Some(identity);
            Ok(())
        }
        Err(error) => {
            let detail = format!("{error}. Release the attribute at the IdP, or change [identity] to its exact Name");
            verdict.checks.failed("identity", &detail);
            Err((error.code(), detail))
        }
    }
}

fn choose<'a>(config: &'a Config, envelope: &Envelope) -> Result<&'a IdentityProvider, SamlError> {
    match &envelope.issuer {
        Some(issuer) => config
            .identity_providers
            .iter()
            .find(|idp| idp.entity_id == *issuer)
            .ok_or_else(|| SamlError::UnknownIssuer(issuer.chars().take(200).collect())),
        // Only the encrypted part can say who sent it: with one IdP there is no choice.
        None => match config.identity_providers.as_slice() {
            [only] => Ok(only),
            _ => Err(SamlError::UnknownIssuer(String::new())),
        },
    }
}

fn expectations<'a>(
    config: &'a Config,
    idp: &'a IdentityProvider,
    acs_urls: &'a [String],
    request_id: Option<&'a str>,
) -> Expectations<'a> {
    Expectations {
        idp_entity_id: &idp.entity_id,
        sp_entity_id: &config.service_provider.entity_id,
        acs_urls,
        expected: request_id.map_or(Expected::Unsolicited, Expected::AnswerTo),
        compat: idp.compat,
        clock_skew: idp.clock_skew,
        max_age: idp.max_age,
        authn_context: &idp.authn_context,
        authenticated_since: None,
        decryption_keys: &config.service_provider.keys,
    }
}

/// The same checks, without the advice of `error`.
fn without_advice(checks: &Checks, error: &SamlError) -> Checks {
    let mut plain = Checks::default();
    for check in checks.all() {
        match check.ok {
            true => plain.passed(check.name, &check.detail),
            false if check.detail == error.explained() => plain.failed(check.name, error.to_string()),
            false => plain.failed(check.name, &check.detail),
        }
    }
    plain
}

fn refusal(error: SamlError) -> (&'static str, String) {
    (error.code(), error.explained())
}
