//! Paths of this site that are samlgate's own: what may be put there, and what may not lead there.

use crate::config::problems::Report;
use crate::public_url::{PublicUrl, without_user};

/// Where the key set is, too.
const KEY_SET: &str = "/.well-known/samlgate/jwks.json";
/// Paths that stand for others' protocols (RFC 8615), and for our key set.
const WELL_KNOWN: &str = "/.well-known";

/// `prefix`.
pub(super) fn prefix(text: &str, report: &mut Report) -> Option<String> {
    let segment = |segment: &str| {
        let plain = segment.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.~".contains(&octet));
        !segment.is_empty() && plain && !matches!(segment, "." | "..")
    };
    let good = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
    if !good {
        let what = "must begin with a slash, not end with one, and hold letters, digits and - _ . ~ only, such as \"/_samlgate\"";
        report.problem("prefix", format!("{text:?} {what}"));
    } else if is_at_or_below(text, WELL_KNOWN) {
        report
            .problem("prefix", format!("{text:?} is where other protocols and our key set have their places; take another path"));
        return None;
    }
    good.then(|| text.to_owned())
}

/// A path or a URL of this site, at which samlgate takes what an IdP sends and nothing else of ours stands: its path. `may_be`
/// says which paths below the prefix it may be. What can be judged without public_url or prefix is judged without them.
pub(super) fn endpoint(
    key: &str,
    text: &str,
    site: Option<&PublicUrl>,
    prefix: Option<&str>,
    may_be: impl Fn(&str) -> bool,
    report: &mut Report,
) -> Option<String> {
    let mut wrong = |what: &str| {
        report.problem(key, format!("{:?} {what}", without_user(text)));
        None
    };
    let Some(path) = path_of(text, site) else {
        let base = site.map(|site| format!(" ({site})")).unwrap_or_default();
        return wrong(&format!("is not under public_url{base}, where alone samlgate can take the IdP's messages"));
    };
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,;=".contains(&octet);
    if !path.bytes().all(plain) || path.contains("//") || path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return wrong("may have no query, fragment, escapes, empty or dot segments");
    }
    let below = prefix.and_then(|prefix| path.strip_prefix(prefix)).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    if path == KEY_SET || below.is_some_and(|rest| !may_be(rest)) {
        return wrong(&format!("is another endpoint of samlgate; leave {key} out, or take a path outside of prefix"));
    }
    Some(path.to_owned())
}

/// The path in a path, or in a URL of this site however it is spelled; not the start page.
fn path_of<'t>(text: &'t str, site: Option<&PublicUrl>) -> Option<&'t str> {
    let path = match PublicUrl::split(text) {
        _ if text.starts_with('/') => text,
        Ok((origin, path)) if site.is_none_or(|site| *site == origin) => path,
        _ => return None,
    };
    (path.starts_with('/') && !path.starts_with("//") && path.len() > 1).then_some(path)
}

/// Whether a path (without query) is answered by samlgate itself. `services` are `sp.acs_url` and `sp.slo_url`, where they are set.
pub(super) fn is_own(path: &str, prefix: Option<&str>, services: [Option<&str>; 2]) -> bool {
    let service = services.into_iter().flatten().filter_map(|text| path_of(text, None)).any(|service| service == path);
    prefix.is_some_and(|prefix| is_at_or_below(path, prefix)) || path == KEY_SET || service
}

fn is_at_or_below(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
