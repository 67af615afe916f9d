"""nginx without authentication, and samlgate: how each is started, and where it listens."""

import re
import shutil
import subprocess
import urllib.parse

from application import nginx
from sign_in import Visitor, sign_in
from processes import answers, free_port, wait_for

PROXY = """
upstream app {{ server 127.0.0.1:{app}; keepalive 128; keepalive_requests 100000000; }}
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
ssl_certificate {folder}/tls.crt;
ssl_certificate_key {folder}/tls.key;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_session_tickets off;
ssl_session_cache off;
server {{
  listen 127.0.0.1:{port} reuseport;
  listen 127.0.0.1:{tls} ssl http2 reuseport;
  location / {{ proxy_pass http://app; }}
  location /huge {{ proxy_pass http://app; proxy_buffering off; }}
  location /upload {{ proxy_pass http://127.0.0.1:{peer}; proxy_request_buffering off; }}
  location /socket {{
    proxy_pass http://127.0.0.1:{peer};
    proxy_set_header Connection upgrade;
    proxy_set_header Upgrade $http_upgrade;
  }}
}}
"""


def make_certificate(folder):
    """An ECDSA P-256 certificate for loopback, as tls.crt and tls.key."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    command += ["-subj", "/CN=localhost", "-keyout", folder / "tls.key", "-out", folder / "tls.crt"]
    subprocess.run(command, check=True, capture_output=True)


class Running:
    """A contender that runs. `cookie` is its session's Cookie header, "" where none is needed; `pids` are the processes whose CPU and
    memory count, with their children."""

    def __init__(self, name, port, processes, cookie=""):
        self.name, self.port, self.processes, self.cookie = name, port, processes, cookie
        self.secure = None  # the same by TLS

    @property
    def pids(self):
        return [process.pid for process in self.processes]

    def url(self, path="/"):
        return f"http://127.0.0.1:{self.port}{path}"

    def headers(self):
        """As arguments of wrk, h2load and curl."""
        return ["-H", f"Cookie: {self.cookie}"] if self.cookie else []


class Nginx:
    """`proxy_pass`, keep-alive in both directions, no authentication."""

    name = "nginx"

    def __init__(self, bench):
        self.bench = bench

    def spawn(self):
        """A new instance that may not be ready yet: its process and port."""
        bench, port, tls = self.bench, free_port(), free_port()
        folder = bench.new_folder("nginx")
        server = PROXY.format(app=bench.application.port, peer=bench.application.peer_port, port=port, tls=tls, folder=bench.folder)
        self.tls_port = tls
        return nginx(bench.processes, "nginx", folder, "proxy", server, bench.workers, bench.files), port

    def start(self, secure=True):
        process, port = self.spawn()
        wait_for("nginx", lambda: answers(f"http://127.0.0.1:{port}/"))
        running = Running(self.name, port, [process])
        if secure:
            running.secure = Running(self.name, self.tls_port, [process])
        return running


class Samlgate:
    """The binary with the demo's configuration, changed only in where it listens and what it protects; the demo brings the IdP."""

    name = "samlgate"

    def __init__(self, bench):
        self.bench = bench
        demo = bench.processes.start("demo", [bench.demo])

        def said():
            if demo.poll() is not None:
                raise RuntimeError(f"the demo ended:\n{bench.processes.log('demo')}")
            return re.search(r"samlgate's configuration: (.*)", bench.processes.log("demo"))

        self.original = wait_for("the demo", said)[1]
        with open(self.original) as file:
            self.text = file.read()
        self.public_url = re.search(r'(?m)^public_url = "(.*)"', self.text)[1]
        self.host = urllib.parse.urlsplit(self.public_url).netloc

    def spawn(self, tls=False):
        bench, port, self.ops_port = self.bench, free_port(), free_port()
        folder = bench.new_folder("samlgate")
        shutil.copytree(self.original.rpartition("/")[0], folder, dirs_exist_ok=True)
        listen = f'address = "127.0.0.1:{port}"\nworkers = {bench.workers}\n'
        if tls:
            listen += f'certificate = "{bench.folder}/tls.crt"\nkey = "{bench.folder}/tls.key"\n'
        listen += f'ops_address = "127.0.0.1:{self.ops_port}"'
        text = re.sub(r'(?m)^address = .*\nops_address = .*', listen, self.text)
        text = re.sub(r'(\[upstream\]\nurl = )".*"', rf'\1"http://127.0.0.1:{bench.application.port}"', text)
        peer = f"http://127.0.0.1:{bench.application.peer_port}"
        rules = "".join(f'[[access]]\npath = "{path}"\nallow = "signed-in"\nupstream = "{peer}"\n\n' for path in ("/upload", "/socket"))
        text = text.replace("[[access]]", rules + "[[access]]", 1)
        (folder / "samlgate.toml").write_text(text)
        return bench.processes.start("samlgate", [bench.samlgate, "run", "--config", folder / "samlgate.toml"]), port

    def start(self, secure=True):
        running = self.signed_in(tls=False)
        if secure:  # an instance listens at one address
            running.secure = self.signed_in(tls=True)
        return running

    def signed_in(self, tls):
        process, port = self.spawn(tls)
        ready = f"http://127.0.0.1:{self.ops_port}/readyz"
        wait_for("samlgate", lambda: answers(ready))
        cookie, self.response = sign_in(Visitor(self.host, port, tls), f"{self.public_url}/", self.bench.person)
        return Running(self.name, port, [process], cookie)
