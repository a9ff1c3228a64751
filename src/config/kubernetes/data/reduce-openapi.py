#!/usr/bin/env python3
"""Makes openapi.json, by which manifests are judged and which the sandbox serves, from Kubernetes' own description.

Source: api/openapi-spec/v3/*_openapi.json of the Go module k8s.io/kubernetes v1.34.4 (Apache-2.0):

    go mod download -json k8s.io/kubernetes@v1.34.4      # prints the directory
    python3 reduce-openapi.py <directory> > openapi.json

Kept: the schemas reachable from the kinds named below, with types, references, defaults, required fields and the
x-kubernetes-* words that say how lists and maps are merged. Left out: descriptions, formats, paths.
"""
import json, pathlib, sys

KINDS = {
    "api__v1": "Namespace Node Pod Service Endpoints ConfigMap Secret ServiceAccount PersistentVolume "
               "PersistentVolumeClaim Event ResourceQuota LimitRange ReplicationController",
    "apis__apps__v1": "Deployment ReplicaSet DaemonSet StatefulSet ControllerRevision",
    "apis__batch__v1": "Job CronJob",
    "apis__networking.k8s.io__v1": "Ingress NetworkPolicy IngressClass",
    "apis__policy__v1": "PodDisruptionBudget",
    "apis__rbac.authorization.k8s.io__v1": "Role RoleBinding ClusterRole ClusterRoleBinding",
    "apis__storage.k8s.io__v1": "StorageClass",
    "apis__discovery.k8s.io__v1": "EndpointSlice",
    "apis__scheduling.k8s.io__v1": "PriorityClass",
    "apis__coordination.k8s.io__v1": "Lease",
    "apis__autoscaling__v2": "HorizontalPodAutoscaler",
    "apis__apiextensions.k8s.io__v1": "CustomResourceDefinition",
}
KEPT = {"$ref", "allOf", "oneOf", "type", "items", "properties", "additionalProperties", "required", "default", "enum",
        "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-patch-strategy",
        "x-kubernetes-patch-merge-key", "x-kubernetes-group-version-kind", "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields", "x-kubernetes-unions"}


def reduce(node):
    if isinstance(node, list):
        return [reduce(n) for n in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        if key not in KEPT:
            continue
        if key == "properties":
            out[key] = {name: reduce(schema) for name, schema in value.items()}
        elif key == "default":
            out[key] = value
        else:
            out[key] = reduce(value) if key != "x-kubernetes-group-version-kind" else value
    # The official form wraps references as allOf with one element.
    if list(out.get("allOf", [])) and len(out["allOf"]) == 1:
        one = out.pop("allOf")[0]
        out.update({k: v for k, v in one.items() if k not in out})
    return out


def references(node):
    if isinstance(node, list):
        for n in node:
            yield from references(n)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):  # a schema may also describe a field of that name
                yield value.rsplit("/", 1)[-1]
            else:
                yield from references(value)


def main(root):
    schemas, kept = {}, {}
    for stem, kinds in KINDS.items():
        document = json.loads((pathlib.Path(root) / "api/openapi-spec/v3" / f"{stem}_openapi.json").read_text())
        for name, schema in document["components"]["schemas"].items():
            schemas.setdefault(name, reduce(schema))
        group, version = ("", stem.split("__")[1]) if stem.startswith("api__") else stem.split("__")[1:]
        for kind in kinds.split():
            wanted = {"group": group, "version": version, "kind": kind}
            todo = [n for n, s in schemas.items() if s.get("x-kubernetes-group-version-kind") == [wanted]]
            if len(todo) != 1:
                sys.exit(f"{wanted} is described {len(todo)} times")
            while todo:
                name = todo.pop()
                if name not in kept:
                    kept[name] = schemas[name]
                    todo += references(schemas[name])
    # ObjectMeta and ListMeta are shared by a hundred kinds; only the roots keep their group, version and kind.
    for name, schema in kept.items():
        gvk = schema.get("x-kubernetes-group-version-kind", [])
        if len(gvk) != 1:
            schema.pop("x-kubernetes-group-version-kind", None)
    print(json.dumps({"source": "k8s.io/kubernetes v1.34.4 api/openapi-spec/v3, by reduce-openapi.py",
                      "schemas": dict(sorted(kept.items()))}, separators=(",", ":"), sort_keys=True))


main(sys.argv[1])
