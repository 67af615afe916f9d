"""Values that the chart must take, with what must come of them, and values that it must refuse, with the reason."""

MINIMAL = {
    "config": {
        "public_url": "https://app.example.com",
        "upstream": {"url": "http://app.default.svc:8000"},
        "idp": [{"id": "main", "metadata_file": "idp.xml"}],
    }
}
SIDECAR = {
    "mode": "sidecar",
    "sidecar": {"podSelector": {"app": "reports"}},
    "config": {**MINIMAL["config"], "upstream": {"url": "http://127.0.0.1:3000"}},
}
REDIS = {"config": {"storage": {"kind": "redis", "url": "redis://redis:6379/0"}}}
KEY = {"secretEnv": {"SAMLGATE_STORAGE__ENCRYPTION_KEY": {"secret": "s", "key": "k"}}}
ASSERTION_KEY = {"config": {"headers": {"assertion": {"key": "assertion.key"}}}}


def merged(*layers):
    result = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def config(**settings):
    return {"config": settings}


# What TOML, YAML and templates read differently: numbers, quotes, dots in keys, line ends, tables in lists.
AWKWARD = merged(MINIMAL, config(
    listen={"workers": 4, "big": 12345678, "negative": -1, "ratio": 1.5, "yes": True, "no": False},
    text={"quotes": "a \"b\" 'c' '''d''' \"\"\"e\"\"\"", "backslash": "^(.+)@example\\.com$", "lines": "one\ntwo\r\n\tthree\n",
          "markup": "<a href='x'>&amp;</a>", "unicode": "ünï \u2028 \u007f \U0001f511", "braces": "{{ .Values }} ${HOME}", "empty": "", "date": "2026-01-01"},
    map={"Domain Admins": "admin", "a.b": "dots", "quote\"d": "x", "": "no name", "ключ": "non-ASCII"},
    lists={"empty": [], "numbers": [1, 2, 3], "mixed": ["a", {"b": 1}], "nested": [["a"], ["b", "c"]]},
    sp={"keys": [{"key": "a.key", "certificate": "a.crt"}, {"key": "b.key", "certificate": "b.crt"}]},
    nothing={},
    access=[{"path": "/a", "roles": ["x"]}, {"path": "/b", "deep": {"deeper": [{"one": 1}, {"two": {"three": 3}}]}}, {}],
))

