#!/usr/bin/env bash
# late.sh check|apply: what is good to have, needs a package mirror, and may come after the cluster serves again: fail2ban
# for sshd, and security updates that never reboot by themselves (a reboot is drained and one node at a time).
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive

PACKAGES=(fail2ban python3-systemd unattended-upgrades)
LOCK=/run/relight-late.lock

say() { printf 'late.sh: %s\n' "$*" >&2; }

if [ -n "${RELIGHT_INPUT:-}" ]; then
    # shellcheck source=/dev/null
    . "$RELIGHT_INPUT"
fi

# sorts after 50unattended-upgrades, whose values it overrides
upgrades_text() {
    cat <<TEXT
// by relight
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Automatic-Reboot "${AUTO_REBOOT:-false}";
TEXT
}

# The journal, because not every image writes auth.log. Ten tries: passwords are off, so this is against noise, and an
# operator whose agent offers many keys is not to be the one who is shut out.
jail_text() { printf '# by relight\n[sshd]\nenabled = true\nbackend = systemd\nmaxretry = 10\nbantime = 10m\n'; }

files() {
    cat <<LIST
/etc/apt/apt.conf.d/52relight-upgrades upgrades_text
/etc/fail2ban/jail.d/relight.conf jail_text
LIST
}

missing() {
    local package
    for package in "${PACKAGES[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
    done
}

same() { [ -f "$1" ] && "$2" | cmp -s - "$1"; }

state() {
    local path text service found=0
    while read -r path text; do
        if same "$path" "$text"; then found=$((found + 1)); fi
    done < <(files)
    for service in fail2ban unattended-upgrades; do
        if systemctl --quiet is-active "$service.service"; then found=$((found + 1)); fi
    done
    if [ "$found" = 4 ] && [ -z "$(missing)" ]; then
        echo as-specified
    elif [ ! -e /etc/fail2ban/jail.d/relight.conf ] && [ ! -e /etc/apt/apt.conf.d/52relight-upgrades ]; then
        echo absent
    else
        echo differs
    fi
}

# write PATH <text
write() {
    local temp
    mkdir -p "${1%/*}"
    temp=$(mktemp -p "${1%/*}" .relight.XXXXXX)
    cat >"$temp"
    chmod 0644 "$temp"
    sync "$temp"
    mv "$temp" "$1"
}

apt() {
    timeout 300 apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=1 -o Acquire::http::Timeout=15 \
        -o Acquire::https::Timeout=15 -o APT::Update::Error-Mode=any \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" >&2
}

apply() {
    local path text wanting changed=no
    wanting=$(missing)
    if [ -n "$wanting" ]; then
        # shellcheck disable=SC2086 # a list of package names
        if ! apt update || ! apt install --no-install-recommends $wanting; then
            say "apt could not install $wanting(a lock, or no package mirror): it can be tried again at any time"
            exit 11
        fi
    fi
    while read -r path text; do
        if same "$path" "$text"; then continue; fi
        "$text" | write "$path"
        changed=yes
    done < <(files)
    systemctl --quiet enable --now unattended-upgrades.service fail2ban.service
    if [ "$changed" = yes ]; then systemctl restart fail2ban.service; fi
}

case ${1:-} in
check) ;;
apply)
    exec 9>"$LOCK"
    flock -w 30 9 || { say "another late.sh is at work"; exit 11; }
    apply 9>&-
    ;;
*)
    say "unknown verb '${1:-}'; it knows check, apply"
    exit 2
    ;;
esac
printf 'state=%s\n' "$(state)"
