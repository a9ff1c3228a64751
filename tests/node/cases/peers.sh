# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # lines for the machine; globals of ../machine.sh; called by name
# peers.sh: rules come, go, and are seen to be gone.

peers() { input PEERS "$1" SELF "$IP"; }
marked() { root 'ufw show added' | grep -c relight-peer; }

case_peers() {
    local before p total
    LOGIN=deploy
    peers "$IP $NET.2 $NET.4"
    run peers.sh check
    is "peers: none yet" "$RC/$(value state)" 0/absent
    total=$(commands peers.sh apply)
    run peers.sh check
    is "peers: applied" "$RC/$(value state)" 0/as-specified
    is "peers: two rules for each other node" "$(marked)" 4
    for p in 6443 2379 2380 10250; do
        is "peers: $p is open to a peer alone" "$(knock "$NET.2" "$p") $(knock "$NET.3" "$p")" "open filtered"
    done
    is "peers: VXLAN is open to peers alone" "$(root 'ufw show added' | grep -c '8472 proto udp')" 2
    before=$(root 'stat -c %y /etc/ufw/user.rules')
    run peers.sh apply
    is "peers: a second run changes nothing" "$RC/$(value state)/$(root 'stat -c %y /etc/ufw/user.rules')" "0/as-specified/$before"
    spec A
    run harden.sh check
    is "peers: to harden.sh nothing changed" "$RC/$(value state)" 0/as-specified
    drift "peers stay when harden.sh mends a rule" 'ufw delete allow 80/tcp'
    is "peers: they stayed" "$(marked)" 4
    peers "$NET.2"
    run peers.sh check
    is "peers: a peer too many is a difference" "$RC/$(value state)" 0/differs
    killed peers.sh apply $((total / 2))
    run peers.sh apply
    is "peers: and is finished by a second run" "$RC/$(value state)/$(marked)" 0/as-specified/2
    is "peers: the address that is gone is shut out" "$(knock "$NET.2" 6443) $(knock "$NET.4" 6443)" "open filtered"
    root "ufw delete allow from $NET.2 to any port 8472 proto udp" >/dev/null
    run peers.sh check
    is "peers: a deleted rule is a difference" "$RC/$(value state)" 0/differs
    root 'iptables -D ufw-user-input -p tcp --dport 443 -j ACCEPT'
    run peers.sh apply
    is "peers: mended, in the kernel too" "$RC/$(value state) $(knock "$NET.2" 6443)" "0/as-specified open"
    peers "not-an-address"
    run peers.sh apply
    is "peers: nonsense is refused" "$RC" 10
    peers ""
    run peers.sh apply
    is "peers: none is a specification too" "$RC/$(value state)/$(marked)" 0/as-specified/0
}
