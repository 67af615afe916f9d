"""samlgate's own keys are changed as docs/key-rollover.md says, at a Keycloak that encrypts for them: a chapter of matrix.py."""

from case import DEEP, sign_in, walk
from plain_client import PlainClient

OLD = '{ key = "sp.key", certificate = "sp.crt" }'
NEW = '{ key = "new/sp.key", certificate = "new/sp.crt" }'
# A wrong key makes nonsense, which looks like CBC's padding once in some 256 times.
UNREADABLE = ("decryption_failed", "not_xml")


def restarted(case, *keys):
    """samlgate with these keys, the first of which signs."""
    case.gateway.processes.stop(case.gateway.process)
    case.gateway.configure("samlgate.toml", **case.settings, keys=", ".join(keys))
    case.gateway.start()


def certificate(path):
    """As Keycloak has it: without the lines around it."""
    return "".join(line for line in path.read_text().splitlines() if "-----" not in line)


def answer(case):
    """An answer of the IdP that is not posted yet: who would post it, and its form."""
    client = PlainClient()
    target, fields, _ = sign_in(client, case.gateway.base + DEEP, stop_at=f"{case.gateway.base}/_samlgate/acs")
    return client, target, fields


def encrypted_for(case):
    """The keys that can read what the IdP encrypts now."""
    _, _, fields = answer(case)
    can = []
    for name, key in ("old", OLD), ("new", NEW):
        config = case.gateway.configure(f"only-{name}.toml", **case.settings, keys=key)
        _, verdict = case.gateway.explain(fields["SAMLResponse"], config=config)
        # The request's ID isn't given, so what can be read is refused for that.
        assert verdict["reason"] in ("in_response_to_mismatch", *UNREADABLE), verdict
        if verdict["reason"] not in UNREADABLE:
            can.append(name)
    return can


def our_own_keys_change(case):
    gateway, idp = case.gateway, case.idp
    gateway.run("keygen", "--out", gateway.home / "new")
    old, new = certificate(gateway.home / "sp.crt"), certificate(gateway.home / "new/sp.crt")
    # Both are published, the old one signs.
    restarted(case, OLD, NEW)
    case.signed_in()
    assert encrypted_for(case) == ["old"]
    # An import now would take the key that doesn't sign yet, so the page tells to change certificates by hand.
    imported = idp.imported(gateway.run("metadata", "--config", gateway.config))
    assert (imported["saml.signing.certificate"], imported["saml.encryption.certificate"]) == (new, new), imported
    # The new one signs. Keycloak takes one certificate for signatures, so both change in the same minute.
    idp.change_client(saml__signing__certificate=new)
    restarted(case, NEW, OLD)
    case.signed_in()
    assert encrypted_for(case) == ["old"]
    early = answer(case)
    idp.change_client(saml__encryption__certificate=new)
    assert encrypted_for(case) == ["new"]
    # Whoever was on the way still arrives, and so does who comes now.
    client, target, fields = early
    status, location, page = client.send("POST", target, fields)
    assert status == 303 and location == gateway.base + DEEP, (status, location, page[:500])
    case.signed_in()
    # The old one is gone.
    restarted(case, NEW)
    case.signed_in()
    idp.change_client(saml__encryption__certificate=old)
    client, target, fields = answer(case)
    status, location, page = client.send("POST", target, fields)
    assert status >= 400 and not location and any(code in page for code in UNREADABLE), (status, location, page[:500])
    idp.change_client(saml__encryption__certificate=new, saml__signing__certificate=old)
    status, url, page = walk(PlainClient(), gateway.base + DEEP)
    assert status == 400 and url.startswith(idp.base) and "Invalid requester" in page, f"not refused at {url}: {status} {page[-1500:]}"
    if idp.reads_our_metadata:
        our_own_keys_change_by_themselves(case)


def our_own_keys_change_by_themselves(case):
    """Where Keycloak reads our metadata itself, nothing is changed there."""
    idp = case.idp
    restarted(case, OLD)
    idp.change_client(saml__useMetadataDescriptorUrl="true", saml__metadataDescriptorUrl=case.gateway.entity_id)
    idp.forget_keys()
    case.signed_in()
    restarted(case, OLD, NEW)
    idp.forget_keys()  # in life: until it has read them again
    case.signed_in()
    restarted(case, NEW, OLD)
    case.signed_in()
    idp.forget_keys()
    case.signed_in()
    assert encrypted_for(case) == ["new"]
    restarted(case, NEW)
    case.signed_in()
