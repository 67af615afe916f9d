"""One long download and one long upload by curl, and what they do to the proxy's memory."""

import subprocess
import time

from measure import MIB, Measurement, cpu, memory


def transfer(bench, contender, arguments, path):
    """CPU seconds per GiB, and memory in MiB before it, at most, and after it."""
    size = bench.application.huge.stat().st_size
    command = ["curl", "-sS", "--fail", "--noproxy", "*", *arguments, *contender.headers(), contender.url(path)]
    command += ["-o", "/dev/null", "-w", "%{size_download} %{size_upload} %{http_code}"]
    before, spent, began = memory(contender.pids), cpu(contender.pids), time.monotonic()
    most = before
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        while curl.poll() is None:
            most = max(most, memory(contender.pids))
            time.sleep(0.02)
        told = curl.stdout.read().split()
    seconds = time.monotonic() - began
    if curl.returncode or told[2] != "200" or str(size) not in told[:2]:
        raise RuntimeError(f"{contender.name}: curl ended with {curl.returncode}: {told}")
    gibibytes = size / (1 << 30)
    spent = (cpu(contender.pids) - spent) / gibibytes
    after = memory(contender.pids)
    return {"cpu": spent, "rate": size / MIB / seconds, "before": before / MIB, "most": most / MIB, "after": after / MIB}


def download(bench, contender):
    return transfer(bench, contender, [], "/huge")


def upload(bench, contender):
    return transfer(bench, contender, ["-T", str(bench.application.huge), "-H", "Expect:"], "/upload")


COLUMNS = [
    ("CPU per GiB, s", "cpu", ".2f"),
    ("MiB/s", "rate", ".0f"),
    ("memory before, MiB", "before", ".1f"),
    ("at most", "most", ".1f"),
    ("after", "after", ".1f"),
]
DOWN = Measurement("Download of one file, nginx without buffering", download, COLUMNS)
UP = Measurement("Upload of one file, nginx without buffering", upload, COLUMNS)
