"""One variant of one IdP with a samlgate in front of the application, and the people who sign in there."""

import json
import urllib.parse
from pathlib import Path

from gateway import Gateway
from plain_client import Forms, PlainClient

ADA = {
    "name": "ada",
    "password": "ada's pass & word",
    "attributes": {"uid": ["ada"], "mail": ["ada@example.org"], "groups": ["staff", "Dashboard Admins", "R&D <lab>"]},
}
# Somebody whom every department has put on its lists.
MANY = {
    "name": "many",
    "password": "many's password",
    "attributes": {"uid": ["many"], "mail": ["many@example.org"], "groups": ["staff"] + [f"department-{n:03}-of-the-company" for n in range(399)]},
}
DEEP = "/reports/q3%20x?region=emea&to=%2Fx"
ELSEWHERE = "/dashboards/7?tab=costs"
NAVIGATION = {"Sec-Fetch-Mode": "navigate"}


def walk(client, url, person=None, fields=None, stop_at=None):
    """Goes on from a URL as a browser does (with `fields`, by POST), through redirects and forms that post themselves. Fills in the
    password once, for `person`; with nobody, the IdP's form is where it ends. The last status, URL and page, or the form that would
    be posted to `stop_at`."""
    method, asked = "POST" if fields is not None else "GET", 0
    for _ in range(25):
        status, location, page = client.send(method, url, fields, NAVIGATION)
        if location:
            method, url, fields = "GET", location, None
            continue
        form = Forms(page)
        if "password" in form.fields and person:
            asked += 1
            assert asked == 1, f"the password was not taken: {page[:500]}"
            form.fields.update(username=person["name"], password=person["password"])
        elif not {"SAMLResponse", "SAMLRequest"} & set(form.fields) and "logout-confirm" not in (form.action or ""):
            return status, url, page
        target = urllib.parse.urljoin(url, form.action)
        if stop_at and target.startswith(stop_at):
            return target, form.fields, page
        method, url, fields = "POST", target, form.fields
    raise AssertionError(f"no end of it, last {url}")


def sign_in(client, url, stop_at=None, person=ADA):
    """A walk that fills in the password."""
    return walk(client, url, person, stop_at=stop_at)


class Case:
    """One variant of one IdP, with a samlgate of its own in front of the application."""

    def __init__(self, processes, idp, variant, options, home, upstream):
        self.idp, self.variant = idp, variant
        asked = variant.asked or variant.nameid
        self.gateway = Gateway(processes, Path(options.samlgate).resolve(), home, upstream, idp.metadata())
        more = {"idp_metadata": idp.metadata_url} if variant.by_url else {}
        self.settings = {
            "sp_more": f'name_id_format = "{asked}"',
            "binding": variant.binding,
            "idp_more": f'idp_initiated = "restart"\ncompat = {json.dumps(variant.compat)}\n'
            f'response_binding = "{"artifact" if variant.artifact else "post"}"',
            **more,
        }
        self.gateway.configure("samlgate.toml", **self.settings)
        idp.register(self.gateway.run("metadata", "--config", self.gateway.config), variant)
        self.gateway.start()

    def arrived(self, url, page, path, person=ADA):
        """The person sees the page that was asked for, and the application knows who that is."""
        assert url == self.gateway.base + path, f"ended at {url}: {page[:800]}"
        seen = json.loads(page)
        headers = dict(seen["headers"])
        assert seen["path"] == path, seen
        role = "admin" if "Dashboard Admins" in person["attributes"]["groups"] else "viewer"
        assert (headers["x-user"], headers["x-role"]) == (person["name"], role), headers
        assert headers["x-samlgate-assertion"].count(".") == 2, headers
        assert not any("samlgate" in headers.get(name, "") for name in ("cookie", "authorization")), headers

    def signed_in(self):
        """A client in which Ada has a session."""
        client = PlainClient()
        _, url, page = sign_in(client, self.gateway.base + DEEP)
        self.arrived(url, page, DEEP)
        return client

    def is_in(self, client):
        """Whether the application's pages are open to a client's scripts."""
        status, _, page = client.send("GET", self.gateway.base + ELSEWHERE, headers={"Sec-Fetch-Mode": "cors"})
        assert status in (200, 401), (status, page[:500])
        return status == 200
