#!/usr/bin/env bash
# k3s.sh check|install|start|change: puts a pinned K3s release on the node, the way K3s' own installer leaves it: binary, links,
# unit, kill and uninstall scripts. Unlike it, all configuration is in config.yaml, a download is checked before it is in
# place, and a second run changes nothing. (K3s' installer deletes the unit before it writes it anew.)
#
# The token is in CONFIG_JSON and from there only in config.yaml, mode 0600: never in an argument, unit or environment.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

BIN=/usr/local/bin
CONFIG=/etc/rancher/k3s/config.yaml
UNIT=/etc/systemd/system/k3s.service
# An etcd datastore is on the disk. Source: k3s pkg/etcd/etcd.go, IsInitialized.
WAL=/var/lib/rancher/k3s/server/db/etcd/member/wal
TRAEFIK_FILE=/var/lib/rancher/k3s/server/manifests/traefik-config.yaml
LOCK=/run/relight-k3s.lock

say() { printf 'k3s.sh: %s\n' "$*" >&2; }
refuse() {
    say "$*"
    exit 10
}

# ---- what is wanted ------------------------------------------------------------------------------------------------

read_input() {
    [ -r "${RELIGHT_INPUT:-}" ] || refuse "RELIGHT_INPUT names no readable file"
    # shellcheck source=/dev/null
    . "$RELIGHT_INPUT"
    [[ ${SHA256:-} =~ ^[0-9a-f]{64}$ ]] || refuse "SHA256 '${SHA256:-}' is no SHA-256: correct k3s.sha256"
    : "${VERSION:?}" "${URL:?}" "${CONFIG_JSON:?}"
    printf '%s' "$CONFIG_JSON" | ROLE=${ROLE:-} python3 -c '
import json, os, sys
config, role = json.load(sys.stdin), os.environ["ROLE"]
sys.exit(not config.get({"first": "cluster-init", "join": "server"}[role]))' 2>/dev/null ||
        refuse "CONFIG_JSON does not fit ROLE '${ROLE:-}': 'first' needs cluster-init, 'join' needs server; without it the node would start a cluster of its own"
}

# Type=notify: ready is told after the API server and etcd are. KillMode=process: a stop leaves the pods running.
unit_text() {
    cat <<'TEXT'
# by relight, after the unit of K3s' own installer
[Unit]
Description=Lightweight Kubernetes
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-/etc/systemd/system/k3s.service.env
User=root
Delegate=yes
KillMode=process
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s server

[Install]
WantedBy=multi-user.target
TEXT
}

# Stops K3s and its pods and takes their mounts, links and firewall chains away. Data stays.
killall_text() {
    cat <<'TEXT'
#!/bin/bash
# by relight: the node without running pods; data, configuration and binary stay
[ "$(id -u)" = 0 ] || exec sudo -n "$0" "$@"
data=${K3S_DATA_DIR:-/var/lib/rancher/k3s}
systemctl stop k3s.service

# shims and all that descends from them
victims() {
    local pid
    for pid in "$@"; do
        echo "$pid"
        # shellcheck disable=SC2046 # a list of numbers
        victims $(pgrep -P "$pid")
    done
}
# shellcheck disable=SC2046 # a list of numbers
doomed=$(victims $(pgrep -f "^$data/data/[^/]*/bin/containerd-shim"))
# shellcheck disable=SC2086 # a list of numbers
[ -z "$doomed" ] || kill -KILL $doomed 2>/dev/null

for under in /run/k3s /var/lib/kubelet/pods /var/lib/kubelet/plugins /run/netns/cni-; do
    awk -v u="$under" 'index($2, u) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mount; do
        umount -f "$mount" && rm -rf "$mount"
    done
done

ip netns list | awk '/^cni-/ { print $1 }' | xargs -r -n 1 ip netns delete
ip -o link show master cni0 2>/dev/null | awk -F': ' '{ sub(/@.*/, "", $2); print $2 }' | xargs -r -n 1 ip link delete
for link in cni0 flannel.1 flannel-v6.1 flannel-wg flannel-wg-v6 kube-ipvs0; do
    [ ! -e "/sys/class/net/$link" ] || ip link delete "$link"
done
rm -rf /var/lib/cni

for tool in iptables ip6tables; do
    rules=$("$tool-save") && grep -v -e KUBE- -e CNI- <<<"$rules" | grep -vi flannel | "$tool-restore"
done
TEXT
}

