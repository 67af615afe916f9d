//! What a login of the test page shows: what was asserted, how it was mapped, or why it was refused.

use super::Login;
use super::refusal::Refusal;
use crate::identity::Identity;
use crate::saml::{Check, Checks, SamlError, VerifiedAssertion};

/// The result of a test login. Nothing of it is kept, and no session comes of it.
#[derive(Clone, Debug)]
pub struct TestReport {
    /// The IdP's short name.
    pub idp: String,
    /// Every rule that was checked, in order.
    pub checks: Vec<Check>,
    /// What the IdP asserted, when it is believed.
    pub assertion: Option<VerifiedAssertion>,
    /// Who the user would be.
    pub identity: Option<Identity>,
    /// Names and values of the headers that the application would get.
    pub headers: Vec<(String, String)>,
    /// Why the login would be refused, if it would.
    pub refusal: Option<Refusal>,
}

impl Login {
    pub(super) fn report(&self, idp: &str, checks: &Checks, verified: Result<VerifiedAssertion, SamlError>) -> TestReport {
        let mut report = TestReport {
            idp: idp.to_owned(),
            checks: checks.all().to_vec(),
            assertion: None,
            identity: None,
            headers: Vec::new(),
            refusal: None,
        };
        let assertion = match verified {
            Ok(assertion) => assertion,
            Err(error) => {
                report.refusal = Some(Refusal::from(error).by(idp));
                return report;
            }
        };
        match self.mapping.apply(&assertion) {
            Ok(identity) => {
                let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
                report.headers =
                    self.headers.render(&identity).iter().map(|(name, value)| (name.to_string(), text(value))).collect();
                report.identity = Some(identity);
            }
            Err(error) => report.refusal = Some(Refusal::from(error).by(idp)),
        }
        report.assertion = Some(assertion);
        report
    }
}
