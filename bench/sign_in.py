"""Signs in as a browser would: follows redirects, fills in the identity provider's form, posts its answer."""

import base64
import http.client
import ssl
import urllib.parse

from plain_client import Forms, PlainClient


class Visitor(PlainClient):
    """Somebody who finds a host at another port than its URL says, as behind a port mapping, perhaps by TLS."""

    def __init__(self, host=None, port=None, tls=False):
        super().__init__()
        self.mapped, self.port, self.tls = host, port, tls

    def connect(self, parts):
        if parts.netloc != self.mapped:
            return super().connect(parts)
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # our own certificate, on loopback
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)


def sign_in(visitor, url, fields):
    """The Cookie header of a new session at `url`, and the response that made it. `fields` go into the IdP's form."""
    host = urllib.parse.urlsplit(url).netloc
    at, page = visitor.follow("GET", url)
    form = Forms(page)
    if "password" not in form.fields:
        raise RuntimeError(f"no login page at {at}: {page[:500]}")
    at, page = visitor.follow("POST", urllib.parse.urljoin(at, form.action), {**form.fields, **fields})
    answer = Forms(page)
    if "SAMLResponse" not in answer.fields:
        raise RuntimeError(f"no SAMLResponse at {at}: {page[:500]}")
    status, location, page = visitor.send("POST", urllib.parse.urljoin(at, answer.action), answer.fields)
    if status not in (302, 303):
        raise RuntimeError(f"the login was refused ({status}): {page[:500]}")
    visitor.follow("GET", location)
    status, _, page = visitor.send("GET", url)
    if status != 200:
        raise RuntimeError(f"no session at {url} ({status}): {page[:500]}")
    cookies = [f"{name}={value}" for name, value in visitor.cookies[host].items() if "login" not in name]
    return "; ".join(cookies), base64.b64decode(answer.fields["SAMLResponse"]).decode()
