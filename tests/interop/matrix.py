"""Every identity provider that there is a real one of, set up in every way in which it can be, and a login in each. Started by
run.sh. Without a browser: what browsers add is login.py's part.

A chapter is a function of a [Case]; what is to be tried with every variant of every IdP (single logout, say) is one more."""

import argparse
import base64
import json
import re
import sys
import tempfile
import traceback
import urllib.parse
from pathlib import Path

from echo import EchoApplication
from gateway import Gateway
from plain_client import Forms, PlainClient
from processes import Processes

ADA = {
    "name": "ada",
    "password": "ada's pass & word",
    "attributes": {"uid": ["ada"], "mail": ["ada@example.org"], "groups": ["staff", "Dashboard Admins", "R&D <lab>"]},
}
DEEP = "/reports/q3%20x?region=emea&to=%2Fx"
ELSEWHERE = "/dashboards/7?tab=costs"


def sign_in(client, url, stop_at=None):
    """Goes on from a URL as a browser does, filling in the password once; the last URL and page, or the form that would be posted
    to `stop_at`."""
    method, fields, asked = "GET", None, 0
    for _ in range(25):
        status, location, page = client.send(method, url, fields, {"Sec-Fetch-Mode": "navigate"})
        if location:
            method, url, fields = "GET", location, None
            continue
        form = Forms(page)
        if "password" in form.fields:
            asked += 1
            assert asked == 1, f"the password was not taken: {page[:500]}"
            form.fields.update(username=ADA["name"], password=ADA["password"])
        elif not {"SAMLResponse", "SAMLRequest"} & set(form.fields):
            return status, url, page
        target = urllib.parse.urljoin(url, form.action)
        if stop_at and target.startswith(stop_at):
            return target, form.fields, page
        method, url, fields = "POST", target, form.fields
    raise AssertionError(f"no end of it, last {url}")


class Case:
    """One variant of one IdP, with a samlgate of its own in front of the application."""

    def __init__(self, processes, idp, variant, options, home, upstream):
        self.idp, self.variant = idp, variant
        asked = variant.asked or variant.nameid
        self.gateway = Gateway(processes, Path(options.samlgate).resolve(), home, upstream, idp.metadata())
        self.gateway.configure(
            "samlgate.toml",
            sp_more=f'name_id_format = "{asked}"',
            binding=variant.binding,
            idp_more=f'idp_initiated = "restart"\ncompat = {json.dumps(variant.compat)}\n'
            f'response_binding = "{"artifact" if variant.artifact else "post"}"',
        )
        idp.register(self.gateway.run("metadata", "--config", self.gateway.config), variant)
        self.gateway.start()

    def arrived(self, url, page, path):
        """The person sees the page that was asked for, and the application knows who that is."""
        assert url == self.gateway.base + path, f"ended at {url}: {page[:800]}"
        seen = json.loads(page)
        headers = dict(seen["headers"])
        assert seen["path"] == path, seen
        assert (headers["x-user"], headers["x-role"]) == ("ada", "admin"), headers
        assert headers["x-samlgate-assertion"].count(".") == 2, headers
        assert not any("samlgate" in headers.get(name, "") for name in ("cookie", "authorization")), headers


def a_deep_link(case):
    client = PlainClient()
    status, location, page = client.send("GET", case.gateway.base + DEEP, headers={"Sec-Fetch-Mode": "navigate"})
    if case.variant.binding == "redirect":
        assert status == 302 and location.startswith(case.idp.sso), (status, location)
    else:
        assert status == 200 and "SAMLRequest" in Forms(page).fields, (status, page[:500])
    _, url, page = sign_in(client, case.gateway.base + DEEP)
    case.arrived(url, page, DEEP)
    # And once more, signed in at both: no question, no detour.
    status, location, page = client.send("GET", case.gateway.base + ELSEWHERE)
    assert status == 200 and not location, (status, location)


def a_tile_of_the_portal(case):
    client = PlainClient()
    _, url, page = sign_in(client, case.idp.magic_url(case.gateway.entity_id, ELSEWHERE))
    case.arrived(url, page, ELSEWHERE)
    _, url, page = sign_in(client, case.idp.magic_url(case.gateway.entity_id, case.gateway.base + DEEP))
    case.arrived(url, page, DEEP)


