# shellcheck shell=bash disable=SC2034 # globals that the cases use
# Real machines for the node scripts: a Debian root file system by mmdebstrap, an overlay of it per machine, booted by
# systemd-nspawn in a network namespace of its own, reached by real ssh with a pinned host key. Sourced by ./run.

PACKAGES=systemd,systemd-sysv,dbus,iproute2,iputils-ping,openssh-server,ufw,iptables,nftables,curl,ca-certificates,openssl,procps,kmod,sudo,cron,systemd-timesyncd,fail2ban,unattended-upgrades,python3-systemd
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/relight-node
NS=relight-node-$$
NET=10.199.0 # .1 the operator, .2 and .4 peers, .3 a stranger, .11 the machine
IP=$NET.11
INOTIFY=(fs.inotify.max_user_instances fs.inotify.max_user_watches) # the kernel is shared: put back at the end

# The base of a suite, made once; a half-made one is never taken for a whole one.
base() {
    local suite=$1 name temp
    name=$suite-$(printf '%s' "$PACKAGES" | sha256sum | cut -c1-12)
    if [ ! -d "$CACHE/$name" ]; then
        mkdir -p "$CACHE"
        rm -rf "$CACHE/$suite-"*
        temp=$(mktemp -d "$CACHE/.new.XXXXXX")
        if ! mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Retries "3"' --include="$PACKAGES" "$suite" "$temp" \
            >"$WORK/mmdebstrap.log" 2>&1; then
            rm -rf "$temp"
            tail -n 20 "$WORK/mmdebstrap.log" >&2
            return 1
        fi
        chmod 0755 "$temp"
        mv "$temp" "$CACHE/$name"
    fi
    BASE=$CACHE/$name
}

network_up() {
    local address
    ip netns add "$NS"
    ip -n "$NS" link set lo up
    ip -n "$NS" link add br0 type bridge
    for address in 1 2 3 4; do ip -n "$NS" address add "$NET.$address/24" dev br0; done
    ip -n "$NS" address add 169.254.169.254/32 dev br0 # the metadata service
    ip -n "$NS" link set br0 up
    ip -n "$NS" route add 10.42.0.0/16 via "$IP" dev br0
}

# create SUITE: a machine as the cloud hands it over: root may enter by key, a password would do, ufw is off.
create() {
    local name=$1 unit script
    MACHINE=$name
    ROOT=$WORK/$name/root
    mkdir -p "$ROOT" "$WORK/$name/upper" "$WORK/$name/work"
    mount -t overlay "relight-$name" -o "lowerdir=$BASE,upperdir=$WORK/$name/upper,workdir=$WORK/$name/work" "$ROOT"
    echo "$name" >"$ROOT/etc/hostname"
    printf '127.0.0.1 localhost %s\n' "$name" >"$ROOT/etc/hosts"
    rm -f "$ROOT/etc/resolv.conf" # no time-outs of a resolver that is not there
    : >"$ROOT/etc/machine-id"
    # the swap of this machine's kernel is not the machine's
    printf 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n' >"$ROOT/opt/swaps"
    if [ "$name" = trixie ]; then # as Ubuntu 24.04 does it: systemd holds port 22 and hands it to sshd
        systemctl --quiet --root="$ROOT" disable ssh.service
        systemctl --quiet --root="$ROOT" enable ssh.socket
    fi
    # no networkd: with a writable /sys it waits for a udev that a container has not
    unit=$ROOT/etc/systemd/system/host0.service
    cat >"$unit" <<UNIT
[Unit]
DefaultDependencies=no
Before=network.target
Wants=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount --bind /opt/swaps /proc/swaps
ExecStart=/bin/sh -c 'ip link set lo up; ip address add $IP/24 dev host0; ip link set host0 up; ip route add default via $NET.1'
[Install]
WantedBy=sysinit.target
UNIT
    mkdir -p "$ROOT/etc/systemd/system/sysinit.target.wants" "$ROOT/root/.ssh" "$ROOT/opt/relight"
    ln -s ../host0.service "$ROOT/etc/systemd/system/sysinit.target.wants/host0.service"
    # installed for late.sh's sake; running from the start, fail2ban would shut out a test that is refused on purpose
    rm -f "$ROOT/etc/systemd/system/multi-user.target.wants/"{fail2ban,unattended-upgrades}.service
    rm -f "$ROOT/etc/ssh/"ssh_host_*
    ssh-keygen -q -t ed25519 -N '' -f "$ROOT/etc/ssh/ssh_host_ed25519_key"
    [ -e "$WORK/id" ] || ssh-keygen -q -t ed25519 -N '' -C run -f "$WORK/id"
    [ -e "$WORK/id2" ] || ssh-keygen -q -t ed25519 -N '' -C person -f "$WORK/id2"
    cp "$WORK/id.pub" "$ROOT/root/.ssh/authorized_keys"
    printf 'PasswordAuthentication yes\nPermitRootLogin yes\n' >"$ROOT/etc/ssh/sshd_config.d/50-cloud-init.conf"
    pin "$(cut -d' ' -f1,2 "$ROOT/etc/ssh/ssh_host_ed25519_key.pub")"
    for script in "$SCRIPTS"/*.sh; do "$HERE"/assemble "$script" >"$ROOT/opt/relight/${script##*/}"; done
    cp "$HERE"/kill-at "$HERE"/k3s-stand-in "$ROOT/opt/relight/"
}

