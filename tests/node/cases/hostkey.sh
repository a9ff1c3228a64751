# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # lines for the machine; globals of ../machine.sh; called by name
# probe.sh and hostkey.sh.

case_probe() {
    run probe.sh check
    is "probe: the served host key is the pinned one" "$RC/$(value host_key)" \
        "0/$(cut -d' ' -f1,2 "$ROOT/etc/ssh/ssh_host_ed25519_key.pub")"
    is "probe: no key is prepared" "$(value next_host_key)" ""
    is "probe: no cloud-init, no k3s" "$(value cloud_init) $(value k3s)" "disabled absent"
    ok "probe: boot_id is a UUID" grep -qE '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' <<<"$(value boot_id)"
    ok "probe: the system has a name" grep -q '^debian-1[23]$' <<<"$(value os)"
    ok "probe: the clock is yes or no" grep -qE '^(yes|no)$' <<<"$(value clock_synced)"
}

# rotate_killed POINT OLD NEW: with both keys accepted there is always a way in, and a second run finishes.
rotate_killed() {
    killed hostkey.sh rotate "$1"
    ok "then either key is served" as deploy true
    run hostkey.sh check
    if [ "$(value host_key)" = "$2" ]; then is "and the next is still known" "$(value next_host_key)" "$3"; fi
    run hostkey.sh rotate
    is "a second run finishes" "$RC/$(value host_key)/$(value next_host_key)" "0/$3/"
}

case_hostkey() {
    local old new total n
    LOGIN=deploy
    run hostkey.sh check
    old=$(value host_key)
    input NEXT "ssh-ed25519 AAAAnobody"
    run hostkey.sh rotate
    is "hostkey: a key that was never prepared is refused" "$RC" 10
    total=$(commands hostkey.sh prepare)
    root 'rm -rf /etc/ssh/relight'
    killed hostkey.sh prepare $((total / 2))
    run hostkey.sh prepare
    new=$(value next_host_key)
    is "hostkey: prepare leaves the old key served" "$RC/$(value host_key)" "0/$old"
    ok "hostkey: and a new one beside it" test -n "$new" -a "$new" != "$old"
    run hostkey.sh prepare
    is "hostkey: preparing twice makes one key" "$(value next_host_key)" "$new"
    run probe.sh check
    is "hostkey: the probe sees it" "$(value next_host_key)" "$new"
    ok "hostkey: only the old key pinned, the machine is reached" as deploy true
    input NEXT "$new"
    pin "$old" "$new"
    total=$(commands hostkey.sh rotate)
    run hostkey.sh check
    is "hostkey: rotated" "$RC/$(value host_key)/$(value next_host_key)" "0/$new/"
    pin "$old"
    no "hostkey: with only the old key pinned the machine is refused" as deploy true
    pin "$new"
    ok "hostkey: with the new key pinned it is reached" as deploy true
    is "hostkey: sshd shows ed25519 alone" "$(in_net ssh-keyscan "$IP" 2>/dev/null | grep -v '^#' | cut -d' ' -f2- | sort)" "$new"
    is "hostkey: one private host key is left on the disk" "$(root 'find /etc/ssh -name "*_key" | wc -l')" 1
    run hostkey.sh rotate
    is "hostkey: rotating twice changes nothing" "$RC/$(value host_key)" "0/$new"
    for n in 1 2 3 4; do
        old=$new
        run hostkey.sh prepare
        new=$(value next_host_key)
        input NEXT "$new"
        pin "$old" "$new"
        rotate_killed $((total * n / 5)) "$old" "$new"
        pin "$new"
        ok "hostkey: and is reached by the new key alone" as deploy true
    done
    spec A
    run harden.sh check
    is "hostkey: to harden.sh nothing changed" "$RC/$(value state)" 0/as-specified
}
