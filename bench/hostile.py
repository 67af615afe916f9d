#!/usr/bin/env python3
"""Measures requests with a session alone and while hostile responses come in, in turn, and prints one table.

hostile.py SECONDS ROUNDS ADDRESS ACS_PATH COOKIE ELSEWHERE GENUINE: h2load asks ADDRESS (host:port) at a fixed rate, well below what it can do;
beside it, 50 times a second, documents that are as large and as costly as the limits allow are posted to the assertion consumer service,
among them the response in the file GENUINE with something added.
For comparison they are posted to another server too (ELSEWHERE, host:port), which reads them and no more: what remains is the cost of the
client that sends them. RATE (4000) is the number of requests a second.
"""
import base64
import collections
import concurrent.futures
import http.client
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

seconds, rounds, address, acs, cookie, elsewhere, genuine = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:8]
CLIENTS, HOSTILE_A_SECOND = 32, 50
rate = int(os.environ.get("RATE", "4000"))


def form(xml):
    return urllib.parse.urlencode({"SAMLResponse": base64.b64encode(xml.encode()).decode()})


def unsigned(filling):
    return form("<p:Response xmlns:p='urn:oasis:names:tc:SAML:2.0:protocol' xmlns:a='urn:oasis:names:tc:SAML:2.0:assertion' ID='r'>"
                f"<a:Issuer>http://127.0.0.1/</a:Issuer><a:Assertion ID='a'>{filling}</a:Assertion></p:Response>")


def altered(filling):
    """A response that was genuine once, as if nobody had asked for it, with more in it than was signed."""
    xml = re.sub(r' InResponseTo="[^"]*"', "", open(genuine).read())
    at = xml.rindex("</", 0, xml.rindex("Assertion>"))
    return form(xml[:at] + filling + xml[at:])


ATTRIBUTES = "".join(f" b{at}=''" for at in range(9))
HOSTILE = [
    unsigned("<b>" * 60_000),
    unsigned("&#10;&lt;" * 20_000),
    unsigned("<b/>x" * 4900 + "x" * 200_000),
    unsigned(f"<b{ATTRIBUTES}/>" * 1200 + "<!---->" * 3700),
    altered("&#10;&lt;" * 20_000),
    altered(f"<b{ATTRIBUTES}/>" * 1200),
    altered("<b/>" * 3000 + "x" * 200_000),
]
answers = collections.Counter()


def post(to, body):
    connection = http.client.HTTPConnection(to, timeout=60)
    try:
        headers = {"Host": to, "Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        connection.request("POST", acs, body, headers)
        answers[to, connection.getresponse().status] += 1
    except OSError as error:
        answers[to, type(error).__name__] += 1
    finally:
        connection.close()


def flood(to, stop):
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        due = time.monotonic()
        at = 0
        while not stop.is_set():
            pool.submit(post, to, HOSTILE[at % len(HOSTILE)])
            at += 1
            due += 1 / HOSTILE_A_SECOND
            stop.wait(max(0, due - time.monotonic()))


def measured():
    with tempfile.NamedTemporaryFile() as log:
        command = ["h2load", "--h1", "-t1", f"-c{CLIENTS}", f"--rps={rate // CLIENTS}", f"-D{seconds}", f"--log-file={log.name}",
                   "-H", f"Cookie: {cookie}", f"http://{address}/"]
        subprocess.run(command, check=True, capture_output=True)
        lines = [line.split() for line in open(log.name)]
    if any(status != "200" for _, status, _ in lines) or len(lines) < rate * seconds * 0.8:
        sys.exit(f"{len(lines)} requests, {collections.Counter(status for _, status, _ in lines)}")
    times = sorted(int(micros) for _, _, micros in lines)
    return times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000


def measured_beside(to):
    stop = threading.Event()
    flooding = threading.Thread(target=flood, args=(to, stop))
    flooding.start()
    try:
        return measured()
    finally:
        stop.set()
        flooding.join()


results = {"alone": [], "beside the same documents, posted to another server": [], "beside the flood": []}
measured()
for _ in range(rounds):
    for name, to in zip(results, (None, elsewhere, address)):
        results[name].append(measured_beside(to) if to else measured())

told = ", ".join(f"{status}: {count}" for (to, status), count in sorted(answers.items(), key=str) if to == address)
print(f"\n{rate} requests a second with a session, alone and while {HOSTILE_A_SECOND} hostile responses a second come in "
      f"(answered: {told}):\n")
print("| | p50, ms | p99, ms |\n|---|---|---|")
for name, rows in results.items():
    print(f"| {name} | {statistics.median(p50 for p50, _ in rows):.2f} | {statistics.median(p99 for _, p99 in rows):.2f} |")
