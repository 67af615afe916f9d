"""Processes of a test: started in a group of their own, waited for by what they answer, stopped whatever happens."""

import errno
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request


def free_port():
    """A loopback port that nobody listens on, below those that the kernel gives to outgoing connections: none takes it meanwhile."""
    while True:
        port = random.randrange(10000, 32768)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise


def wait_for(what, condition, seconds=30):
    """Asks until the condition's answer is true; that answer."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def answers(url, host=None):
    """Whether something answers under a URL, with any status."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).close()
        return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


class Processes:
    """A context: what was started in it has ended when it is left."""

    def __init__(self, logs):
        self.logs = logs
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for _, process in reversed(self.running):
            self.stop(process)

    def start(self, name, command, environment=None):
        """Starts a command; its output goes to a log of that name."""
        with open(self.logs / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.running.append((name, process))
        return process

    def stop(self, process, seconds=15):
        """Ends a process and its children; its exit status."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        try:  # children that outlived their parent
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return process.returncode

    def log(self, name):
        """The last lines that a process wrote."""
        text = (self.logs / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-25:])
