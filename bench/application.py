"""What stands behind each contender: nginx with small and large answers, and peer.py for uploads and WebSockets."""

import sys
from pathlib import Path

from measure import MIB
from processes import answers, free_port, wait_for

SERVER = """
server {{
  listen 127.0.0.1:{port} reuseport;
  root {files};
  location = / {{ return 200 "{kibibyte}"; }}
}}
"""


def nginx(processes, name, folder, role, server, workers, files):
    """Starts an nginx with a server of its own."""
    (folder / f"{role}.conf").write_text(server)
    text = (Path(__file__).parent / "nginx.conf").read_text()
    for word, meant in (("ROLE", role), ("FOLDER", folder), ("WORKERS", workers), ("FILES", files)):
        text = text.replace(word, str(meant))
    configuration = folder / f"nginx-{role}.conf"
    configuration.write_text(text)
    # -e: without it nginx opens the log it was compiled with before it reads the configuration.
    return processes.start(name, ["nginx", "-e", folder / f"nginx-{role}.log", "-c", configuration])


class Application:
    """The same for all. `huge` octets are in its largest file."""

    def __init__(self, processes, folder, workers, files, huge):
        self.port, self.peer_port = free_port(), free_port()
        served = folder / "served"
        served.mkdir()
        (served / "large").write_bytes(b"x" * MIB)
        self.huge = served / "huge"
        with open(self.huge, "wb") as file:
            file.truncate(huge)
        server = SERVER.format(port=self.port, files=served, kibibyte="x" * 1024)
        nginx(processes, "application", folder, "application", server, workers, files)
        processes.start("peer", [sys.executable, Path(__file__).parent / "peer.py", self.peer_port])
        wait_for("the application", lambda: answers(f"http://127.0.0.1:{self.port}/"))
        wait_for("the peer", lambda: answers(f"http://127.0.0.1:{self.peer_port}/"))
