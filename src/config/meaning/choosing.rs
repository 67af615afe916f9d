//! How users find their IdP among several: names and mail domains.

use crate::config::problems::Report;
use crate::config::sections::IdpSection;

/// Longest name, in characters: it stands on a button.
const NAME: usize = 80;

/// Whether names and domains can be used, and lead to one IdP each.
pub(super) fn judge(sections: &[IdpSection], report: &mut Report) {
    for (at, section) in sections.iter().enumerate() {
        let before = sections.get(..at).unwrap_or_default();
        if let Some(name) = &section.name {
            judge_name(name, before, &format!("idp.{at}.name"), report);
        }
        for (number, domain) in section.domains.iter().enumerate() {
            let key = format!("idp.{at}.domains.{number}");
            let own = section.domains.get(..number).unwrap_or_default();
            judge_domain(domain, own, before, &key, report);
        }
        if !section.domains.is_empty() && sections.len() == 1 {
            report.warning(format!("idp.{at}.domains"), "has no effect: there is one IdP, and nobody is asked");
        }
    }
}

fn judge_name(name: &str, before: &[IdpSection], key: &str, report: &mut Report) {
    if name.trim().is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
        report.problem(key, format!("must be 1 to {NAME} characters in one line, such as \"Example Corp\""));
    } else if before.iter().any(|other| other.name.as_deref().map(str::trim) == Some(name.trim())) {
        report.problem(key, format!("{name:?} is the name of another IdP too; nobody could tell them apart"));
    }
}

fn judge_domain(domain: &str, own: &[String], before: &[IdpSection], key: &str, report: &mut Report) {
    let label = |label: &str| {
        let plain = label.chars().all(|c| c.is_alphanumeric() || c == '-');
        !label.is_empty() && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    if domain.len() > 253 || !domain.split('.').all(label) {
        report.problem(key, format!("{domain:?} is no mail domain; write what stands behind the @, such as \"example.com\""));
        return;
    }
    let same = |other: &String| other.to_lowercase() == domain.to_lowercase();
    if let Some(other) = before.iter().find(|other| other.domains.iter().any(same)) {
        let other = other.id.as_deref().unwrap_or("?");
        report.problem(key, format!("{domain:?} is a domain of {other:?} too; an address must lead to one IdP"));
    } else if own.iter().any(same) {
        report.problem(key, format!("{domain:?} stands there twice"));
    }
}
