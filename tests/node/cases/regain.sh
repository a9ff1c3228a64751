# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # lines for the machine; globals of ../machine.sh; called by name
# regain.sh: as the operator, who has a key of their own on the machine.

case_regain() {
    local key total n
    LOGIN=deploy
    [ -e "$WORK/id3" ] || ssh-keygen -q -t ed25519 -N '' -C new -f "$WORK/id3"
    key=$(cut -d' ' -f1,2 "$WORK/id3.pub")
    new() { IDENTITY=$WORK/id3 as deploy true; }
    input DEPLOY_USER deploy KEY "$key"
    run regain.sh check
    is "regain: the new key is not let in yet, and there is no token" "$RC/$(value authorized)/$(value k3s_token)" 0/no/
    no "regain: and does not open" new
    # no newline at its end, as a person leaves it
    root 'printf "%s" "$(cat /home/deploy/.ssh/authorized_keys)" >/home/deploy/.ssh/keys; mv /home/deploy/.ssh/keys /home/deploy/.ssh/authorized_keys; chown deploy: /home/deploy/.ssh/authorized_keys; chmod 600 /home/deploy/.ssh/authorized_keys'
    total=$(commands regain.sh apply)
    ok "regain: it is let in" new
    ok "regain: and the operator still is" as deploy true
    is "regain: a line each, its owner's alone" \
        "$(root 'wc -l </home/deploy/.ssh/authorized_keys; stat -c "%a %U:%G" /home/deploy/.ssh/authorized_keys' | paste -sd' ')" \
        "2 600 deploy:deploy"
    run regain.sh apply
    is "regain: letting it in twice adds nothing" "$RC/$(value authorized)/$(root 'wc -l </home/deploy/.ssh/authorized_keys')" 0/yes/2
    for n in 1 2 3; do
        root 'sed -i 2d /home/deploy/.ssh/authorized_keys'
        killed regain.sh apply $((total * n / 4))
        ok "regain: then the operator is still let in" as deploy true
        run regain.sh apply
        is "regain: and a second run finishes" "$RC/$(value authorized)/$(root 'ls /home/deploy/.ssh')" 0/yes/authorized_keys
    done
    root 'mkdir -p /etc/rancher/k3s && printf "%s" "{\"node-name\":\"a\",\"token\":\"a b\\u0027c\"}" >/etc/rancher/k3s/config.yaml'
    run regain.sh check
    is "regain: the token is read as K3s has it" "$RC/$(value k3s_token)" "0/a b'c"
    root 'rm -r /etc/rancher'
    for key in nonsense ""; do
        input DEPLOY_USER deploy KEY "$key"
        run regain.sh apply
        is "regain: '$key' is no key to let in" "$RC" 10
    done
    input DEPLOY_USER nobody-of-that-name KEY "$(cut -d' ' -f1,2 "$WORK/id3.pub")"
    run regain.sh apply
    is "regain: a user who is not there is refused" "$RC" 10
    spec A
    ok "regain: harden.sh takes the machine's keys to what is wanted" apply_and_confirm
    no "regain: and the other one does not open any more" new
}
