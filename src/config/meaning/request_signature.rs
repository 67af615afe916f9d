//! `[headers.signature]`: which key signs requests, if any.

use std::fs;
use std::path::Path;

use super::Work;
use super::data_dir::ASSERTION_KEY;
use crate::config::AssertionSettings;
use crate::config::sections::{HeadersSection, SignatureAlgorithm};
use crate::identity::assertion::AssertionSigner;
use crate::identity::signature::{Algorithm, RequestSigner};

const KEY: &str = "headers.signature.key";

/// The signer; `None` when requests aren't signed, and for a mistake.
pub(super) fn signer(
    section: &HeadersSection,
    assertion: Option<&AssertionSettings>,
    data_dir: Option<&Path>,
    work: &mut Work<'_>,
) -> Option<RequestSigner> {
    let signature = &section.signature;
    let given = signature.key.is_some() || signature.key_file.is_some();
    let algorithm = match signature.algorithm {
        SignatureAlgorithm::Off => {
            if given {
                let what = "has no effect: headers.signature.algorithm is \"off\"; choose an algorithm, or take the key away";
                work.report.problem(KEY, what);
            }
            return None;
        }
        SignatureAlgorithm::HmacSha256 => Algorithm::HmacSha256,
        SignatureAlgorithm::Ed25519 => Algorithm::Ed25519,
        SignatureAlgorithm::EcdsaP256Sha256 => Algorithm::EcdsaP256Sha256,
    };
    let (name, command) = (algorithm.name(), algorithm.key_command());
    if !given {
        work.report.problem(KEY, format!("is missing, and {name} needs one; make it with `{command}` and name the file here"));
        return None;
    }
    let key = work.secret(KEY, signature.key.as_deref(), signature.key_file.as_deref())?;
    let signer = RequestSigner::new(algorithm, &key, section.assertion.lifetime.get());
    let signer = work.report.take(KEY, signer.map_err(|error| format!("is {error}; make one with `{command}`")))?;
    if assertion.is_some_and(|assertion| is_key_of(assertion, data_dir, &signer)) {
        work.report.problem(KEY, format!("is the assertion's key too; make another one with `{command}`"));
    }
    Some(signer)
}

/// Whether the assertion is signed with the same key, a configured one or the one that is kept in `data_dir`.
fn is_key_of(assertion: &AssertionSettings, data_dir: Option<&Path>, signer: &RequestSigner) -> bool {
    let kept = || fs::read(data_dir?.join(ASSERTION_KEY)).ok();
    let key = assertion.key_pem.clone().or_else(kept);
    let other = key.and_then(|pem| AssertionSigner::from_pem(&pem, String::new(), String::new(), assertion.lifetime).ok());
    other.is_some_and(|other| other.kid() == Some(signer.key_id()))
}
