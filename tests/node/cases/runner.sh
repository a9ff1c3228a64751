# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # lines for the machine; globals of ../machine.sh; called by name
# runner.sh: units of the real systemd, whose end is read by the calls that started or joined them.

# call START|WAIT CALL SECONDS: what relight sends for `try.sh apply`; OUT is its output, END the last word about it.
call() {
    local digest last
    digest=$(sha256sum <"$ROOT/opt/relight/try.sh")
    case $1 in
    start) last="relight_start try.sh apply ${digest%% *} relight-try-1 $2 $3" ;;
    wait) last="relight_wait relight-try-1 $2 $3" ;;
    esac
    {
        printf "relight_body='%s'\n" "$(base64 -w0 "$ROOT/opt/relight/try.sh")"
        printf "relight_input=''\n"
        cat "$SCRIPTS/runner.sh"
        printf '{ %s; exit 0; }\n' "$last"
    } >"$ROOT/opt/relight/program-$2"
    OUT=$(root "bash -s </opt/relight/program-$2" 2>"$WORK/err-$2")
    ERR=$(cat "$WORK/err-$2")
    END=$(sed -n 's/^relight: end=//p' <<<"$ERR" | tail -n 1)
}

case_runner() {
    # tells how often it was begun, and waits while it is held
    cat >"$ROOT/opt/relight/try.sh" <<'TRY'
echo x >>/run/tries
echo "tries=$(wc -l </run/tries)"
while [ -e /run/hold ]; do sleep 0.1; done
exit "$(cat /run/code)"
TRY
    root 'echo 0 >/run/code'
    call start one 20
    is "runner: a unit runs to its end" "$END/$(value tries)" "exit 0/1"
    call wait one 20
    is "runner: the call that started it may read the end again" "$END/$(value tries)" "exit 0/1"
    call wait two 20
    is "runner: a call that never arrived reads no earlier end" "$END/$(value tries)" "absent/"
    call start two 20
    is "runner: a later start begins anew, though the earlier one ended well" "$END/$(value tries)" "exit 0/2"
    call start two 20
    is "runner: the same call is not obeyed twice" "$END/$(value tries)" "exit 0/2"
    root 'touch /run/hold; echo 7 >/run/code'
    call start three 0
    is "runner: a unit may outlive the patience of its call" "$END" running
    call start four 0
    is "runner: a unit at work is joined" "$END" running
    root 'rm /run/hold'
    call wait three 20
    is "runner: its end is read by the call that started it" "$END/$(value tries)" "exit 7/3"
    call wait four 20
    is "runner: and by the one that joined it" "$END/$(value tries)" "exit 7/3"
    call wait five 20
    is "runner: and by no other" "$END" absent
    root 'touch /run/hold'
    call start six 0
    root 'systemctl kill --signal=KILL relight-try-1.service'
    call wait six 20
    is "runner: a unit that was killed is lost" "$END" lost
    root 'rm /run/hold'
    call start seven 20
    is "runner: and the next start begins anew" "$END/$(value tries)" "exit 7/5"
}
