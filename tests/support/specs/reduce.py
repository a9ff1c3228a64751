#!/usr/bin/env python3
"""Cuts an official OpenAPI description down to the paths that relight and its sandbox speak.

    reduce.py hetzner    <openapi.json> > hetzner.json      # https://docs.hetzner.cloud/cloud.spec.json
    reduce.py cloudflare <openapi.json> > cloudflare.json   # github.com/cloudflare/api-schemas, DNS and zones

For Hetzner one operation, which relight came to use later, is written by hand from the crate that is generated from the description
(added.json): `/primary_ips/{id}/actions/unassign`.

The input for Cloudflare (its public description of August 2024, trimmed) lacks three operations that relight uses. They are written
by hand from the official Python client 5.9.0, which Cloudflare generates from its description, and are NOT official text:
`dns_records/batch`, with the `relight_` components, is in the input already; `/accounts/{account_id}/tokens/verify` and
`/zones/{zone_id}/settings/ssl` come from added.json. Each keeps a mark, `added`, which says from what it was written.

Nothing is judged or corrected here but what JSON Schema cannot read: `nullable` becomes a type, status keys such as `4xx` become
`4XX`, prose and examples are dropped. Where the live API has moved on since the description was written, the tests patch it, with
the reason (tests/support/description.rs).
"""
import json
import os
import sys

PATHS = {
    "hetzner": [
        "/servers", "/servers/{id}", "/servers/{id}/actions", "/servers/{id}/actions/poweron",
        "/servers/{id}/actions/poweroff", "/servers/{id}/actions/reset", "/servers/{id}/actions/reboot",
        "/servers/{id}/actions/shutdown", "/servers/{id}/actions/rebuild", "/servers/{id}/actions/change_protection",
        "/actions", "/actions/{id}", "/ssh_keys", "/ssh_keys/{id}", "/networks", "/networks/{id}", "/firewalls",
        "/firewalls/{id}", "/firewalls/{id}/actions/set_rules", "/firewalls/{id}/actions/apply_to_resources",
        "/firewalls/{id}/actions/remove_from_resources", "/placement_groups", "/placement_groups/{id}", "/primary_ips",
        "/primary_ips/{id}", "/primary_ips/{id}/actions/unassign",
        "/server_types", "/server_types/{id}", "/locations", "/locations/{id}", "/images", "/images/{id}", "/pricing",
    ],
    "cloudflare": [
        "/user/tokens/verify", "/zones", "/zones/{zone_id}", "/zones/{zone_id}/dns_records",
        "/zones/{zone_id}/dns_records/{dns_record_id}", "/zones/{zone_id}/dns_records/batch",
        "/accounts/{account_id}/tokens/verify", "/zones/{zone_id}/settings/ssl",
    ],
}
METHODS = ["get", "post", "put", "patch", "delete"]
PROSE = {"description", "example", "examples", "summary", "title", "externalDocs", "deprecated", "default", "readOnly",
         "writeOnly", "discriminator"}


def schema(node):
    """A schema without prose; `nullable` as JSON Schema says it."""
    if isinstance(node, list):
        return [schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        if key == "properties":
            out[key] = {name: schema(one) for name, one in value.items()}
        elif key in ("required", "enum"):
            out[key] = value
        elif key not in PROSE and key != "nullable" and not key.startswith("x-"):
            out[key] = schema(value)
    if node.get("nullable"):
        if "enum" in out and None not in out["enum"]:
            out["enum"] = out["enum"] + [None]
        if "type" in out:
            out["type"] = [out["type"], "null"]
        else:
            out = {"anyOf": [out, {"type": "null"}]}
    return out


def body(content):
    media = next(iter((content or {}).values()), None)
    return schema(media["schema"]) if media and "schema" in media else None


def operation(op):
    responses = {}
    for status, response in op["responses"].items():
        responses[status.upper()] = body(response.get("content"))
    request = op.get("requestBody", {})
    query = {p["name"]: schema(p["schema"]) for p in op.get("parameters", []) if p.get("in") == "query"}
    reduced = {"query": query, "request": body(request.get("content")), "responses": responses}
    if "x-relight-added" in op:
        reduced["added"] = op["x-relight-added"]
    return reduced


def used(node, schemas, found):
    """Every component that a node refers to, and those that they refer to."""
    if isinstance(node, list):
        for one in node:
            used(one, schemas, found)
    elif isinstance(node, dict):
        name = node.get("$ref", "") if isinstance(node.get("$ref"), str) else ""
        name = name.rsplit("/", 1)[-1]
        if name and name not in found:
            found[name] = schema(schemas[name])
            used(found[name], schemas, found)
        for one in node.values():
            used(one, schemas, found)


def main():
    which, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        whole = json.load(file)
    with open(os.path.join(os.path.dirname(__file__), "added.json"), encoding="utf-8") as file:
        added = json.load(file).get(which, {}).get("paths", {})
    for path, methods in added.items():
        # What the description itself has one day is better than what was written by hand.
        whole["paths"].setdefault(path, methods)
    paths = {}
    for path in PATHS[which]:
        methods = whole["paths"][path]
        paths[path] = {method: operation(methods[method]) for method in METHODS if method in methods}
    found = {}
    used(paths, whole["components"]["schemas"], found)
    reduced = {"source": whole["info"], "paths": paths, "components": {"schemas": dict(sorted(found.items()))}}
    reduced["source"] = {key: whole["info"].get(key) for key in ("title", "version")}
    json.dump(reduced, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
