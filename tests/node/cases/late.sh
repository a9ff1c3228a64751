# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # lines for the machine; globals of ../machine.sh; called by name
# late.sh: the packages are in the base, for here is no mirror; and what it says where there is none.

case_late() {
    LOGIN=deploy
    # of the logins refused on purpose fail2ban would think what it is there to think
    root 'journalctl --rotate --vacuum-time=1s' >/dev/null 2>&1
    input AUTO_REBOOT false
    run late.sh check
    is "late: absent" "$RC/$(value state)" 0/absent
    run late.sh apply
    is "late: applied" "$RC/$(value state)" 0/as-specified
    ok "late: no automatic reboot" grep -q 'Automatic-Reboot "false"' <<<"$(root 'apt-config dump | grep Automatic-Reboot')"
    ok "late: fail2ban watches sshd" within 20 root 'fail2ban-client status sshd'
    root 'rm /etc/fail2ban/jail.d/relight.conf'
    run late.sh check
    is "late: drift is seen" "$RC/$(value state)" 0/differs
    run late.sh apply
    is "late: and mended" "$RC/$(value state)" 0/as-specified
    root 'dpkg --purge --force-depends fail2ban' >/dev/null 2>&1
    run late.sh apply
    is "late: without a mirror it says so, to be tried again" "$RC" 11
}
