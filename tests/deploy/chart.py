"""Rendering the chart, and what a schema can't see in the result."""

import subprocess
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "samlgate"


class Refused(Exception):
    """helm wouldn't render these values."""


def render(*files, values=None, chart=CHART, kube="1.34.0", arguments=()):
    """The objects that `helm template` makes of values files and of `values`, a dict."""
    command = ["helm", "template", "sg", str(chart), "--kube-version", kube, *arguments]
    for file in files:
        command += ["-f", str(file)]
    if values is not None:
        command += ["-f", "-"]
    done = subprocess.run(command, input=yaml.safe_dump(values, allow_unicode=True) if values is not None else None, capture_output=True, text=True)
    if done.returncode:
        raise Refused(done.stderr)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def one(objects, kind, name=None):
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects of kind {kind} {name or ''}"
    return found[0]


def config_of(objects):
    """samlgate.toml, read by a TOML parser."""
    for o in objects:
        if o["kind"] == "ConfigMap" and "samlgate.toml" in o["data"]:
            return tomllib.loads(o["data"]["samlgate.toml"])
    raise AssertionError("no ConfigMap with samlgate.toml")


def same(given, written, at="config"):
    """Every value of the values file arrived, with its type; the chart's own additions are allowed."""
    if isinstance(given, dict):
        assert isinstance(written, dict), f"{at} isn't a table"
        for key, value in given.items():
            assert key in written, f"{at}.{key} is lost"
            same(value, written[key], f"{at}.{key}")
    elif isinstance(given, list):
        assert isinstance(written, list) and len(given) == len(written), f"{at} isn't the same list"
        for i, value in enumerate(given):
            same(value, written[i], f"{at}[{i}]")
    else:
        assert type(given) is type(written) and given == written, f"{at}: {given!r} became {written!r}"


def check_container(container, volumes):
    """Hardened, probed where it listens, and every mount has its volume."""
    security = container["securityContext"]
    assert security["runAsNonRoot"] and security["runAsUser"] == 65532 and security["readOnlyRootFilesystem"]
    assert security["allowPrivilegeEscalation"] is False and security["privileged"] is False
    assert security["capabilities"] == {"drop": ["ALL"]} and security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"]
    names = [volume["name"] for volume in volumes]
    assert len(set(names)) == len(names), f"a volume twice: {names}"
    for mount in container["volumeMounts"]:
        assert mount["name"] in names, f"no volume for the mount {mount['name']}"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert all(len(name) <= 15 for name in ports)
    for probe in ("readinessProbe", "livenessProbe"):
        action = container[probe].get("httpGet") or container[probe].get("tcpSocket")
        assert action is None or action["port"] in ports, f"{probe} asks an unknown port"
    return ports


def check_release(objects):
    """What belongs together fits together."""
    seen = set()
    for o in objects:
        key = o["kind"], o["metadata"]["name"]
        assert key not in seen, f"{key} twice"
        seen.add(key)
        assert len(o["metadata"]["name"]) <= 63
    config = config_of(objects)
    http = int(config["listen"]["address"].rsplit(":", 1)[1])
    if any(o["kind"] == "Deployment" for o in objects):
        pod = one(objects, "Deployment")["spec"]["template"]
        labels = pod["metadata"]["labels"]
        assert pod["spec"]["automountServiceAccountToken"] is False and pod["spec"]["enableServiceLinks"] is False
        assert one(objects, "Deployment")["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert one(objects, "ServiceAccount")["metadata"]["name"] == pod["spec"]["serviceAccountName"]
    else:
        patch = next(o for o in objects if o["metadata"]["name"].endswith("-patch"))
        pod = yaml.safe_load(patch["data"]["patch.yaml"])["spec"]["template"]
        labels = None
    (container,) = pod["spec"].get("containers") or pod["spec"]["initContainers"]
    ports = check_container(container, pod["spec"]["volumes"])
    assert ports["samlgate"] == http
    for o in objects:
        if o["kind"] == "Service":
            assert labels is None or o["spec"]["selector"].items() <= labels.items()
            assert {port["targetPort"] for port in o["spec"]["ports"]} <= ports.keys(), "the Service leads to an unknown port"
            assert "samlgate-ops" not in {port["targetPort"] for port in o["spec"]["ports"]}, "the ops port is in a Service"
        if o["kind"] == "NetworkPolicy":
            open_to_all = [port["port"] for rule in o["spec"]["ingress"] if "from" not in rule for port in rule["ports"]]
            assert open_to_all == [http], f"open to everyone: {open_to_all}"
