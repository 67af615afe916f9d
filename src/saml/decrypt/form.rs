//! What an encrypted element may look like (Core 2.2.4, XML Encryption 3). Checked before any key is used; everything in here is
//! public, so a refusal tells nobody anything.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::transport::{Transport, WrappedKey};
use crate::saml::expectations::Compat;
use crate::saml::signature_form::Hash;
use crate::saml::xml::{ENCRYPTION, ENCRYPTION_11, Element, SIGNATURE, is_space};

/// Most wrapped keys that are tried: each costs a private-key operation with each of our keys, and anybody can ask for it.
const MAX_KEYS: usize = 4;
/// Longest OAEPparams, in octets.
const MAX_LABEL: usize = 256;
const ELEMENT: &str = "http://www.w3.org/2001/04/xmlenc#Element";
const ENCRYPTED_KEY: &str = "http://www.w3.org/2001/04/xmlenc#EncryptedKey";

/// A cipher for content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::saml) struct Cipher {
    /// Its name, by which the engine knows it too.
    pub(super) uri: &'static str,
    /// Length of its key, in octets.
    pub(super) key_octets: usize,
    /// Whether it notices changes (GCM) or not (CBC).
    pub(super) authenticated: bool,
    name: &'static str,
}

const CIPHERS: [Cipher; 6] = [
    Cipher { uri: "http://www.w3.org/2009/xmlenc11#aes128-gcm", key_octets: 16, authenticated: true, name: "AES-128-GCM" },
    Cipher { uri: "http://www.w3.org/2009/xmlenc11#aes192-gcm", key_octets: 24, authenticated: true, name: "AES-192-GCM" },
    Cipher { uri: "http://www.w3.org/2009/xmlenc11#aes256-gcm", key_octets: 32, authenticated: true, name: "AES-256-GCM" },
    Cipher { uri: "http://www.w3.org/2001/04/xmlenc#aes128-cbc", key_octets: 16, authenticated: false, name: "AES-128-CBC" },
    Cipher { uri: "http://www.w3.org/2001/04/xmlenc#aes192-cbc", key_octets: 24, authenticated: false, name: "AES-192-CBC" },
    Cipher { uri: "http://www.w3.org/2001/04/xmlenc#aes256-cbc", key_octets: 32, authenticated: false, name: "AES-256-CBC" },
];

/// An encrypted element of lawful form.
#[derive(Debug)]
pub(in crate::saml) struct Sealed {
    /// How its content is encrypted.
    pub(super) cipher: Cipher,
    /// IV, ciphertext and, with GCM, the tag of 16 octets.
    pub(super) content: Vec<u8>,
    /// Its key, wrapped for one or several recipients.
    pub(super) keys: Vec<WrappedKey>,
}

/// Why a form is refused, for `samlgate explain`.
type Refused = &'static str;

impl Sealed {
    /// Reads an EncryptedAssertion, EncryptedID or EncryptedAttribute for us.
    pub(in crate::saml) fn read(encrypted: Element<'_>, compat: Compat, us: &str) -> Result<Self, Refused> {
        let mut children = encrypted.children();
        let Some(data) = children.next().filter(|first| first.is(ENCRYPTION, "EncryptedData")) else {
            return Err("it does not begin with EncryptedData");
        };
        let beside: Vec<_> = children.collect();
        if beside.len() > MAX_KEYS || !encrypted.has_only_attributes(&[]) {
            return Err("it holds more than EncryptedData and its keys");
        }
        expect(data, "EncryptedData", &["Id", "Type", "MimeType"])?;
        if data.attribute("Type").is_some_and(|kind| kind != ELEMENT) {
            return Err("its Type is not that of an element");
        }
        let parts: Vec<_> = data.children().collect();
        let (method, key_info, value) = match parts.as_slice() {
            [method, value] => (*method, None, *value),
            [method, key_info, value] => (*method, Some(*key_info), *value),
            _ => return Err("EncryptedData must hold EncryptionMethod, at most one KeyInfo, and CipherData"),
        };
        let cipher = cipher(method, compat)?;
        let content = cipher_value(value)?;
        let enough = match cipher.authenticated {
            true => content.len() > 12 + 16,
            false => content.len() >= 32 && content.len().is_multiple_of(16),
        };
        if !enough {
            return Err("its ciphertext has not a length that its cipher can have");
        }
        let keys = keys_for(data, key_info, &beside, us)?;
        let keys = keys.into_iter().map(|key| wrapped_key(key, compat)).collect::<Result<_, _>>()?;
        Ok(Self { cipher, content, keys })
    }

    /// Whether a change of the ciphertext can go unnoticed by the cipher.
    pub(in crate::saml) fn is_malleable(&self) -> bool {
        !self.cipher.authenticated
    }

    /// The length of the ciphertext, in octets.
    pub(in crate::saml) fn length(&self) -> usize {
        self.content.len()
    }

    /// In plain words.
    pub(in crate::saml) fn describe(&self) -> String {
        let transports: Vec<_> = self.keys.iter().map(WrappedKey::describe).collect();
        format!("{}, its key by {}", self.cipher.name, transports.join(" and "))
    }
}

