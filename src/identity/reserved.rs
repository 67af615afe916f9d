//! Which header names a client may not send, in which spellings.

use http::HeaderName;

use super::presets::{PRESETS, Preset};

/// Names under which applications and proxies pass identities on, folded. A client could be believed by an application that
/// samlgate doesn't even know of. (Those of all presets come on top.)
const WELL_KNOWN: &[&str] = &[
    "remote-user",
    "remote-name",
    "remote-email",
    "remote-group",
    "remote-groups",
    "remote-role",
    "remote-roles",
    "x-remote-user",
    "x-remote-name",
    "x-remote-email",
    "x-remote-group",
    "x-remote-groups",
    "x-remote-role",
    "x-remote-roles",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-mail",
    "x-forwarded-name",
    "x-forwarded-login",
    "x-forwarded-group",
    "x-forwarded-groups",
    "x-forwarded-role",
    "x-forwarded-roles",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-client-cert",
    "x-user",
    "x-username",
    "x-user-id",
    "x-user-email",
    "x-user-name",
    "x-user-groups",
    "x-user-roles",
    "x-roles",
    "x-auth-user",
    "x-auth-username",
    "x-auth-email",
    "x-auth-name",
    "x-auth-groups",
    "x-auth-roles",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-authenticated-groups",
    "x-proxy-role",
    "x-rstudio-username",
    "kubeflow-userid",
    "kubeflow-groups",
    "teleport-jwt-assertion",
    "x-jwt-assertion",
    "x-jwt-payload",
    "x-userinfo",
    "x-scope-orgid",
    "gap-signature",
    "sm-user",
    "sm-userdn",
    "sm-universalid",
    "smuser",
    // An environment variable HTTP_PROXY in CGI programs.
    "proxy",
    // Another target than the one that the rules saw.
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-forwarded-server",
    "x-host",
    "x-forwarded-path",
    "x-envoy-original-path",
    "x-script-name",
    "script-name",
    "path-info",
    "path-translated",
    "request-uri",
    "request-method",
    "query-string",
    // Only ever an application's word to its server.
    "x-sendfile",
    "x-accel-redirect",
];

/// Beginnings of such names, folded.
const WELL_KNOWN_PREFIXES: &[&str] = &[
    "x-samlgate-",
    "x-auth-request-",
    "x-webauth-",
    "x-authentik-",
    "x-vouch-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "cf-access-",
    "x-pomerium-",
    "x-amzn-oidc-",
    "x-remote-extra-",
    "x-ssl-client-",
    "x-ms-client-principal",
    "x-consumer-",
    "x-credential-",
    "x-hasura-",
    "ssl-client-",
    "impersonate-",
    "proxy-",
];

/// Longest name that is compared; configured ones are never longer.
pub(super) const LONGEST_NAME: usize = 96;

/// The names that clients may not send, ready to be asked on every request without allocation.
#[derive(Clone, Debug)]
pub(super) struct Reserved {
    /// Folded names by their length.
    exact: Vec<Names>,
    /// Beginnings of folded names.
    prefixes: Names,
}

impl Reserved {
    /// The well-known names, those of all presets and `more`.
    pub(super) fn new<'a>(more: impl Iterator<Item = &'a str>) -> Self {
        let mut reserved = Self { exact: vec![Names::default(); LONGEST_NAME + 1], prefixes: Names::default() };
        WELL_KNOWN_PREFIXES.iter().for_each(|prefix| reserved.prefixes.add(prefix));
        WELL_KNOWN.iter().for_each(|name| reserved.add(name));
        PRESETS.iter().flat_map(Preset::headers).for_each(|name| reserved.add(name));
        more.for_each(|name| reserved.add(name));
        reserved
    }

    /// One more name.
    pub(super) fn add(&mut self, name: &str) {
        if let Some(same_length) = self.exact.get_mut(name.len()) {
            same_length.add(&folded(name));
        }
    }

    /// Whether a client may not send this name. None with `_`, `.` or another sign beside letters, digits and `-`: a CGI-like
    /// server can't tell it from another one (its own SCRIPT_NAME, for one), and hardly anybody needs it. So what is compared is folded.
    pub(super) fn has(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        name.iter().fold(false, |odd, octet| odd | (fold_octet(*octet) != *octet))
            || self.exact.get(name.len()).is_some_and(|same_length| same_length.any(name, |known| known == name))
            || self.prefixes.any(name, |prefix| name.starts_with(prefix))
    }
}

/// Some names.
#[derive(Clone, Debug, Default)]
struct Names {
    list: Vec<Box<[u8]>>,
    /// A bit for the first octet of each: most headers begin with none of them.
    beginnings: u128,
}

impl Names {
    fn add(&mut self, name: &str) {
        let name = name.as_bytes();
        if !self.list.iter().any(|known| **known == *name) {
            self.beginnings |= Self::beginning(name);
            self.list.push(name.into());
        }
    }

    /// Whether one that begins with the same octet as `name` is what is looked for.
    fn any(&self, name: &[u8], is_it: impl Fn(&[u8]) -> bool) -> bool {
        self.beginnings & Self::beginning(name) != 0 && self.list.iter().any(|known| is_it(known))
    }

    fn beginning(name: &[u8]) -> u128 {
        name.first().and_then(|first| 1_u128.checked_shl(u32::from(*first))).unwrap_or(0)
    }
}

/// The spelling that all alike ones share: lower case, and `-` for everything but letters and digits, one for one. Programs
/// that pass headers on in environment variables (CGI, WSGI, PHP) can't tell `X-User` from `x_user`, some not even from
/// `X.User`.
fn fold_octet(octet: u8) -> u8 {
    if octet.is_ascii_alphanumeric() { octet.to_ascii_lowercase() } else { b'-' }
}

/// The folded spelling of a name, to find names that an application could mix up.
pub fn folded(name: &str) -> String {
    name.bytes().map(|octet| char::from(fold_octet(octet))).collect()
}
