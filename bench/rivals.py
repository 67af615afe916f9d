"""Other SAML service providers in front of the same application: mod_auth_mellon and the Shibboleth SP, as Debian packages them, each in an
Apache of its own. SimpleSAMLphp is the identity provider of both, as in tests/interop.

Whatever Apache can do without is left out (no access log, no limit of requests per connection), so that what is compared is the
module's work. mod_auth_mellon keeps its default of 100 sessions, of which it looks through all.
"""

import functools
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

from contenders import Running
from sign_in import Visitor, sign_in
from processes import answers, free_port, wait_for
from simplesamlphp import SimpleSamlPhp

MODULES = Path("/usr/lib/apache2/modules")
PERSON = {"name": "ada", "password": "ada-bench", "attributes": {"uid": ["ada"], "mail": ["ada@example.com"], "groups": ["staff"]}}
FORM = {"username": PERSON["name"], "password": PERSON["password"]}

HTTPD = """
ServerRoot {folder}
PidFile {folder}/httpd.pid
Mutex file:{folder} default
ServerName http://127.0.0.1:{port}
UseCanonicalName On
Listen 127.0.0.1:{port}
{modules}
{account}
StartServers {workers}
ServerLimit {servers}
ThreadsPerChild 64
MaxRequestWorkers 256
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60
ErrorLog {folder}/error.log
LogLevel error
LimitRequestFieldSize 65536
ProxyPreserveHost On
ProxyRequests Off
{rules}
ProxyPass {own} !
ProxyPass / http://127.0.0.1:{app}/
"""

MELLON = """
MellonLockFile {folder}/mellon.lock
<Location />
  MellonEnable auth
  MellonEndpointPath /mellon
  MellonSPentityId http://127.0.0.1:{port}/mellon/metadata
  MellonSPPrivateKeyFile {folder}/sp.key
  MellonSPCertFile {folder}/sp.crt
  MellonIdPMetadataFile {folder}/idp.xml
  MellonSecureCookie Off
  MellonUser uid
  AuthType Mellon
  Require valid-user
  RequestHeader set X-Remote-User "%{{MELLON_uid}}e" env=MELLON_uid
  RequestHeader set X-Remote-Email "%{{MELLON_mail}}e" env=MELLON_mail
  RequestHeader set X-Remote-Groups "%{{MELLON_groups}}e" env=MELLON_groups
</Location>
"""

SHIBBOLETH = """
ShibConfig {folder}/shibboleth2.xml
ShibCompatValidUser Off
<Location />
  AuthType shibboleth
  ShibRequestSetting requireSession 1
  ShibUseHeaders Off
  Require shib-session
  RequestHeader set X-Remote-User "%{{uid}}e" env=uid
  RequestHeader set X-Remote-Email "%{{mail}}e" env=mail
  RequestHeader set X-Remote-Groups "%{{groups}}e" env=groups
</Location>
<Location /Shibboleth.sso>
  AuthType None
  Require all granted
  SetHandler shib
</Location>
"""

SHIBBOLETH2 = """<SPConfig xmlns="urn:mace:shibboleth:3.0:native:sp:config" clockSkew="180">
 <OutOfProcess tranLogFormat="%u"/>
 <UnixListener address="{folder}/shibd.sock"/>
 <RequestMapper type="Native"><RequestMap applicationId="default"/></RequestMapper>
 <ApplicationDefaults entityID="http://127.0.0.1:{port}/shibboleth" REMOTE_USER="uid" signing="front" encryption="false">
  <Sessions lifetime="28800" timeout="3600" relayState="ss:mem" checkAddress="false" handlerSSL="false" cookieProps="http">
   <SSO entityID="{idp}">SAML2</SSO>
   <Handler type="MetadataGenerator" Location="/Metadata" signing="false"/>
  </Sessions>
  <MetadataProvider type="XML" validate="false" path="{folder}/idp.xml"/>
  <AttributeExtractor type="XML" validate="false" reloadChanges="false" path="{folder}/attribute-map.xml"/>
  <CredentialResolver type="File" key="{folder}/sp.key" certificate="{folder}/sp.crt"/>
 </ApplicationDefaults>
 <SecurityPolicyProvider type="XML" validate="false" path="/etc/shibboleth/security-policy.xml"/>
 <ProtocolProvider type="XML" validate="false" reloadChanges="false" path="/etc/shibboleth/protocols.xml"/>
</SPConfig>
"""


class Missing(Exception):
    """A rival can't be started here."""


