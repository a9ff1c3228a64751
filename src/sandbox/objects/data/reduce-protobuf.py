#!/usr/bin/env python3
"""Makes protobuf.json: field numbers, names and types of the messages that clients send for the kinds in openapi.json.

kubectl writes what it makes itself (`create namespace`, `create deployment`) as protobuf and takes no other answer.

Source: generated.proto of the Go modules k8s.io/api v0.34.4 and k8s.io/apimachinery v0.34.4 (Apache-2.0):

    go mod download -json k8s.io/api@v0.34.4 k8s.io/apimachinery@v0.34.4      # prints the directories
    python3 reduce-protobuf.py <api directory> <apimachinery directory> > protobuf.json
"""
import json, pathlib, re, sys

EXTRA = ["k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions", "k8s.io.api.policy.v1.Eviction"]
SCALARS = {"string", "int32", "int64", "bool", "bytes", "double"}
FIELD = re.compile(r"^\s*(?:(optional|repeated) (\S+)|(map)<string, (\S+)>) (\w+) = (\d+);", re.M)

messages = {}
for root in sys.argv[1:]:
    for path in pathlib.Path(root).rglob("generated.proto"):
        text = "\n".join(l for l in path.read_text().splitlines() if not l.strip().startswith("//"))
        package = re.search(r"^package (\S+);", text, re.M).group(1)
        for name, body in re.findall(r"^message (\w+) \{\n(.*?)^\}", text, re.M | re.S):
            fields = {}
            for label, plain, is_map, value, field, number in FIELD.findall(body):
                kind = plain or value
                if kind not in SCALARS:
                    kind = kind[1:] if kind.startswith(".") else f"{package}.{kind}"
                fields[number] = [field, kind, is_map or label]
            messages[f"{package}.{name}"] = fields

here = pathlib.Path(__file__).parent
schemas = json.loads((here / "../../../config/kubernetes/data/openapi.json").read_text())["schemas"]
todo = EXTRA + [n.replace("io.k8s.", "k8s.io.", 1) for n, s in schemas.items() if "x-kubernetes-group-version-kind" in s]
kept = {}
while todo:
    name = todo.pop()
    if name in kept or name not in messages:
        continue
    # What the server alone writes is never sent to create something.
    kept[name] = {n: f for n, f in messages[name].items() if f[0] not in ("managedFields", "status") and f[0] != "ephemeralContainers"}
    todo += [f[1] for f in kept[name].values() if f[1] not in SCALARS]
print(json.dumps({"source": "k8s.io/api and k8s.io/apimachinery v0.34.4 generated.proto, by reduce-protobuf.py", "messages": kept},
                 separators=(",", ":"), sort_keys=True))
