#!/usr/bin/env bash
# harden.sh check|apply|confirm|revert: a node that only the declared keys can enter, by declared ports alone.
#
# The wanted state and the real one are each a list of lines; `check` compares them, and the digest is of the real one.
# What could lock people out (keys, sshd, ufw) is changed only while a timer is armed that takes it back: `confirm`, called
# over a new connection, disarms it. The timer is a unit on disk, so it survives a kill and a reboot. Needs no network.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

STATE=/var/lib/relight/harden
SAVED=$STATE/saved            # the files as they were before an unconfirmed change; complete or absent
UNFINISHED=$STATE/unfinished  # there while an apply is under way: reloads it may have missed are done again
LOCK=/run/relight-harden.lock
TIMER=relight-revert.timer
REVERT=relight-revert.service
METADATA=relight-metadata.service
SSHD=/etc/ssh/sshd_config.d/00-relight.conf # sshd keeps the first value it reads: sorts before 50-cloud-init.conf
UFW_FILES=(/etc/ufw/user.rules /etc/ufw/user6.rules /etc/ufw/ufw.conf /etc/default/ufw)
CLOSED=(FORWARD -d 169.254.169.254/32 -j DROP) # what no forwarded packet may reach; in table mangle

say() { printf 'harden.sh: %s\n' "$*" >&2; }
refuse() {
    say "$*"
    exit 10
}

# ---- what is wanted ------------------------------------------------------------------------------------------------

read_input() {
    [ -r "${RELIGHT_INPUT:-}" ] || refuse "RELIGHT_INPUT names no readable file"
    # shellcheck source=/dev/null
    . "$RELIGHT_INPUT"
    [[ ${DEPLOY_USER:-} =~ ^[a-z_][a-z0-9_-]{0,31}$ && $DEPLOY_USER != root ]] ||
        refuse "DEPLOY_USER '${DEPLOY_USER:-}' is not a plain user name: correct cloud.user"
    [[ ${AUTHORIZED_KEYS:-} == *[![:space:]]* ]] || refuse "AUTHORIZED_KEYS is empty: nobody could log in"
    local line cidr
    while read -r line; do
        [ -z "$line" ] || ssh-keygen -l -f - <<<"$line" >/dev/null 2>&1 ||
            refuse "'$line' is no public key: correct cloud.ssh_authorized_keys"
    done <<<"$AUTHORIZED_KEYS"
    REVERT_AFTER=${REVERT_AFTER:-120} # seconds
    [[ $REVERT_AFTER =~ ^[1-9][0-9]{0,3}$ ]] || refuse "REVERT_AFTER '$REVERT_AFTER' is not a number of seconds"
    command -v ufw >/dev/null || refuse "ufw is not on this image: use one that has it (Ubuntu does), or install it first"
    locate_keys
    pods=$(network "${POD_CIDR:?}")
    services=$(network "${SERVICE_CIDR:?}")
    api=()
    for cidr in ${API_ACCESS:-}; do
        cidr=$(network "$cidr")
        api+=("$cidr")
    done
}

# A user not yet made gets useradd's default.
locate_keys() {
    local home
    home=$(getent passwd "$DEPLOY_USER" | cut -d: -f6) || true # getent's status for nobody
    KEYS=${home:-/home/$DEPLOY_USER}/.ssh/authorized_keys
}

# A CIDR as ufw writes it: host bits cleared, no /32 or /128, `any` for everything. (ufw itself needs python3.)
network() {
    python3 -c 'import ipaddress, sys
n = ipaddress.ip_network(sys.argv[1], strict=False)
print("any" if n.prefixlen == 0 else n.network_address if n.num_addresses == 1 else n)' "$1" 2>/dev/null ||
        refuse "'$1' is no CIDR: correct it in relight.yaml"
}

sshd_text() {
    cat <<TEXT
# by relight: keys alone, nobody as root
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthenticationMethods publickey
PermitEmptyPasswords no
X11Forwarding no
AllowAgentForwarding no
AllowTcpForwarding local
LoginGraceTime 30
TEXT
}

sudoers_text() { printf '# by relight\n%s ALL=(ALL:ALL) NOPASSWD: ALL\n' "$DEPLOY_USER"; }

