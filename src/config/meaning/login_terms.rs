//! What an `[[access]]` rule asks of the login.

use std::time::Duration;

use crate::access::{Assurance, LoginTerms};
use crate::config::known;
use crate::config::problems::Report;
use crate::config::sections::{AccessSection, AllowWord, File, IdpSection};

/// The way back from the IdP alone may take that long.
const SHORTEST_AGE: Duration = Duration::from_secs(30);

/// The largest form that may be kept: they are in memory, and the page that shows one has it whole.
const LARGEST_FORM: u64 = 1 << 20;

/// The terms of one rule.
pub(super) fn of(section: &AccessSection, file: &File, key: &str, report: &mut Report) -> LoginTerms {
    let open_to_all = match section.allow {
        Some(AllowWord::Anyone) => Some("anyone"),
        Some(AllowWord::Nobody) => Some("nobody"),
        Some(AllowWord::SignedIn) | None => None,
    };
    let set = [
        ("max_auth_age", section.max_auth_age.is_some()),
        ("authn_context", !section.authn_context.is_empty()),
        ("idp", section.idp.is_some()),
        ("keep_fragment", section.keep_fragment),
        ("keep_form", section.keep_form.is_some()),
    ];
    for (name, _) in set.iter().filter(|(_, is_set)| *is_set) {
        if let Some(allow) = open_to_all {
            report.problem(format!("{key}.{name}"), format!("has no effect beside allow = {allow:?}, which needs no login"));
        }
    }
    LoginTerms {
        assurance: Assurance {
            max_auth_age: max_auth_age(section, file, key, report),
            authn_context: authn_context(section, file, key, report),
        },
        idp: idp(section, file, key, report),
        keep_fragment: section.keep_fragment,
        keep_form: keep_form(section, key, report),
    }
}

fn max_auth_age(section: &AccessSection, file: &File, key: &str, report: &mut Report) -> Option<Duration> {
    let age = section.max_auth_age.as_ref()?;
    let key = format!("{key}.max_auth_age");
    if age.get() < SHORTEST_AGE {
        report.problem(key, format!("is {age}: too short to come back from the IdP; take at least \"30s\""));
        return None;
    }
    if !file.sp.sign_requests {
        let what =
            "is asked for in login requests that sp.sign_requests leaves unsigned: whoever sits at the browser can take it out";
        report.warning(key, what);
    }
    Some(age.get())
}

fn authn_context(section: &AccessSection, file: &File, key: &str, report: &mut Report) -> Vec<String> {
    let classes = &section.authn_context;
    let key = format!("{key}.authn_context");
    for (at, class) in classes.iter().enumerate() {
        if class.trim().is_empty() {
            report.problem(format!("{key}.{at}"), "is empty; name a class, or take the entry away");
        }
    }
    if !classes.is_empty() {
        let asked = |idp: &&IdpSection| section.idp.is_none() || section.idp == idp.id;
        let idps: Vec<&IdpSection> = file.idp.iter().filter(asked).collect();
        let never = |own: &[String]| !own.is_empty() && !own.iter().any(|class| classes.contains(class));
        let unfit: Vec<String> = idps
            .iter()
            .filter(|idp| never(&idp.authn_context))
            .map(|idp| format!("{:?}", idp.id.as_deref().unwrap_or("?")))
            .collect();
        let what = format!("has no class that authn_context of {} accepts, so no login there is good enough", unfit.join(", "));
        if !unfit.is_empty() && unfit.len() == idps.len() {
            report.problem(key, what);
        } else if !unfit.is_empty() {
            report.warning(key, what);
        }
    }
    classes.clone()
}

fn idp(section: &AccessSection, file: &File, key: &str, report: &mut Report) -> Option<String> {
    let id = section.idp.as_ref()?;
    let ids = || file.idp.iter().filter_map(|idp| idp.id.as_deref());
    if ids().any(|own| own == id) {
        return Some(id.clone());
    }
    let near = known::nearest(id, ids()).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    report.problem(format!("{key}.idp"), format!("there is no [[idp]] with the id {id:?}{near}"));
    None
}

fn keep_form(section: &AccessSection, key: &str, report: &mut Report) -> Option<usize> {
    let size = section.keep_form.as_ref()?;
    let octets = size.get().filter(|octets| (1..=LARGEST_FORM).contains(octets)).and_then(|octets| usize::try_from(octets).ok());
    if octets.is_none() {
        report.problem(format!("{key}.keep_form"), format!("is {size}; write a size of at most 1MiB, such as \"64KiB\""));
    }
    octets
}
