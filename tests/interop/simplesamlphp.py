"""SimpleSAMLphp as Debian packages it, as the IdP: PHP's own web server, a configuration in a temporary folder."""

import subprocess
import urllib.parse
import urllib.request

from processes import answers, free_port, wait_for
from variant import Variant

CONFIG = """<?php
$config = [
    'baseurlpath' => '{base}/',
    'certdir' => '{home}/cert/', 'loggingdir' => '{home}/', 'datadir' => '{home}/data/', 'tempdir' => '{home}/tmp/',
    'metadatadir' => '{home}/metadata/', 'attributenamemapdir' => '{debian}/etc/simplesamlphp/attributemap/',
    'technicalcontact_name' => 'interop test', 'technicalcontact_email' => 'na@example.org', 'timezone' => 'UTC',
    'secretsalt' => 'only-for-a-test-on-loopback', 'auth.adminpassword' => 'only-for-a-test-on-loopback',
    'admin.checkforupdates' => false, 'showerrors' => true, 'errorreporting' => false,
    'logging.handler' => 'file', 'logging.logfile' => 'simplesamlphp.log',
    'enable.saml20-idp' => true, 'module.enable' => ['core' => true, 'saml' => true, 'exampleauth' => true],
    'session.cookie.name' => 'IdPSession', 'session.cookie.secure' => false,
    'session.phpsession.cookiename' => 'IdPPhp', 'session.phpsession.savepath' => '{home}/tmp',
    'language.available' => ['en'], 'language.default' => 'en', 'theme.use' => 'default', 'production' => true,
    'metadata.sources' => [['type' => 'flatfile'], ['type' => 'xml', 'file' => '{home}/sp.xml']],
    'store.type' => 'sql', 'store.sql.dsn' => 'sqlite:{home}/data/store.sqlite', 'store.sql.prefix' => 'ssp',
    'authproc.idp' => [], 'authproc.sp' => [], 'trusted.url.domains' => null,
];
"""

# An unsigned request is refused, so a login and a logout also prove that samlgate signs and publishes the right certificate.
HOSTED = """<?php
$metadata['{entity_id}'] = [
    'host' => '__DEFAULT__', 'privatekey' => 'idp.key', 'certificate' => 'idp.crt', 'auth' => 'people',
    'SingleSignOnServiceBinding' => [
        'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect', 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST',
    ],
    'SingleLogoutServiceBinding' => [
        'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect', 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST',
    ],
    'sign.logout' => true, 'validate.logout' => true, 'redirect.sign' => true, 'redirect.validate' => true,
    'saml20.sign.assertion' => {sign_assertion}, 'saml20.sign.response' => {sign_response}, 'validate.authnrequest' => true,
    'saml20.sendartifact' => true, // to those who ask for it
    'assertion.encryption' => {encrypt}, // AES-128-CBC; this version has no other
    'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#{algorithm}',
    'authproc' => [
        1 => ['class' => 'saml:PersistentNameID', 'attribute' => 'uid'],
        2 => ['class' => 'saml:TransientNameID'],
        3 => ['class' => 'saml:AttributeNameID', 'attribute' => 'mail', 'Format' => 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress'],
    ],
    'NameIDFormat' => '{format}',
];
"""


