#!/usr/bin/env bash
# Runs the other scripts on a node. relight sends this text to `bash -s` with two assignments before it (relight_body and
# relight_input, both base64) and one braced call of relight_look, relight_start or relight_wait after it: what a lost
# connection cuts short is a syntax error and never half a program.
#
# The last line on standard error tells how it ended:
#   relight: end=exit N    the script ended so (0 to 100); its output came before
#   relight: end=running   the unit is still at work
#   relight: end=lost      the node restarted, or the unit was killed, before the script ended
#   relight: end=absent    nothing is known of this call: there is no such unit, or its end is that of another call
#   relight: end=trouble   nothing was done; the line before says why
set -u
umask 077
export LC_ALL=C

# Tests give another place; sudo clears the variable on a node.
relight_base=${RELIGHT_BASE:-/run/relight}

# The empty line before it lets a reader tell the script's own last newline from this one.
relight_end() { printf '\nrelight: end=%s\n' "$1" >&2; }

relight_trouble() {
    printf 'relight: %s\n' "$1" >&2
    relight_end trouble
    exit 100
}

# 126 and more mean something else to bash, ssh or systemd, so that no script may end with them.
relight_clamp() {
    if [ "$1" -gt 100 ]; then
        printf 'relight: %s ended with %s, and only 0 to 100 are allowed\n' "$2" "$1" >&2
        return 100
    fi
    return "$1"
}

# DIR SCRIPT DIGEST: the script and its input, out of the two variables. printf is bash's own: nothing reaches argv.
relight_unpack() {
    local sum
    printf %s "${relight_body-}" | base64 -d >"$1/$2" || return 1
    sum=$(sha256sum <"$1/$2") || return 1
    [ "${sum%% *}" = "$3" ] || return 1
    printf %s "${relight_input-}" | base64 -d >"$1/input.new" || return 1
    mv -f "$1/input.new" "$1/input"
}

# SCRIPT VERB DIGEST
relight_look() {
    local dir code
    mkdir -p "$relight_base" || relight_trouble "cannot make $relight_base"
    dir=$(mktemp -d "$relight_base/look-XXXXXXXX") || relight_trouble "cannot make a directory in $relight_base"
    # shellcheck disable=SC2064 # the directory of now is meant
    trap "rm -rf '$dir'" EXIT
    relight_unpack "$dir" "$1" "$3" || relight_trouble "$1 did not arrive whole"
    RELIGHT_INPUT="$dir/input" bash "$dir/$1" "$2" </dev/null
    code=$?
    relight_clamp "$code" "$1"
    relight_end "exit $?"
}

# DIR SCRIPT VERB: what the unit does. Its text is copied into the unit's file.
relight_unit() {
    local code
    cd /
    umask 077
    export HOME="${HOME:-/root}" PATH="${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}"
    relight_input_file="$1/input"
    trap 'rm -f "$relight_input_file"' EXIT
    # Stopped from outside: no exit file, so that nobody takes it for an end.
    trap 'exit 0' TERM INT HUP
    RELIGHT_INPUT="$1/input" bash "$1/$2" "$3" </dev/null >"$1/stdout" 2>"$1/stderr"
    code=$?
    relight_clamp "$code" "$2" 2>>"$1/stderr"
    printf '%s\n' "$?" >"$1/exit.new"
    rm -f "$1/input"
    mv -f "$1/exit.new" "$1/exit"
}

relight_boot() { cat "${RELIGHT_BOOT_ID:-/proc/sys/kernel/random/boot_id}"; }

# DIR UNIT: prints absent, running, lost or the exit code.
relight_state() {
    local state
    if [ -f "$1/exit" ]; then
        cat "$1/exit"
    elif [ ! -f "$1/boot" ]; then
        echo absent
    elif [ "$(cat "$1/boot")" != "$(relight_boot)" ]; then
        echo lost
    else
        state=$(systemctl show --property=ActiveState --value "$2.service" 2>/dev/null)
        # Asked between the file and the unit, it may have ended: the file is looked at again. No answer is no proof of an end.
        if [ -f "$1/exit" ]; then
            cat "$1/exit"
        elif [ "$state" = inactive ] || [ "$state" = failed ]; then
            echo lost
        else
            echo running
        fi
    fi
}

# DIR CALL: whether this call started the unit, or joined it while it was at work. Only such a call may read its end: what
# ended before the call came says how the node was then, and not how it is now.
relight_joined() { grep -qxF -- "$2" "$1/calls" 2>/dev/null; }

# SCRIPT VERB DIGEST UNIT CALL SECONDS: starts the unit, or joins it where it is at work.
relight_start() {
    local dir="$relight_base/${4#relight-}"
    mkdir -p "$dir" || relight_trouble "cannot make $dir"
    exec 9>"$dir.lock" || relight_trouble "cannot make $dir.lock"
    flock 9 || relight_trouble "cannot lock $dir.lock"
    # A call that came before is not obeyed twice.
    if ! relight_joined "$dir" "$5"; then
        if [ "$(relight_state "$dir" "$4")" = running ]; then
            printf '%s\n' "$5" >>"$dir/calls" || relight_trouble "cannot write $dir/calls"
        else
            relight_launch "$dir" "$@"
        fi
    fi
    exec 9>&-
    relight_await "$dir" "$4" "$5" "$6"
}

# DIR SCRIPT VERB DIGEST UNIT CALL
relight_launch() {
    local dir=$1 said
    rm -f "$dir/calls" "$dir/exit" "$dir/boot" "$dir/stdout" "$dir/stderr" "$dir/input"
    relight_unpack "$dir" "$2" "$4" || relight_trouble "$2 did not arrive whole"
    {
        declare -f relight_clamp relight_unit
        printf 'relight_unit %q %q %q\n' "$dir" "$2" "$3"
    } >"$dir/unit.sh" || relight_trouble "cannot write $dir/unit.sh"
    printf '%s\n' "$6" >"$dir/calls" || relight_trouble "cannot write $dir/calls"
    relight_boot >"$dir/boot" || relight_trouble "cannot write $dir/boot"
    systemctl reset-failed "$5.service" >/dev/null 2>&1
    if ! said=$(systemd-run --quiet --collect --unit="$5.service" bash "$dir/unit.sh" 2>&1 9>&-); then
        rm -f "$dir/calls" "$dir/boot" "$dir/input"
        relight_trouble "systemd-run: $said"
    fi
}

# DIR UNIT CALL SECONDS: waits so long for the end. The end of a unit that the call never joined counts as absent.
relight_await() {
    local state rounds=0
    state=$(relight_state "$1" "$2")
    while [ "$state" = running ] && [ "$rounds" -lt $(($4 * 10)) ]; do
        rounds=$((rounds + 1))
        sleep 0.1
        if [ -f "$1/exit" ] || [ $((rounds % 50)) -eq 0 ]; then
            state=$(relight_state "$1" "$2")
        fi
    done
    case $state in
        absent | lost | running) relight_end "$state" ;;
        *)
            if relight_joined "$1" "$3"; then
                cat "$1/stdout"
                tail -c 65536 "$1/stderr" >&2
                relight_end "exit $state"
            else
                relight_end absent
            fi
            ;;
    esac
}

# UNIT CALL SECONDS
relight_wait() { relight_await "$relight_base/${1#relight-}" "$1" "$2" "$3"; }
