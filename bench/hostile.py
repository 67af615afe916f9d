"""Requests with a session alone and while hostile responses come in, in turn.

h2load asks at a fixed rate, well below what samlgate can do; beside it, 50 times a second, documents that are as large and as costly as
the limits allow are posted to the assertion consumer service, among them a genuine response with something added. For comparison
they are posted to another server too, which reads them and no more: what remains is the cost of the client that sends them.
"""

import base64
import collections
import concurrent.futures
import http.client
import re
import statistics
import threading
import time
import urllib.parse

from load import at_rate, percentile

CLIENTS, HOSTILE_A_SECOND = 32, 50
ACS = "/_samlgate/acs"


def form(xml):
    return urllib.parse.urlencode({"SAMLResponse": base64.b64encode(xml.encode()).decode()})


def unsigned(filling):
    return form("<p:Response xmlns:p='urn:oasis:names:tc:SAML:2.0:protocol' xmlns:a='urn:oasis:names:tc:SAML:2.0:assertion' ID='r'>"
                f"<a:Issuer>http://127.0.0.1/</a:Issuer><a:Assertion ID='a'>{filling}</a:Assertion></p:Response>")


def altered(genuine, filling):
    """A response that was genuine once, as if nobody had asked for it, with more in it than was signed."""
    xml = re.sub(r' InResponseTo="[^"]*"', "", genuine)
    at = xml.rindex("</", 0, xml.rindex("Assertion>"))
    return form(xml[:at] + filling + xml[at:])


def documents(genuine):
    attributes = "".join(f" b{at}=''" for at in range(9))
    return [
        unsigned("<b>" * 60_000),
        unsigned("&#10;&lt;" * 20_000),
        unsigned("<b/>x" * 4900 + "x" * 200_000),
        unsigned(f"<b{attributes}/>" * 1200 + "<!---->" * 3700),
        altered(genuine, "&#10;&lt;" * 20_000),
        altered(genuine, f"<b{attributes}/>" * 1200),
        altered(genuine, "<b/>" * 3000 + "x" * 200_000),
    ]


class Flood:
    """A context: as long as it lasts, documents are posted to `to` (host:port); `answers` counts what comes back."""

    def __init__(self, to, hostile, answers):
        self.to, self.hostile, self.answers = to, hostile, answers

    def __enter__(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.flood)
        self.thread.start()

    def __exit__(self, kind, error, trace):
        self.stop.set()
        self.thread.join()

    def flood(self):
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            due = time.monotonic()
            at = 0
            while not self.stop.is_set():
                pool.submit(self.post, self.hostile[at % len(self.hostile)])
                at += 1
                due += 1 / HOSTILE_A_SECOND
                self.stop.wait(max(0, due - time.monotonic()))

    def post(self, body):
        connection = http.client.HTTPConnection(self.to, timeout=60)
        try:
            headers = {"Host": self.to, "Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
            connection.request("POST", ACS, body, headers)
            self.answers[connection.getresponse().status] += 1
        except OSError as error:
            self.answers[type(error).__name__] += 1
        finally:
            connection.close()


def hostile(bench, samlgate, genuine):
    """The table."""
    hostile, told = documents(genuine), collections.Counter()
    gate = f"127.0.0.1:{samlgate.port}"
    measured = lambda: at_rate(gate, samlgate.cookie, bench.rate, bench.seconds, CLIENTS)
    results = {"alone": [], "beside the same documents, posted to another server": [], "beside the flood": []}
    alone, elsewhere, beside = results.values()
    measured()
    for _ in range(bench.rounds):
        alone.append(measured())
        with Flood(f"127.0.0.1:{bench.application.port}", hostile, collections.Counter()):
            elsewhere.append(measured())
        with Flood(gate, hostile, told):
            beside.append(measured())
    answered = ", ".join(f"{status}: {count}" for status, count in sorted(told.items(), key=str))
    lines = ["### Beside hostile responses", "", f"{bench.rate} requests a second with a session, and {HOSTILE_A_SECOND} hostile "
             f"responses a second (answered: {answered}):", "", "| | p50, ms | p99, ms |", "|---|---|---|"]
    for name, rounds in results.items():
        p50, p99 = (statistics.median(percentile(times, percent) for times in rounds) for percent in (50, 99))
        lines.append(f"| {name} | {p50:.2f} | {p99:.2f} |")
    return "\n".join(lines) + "\n"