# Many pods watch many files; the kernel's defaults (128 instances) make kubelet fail with "too many open files".
sysctl_text() {
    cat <<TEXT
# by relight
fs.inotify.max_user_instances = 1024
fs.inotify.max_user_watches = 524288
net.ipv4.ip_forward = 1
TEXT
}

journald_text() { printf '# by relight\n[Journal]\nSystemMaxUse=1G\nMaxRetentionSec=1month\n'; }

apt_text() {
    cat <<'TEXT'
// by relight: nobody is there to answer
DPkg::Lock::Timeout "120";
Dpkg::Options { "--force-confdef"; "--force-confold"; };
TEXT
}

# shellcheck disable=SC2016 # Perl's variable, not the shell's
needrestart_text() { printf '# by relight: list, ask nothing, restart nothing\n$nrconf{restart} = "l";\n'; }

# Table mangle, because K3s' own chains accept pods' packets in table filter before ufw's are asked, and because neither a
# `ufw reload` nor K3s touches it. Processes of the node itself (cloud-init) keep their way.
metadata_text() {
    cat <<TEXT
# by relight: pods must not read the cloud's metadata service (it holds the user_data)
[Unit]
Description=Metadata service closed to pods
Before=network-online.target k3s.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'iptables -w 10 -t mangle -C ${CLOSED[*]} 2>/dev/null || iptables -w 10 -t mangle -I ${CLOSED[*]}'

[Install]
WantedBy=multi-user.target
TEXT
}

# path, mode, and the function that prints the text
files() {
    cat <<LIST
/etc/sudoers.d/95-relight 440 sudoers_text
/etc/sysctl.d/90-relight.conf 644 sysctl_text
/etc/systemd/journald.conf.d/90-relight.conf 644 journald_text
/etc/apt/apt.conf.d/90relight 644 apt_text
/etc/needrestart/conf.d/90-relight.conf 644 needrestart_text
/etc/systemd/system/$METADATA 644 metadata_text
LIST
}

# As `ufw show added` prints them.
ufw_rules() {
    local cidr
    printf 'ufw allow %s/tcp\n' 22 80 443
    printf 'ufw allow from %s\n' "$pods" "$services"
    for cidr in "$pods" "$services"; do
        printf 'ufw route allow from %s\nufw route allow to %s\n' "$cidr" "$cidr"
    done
    for cidr in ${api[@]+"${api[@]}"}; do
        if [ "$cidr" = any ]; then echo 'ufw allow 6443/tcp'; else echo "ufw allow from $cidr to any port 6443 proto tcp"; fi
    done
}

wanted() {
    local path mode text
    while read -r path mode text; do
        printf 'file %s %s 0:0 %s\n' "$path" "$mode" "$("$text" | digest)"
    done < <(files)
    printf 'user %s present\n' "$DEPLOY_USER"
    sysctl_text | grep -v '^#' | sed 's/^/sysctl /'
    printf '%s\n' 'swap off' 'time on' 'metadata closed' "spec ${SPEC:-}" 'apply finished'
    printf 'access keys 600 %s %s\n' "$DEPLOY_USER" "$(printf '%s\n' "$AUTHORIZED_KEYS" | digest)"
    printf 'access file %s 644 0:0 %s\n' "$SSHD" "$(sshd_text | digest)"
    sshd_text | grep -v '^#' | awk -v u="$DEPLOY_USER" \
        '{ v = tolower($1); $1 = ""; print "access sshd root " v $0; print "access sshd " u " " v $0 }'
    printf 'access ufw %s\n' 'enabled yes' 'ipv6 yes' 'input DROP' 'output ACCEPT' 'forward DROP' 'kernel as-in-files'
    ufw_rules | sort -u | sed 's/^ufw/access ufw rule/'
}

# ---- what is -------------------------------------------------------------------------------------------------------

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

# ---- the way back --------------------------------------------------------------------------------------------------

armed() { systemctl --quiet is-active "$TIMER"; }

