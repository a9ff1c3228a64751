# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # lines for the machine; globals of ../machine.sh; called by name
# harden.sh: first run, second run, kills, drift, and what the network sees of it.

# spec A or B: two specifications that differ in who may enter and in who reaches the API.
spec() {
    local keys api=
    keys=$(cat "$WORK/id.pub")
    if [ "$1" = B ]; then
        keys+=$'\n'$(cat "$WORK/id2.pub")
        api="$NET.4/32 203.0.113.0/24"
    fi
    input DEPLOY_USER deploy AUTHORIZED_KEYS "$keys" POD_CIDR 10.42.0.0/16 SERVICE_CIDR 10.43.0.0/16 \
        API_ACCESS "$api" SPEC "digest-$1" REVERT_AFTER "${2:-120}"
}

apply_and_confirm() {
    run harden.sh apply
    [ "$RC" = 0 ] || return 1
    LOGIN=deploy
    run harden.sh confirm
    [ "$RC/$(value state)" = 0/as-specified ]
}

reverted() { [ -z "$(root 'ls -d /var/lib/relight/harden/saved /etc/systemd/system/relight-revert.* 2>/dev/null')" ]; }
# What a revert must bring back, as it is on the disk and in sshd and the kernel.
access() {
    root 'cat /etc/ufw/user.rules /etc/ufw/user6.rules /etc/ufw/ufw.conf /etc/default/ufw /etc/ssh/sshd_config.d/*.conf
          cat /home/deploy/.ssh/authorized_keys 2>/dev/null; ufw status verbose; sshd -T | sort'
}
# Everything the script writes, with times to the nanosecond.
stamps() {
    root 'find /etc/ssh /etc/ufw /etc/default/ufw /etc/sudoers.d /etc/sysctl.d /etc/systemd /etc/apt /etc/needrestart \
          /etc/passwd /etc/fstab /home/deploy /var/lib/relight -printf "%p %T@ %C@ %m %u\n" | sort'
}
# All rules as ufw tells them, in ufw's own order, so that a rule too many is seen as well as one too few. The order in
# which rules of one specification were added does not matter; the golden text has them sorted within a table.
rules() { root 'ufw status verbose' | sed 's/ *$//'; }
# offered USER OPTION...: the ways in that the server names when it says no.
offered() {
    local user=$1
    shift
    as "$user" -o PubkeyAuthentication=no "$@" true 2>&1 | sed -n 's/.*Permission denied (\(.*\)).*/\1/p'
}
# knock FROM PORT: "open" when a packet gets through the firewall (answered or refused), "filtered" when it does not.
knock() {
    local rc=0
    in_net curl -s -o /dev/null --interface "$1" --connect-timeout 1 --max-time 2 "http://$IP:$2/" || rc=$?
    if [ "$rc" = 28 ]; then echo filtered; else echo open; fi
}

case_harden_first() {
    local before
    spec A 3
    run harden.sh check
    is "an untouched machine is absent" "$RC/$(value state)" 0/absent
    is "before, sshd offers passwords (so that their refusal later means something)" \
        "$(offered root | grep -c password)" 1
    run harden.sh confirm
    is "there is nothing to confirm yet" "$RC" 1
    before=$(access)

    run harden.sh apply
    is "the first apply is armed" "$RC/$(value state)" 0/armed
    no "root is out while the change is armed" as root true
    LOGIN=deploy
    ok "deploy enters by key while it is armed" as deploy true
    LOGIN=root
    ok "unconfirmed, it is taken back and root enters again" within 30 as root true
    ok "nothing of the way back is left" within 30 reverted
    is "after the revert keys, sshd and ufw are what they were" "$(access)" "$before"
    run harden.sh check
    is "the check sees the revert" "$RC/$(value state)" 0/differs
    run harden.sh confirm
    is "what was taken back cannot be confirmed" "$RC" 1

    spec A 120
    run harden.sh apply
    is "applied again it is armed" "$RC/$(value state)" 0/armed
    LOGIN=deploy
    run harden.sh check
    is "the check sees that it is armed" "$RC/$(value state)" 0/armed
    run harden.sh confirm
    is "a second connection confirms it" "$RC/$(value state)" 0/as-specified
    ok "confirming leaves no way back behind" reverted
    run harden.sh confirm
    is "confirming twice is no error" "$RC/$(value state)" 0/as-specified
}

