#!/usr/bin/env python3
"""Signs in at the demo identity provider as a browser would, and prints the session cookie.

login.py PUBLIC_URL ADDRESS USER PASSWORD [RESPONSE]: samlgate is asked at ADDRESS (host:port) for what PUBLIC_URL names. The
response that signed in is written to the file RESPONSE.
"""
import base64
import html
import http.client
import re
import sys
import urllib.parse

public_url, address, user, password = sys.argv[1:5]
public = urllib.parse.urlsplit(public_url)
jars = {}


def ask(url, form=None):
    """One request, no redirect followed. Keeps cookies by host."""
    parts = urllib.parse.urlsplit(url)
    ours = parts.netloc == public.netloc
    connection = http.client.HTTPConnection(address if ours else parts.netloc, timeout=20)
    jar = jars.setdefault(parts.netloc, {})
    headers = {"Host": parts.netloc, "Accept": "text/html", "Cookie": "; ".join(f"{k}={v}" for k, v in jar.items())}
    body = None
    if form is not None:
        body = urllib.parse.urlencode(form)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("GET" if form is None else "POST", target, body, headers)
    answer = connection.getresponse()
    for line in answer.msg.get_all("Set-Cookie") or []:
        name, _, value = line.split(";")[0].partition("=")
        jar[name] = value
    return answer.status, urllib.parse.urljoin(url, answer.getheader("Location") or ""), answer.read().decode()


def form_of(page, url):
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page)
    action = re.search(r'<form method="post" action="([^"]*)"', page)
    if not action:
        sys.exit(f"no form at {url}: {page[:300]}")
    return urllib.parse.urljoin(url, html.unescape(action[1])), {k: html.unescape(v) for k, v in fields}


url = public_url + "/"
status, location, page = ask(url)
while status in (302, 303):
    url = location
    status, location, page = ask(url)
url, form = form_of(page, url)
status, location, page = ask(url, form | {"user": user, "password": password})
if status != 200:
    sys.exit(f"the identity provider refused {user} ({status})")
url, form = form_of(page, url)
status, location, page = ask(url, form)
if status not in (302, 303):
    sys.exit(f"the login was refused ({status}): {page[:300]}")
if sys.argv[5:]:
    with open(sys.argv[5], "wb") as response:
        response.write(base64.b64decode(form["SAMLResponse"]))
session = [f"{name}={value}" for name, value in jars[public.netloc].items() if "login" not in name]
print("; ".join(session))
