//! Single logout, end to end: who logs out here, who logs out at the identity provider, and whoever pretends to.

mod at_the_idp;
mod by_the_user;
mod forged;
mod live_streams;
mod racing_logins;

use http::{Method, StatusCode};
use samlgate::saml::logout::MessageKind;

use crate::support::fake_idp::{FakeIdp, LogoutBuilder, ParsedLogout, parse_logout, parse_logout_soap};
use crate::support::site::{Got, IDP, Jar, SLO_AT_IDP, Site};

const SLO: &str = "/_samlgate/slo";
const SP_CERTIFICATE: &str = include_str!("../fixtures/sp.crt");

/// How a message of the identity provider travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Redirect,
    Post,
    Soap,
}

const ALL: [By; 3] = [By::Redirect, By::Post, By::Soap];

fn idp() -> FakeIdp {
    FakeIdp::new(IDP)
}

/// A request of the identity provider, now: for the session `s1` of `alice`.
fn request(site: &Site) -> LogoutBuilder {
    idp().logout_request().at(site.now())
}

/// What a browser without any cookie, or the identity provider itself, gets for a message.
async fn send(site: &Site, by: By, message: &LogoutBuilder) -> Got {
    send_to(site, SLO, by, message).await
}

async fn send_to(site: &Site, slo: &str, by: By, message: &LogoutBuilder) -> Got {
    const PAGE: [(&str, &str); 3] = [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-site", "cross-site")];
    match by {
        By::Redirect => site.send(Method::GET, &format!("{slo}?{}", message.redirect(Some("state & more"))), &PAGE, "").await,
        By::Post => {
            let mut lines = PAGE.to_vec();
            lines.push(("content-type", "application/x-www-form-urlencoded"));
            site.send(Method::POST, slo, &lines, &posted(message)).await
        }
        By::Soap => site.send(Method::POST, &format!("{slo}/soap"), &[("content-type", "text/xml")], &message.soap()).await,
    }
}

/// The body of the form.
fn posted(message: &LogoutBuilder) -> String {
    use base64::Engine as _;
    let kind = if message.xml().starts_with("<samlp:LogoutRequest") { MessageKind::Request } else { MessageKind::Response };
    let field = if kind == MessageKind::Request { "SAMLRequest" } else { "SAMLResponse" };
    let xml = base64::engine::general_purpose::STANDARD.encode(message.post());
    encoded(&[(field, &xml), ("RelayState", "state & more")])
}

fn encoded(fields: &[(&str, &str)]) -> String {
    crate::support::browser::encode(fields)
}

/// The message that an answer takes to the identity provider, its signature verified: by a redirect, a form, or in an envelope.
fn outgoing(got: &Got) -> ParsedLogout {
    if got.status == StatusCode::SEE_OTHER {
        assert!(got.location().starts_with(SLO_AT_IDP), "{got:?}");
        return parse_logout(got.location(), Some(SP_CERTIFICATE)).unwrap();
    }
    assert_eq!(got.status, StatusCode::OK, "{}", got.text);
    if got.header("content-type").starts_with("text/xml") {
        return parse_logout_soap(&got.text, SP_CERTIFICATE).unwrap();
    }
    let form = got.form();
    assert_eq!((form.action.as_str(), form.method.as_str()), (SLO_AT_IDP, "post"));
    let fields: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    parse_logout(&encoded(&fields), Some(SP_CERTIFICATE)).unwrap()
}

/// Logs out as the application's own page does.
async fn log_out(site: &Site, jar: &mut Jar, path: &str) -> Got {
    site.log_out(jar, path, &[("sec-fetch-mode", "navigate")]).await
}
