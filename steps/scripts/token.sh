#!/usr/bin/env bash
# token.sh check: prints the token by which servers join this K3s cluster. It is a secret: whoever reads this output must not log it.
set -euo pipefail

# Source: docs.k3s.io, "k3s token", "Server".
FILE=/var/lib/rancher/k3s/server/token

if [ "${1:-}" != check ]; then
    echo "token.sh: unknown verb '${1:-}'; it knows check" >&2
    exit 2
fi
if [ ! -s "$FILE" ]; then
    echo "token.sh: there is no $FILE: K3s does not run here as a server, or keeps its data elsewhere" >&2
    exit 11
fi
cat "$FILE"