class Rivals:
    """The rivals that could be started: `running`; and why others were `left_out`."""

    def __init__(self, bench, wanted):
        self.bench, self.running, self.left_out, self.known = bench, [], [], []
        for name, start in (("mod_auth_mellon", self.mellon), ("Shibboleth SP", self.shibboleth)):
            if name in wanted:
                try:
                    self.running.append(start(name))
                except Missing as missing:
                    self.left_out.append(f"{name}: left out, {missing} (scripts/install-packages.sh rivals)")

    @functools.cached_property
    def idp(self):
        """The identity provider of all of them."""
        try:
            debian = self.bench.debian()
        except subprocess.CalledProcessError:
            raise Missing("SimpleSAMLphp can't be downloaded") from None
        return SimpleSamlPhp(self.bench.processes, debian, self.bench.folder / "idp", [PERSON])

    def mellon(self, name):
        folder, values = self.prepared("mod_auth_mellon.so")
        apache = self.apache(folder, values, "auth_mellon", "mod_auth_mellon.so", "/mellon/", MELLON)
        return self.signed_in(name, values["port"], [apache], "/mellon/metadata")

    def shibboleth(self, name):
        folder, values = self.prepared("mod_shib.so", "shibd")
        names = ("basic", "unspecified", "uri")
        kinds = [(own, f"urn:oasis:names:tc:SAML:2.0:attrname-format:{kind}") for own in ("uid", "mail", "groups") for kind in names]
        attributes = "".join(f'<Attribute name="{own}" id="{own}" nameFormat="{kind}"/>' for own, kind in kinds)
        attributes = f'<Attributes xmlns="urn:mace:shibboleth:2.0:attribute-map">{attributes}</Attributes>'
        (folder / "attribute-map.xml").write_text(attributes)
        (folder / "shibboleth2.xml").write_text(SHIBBOLETH2.format(idp=self.idp.entity_id, **values))
        shibd = self.bench.processes.start("shibd", ["shibd", "-f", "-F", "-c", folder / "shibboleth2.xml", "-p", folder / "shibd.pid"])
        listens = folder / "shibd.sock"

        def ready():
            if shibd.poll() is not None:
                raise RuntimeError(f"shibd ended:\n{self.bench.processes.log('shibd')}")
            return listens.exists()

        wait_for("shibd", ready)
        give(listens)
        apache = self.apache(folder, values, "mod_shib", "mod_shib.so", "/Shibboleth.sso", SHIBBOLETH)
        return self.signed_in(name, values["port"], [apache, shibd], "/Shibboleth.sso/Metadata")

    def prepared(self, module, *programs):
        """A folder with keys and the IdP's metadata, when all that is needed is here."""
        for program in ("apache2", "php", *programs):
            if not shutil.which(program):
                raise Missing(f"{program} is not on PATH")
        if not (MODULES / module).exists():
            raise Missing(f"{MODULES / module} is not there")
        folder = self.bench.new_folder("rival")
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=bench"]
        subprocess.run([*command, "-keyout", folder / "sp.key", "-out", folder / "sp.crt"], check=True, capture_output=True)
        (folder / "idp.xml").write_text(self.idp.metadata())
        give(folder / "sp.key")
        return folder, {"folder": folder, "port": free_port(), "app": self.bench.application.port}

    def apache(self, folder, values, name, file, own, rules):
        """An Apache with one module more."""
        used = ["mpm_event", "authn_core", "authz_core", "authz_user", "env", "headers", "proxy", "proxy_http"]
        modules = "\n".join(f"LoadModule {module}_module {MODULES}/mod_{module}.so" for module in used)
        modules += f"\nLoadModule {name}{'' if name.startswith('mod_') else '_module'} {MODULES}/{file}"
        text = HTTPD.format(
            modules=modules,
            account="User www-data\nGroup www-data" if os.getuid() == 0 else "",
            workers=self.bench.workers,
            servers=max(4, self.bench.workers),
            own=own,
            rules=rules.format(**values),
            **values,
        )
        (folder / "httpd.conf").write_text(text)
        return self.bench.processes.start(name, ["apache2", "-f", folder / "httpd.conf", "-DFOREGROUND"])

    def signed_in(self, name, port, processes, metadata):
        """Makes it known to the IdP, and signs in."""
        url = f"http://127.0.0.1:{port}"

        def ready():
            if processes[0].poll() is not None:
                raise RuntimeError(f"Apache for {name} ended")
            return answers(url + metadata)

        wait_for(name, ready)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url + metadata, timeout=20) as answer:
            self.known.append(re.sub(r"<\?xml.*?\?>", "", answer.read().decode()))
        entities = "".join(self.known)
        self.idp.register(f'<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata">{entities}</EntitiesDescriptor>')
        cookie, _ = sign_in(Visitor(), url + "/", FORM)
        return Running(name, port, processes, cookie)


def give(path):
    """Lets Apache's account use a file of ours, when Apache has one of its own."""
    if os.getuid() == 0:
        shutil.chown(path, "www-data", "www-data")
