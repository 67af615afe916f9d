//! Signed metadata, of an identity provider or of a federation.

use super::FakeIdp;
use super::document::sign_element;

impl FakeIdp {
    /// Signs metadata as a whole: the root gets the ID `_metadata` and a Signature.
    pub fn sign_metadata(&self, xml: &str) -> String {
        self.sign_metadata_with(xml, None)
    }

    /// As [`Self::sign_metadata`], with a change of the Signature before it is filled in.
    pub fn sign_metadata_with(&self, xml: &str, edit: Option<fn(&str) -> String>) -> String {
        let root = xml.strip_prefix('<').expect("a root").split([' ', '>']).next().expect("a name");
        let with_id = xml.replacen(&format!("<{root} "), &format!("<{root} ID=\"_metadata\" "), 1);
        sign_element(&with_id, &format!("<{root} "), "_metadata", self.algorithm, &self.key_der, edit)
    }
}