# Arms the timer, or winds it up again. What was saved for a change not yet confirmed stays what a revert goes back to.
arm() {
    local unit=/etc/systemd/system
    systemctl stop "$REVERT" 2>/dev/null || true # there may be none; a waiting one has done nothing yet: the lock is ours
    if ! armed; then
        rm -rf "$SAVED" "$SAVED.new"
        save
        install -m 0700 "$0" "$STATE/harden.sh"
        write "$unit/$REVERT" 644 <<UNIT
[Unit]
Description=Takes back a change of sshd and ufw that relight did not confirm
[Service]
Type=oneshot
ExecStart=/bin/bash $STATE/harden.sh revert
TimeoutStartSec=90
Restart=on-failure
RestartSec=5
UNIT
    fi
    write "$unit/$TIMER" 644 <<UNIT
[Unit]
Description=Takes back a change of sshd and ufw unless it is confirmed
[Timer]
OnActiveSec=$REVERT_AFTER
AccuracySec=100ms
[Install]
WantedBy=timers.target
UNIT
    systemctl daemon-reload
    systemctl --quiet enable "$TIMER"
    systemctl restart "$TIMER"
}

save() {
    local path n=0
    install -d -m 0700 "$SAVED.new"
    for path in "$KEYS" "$SSHD" "${UFW_FILES[@]}"; do
        n=$((n + 1))
        printf '%s %s\n' "$n" "$path" >>"$SAVED.new/paths"
        [ ! -e "$path" ] || cp -a "$path" "$SAVED.new/$n"
    done
    sed -n 's/^ENABLED=//p' /etc/ufw/ufw.conf >"$SAVED.new/ufw"
    sync -f "$SAVED.new"
    mv "$SAVED.new" "$SAVED"
}

restore() {
    local n path temp
    while read -r n path; do
        if [ -e "$SAVED/$n" ]; then
            temp=$(mktemp -p "${path%/*}" .relight.XXXXXX)
            cp -a "$SAVED/$n" "$temp"
            mv "$temp" "$path"
        else
            rm -f "$path"
        fi
    done <"$SAVED/paths"
}

# Disables first, in one call: what comes after may be cut off anywhere.
disarm() {
    systemctl --quiet disable --now "$TIMER"
    systemctl stop "$REVERT" 2>/dev/null || true # not there, or waiting for the lock that we hold
    clear_saved
}

clear_saved() {
    rm -f "/etc/systemd/system/$TIMER" "/etc/systemd/system/$REVERT" "$UNFINISHED" "$STATE/harden.sh"
    rm -rf "$SAVED"
    systemctl daemon-reload
}

# Run by the timer alone. Whatever fails is tried again by systemd: nothing here may be left half done.
revert() {
    if [ ! -d "$SAVED" ]; then
        say "nothing to take back"
    elif [ "$(cat "$SAVED/ufw")" = yes ]; then
        restore
        ufw reload || ufw --force enable
    else
        ufw --force disable
        restore
    fi
    reload_sshd
    systemctl --quiet disable --now "$TIMER" 2>/dev/null || true # already gone in a second try
    clear_saved
    say "the change was not confirmed in time: keys, sshd and ufw are as before"
}

# ---- apply ---------------------------------------------------------------------------------------------------------

# write PATH MODE [OWNER] <text: a reader sees the old file or the new one.
write() {
    local temp
    mkdir -p "${1%/*}"
    temp=$(mktemp -p "${1%/*}" .relight.XXXXXX)
    cat >"$temp"
    chmod "$2" "$temp"
    chown "${3:-0:0}" "$temp"
    sync "$temp"
    mv "$temp" "$1"
}

differs() { grep -q "^[<>] $1" <<<"$differences"; }

apply_plain() {
    local path mode text again=$1 temp
    if differs "user "; then useradd --create-home --shell /bin/bash "$DEPLOY_USER"; locate_keys; fi
    while read -r path mode text; do
        differs "file $path " || continue
        if [ "$text" = sudoers_text ]; then
            temp=$(mktemp -p "$STATE" sudoers.XXXXXX)
            sudoers_text >"$temp"
            visudo -qcf "$temp" || refuse "visudo does not accept the sudoers file for $DEPLOY_USER"
            rm -f "$temp"
        fi
        "$text" | write "$path" "$mode"
        [ "$text" != journald_text ] || again=yes
    done < <(files)
    if differs swap; then
        swapoff -a
        [ ! -e /etc/fstab ] || sed -E '/^[^#]\S*\s+\S+\s+swap\s/s/^/# by relight: /' /etc/fstab | write /etc/fstab 644
    fi
    if differs sysctl; then sysctl -q -p /etc/sysctl.d/90-relight.conf; fi
    if [ "$again" = yes ]; then systemctl restart systemd-journald.service; fi
    if differs time; then apply_time; fi
    if differs metadata || differs "file /etc/systemd/system/$METADATA "; then
        systemctl daemon-reload
        systemctl --quiet enable "$METADATA"
        systemctl restart "$METADATA"
    fi
    printf '%s\n' "${SPEC:-}" | write "$STATE/spec" 644
}