uninstall_text() {
    cat <<'TEXT'
#!/bin/bash
# by relight: the node without K3s. Deletes volumes of local-path and local snapshots too.
[ "$(id -u)" = 0 ] || exec sudo -n "$0" "$@"
data=${K3S_DATA_DIR:-/var/lib/rancher/k3s}
[ ! -x /usr/local/bin/k3s-killall.sh ] || /usr/local/bin/k3s-killall.sh
systemctl disable k3s.service
rm -f /etc/systemd/system/k3s.service /etc/systemd/system/k3s.service.env
systemctl daemon-reload
systemctl reset-failed k3s.service 2>/dev/null
for link in kubectl crictl ctr; do
    [ "$(readlink "/usr/local/bin/$link")" != k3s ] || rm -f "/usr/local/bin/$link"
done
# a data directory may be a mount of its own: what is in it goes, the mount stays
find "$data" -xdev -mindepth 1 -delete 2>/dev/null
mountpoint -q "$data" || rm -rf --one-file-system "$data"
rm -rf --one-file-system /etc/rancher/k3s /run/k3s /run/flannel /var/lib/kubelet
# last, so that an interrupted run can be run again
rm -f /usr/local/bin/k3s /usr/local/bin/k3s-killall.sh /usr/local/bin/k3s-uninstall.sh
TEXT
}

# Flannel takes the interface of the default route, the public one, unless it is told; peers meet on the one that has node-ip,
# and interfaces' names differ from server type to server type. Source: K3s' documentation, "Agent networking", flannel-iface.
interface() {
    local ip
    ip=$(printf '%s' "$CONFIG_JSON" | python3 -c 'import json, sys; print(json.load(sys.stdin).get("node-ip", ""))')
    ip -o -4 address show 2>/dev/null | awk -v ip="$ip" '{ split($4, a, "/") } a[1] == ip { print $2; exit }'
}
# Where an etcd datastore is on the disk, K3s ignores whom to join and whether to start a cluster (docs.k3s.io, "High
# Availability Embedded etcd"): they stay as they are, whoever is first by now.
config_text() {
    printf '%s' "$CONFIG_JSON" | INTERFACE=$(interface) KEPT=$(if [ -d "$WAL" ]; then echo "$CONFIG"; fi) python3 -c '
import json, os, sys
config = json.load(sys.stdin)
config["flannel-iface"] = os.environ["INTERFACE"]
try:
    with open(os.environ["KEPT"]) as file: kept = json.load(file)
except (OSError, ValueError):
    kept = config
for key in ("cluster-init", "server"):
    config.pop(key, None) if key not in kept else config.update({key: kept[key]})
print(json.dumps(config, sort_keys=True))'
}
traefik_text() { printf '%s\n' "$TRAEFIK"; }

# path, mode, and the function that prints the text
files() {
    cat <<LIST
$CONFIG 600 config_text
$BIN/k3s-killall.sh 755 killall_text
$BIN/k3s-uninstall.sh 755 uninstall_text
LIST
    # Before the first start: K3s applies what it finds there, and its own Traefik chart reads it.
    [ -z "${TRAEFIK:-}" ] || echo "$TRAEFIK_FILE 600 traefik_text"
    echo "$UNIT 644 unit_text" # last: where it is, all else is
}

# ---- what is -------------------------------------------------------------------------------------------------------

digest() { sha256sum | cut -d' ' -f1; }
binary_digest() { if [ -f "$BIN/k3s" ]; then digest <"$BIN/k3s"; fi; }

# The keys of config.yaml that are not as wanted, a line each. Never a value: some are secrets.
differing_keys() {
    config_text | python3 -c '
import json, sys
wanted = json.load(sys.stdin)
try:
    with open(sys.argv[1]) as file: there = dict(json.load(file))
except (OSError, TypeError, ValueError):
    there = {}
for key in sorted({*wanted, *there}):
    if (key in wanted) != (key in there) or wanted.get(key) != there.get(key): print(key)' "$CONFIG"
}