class SimpleSamlPhp:
    """The IdP. `people` are dicts with `name`, `password` and `attributes`."""

    name = "simplesamlphp"
    variants = [
        Variant("assertion signed, by Redirect", sign="assertion"),
        Variant("response signed, by POST", sign="response", nameid="email", binding="post"),
        Variant("both signed, transient name", sign="both", nameid="transient"),
        Variant("both signed with SHA-512, by POST", sign="both", algorithm="rsa-sha512", binding="post"),
        Variant("by artifact, assertion signed", sign="assertion", artifact=True),
        Variant("by artifact, both signed, requests by POST", sign="both", artifact=True, binding="post"),
        Variant("AES-128 CBC, both signed", encrypt="aes128-cbc", compat=["aes-cbc"]),
        Variant("AES-128 CBC, assertion signed", sign="assertion", encrypt="aes128-cbc", compat=["aes-cbc"]),
        Variant("AES-128 CBC, response signed", sign="response", encrypt="aes128-cbc", compat=["aes-cbc"], nameid="email", binding="post"),
    ]

    def __init__(self, processes, debian, home, people):
        self.port = free_port()
        self.host = f"idp.localhost:{self.port}"  # another site than samlgate's, for the browser's cookie rules
        self.base = f"http://{self.host}"
        self.entity_id = f"{self.base}/saml2/idp/metadata.php"
        self.sso = f"{self.base}/saml2/idp/SSOService.php"
        self.slo = f"{self.base}/saml2/idp/SingleLogoutService.php"
        self.home = home
        for folder in ("cert", "data", "tmp", "metadata"):
            (home / folder).mkdir(parents=True)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "400", "-subj", "/CN=interop IdP"]
            + ["-keyout", home / "cert/idp.key", "-out", home / "cert/idp.crt"],
            check=True,
            capture_output=True,
        )
        (home / "config.php").write_text(CONFIG.format(base=self.base, home=home, debian=debian))
        (home / "authsources.php").write_text(authsources(people))
        (home / "acl.php").write_text("<?php $config = [];")
        (home / "metadata/saml20-sp-remote.php").write_text("<?php")
        # an empty aggregate, until samlgate's metadata is known
        self.register('<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata"/>')
        processes.start(
            "simplesamlphp",
            ["php", "-d", "opcache.revalidate_freq=0", "-d", "display_errors=0", "-d", "error_reporting=E_ALL & ~E_DEPRECATED", "-d", f"session.save_path={home}/tmp"]
            + ["-S", f"127.0.0.1:{self.port}", "-t", debian / "usr/share/simplesamlphp/www"],
            {"SIMPLESAMLPHP_CONFIG_DIR": str(home), "PHP_CLI_SERVER_WORKERS": "4"},
        )
        wait_for("SimpleSAMLphp", lambda: answers(f"http://127.0.0.1:{self.port}/saml2/idp/metadata.php", self.host))

    def metadata(self):
        """The IdP's metadata as an administrator would download it."""
        url = f"http://127.0.0.1:{self.port}/saml2/idp/metadata.php"
        request = urllib.request.Request(url, headers={"Host": self.host})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return answer.read().decode()

    def register(self, sp_metadata, variant=Variant("as most are")):
        """Makes a service provider known, with what the variant is about; the files are read at each request."""
        php = lambda yes: "true" if yes else "false"
        hosted = HOSTED.format(
            entity_id=self.entity_id,
            sign_assertion=php(variant.sign != "response"),
            sign_response=php(variant.sign != "assertion"),
            encrypt=php(variant.encrypt),
            algorithm=variant.algorithm,
            format=variant.format,
        )
        (self.home / "metadata/saml20-idp-hosted.php").write_text(hosted)
        # What the metadata says would count for more than what the administrator says.
        if variant.sign == "response":
            sp_metadata = sp_metadata.replace('WantAssertionsSigned="true"', 'WantAssertionsSigned="false"')
        (self.home / "sp.xml").write_text(sp_metadata)

    def logout_url(self, then=None):
        """Where a person signs out of the IdP itself, and where they land afterwards."""
        then = then or f"{self.base}/saml2/idp/metadata.php?output=xhtml"
        return f"{self.base}/saml2/idp/initSLO.php?{urllib.parse.urlencode({'RelayState': then})}"

    def magic_url(self, sp_entity_id, relay_state):
        """What a portal's tile links to: a login that starts at the IdP."""
        return f"{self.sso}?{urllib.parse.urlencode({'spentityid': sp_entity_id, 'RelayState': relay_state})}"


def authsources(people):
    """The file with users and passwords; values are this test's own, but quoted all the same."""

    def php(value):
        if isinstance(value, dict):
            return "[" + ", ".join(f"{php(key)} => {php(inner)}" for key, inner in value.items()) + "]"
        if isinstance(value, list):
            return "[" + ", ".join(php(inner) for inner in value) + "]"
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    users = {f"{person['name']}:{person['password']}": person["attributes"] for person in people}
    return f"<?php $config = ['people' => array_merge(['exampleauth:UserPass'], {php(users)})];"
