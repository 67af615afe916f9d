"""`make demo`, tried by a person: starts it, believes what it prints, ends it. Started by run.sh."""

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from plain_client import PlainClient
from processes import Processes, answers, wait_for
from webdriver import Browser, Driver


class Demo:
    """The running demo and what it printed."""

    def __init__(self, processes, binary):
        self.log = processes.logs / "demo.log"
        self.processes = processes
        self.process = processes.start("demo", [binary])
        wait_for("the demo", lambda: "Ctrl-C ends everything" in self.printed() or self.process.poll() is not None, 60)
        assert self.process.poll() is None, "the demo ended by itself"

    def printed(self):
        return self.log.read_text(errors="replace")

    def address(self, label):
        return re.search(rf"^\s*{label}\s+(http://\S+)", self.printed(), re.MULTILINE)[1]

    def password(self, user):
        return re.search(rf"^\s*{user}\s+password (\S+)", self.printed(), re.MULTILINE)[1]

    def sign_in(self, browser, user, password=None):
        browser.fill("input[name=user]", user)
        browser.fill("input[name=password]", password or self.password(user))
        browser.click("form button")


def shows(browser, *texts):
    browser.wait_until(f"a page with {texts}", lambda: all(text in browser.text for text in texts))


def story(processes, options):
    demo = Demo(processes, options.demo)
    application, deep, magic = demo.address("The application"), demo.address("A deep link"), demo.address("A magic URL")
    driver = Driver(processes)

    def browser(name):
        return Browser(driver, Path(options.home) / f"profile-{name}", Path(options.screenshots))

    vera = browser("vera")
    vera.go(deep)
    demo.sign_in(vera, "vera", "wrong")
    shows(vera, "don't match")
    demo.sign_in(vera, "vera")
    vera.wait_until("the deep link", lambda: vera.url == deep)
    shows(vera, "region=emea", "vera@example.com", "viewer")
    vera.go(application)
    shows(vera, "Hello Vera Vinter", "You may look, not edit")
    vera.wait_until("the clock, an event stream", lambda: re.search(r"\d\d:\d\d:\d\dZ", vera.text))
    vera.shot("demo-1-viewer")
    vera.go(application + "admin/users")
    shows(vera, "role_required")
    vera.shot("demo-2-refused")

    ada = browser("ada")
    ada.go(magic)
    demo.sign_in(ada, "ada")
    ada.wait_until("the magic URL's page", lambda: ada.url == deep)
    ada.go(application + "admin/users")
    shows(ada, "Administration: users", "ada@example.com")
    ada.go(demo.address("The portal"))
    ada.click("a[href*='evil']")
    ada.wait_until("the start page", lambda: ada.url == application)
    ada.shot("demo-3-administrator")
    ada.click("a[href='/_samlgate/logout']")
    ada.wait_until("the page for all", lambda: ada.url == application + "status")
    shows(ada, "To me you are nobody")
    ada.go(application)
    shows(ada, "Password")

    # And the other way: whoever signs out at the identity provider is signed out here, in another browser too.
    elsewhere = browser("vera-elsewhere")
    elsewhere.go(application)
    demo.sign_in(elsewhere, "vera")
    shows(elsewhere, "Hello Vera Vinter")
    elsewhere.go(demo.address("The portal"))
    elsewhere.click("a[href='/logout']")
    shows(elsewhere, "here and at the application")
    elsewhere.close()
    vera.go(application + "status")
    shows(vera, "To me you are nobody")

    gus = browser("gus")
    gus.go(application)
    demo.sign_in(gus, "gus")
    shows(gus, "attribute_missing")
    gus.shot("demo-4-no-role")
    for person in (vera, ada, gus):
        person.close()

    status, _, page = PlainClient().send("GET", application + "status", headers={"X-User": "root", "x_user": "root"})
    assert status == 200 and "nobody" in page and "root" not in page, page

    folder = Path(re.search(r"samlgate's configuration: (\S+)", demo.printed())[1]).parent
    demo.process.send_signal(signal.SIGINT)
    try:
        assert demo.process.wait(20) == 0, "the demo did not end cleanly"
    except subprocess.TimeoutExpired:
        raise AssertionError("the demo did not end on Ctrl-C") from None
    assert not folder.exists(), f"{folder} was left behind"
    for label in ("The application", "The portal"):
        assert not answers(demo.address(label)), f"{label} still answers"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", required=True)
    parser.add_argument("--screenshots", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="samlgate-interop-", ignore_cleanup_errors=True) as folder:
        options.home = folder
        logs = Path(folder) / "logs"
        logs.mkdir()
        with Processes(logs) as processes:
            try:
                story(processes, options)
            except Exception:
                traceback.print_exc()
                for log in sorted(logs.glob("*.log")):
                    print(f"---- {log.stem}\n{processes.log(log.stem)}", file=sys.stderr)
                print("interop: FAILED in: the demo")
                return 1
    print("interop: ok. the demo does what it prints")
    return 0


if __name__ == "__main__":
    sys.exit(main())