# difference [BUT]: the first thing that is not as wanted, in words; nothing where all is. The content of BUT is not looked at.
difference() {
    local path mode text
    [ -n "$(interface)" ] || { echo "no interface has the address node-ip"; return; }
    [ "$(binary_digest)" = "$SHA256" ] || { echo "$BIN/k3s is another binary than the pinned one"; return; }
    while read -r path mode text; do
        [ -f "$path" ] || { echo "$path is missing"; return; }
        [ "$(stat -c '%a %u' "$path")" = "$mode 0" ] || { echo "$path has other permissions than $mode root"; return; }
        [ "$path" = "${1:-}" ] || [ "$(digest <"$path")" = "$("$text" | digest)" ] || {
            echo "$path has another content$([ "$path" != "$CONFIG" ] || differing_keys | paste -sd, | sed 's/,/, /g; s/^./ in &/')"
            return
        }
    done < <(files)
    [ -n "${TRAEFIK:-}" ] || [ ! -e "$TRAEFIK_FILE" ] || echo "$TRAEFIK_FILE is there and should not"
}

# Whether all that differs is what K3s reads anew at each start, of which nothing in the cluster and no other node depends.
# Unlike these, networks, encryption and what is disabled must be the same on all servers (k3s pkg/cluster/cluster.go and
# docs.k3s.io, "Critical configuration values"), and the token encrypts the datastore.
only_reread() {
    local key
    [ -z "$(difference "$CONFIG")" ] || return 1
    while read -r key; do
        case $key in
        etcd-s3 | etcd-s3-* | etcd-snapshot-* | kubelet-arg | tls-san) ;;
        *) return 1 ;;
        esac
    done < <(differing_keys)
}

property() { systemctl show -p "$1" --value k3s.service; }

