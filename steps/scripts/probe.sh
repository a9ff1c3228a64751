#!/usr/bin/env bash
# probe.sh check: what the node is, before anything is done to it. Reads only; see README.md for the keys.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

if [ "${1:-}" != check ]; then
    echo "probe.sh: unknown verb '${1:-}'; it knows check" >&2
    exit 2
fi

# cloud-init's words differ by version; its exit status says 1 for a fatal error and 2 for "done, with warnings".
cloud_init() {
    local text
    command -v cloud-init >/dev/null || { echo disabled; return; }
    text=$(timeout 5 cloud-init status 2>/dev/null) || [ -n "$text" ] || { echo running; return; }
    case $text in
    *"status: done"* | *"status: degraded"*) echo 'done' ;;
    *"status: error"*) echo error ;;
    *"status: disabled"*) echo disabled ;;
    *) echo running ;; # running, not started, not run
    esac
}

os() {
    # shellcheck source=/dev/null
    (. /etc/os-release && printf '%s-%s\n' "${ID:-linux}" "${VERSION_ID:-rolling}")
}

k3s() {
    if systemctl --quiet is-active k3s.service; then
        echo active
    elif [ -e /etc/systemd/system/k3s.service ] || [ -e /usr/local/bin/k3s ]; then
        echo inactive
    else
        echo absent
    fi
}

# The kernel's own flag, which every time daemon sets.
clock_synced() {
    case $(timeout 5 timedatectl show --property=NTPSynchronized --value 2>/dev/null) in
    yes) echo yes ;;
    *) echo no ;;
    esac
}

# The key that sshd shows to the network, not the one that lies on the disk.
served_key() {
    local port
    port=$(sshd -T 2>/dev/null | awk '$1 == "port" { print $2; exit }') || true # sshd without a config still has port 22
    ssh-keyscan -T 5 -t ed25519 -p "${port:-22}" 127.0.0.1 2>/dev/null |
        awk '$2 == "ssh-ed25519" && !n++ { print $2, $3 }' # newer ones mix comments in
}

# As hostkey.sh lays them: a prepared key is neither served nor retired.
next_key() {
    local served=$1 pub key
    for pub in /etc/ssh/relight/*/ssh_host_ed25519_key.pub; do
        if [ ! -e "$pub" ] || [ -e "${pub%/*}/retired" ]; then continue; fi
        key=$(awk '{ print $1, $2; exit }' "$pub")
        [ "$key" = "$served" ] || { echo "$key"; return; }
    done
}

served=$(served_key)
printf 'boot_id=%s\n' "$(cat /proc/sys/kernel/random/boot_id)"
printf 'cloud_init=%s\n' "$(cloud_init)"
printf 'os=%s\n' "$(os)"
printf 'k3s=%s\n' "$(k3s)"
printf 'clock_synced=%s\n' "$(clock_synced)"
printf 'host_key=%s\n' "$served"
printf 'next_host_key=%s\n' "$(next_key "$served")"
