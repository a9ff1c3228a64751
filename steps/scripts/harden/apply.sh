# shellcheck shell=bash
# What makes a node as wanted. A part of harden.sh, which holds the names in capitals.

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
