# shellcheck shell=bash
# The way back: what could lock people out is changed under a timer that takes it back. A part of harden.sh, which holds the names in capitals.

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
