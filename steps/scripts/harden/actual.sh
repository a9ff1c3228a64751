# shellcheck shell=bash
# What a node is, in the same lines, and how the two are compared. A part of harden.sh, which holds the names in capitals.
# shellcheck disable=SC2153 # they are set there

digest() { sha256sum | cut -d' ' -f1; }

actual() {
    local path owner line
    while read -r path _; do actual_file "$path"; done < <(files)
    printf 'user %s %s\n' "$DEPLOY_USER" "$(getent passwd "$DEPLOY_USER" >/dev/null && echo present || echo absent)"
    while read -r line _; do printf 'sysctl %s = %s\n' "$line" "$(sysctl -n "$line" 2>/dev/null)"; done \
        < <(sysctl_text | grep -v '^#')
    printf 'swap %s\n' "$(swap_state)"
    printf 'time %s\n' "$(time_state)"
    printf 'metadata %s\n' "$(metadata_state)"
    printf 'spec %s\n' "$(cat "$STATE/spec" 2>/dev/null)"
    if [ -e "$UNFINISHED" ]; then echo 'apply unfinished'; else echo 'apply finished'; fi
    if [ -f "$KEYS" ]; then
        owner=$(stat -c '%a %U' "$KEYS")
        printf 'access keys %s %s\n' "$owner" "$(digest <"$KEYS")"
    fi
    actual_file "$SSHD" 'access '
    actual_sshd root
    actual_sshd "$DEPLOY_USER"
    actual_ufw
}

actual_file() {
    [ -f "$1" ] || return 0
    printf '%sfile %s %s %s\n' "${2:-}" "$1" "$(stat -c '%a %u:%g' "$1")" "$(digest <"$1")"
}

# What sshd makes of all its files, asked of sshd itself, per user because of Match blocks.
actual_sshd() {
    sshd -T -C "user=$1,host=localhost,addr=127.0.0.1" 2>/dev/null | sort |
        grep -xf <(sshd_text | grep -v '^#' | awk '{ print tolower($1) " .*" }') | sed "s/^/access sshd $1 /" ||
        printf 'access sshd %s unreadable\n' "$1"
}

swap_state() {
    if [ "$(wc -l </proc/swaps)" -gt 1 ]; then
        echo on
    elif awk '$1 !~ /^#/ && $3 == "swap" { found = 1 } END { exit !found }' /etc/fstab 2>/dev/null; then
        echo on-at-boot
    else
        echo off
    fi
}

# The time daemon that is enabled and either runs or was left out by its own condition (a container has its host's clock).
time_daemon() {
    local unit
    for unit in systemd-timesyncd chrony ntpsec openntpd; do
        if systemctl --quiet is-enabled "$unit.service" 2>/dev/null; then
            echo "$unit.service"
            return
        fi
    done
}

time_state() {
    local unit
    unit=$(time_daemon)
    case ${unit:+$(systemctl show -p ActiveState -p ConditionResult --value "$unit" | paste -sd' ')} in
    'active '* | 'inactive no') echo on ;;
    *) echo off ;;
    esac
}

metadata_state() {
    if systemctl --quiet is-enabled "$METADATA" 2>/dev/null && iptables -w 5 -t mangle -C "${CLOSED[@]}" 2>/dev/null; then
        echo closed
    else
        echo open
    fi
}

actual_ufw() {
    local name key
    printf 'access ufw enabled %s\n' "$(sed -n 's/^ENABLED=//p' /etc/ufw/ufw.conf)"
    for name in ipv6:IPV6 input:DEFAULT_INPUT_POLICY output:DEFAULT_OUTPUT_POLICY forward:DEFAULT_FORWARD_POLICY; do
        key=${name#*:}
        printf 'access ufw %s %s\n' "${name%%:*}" "$(sed -n "s/^$key=//p" /etc/default/ufw | tr -d '"')"
    done
    printf 'access ufw kernel %s\n' "$(ufw_kernel)"
    ufw_added | sed 's/^ufw/access ufw rule/'
}

# All rules but those of peers.sh.
ufw_added() { ufw show added | grep '^ufw ' | grep -v "comment 'relight-peer'" | sort || true; } # none is a finding too

# Whether the kernel has as many rules as the files, and the policy: a flush behind ufw's back leaves the files as they were.
ufw_kernel() {
    local tool file chain count
    for tool in iptables:/etc/ufw/user.rules:ufw-user- ip6tables:/etc/ufw/user6.rules:ufw6-user-; do
        IFS=: read -r tool file chain <<<"$tool"
        [ "$("$tool" -w 5 -S INPUT 2>/dev/null | head -n 1)" = '-P INPUT DROP' ] || { echo "differs: $tool policy"; return; }
        for chain in "${chain}input" "${chain}forward"; do
            count=$(grep -c "^-A $chain " "$file") || true # grep's status for none
            [ "$("$tool" -w 5 -S "$chain" 2>/dev/null | grep -c '^-A')" = "$count" ] || { echo "differs: $chain"; return; }
        done
    done
    echo as-in-files
}

# Sets `real` and `differences` (unified, without what is equal).
look() {
    real=$(actual | sort)
    differences=$(diff <(wanted | sort) <(printf '%s\n' "$real") | grep '^[<>]') || true # diff's status for a difference
}

report() {
    local state=differs
    if [ -z "$differences" ]; then
        if armed; then state=armed; else state=as-specified; fi
    elif [ ! -e "$SSHD" ] && [ ! -e /etc/sudoers.d/95-relight ]; then
        state=absent
    fi
    printf 'state=%s\ndigest=%s\n' "$state" "$(printf '%s\n' "$real" | digest)"
    [ -z "$differences" ] || printf 'why=%s\n' "$(printf '%s\n' "$differences" | head -n 3 | paste -sd';' | cut -c1-400)"
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
