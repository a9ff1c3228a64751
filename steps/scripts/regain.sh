#!/usr/bin/env bash
# regain.sh check|apply: for a run whose own files are lost, run as the operator. `check` tells whether KEY may log in, and the
# K3s token that the node was configured with: a secret, so whoever reads this output must not log it. `apply` lets KEY in;
# harden.sh takes the lost key out again.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

# JSON, as k3s.sh writes it.
CONFIG=/etc/rancher/k3s/config.yaml

refuse() {
    printf 'regain.sh: %s\n' "$*" >&2
    exit 10
}

read_input() {
    [ -r "${RELIGHT_INPUT:-}" ] || refuse "RELIGHT_INPUT names no readable file"
    # shellcheck source=/dev/null
    . "$RELIGHT_INPUT"
    local home
    home=$(getent passwd "${DEPLOY_USER:?}" | cut -d: -f6) || true # getent's status for nobody
    [ -n "$home" ] || refuse "there is no user $DEPLOY_USER: correct cloud.user"
    KEYS=$home/.ssh/authorized_keys
}

authorized() { [ -n "${KEY:-}" ] && [ -f "$KEYS" ] && grep -qxF -- "$KEY" "$KEYS"; }

token() {
    [ -s "$CONFIG" ] || return 0
    python3 -c '
import json, sys
try:
    print(json.load(open(sys.argv[1]))["token"])
except (ValueError, KeyError, TypeError):
    sys.exit(0)' "$CONFIG"
}

report() {
    printf 'authorized=%s\nk3s_token=%s\n' "$(if authorized; then echo yes; else echo no; fi)" "$(token)"
}

# The file as it will be, beside the old one: whoever logs in meanwhile finds one of both whole.
let_in() {
    ssh-keygen -l -f - <<<"${KEY:-}" >/dev/null 2>&1 || refuse "'${KEY:-}' is no public key"
    install -d -m 700 -o "$DEPLOY_USER" -g "$(id -gn "$DEPLOY_USER")" "${KEYS%/*}"
    { if [ -f "$KEYS" ]; then awk 1 "$KEYS"; fi; printf '%s\n' "$KEY"; } >"$KEYS.relight" # a last line gets its newline
    chown "$DEPLOY_USER:" "$KEYS.relight"
    chmod 600 "$KEYS.relight"
    mv "$KEYS.relight" "$KEYS"
}

case ${1:-} in
check) read_input ;;
apply)
    read_input
    authorized || let_in
    ;;
*)
    echo "regain.sh: unknown verb '${1:-}'; it knows check and apply" >&2
    exit 2
    ;;
esac
report
