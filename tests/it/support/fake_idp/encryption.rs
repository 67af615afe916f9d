//! Encryption by OpenSSL, and XML written by hand: the IdP shares neither engine nor code with what decrypts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::encrypt::Encrypter;
use openssl::hash::MessageDigest;
use openssl::rand::rand_bytes;
use openssl::rsa::Padding;
use openssl::symm::{Cipher, encrypt, encrypt_aead};
use openssl::x509::X509;

use super::document::{element, replaced};

/// Certificates of the service provider's keys, PEM.
pub const SP_CERTIFICATE: &str = include_str!("../../../fixtures/sp.crt");
pub const SP_OLD_CERTIFICATE: &str = include_str!("../../../fixtures/sp-old.crt");
pub const SP_SHORT_CERTIFICATE: &str = include_str!("../../../fixtures/sp-short.crt");

/// How a content key is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// rsa-oaep-mgf1p with a DigestMethod of this name (`""`: without one); its mask is always SHA-1.
    Mgf1p(&'static str),
    /// The rsa-oaep of XML Encryption 1.1: DigestMethod and MGF (`""`: without one).
    Oaep(&'static str, &'static str),
    /// PKCS #1 v1.5.
    Rsa15,
}

/// Where the EncryptedKeys stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In the KeyInfo of EncryptedData.
    Inside,
    /// Beside EncryptedData, without a word.
    Beside,
    /// Beside it, named by a RetrievalMethod and naming it by a ReferenceList.
    Retrieved,
    /// Beside it, with the KeyName as CarriedKeyName.
    Named,
}

/// How something is encrypted.
#[derive(Clone, Debug)]
pub struct Encryption {
    /// `aes256-gcm` and the like.
    pub cipher: &'static str,
    pub wrap: Wrap,
    pub place: KeyPlace,
    pub label: &'static [u8],
    /// For whom: a certificate (PEM), and the Recipient that is named.
    pub recipients: Vec<(&'static str, Option<&'static str>)>,
}

impl Default for Encryption {
    fn default() -> Self {
        Self {
            cipher: "aes256-gcm",
            wrap: Wrap::Mgf1p("sha1"),
            place: KeyPlace::Inside,
            label: b"",
            recipients: vec![(SP_CERTIFICATE, None)],
        }
    }
}

impl Encryption {
    pub fn cipher(mut self, cipher: &'static str) -> Self {
        self.cipher = cipher;
        self
    }

    pub fn wrap(mut self, wrap: Wrap) -> Self {
        self.wrap = wrap;
        self
    }

    pub fn place(mut self, place: KeyPlace) -> Self {
        self.place = place;
        self
    }

    pub fn label(mut self, label: &'static [u8]) -> Self {
        self.label = label;
        self
    }

    pub fn recipients(mut self, recipients: &[(&'static str, Option<&'static str>)]) -> Self {
        self.recipients = recipients.to_vec();
        self
    }

    /// Puts the encrypted form of the first element of a name in its place: `("saml:NameID", "saml:EncryptedID")`.
    pub fn around(&self, xml: &str, name: &str, wrapper: &str) -> String {
        let plain = element(xml, name);
        replaced(xml, &plain, &self.element(wrapper, plain.as_bytes()))
    }