apply_time() {
    local unit
    unit=$(time_daemon)
    systemctl --quiet enable --now "${unit:-systemd-timesyncd.service}" ||
        refuse "no time daemon can be started: the image needs systemd-timesyncd or chrony (certificates need a right clock)"
}

apply_access() {
    local again=$1
    if differs 'access keys'; then
        install -d -m 0700 -o "$DEPLOY_USER" -g "$(id -gn "$DEPLOY_USER")" "${KEYS%/*}"
        printf '%s\n' "$AUTHORIZED_KEYS" | write "$KEYS" 600 "$DEPLOY_USER:"
    fi
    if differs 'access sshd' || differs "access file $SSHD" || [ "$again" = yes ]; then
        sshd_text | write "$SSHD" 644
        sshd -t || refuse "sshd does not accept its configuration: see 'sshd -t'"
        reload_sshd
    fi
    if differs 'access ufw' || [ "$again" = yes ]; then apply_ufw; fi
}

# Adds before it removes, and turns on last: at no time is port 22 closed.
apply_ufw() {
    local rule words
    if [ "$(sed -n 's/^IPV6=//p' /etc/default/ufw)" != yes ]; then
        { sed '/^IPV6=/d' /etc/default/ufw; echo IPV6=yes; } | write /etc/default/ufw 644
    fi
    while read -r rule; do
        read -ra words <<<"$rule"
        "${words[@]}" </dev/null >/dev/null
    done < <(comm -23 <(ufw_rules | sort -u) <(ufw_added))
    while read -r rule; do
        rule=${rule%% comment *}
        read -ra words <<<"$rule"
        if [ "${words[1]}" = route ]; then
            ufw route delete "${words[@]:2}" </dev/null >/dev/null
        else
            ufw delete "${words[@]:1}" </dev/null >/dev/null
        fi
    done < <(comm -13 <(ufw_rules | sort -u) <(ufw_added))
    if differs 'access ufw input'; then ufw default deny incoming >/dev/null; fi
    if differs 'access ufw output'; then ufw default allow outgoing >/dev/null; fi
    if differs 'access ufw forward'; then ufw default deny routed >/dev/null; fi
    if differs 'access ufw enabled'; then ufw --force enable >/dev/null; else ufw reload >/dev/null; fi
}

apply() {
    local again=no
    [ ! -e "$UNFINISHED" ] || again=yes
    look
    if [ -n "$differences" ]; then
        install -d -m 0700 "$STATE"
        : >"$UNFINISHED"
        apply_plain "$again"
        if differs access || [ "$again" = yes ]; then
            arm
            apply_access "$again"
        fi
        rm -f "$UNFINISHED"
        look
    fi
    if [ -n "$differences" ]; then
        printf '%s\n' "$differences" >&2
        refuse "set, and yet not as wanted (< wanted, > is); something else on the node decides it"
    fi
    if armed; then arm; fi # the whole time for the second connection
}

confirm() {
    look
    if [ -n "$differences" ]; then
        printf '%s\n' "$differences" >&2
        say "not as wanted (< wanted, > is), perhaps taken back already: run apply again"
        exit 1
    fi
    if armed; then disarm; fi
}

# --------------------------------------------------------------------------------------------------------------------

verb=${1:-}
case $verb in
check)
    read_input
    look
    report
    ;;
apply | confirm)
    read_input
    exec 9>"$LOCK"
    flock -w 30 9 || { say "another harden.sh is at work"; exit 11; }
    "$verb"
    report
    ;;
revert)
    exec 9>"$LOCK"
    flock -w 60 9 || { say "another harden.sh is at work"; exit 11; }
    revert
    ;;
*)
    say "unknown verb '$verb'; it knows check, apply, confirm"
    exit 2
    ;;
esac