# K3s restarts for ever (a joiner does so until the first server answers): only several failures in a row are one.
service_state() {
    case $(property ActiveState)/$(property SubState) in
    active/*) echo running ;;
    activating/auto-restart*) if [ "$(property NRestarts)" -ge 5 ]; then echo failed; else echo starting; fi ;;
    activating/* | reloading/* | deactivating/*) echo starting ;;
    failed/*) echo failed ;;
    *) echo installed ;;
    esac
}

# The last words of K3s. Its log does not hold the token; cut, so that a report stays a report.
last_words() {
    timeout 3 journalctl -u k3s.service -n 40 -o cat --no-pager 2>/dev/null |
        grep -E 'level=(fatal|error)|panic:' | tail -n 1 | tr -d '\r' | cut -c1-300 || true # none yet
}

# Without a quorum the API hangs rather than refuses. Anonymous requests get a 401 on K3s (k3s#3576): its kubeconfig is used.
ready() {
    if [ "$(timeout -k 1 4 "$BIN/k3s" kubectl get --raw /readyz --request-timeout=3s 2>/dev/null)" = ok ]; then
        echo yes
    else
        echo no
    fi
}

report() {
    local state why='' is_ready=no version='' gone
    gone=$(difference)
    if [ -x "$BIN/k3s" ]; then version=$(timeout 5 "$BIN/k3s" --version 2>/dev/null | awk 'NR == 1 { print $3 }') || true; fi
    if [ ! -e "$BIN/k3s" ] && [ ! -e "$UNIT" ]; then
        state=absent
    elif [ -n "$gone" ]; then
        state=differs why=$gone
    elif [ "$version" != "$VERSION" ]; then
        state=differs why="the binary says it is '$version', not '$VERSION'"
    else
        state=$(service_state)
        case $state in
        running | starting) is_ready=$(ready) ;;
        esac
        case $state/$is_ready in
        failed/* | starting/no | running/no) why=$(last_words) ;;
        esac
    fi
    printf 'state=%s\nversion=%s\nbinary_sha256=%s\nready=%s\nwhy=%s\n' "$state" "$version" "$(binary_digest)" "$is_ready" "$why"
    if [ -d "$WAL" ]; then echo datastore=yes; else echo datastore=no; fi
}

# ---- install and start ---------------------------------------------------------------------------------------------

# write PATH MODE <text: a reader sees the old file or the new one, and never one that others may read.
write() {
    local temp
    mkdir -p "${1%/*}"
    temp=$(mktemp -p "${1%/*}" .relight.XXXXXX)
    cat >"$temp"
    chmod "$2" "$temp"
    sync "$temp"
    mv "$temp" "$1"
}

# Beside its place, so that the move is a rename; removed by the trap whatever happens.
fetch() {
    local rc=0
    part=$BIN/.k3s.relight
    trap 'rm -f "$part"' EXIT
    rm -f "$part"
    curl --fail --silent --show-error --location --proto '=https,http,file' --proto-redir '=https' \
        --connect-timeout 10 --speed-limit 10240 --speed-time 30 --max-time 600 --output "$part" "$URL" || rc=$?
    if [ "$rc" != 0 ]; then
        say "the K3s binary did not come from $URL (curl: $rc); it is tried again"
        exit 11
    fi
    printf '%s  %s\n' "$SHA256" "$part" | sha256sum --check --status ||
        refuse "$URL is not the pinned binary: it has SHA-256 $(digest <"$part"), wanted $SHA256. Nothing was put in place; check k3s.version and k3s.sha256"
    chmod 0755 "$part"
    sync "$part"
    mv "$part" "$BIN/k3s"
}

install_k3s() {
    local path mode text link
    if [ -z "$(difference)" ]; then return; fi
    case $(service_state) in
    running | starting)
        if [ -d "$WAL" ]; then
            only_reread || refuse "K3s is running here, and what differs is not changed under it: $(difference)"
            say "K3s is running here, and what differs takes a restart ('change'): $(difference)"
            exit 12
        fi
        # It only asks to join: nothing is lost with it.
        systemctl stop k3s.service
        ;;
    esac
    if [ -z "$(interface)" ]; then
        say "no interface of this node has the address node-ip yet"
        exit 11
    fi
    # A copy that was cut off by a kill may hold the token.
    rm -f /etc/rancher/k3s/.relight.* "$BIN"/.relight.* "$BIN/.k3s.relight"
    [ "$(binary_digest)" = "$SHA256" ] || fetch
    for link in kubectl crictl ctr; do
        [ -n "$(command -v "$link")" ] || ln -s k3s "$BIN/$link"
    done
    [ -n "${TRAEFIK:-}" ] || rm -f "$TRAEFIK_FILE"
    install -d -m 0755 /var/lib/rancher /var/lib/rancher/k3s
    install -d -m 0700 /var/lib/rancher/k3s/server
    while read -r path mode text; do "$text" | write "$path" "$mode"; done < <(files)
    systemctl daemon-reload
}

# What K3s reads anew, and one restart. Its pods go on; this node's API and etcd are away until it is ready again: who calls sees to
# it that the other nodes are well. Stopped first: one that runs has always read what is in place.
change_k3s() {
    [ -n "$(difference)" ] || return 0
    only_reread || refuse "more differs than a restart can change: $(difference)"
    rm -f /etc/rancher/k3s/.relight.*
    trap 'systemctl start --no-block k3s.service' EXIT
    systemctl stop k3s.service
    config_text | write "$CONFIG" 600
}

# Without waiting: K3s tells systemd that it is ready only when its API is, which for a joiner may be never.
start_k3s() {
    local gone
    gone=$(difference)
    [ -z "$gone" ] || refuse "not installed as wanted: $gone. Run install first"
    systemctl daemon-reload
    systemctl --quiet enable k3s.service
    systemctl reset-failed k3s.service 2>/dev/null || true # it may not be loaded yet
    systemctl start --no-block k3s.service
}

verb=${1:-}
case $verb in
check) read_input ;;
install | start | change)
    read_input
    exec 9>"$LOCK"
    flock -w 30 9 || { say "another k3s.sh is at work"; exit 11; }
    "${verb}_k3s" 9>&-
    ;;
*)
    say "unknown verb '$verb'; it knows check, install, start, change"
    exit 2
    ;;
esac
report
