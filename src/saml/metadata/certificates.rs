//! Which of an IdP's certificates are trusted to sign.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::entities::{Element, MD};
use super::error::shown;
use crate::saml::keys::TrustedCertificate;

const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Some products leave the padding out or set stray bits; a certificate that is damaged fails as DER.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// The certificates of a role's KeyDescriptors whose `use` is "signing" or absent (Metadata 2.4.1.1), without repetition. Of
/// every X509Data it is the first one: what follows it is the chain of its issuers (XML Signature 4.5.4), whose keys don't
/// sign for the IdP. What is skipped is said to `warnings`.
pub(super) fn signing(role: &Element, warnings: &mut Vec<String>) -> Vec<TrustedCertificate> {
    let mut certificates = Vec::new();
    for descriptor in role.children(MD, "KeyDescriptor") {
        match descriptor.attribute("use") {
            None | Some("signing") => {}
            Some("encryption") => continue,
            Some(other) => {
                warnings.push(format!("a KeyDescriptor was skipped: its use is {}", shown(other)));
                continue;
            }
        }
        let mut found = false;
        for data in below(descriptor, "KeyInfo", warnings).iter().flat_map(|info| below(info, "X509Data", &mut Vec::new())) {
            let texts = below(data, "X509Certificate", &mut Vec::new());
            if let Some((first, issuers)) = texts.split_first() {
                found = true;
                match decode(&first.text).and_then(|der| TrustedCertificate::from_der(&der).map_err(|e| e.to_string())) {
                    Ok(certificate) if certificates.contains(&certificate) => {}
                    Ok(certificate) => certificates.push(certificate),
                    Err(why) => warnings.push(format!("a signing certificate was skipped: {why}")),
                }
                if !issuers.is_empty() {
                    warnings.push(format!("{} certificates of issuers are not trusted to sign", issuers.len()));
                }
            }
        }
        if !found {
            warnings.push("a KeyDescriptor was skipped: it has no X509Certificate".to_owned());
        }
    }
    certificates
}

/// Children of that name in XML Signature's namespace. Some products forget that these have another namespace than the rest
/// of the metadata; there is nothing else that they could mean, so it is only warned of.
fn below<'a>(parent: &'a Element, name: &'a str, warnings: &mut Vec<String>) -> Vec<&'a Element> {
    let misplaced = parent.children(MD, name).count();
    if misplaced > 0 {
        warnings.push(format!("{name} should be in the namespace {DS}"));
    }
    parent.children(DS, name).chain(parent.children(MD, name)).collect()
}

/// Base64 of DER, as it should be (XML Signature 4.5.4); also with white space, with PEM's armour, or base64 of PEM.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    let octets = base64_of(without_armour(text))?;
    if octets.starts_with(b"-----BEGIN") {
        let pem = String::from_utf8(octets).map_err(|_| "it is not base64 of DER".to_owned())?;
        return base64_of(without_armour(&pem));
    }
    Ok(octets)
}

fn without_armour(text: &str) -> &str {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let inner = text.split_once(BEGIN).map_or(text, |(_, inner)| inner);
    inner.split_once("-----END").map_or(inner, |(inner, _)| inner)
}

fn base64_of(text: &str) -> Result<Vec<u8>, String> {
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    if packed.is_empty() {
        return Err("it is empty".to_owned());
    }
    LENIENT.decode(packed).map_err(|_| "it is not base64 of DER".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armour_white_space_and_double_encoding_come_off() {
        let der = [0x30, 0x82, 0x01, 0x02, 0x03];
        let plain = LENIENT.encode(der);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{plain}\n-----END CERTIFICATE-----\n");
        for text in [
            plain.clone(),
            plain.trim_end_matches('=').to_owned(),
            format!("\n  {}\r\n\t{} ", &plain[..3], &plain[3..]),
            pem.clone(),
            pem.replace('\n', ""),
            LENIENT.encode(&pem),
            format!("{pem}{}", pem.replace(&plain, "AAAA")),
        ] {
            assert_eq!(decode(&text).as_deref(), Ok(&der[..]), "{text}");
        }
        for bad in ["", " ", "not base64!", "-----BEGIN CERTIFICATE----------END CERTIFICATE-----"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }
}
