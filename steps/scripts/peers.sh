#!/usr/bin/env bash
# peers.sh check|apply: what the nodes of one cluster may ask of each other, and nobody else of them.
#
# 6443 supervisor and API, 2379:2380 etcd, 10250 kubelet (tcp), 8472 flannel's VXLAN (udp): K3s' documentation,
# installation/requirements. The rules carry a mark, so that those of a peer that is gone are found and removed.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

MARK="comment 'relight-peer'"
LOCK=/run/relight-peers.lock

say() { printf 'peers.sh: %s\n' "$*" >&2; }
refuse() {
    say "$*"
    exit 10
}

read_input() {
    local peer
    [ -r "${RELIGHT_INPUT:-}" ] || refuse "RELIGHT_INPUT names no readable file"
    # shellcheck source=/dev/null
    . "$RELIGHT_INPUT"
    command -v ufw >/dev/null || refuse "ufw is not on this image: run harden.sh first and see what it says"
    others=()
    for peer in ${PEERS:-}; do
        peer=$(address "$peer")
        [ "$peer" = "$(address "${SELF:?}")" ] || others+=("$peer")
    done
}

# As ufw writes it. (ufw itself needs python3.)
address() {
    python3 -c 'import ipaddress, sys; print(ipaddress.ip_address(sys.argv[1]))' "$1" 2>/dev/null ||
        refuse "'$1' is no address: a peer is named by its address"
}

# As `ufw show added` prints them.
wanted() {
    local peer
    for peer in ${others[@]+"${others[@]}"}; do
        echo "ufw allow from $peer to any port 2379:2380,6443,10250 proto tcp $MARK"
        echo "ufw allow from $peer to any port 8472 proto udp $MARK"
    done | sort -u
}

added() { ufw show added | grep '^ufw ' | grep -F "$MARK" | sort || true; } # none is a finding too

# Rules of an inactive or flushed firewall protect nobody.
kernel() {
    local count
    count=$(grep -c '^-A ufw-user-input ' /etc/ufw/user.rules) || true # grep's status for none
    if [ "$(iptables -w 5 -S ufw-user-input 2>/dev/null | grep -c '^-A')" = "$count" ]; then
        echo as-in-files
    else
        echo differs
    fi
}

report() {
    local real kernel state=as-specified
    real=$(added)
    kernel=$(kernel)
    if [ "$real" != "$(wanted)" ] || [ "$kernel" != as-in-files ]; then
        state=differs
        [ -n "$real" ] || state=absent
    fi
    printf 'state=%s\ndigest=%s\n' "$state" "$(printf '%s\n%s\n' "$real" "$kernel" | sha256sum | cut -d' ' -f1)"
}

# Adds before it removes: a peer that stays is never cut off.
apply() {
    local rule words
    [ "$(sed -n 's/^ENABLED=//p' /etc/ufw/ufw.conf)" = yes ] || refuse "ufw is off: run harden.sh first"
    while read -r rule; do
        read -ra words <<<"${rule%% "$MARK"}"
        "${words[@]}" comment relight-peer </dev/null >/dev/null
    done < <(comm -23 <(wanted) <(added))
    while read -r rule; do
        read -ra words <<<"${rule%% "$MARK"}"
        ufw delete "${words[@]:1}" </dev/null >/dev/null
    done < <(comm -13 <(wanted) <(added))
    [ "$(kernel)" = as-in-files ] || ufw reload >/dev/null
}

verb=${1:-}
case $verb in
check) read_input ;;
apply)
    read_input
    exec 9>"$LOCK"
    flock -w 30 9 || { say "another peers.sh is at work"; exit 11; }
    apply
    ;;
*)
    say "unknown verb '$verb'; it knows check, apply"
    exit 2
    ;;
esac
report
