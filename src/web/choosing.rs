//! With several IdPs: which one a login begins with.

use http::{HeaderMap, StatusCode};

use super::endpoints::{Call, at_most_one};
use super::pages::{Choice, ChooserPage, Forms, Link, page, redirect};
use super::sign_in::{Asked, from_this_site};
use super::{Problem, Reply, Site};

/// Longest mail address (RFC 5321 4.5.3.1).
const ADDRESS: usize = 254;

/// The page on which users choose. The IdP of their last login stands first.
pub(super) fn chooser(site: &Site, asked: &Asked, headers: &HeaderMap, unknown: bool) -> Reply {
    let idps = site.parts.login.idps();
    let last = site.parts.cookies.chosen_idp(headers);
    let choice = |id: String| {
        // One whose metadata isn't known yet has only its short name.
        let label = idps.iter().find(|idp| idp.id == id).map_or(id.clone(), |idp| idp.display_name().to_owned());
        Choice { link: Link { href: asked.link(site, Some(&id)), label }, last: last == Some(id.as_str()) }
    };
    let mut choices: Vec<Choice> = site.parts.login.idp_ids().into_iter().map(choice).collect();
    choices.sort_by_key(|choice| !choice.last);
    let by_address = (!asked.test && idps.iter().any(|idp| !idp.domains.is_empty())).then(|| asked.link(site, None));
    let forms = if by_address.is_some() { Forms::Own } else { Forms::None };
    page(StatusCode::OK, &ChooserPage { choices, by_address, unknown }, forms)
}

/// `POST /login?...` with a mail address, from that page: leads to the IdP that has its domain. Of the address, nothing but the
/// domain is looked at, and nothing is kept or logged; it is posted, so that it stands in no address either.
pub(super) async fn by_address(site: &Site, call: &Call) -> Reply {
    if !from_this_site(site, &call.method, &call.headers) {
        return call.refuse(site, Problem::CrossSite);
    }
    let asked = match Asked::read(site, call) {
        Ok(asked) => asked,
        Err(problem) => return call.refuse(site, problem),
    };
    let address = match call.form().await.and_then(|fields| at_most_one(&fields, "email")) {
        Ok(address) => address.unwrap_or_default(),
        Err(problem) => return call.refuse(site, problem),
    };
    let idps = site.parts.login.idps();
    let domain = domain_of(&address);
    let found = domain.and_then(|domain| idps.iter().find(|idp| idp.domains.contains(&domain)));
    match found {
        Some(idp) => {
            let onwards = redirect(StatusCode::SEE_OTHER, &asked.link(site, Some(&idp.id)));
            onwards.unwrap_or_else(|| call.refuse(site, Problem::Internal))
        }
        None => chooser(site, &asked, &call.headers, true),
    }
}

/// What stands behind the last @, as domains are compared.
fn domain_of(address: &str) -> Option<String> {
    let address = address.trim();
    let (_, domain) = address.rsplit_once('@').filter(|_| address.len() <= ADDRESS)?;
    Some(domain.trim_end_matches('.').to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_what_stands_behind_the_last_at_sign() {
        for (address, domain) in [
            ("ada@example.com", Some("example.com")),
            (" Ada@EXAMPLE.com. ", Some("example.com")),
            ("\"a@b\"@example.com", Some("example.com")),
            ("ada@B\u{dc}cher.example", Some("b\u{fc}cher.example")),
            ("ada", None),
            ("", None),
        ] {
            assert_eq!(domain_of(address).as_deref(), domain, "{address}");
        }
        assert_eq!(domain_of(&format!("{}@example.com", "a".repeat(250))), None);
    }
}
