"""One real login, told as a story: who does what, and what they must see. Started by run.sh."""

import argparse
import base64
import re
import sys
import tempfile
import traceback
from pathlib import Path

from gateway import Gateway
from nagios import Nagios
from plain_client import PlainClient, captured_response
from processes import Processes
from simplesamlphp import SimpleSamlPhp
from webdriver import Browser, Driver

ADA = {
    "name": "ada",
    "password": "ada's pass & word",
    "attributes": {"uid": ["ada"], "mail": ["ada@example.org"], "groups": ["staff", "Dashboard Admins"]},
}
VERA = {
    "name": "vera",
    "password": "vera-password",
    "attributes": {"uid": ["vera"], "mail": ["vera@example.org"], "groups": ["staff"]},
}
NOBODY = {"name": "noel", "password": "noel-password", "attributes": {"uid": ["noel"], "groups": ["guests"]}}

STATUS = "/nagios4/cgi-bin/status.cgi?host=billing&style=detail"
PROCESS = "/nagios4/cgi-bin/extinfo.cgi?type=0"
HOSTS = "/nagios4/cgi-bin/status.cgi?hostgroup=all&style=hostdetail"
NOT_ALLOWED = "do not have permission to view process information"


def expect(text, page):
    assert text in page, f"expected {text!r} in:\n{page[:1500]}"


def expect_not(text, page):
    assert text not in page, f"did not expect {text!r} in:\n{page[:1500]}"


