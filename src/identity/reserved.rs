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

/// Names that the data plane itself sets or reads. Their proper spelling is its business (`proxy::forwarded`); any other that
/// an application could take for them goes.
const ONLY_PROPERLY_SPELLED: &[&str] = &[
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// Longest name that is compared; configured ones are never longer.
pub(super) const LONGEST_NAME: usize = 96;

/// The names that clients may not send, ready to be asked on every request without allocation.
#[derive(Clone, Debug)]
pub(super) struct Reserved {
    /// Folded names by their length.
    exact: Vec<Vec<Box<[u8]>>>,
    /// How long the shortest prefix is: nothing shorter can have one.
    shortest_prefix: usize,
}

impl Reserved {
    /// The well-known names, those of all presets and `more`.
    pub(super) fn new<'a>(more: impl Iterator<Item = &'a str>) -> Self {
        let shortest_prefix = WELL_KNOWN_PREFIXES.iter().map(|prefix| prefix.len()).min().unwrap_or(0);
        let mut reserved = Self { exact: vec![Vec::new(); LONGEST_NAME + 1], shortest_prefix };
        WELL_KNOWN.iter().for_each(|name| reserved.add(name));
        PRESETS.iter().flat_map(Preset::headers).for_each(|name| reserved.add(name));
        more.for_each(|name| reserved.add(name));
        reserved
    }

    /// One more name.
    pub(super) fn add(&mut self, name: &str) {
        let name = folded(name).into_bytes().into_boxed_slice();
        if let Some(same_length) = self.exact.get_mut(name.len())
            && !same_length.contains(&name)
        {
            same_length.push(name);
        }
    }

    /// Whether a client may not send this name. None with `_`, `.` or another sign beside letters, digits and `-`: a CGI-like
    /// server can't tell it from another one (its own SCRIPT_NAME, for one), and hardly anybody needs it.
    pub(super) fn has(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        if name.bytes().any(|octet| !octet.is_ascii_alphanumeric() && octet != b'-') {
            return true;
        }
        let mut buffer = [0; LONGEST_NAME];
        let Some(folded) = fold(name, &mut buffer) else { return has_prefix(name) };
        if self.exact.get(folded.len()).is_some_and(|known| known.iter().any(|known| **known == *folded)) {
            return true;
        }
        if folded.len() < self.shortest_prefix {
            return false;
        }
        let misspelled = || ONLY_PROPERLY_SPELLED.iter().any(|known| known.as_bytes() == folded);
        WELL_KNOWN_PREFIXES.iter().any(|prefix| folded.starts_with(prefix.as_bytes()))
            || (*folded != *name.as_bytes() && misspelled())
    }
}

/// The spelling that all alike ones share: lower case, and `-` for everything but letters and digits, one for one. Programs
/// that pass headers on in environment variables (CGI, WSGI, PHP) can't tell `X-User` from `x_user`, some not even from
/// `X.User`. `None` when it is longer than any name that counts.
fn fold<'a>(name: &str, buffer: &'a mut [u8; LONGEST_NAME]) -> Option<&'a [u8]> {
    let folded = buffer.get_mut(..name.len())?;
    for (to, from) in folded.iter_mut().zip(name.bytes()) {
        *to = fold_octet(from);
    }
    Some(folded)
}

fn fold_octet(octet: u8) -> u8 {
    if octet.is_ascii_alphanumeric() { octet.to_ascii_lowercase() } else { b'-' }
}

/// As above for a name of any length.
fn has_prefix(name: &str) -> bool {
    let begins =
        |prefix: &&str| name.len() >= prefix.len() && name.bytes().map(fold_octet).zip(prefix.bytes()).all(|(a, b)| a == b);
    WELL_KNOWN_PREFIXES.iter().any(begins)
}

/// The folded spelling of a name, to find names that an application could mix up.
pub fn folded(name: &str) -> String {
    name.bytes().map(|octet| char::from(fold_octet(octet))).collect()
}
