"""Verifies the assertion that samlgate sends in X-Samlgate-Assertion (docs/verify-assertion.md)."""

import json
import re
import threading
import time
import urllib.request

import jwt  # PyJWT with cryptography: Python's own library has no ECDSA

# Three parts of unpadded base64url; the signature has 64 octets, in their only spelling.
FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{85}[AQgw]")
LEEWAY = 5  # seconds that clocks may differ
RETRY, REFRESH, KEEP = 10, 300, 3600  # seconds: between two fetches, until the next one, and without one that worked


class Refused(Exception):
    """The request has no good assertion: answer 401 and do nothing else."""


class Verifier:
    """One for the whole application. `keys` is the URL of samlgate's jwks.json, or a file."""

    def __init__(self, issuer, audience, keys, clock=time.time):
        self.issuer, self.audience, self.source, self.clock = issuer, audience, keys, clock
        self.lock = threading.Lock()
        self.keys, self.fetched, self.tried = {}, None, None

    def verify(self, token):
        """The claims of the header's value, or Refused."""
        if not isinstance(token, str) or not FORM.fullmatch(token):
            raise Refused("no assertion, or not one")
        try:
            header = jwt.get_unverified_header(token)
            if "crit" in header:
                raise Refused("an extension")
            claims = jwt.decode(
                token, self.key(header.get("kid")), algorithms=["ES256"], issuer=self.issuer, audience=self.audience,
                # the times are judged below, by our own clock
                options={"require": ["exp", "nbf", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            raise Refused(str(error)) from error
        now, exp, nbf = self.clock(), claims["exp"], claims["nbf"]
        if type(exp) is not int or type(nbf) is not int or not nbf - LEEWAY <= now < exp + LEEWAY:
            raise Refused("expired or not yet valid")
        if not all(isinstance(claims.get(name), str) and claims[name] for name in ("sub", "user")):
            raise Refused("no subject")
        return claims

    def key(self, kid):
        with self.lock:
            now = self.clock()
            old = self.fetched is None or not 0 <= now - self.fetched < REFRESH
            may = self.tried is None or not 0 <= now - self.tried < RETRY
            if (old or kid not in self.keys) and may:
                self.tried = now
                try:
                    self.keys, self.fetched = load(self.source), now
                except (OSError, ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError):
                    pass  # what was fetched before is good for a while
            if self.fetched is None or now - self.fetched > KEEP:
                raise Refused("the keys can't be fetched")
            if kid not in self.keys:
                raise Refused("signed with an unknown key")
            return self.keys[kid]


def load(source):
    """The P-256 keys of a key set, by kid."""
    if re.match("https?://", source):
        with urllib.request.urlopen(source, timeout=3) as answer:
            found = json.load(answer)["keys"]
    else:
        with open(source, encoding="utf-8") as file:
            found = json.load(file)["keys"]
    usable = [key for key in found if (key.get("kty"), key.get("crv")) == ("EC", "P-256") and isinstance(key.get("kid"), str)]
    return {key["kid"]: jwt.PyJWK(key, algorithm="ES256") for key in usable}