case_harden_again() {
    local before digest
    run harden.sh check
    digest=$(value digest)
    before=$(stamps)
    run harden.sh apply
    is "the second run says as-specified" "$RC/$(value state)/$(value digest)" "0/as-specified/$digest"
    is "the second run touches no file" "$(stamps)" "$before"
    no "root cannot enter by key" as root true
    is "root is offered keys alone" "$(offered root)" publickey
    is "deploy is offered keys alone" "$(offered deploy)" publickey
    IDENTITY=$WORK/id2
    no "a person's key that is not listed is refused" as deploy true
    IDENTITY=
    ok "deploy has sudo without a password" as deploy sudo -n true
    is "ufw's rules are exactly as specified" "$(rules)" "$(cat "$HERE/golden/ufw-status-a.txt")"
    is "the network sees it" \
        "$(for p in 22 80 443 6443 10250 2379; do echo "$p $(knock "$NET.3" "$p")"; done | paste -sd' ')" \
        "22 open 80 open 443 open 6443 filtered 10250 filtered 2379 filtered"
    spec B
    run harden.sh check
    is "another specification is a difference" "$RC/$(value state)" 0/differs
    ok "it is applied and confirmed" apply_and_confirm
    is "with its rules" "$(rules)" "$(cat "$HERE/golden/ufw-status-b.txt")"
    is "the API is open to those named alone" "$(knock "$NET.4" 6443) $(knock "$NET.3" 6443)" "open filtered"
    spec A
    ok "and back" apply_and_confirm
}

# Kills at points spread over the whole run, each time either waiting for the revert or running again.
case_harden_killed() {
    local total point at=A to before n=0 armed=0 points=${KILL_POINTS:-8}
    spec B
    # how many commands an apply has: counted by one that is then taken back to A
    total=$(commands harden.sh apply)
    ok "an apply has commands to be killed at ($total)" test "$total" -gt 100
    spec A
    ok "back to A" apply_and_confirm
    while [ "$n" -lt "$points" ]; do
        n=$((n + 1))
        point=$((total * n / (points + 1)))
        if [ "$at" = A ]; then to=B; else to=A; fi
        before=$(access)
        spec "$to" 3
        killed harden.sh apply "$point"
        if [ $((n % 2)) = 1 ]; then
            if ! reverted; then armed=$((armed + 1)); fi
            ok "killed at command $point, it is as before within the armed time" within 30 reverted
            is "killed at command $point and reverted, access is what it was" "$(access)" "$before"
            spec "$at"
            run harden.sh check
            no "killed at command $point and reverted, nothing of the new access is left" grep -q 'access' <<<"$(value why)"
        else
            spec "$to"
            ok "killed at command $point, a second run finishes it" apply_and_confirm
            at=$to
        fi
    done
    ok "at least one kill was after the arming and was waited out ($armed)" test "$armed" -ge 1
    # a confirm that is cut off
    spec "$at"
    run harden.sh check
    if [ "$at" = A ]; then to=B; else to=A; fi
    spec "$to"
    run harden.sh apply
    total=$(commands harden.sh confirm)
    spec "$at"
    run harden.sh apply
    killed harden.sh confirm $((total * 3 / 4))
    run harden.sh confirm
    is "a confirm that was killed is finished by a second one" "$RC/$(value state)" 0/as-specified
    spec A
    ok "as in the beginning" apply_and_confirm
    is "after all kills the rules are the golden ones" "$(rules)" "$(cat "$HERE/golden/ufw-status-a.txt")"
}

# drift NAME COMMAND: done behind our back; seen, and mended.
drift() {
    local digest
    run harden.sh check
    digest=$(value digest)
    root "$2" >/dev/null 2>&1
    run harden.sh check
    if [ "$RC/$(value state)" = 0/differs ] && [ "$(value digest)" != "$digest" ]; then
        pass "seen: $1"
    else
        fail "seen: $1" "$OUT"
    fi
    if apply_and_confirm && [ "$(value digest)" = "$digest" ]; then pass "mended: $1"; else fail "mended: $1" "$OUT"; fi
}