class Story:
    """The cast: an IdP, an application, samlgate in front of it, and people with browsers."""

    def __init__(self, processes, home, options):
        debian = Path(options.debian)
        self.processes = processes
        self.home = home
        self.screenshots = Path(options.screenshots)
        self.idp = SimpleSamlPhp(processes, debian, home / "idp", [ADA, VERA, NOBODY])
        self.nagios = Nagios(processes, debian, home / "nagios", administrator="ada", ordinary="vera")
        upstream = f"http://127.0.0.1:{self.nagios.port}"
        self.gateway = Gateway(processes, Path(options.samlgate).resolve(), home / "samlgate", upstream, self.idp.metadata())
        self.idp.register(self.gateway.run("metadata", "--config", self.gateway.config))
        self.gateway.start()
        self.driver = Driver(processes)

    def browser(self, name):
        return Browser(self.driver, self.home / f"profile-{name}", self.screenshots)

    def status_with(self, cookie):
        """What a thief gets with a session cookie."""
        headers = {"Cookie": f"samlgate={cookie}", "Sec-Fetch-Mode": "cors"}
        return PlainClient().send("GET", self.gateway.base + PROCESS, headers=headers)[0]

    def at_idp(self, browser):
        browser.wait_until("the IdP's login page", lambda: browser.url.startswith(self.idp.base) and browser.find("input[name=password]"))

    def sign_in(self, browser, person, password=None):
        """Fills in the IdP's form, which must be what the browser shows or is about to show."""
        self.at_idp(browser)
        browser.fill("input[name=username]", person["name"])
        browser.fill("input[name=password]", password or person["password"])
        browser.click("#submit_button")

    def arrives(self, browser, path):
        """The browser ends exactly where the link pointed."""
        browser.wait_until(f"arrival at {path}", lambda: browser.url == self.gateway.base + path)
        return browser.wait_until("the application's page", lambda: "Logged in as" in browser.text and browser.text)

    # The chapters. Each leaves the browsers as the next one needs them.

    def a_deep_link_and_a_wrong_password(self):
        self.ada = self.browser("ada")
        self.ada.go(self.gateway.base + STATUS)
        self.sign_in(self.ada, ADA, password="forgotten")
        self.ada.wait_until("the IdP's complaint", lambda: "Incorrect username or password" in self.ada.text)
        self.ada.shot("1-wrong-password")
        assert len(self.nagios.requests()) == 1, "the application was reached before the login"  # the one that asked whether it is up
        self.sign_in(self.ada, ADA)
        page = self.arrives(self.ada, STATUS)
        expect("Logged in as ada", page)
        expect("billing", page)
        self.ada.shot("2-administrator")

    def the_administrator_is_one(self):
        self.ada.go(self.gateway.base + PROCESS)
        page = self.arrives(self.ada, PROCESS)
        expect("Program Start Time", page)
        expect_not(NOT_ALLOWED, page)
        request = self.nagios.requests()[-1]
        assert (request["user"], request["role"]) == ("ada", "admin"), request
        assert request["assertion"].count(".") == 2, request
        expect_not("samlgate", request["cookie"])

    def a_script_cannot_be_someone_else(self):
        status, page = self.ada.fetch(PROCESS, headers={"X-User": "root", "x_user": "root", "X-Role": "root"})
        assert status == 200, status
        expect("Logged in as <i>ada</i>", page)
        request = self.nagios.requests()[-1]
        assert (request["user"], request["role"]) == ("ada", "admin"), request

    def the_session_cookie_is_out_of_reach(self):
        cookie = self.ada.cookies()["samlgate"]
        assert cookie["httpOnly"] and cookie["sameSite"] == "Lax", {**cookie, "value": "..."}
        expect_not("samlgate=", self.ada.run("return document.cookie"))
        self.first_cookie = cookie["value"]

    def a_second_browser_sees_none_of_it(self):
        before = len(self.nagios.requests())
        self.vera = self.browser("vera")
        self.vera.go(self.gateway.base + PROCESS)
        self.at_idp(self.vera)
        expect_not("Nagios", self.vera.text)
        status, _, _ = PlainClient().send("GET", self.gateway.base + PROCESS, headers={"Accept": "application/json", "Sec-Fetch-Mode": "cors"})
        assert status == 401, status
        # The first browser may still be fetching images and the like, as itself.
        others = [request for request in self.nagios.requests()[before:] if request["user"] != "ada"]
        assert not others, f"a request without a session reached the application: {others}"

    def an_ordinary_account_gets_its_own_role(self):
        self.sign_in(self.vera, VERA)
        page = self.arrives(self.vera, PROCESS)
        expect("Logged in as vera", page)
        expect(NOT_ALLOWED, page)
        request = self.nagios.requests()[-1]
        assert (request["user"], request["role"]) == ("vera", "viewer"), request
        self.vera.shot("3-ordinary-account")

    def a_magic_url_lands_on_its_page(self):
        tile = self.idp.magic_url(self.gateway.entity_id, HOSTS)
        self.ada.go(tile)  # signed in at both
        expect("Logged in as ada", self.arrives(self.ada, HOSTS))
        assert self.status_with(self.first_cookie) == 401, "the session before the magic URL still lives"
        fresh = self.browser("fresh")  # signed in nowhere
        fresh.go(self.idp.magic_url(self.gateway.entity_id, self.gateway.base + HOSTS))
        self.sign_in(fresh, VERA)
        expect("Logged in as vera", self.arrives(fresh, HOSTS))
        fresh.shot("4-magic-url")
        fresh.close()

    def an_account_without_a_role_is_refused_in_plain_words(self):
        noel = self.browser("noel")
        noel.go(self.gateway.base + STATUS)
        self.sign_in(noel, NOBODY)
        noel.wait_until("a refusal", lambda: noel.url.startswith(self.gateway.base) and len(noel.text) > 40)
        expect_not("Nagios", noel.text)
        assert "samlgate" not in noel.cookies(), "a refused login left a session"
        noel.shot("5-no-role")
        noel.close()

    def two_tabs_and_the_back_button(self):
        tabs = self.browser("tabs")
        tabs.go(self.gateway.base + STATUS)
        self.at_idp(tabs)
        first = tabs.driver.call("GET", tabs.path + "/window")
        second = tabs.driver.call("POST", tabs.path + "/window/new", {"type": "tab"})["handle"]
        tabs.driver.call("POST", tabs.path + "/window", {"handle": second})
        tabs.go(self.gateway.base + PROCESS)
        self.sign_in(tabs, VERA)
        self.arrives(tabs, PROCESS)
        tabs.driver.call("POST", tabs.path + "/window", {"handle": first})
        self.sign_in(tabs, VERA)  # the form that was open all the time
        self.arrives(tabs, STATUS)
        tabs.back()
        tabs.go(self.gateway.base + HOSTS)
        expect("Logged in as vera", self.arrives(tabs, HOSTS))
        tabs.close()

    def logout_here_is_one_at_the_idp(self):
        self.ada.go(self.gateway.base + PROCESS)  # leads through the IdP once more, without a question: she is signed in there
        self.arrives(self.ada, PROCESS)
        self.old_cookie = self.ada.cookies()["samlgate"]["value"]
        assert self.status_with(self.old_cookie) == 200
        self.ada.go(self.gateway.base + "/_samlgate/logout")
        self.ada.shot("6-logout")
        self.ada.click("form button, form input[type=submit]")
        self.at_idp(self.ada)  # the start page, which needs a login, and the IdP's session is over: the password is asked for
        self.ada.shot("7-signed-out")
        self.ada.go(self.gateway.base + PROCESS)
        self.at_idp(self.ada)
        assert self.status_with(self.old_cookie) == 401, "the old cookie still works"
        log = self.samlgate_log()
        expect('"message":"logout confirmed by the identity provider"', log)
        expect_not('"message":"logout refused"', log)
        self.vera.go(self.gateway.base + STATUS)
        expect("Logged in as vera", self.arrives(self.vera, STATUS))  # her session is another one

    def logout_by_post_is_the_same(self):
        """The IdP's form, samlgate's form, and the policies of both pages."""
        self.restart_with("post.toml", binding="post")
        self.ada.go(self.gateway.base + STATUS)
        self.sign_in(self.ada, ADA)
        self.arrives(self.ada, STATUS)
        self.ada.run("const f = document.createElement('form'); f.method = 'post'; f.action = '/_samlgate/logout'; document.body.append(f); f.submit()")
        self.at_idp(self.ada)
        log = self.samlgate_log()
        expect('"message":"logout confirmed by the identity provider"', log.rsplit('"message":"serving"')[-1])
        self.restart_with("samlgate.toml")

    def logout_at_the_idp_ends_sessions_here(self):
        self.ada.go(self.gateway.base + STATUS)
        self.sign_in(self.ada, ADA)
        self.arrives(self.ada, STATUS)
        cookie = self.ada.cookies()["samlgate"]["value"]
        assert self.status_with(cookie) == 200
        self.ada.go(self.idp.logout_url(self.idp.base + "/saml2/idp/metadata.php?output=xhtml"))
        self.ada.wait_until("the way back to the IdP", lambda: self.ada.url.startswith(self.idp.base) and "output=xhtml" in self.ada.url)
        assert self.status_with(cookie) == 401, "the session lives on, in whatever browser the cookie is"
        expect('"message":"logout at the identity provider"', self.samlgate_log())
        self.ada.go(self.gateway.base + PROCESS)
        self.at_idp(self.ada)
        self.sign_in(self.ada, ADA)  # and back at once, whatever was remembered of the logout
        self.arrives(self.ada, PROCESS)

    def samlgate_log(self):
        return (self.processes.logs / "samlgate.log").read_text(errors="replace")

    def restart_with(self, name, **changes):
        """samlgate anew, with another configuration; nobody is signed in afterwards."""
        assert self.processes.stop(self.gateway.process) == 0
        self.gateway.config = self.gateway.configure(name, **changes)
        self.gateway.start()

    def explain_says_what_is_wrong(self):
        client = PlainClient()
        status, login, _ = client.send("GET", self.gateway.base + STATUS, headers={"Sec-Fetch-Mode": "navigate"})
        assert status in (302, 303), status
        answer = captured_response(login, ADA["name"], ADA["password"])
        response = answer.fields["SAMLResponse"]
        request = ["--request-id", in_response_to(response)]

        text, verdict = self.gateway.explain(response, *request)
        assert verdict["accepted"] and verdict["reason"] is None, verdict
        assert verdict["identity"]["user"] == "ada" and verdict["identity"]["role"] == "admin", verdict
        expect("ada", text)

        cases = [
            ("audience", ["audience_mismatch"], {"config": self.gateway.configure("audience.toml", entity_id="https://other.example")}, []),
            ("clock", ["expired", "too_old"], {}, ["--at", "2099-01-01T00:00:00Z"]),
            ("certificate", ["signature_invalid"], {"config": self.other_certificate()}, []),
            ("attribute", ["attribute_missing"], {"config": self.gateway.configure("tenant.toml", tenant_required="true")}, []),
        ]
        for name, reasons, config, arguments in cases:
            text, verdict = self.gateway.explain(response, *request, *arguments, **config)
            assert not verdict["accepted"] and verdict["reason"] in reasons, (name, verdict)
            expect(verdict["reason"], text)
            assert len(verdict["detail"]) > 30, (name, verdict)
            print(f"    {name}: {verdict['reason']}: {verdict['detail']}")

        # the same response, posted by a browser that didn't ask for it
        stranger = PlainClient()
        status, location, page = stranger.send("POST", answer.action, {**answer.fields})
        assert status >= 400 and not location, (status, location)
        assert "samlgate" not in stranger.cookies[self.gateway.host], "a stranger got a session"
        expect("browser_mismatch", page)

    def other_certificate(self):
        """A configuration whose IdP metadata has another certificate than the IdP signs with."""
        return self.gateway.configure("certificate.toml", idp_metadata=self.gateway.metadata_with_another_certificate())

    def it_ends_when_told_to(self):
        for browser in (self.ada, self.vera):
            browser.close()
        assert self.processes.stop(self.gateway.process) == 0, "samlgate did not end cleanly on SIGTERM"
        log = (self.processes.logs / "samlgate.log").read_text(errors="replace")
        for secret in (self.old_cookie, ADA["password"], VERA["password"]):
            expect_not(secret, log)


