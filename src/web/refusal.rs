//! The only file that turns errors into HTTP responses: a page for people, JSON for programs, each with the request's id.

use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::Reply;
use super::context::{RequestContext, is_grpc, wants_page};
use super::pages::{Forms, Link, MessagePage, json, page, whole};
use crate::access::Forbidden;
use crate::login::{Fault, Refusal, Refused};
use crate::return_path::ReturnPath;
use crate::saml::logout::{MessageKind, SoapFault, soap_fault};

/// Why a request gets no answer from the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It can't be understood in one way only; what is wrong with it, in a few words.
    BadRequest(&'static str),
    /// The user may not do this.
    Forbidden(Forbidden),
    /// No such endpoint of ours.
    NotFound,
    /// A form that was kept for a login is not here any more.
    FormGone,
    /// The method doesn't fit this endpoint of ours.
    MethodNotAllowed,
    /// Another site's page sent it.
    CrossSite,
    /// Who asks as a front proxy is none that is trusted.
    UntrustedProxy,
    /// The body is larger than `max_body`, or than what we read ourselves.
    PayloadTooLarge,
    /// The headers are larger than we read.
    HeadersTooLarge,
    /// The path is longer than we read.
    TargetTooLong,
    /// The session ended while the request was under way.
    SessionEnded,
    /// The client was too slow.
    RequestTimeout,
    /// The application can't be reached.
    UpstreamUnreachable,
    /// The application doesn't answer.
    UpstreamTimeout,
    /// The store doesn't answer, so nobody knows who this is.
    StoreAway,
    /// Too much is being sent to us at once.
    Busy,
    /// A mistake of ours.
    Internal,
}

impl Problem {
    /// The status code.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) | Self::CrossSite | Self::UntrustedProxy => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::FormGone => StatusCode::GONE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::SessionEnded => StatusCode::UNAUTHORIZED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UpstreamUnreachable => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::StoreAway | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable reason code.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::Forbidden(forbidden) => forbidden.code(),
            Self::NotFound => "not_found",
            Self::FormGone => "form_gone",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::CrossSite => "cross_site",
            Self::UntrustedProxy => "untrusted_proxy",
            Self::PayloadTooLarge => "too_large",
            Self::HeadersTooLarge => "headers_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::SessionEnded => "login_required",
            Self::RequestTimeout => "request_timeout",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::StoreAway => "store_unavailable",
            Self::Busy => "busy",
            Self::Internal => "internal_error",
        }
    }

    /// Heading and text for people.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequest(what) => ("This request can't be understood", what),
            Self::Forbidden(Forbidden::RoleRequired) => (
                "You may not see this page",
                "Your account doesn't have the role that this page needs. Ask your administrator, or sign in with another account.",
            ),
            Self::Forbidden(Forbidden::NotAllowed) => ("You may not see this page", "This page is not open to anybody."),
            Self::NotFound => ("There is nothing here", "The address may be misspelled, or this version doesn't have the page."),
            Self::FormGone => (
                "What you had sent is not here any more",
                "It was kept for your sign-in, and it was shown already, or it is too old, or somebody else sent it. Go back to its page and send it again.",
            ),
            Self::MethodNotAllowed => ("That doesn't work here", "This address takes other kinds of requests."),
            Self::UntrustedProxy => (
                "This is not for you",
                "Only a proxy that the configuration names as trusted may ask here, and yours is not among them.",
            ),
            Self::CrossSite => ("That came from another site", "Please do it here, on this site."),
            Self::PayloadTooLarge => ("That is too large", "What you sent is larger than this service takes."),
            Self::HeadersTooLarge => {
                ("That is too large", "Your browser sent too much, often too many cookies. Delete this site's cookies.")
            }
            Self::TargetTooLong => ("That address is too long", "Please check the link, or tell whoever gave it to you."),
            Self::SessionEnded => ("You have been signed out", "Your session ended before this was done. Sign in and try again."),
            Self::RequestTimeout => ("That took too long", "What you sent didn't arrive in time. Please try again."),
            Self::UpstreamUnreachable => (
                "The application can't be reached",
                "You are still signed in. Please try again in a minute; if that doesn't help, tell your administrator.",
            ),
            Self::UpstreamTimeout => (
                "The application doesn't answer",
                "You are still signed in. Please try again in a minute; if that doesn't help, tell your administrator.",
            ),
            Self::StoreAway => ("Not available right now", "We can't look up who is signed in. Please try again in a minute."),
            Self::Busy => ("Too busy right now", "Too much arrives here at once. Please try again in a minute."),
            Self::Internal => ("Something went wrong", "Please try again; if that doesn't help, tell your administrator."),
        }
    }

    /// What gRPC calls it (gRPC's mapping from HTTP, with the finer codes where they fit).
    fn grpc_status(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "3",
            Self::Forbidden(_) | Self::CrossSite | Self::UntrustedProxy => "7",
            Self::NotFound | Self::MethodNotAllowed | Self::FormGone => "12",
            Self::PayloadTooLarge | Self::HeadersTooLarge | Self::TargetTooLong => "8",
            Self::SessionEnded => "16",
            Self::RequestTimeout | Self::UpstreamTimeout => "4",
            Self::UpstreamUnreachable | Self::StoreAway | Self::Busy => "14",
            Self::Internal => "13",
        }
    }
}

