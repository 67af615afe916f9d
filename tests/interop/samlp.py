"""samlp (npm, Auth0) as the IdP: a small program of ours around it, samlp/idp.js."""

import json
import re
import shutil
import subprocess
import textwrap
import urllib.parse
import urllib.request
from pathlib import Path

from processes import answers, free_port, wait_for
from variant import Variant

HERE = Path(__file__).parent / "samlp"
MODULES = Path("target/interop/samlp").resolve()


class Samlp:
    """The IdP. `people` are dicts with `name`, `password` and `attributes`."""

    name = "samlp"
    variants = [
        Variant("assertion signed, by Redirect", sign="assertion", nameid="persistent"),
        Variant("response signed, by POST", sign="response", nameid="email", binding="post"),
        Variant("both signed, transient name", sign="both", nameid="transient"),
        Variant("unspecified name", sign="both", nameid="unspecified", asked="unspecified"),
        Variant("AES-128 GCM, assertion signed", sign="assertion", encrypt="aes128-gcm"),
        Variant("AES-256 GCM, response signed", sign="response", encrypt="aes256-gcm", binding="post"),
        Variant("AES-256 GCM, both signed", sign="both", encrypt="aes256-gcm"),
        Variant("AES-128 CBC, both signed", sign="both", encrypt="aes128-cbc", compat=["aes-cbc"]),
        Variant("AES-256 CBC, assertion signed", sign="assertion", encrypt="aes256-cbc", compat=["aes-cbc"]),
    ]

    def __init__(self, processes, home, people):
        install()
        self.port = free_port()
        self.host = f"samlp.localhost:{self.port}"
        self.base = f"http://{self.host}"
        self.entity_id = f"{self.base}/metadata"
        self.sso = f"{self.base}/sso"
        self.slo = f"{self.base}/slo"
        self.home = home
        home.mkdir()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "400", "-subj", "/CN=interop samlp"]
            + ["-keyout", home / "idp.key", "-out", home / "idp.crt"],
            check=True,
            capture_output=True,
        )
        self.settings = {
            "base": self.base,
            "port": self.port,
            "key": str(home / "idp.key"),
            "cert": str(home / "idp.crt"),
            "people": {person["name"]: {"password": person["password"], "attributes": person["attributes"]} for person in people},
        }
        self.write()
        processes.start("samlp", ["node", "--no-deprecation", HERE / "idp.js", MODULES, home / "config.json"])
        wait_for("samlp", lambda: answers(f"http://127.0.0.1:{self.port}/metadata", self.host))

    def write(self):
        (self.home / "config.json").write_text(json.dumps(self.settings))

    def metadata(self):
        """The IdP's metadata."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/metadata", headers={"Host": self.host})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return answer.read().decode()

    def register(self, sp_metadata, variant):
        """Makes the service provider known, with what the variant is about."""
        certificate = lambda use: pem(re.search(rf'<md:KeyDescriptor use="{use}">.*?<ds:X509Certificate>([^<]+)<', sp_metadata, re.S)[1])
        self.settings.update(sign=variant.sign, encrypt=variant.encrypt, nameid=variant.nameid, binding=variant.binding)
        self.settings["sp"] = {
            "entity": re.search(r'entityID="([^"]+)"', sp_metadata)[1],
            "acs": re.search(r'<md:AssertionConsumerService [^>]*Location="([^"]+)"', sp_metadata)[1],
            "slo": re.search(r'<md:SingleLogoutService [^>]*Location="([^"]+)"', sp_metadata)[1],
            "signing": certificate("signing"),
            "encryption": certificate("encryption"),
        }
        self.write()

    def magic_url(self, sp_entity_id, relay_state):
        """What a portal's tile links to."""
        return f"{self.base}/unsolicited?{urllib.parse.urlencode({'RelayState': relay_state})}"

    def logout_url(self):
        """Where a person signs out of the IdP itself."""
        return self.slo


def pem(base64):
    body = "\n".join(textwrap.wrap("".join(base64.split()), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def install():
    """The packages of samlp/package-lock.json, once."""
    lock = (HERE / "package-lock.json").read_bytes()
    done = MODULES / "installed.json"
    if done.exists() and done.read_bytes() == lock:
        return
    shutil.rmtree(MODULES, ignore_errors=True)
    MODULES.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, MODULES / name)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=MODULES, check=True, capture_output=True, timeout=300)
    done.write_bytes(lock)
