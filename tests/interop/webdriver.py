"""A browser: headless Chromium by the W3C WebDriver protocol, which is JSON over HTTP and needs no library."""

import base64
import json
import urllib.error
import urllib.request

from processes import answers, free_port, wait_for

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name for "this is an element" (WebDriver 12.1)
FLAGS = [
    "--headless",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
]


class Driver:
    """chromedriver, one for all browsers of a run."""

    def __init__(self, processes):
        for _ in range(5):  # it needs its port for IPv6 and IPv4, and ends where either is taken
            port = free_port()
            process = processes.start("chromedriver", ["chromedriver", f"--port={port}"])
            self.address = f"http://127.0.0.1:{port}"
            wait_for("chromedriver", lambda: process.poll() is not None or answers(self.address + "/status"))
            if process.poll() is None:
                break
        else:
            raise RuntimeError("chromedriver: doesn't start on any of five ports")
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method, path, body=None):
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with self.opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise WebDriverError(value["error"], value["message"].splitlines()[0]) from None


class WebDriverError(Exception):
    """What the driver refused: the protocol's error code and a sentence."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


class Browser:
    """One person's browser with a profile of its own."""

    def __init__(self, driver, profile, screenshots):
        self.driver = driver
        self.screenshots = screenshots
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "timeouts": {"pageLoad": 30000, "script": 15000}}
        session = driver.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.path = f"/session/{session['sessionId']}"

    def close(self):
        self.driver.call("DELETE", self.path)

    def go(self, url):
        self.driver.call("POST", self.path + "/url", {"url": url})

    @property
    def url(self):
        return self.driver.call("GET", self.path + "/url")

    @property
    def text(self):
        return self.run("return document.body ? document.body.innerText : ''")

    def run(self, script, *arguments):
        """The value of a script in the page."""
        return self.driver.call("POST", self.path + "/execute/sync", {"script": script, "args": list(arguments)})

    def fetch(self, url, **options):
        """What a script in the page gets: [status, body]."""
        script = "const done = arguments[2]; fetch(arguments[0], arguments[1]).then(r => r.text().then(t => done([r.status, t])), e => done([0, String(e)]))"
        return self.driver.call("POST", self.path + "/execute/async", {"script": script, "args": [url, options]})

    def find(self, css):
        """The first element, when it is there."""
        try:
            return self.driver.call("POST", self.path + "/element", {"using": "css selector", "value": css})[ELEMENT]
        except WebDriverError as error:
            if error.code == "no such element":
                return None
            raise

    def wait_until(self, what, condition):
        """Waits for a page; navigation may pull it away while it is looked at, so some errors only mean "not yet"."""

        def ask():
            try:
                return condition()
            except WebDriverError as error:
                if error.code in ("stale element reference", "javascript error", "no such execution context", "unknown error"):
                    return False
                raise

        try:
            return wait_for(what, ask)
        except TimeoutError:
            self.shot("timeout")
            raise AssertionError(f"{what}; the browser is at {self.url} and shows:\n{self.text[:1500]}") from None

    def fill(self, css, text):
        element = self.wait_until(f"a field {css}", lambda: self.find(css))
        self.driver.call("POST", f"{self.path}/element/{element}/clear")
        self.driver.call("POST", f"{self.path}/element/{element}/value", {"text": text})

    def click(self, css):
        element = self.wait_until(f"a button {css}", lambda: self.find(css))
        self.driver.call("POST", f"{self.path}/element/{element}/click")

    def back(self):
        self.driver.call("POST", self.path + "/back")

    def reload(self):
        self.driver.call("POST", self.path + "/refresh")

    def cookies(self):
        """Cookies of the page that is shown."""
        return {cookie["name"]: cookie for cookie in self.driver.call("GET", self.path + "/cookie")}

    def forget_cookies(self):
        """Drops the cookies of the page that is shown."""
        self.driver.call("DELETE", self.path + "/cookie")

    def shot(self, name):
        """A picture of the page, for who wants to see what the person saw."""
        self.screenshots.mkdir(parents=True, exist_ok=True)
        picture = self.driver.call("GET", self.path + "/screenshot")
        (self.screenshots / f"{name}.png").write_bytes(base64.b64decode(picture))
