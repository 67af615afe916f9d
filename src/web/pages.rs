//! The pages that people see, and the headers that keep them harmless. They work without scripts.

use askama::Template;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::Reply;
use crate::login::TestReport;
use crate::saml::PostForm;

/// The style of all pages.
pub(super) const STYLE: &str = include_str!("../../templates/style.css");
/// The script that sends the form of [`PostPage`] without a click.
pub(super) const SUBMIT: &str = "document.forms[0].submit()";

/// The script of [`FragmentPage`]: follows its link, with the fragment of the address, escaped, at the end of the last value.
pub(super) const CARRY: &str = "location.replace(document.getElementById(\"on\").href+encodeURIComponent(location.hash))";

/// A link that looks like a button.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) href: String,
    pub(super) label: String,
}

/// A few words, and perhaps something to do.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct MessagePage<'a> {
    pub(super) heading: &'a str,
    pub(super) text: &'a str,
    pub(super) said: Option<&'a str>,
    pub(super) link: Option<Link>,
    pub(super) code: Option<&'a str>,
    pub(super) request_id: &'a str,
}

/// One of several IdPs.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) link: Link,
    /// The last login was with this one.
    pub(super) last: bool,
}

/// Several IdPs: which one?
#[derive(Template)]
#[template(path = "chooser.html")]
pub(super) struct ChooserPage {
    pub(super) choices: Vec<Choice>,
    /// Where a mail address is sent to, when it can lead to an IdP.
    pub(super) by_address: Option<String>,
    /// An address was sent that doesn't.
    pub(super) unknown: bool,
}

/// A button to log out with.
#[derive(Template)]
#[template(path = "logout.html")]
pub(super) struct LogoutPage {
    pub(super) action: String,
}

/// Leads to a login with the fragment of the address that the browser shows, which only a script can read. Without scripts it leads
/// there without.
#[derive(Template)]
#[template(path = "fragment.html")]
pub(super) struct FragmentPage {
    /// Ends with a value to which an escaped fragment can be added.
    pub(super) href: String,
}

/// A form that was kept through a login: what is in it and where it goes, and a button that sends it. Values may be passwords, so
/// they are not shown.
#[derive(Template)]
#[template(path = "form.html")]
pub(super) struct FormPage<'a> {
    pub(super) user: &'a str,
    /// The whole address of the page that it goes to.
    pub(super) address: &'a str,
    /// Its path.
    pub(super) page: &'a str,
    pub(super) fields: &'a [(String, String)],
}

/// A form that posts itself to the IdP (Bindings 3.5.4).
#[derive(Template)]
#[template(path = "post.html")]
pub(super) struct PostPage<'a> {
    pub(super) heading: &'a str,
    pub(super) form: &'a PostForm,
}

/// The result of a test login.
#[derive(Template)]
#[template(path = "test.html")]
pub(super) struct TestPage<'a> {
    pub(super) report: &'a TestReport,
    pub(super) again: String,
    pub(super) request_id: &'a str,
}

/// Where the forms of a page may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forms {
    /// There are none.
    None,
    /// There are none, and the script of [`FragmentPage`] runs.
    Fragment,
    /// To ourselves, and by the redirects that follow on to an IdP: whoever signs out lands on a page that may need a login.
    Own,
    /// To an IdP by https. Browsers apply the policy to every redirect that follows, and IdPs send users on to hosts that
    /// nobody here knows, so the policy can name no host.
    Idp,
    /// To an IdP by http, on a test machine.
    PlainIdp,
}

/// A page as an answer.
pub(super) fn page(status: StatusCode, template: &impl Template, forms: Forms) -> Reply {
    match template.render() {
        Ok(html) => {
            let mut reply = whole(status, "text/html; charset=utf-8", html);
            let policy = HeaderValue::from_str(&policy(forms)).unwrap_or(HeaderValue::from_static("default-src 'none'"));
            reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
            if matches!(forms, Forms::Idp | Forms::PlainIdp) {
                // With "same-origin" the form would be posted with `Origin: null`, which firewalls before IdPs refuse.
                reply.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
            }
            reply
        }
        Err(_) => whole(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", "the page could not be written\n"),
    }
}

/// JSON as an answer.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Reply {
    whole(status, "application/json", format!("{value}\n"))
}

/// Any answer of ours: whole, and never kept by a cache.
pub(super) fn whole(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    harmless(reply.headers_mut());
    reply
}

/// An answer that sends the browser elsewhere; `None` when `to` can't stand in a header.
pub(super) fn redirect(status: StatusCode, to: &str) -> Option<Reply> {
    let to = HeaderValue::from_str(to).ok()?;
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply.headers_mut().insert(http::header::LOCATION, to);
    harmless(reply.headers_mut());
    Some(reply)
}

/// "same-origin" and not "no-referrer", because with the latter browsers hide the Origin of our own forms from us.
fn harmless(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Nothing may be loaded, and only this style and this script count (CSP 3, by hash: they never change, so no nonce is needed).
fn policy(forms: Forms) -> String {
    let (script, form_action) = match forms {
        Forms::None => (String::new(), "'none'"),
        Forms::Fragment => (format!("script-src '{}'; ", hash(CARRY)), "'none'"),
        Forms::Own => (String::new(), "'self' https: http:"),
        Forms::Idp => (format!("script-src '{}'; ", hash(SUBMIT)), "https:"),
        Forms::PlainIdp => (format!("script-src '{}'; ", hash(SUBMIT)), "https: http:"),
    };
    format!(
        "default-src 'none'; {script}style-src '{}'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE)
    )
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_form_becomes_markup() {
        let form = PostForm {
            action: "https://idp.example/sso?a=1&b=\"><script>alert(1)</script>".into(),
            fields: vec![("RelayState".into(), "\"><script>alert(1)</script>".into())],
        };
        let html = PostPage { form: &form, heading: "Signing in" }.render().unwrap();
        assert_eq!(html.matches("<script>").count(), 1, "{html}");
        assert!(html.contains(SUBMIT));
    }

    #[test]
    fn the_page_that_carries_a_fragment_runs_its_own_script_only() {
        let href = "/_samlgate/login?return_to=/a%22%3E%3Cscript%3E\"><script>alert(1)</script>";
        let reply = page(StatusCode::OK, &FragmentPage { href: href.into() }, Forms::Fragment);
        let policy = reply.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.contains(&format!("script-src '{}';", hash(CARRY))) && !policy.contains("unsafe"), "{policy}");
        let html = FragmentPage { href: href.into() }.render().unwrap();
        assert_eq!((html.matches("<script>").count(), html.matches("<meta http-equiv").count()), (1, 1), "{html}");
        assert!(html.contains(&format!("<script>{CARRY}</script>")), "{html}");
    }

    #[test]
    fn every_page_has_a_strict_policy() {
        let message =
            MessagePage { heading: "<b>", text: "&", said: Some("<i>"), link: None, code: Some("expired"), request_id: "r1" };
        let reply = page(StatusCode::FORBIDDEN, &message, Forms::None);
        let text = |name| reply.headers().get(name).unwrap().to_str().unwrap();
        let policy = text(CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("form-action 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(text(CACHE_CONTROL), "no-store");
        let html = message.render().unwrap();
        assert!(html.contains("&#60;b&#62;") && html.contains("&#60;i&#62;") && !html.contains("<i>"), "{html}");
    }

    #[test]
    fn the_style_is_the_one_that_the_policy_names() {
        let html = LogoutPage { action: "/_samlgate/logout".into() }.render().unwrap();
        let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert_eq!(style, STYLE);
        assert!(policy(Forms::Own).contains(&hash(style)));
    }
}
