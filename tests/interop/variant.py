"""One way in which an IdP can be set up."""

from dataclasses import dataclass, field

FORMATS = {
    "persistent": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    "transient": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
    "email": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    "unspecified": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
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

    @property
    def format(self):
        return FORMATS[self.nameid]
