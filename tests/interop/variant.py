"""One way in which an IdP can be set up."""

from dataclasses import dataclass, field

FORMATS = {
    "persistent": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    "transient": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
    "email": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    "unspecified": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
}

XMLENC, XMLENC11, XMLDSIG = "http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2009/xmlenc11#", "http://www.w3.org/2000/09/xmldsig#"
# KeyEncryptionMethod, DigestMethod, MaskGenerationFunction
WRAPS = {
    "mgf1p": (f"{XMLENC}rsa-oaep-mgf1p", f"{XMLDSIG}sha1", ""),
    "mgf1p-sha256": (f"{XMLENC}rsa-oaep-mgf1p", f"{XMLENC}sha256", ""),
    "oaep-sha256": (f"{XMLENC11}rsa-oaep", f"{XMLENC}sha256", f"{XMLENC11}mgf1sha256"),
    "oaep-sha512": (f"{XMLENC11}rsa-oaep", f"{XMLENC}sha512", f"{XMLENC11}mgf1sha512"),
    "rsa-1.5": (f"{XMLENC}rsa-1_5", "", ""),
}


@dataclass(frozen=True)
class Variant:
    """What is signed, how it is encrypted, which NameID comes, by which binding samlgate asks."""

    about: str
    sign: str = "both"  # assertion | response | both
    encrypt: str = ""  # a cipher, or nothing
    nameid: str = "persistent"
    binding: str = "redirect"
    compat: list = field(default_factory=list)  # weaknesses that samlgate must be told to allow
    algorithm: str = "rsa-sha256"  # of the signature
    artifact: bool = False  # responses come by artifact
    asked: str = ""  # [sp] name_id_format; the NameID's own when empty
    wrap: str = ""  # how the content key is wrapped, where the IdP has a choice: a key of WRAPS
    several: bool = False  # every group in an Attribute element of its own
    back_channel: str = ""  # soap | post: the IdP itself calls samlgate's logout service; else the browser does
    new_keys: bool = False  # samlgate's own keys are changed
    by_url: bool = False  # samlgate fetches the IdP's metadata itself

    @property
    def format(self):
        return FORMATS[self.nameid]
