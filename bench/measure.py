#!/usr/bin/env python3
"""Measures proxies in turn and prints one table.

measure.py SECONDS ROUNDS CONNECTIONS NAME=URL,PID[,COOKIE] ...
CPU time is that of the process PID and its children, user and system, from /proc, per request that wrk counted.
"""
import os
import re
import statistics
import subprocess
import sys

seconds, rounds, connections = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
targets = []
for argument in sys.argv[4:]:
    name, rest = argument.split("=", 1)
    url, pid, cookie = (rest.split(",", 2) + [""])[:3]
    targets.append((name, url, int(pid), cookie))
TICK = 1 / os.sysconf("SC_CLK_TCK")


def family(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [pid] + [one for child in children.read().split() for one in family(int(child))]


def cpu(pid):
    total = 0.0
    for one in family(pid):
        with open(f"/proc/{one}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) * TICK
    return total


def memory(pid):
    total = 0
    for one in family(pid):
        with open(f"/proc/{one}/status") as status:
            total += int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
    return total / 1024


UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def millis(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * UNITS[unit]


def run(url, pid, cookie):
    before = cpu(pid)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Cookie: {cookie}", url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = cpu(pid) - before
    count = int(re.search(r"(\d+) requests in", out)[1])
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", out) or re.search(r"Socket errors: (.*)", out)
    if errors:
        sys.exit(f"{url}: {errors[0]}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    latency = {p: millis(re.search(rf"^ +{p}%\s+(\S+)", out, re.MULTILINE)[1]) for p in (50, 99)}
    return {"cpu": spent / count * 1e6, "rate": rate, "p50": latency[50], "p99": latency[99]}


for name, url, pid, cookie in targets:
    subprocess.run(["wrk", "-t1", f"-c{connections}", "-d1s", "-H", f"Cookie: {cookie}", url], capture_output=True, check=True)
results = {name: [] for name, *_ in targets}
for _ in range(rounds):
    for name, url, pid, cookie in targets:
        results[name].append(run(url, pid, cookie))

print("| proxy | CPU per request, µs | requests/s | p50, ms | p99, ms | memory, MiB |")
print("|---|---|---|---|---|---|")
middle = {}
for name, _, pid, _ in targets:
    middle[name] = {key: statistics.median(result[key] for result in results[name]) for key in ("cpu", "rate", "p50", "p99")}
    m = middle[name]
    print(f"| {name} | {m['cpu']:.1f} | {m['rate']:.0f} | {m['p50']:.2f} | {m['p99']:.2f} | {memory(pid):.0f} |")
first = targets[0][0]
for name, *_ in targets[1:]:
    ratios = [b["cpu"] / a["cpu"] for a, b in zip(results[first], results[name])]
    print(f"\n{name} uses {statistics.median(ratios):.2f} times the CPU of {first} per request "
          f"(median of {rounds} rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}).")
