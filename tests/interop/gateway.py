"""samlgate itself, as an operator sets it up: keygen, a configuration file, check, metadata, run."""

import json
import re
import subprocess

from processes import answers, free_port, wait_for

CONFIG = """
public_url = "{base}"

[listen]
address = "127.0.0.1:{port}"
ops_address = "127.0.0.1:{ops_port}"

[upstream]
url = "{upstream}"

[sp]
entity_id = "{entity_id}"
keys = [{keys}]
{sp_more}

[[idp]]
id = "corp"
{idp_source} = "{idp_metadata}"
request_binding = "{binding}"
{idp_more}

[identity.user]
from = ["uid"]

[identity.role]
from = ["groups"]
map = {{ "Dashboard Admins" = "admin", "staff" = "viewer" }}
allowed = ["admin", "viewer"]
required = true

[identity.tenant]
from = ["{tenant_attribute}"]
required = {tenant_required}
"""


class Gateway:
    """The binary with a configuration in a folder."""

    def __init__(self, processes, binary, home, upstream, idp_metadata):
        self.processes = processes
        self.binary = binary
        self.home = home
        self.port = free_port()
        self.host = f"reports.localhost:{self.port}"
        self.base = f"http://{self.host}"
        self.entity_id = f"{self.base}/_samlgate/metadata"
        self.upstream = upstream
        self.ops_port = free_port()
        home.mkdir()
        self.run("keygen", "--out", home)
        (home / "idp.xml").write_text(idp_metadata)
        self.config = self.configure("samlgate.toml")

    def configure(self, name, **changes):
        """Writes a configuration; what a test is about is changed by name."""
        values = {
            "base": self.base,
            "entity_id": self.entity_id,
            "port": self.port,
            "ops_port": self.ops_port,
            "upstream": self.upstream,
            "idp_metadata": "idp.xml",
            "binding": "auto",
            "tenant_attribute": "department",
            "tenant_required": "false",
            "keys": '{ key = "sp.key", certificate = "sp.crt" }',
            "sp_more": "",
            "idp_more": "",
        }
        values.update(changes)
        source = "metadata_url" if "://" in values["idp_metadata"] else "metadata_file"
        path = self.home / name
        path.write_text(CONFIG.format(idp_source=source, **values))
        return path

    def metadata_with_another_certificate(self):
        """The IdP's metadata, but with a certificate that it doesn't sign with; the file's name."""
        metadata = (self.home / "idp.xml").read_text()
        own = "".join(line for line in (self.home / "sp.crt").read_text().splitlines() if "-----" not in line)
        changed = re.sub(r"(<(?:ds:)?X509Certificate>)[^<]+", lambda found: found[1] + own, metadata)
        assert changed != metadata
        (self.home / "other-idp.xml").write_text(changed)
        return "other-idp.xml"

    def run(self, *arguments, accepted=(0,)):
        """What a command prints."""
        done = subprocess.run([self.binary, *arguments], capture_output=True, text=True, timeout=60)
        if done.returncode not in accepted:
            raise AssertionError(f"samlgate {arguments[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def explain(self, response, *arguments, config=None):
        """The verdict on a response: what is printed for people, and the same as JSON."""
        path = self.home / "response.b64"
        path.write_text(response)
        command = ["explain", "--config", config or self.config, *arguments]
        return self.run(*command, path, accepted=(0, 1)), json.loads(self.run(*command, "--json", path, accepted=(0, 1)))

    def start(self):
        """Serves, once `samlgate check` finds nothing to complain about."""
        self.run("check", "--config", self.config)
        log = self.processes.logs / "samlgate.log"
        self.log_begins = log.stat().st_size if log.exists() else 0
        self.process = self.processes.start("samlgate", [self.binary, "run", "--config", self.config])
        wait_for("samlgate", lambda: answers(f"http://127.0.0.1:{self.ops_port}/readyz"))

    def said(self):
        """What it has logged since it was started."""
        with open(self.processes.logs / "samlgate.log", "rb") as log:
            log.seek(self.log_begins)
            return log.read().decode(errors="replace")