case_harden_drift() {
    drift "a rule is deleted" 'ufw delete allow 443/tcp'
    drift "a rule is added" 'ufw allow 9000/tcp'
    drift "a routed rule is added" 'ufw route allow from 192.0.2.0/24'
    drift "ufw is off" 'ufw disable'
    drift "a rule is taken from the kernel behind ufw's back" 'iptables -D ufw-user-input -p tcp --dport 443 -j ACCEPT'
    drift "incoming is allowed" 'ufw default allow incoming'
    drift "our drop-in is edited" 'sed -i "s/PermitRootLogin no/PermitRootLogin yes/" /etc/ssh/sshd_config.d/00-relight.conf'
    drift "our drop-in is deleted" 'rm /etc/ssh/sshd_config.d/00-relight.conf'
    drift "a key is added" 'echo "ssh-ed25519 AAAA stranger" >>/home/deploy/.ssh/authorized_keys'
    drift "the metadata rule is gone" 'iptables -t mangle -F FORWARD'
    drift "a sysctl is changed" 'sysctl -w net.ipv4.ip_forward=0'
    drift "swap comes back at boot" 'echo "/swapfile none swap sw 0 0" >>/etc/fstab'
    drift "the clock is left alone" 'systemctl disable --now systemd-timesyncd'
    drift "the sudoers file is gone" 'mv /etc/sudoers.d/95-relight /etc/sudoers.d/96-other'
    root 'rm -f /etc/sudoers.d/96-other'

    root 'printf "PasswordAuthentication yes\n" >/etc/ssh/sshd_config.d/00-another.conf'
    run harden.sh check
    is "a drop-in that is read before ours is seen" "$RC/$(value state)" 0/differs
    spec A 3
    run harden.sh apply
    is "and refused, for a person" "$RC" 10
    root 'rm /etc/ssh/sshd_config.d/00-another.conf'
    ok "which takes itself back" within 30 reverted
    spec A
    ok "without it all is well" apply_and_confirm

    input DEPLOY_USER root AUTHORIZED_KEYS "$(cat "$WORK/id.pub")" POD_CIDR 10.42.0.0/16 SERVICE_CIDR 10.43.0.0/16
    run harden.sh apply
    is "root as the deploy user is refused" "$RC" 10
    input DEPLOY_USER deploy AUTHORIZED_KEYS "" POD_CIDR 10.42.0.0/16 SERVICE_CIDR 10.43.0.0/16
    run harden.sh apply
    is "no keys at all are refused" "$RC" 10
    input DEPLOY_USER deploy AUTHORIZED_KEYS "ssh-ed25519 nonsense" POD_CIDR 10.42.0.0/16 SERVICE_CIDR 10.43.0.0/16
    run harden.sh apply
    is "a broken key is refused" "$RC" 10
    spec A
    run harden.sh check
    is "the refusals changed nothing" "$RC/$(value state)" 0/as-specified
}

# A pod is a network namespace of the machine; the operator's end of the bridge has the metadata service's address.
case_metadata() {
    root 'ip netns add pod; ip link add pod0 type veth peer name eth0 netns pod; ip address add 10.42.0.1/24 dev pod0
          ip link set pod0 up; ip -n pod address add 10.42.0.2/24 dev eth0; ip -n pod link set eth0 up
          ip -n pod route add default via 10.42.0.1'
    ok "a pod reaches the world" root "ip netns exec pod ping -c 1 -W 2 $NET.1"
    ok "the node reaches the metadata service" root 'ping -c 1 -W 2 169.254.169.254'
    no "a pod does not" root 'ip netns exec pod ping -c 1 -W 1 169.254.169.254'
    root 'ufw reload' >/dev/null
    no "nor after a reload of ufw" root 'ip netns exec pod ping -c 1 -W 1 169.254.169.254'
    # K3s' network policy controller accepts pods' packets at the top of FORWARD in table filter
    root 'iptables -I FORWARD -s 10.42.0.0/16 -j ACCEPT'
    no "nor when K3s' chains accept all that pods send" root 'ip netns exec pod ping -c 1 -W 1 169.254.169.254'
    root 'iptables -D FORWARD -s 10.42.0.0/16 -j ACCEPT; ip netns delete pod'
}

case_reboot() {
    local boot
    LOGIN=deploy
    spec A
    run probe.sh check
    boot=$(value boot_id)
    run harden.sh check
    is "before the power cut all is as specified" "$RC/$(value state)" 0/as-specified
    power_off
    boot || return 1
    run probe.sh check
    ok "the machine has booted anew" test "$(value boot_id)" != "$boot"
    run harden.sh check
    is "after it too" "$RC/$(value state)" 0/as-specified
    spec B 3
    run harden.sh apply
    is "a change is armed" "$RC/$(value state)" 0/armed
    power_off
    boot || return 1
    ok "a power cut does not disarm it: it is taken back" within 30 reverted
    spec A
    run harden.sh check
    no "and access is what it was" grep -q access <<<"$(value why)"
}
