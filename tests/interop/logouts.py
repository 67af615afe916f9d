"""Single logout with every IdP that has it, in both directions, and Keycloak's peculiarities around it: chapters of matrix.py."""

import urllib.parse

from case import ADA, DEEP, NAVIGATION, sign_in, walk
from plain_client import Forms, PlainClient
from processes import wait_for


def moved_session(case, client):
    """Another client with the session of `client`, which keeps its session at the IdP only."""
    other = PlainClient()
    other.cookies[case.gateway.host] = client.cookies.pop(case.gateway.host)
    return other


def sign_out_here(case, client):
    """The click on the application's "sign out"; status, Location and page."""
    headers = {"Origin": case.gateway.base, "Sec-Fetch-Site": "same-origin", **NAVIGATION}
    return client.send("POST", f"{case.gateway.base}/_samlgate/logout", {}, headers)


def a_logout_that_begins_here(case):
    client = case.signed_in()
    thief = PlainClient()
    thief.cookies[case.gateway.host] = dict(client.cookies[case.gateway.host])
    assert case.is_in(thief)
    status, location, page = sign_out_here(case, client)
    assert not case.is_in(thief), "the session lives on before the IdP is asked"
    if case.variant.binding == "redirect":
        assert status == 303 and location.startswith(case.idp.slo) and "Signature=" in location, (status, location)
        _, url, page = walk(client, location)
    else:
        form = Forms(page)
        assert status == 200 and form.action.startswith(case.idp.slo) and "SAMLRequest" in form.fields, (status, page[:500])
        _, url, page = walk(client, form.action, fields=form.fields)
    log = case.gateway.said()
    # The answer was taken and the start page begins a login, which asks for the password.
    assert '"message":"logout confirmed by the identity provider"' in log, (url, page[:800])
    assert "password" in Forms(page).fields and not url.startswith(case.gateway.base), f"no question at {url}: {page[:800]}"
    _, url, page = sign_in(client, case.gateway.base + DEEP)
    case.arrived(url, page, DEEP)


def a_logout_that_begins_at_the_idp(case):
    """The session is in another client than the one that brings the message, so it is found by its name and not by a cookie."""
    client = case.signed_in()
    other = moved_session(case, client)
    assert case.is_in(other)
    status, url, page = walk(client, case.idp.logout_url())
    assert url.startswith(case.idp.base), f"ended at {url}: {status} {page[:800]}"
    wait_for("the end of the session", lambda: not case.is_in(other), seconds=1)
    assert '"message":"logout at the identity provider"' in case.gateway.said()
    # Whoever comes back is asked for the password, and let in at once.
    _, url, page = walk(client, case.gateway.base + DEEP)
    assert "password" in Forms(page).fields, f"no question at {url}: {page[:800]}"
    _, url, page = sign_in(client, case.gateway.base + DEEP)
    case.arrived(url, page, DEEP)


def an_administrator_signs_somebody_out(case):
    """In two browsers, with a session of its own at the IdP each."""
    clients = [case.signed_in(), case.signed_in()]
    case.idp.administrator_signs_out(ADA["name"])
    wait_for("the end of all sessions", lambda: not any(case.is_in(client) for client in clients), seconds=1)
    assert '"message":"logout at the identity provider"' in case.gateway.said()


def logout_messages_that_are_not_signed(case):
    """Keycloak signs them by the switch for documents alone. Unsigned ones end nothing, and say which switch it is."""
    client = case.signed_in()
    other = moved_session(case, client)
    slo = f"{case.gateway.base}/_samlgate/slo"
    _, fields, _ = walk(client, case.idp.logout_url(), stop_at=slo)
    message = urllib.parse.urlencode(fields)  # as the browser's developer tools show it
    status, url, page = walk(client, slo, fields=fields)
    assert url == slo and status >= 400, (status, url)
    assert "signature_missing" in page, page[:800]
    assert case.is_in(other), "an unsigned message has ended a session"
    log = case.gateway.said()
    assert '"message":"logout refused"' in log and "Sign documents" in log, log[-2000:]
    text, verdict = case.gateway.explain(message)
    assert verdict["reason"] == "signature_missing" and "Sign documents" in text, text
    # Begun here it ends the session here, whatever the IdP answers, and the answer is refused like any other.
    client = case.signed_in()
    status, location, page = sign_out_here(case, client)
    assert not case.is_in(client)
    form = Forms(page)
    status, url, page = walk(client, location) if location else walk(client, form.action, fields=form.fields)
    assert url.startswith(f"{case.gateway.base}/_samlgate/slo") and "signature_missing" in page, (status, url, page[:800])
    # It is the switch that was named.
    case.idp.change_client(saml__server__signature="true")
    a_logout_that_begins_here(case)
    a_logout_that_begins_at_the_idp(case)


def a_question_that_may_not_be_asked(case):
    """A passive login of somebody without a session at the IdP: the visitor is back on the page, also from Keycloak 26.0, which
    doesn't say which request it refuses."""
    client = PlainClient()
    back = urllib.parse.quote(DEEP, safe="")
    url = f"{case.gateway.base}/_samlgate/login?passive=true&return_to={back}"
    for _ in range(10):  # there by Redirect, perhaps a hop at the IdP, and back by a form
        status, location, page = client.send("GET", url, headers=NAVIGATION)
        if not location:
            break
        url = location
    form = Forms(page)
    assert "SAMLResponse" in form.fields, (url, page[:800])
    status, location, page = client.send("POST", form.action, form.fields, NAVIGATION)
    assert status == 303 and location == case.gateway.base + DEEP, (status, location, page[:800])
