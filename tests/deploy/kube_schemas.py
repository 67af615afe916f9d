"""JSON schemas for kubeconform, one file for each kind, made from what the Go modules of Kubernetes and of CRDs ship.

    python kube_schemas.py OUT SOURCE...

A source is Kubernetes' swagger.json or a CustomResourceDefinition in YAML or JSON. Stricter than the API server in one
respect: a null is refused, as no template of ours should leave one behind.
"""

import json
import sys
from pathlib import Path

import yaml

# Types whose JSON isn't what the description of their Go type says.
FREE_FORM = {"RawExtension": {}, "JSON": {}, "FieldsV1": {"type": "object"}, "Time": {"type": "string"}, "MicroTime": {"type": "string"}}
SCALARS = {"Quantity", "IntOrString"}
CONSTRAINTS = ("enum", "minimum", "maximum", "pattern", "minLength", "maxLength", "minItems", "maxItems", "required")


def closed(node, types, above=()):
    """`node` with every reference written out and every object limited to the fields that it names."""
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[-1]
        short = name.rsplit(".", 1)[-1]
        if short in SCALARS:
            return {"type": ["string", "number"]}
        if short in FREE_FORM:
            return FREE_FORM[short]
        if name in above:  # only schemas of schemas contain themselves
            return {}
        return closed(types[name], types, (*above, name))
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    result = {key: node[key] for key in CONSTRAINTS if key in node}
    if "type" in node:
        result["type"] = node["type"]
    if "items" in node:
        result["items"] = closed(node["items"], types, above)
    if "properties" in node:
        result["properties"] = {name: closed(field, types, above) for name, field in node["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            result["additionalProperties"] = False
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = closed(node["additionalProperties"], types, above)
    return result


def kinds_of_swagger(swagger):
    types = swagger["definitions"]
    for name, node in types.items():
        for kind in node.get("x-kubernetes-group-version-kind", []):
            if "metadata" in node.get("properties", {}) and not kind["kind"].endswith("List"):
                yield kind["group"], kind["version"], kind["kind"], closed(node, types, (name,))


def kinds_of_crd(crd):
    spec = crd["spec"]
    for version in spec["versions"]:
        schema = closed(version["schema"]["openAPIV3Schema"], {})
        schema["properties"]["metadata"] = {"type": "object"}
        yield spec["group"], version["name"], spec["names"]["kind"], schema


def main(out, *sources):
    Path(out).mkdir(parents=True, exist_ok=True)
    for source in sources:
        text = Path(source).read_text()
        content = json.loads(text) if text.startswith("{") else yaml.safe_load(text)
        written = 0
        for group, version, kind, schema in (kinds_of_swagger if "definitions" in content else kinds_of_crd)(content):
            schema["properties"]["kind"] = {"const": kind}
            schema["properties"]["apiVersion"] = {"const": f"{group}/{version}" if group else version}
            schema["required"] = sorted({"apiVersion", "kind", "metadata", *schema.get("required", [])})
            parts = [kind, *([group.split(".")[0]] if group else []), version]
            Path(out, "-".join(parts).lower() + ".json").write_text(json.dumps(schema))
            written += 1
        print(f"{Path(source).name}: {written} kinds")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
