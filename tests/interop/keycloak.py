"""Keycloak as the IdP: the distribution of Maven Central, built once, run without a network on a database of its own."""

import fcntl
import http.client
import json
import os
import shutil
import subprocess
import time
import urllib.parse
from pathlib import Path

from processes import answers, free_port, wait_for
from variant import WRAPS, XMLENC, XMLENC11, Variant

VERSIONS = ["26.0.7", "26.7.2"]
BUILT = Path("target/interop/keycloak").resolve()
# Half the processor time of a start as a server would do it.
JAVA = "-XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC -Djava.net.preferIPv4Stack=true"
ADMINISTRATOR = "only-for-a-test-on-loopback"
PERMITTED = {"view": ["admin", "user"], "edit": ["admin"]}

VARIANTS = [
    Variant("assertion signed, by Redirect", sign="assertion"),
    Variant("response signed, by POST", sign="response", nameid="email", binding="post"),
    Variant("both signed, transient name", nameid="transient"),
    Variant("both signed with SHA-512, unspecified name, by POST", nameid="unspecified", algorithm="rsa-sha512", binding="post"),
    Variant("each group an attribute", several=True),
    Variant("back channel by SOAP", back_channel="soap"),
    Variant("back channel by a form POST", back_channel="post", binding="post"),
    Variant("metadata by URL", by_url=True),
]
# All that 26.0 has.
ENCRYPTED_BY_OLD = [
    Variant("AES-128 CBC, both signed", encrypt="aes128-cbc", compat=["aes-cbc"], new_keys=True),
    Variant("AES-128 CBC, assertion signed", sign="assertion", encrypt="aes128-cbc", compat=["aes-cbc"]),
    Variant("AES-128 CBC, response signed", sign="response", encrypt="aes128-cbc", compat=["aes-cbc"], binding="post"),
]
ENCRYPTED_BY_NEW = [
    Variant("encrypted as it is after an import, both signed", encrypt="aes256-gcm", new_keys=True),
    Variant("AES-256 GCM, OAEP with SHA-256, assertion signed", sign="assertion", encrypt="aes256-gcm", wrap="oaep-sha256", binding="post"),
    Variant("AES-256 GCM, OAEP with SHA-256, response signed", sign="response", encrypt="aes256-gcm", wrap="oaep-sha256"),
    Variant("AES-128 GCM, OAEP of 1.0", encrypt="aes128-gcm", wrap="mgf1p"),
    Variant("AES-192 GCM, OAEP of 1.0 with SHA-256", encrypt="aes192-gcm", wrap="mgf1p-sha256"),
    Variant("AES-256 GCM, OAEP with SHA-512", encrypt="aes256-gcm", wrap="oaep-sha512"),
    Variant("AES-128 GCM, RSA 1.5", encrypt="aes128-gcm", wrap="rsa-1.5", compat=["rsa-1.5"]),
    Variant("AES-192 CBC, OAEP of 1.0", encrypt="aes192-cbc", wrap="mgf1p", compat=["aes-cbc"]),
    Variant("AES-256 CBC, assertion signed", sign="assertion", encrypt="aes256-cbc", wrap="mgf1p", compat=["aes-cbc"]),
]


