"""Requests by wrk and h2load: as many as there can be, at a fixed rate, and by HTTP/2."""

import collections
import json
import re
import subprocess
import tempfile
from pathlib import Path

from measure import MIB, Measurement, cpu, memory


SIZES = {"/": 1024, "/large": MIB}


def wrk(contender, path, connections, seconds):
    """What wrk.lua tells of so many connections that ask without a pause, and the CPU per request in microseconds."""
    before = cpu(contender.pids)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", Path(__file__).parent / "wrk.lua"]
    out = subprocess.run([*command, *contender.headers(), contender.url(path)], capture_output=True, text=True, check=True).stdout
    told = json.loads(out.splitlines()[-1])
    if told["errors"] or not told["requests"]:
        raise RuntimeError(f"{contender.name}: {told['errors']} of {told['requests']} requests failed")
    if told["bytes"] < told["requests"] * SIZES[path]:  # wrk takes a redirect for an answer
        raise RuntimeError(f"{contender.name}: {told['requests']} answers have {told['bytes']} octets in all")
    return told | {"cpu": (cpu(contender.pids) - before) / told["requests"] * 1e6}


def asked(bench, contender, path, connections):
    told = wrk(contender, path, connections, bench.seconds)
    times = {key: told[key] / 1000 for key in ("p50", "p99", "p999")}
    return times | {"cpu": told["cpu"], "rate": told["requests"] / told["duration"] * 1e6, "memory": memory(contender.pids) / MIB}


def small_answers(bench, contender):
    result = asked(bench, contender, "/", bench.connections)
    bench.rates.setdefault(contender.name, []).append(result["rate"])
    return result


def large_answers(bench, contender):
    return asked(bench, contender, "/large", 8)


def h2load(url, seconds, arguments):
    """The times of all answers in milliseconds, sorted."""
    with tempfile.NamedTemporaryFile() as log:
        command = ["h2load", "-t1", f"-D{seconds}", f"--log-file={log.name}", *arguments, url]
        subprocess.run(command, check=True, capture_output=True)
        lines = [line.split() for line in open(log.name)]
    if not lines or any(status != "200" for _, status, _ in lines):
        raise RuntimeError(f"{url}: {len(lines)} answers, {collections.Counter(status for _, status, _ in lines)}")
    return sorted(int(micros) / 1000 for _, _, micros in lines)


def percentile(times, percent):
    return times[min(len(times) - 1, int(len(times) * percent / 100))]


def at_rate(address, cookie, rate, seconds, clients):
    """The times of requests that come at a fixed rate, whatever the answers take."""
    arguments = ["--h1", f"-c{clients}", f"--rps={rate // clients}"] + (["-H", f"Cookie: {cookie}"] if cookie else [])
    times = h2load(f"http://{address}/", seconds, arguments)
    if len(times) < rate * seconds * 0.8:
        raise RuntimeError(f"{address} answered {len(times)} of {rate * seconds} requests")
    return times


def paced(bench, contender):
    before = cpu(contender.pids)
    times = at_rate(f"127.0.0.1:{contender.port}", contender.cookie, bench.half_rate(), bench.seconds, bench.connections)
    spent = (cpu(contender.pids) - before) / len(times) * 1e6
    return {"rate": len(times) / bench.seconds, "cpu": spent} | {name: percentile(times, at) for name, at in PERCENTILES.items()}


def http2(bench, contender):
    secure = contender.secure
    before = cpu(secure.pids)
    times = h2load(f"https://127.0.0.1:{secure.port}/", bench.seconds, ["-c8", "-m8", *secure.headers()])
    spent = (cpu(secure.pids) - before) / len(times) * 1e6
    return {"rate": len(times) / bench.seconds, "cpu": spent} | {name: percentile(times, at) for name, at in PERCENTILES.items()}


def handshakes(bench, contender):
    """One connection after the other by openssl: key exchange X25519, no resumption, no request."""
    secure = contender.secure
    before = cpu(secure.pids)
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{secure.port}", "-new", "-tls1_3", "-time", str(bench.seconds)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count, elapsed = (int(number) for number in re.search(r"(\d+) connections in (\d+) real seconds", out).groups())
    return {"cpu": (cpu(secure.pids) - before) / count * 1e6, "rate": count / max(1, elapsed)}


PERCENTILES = {"p50": 50, "p99": 99, "p999": 99.9}
CPU, RATE, MEMORY = ("CPU per request, µs", "cpu", ".1f"), ("requests/s", "rate", ".0f"), ("memory, MiB", "memory", ".0f")
TIMES = [("p50, ms", "p50", ".2f"), ("p99, ms", "p99", ".2f"), ("p99.9, ms", "p999", ".2f")]

SMALL = Measurement("Small answers", small_answers, [CPU, RATE, *TIMES, MEMORY], rivals=True)
LARGE = Measurement("Answers of 1 MiB, 8 connections", large_answers, [CPU, RATE, *TIMES, MEMORY], rivals=True)
PACED = Measurement("Small answers at half of nginx's most", paced, [CPU, RATE, *TIMES], ratio=("p99", "p99"))
HTTP2 = Measurement("Small answers by HTTP/2 with TLS, 8 connections with 8 streams each", http2, [CPU, RATE, *TIMES])
HANDSHAKES = Measurement(
    "TLS 1.3 handshakes, ECDSA P-256", handshakes, [("CPU per handshake, µs", "cpu", ".0f"), ("handshakes/s", "rate", ".0f")]
)
