"""What a proxy spends, from /proc, and the tables that show it."""

import os
import re
import statistics
from dataclasses import dataclass
from typing import Callable

TICK = 1 / os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


def family(pid):
    """A process and its children, and theirs."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [pid] + [one for child in children.read().split() for one in family(int(child))]


def cpu(pids):
    """Seconds of CPU that processes and their children have used so far, user and system."""
    total = 0.0
    for one in (one for pid in pids for one in family(pid)):
        with open(f"/proc/{one}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) * TICK
    return total


def memory(pids, kind="VmRSS"):
    """Octets that are resident for processes and their children; with `RssAnon` without those of files, as of the program itself. Pages
    that processes share count for each."""
    total = 0
    for one in (one for pid in pids for one in family(pid)):
        with open(f"/proc/{one}/status") as status:
            total += int(re.search(rf"{kind}:\s+(\d+)", status.read())[1]) * 1024
    return total


@dataclass
class Measurement:
    """One table: a title, what is run, and the columns as (heading, key, format)."""

    title: str
    run: Callable  # (bench, contender) -> numbers by key
    columns: list
    ratio: tuple = ("cpu", "CPU")  # the number that is compared, and its name
    rivals: bool = False  # whether the rivals take part, beside nginx and samlgate
    once: bool = False  # one round is enough: it measures something that doesn't vary


def in_turn(measurement, bench, contenders, rounds):
    """Runs it for all, round by round, so that a busy minute of the machine meets them alike. Results by name."""
    results = {contender.name: [] for contender in contenders}
    for _ in range(1 if measurement.once else rounds):
        for contender in contenders:
            results[contender.name].append(measurement.run(bench, contender))
    return results


def ratios(results, one, other, key):
    """How many times the other's number one's is, round by round."""
    return [a[key] / b[key] for a, b in zip(results[one], results[other]) if b[key]]


def spread(numbers):
    """The median, and from where to where."""
    middle = f"{statistics.median(numbers):.2f}"
    return middle if len(numbers) == 1 else f"{middle} ({min(numbers):.2f} to {max(numbers):.2f})"


def table(measurement, results):
    """The medians as Markdown, with ratios against nginx; then samlgate against each rival."""
    key, what = measurement.ratio
    with_ratio = "nginx" in results and len(results) > 1
    headings = ["proxy"] + [heading for heading, _, _ in measurement.columns] + ([f"{what}, times nginx's"] if with_ratio else [])
    lines = [f"### {measurement.title}", "", "| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for name, rows in results.items():
        cells = [name] + [format(statistics.median(row[key] for row in rows), form) for _, key, form in measurement.columns]
        if with_ratio:
            compared = ratios(results, name, "nginx", key)
            cells.append("1" if name == "nginx" else spread(compared) if compared else "-")
        lines.append("| " + " | ".join(cells) + " |")
    for rival in results:
        if "samlgate" in results and rival not in ("nginx", "samlgate"):
            lines += ["", f"samlgate against {rival}, {what}: {spread(ratios(results, 'samlgate', rival, key))} times."]
    return "\n".join(lines) + "\n"