    /// An encrypted element that holds this.
    pub fn element(&self, wrapper: &str, plaintext: &[u8]) -> String {
        let id = plaintext.len();
        let (key, content) = self.content(plaintext);
        let keys: String = self.recipients.iter().map(|recipient| self.key(&key, *recipient, id)).collect();
        let (inside, beside) = match self.place {
            KeyPlace::Inside => (keys, String::new()),
            KeyPlace::Beside => (String::new(), keys),
            KeyPlace::Retrieved => (
                format!(r##"<ds:RetrievalMethod Type="http://www.w3.org/2001/04/xmlenc#EncryptedKey" URI="#_key0{id}"/>"##),
                keys,
            ),
            KeyPlace::Named => ("<ds:KeyName>content</ds:KeyName>".to_owned(), keys),
        };
        let content = STANDARD.encode(content);
        format!(
            r#"<{wrapper}><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="_data{id}" Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="{}"/><ds:KeyInfo>{inside}</ds:KeyInfo><xenc:CipherData><xenc:CipherValue>{content}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>{beside}</{wrapper}>"#,
            self.cipher_uri()
        )
    }

    fn cipher_uri(&self) -> String {
        let family = if self.cipher.ends_with("gcm") { "2009/xmlenc11" } else { "2001/04/xmlenc" };
        format!("http://www.w3.org/{family}#{}", self.cipher)
    }

    /// The content key, and IV, ciphertext and tag.
    pub fn content(&self, plaintext: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let cipher = match self.cipher {
            "aes128-gcm" => Cipher::aes_128_gcm(),
            "aes192-gcm" => Cipher::aes_192_gcm(),
            "aes256-gcm" => Cipher::aes_256_gcm(),
            "aes128-cbc" => Cipher::aes_128_cbc(),
            "aes192-cbc" => Cipher::aes_192_cbc(),
            "aes256-cbc" => Cipher::aes_256_cbc(),
            "tripledes-cbc" => Cipher::des_ede3_cbc(),
            other => panic!("{other}"),
        };
        let mut key = vec![0; cipher.key_len()];
        let mut content = vec![0; cipher.iv_len().expect("a cipher with an IV")];
        rand_bytes(&mut key).expect("random octets");
        rand_bytes(&mut content).expect("random octets");
        if self.cipher.ends_with("gcm") {
            let mut tag = [0; 16];
            let sealed = encrypt_aead(cipher, &key, Some(&content), &[], plaintext, &mut tag).expect("GCM");
            content.extend(sealed);
            content.extend(tag);
        } else {
            let sealed = encrypt(cipher, &key, Some(&content), plaintext).expect("CBC");
            content.extend(sealed);
        }
        (key, content)
    }

    fn key(&self, key: &[u8], (certificate, recipient): (&str, Option<&str>), id: usize) -> String {
        let nth = self.recipients.iter().position(|(known, _)| *known == certificate).unwrap_or_default();
        let recipient = recipient.map(|recipient| format!(r#" Recipient="{recipient}""#)).unwrap_or_default();
        let method = match self.wrap {
            Wrap::Mgf1p(digest) => format!(
                r#"Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p">{}{}"#,
                self.label_element(),
                digest_method(digest)
            ),
            Wrap::Oaep(digest, mask) => {
                let mask = match mask {
                    "" => String::new(),
                    mask => format!(
                        r#"<xenc11:MGF xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" Algorithm="http://www.w3.org/2009/xmlenc11#mgf1{mask}"/>"#
                    ),
                };
                format!(
                    r#"Algorithm="http://www.w3.org/2009/xmlenc11#rsa-oaep">{}{}{mask}"#,
                    self.label_element(),
                    digest_method(digest)
                )
            }
            Wrap::Rsa15 => r#"Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-1_5">"#.to_owned(),
        };
        let about = match self.place {
            KeyPlace::Inside | KeyPlace::Beside => String::new(),
            KeyPlace::Retrieved => {
                format!(r##"<xenc:ReferenceList><xenc:DataReference URI="#_data{id}"/></xenc:ReferenceList>"##)
            }
            KeyPlace::Named => "<xenc:CarriedKeyName>content</xenc:CarriedKeyName>".to_owned(),
        };
        let wrapped = STANDARD.encode(self.wrapped(key, certificate));
        format!(
            r#"<xenc:EncryptedKey xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Id="_key{nth}{id}"{recipient}><xenc:EncryptionMethod {method}</xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue>{wrapped}</xenc:CipherValue></xenc:CipherData>{about}</xenc:EncryptedKey>"#
        )
    }

    fn label_element(&self) -> String {
        match self.label {
            b"" => String::new(),
            label => format!("<xenc:OAEPparams>{}</xenc:OAEPparams>", STANDARD.encode(label)),
        }
    }

    /// The wrapped content key for the owner of a certificate.
    pub fn wrapped(&self, key: &[u8], certificate: &str) -> Vec<u8> {
        let public =
            X509::from_pem(certificate.as_bytes()).and_then(|certificate| certificate.public_key()).expect("a certificate");
        let mut encrypter = Encrypter::new(&public).expect("a public key");
        match self.wrap {
            Wrap::Rsa15 => encrypter.set_rsa_padding(Padding::PKCS1).expect("a padding"),
            Wrap::Mgf1p(digest) => self.set_oaep(&mut encrypter, digest, "sha1"),
            Wrap::Oaep(digest, mask) => self.set_oaep(&mut encrypter, digest, mask),
        }
        let mut wrapped = vec![0; encrypter.encrypt_len(key).expect("a length")];
        let length = encrypter.encrypt(key, &mut wrapped).expect("encryption");
        wrapped.truncate(length);
        wrapped
    }

    fn set_oaep(&self, encrypter: &mut Encrypter<'_>, digest: &str, mask: &str) {
        encrypter.set_rsa_padding(Padding::PKCS1_OAEP).expect("a padding");
        encrypter.set_rsa_oaep_md(hash(digest)).expect("a hash");
        encrypter.set_rsa_mgf1_md(hash(mask)).expect("a mask");
        if !self.label.is_empty() {
            encrypter.set_rsa_oaep_label(self.label).expect("a label");
        }
    }
}

fn hash(name: &str) -> MessageDigest {
    match name {
        "" | "sha1" => MessageDigest::sha1(),
        "sha256" => MessageDigest::sha256(),
        "sha384" => MessageDigest::sha384(),
        "sha512" => MessageDigest::sha512(),
        other => panic!("{other}"),
    }
}

fn digest_method(name: &str) -> String {
    let family = match name {
        "" => return String::new(),
        "sha1" => "2000/09/xmldsig",
        "sha384" => "2001/04/xmldsig-more",
        _ => "2001/04/xmlenc",
    };
    format!(r#"<ds:DigestMethod Algorithm="http://www.w3.org/{family}#{name}"/>"#)
}
