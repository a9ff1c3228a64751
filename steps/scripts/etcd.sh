#!/usr/bin/env bash
# etcd.sh check: the members of etcd, asked of the local gRPC gateway (K3s ships no etcdctl) with K3s' own certificates.
#
# The question is a linearizable one: without a quorum there is no answer, rather than an old one.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

TLS=/var/lib/rancher/k3s/server/tls/etcd
# What K3s itself goes by. Source: k3s pkg/etcd/etcd.go, IsInitialized.
WAL=/var/lib/rancher/k3s/server/db/etcd/member/wal
URL=https://127.0.0.1:2382/v3/cluster/member/list

if [ "${1:-}" != check ]; then
    echo "etcd.sh: unknown verb '${1:-}'; it knows check" >&2
    exit 2
fi

if [ -d "$WAL" ]; then echo datastore=yes; else echo datastore=no; fi

nothing() {
    printf 'voters=0\nlearners=0\nmembers=\nwhy=%s\n' "$1"
    exit 0
}

[ -r "$TLS/client.key" ] || nothing "K3s has made no etcd certificates yet"
reply=$(curl --silent --show-error --fail --connect-timeout 2 --max-time 5 --noproxy '*' \
    --cacert "$TLS/server-ca.crt" --cert "$TLS/client.crt" --key "$TLS/client.key" \
    --data '{"linearizable":true}' "$URL" 2>&1) || nothing "etcd does not answer: $(head -n 1 <<<"$reply" | cut -c1-200)"

python3 -c '
import json, sys
try:
    members = json.load(sys.stdin)["members"]
except (ValueError, KeyError, TypeError):
    print("voters=0\nlearners=0\nmembers=\nwhy=etcd answered something that is no member list")
    sys.exit(0)
kinds = [(m.get("name") or "unstarted", "learner" if m.get("isLearner") else "voter") for m in members]
print("voters=%d" % sum(kind == "voter" for _, kind in kinds))
print("learners=%d" % sum(kind == "learner" for _, kind in kinds))
print("members=" + ",".join("%s:%s" % member for member in sorted(kinds)))
' <<<"$reply"