# pin KEY...: the host keys that ssh accepts from now on.
pin() {
    local key
    for key in "$@"; do echo "$IP $key"; done >"$WORK/known"
}

# A group per machine in every hierarchy where no systemd gives one; nspawn's own cgroup namespace starts there.
enter_cgroup() {
    local hierarchy group
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
        hierarchy=${hierarchy%/}
        [ -e "$hierarchy/cgroup.procs" ] || continue
        # below a unified root these are groups of others
        if [ "$hierarchy" != /sys/fs/cgroup ] && [ -e /sys/fs/cgroup/cgroup.procs ]; then continue; fi
        group=$hierarchy/relight-$MACHINE-$$
        mkdir -p "$group"
        if [ -e "$group/cpuset.mems" ] && [ -e "$hierarchy/cpuset.cpus" ] && [ ! -e "$hierarchy/cgroup.controllers" ]; then
            cat "$hierarchy/cpuset.cpus" >"$group/cpuset.cpus"
            cat "$hierarchy/cpuset.mems" >"$group/cpuset.mems"
        fi
        echo "$BASHPID" >"$group/cgroup.procs"
    done
}

leave_cgroup() {
    find /sys/fs/cgroup -depth -type d -path "*/relight-*-$$*" -exec rmdir {} + 2>/dev/null || true # empty by then
}

boot() {
    (
        keep=()
        if [ ! -d /run/systemd/system ]; then
            enter_cgroup
            keep=(--keep-unit)
        fi
        export SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes
        exec nsenter --net="/run/netns/$NS" systemd-nspawn --quiet --register=no ${keep[@]+"${keep[@]}"} --boot \
            --directory="$ROOT" --machine="$MACHINE" --network-bridge=br0 --capability=all --private-users=no --resolv-conf=off \
            --system-call-filter=@known --console=pipe -- \
            SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
    ) </dev/null >>"$WORK/$MACHINE/console" 2>&1 &
    NSPAWN=$!
    if ! within 60 answers; then
        tail -n 20 "$WORK/$MACHINE/console" >&2
        echo "the machine does not answer" >&2
        return 1
    fi
}

answers() { in_net ssh-keyscan -T 2 -t ed25519 "$IP" 2>/dev/null | grep "ssh-ed25519 AAAA" >/dev/null; }

# The kill of its init ends every process of a machine, as a power cut does.
power_off() {
    local init
    [ -n "${NSPAWN:-}" ] || return 0
    init=$(pgrep -P "$NSPAWN") || true # gone already
    if [ -n "$init" ]; then kill -KILL "$init" 2>/dev/null; fi
    wait "$NSPAWN" 2>/dev/null
    ip -n "$NS" link delete "vb-$MACHINE" 2>/dev/null
    NSPAWN=
}

destroy() {
    power_off
    if [ -n "${ROOT:-}" ] && mountpoint -q "$ROOT"; then umount "$ROOT"; fi
    leave_cgroup
}

# within SECONDS COMMAND...: polls until it succeeds.
within() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.1
    done
}

in_net() { nsenter --net="/run/netns/$NS" "$@"; }

# as USER COMMAND: one new connection, the pinned key or nothing.
as() {
    local user=$1
    shift
    in_net timeout 120 ssh -F none -i "${IDENTITY:-$WORK/id}" -o IdentitiesOnly=yes -o BatchMode=yes -o ControlPath=none \
        -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$WORK/known" -o GlobalKnownHostsFile=/dev/null \
        -o HostKeyAlgorithms=ssh-ed25519 -o ConnectTimeout=5 -o LogLevel=ERROR "$user@$IP" "$@" </dev/null
}

# root COMMAND: a shell line as root, over LOGIN's connection.
root() { if [ "$LOGIN" = root ]; then as root "$1"; else as "$LOGIN" "sudo -n bash -c $(printf '%q' "$1")"; fi; }

# input KEY VALUE...: what the next scripts are told.
input() {
    local file=$ROOT/opt/relight/input
    : >"$file"
    chmod 0600 "$file"
    while [ $# -gt 0 ]; do
        printf "%s='%s'\n" "$1" "${2//\'/\'\\\'\'}" >>"$file"
        shift 2
    done
}

# run SCRIPT VERB [ENVIRONMENT]: sets RC (137: killed); OUT and ERR hold what it said.
run() {
    RC=0
    root "cd /opt/relight && env -i ${3:-} RELIGHT_INPUT=/opt/relight/input bash /opt/relight/$1 $2; exit \$?" >"$WORK/out" 2>"$WORK/err" || RC=$?
    OUT=$(cat "$WORK/out")
    ERR=$(cat "$WORK/err")
}

# commands SCRIPT VERB: runs it and says how many commands that took, to choose points for a kill among.
commands() {
    run "$1" "$2" 'BASH_ENV=/opt/relight/kill-at'
    root 'cat /opt/relight/count'
}

# killed SCRIPT VERB POINT: runs it until its command POINT, where it must end by SIGKILL.
killed() {
    run "$1" "$2" "BASH_ENV=/opt/relight/kill-at KILL_AT=$3"
    is "$1 $2 is killed at command $3" "$RC" 137
}

# value KEY: of the last script's output.
value() { sed -n "s/^$1=//p" <<<"$OUT" | tail -n 1; }
