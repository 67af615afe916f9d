"""Others beside thousands of slow clients: requests at a fixed rate, alone and while heads, bodies and answers crawl."""

import json
import sys
from pathlib import Path

from load import at_rate, percentile
from measure import MIB, Measurement, memory
from processes import wait_for

CLIENTS = 32
# Seconds that slow clients have had before anything is measured: hundreds of answers of 1 MiB that begin at once are another matter.
SETTLED = 5


def told(bench):
    """What the slow clients said each second."""
    return [json.loads(line) for line in bench.processes.log("slow").splitlines() if line.startswith("{")]


def beside_slow_clients(bench, contender):
    measured = lambda: at_rate(f"127.0.0.1:{contender.port}", contender.cookie, bench.rate, bench.seconds, CLIENTS)
    alone = measured()
    (bench.processes.logs / "slow.log").unlink(missing_ok=True)
    script = Path(__file__).parent / "slow_clients.py"
    slow = bench.processes.start("slow", [sys.executable, script, contender.port, bench.slow, contender.cookie])
    try:
        wait_for("the slow clients", lambda: len(told(bench)) >= SETTLED or slow.poll() is not None, 60)
        beside = measured()
        held = memory(contender.pids) / MIB
        if slow.poll() is not None:
            raise RuntimeError(f"the slow clients ended:\n{bench.processes.log('slow')}")
        last = told(bench)[-1]
    finally:
        bench.processes.stop(slow)
    if last["sent away"]["bodies"] or last["sent away"]["readers"]:
        raise RuntimeError(f"{contender.name} turned slow clients away: {last}")
    result = {"alone": percentile(alone, 99), "beside": percentile(beside, 99), "p50": percentile(beside, 50), "memory": held}
    return result | {"clients": last["clients"], "times": result["beside"] / result["alone"]}


SLOW = Measurement(
    "Beside slow clients",
    beside_slow_clients,
    [
        ("slow clients", "clients", ".0f"),
        ("p99 alone, ms", "alone", ".2f"),
        ("p50 beside them, ms", "p50", ".2f"),
        ("p99 beside them, ms", "beside", ".2f"),
        ("times p99 alone", "times", ".2f"),
        ("memory, MiB", "memory", ".0f"),
    ],
    ratio=("beside", "p99 beside them"),
)