/// The answer to a request that has a problem. `sign_in` is where to sign in as somebody else.
pub(super) fn problem(problem: Problem, headers: &HeaderMap, context: &RequestContext, sign_in: String) -> Reply {
    let status = problem.status();
    let (heading, text) = problem.words();
    let mut reply = if is_grpc(headers) {
        grpc(problem.grpc_status(), problem.code())
    } else if wants_page(headers) {
        let other = || Link { href: sign_in.clone(), label: "Use another account".to_owned() };
        let again = || Link { href: sign_in.clone(), label: "Sign in".to_owned() };
        let link = match problem {
            Problem::Forbidden(Forbidden::RoleRequired) => Some(other()),
            Problem::SessionEnded => Some(again()),
            _ => None,
        };
        let message = MessagePage { heading, text, said: None, link, code: Some(problem.code()), request_id: &context.id };
        page(status, &message, Forms::None)
    } else {
        json(status, &json!({"error": problem.code(), "message": text, "request_id": context.id}))
    };
    if matches!(problem, Problem::StoreAway | Problem::Busy | Problem::UpstreamUnreachable) {
        retry_later(&mut reply);
    }
    if status == StatusCode::UNAUTHORIZED {
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("SAML"));
    }
    reply
}

/// The answer to a login that was refused.
pub(super) fn login(refusal: &Refusal, headers: &HeaderMap, context: &RequestContext, login_url: &str) -> Reply {
    let status = status_of(refusal.fault);
    let try_again =
        try_again(login_url, &refusal.try_again, refusal.idp.as_deref()) + &asking(refusal.force_authn, &refusal.authn_context);
    let mut reply = if wants_page(headers) {
        let (heading, link) = if refusal.signed_in {
            ("You are signed in", Link { href: refusal.try_again.to_string(), label: "Go on".to_owned() })
        } else {
            ("You could not be signed in", Link { href: try_again, label: "Try again".to_owned() })
        };
        let message = MessagePage {
            heading,
            text: refusal.hint,
            said: refusal.said.as_deref(),
            link: Some(link),
            code: Some(refusal.code),
            request_id: &context.id,
        };
        page(status, &message, Forms::None)
    } else {
        let mut body = json!({
            "error": refusal.code,
            "message": refusal.hint,
            "request_id": context.id,
            "try_again": try_again,
        });
        if let (Some(body), Some(said)) = (body.as_object_mut(), &refusal.said) {
            body.insert("idp_message".to_owned(), said.as_str().into());
        }
        json(status, &body)
    };
    if refusal.signed_in
        && let Ok(onwards) = HeaderValue::from_str(&format!("0; url={}", refusal.try_again))
    {
        // A reload of the IdP's POST: refused, but this browser is signed in by that very answer, so it goes on by itself.
        reply.headers_mut().insert(HeaderName::from_static("refresh"), onwards);
    }
    if refusal.fault == Fault::Unavailable {
        retry_later(&mut reply);
    }
    reply
}