fn expect(element: Element<'_>, name: &str, attributes: &[&str]) -> Result<(), Refused> {
    if !element.is(ENCRYPTION, name) {
        return Err("its elements are not those of XML Encryption, in their order");
    }
    if !element.has_only_attributes(attributes) {
        return Err("an element in it has an unknown attribute");
    }
    Ok(())
}

fn cipher(method: Element<'_>, compat: Compat) -> Result<Cipher, Refused> {
    expect(method, "EncryptionMethod", &["Algorithm"])?;
    let uri = method.attribute("Algorithm").unwrap_or_default();
    let Some(cipher) = CIPHERS.into_iter().find(|cipher| cipher.uri == uri) else {
        return Err("its cipher is not AES in GCM or CBC mode");
    };
    if method.children().next().is_some() {
        return Err("its cipher has parameters");
    }
    if !cipher.authenticated && !compat.aes_cbc {
        return Err("it is encrypted with AES-CBC, which only compat = [\"aes-cbc\"] allows");
    }
    Ok(cipher)
}

/// The octets of a CipherValue. A CipherReference, which would have us fetch them, is not understood.
fn cipher_value(data: Element<'_>) -> Result<Vec<u8>, Refused> {
    expect(data, "CipherData", &[])?;
    let mut children = data.children();
    let (Some(value), None) = (children.next(), children.next()) else {
        return Err("CipherData must hold one CipherValue");
    };
    expect(value, "CipherValue", &[])?;
    base64_of(value)
}

fn base64_of(element: Element<'_>) -> Result<Vec<u8>, Refused> {
    let text = element.plain_text().ok_or("a value in it is empty or not plain text")?;
    let text: String = text.chars().filter(|character| !is_space(*character)).collect();
    STANDARD.decode(text).map_err(|_| "a value in it is not base64")
}

/// The EncryptedKeys for this data and for us: inside its KeyInfo, or beside it (Core 2.2.4) and not said to be for other data.
fn keys_for<'d>(
    data: Element<'d>,
    key_info: Option<Element<'d>>,
    beside: &[Element<'d>],
    us: &str,
) -> Result<Vec<Element<'d>>, Refused> {
    let mut keys = Vec::new();
    let (mut retrieved, mut names) = (Vec::new(), Vec::new());
    if let Some(key_info) = key_info {
        if !key_info.is(SIGNATURE, "KeyInfo") || !key_info.has_only_attributes(&["Id"]) {
            return Err("what stands before its CipherData is no KeyInfo");
        }
        for child in key_info.children() {
            match (child.namespace(), child.local_name()) {
                (ENCRYPTION, "EncryptedKey") => keys.push(child),
                (SIGNATURE, "RetrievalMethod") => retrieved.push(retrieval(child)?),
                (SIGNATURE, "KeyName") => names.extend(child.text()),
                // Says whose key it is, which we find out by trying.
                (SIGNATURE, "X509Data" | "KeyValue") => {}
                _ => return Err("its KeyInfo holds something unknown"),
            }
        }
    }
    for key in beside {
        expect(*key, "EncryptedKey", &["Id", "Type", "Recipient"])?;
    }
    let has_id = |key: &Element<'_>, id: &str| key.attribute("Id") == Some(id);
    if !retrieved.iter().all(|id| beside.iter().any(|key| has_id(key, id))) {
        return Err("its RetrievalMethod is not to an EncryptedKey beside it");
    }
    let mut others: Vec<_> = beside.iter().copied().filter(|key| is_for(*key, data)).collect();
    narrow(&mut others, |key| retrieved.iter().any(|id| has_id(key, id)));
    narrow(&mut others, |key| carried_name(*key).is_some_and(|name| names.contains(&name)));
    keys.append(&mut others);
    // With several recipients, each key says whose it is.
    narrow(&mut keys, |key| key.attribute("Recipient") == Some(us));
    match keys.len() {
        0 => Err("there is no EncryptedKey for it"),
        1..=MAX_KEYS => Ok(keys),
        _ => Err("it has too many EncryptedKeys"),
    }
}

/// Keeps only those that `fits`, when there are any.
fn narrow<'d>(keys: &mut Vec<Element<'d>>, fits: impl Fn(&Element<'d>) -> bool) {
    if keys.iter().any(&fits) {
        keys.retain(fits);
    }
}

/// A reference to an EncryptedKey in the same document (XML Signature 4.5.3).
fn retrieval(method: Element<'_>) -> Result<&str, Refused> {
    let refused = Err("its RetrievalMethod is not to an EncryptedKey beside it");
    if !method.has_only_attributes(&["Type", "URI"]) || method.children().next().is_some() {
        return refused;
    }
    if method.attribute("Type").is_some_and(|kind| kind != ENCRYPTED_KEY) {
        return refused;
    }
    method.attribute("URI").and_then(|uri| uri.strip_prefix('#')).map_or(refused, Ok)
}

