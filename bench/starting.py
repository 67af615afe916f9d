"""How long it takes from the start of the process to the first answer, and what memory it has then."""

import http.client
import time

from measure import MIB, Measurement, memory


def starting(bench, contender):
    kind = bench.kinds[contender.name]
    process, port = kind.spawn()
    spawned = time.monotonic()
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            break
        except ConnectionError:
            if process.poll() is not None or time.monotonic() - spawned > 20:
                raise RuntimeError(f"{contender.name} does not start") from None
            time.sleep(0.0005)
        finally:
            connection.close()
    ready = time.monotonic() - spawned
    result = {"ready": ready * 1000, "memory": memory([process.pid]) / MIB, "own": memory([process.pid], "RssAnon") / MIB}
    bench.processes.stop(process)
    return result


STARTING = Measurement(
    "Start",
    starting,
    [("to the first answer, ms", "ready", ".0f"), ("memory then, MiB", "memory", ".1f"), ("without files", "own", ".1f")],
    ratio=("ready", "time"),
)