fn status_of(fault: Fault) -> StatusCode {
    match fault {
        Fault::Malformed => StatusCode::BAD_REQUEST,
        Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Fault::Refused => StatusCode::FORBIDDEN,
        Fault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer to a logout message that was refused. Strangers can make any browser show it, so it says nothing of what the user has
/// done or is. `logout_url` is where to log out here, `return_to` where users go afterwards.
pub(super) fn logout(
    refused: &Refused,
    headers: &HeaderMap,
    context: &RequestContext,
    logout_url: &str,
    return_to: &ReturnPath,
) -> Reply {
    let Refused { kind, why } = refused;
    let status = status_of(why.fault);
    let here = || Link { href: logout_url.to_owned(), label: "Sign out here".to_owned() };
    let on = || Link { href: return_to.to_string(), label: "Go on".to_owned() };
    let (heading, text, link) = match (kind, why.code) {
        (_, "busy" | "store_unavailable") => (
            "Not available right now",
            "This sign-out could not be looked at. Please try again in a minute, or sign out here.",
            here(),
        ),
        (Some(MessageKind::Response), "in_response_to_mismatch") => (
            "This sign-out is over",
            "It was finished already, or it took too long. If you signed out on this site, you are signed out here.",
            on(),
        ),
        (Some(MessageKind::Response), _) => (
            "Your identity provider's answer could not be accepted",
            "If you signed out on this site, you are signed out here, but perhaps not at your identity provider. To be sure, close \
             your browser, or sign out there.",
            on(),
        ),
        _ => (
            "This sign-out could not be accepted",
            "Your identity provider seems to have sent you here to sign out, in a way that is not accepted. You may still be signed \
             in: sign out here, and tell your administrator the reason below.",
            here(),
        ),
    };
    let mut reply = if wants_page(headers) {
        let message = MessagePage { heading, text, said: None, link: Some(link), code: Some(why.code), request_id: &context.id };
        page(status, &message, Forms::None)
    } else {
        json(status, &json!({"error": why.code, "message": text, "request_id": context.id}))
    };
    if why.fault == Fault::Unavailable {
        retry_later(&mut reply);
    }
    reply
}

/// What a user sees who is signed out here, and perhaps not elsewhere. `said` is what the IdP says about it.
pub(super) fn logout_incomplete(
    code: &'static str,
    said: Option<&str>,
    return_to: &ReturnPath,
    context: &RequestContext,
) -> Reply {
    let message = MessagePage {
        heading: "You are signed out here, but perhaps not everywhere",
        text: "Your session on this site has ended. Your identity provider did not confirm that you are signed out there and at all \
               other applications. To be sure, close your browser, or sign out at your identity provider.",
        said,
        link: Some(Link { href: return_to.to_string(), label: "Go on".to_owned() }),
        code: Some(code),
        request_id: &context.id,
    };
    page(StatusCode::OK, &message, Forms::None)
}

/// A SOAP fault (SOAP 1.1, 6.2: with status 500, whosever fault it is).
pub(super) fn soap(fault: SoapFault, code: &str) -> Reply {
    let mut reply = whole(StatusCode::INTERNAL_SERVER_ERROR, "text/xml; charset=utf-8", soap_fault(fault, code));
    if fault == SoapFault::Server {
        retry_later(&mut reply);
    }
    reply
}

/// A gRPC answer without a message ("Trailers-Only").
pub(super) fn grpc(status: &'static str, message: &'static str) -> Reply {
    let mut reply = whole(StatusCode::OK, "application/grpc", "");
    reply.headers_mut().insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static(status));
    reply.headers_mut().insert(HeaderName::from_static("grpc-message"), HeaderValue::from_static(message));
    reply
}

/// A link that begins a login towards a page.
pub(super) fn try_again(login_url: &str, page: &ReturnPath, idp: Option<&str>) -> String {
    let idp = idp.map(|idp| format!("&idp={}", component(idp))).unwrap_or_default();
    format!("{login_url}?return_to={}{idp}", component(page.as_str()))
}

/// What such a link says when the login must be a good one: that the user is asked anew, and of which classes it must be.
pub(super) fn asking(force_authn: bool, authn_context: &[String]) -> String {
    let force = if force_authn { "&force=true" } else { "" };
    authn_context.iter().fold(force.to_owned(), |link, class| format!("{link}&authn_context={}", component(class)))
}

/// A query value.
pub(super) fn component(text: &str) -> impl std::fmt::Display + '_ {
    /// Everything that could end a value, and more; slashes may stay for people's eyes.
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, ESCAPED)
}

fn retry_later(reply: &mut Reply) {
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
}