def what_explain_says(case):
    client = PlainClient()
    _, fields, _ = sign_in(client, case.gateway.base + DEEP, stop_at=f"{case.gateway.base}/_samlgate/acs")
    response = fields["SAMLResponse"]
    xml = base64.b64decode(response).decode()
    request = ["--request-id", re.search(r'<[a-z0-9]*:?Response[^>]* InResponseTo="([^"]+)"', xml)[1]]
    _, verdict = case.gateway.explain(response, *request)
    assert verdict["accepted"], verdict
    assert verdict["subject"]["format"] == case.variant.format, verdict["subject"]
    assert verdict["attributes"]["groups"] == ADA["attributes"]["groups"], verdict["attributes"]
    checks = {check["name"]: check["detail"] for check in verdict["checks"]}
    assert ("encryption" in checks) == bool(case.variant.encrypt), checks
    if case.variant.encrypt:
        cipher = case.variant.encrypt.split("-")
        assert cipher[0].upper()[3:] in checks["encryption"] and cipher[1].upper() in checks["encryption"], checks["encryption"]
        assert "EncryptedAssertion" in xml and f">{ADA['name']}<" not in xml, "it is not encrypted"
    signed = {"assertion": "Assertion", "response": "the Response is signed", "both": "Assertion"}[case.variant.sign]
    assert signed in checks["signature"] or signed in checks.get("assertion signature", ""), checks
    if case.variant.compat:
        _, refused = case.gateway.explain(response, *request, config=case.gateway.configure("strict.toml"))
        assert refused["reason"] == "decryption_failed", refused
    same = {"sp_more": "", "idp_more": f"compat = {json.dumps(case.variant.compat)}"}
    # What is inside a ciphertext that anybody can change is not spoken of, not even how it is signed.
    blind = case.variant.sign == "assertion" and bool(case.variant.compat)
    for about, reason, changes in [
        ("another audience", "audience_mismatch", {"entity_id": "https://other.example"}),
        ("another certificate", "decryption_failed" if blind else "signature_invalid", {"idp_metadata": case.gateway.metadata_with_another_certificate()}),
    ]:
        text, refused = case.gateway.explain(response, *request, config=case.gateway.configure("wrong.toml", **{**same, **changes}))
        assert refused["reason"] == reason and reason in text, (about, refused)
    # Whoever finds it can't use it.
    stranger = PlainClient()
    status, location, page = stranger.send("POST", f"{case.gateway.base}/_samlgate/acs", {"SAMLResponse": response})
    assert status >= 400 and not location and "browser_mismatch" in page, (status, location, page[:300])


def an_artifact_is_used_once(case):
    client = PlainClient()
    url, back = case.gateway.base + DEEP, None
    for _ in range(25):
        status, location, page = client.send("GET", url, headers={"Sec-Fetch-Mode": "navigate"})
        if not location:
            form = Forms(page)
            form.fields.update({"username": ADA["name"], "password": ADA["password"]} if "password" in form.fields else {})
            status, location, page = client.send("POST", urllib.parse.urljoin(url, form.action), form.fields)
        assert location, f"no way on from {url}: {status} {page[:500]}"
        url = location
        if "SAMLart=" in url:
            back = url
            break
    assert back and back.startswith(f"{case.gateway.base}/_samlgate/acs?"), back
    # Whoever finds it can't use it, and has used it up.
    status, location, page = PlainClient().send("GET", back)
    assert status >= 400 and not location and "browser_mismatch" in page, (status, location, page[:300])
    status, location, page = client.send("GET", back)
    assert status >= 400 and not location and "replayed" in page, (status, location, page[:300])


def chapters(variant):
    """What is tried with a variant: a response that samlgate asks for itself is nowhere to be caught."""
    last = an_artifact_is_used_once if variant.artifact else what_explain_says
    return [a_deep_link, a_tile_of_the_portal, last]


def idps(names, processes, home, options):
    """The identity providers that are asked for, started one after the other."""
    for name in names:
        if name == "simplesamlphp":
            from simplesamlphp import SimpleSamlPhp

            yield SimpleSamlPhp(processes, Path(options.debian), home / "simplesamlphp", [ADA])
        elif name == "samlp":
            from samlp import Samlp

            yield Samlp(processes, home / "samlp", [ADA])
        elif name == "keycloak":
            from keycloak import Keycloak

            yield Keycloak(processes, home / "keycloak", [ADA])
        else:
            raise ValueError(name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samlgate", required=True)
    parser.add_argument("--debian", required=True)
    parser.add_argument("idps", nargs="+")
    options = parser.parse_args()
    done, failed = 0, []
    with tempfile.TemporaryDirectory(prefix="samlgate-matrix-", ignore_cleanup_errors=True) as folder, EchoApplication() as echo:
        home = Path(folder)
        logs = home / "logs"
        logs.mkdir()
        with Processes(logs) as processes:
            for idp in idps(options.idps, processes, home, options):
                for number, variant in enumerate(idp.variants):
                    where = f"{idp.name}: {variant.about}"
                    try:
                        case = Case(processes, idp, variant, options, home / f"{idp.name}-{number}", echo.url)
                        for chapter in chapters(variant):
                            where = f"{idp.name}: {variant.about}: {chapter.__name__.replace('_', ' ')}"
                            chapter(case)
                            done += 1
                        processes.stop(case.gateway.process)
                        print(f"  {idp.name}: {variant.about}", flush=True)
                    except Exception:
                        traceback.print_exc()
                        print(f"  FAILED {where}", flush=True)
                        failed.append(where)
            for log in sorted(logs.glob("*.log")) if failed else []:
                print(f"---- {log.stem}\n{processes.log(log.stem)}", file=sys.stderr)
    if failed:
        print(f"interop: FAILED in {len(failed)} of the matrix: " + "; ".join(failed))
        return 1
    print(f"interop: ok. the matrix of {', '.join(options.idps)}: {done} chapters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
