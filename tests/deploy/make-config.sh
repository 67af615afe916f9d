#!/bin/sh
# make-config.sh DIR: fresh keys, an identity provider's metadata and a small configuration of samlgate, for tests.
set -eu
dir=$1
mkdir -p "$dir"
for name in sp idp; do
  openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 2 -subj "/CN=$name.test" -keyout "$dir/$name.key" -out "$dir/$name.crt" 2> "$dir/openssl.log" ||
    { cat "$dir/openssl.log" >&2; exit 1; }
done
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$dir/assertion.key"
certificate=$(grep -v CERTIFICATE "$dir/idp.crt" | tr -d '\n')
rm "$dir/idp.key" "$dir/idp.crt" "$dir/openssl.log"
cat > "$dir/idp.xml" <<XML
<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.test/metadata">
  <IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <KeyDescriptor use="signing">
      <KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>$certificate</X509Certificate></X509Data></KeyInfo>
    </KeyDescriptor>
    <SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.test/sso"/>
  </IDPSSODescriptor>
</EntityDescriptor>
XML
cat > "$dir/samlgate.toml" <<TOML
public_url = "https://app.example.com"
[listen]
address = "127.0.0.1:${SAMLGATE_TEST_PORT:-18480}"
ops_address = "127.0.0.1:${SAMLGATE_TEST_OPS_PORT:-18490}"
[upstream]
url = "http://127.0.0.1:9"
[sp]
keys = [{ key = "sp.key", certificate = "sp.crt" }]
[[idp]]
id = "main"
metadata_file = "idp.xml"
[headers.assertion]
key = "assertion.key"
TOML
# The container's user isn't the one who made them.
chmod 755 "$dir"
chmod 644 "$dir"/*