# name, values, words of the refusal
REFUSED = [
    ("nothing said", {}, ["config.public_url is missing", "config.upstream.url is missing"]),
    ("misspelt key", merged(MINIMAL, {"replicaz": 2}), ["replicaz"]),
    ("misspelt key below", merged(MINIMAL, {"service": {"prot": 80}}), ["prot"]),
    ("misspelt probe key", merged(MINIMAL, {"probes": {"readiness": {"period": 1}}}), ["period"]),
    ("unknown mode", merged(MINIMAL, {"mode": "daemonset"}), ["mode"]),
    ("text for a number", merged(MINIMAL, {"replicas": "two"}), ["replicas"]),
    ("port out of range", merged(MINIMAL, {"service": {"port": 70000}}), ["port"]),
    ("unknown Service type", merged(MINIMAL, {"service": {"type": "Loadbalancer"}}), ["type"]),
    ("digest without sha256", merged(MINIMAL, {"image": {"digest": "abc"}}), ["digest"]),
    ("bare off", merged(MINIMAL, config(idp=[{"id": "main", "metadata_file": "m.xml", "idp_initiated": False}])), ["idp_initiated"]),
    ("bare off for the ops address", merged(MINIMAL, config(listen={"ops_address": False})), ["ops_address"]),
    ("unknown storage", merged(MINIMAL, config(storage={"kind": "postgres"})), ["kind"]),
    ("public_url with a path", merged(MINIMAL, config(public_url="https://app.example.com/app")), ["public_url"]),
    ("file in two places", merged(MINIMAL, {"files": {"from": [{"secret": "a", "configMap": "b"}]}}), ["files"]),
    ("file in no place", merged(MINIMAL, {"files": {"from": [{"items": {"a": "b"}}]}}), ["files"]),
    ("file with a folder", merged(MINIMAL, {"files": {"inline": {"../x": "text"}}}), ["files"]),
    ("file in place of samlgate.toml", merged(MINIMAL, {"files": {"inline": {"samlgate.toml": "text"}}}), ["files.inline can't replace"]),
    ("Secret without a key", merged(MINIMAL, {"secretEnv": {"SAMLGATE_STORAGE__URL": {"secret": "a"}}}), ["key"]),
    ("variable of another program", merged(MINIMAL, {"secretEnv": {"PATH": {"secret": "a", "key": "b"}}}), ["PATH"]),
    ("replicas in memory", merged(MINIMAL, ASSERTION_KEY, {"replicas": 2}), ["storage.kind = memory", "stickySessions=true"]),
    ("autoscaling in memory", merged(MINIMAL, ASSERTION_KEY, {"autoscaling": {"enabled": True}}), ["storage.kind = memory"]),
    ("replicas with a file", merged(MINIMAL, ASSERTION_KEY, config(storage={"kind": "sqlite"}), {"replicas": 2, "persistence": {"enabled": True}}), ["sqlite", "one process"]),
    ("replicas with a key each", merged(MINIMAL, REDIS, KEY, {"replicas": 2}), ["headers.assertion.key"]),
    ("redis unsealed", merged(MINIMAL, REDIS), ["encryption key"]),
    ("sqlite without a volume", merged(MINIMAL, config(storage={"kind": "sqlite"})), ["persistence.enabled=true"]),
    ("key in a ConfigMap", merged(MINIMAL, REDIS, config(storage={"encryption_key": "AAAA"})), ["would stand in a ConfigMap"]),
    ("password in a ConfigMap", merged(MINIMAL, REDIS, KEY, config(storage={"url": "redis://:pw@redis:6379/0"})), ["password"]),
    ("TOTP secret in a ConfigMap", merged(MINIMAL, config(local_user=[{"name": "root", "totp_secret": "X"}])), ["totp_secret_file"]),
    ("listens for itself only", merged(MINIMAL, config(listen={"address": "127.0.0.1:8080"})), ["listen.address"]),
    ("listens on a socket", merged(MINIMAL, config(listen={"address": "unix:/run/s.sock"})), ["listen.address"]),
    ("one port for both", merged(MINIMAL, config(listen={"ops_address": "0.0.0.0:8080"})), ["same port"]),
    ("probes without ops address", merged(MINIMAL, config(listen={"ops_address": "off"})), ["probes.enabled=false"]),
    ("monitor without ops address", merged(MINIMAL, config(listen={"ops_address": "127.0.0.1:9090"}), {"podMonitor": {"enabled": True}}), ["podMonitor"]),
    ("route without Service", merged(MINIMAL, {"ingress": {"enabled": True}, "service": {"enabled": False}}), ["service.enabled=true"]),
    ("route without a host", merged(config(upstream={"url": "http://a:1"}), {"ingress": {"enabled": True}, "extraEnv": [{"name": "SAMLGATE_PUBLIC_URL", "value": "https://a.example.com"}]}),
     ["ingress.hosts"]),
    ("route without Gateway", merged(MINIMAL, {"httpRoute": {"enabled": True}}), ["parentRefs"]),
    ("sidecar of no pods", merged(SIDECAR, {"sidecar": {"podSelector": None}}), ["sidecar.podSelector"]),
    ("sidecar before another pod", merged(SIDECAR, config(upstream={"url": "http://app.default.svc:8000"})), ["mode: standalone"]),
    ("sidecar before a look-alike", merged(SIDECAR, config(upstream={"url": "http://localhost.example.com:8000"})), ["mode: standalone"]),
    ("sidecar with a budget", merged(SIDECAR, {"podDisruptionBudget": {"enabled": True}}), ["mode standalone"]),
    ("several problems at once", merged(MINIMAL, REDIS, {"replicas": 3, "httpRoute": {"enabled": True}}), ["encryption key", "headers.assertion.key", "parentRefs"]),
]
