"""A person without a browser: keeps cookies, reads forms; for what a test must hold in its hands, as a captured response."""

import html.parser
import http.client
import urllib.parse


class Forms(html.parser.HTMLParser):
    """The first form of a page: where it goes and its fields."""

    def __init__(self, page):
        super().__init__()
        self.action = None
        self.fields = {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form" and self.action is None:
            self.action = given.get("action") or ""
        elif tag == "input" and given.get("name"):
            self.fields[given["name"]] = given.get("value") or ""


class PlainClient:
    """One request at a time, always to loopback, whatever the host's name; redirects are not followed."""

    def __init__(self):
        self.cookies = {}

    def connect(self, parts):
        """The connection to a URL's host; others may know another way to it."""
        return http.client.HTTPConnection("127.0.0.1", parts.port, timeout=20)

    def send(self, method, url, form=None, headers=None):
        """Status, Location made absolute (or None) and page."""
        parts = urllib.parse.urlsplit(url)
        connection = self.connect(parts)
        jar = self.cookies.setdefault(parts.netloc, {})
        sent = {"Host": parts.netloc, "Accept": "text/html", **(headers or {})}
        if jar:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")), body, sent)
        answer = connection.getresponse()
        page = answer.read().decode(errors="replace")
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            if "max-age=0" in cookie.lower():
                jar.pop(name.strip(), None)
            else:
                jar[name.strip()] = value.strip()
        location = answer.headers.get("Location")
        connection.close()
        return answer.status, location and urllib.parse.urljoin(url, location), page

    def follow(self, method, url, form=None):
        """Goes on until a page comes; its URL and text."""
        for _ in range(20):
            status, location, page = self.send(method, url, form)
            if not location:
                return url, page
            method, url, form = "GET", location, None
        raise AssertionError(f"too many redirects, last to {url}")


def captured_response(login_url, name, password):
    """Logs in at the IdP and stops before the answer is posted: the form's action and fields."""
    client = PlainClient()
    url, page = client.follow("GET", login_url)
    form = Forms(page)
    form.fields.update(username=name, password=password)
    url, page = client.follow("POST", urllib.parse.urljoin(url, form.action), form.fields)
    answer = Forms(page)
    if "SAMLResponse" not in answer.fields:
        raise AssertionError(f"no SAMLResponse at {url}: {page[:500]}")
    return answer