class Keycloak:
    """The IdP. `people` are dicts with `name`, `password` and `attributes`."""

    def __init__(self, processes, home, people, version):
        self.dist = built(version)
        self.version = version
        self.name = f"keycloak-{version}"
        self.port = free_port()
        self.host = f"keycloak.localhost:{self.port}"
        self.base = f"http://{self.host}"
        self.entity_id = f"{self.base}/realms/people"
        self.sso = self.slo = f"{self.entity_id}/protocol/saml"
        self.metadata_url = f"http://127.0.0.1:{self.port}/realms/people/protocol/saml/descriptor"
        self.token = (None, 0)
        old = tuple(int(part) for part in version.split(".")[:2]) < (26, 4)
        self.variants = VARIANTS + (ENCRYPTED_BY_OLD if old else ENCRYPTED_BY_NEW)
        self.reads_our_metadata = self.signs_out_whole_users = not old
        (home / "db").mkdir(parents=True)
        shutil.copy(self.dist / "seed/kc.mv.db", home / "db")
        # Java asks the resolver for names below localhost, and not every resolver knows that those are this machine.
        self.hosts = home / "hosts"
        self.hosts.write_text("127.0.0.1 localhost reports.localhost\n")
        # Without the variables that would lead its calls to samlgate through a proxy.
        processes.start(
            self.name,
            ["env", *[f"--unset={name}" for name in os.environ if name.lower().endswith("_proxy")], "sh", self.dist / "bin/kc.sh", "start"]
            + ["--optimized", "--cache=local", "--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={self.port}"]
            + [f"--hostname={self.base}", f"--db-url={database(home / 'db')}", "--log-console-color=false"],
            {"JAVA_OPTS_APPEND": f"{JAVA} -Djdk.net.hosts.file={self.hosts}"},
        )
        wait_for(self.name, lambda: answers(f"http://127.0.0.1:{self.port}/realms/master"), seconds=180)
        self.api("POST", "", realm(people))

    def metadata(self):
        """The realm's metadata."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", urllib.parse.urlsplit(self.metadata_url).path)
        return connection.getresponse().read().decode()

    def register(self, sp_metadata, variant):
        """What an administrator does: imports the client from its metadata, then changes settings; clients from before go."""
        for client in self.api("GET", "/people/clients"):
            if client["protocol"] == "saml" and client["attributes"].get("saml_idp_initiated_sso_url_name"):
                self.api("DELETE", f"/people/clients/{client['id']}")
        client = self.api("POST", "/people/client-description-converter", sp_metadata.encode(), "application/xml")
        says = lambda yes: "true" if yes else "false"
        attributes = client["attributes"]
        # The import takes this from our metadata, and it must stay: an unsigned request is refused.
        assert attributes["saml.client.signature"] == "true" and attributes["saml.signing.certificate"], attributes
        # Our metadata has a key for it, so Keycloak encrypts unless it is told not to.
        assert attributes["saml.encrypt"] == "true" and attributes["saml.encryption.certificate"], attributes
        attributes.update(
            {
                "saml.server.signature": says(variant.sign != "assertion"),
                "saml.assertion.signature": says(variant.sign != "response"),
                "saml.signature.algorithm": variant.algorithm.upper().replace("-", "_"),
                "saml.encrypt": says(variant.encrypt),
                "saml_name_id_format": {"unspecified": "username"}.get(variant.nameid, variant.nameid),
                "saml_force_name_id_format": "true",
                "saml_idp_initiated_sso_url_name": "reports",
            }
        )
        if variant.wrap:
            key, digest, mask = WRAPS[variant.wrap]
            namespace = XMLENC11 if variant.encrypt.endswith("-gcm") else XMLENC
            attributes["saml.encryption.algorithm"] = namespace + variant.encrypt
            attributes["saml.encryption.keyAlgorithm"] = key
            attributes["saml.encryption.digestMethod"] = digest
            attributes["saml.encryption.maskGenerationFunction"] = mask
        if variant.back_channel == "soap":
            assert attributes["saml_single_logout_service_url_soap"].endswith("/slo/soap"), attributes
        else:
            attributes["saml_single_logout_service_url_soap"] = ""
        client["enabled"] = True
        client["frontchannelLogout"] = not variant.back_channel
        client["protocolMappers"] = [user_attribute("uid"), user_attribute("mail")]
        client["protocolMappers"].append(group_list() if variant.several else user_attribute("groups"))
        self.api("POST", "/people/clients", client)

    def imported(self, sp_metadata):
        """What an import of the metadata would make of it: the client's settings."""
        return self.api("POST", "/people/client-description-converter", sp_metadata.encode(), "application/xml")["attributes"]

    def forget_keys(self):
        """The administration's button "Clear keys cache": what was read from clients' metadata is read again."""
        self.api("POST", "/people/clear-keys-cache")

    def change_client(self, **attributes):
        """Turns switches of the registered client, whose names are written with __ for a dot."""
        [client] = [c for c in self.api("GET", "/people/clients") if c["attributes"].get("saml_idp_initiated_sso_url_name")]
        client["attributes"].update({name.replace("__", "."): value for name, value in attributes.items()})
        self.api("PUT", f"/people/clients/{client['id']}", client)

    def magic_url(self, sp_entity_id, relay_state):
        """What a portal's tile links to."""
        return f"{self.sso}/clients/reports?{urllib.parse.urlencode({'RelayState': relay_state})}"

    def logout_url(self):
        """Where a person signs out of the IdP itself."""
        return f"{self.entity_id}/protocol/openid-connect/logout"

    def administrator_signs_out(self, name):
        """Ends all sessions of somebody, as an administrator does. 26.0 tells a client of one session only when somebody with several
        is signed out, so there it is done session by session."""
        [user] = self.api("GET", f"/people/users?{urllib.parse.urlencode({'username': name, 'exact': 'true'})}")
        if self.signs_out_whole_users:
            self.api("POST", f"/people/users/{user['id']}/logout")
        else:
            for session in self.api("GET", f"/people/users/{user['id']}/sessions"):
                self.api("DELETE", f"/people/sessions/{session['id']}")

    def signing_keys(self):
        """The components that are the realm's signing keys, the one that signs first."""
        keys = self.api("GET", "/people/components?type=org.keycloak.keys.KeyProvider")
        keys = [key for key in keys if key["providerId"].startswith("rsa")]
        return sorted(keys, key=lambda key: (key["config"]["active"] == ["true"], int(key["config"]["priority"][0])), reverse=True)

    def publish_key(self):
        """A new key comes into the metadata, and doesn't sign yet."""
        [old] = self.signing_keys()
        config = {"priority": ["200"], "enabled": ["true"], "active": ["false"], "keySize": ["2048"], "algorithm": ["RS256"]}
        key = {"name": "next", "providerId": "rsa-generated", "providerType": old["providerType"], "parentId": old["parentId"], "config": config}
        self.api("POST", "/people/components", key)

    def activate_key(self):
        """The new key signs, the old one stays in the metadata."""
        old, new = self.signing_keys()
        for key, active in (new, "true"), (old, "false"):
            key["config"]["active"] = [active]
            self.api("PUT", f"/people/components/{key['id']}", key)

    def remove_key(self):
        """The old key goes."""
        _, old = self.signing_keys()
        self.api("DELETE", f"/people/components/{old['id']}")

    def api(self, method, path, body=None, content_type="application/json"):
        """A call of the administration's REST interface, below /admin/realms; its JSON, if any."""
        token, until = self.token
        if time.monotonic() > until:
            form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": ADMINISTRATOR}
            path_of_token = "/realms/master/protocol/openid-connect/token"
            answer = self.send("POST", path_of_token, urllib.parse.urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
            token = answer["access_token"]
            self.token = (token, time.monotonic() + answer["expires_in"] / 2)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        return self.send(method, f"/admin/realms{path}", body, {"Authorization": f"Bearer {token}", "Content-Type": content_type})

    def send(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status >= 300:
            raise AssertionError(f"Keycloak: {method} {path}: {answer.status} {text}")
        return json.loads(text) if text else None


def user_attribute(name):
    """One Attribute with all values."""
    config = {"user.attribute": name, "attribute.name": name, "attribute.nameformat": "Basic", "aggregate.attrs": "false"}
    return {"name": name, "protocol": "saml", "protocolMapper": "saml-user-attribute-mapper", "config": config}


def group_list():
    """The groups that the user is in, an Attribute for each."""
    config = {"attribute.name": "groups", "attribute.nameformat": "Basic", "single": "false", "full.path": "false"}
    return {"name": "groups", "protocol": "saml", "protocolMapper": "saml-group-membership-mapper", "config": config}


def realm(people):
    """A realm with people, in groups and with the same groups as an attribute."""
    groups = sorted({group for person in people for group in person["attributes"]["groups"]})
    profile = {
        "unmanagedAttributePolicy": "ENABLED",
        "attributes": [{"name": name, "permissions": PERMITTED} for name in ("username", "email")],
    }
    return {
        "realm": "people",
        "enabled": True,
        "sslRequired": "none",
        "requiredActions": [],
        # Hashing passwords is not what is tried here.
        "passwordPolicy": "hashAlgorithm(pbkdf2-sha256) and hashIterations(1000)",
        "components": {
            "org.keycloak.keys.KeyProvider": [
                provider("first", "rsa-generated", keySize=["2048"], algorithm=["RS256"], enabled=["true"], active=["true"]),
                provider("mac", "hmac-generated", algorithm=["HS512"]),
                provider("secret", "aes-generated"),
            ],
            "org.keycloak.userprofile.UserProfileProvider": [
                {"providerId": "declarative-user-profile", "config": {"kc.user.profile.config": [json.dumps(profile)]}}
            ],
        },
        "groups": [{"name": group} for group in groups],
        "users": [
            {
                "username": person["name"],
                "enabled": True,
                "emailVerified": True,
                "email": person["attributes"]["mail"][0],
                "realmRoles": ["default-roles-people"],
                "attributes": person["attributes"],
                "groups": [f"/{group}" for group in person["attributes"]["groups"]],
                "credentials": [{"type": "password", "value": person["password"]}],
            }
            for person in people
        ],
    }


def provider(name, kind, **config):
    return {"name": name, "providerId": kind, "config": {"priority": ["100"], **config}}


def database(folder):
    return f"jdbc:h2:file:{folder}/kc;NON_KEYWORDS=VALUE;DB_CLOSE_ON_EXIT=FALSE"


def built(version):
    """The distribution, unpacked and built, with a database that has the administrator; once per clone, two minutes."""
    BUILT.mkdir(parents=True, exist_ok=True)
    folder = BUILT / version
    done = folder / "complete"
    with open(BUILT / f"{version}.lock", "w") as lock, open(BUILT / f"{version}.log", "w") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)

        def run(*command):
            command = [str(part) for part in command]
            environment = {**os.environ, "JAVA_OPTS_APPEND": JAVA, "KEYCLOAK_ADMINISTRATOR": ADMINISTRATOR}
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, timeout=900).returncode:
                raise AssertionError(f"{' '.join(command[:3])} failed, see {log.name}")

        artifact = f"org.keycloak:keycloak-quarkus-dist:{version}:zip"
        run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={BUILT}")
        archive = BUILT / f"keycloak-quarkus-dist-{version}.zip"
        shutil.unpack_archive(archive, BUILT)
        archive.unlink()
        (BUILT / f"keycloak-{version}").rename(folder)
        run("sh", folder / "bin/kc.sh", "build", "--db=dev-file")
        password = ["--username", "admin", "--password:env", "KEYCLOAK_ADMINISTRATOR"]
        run("sh", folder / "bin/kc.sh", "bootstrap-admin", "user", "--optimized", "--no-prompt", *password, "--db-url", database(folder / "seed"))
        if not (folder / "seed/kc.mv.db").exists():
            raise AssertionError(f"Keycloak made no database, see {log.name}")
        done.touch()
    return folder
