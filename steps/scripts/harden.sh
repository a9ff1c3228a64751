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

# The parts beside this file; on its way to a node each line is replaced by the part's text.
# shellcheck source=steps/scripts/harden/wanted.sh
. "${BASH_SOURCE[0]%/*}/harden/wanted.sh"
# shellcheck source=steps/scripts/harden/actual.sh
. "${BASH_SOURCE[0]%/*}/harden/actual.sh"
# shellcheck source=steps/scripts/harden/revert.sh
. "${BASH_SOURCE[0]%/*}/harden/revert.sh"
# shellcheck source=steps/scripts/harden/apply.sh
. "${BASH_SOURCE[0]%/*}/harden/apply.sh"

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