/// Whether an EncryptedKey's ReferenceList, if it has one, names this EncryptedData (XML Encryption 3.6).
fn is_for(key: Element<'_>, data: Element<'_>) -> bool {
    let lists = key.children_named(ENCRYPTION, "ReferenceList");
    let mut references = lists.flat_map(|list| list.children_named(ENCRYPTION, "DataReference")).peekable();
    references.peek().is_none()
        || references.any(|reference| {
            let id = reference.attribute("URI").and_then(|uri| uri.strip_prefix('#'));
            id.is_some() && id == data.attribute("Id")
        })
}

fn carried_name(key: Element<'_>) -> Option<String> {
    key.children_named(ENCRYPTION, "CarriedKeyName").next()?.text()
}

fn wrapped_key(key: Element<'_>, compat: Compat) -> Result<WrappedKey, Refused> {
    expect(key, "EncryptedKey", &["Id", "Type", "Recipient"])?;
    let mut parts = key.children().peekable();
    let method = parts.next().ok_or("an EncryptedKey is empty")?;
    // Its KeyInfo says whose key it is wrapped with, which we find out by trying.
    parts.next_if(|part| part.is(SIGNATURE, "KeyInfo"));
    let octets = cipher_value(parts.next().ok_or("an EncryptedKey has no CipherData")?)?;
    parts.next_if(|part| part.is(ENCRYPTION, "ReferenceList"));
    parts.next_if(|part| part.is(ENCRYPTION, "CarriedKeyName"));
    if parts.next().is_some() {
        return Err("an EncryptedKey holds something unknown");
    }
    Ok(WrappedKey { transport: transport(method, compat)?, octets })
}

/// XML Encryption 5.5: the key transports and their parameters.
fn transport(method: Element<'_>, compat: Compat) -> Result<Transport, Refused> {
    expect(method, "EncryptionMethod", &["Algorithm"])?;
    let (mut label, mut hash, mut mask) = (None, None, None);
    for parameter in method.children() {
        let twice = match (parameter.namespace(), parameter.local_name()) {
            (ENCRYPTION, "OAEPparams") if parameter.has_only_attributes(&[]) => {
                label.replace(base64_of(parameter).or_else(|why| empty(parameter).ok_or(why))?).is_some()
            }
            (SIGNATURE, "DigestMethod") => hash.replace(of_digest_method(algorithm(parameter)?)?).is_some(),
            (ENCRYPTION_11, "MGF") => mask.replace(of_mgf(algorithm(parameter)?)?).is_some(),
            _ => return Err("the transport of its key has an unknown parameter"),
        };
        if twice {
            return Err("the transport of its key has a parameter twice");
        }
    }
    let label = label.unwrap_or_default();
    if label.len() > MAX_LABEL {
        return Err("its OAEPparams are too long");
    }
    // SHA-1 is no weakness here: neither collisions nor preimages of it matter to OAEP.
    let hash = hash.unwrap_or(Hash::Sha1);
    match method.attribute("Algorithm").unwrap_or_default() {
        "http://www.w3.org/2009/xmlenc11#rsa-oaep" => Ok(Transport::Oaep { hash, mask: mask.unwrap_or(Hash::Sha1), label }),
        // "mgf1p" is MGF1 with SHA-1, whatever the DigestMethod (XML Encryption 1.1, 5.5.2).
        "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p" if matches!(mask, None | Some(Hash::Sha1)) => {
            Ok(Transport::Oaep { hash, mask: Hash::Sha1, label })
        }
        "http://www.w3.org/2001/04/xmlenc#rsa-1_5" if method.children().next().is_none() => match compat.rsa_15 {
            true => Ok(Transport::Pkcs1),
            false => Err("its key is wrapped with RSA 1.5, which only compat = [\"rsa-1.5\"] allows"),
        },
        _ => Err("its key is wrapped with something else than RSA-OAEP"),
    }
}

fn empty(parameter: Element<'_>) -> Option<Vec<u8>> {
    parameter.text().filter(|text| text.chars().all(is_space)).map(|_| Vec::new())
}

fn algorithm(element: Element<'_>) -> Result<&str, Refused> {
    if !element.has_only_attributes(&["Algorithm"]) || element.children().next().is_some() {
        return Err("the transport of its key has an unknown parameter");
    }
    element.attribute("Algorithm").ok_or("an algorithm is missing")
}

fn of_digest_method(uri: &str) -> Result<Hash, Refused> {
    // XML Encryption 1.1, 5.8.4 has a name of its own for SHA-384.
    let uri =
        if uri == "http://www.w3.org/2001/04/xmlenc#sha384" { "http://www.w3.org/2001/04/xmldsig-more#sha384" } else { uri };
    Hash::of_digest_method(uri).ok_or("the hash of its key transport is unknown")
}

fn of_mgf(uri: &str) -> Result<Hash, Refused> {
    match uri {
        "http://www.w3.org/2009/xmlenc11#mgf1sha1" => Ok(Hash::Sha1),
        "http://www.w3.org/2009/xmlenc11#mgf1sha256" => Ok(Hash::Sha256),
        "http://www.w3.org/2009/xmlenc11#mgf1sha384" => Ok(Hash::Sha384),
        "http://www.w3.org/2009/xmlenc11#mgf1sha512" => Ok(Hash::Sha512),
        _ => Err("the mask of its key transport is unknown"),
    }
}
