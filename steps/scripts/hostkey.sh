#!/usr/bin/env bash
# hostkey.sh check|prepare|rotate: replaces the host key that came by user_data (which the metadata service shows to anyone
# on the node) with one that was made on the node.
#
# Each key has a directory of its own under /etc/ssh/relight; sshd's drop-in names the one in use, so that the change is one
# rename. A kill at any point leaves either the old or the new key served, and a second run finishes.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

KEYS=/etc/ssh/relight
DROPIN=/etc/ssh/sshd_config.d/00-relight-hostkey.conf
LOCK=/run/relight-hostkey.lock

say() { printf 'hostkey.sh: %s\n' "$*" >&2; }
refuse() {
    say "$*"
    exit 10
}

served_key() {
    local port
    port=$(sshd -T 2>/dev/null | awk '$1 == "port" { print $2; exit }') || true # sshd without a config still has port 22
    ssh-keyscan -T 5 -t ed25519 -p "${port:-22}" 127.0.0.1 2>/dev/null |
        awk '$2 == "ssh-ed25519" && !n++ { print $2, $3 }' # newer ones mix comments in
}

# The directory of the key with this public part; nothing where there is none.
home_of() {
    local pub
    for pub in "$KEYS"/*/ssh_host_ed25519_key.pub; do
        [ -e "$pub" ] && [ "$(awk '{ print $1, $2; exit }' "$pub")" = "$1" ] && { echo "${pub%/*}"; return; }
    done
    return 0
}

next_key() {
    local served=$1 pub key
    for pub in "$KEYS"/*/ssh_host_ed25519_key.pub; do
        if [ ! -e "$pub" ] || [ -e "${pub%/*}/retired" ]; then continue; fi
        key=$(awk '{ print $1, $2; exit }' "$pub")
        [ "$key" = "$served" ] || { echo "$key"; return; }
    done
}

report() {
    local served
    served=$(served_key)
    printf 'host_key=%s\n' "$served"
    printf 'next_host_key=%s\n' "$(next_key "$served")"
}

prepare() {
    local fresh
    [ -z "$(next_key "$(served_key)")" ] || return 0
    install -d -m 0700 "$KEYS"
    rm -rf "$KEYS"/.new.*
    fresh=$(mktemp -d "$KEYS/.new.XXXXXX")
    ssh-keygen -q -t ed25519 -N '' -C "$(hostname)" -f "$fresh/ssh_host_ed25519_key"
    sync "$fresh"/*
    mv "$fresh" "$KEYS/$(date +%s)-${fresh##*.}" # both halves of the key appear at once
}

# sshd reads its drop-ins in order and keeps every HostKey it meets: with any HostKey line its defaults are gone.
point_at() {
    local temp
    temp=$(mktemp "${DROPIN%/*}/.relight.XXXXXX")
    printf '# by relight: the one host key, made on this node\nHostKey %s\nHostKeyAlgorithms ssh-ed25519\n' \
        "$1/ssh_host_ed25519_key" >"$temp"
    chmod 0644 "$temp"
    sync "$temp"
    mv "$temp" "$DROPIN"
}

# Where systemd holds port 22 (ssh.socket: Ubuntu's way), a SIGHUP makes sshd exit because it cannot bind it again (seen on
# Debian 13). There it is restarted, which loses nothing: the socket stays, sessions are processes of their own. A restart
# counts against the unit's start limit, and a unit over it takes its socket down: hence reset-failed.
reload_sshd() {
    if systemctl --quiet is-active ssh.socket; then
        systemctl reset-failed ssh.service
        systemctl try-restart ssh.service
    else
        systemctl try-reload-or-restart ssh.service
    fi
}

# A reload is over when the new listener answers; ten seconds are far more than it takes.
wait_until_served() {
    local until=$((SECONDS + 10))
    while [ "$(served_key)" != "$1" ]; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.2
    done
}

rotate() {
    local home old
    [ -n "${NEXT:-}" ] || refuse "NEXT is empty: give the public key that 'prepare' printed"
    home=$(home_of "$NEXT")
    [ -n "$home" ] || refuse "the node has no prepared key '$NEXT': run 'prepare' and journal the key it prints"
    if [ "$(served_key)" != "$NEXT" ]; then
        old=$(home_of "$(served_key)")
        [ -z "$old" ] || touch "$old/retired"
        rm -f "$home/retired"
        point_at "$home"
        if ! sshd -t || ! reload_sshd || ! wait_until_served "$NEXT"; then
            if [ -n "$old" ]; then
                rm -f "$old/retired"
                point_at "$old"
            else
                rm -f "$DROPIN" # sshd's defaults: the keys of cloud-init are still there
            fi
            reload_sshd || say "sshd did not reload the old key either"
            refuse "sshd does not serve the new key; the old one is in place again. See 'sshd -t' and 'journalctl -u ssh'"
        fi
    fi
    [ "$(sshd -T | grep -c '^hostkey ')" = 1 ] || refuse "a HostKey line elsewhere in /etc/ssh adds another key: remove it"
    # Only now: until here the old key was the way back.
    rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
    for old in "$KEYS"/* "$KEYS"/.new.*; do
        [ "$old" = "$home" ] || rm -rf "$old"
    done
}

verb=${1:-}
if [ -n "${RELIGHT_INPUT:-}" ]; then
    # shellcheck source=/dev/null
    . "$RELIGHT_INPUT"
fi
case $verb in
check) ;;
prepare | rotate)
    exec 9>"$LOCK"
    flock -w 30 9 || { say "another hostkey.sh is at work"; exit 11; }
    "$verb"
    ;;
*)
    say "unknown verb '$verb'; it knows check, prepare, rotate"
    exit 2
    ;;
esac
report
