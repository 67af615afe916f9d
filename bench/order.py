#!/usr/bin/env python3
"""The order of a run: what is started, what is measured, and what is written. Started by run.sh, which says what can be chosen."""

import http.client
import os
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/interop"))

from application import Application
from contenders import Nginx, Samlgate, make_certificate
from hostile import hostile
from idle import IDLE
from load import HANDSHAKES, HTTP2, LARGE, PACED, SMALL, wrk
from measure import in_turn, table
from processes import Processes
from rivals import Rivals
from slow import SLOW
from starting import STARTING
from transfers import DOWN, UP
from websockets import ECHO

MEASUREMENTS = {
    "small": SMALL,
    "paced": PACED,
    "large": LARGE,
    "down": DOWN,
    "up": UP,
    "websocket": ECHO,
    "idle": IDLE,
    "handshakes": HANDSHAKES,
    "http2": HTTP2,
    "start": STARTING,
    "slow": SLOW,
}
HOSTILE = "hostile"
CONTENDERS = ["nginx", "samlgate", "mod_auth_mellon", "Shibboleth SP"]
# Not in Debian, and not configured here.
OTHERS = ["saml-auth-proxy", "oauth2-proxy"]


def chosen(variable, known, default):
    """A list from the environment; a name that isn't known ends the run."""
    names = [name.strip() for name in os.environ.get(variable, ",".join(default)).split(",")]
    for name in names:
        if name not in known:
            sys.exit(f"{variable}: {name!r} is none of {', '.join(known)}")
    return [name for name in known if name in names]


class Bench:
    """What measurements may use."""

    def __init__(self, processes, folder):
        self.processes, self.folder = processes, folder
        smoke = os.environ.get("SMOKE") == "1"
        number = lambda name, usual, at_smoke: int(os.environ.get(name, at_smoke if smoke else usual))
        self.seconds, self.rounds = number("SECONDS_EACH", 5, 1), number("ROUNDS", 5, 1)
        self.connections, self.workers = number("CONNECTIONS", 64, 64), number("WORKERS", os.cpu_count(), os.cpu_count())
        self.rate, self.slow = number("RATE", 4000, 1000), number("SLOW", 2400, 200)
        self.only = chosen("ONLY", [*MEASUREMENTS, HOSTILE], [*MEASUREMENTS, HOSTILE])
        self.contenders = chosen("CONTENDERS", CONTENDERS, CONTENDERS[:2] if smoke else CONTENDERS)
        self.files, self.idle = files_for(number("IDLE", 10_000, 500))
        self.samlgate = os.environ.get("SAMLGATE", ROOT / "target/release/samlgate")
        self.demo = os.environ.get("DEMO", ROOT / "target/release/examples/demo")
        self.person = {"user": os.environ.get("DEMO_USER", "ada"), "password": os.environ.get("DEMO_PASSWORD", "ada-demo")}
        self.rates, self.folders = {}, 0
        make_certificate(folder)
        self.application = Application(processes, folder, self.workers, self.files, number("HUGE_MIB", 1024, 64) << 20)

    def new_folder(self, name):
        """An empty one that Apache and nginx can read, which may have accounts of their own; keys in it are ours alone by their mode."""
        self.folders += 1
        folder = self.folder / f"{name}-{self.folders}"
        folder.mkdir(mode=0o755)
        return folder

    def debian(self):
        """Where SimpleSAMLphp is unpacked."""
        folder = ROOT / "target/interop/debian"
        subprocess.run([ROOT / "scripts/unpack-packages.sh", folder, "simplesamlphp"], check=True)
        return folder

    def start(self):
        """Starts the contenders; the rivals that could not be started are in `left_out`."""
        kinds = {kind.name: kind for kind in (Nginx, Samlgate)}
        self.kinds = {name: kinds[name](self) for name in self.contenders if name in kinds}
        self.pair = [kind.start() for kind in self.kinds.values()]
        rivals_too = any(MEASUREMENTS[name].rivals for name in self.only if name in MEASUREMENTS)
        rivals = Rivals(self, self.contenders if rivals_too else [])
        self.all, self.left_out = self.pair + rivals.running, rivals.left_out

    def another(self, name):
        """A fresh instance of nginx or samlgate."""
        return self.kinds[name].start(secure=False)

    def stop(self, running):
        for process in running.processes:
            self.processes.stop(process)

    def half_rate(self):
        """Half of the small answers a second that nginx could give in this run, or that the first contender can if there is no nginx."""
        if "nginx" not in self.rates:
            told = wrk(self.pair[0], "/", self.connections, self.seconds)
            self.rates["nginx"] = [told["requests"] / told["duration"] * 1e6]
        return int(statistics.median(self.rates["nginx"]) / 2)


def files_for(idle):
    """How many files a process may have open, raised to what is allowed, and how many idle connections that is enough for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files = 65536 if hard == resource.RLIM_INFINITY else hard
    return files, max(1, min(idle, files - 1000))


def admits_anybody(contender):
    """Whether a request without a session gets the application's answer."""
    connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=20)
    connection.request("GET", "/")
    status = connection.getresponse().status
    connection.close()
    return status == 200


def machine(bench):
    """What it ran on."""
    model = re.search(r"(?m)^model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    said = lambda command: subprocess.run(command, capture_output=True, text=True).stderr.strip().rpartition(" ")[2]
    processor = model[1] if model else platform.machine()
    return (
        f"{platform.system()} {platform.release()}, {os.cpu_count()} x {processor}, {said(['nginx', '-v'])}, "
        f"{bench.workers} workers each; medians of {bench.rounds} rounds of {bench.seconds} s, {bench.connections} connections"
    )


def run(bench, say):
    say(machine(bench) + "\n")
    bench.start()
    absent = [f"{name}: left out, {'not configured here' if shutil.which(name) else 'not on PATH'}" for name in OTHERS]
    for line in bench.left_out + absent:
        say(f"- {line}")
    say("")
    for contender in bench.all:
        if contender.name != "nginx" and admits_anybody(contender):
            raise RuntimeError(f"{contender.name} asks nobody to sign in")
        # The first seconds of a process are not like the others.
        wrk(contender, "/", bench.connections, 1)
    for name in bench.only:
        if name in MEASUREMENTS:
            measurement = MEASUREMENTS[name]
            contenders = bench.all if measurement.rivals else bench.pair
            if contenders:
                say(table(measurement, in_turn(measurement, bench, contenders, bench.rounds)))
        elif "samlgate" in bench.kinds:
            samlgate = next(contender for contender in bench.pair if contender.name == "samlgate")
            say(hostile(bench, samlgate, bench.kinds["samlgate"].response))


def main():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and so ends what was started
    out = ROOT / "bench/out"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="samlgate-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx and Apache read it under other accounts
        (folder / "logs").mkdir()
        with open(out / "table.md", "w") as file, Processes(folder / "logs") as processes:

            def say(text):
                print(text, flush=True)
                print(text, file=file, flush=True)

            try:
                run(Bench(processes, folder), say)
            except Exception:
                traceback.print_exc()
                for log in sorted((folder / "logs").glob("*.log")):
                    print(f"---- {log.stem}\n{processes.log(log.stem)}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