def in_response_to(response):
    """The id of the request that a response answers."""
    return re.search(r'<samlp:Response[^>]* InResponseTo="([^"]+)"', base64.b64decode(response).decode())[1]


CHAPTERS = [
    Story.a_deep_link_and_a_wrong_password,
    Story.the_administrator_is_one,
    Story.a_script_cannot_be_someone_else,
    Story.the_session_cookie_is_out_of_reach,
    Story.a_second_browser_sees_none_of_it,
    Story.an_ordinary_account_gets_its_own_role,
    Story.a_magic_url_lands_on_its_page,
    Story.an_account_without_a_role_is_refused_in_plain_words,
    Story.two_tabs_and_the_back_button,
    Story.logout_here_is_one_at_the_idp,
    Story.logout_by_post_is_the_same,
    Story.logout_at_the_idp_ends_sessions_here,
    Story.explain_says_what_is_wrong,
    Story.it_ends_when_told_to,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samlgate", required=True)
    parser.add_argument("--debian", required=True)
    parser.add_argument("--screenshots", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="samlgate-interop-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)  # Apache reads it under another account
        logs = home / "logs"
        logs.mkdir()
        with Processes(logs) as processes:
            chapter = "setting up"
            try:
                story = Story(processes, home, options)
                for step in CHAPTERS:
                    chapter = step.__name__.replace("_", " ")
                    print(f"  {chapter}", flush=True)
                    step(story)
            except Exception:
                traceback.print_exc()
                for log in sorted(logs.glob("*.log")):
                    print(f"---- {log.stem}\n{processes.log(log.stem)}", file=sys.stderr)
                print(f"interop: FAILED in: {chapter}")
                return 1
    print(f"interop: ok. {len(CHAPTERS)} chapters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
