#!/usr/bin/env python3
"""Reduces Kubernetes' own OpenAPI description to the kinds that the example cluster uses.

    GOFLAGS=-mod=mod go mod download -json k8s.io/kubernetes@v1.34.4      # prints "Dir"
    tests/support/reduce_openapi.py DIR/api/openapi-spec/swagger.json > tests/support/kubernetes-v1.34.4.schema.json

What is kept: the definitions of KINDS and everything they point at, as a JSON Schema. What is changed: descriptions and
`x-kubernetes-*` (but the group, version and kind) are dropped; `int-or-string` becomes what it means; properties that are
not described are forbidden, so that a misspelt field is found, except in maps; null is not allowed, as in a strict apply.
"""
import json
import sys

KINDS = [
    ("", "v1", "ConfigMap"), ("", "v1", "Namespace"), ("", "v1", "PersistentVolumeClaim"), ("", "v1", "Service"),
    ("", "v1", "ServiceAccount"), ("apps", "v1", "Deployment"), ("networking.k8s.io", "v1", "Ingress"),
    ("networking.k8s.io", "v1", "NetworkPolicy"), ("policy", "v1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io", "v1", "Role"), ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
]
DEFINITIONS = "#/definitions/"


def reduce(node, wanted):
    if isinstance(node, list):
        return [reduce(item, wanted) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        wanted.append(node["$ref"].removeprefix(DEFINITIONS))
        return {"$ref": node["$ref"]}
    if node.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    out = {}
    for key, value in node.items():
        if key in ("description", "default", "format") or key.startswith("x-kubernetes"):
            continue
        out[key] = {k: reduce(v, wanted) for k, v in value.items()} if key == "properties" else reduce(value, wanted)
    if "properties" in out and "additionalProperties" not in out:
        out["additionalProperties"] = False
    return out


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        api = json.load(file)
    source, kinds, wanted = api["definitions"], {}, []
    for name, definition in source.items():
        for gvk in definition.get("x-kubernetes-group-version-kind", []):
            if (gvk["group"], gvk["version"], gvk["kind"]) in KINDS:
                version = "/".join(part for part in (gvk["group"], gvk["version"]) if part)
                kinds[f"{version} {gvk['kind']}"] = name
                wanted.append(name)
    missing = len(KINDS) - len(kinds)
    if missing:
        sys.exit(f"{missing} kinds are not in this description")
    definitions = {}
    while wanted:
        name = wanted.pop()
        if name not in definitions:
            definitions[name] = reduce(source[name], wanted)
    # A quantity is written as a text or a number: 1, 0.5, 500m.
    for name in definitions:
        if name.endswith("resource.Quantity"):
            definitions[name] = {"type": ["string", "number"]}
    result = {
        "source": "Go module k8s.io/kubernetes@v1.34.4, api/openapi-spec/swagger.json, Apache-2.0, "
        "reduced by tests/support/reduce_openapi.py",
        "kinds": kinds,
        "definitions": definitions,
    }
    json.dump(result, sys.stdout, indent=1, sort_keys=True)
    print()


main()
