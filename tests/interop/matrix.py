"""Every identity provider that there is a real one of, set up in every way in which it can be, and a login in each. Started by
run.sh. Without a browser: what browsers add is login.py's part.

A chapter is a function of a [Case]; what is to be tried with every variant of every IdP (single logout, say) is one more."""

import argparse
import base64
import html
import json
import re
import sys
import tempfile
import time
import traceback
import urllib.parse
from pathlib import Path

from case import ADA, DEEP, ELSEWHERE, MANY, Case, sign_in, walk
from echo import EchoApplication
from key_rollover import keys_change_under_load
from logouts import (
    a_logout_that_begins_at_the_idp,
    a_logout_that_begins_here,
    a_question_that_may_not_be_asked,
    an_administrator_signs_somebody_out,
    logout_messages_that_are_not_signed,
)
from own_keys import our_own_keys_change
from plain_client import Forms, PlainClient
from processes import Processes


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
    groups = verdict["attributes"]["groups"]
    if case.variant.several:  # the IdP has an order of its own
        groups = sorted(groups, key=ADA["attributes"]["groups"].index)
    assert groups == ADA["attributes"]["groups"], verdict["attributes"]
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


def every_group_arrives(case):
    """Several Attribute elements of one Name are one list, in the order in which they came; and a person may be in 400 groups."""
    for person in (ADA, MANY):
        client = PlainClient()
        _, fields, _ = sign_in(client, case.gateway.base + DEEP, stop_at=f"{case.gateway.base}/_samlgate/acs", person=person)
        xml = base64.b64decode(fields["SAMLResponse"]).decode()
        elements = re.findall(r'<saml:Attribute [^>]*Name="groups".*?</saml:Attribute>', xml, re.S)
        came = [html.unescape(re.search(r"<saml:AttributeValue[^>]*>([^<]*)<", element)[1]) for element in elements]
        assert sorted(came) == sorted(person["attributes"]["groups"]), came
        request = re.search(r'<samlp:Response[^>]* InResponseTo="([^"]+)"', xml)[1]
        _, verdict = case.gateway.explain(fields["SAMLResponse"], "--request-id", request)
        assert verdict["accepted"] and verdict["attributes"]["groups"] == came, verdict
        _, url, page = walk(client, f"{case.gateway.base}/_samlgate/acs", fields=fields)
        case.arrived(url, page, DEEP, person)
    assert len(fields["SAMLResponse"]) > 100_000, len(fields["SAMLResponse"])


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


def chapters(idp, variant):
    """What is tried with a variant."""
    # A response that samlgate asks for itself is nowhere to be caught.
    yield from (a_deep_link, a_tile_of_the_portal, an_artifact_is_used_once if variant.artifact else what_explain_says)
    if not hasattr(idp, "slo"):
        return
    if idp.name.startswith("keycloak") and variant.sign == "assertion":
        yield logout_messages_that_are_not_signed
    else:
        yield from (a_logout_that_begins_here, a_logout_that_begins_at_the_idp)
    if variant.several:
        yield every_group_arrives
    if variant.back_channel:
        yield an_administrator_signs_somebody_out
    if variant.new_keys:
        yield our_own_keys_change
    if variant.by_url:
        yield from (a_question_that_may_not_be_asked, keys_change_under_load)


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
            from keycloak import VERSIONS, Keycloak

            for version in VERSIONS:
                yield Keycloak(processes, home / f"keycloak-{version}", [ADA, MANY], version)
        else:
            raise ValueError(name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samlgate", required=True)
    parser.add_argument("--debian", required=True)
    parser.add_argument("--only", default="", help="only variants that have this in their description")
    parser.add_argument("idps", nargs="+")
    options = parser.parse_args()
    done, failed, begun = 0, [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="samlgate-matrix-", ignore_cleanup_errors=True) as folder, EchoApplication() as echo:
        home = Path(folder)
        logs = home / "logs"
        logs.mkdir()
        with Processes(logs) as processes:
            for idp in idps(options.idps, processes, home, options):
                for number, variant in enumerate(idp.variants):
                    if options.only not in variant.about:
                        continue
                    case = None
                    where = f"{idp.name}: {variant.about}"
                    try:
                        case = Case(processes, idp, variant, options, home / f"{idp.name}-{number}", echo.url)
                        for chapter in chapters(idp, variant):
                            where = f"{idp.name}: {variant.about}: {chapter.__name__.replace('_', ' ')}"
                            chapter(case)
                            done += 1
                        processes.stop(case.gateway.process)
                        print(f"  {idp.name}: {variant.about}", flush=True)
                    except Exception:
                        traceback.print_exc()
                        print(f"  FAILED {where}", flush=True)
                        if case:
                            print("\n".join(case.gateway.said().splitlines()[-25:]), file=sys.stderr)
                        failed.append(where)
            for log in sorted(logs.glob("*.log")) if failed else []:
                print(f"---- {log.stem}\n{processes.log(log.stem)}", file=sys.stderr)
    if failed:
        print(f"interop: FAILED in {len(failed)} of the matrix: " + "; ".join(failed))
        return 1
    print(f"interop: ok. the matrix of {', '.join(options.idps)}: {done} chapters in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
