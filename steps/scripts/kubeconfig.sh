#!/usr/bin/env bash
# kubeconfig.sh check: prints the admin kubeconfig that K3s made. It is a secret: whoever reads this output must not log it.
set -euo pipefail

FILE=/etc/rancher/k3s/k3s.yaml

if [ "${1:-}" != check ]; then
    echo "kubeconfig.sh: unknown verb '${1:-}'; it knows check" >&2
    exit 2
fi
if [ ! -s "$FILE" ]; then
    echo "kubeconfig.sh: K3s has not written $FILE yet: try again once k3s.sh says ready=yes" >&2
    exit 11
fi
cat "$FILE"
