# shellcheck shell=bash disable=SC2016,SC2034,SC2317 # lines for the machine; globals of ../machine.sh; called by name
# k3s.sh with a stand-in for the binary; etcd.sh with a gateway of the test's own; kubeconfig.sh, token.sh.

TOKEN=canary-of-the-join-token
stand_in() { root "mkdir -p /run/stand-in; echo '$1' >/run/stand-in/mode; echo '$2' >/run/stand-in/readyz"; }
k3s_input() {
    local sha
    sha=$(sha256sum "$ROOT/opt/relight/k3s-stand-in" | cut -d' ' -f1)
    input VERSION v1.34.6+k3s1 SHA256 "${1:-$sha}" URL "${2:-file:///opt/relight/k3s-stand-in}" ROLE "${4:-first}" SPEC s \
        CONFIG_JSON "{\"cluster-init\":true,\"token\":\"$TOKEN\",\"node-ip\":\"${5:-$IP}\",\"note\":\"${3:-}it's\"}" \
        TRAEFIK "$(printf 'kind: HelmChartConfig\nspec: {valuesContent: "a"}')"
}
WAL=/var/lib/rancher/k3s/server/db/etcd/member/wal
# The same configuration for a node that joins another one instead of starting the cluster.
joins_instead() {
    local sha
    sha=$(sha256sum "$ROOT/opt/relight/k3s-stand-in" | cut -d' ' -f1)
    input VERSION v1.34.6+k3s1 SHA256 "$sha" URL file:///opt/relight/k3s-stand-in ROLE join SPEC s \
        CONFIG_JSON "{\"server\":\"https://192.0.2.7:6443\",\"token\":\"$TOKEN\",\"node-ip\":\"$IP\",\"note\":\"other it's\"}" \
        TRAEFIK "$(printf 'kind: HelmChartConfig\nspec: {valuesContent: "a"}')"
}
k3s_state() { run k3s.sh check && value state; }
becomes() { [ "$(k3s_state)" = "$1" ]; }
leftovers() { root 'ls -A /usr/local/bin /etc/rancher /etc/systemd/system/k3s.service 2>/dev/null | grep -i -e k3s -e relight'; }

case_k3s() {
    local before nothing total n
    LOGIN=deploy
    nothing=$(printf 'wrong' | sha256sum | cut -d' ' -f1)
    k3s_input
    is "k3s: absent" "$(k3s_state)" absent
    k3s_input "$nothing"
    run k3s.sh install
    is "k3s: another binary than the pinned one is refused" "$RC" 10
    is "k3s: and leaves nothing in place" "$(leftovers)" ""
    k3s_input "" file:///nowhere
    run k3s.sh install
    is "k3s: a download that fails may be tried again" "$RC" 11
    is "k3s: and leaves nothing in place either" "$(leftovers)" ""
    k3s_input "" "" "" join
    run k3s.sh install
    is "k3s: a joiner without a server to join is refused" "$RC" 10
    k3s_input "" "" "" first 192.0.2.9
    run k3s.sh install
    is "k3s: an address that no interface has may come yet" "$RC" 11
    is "k3s: and nothing is in place" "$(leftovers)" ""
    k3s_input
    total=$(commands k3s.sh install)
    for n in 1 2 3 4 5; do
        root '/usr/local/bin/k3s-uninstall.sh' >/dev/null 2>&1
        killed k3s.sh install $((total * n / 8))
        no "k3s: a half-made install is not taken for a whole one" becomes installed
        run k3s.sh install
        is "k3s: a second run finishes it" "$RC/$(value state)" 0/installed
    done
    is "k3s: installed" "$RC/$(value state)/$(value version)/$(value ready)" 0/installed/v1.34.6+k3s1/no
    is "k3s: no temporary file is left" "$(root 'ls -A /usr/local/bin /etc/rancher/k3s | grep relight')" ""
    is "k3s: the config is root's alone" "$(root 'stat -c "%a %U" /etc/rancher/k3s/config.yaml')" "600 root"
    ok "k3s: and is what was given" root "grep -q \"it's\" /etc/rancher/k3s/config.yaml"
    ok "k3s: flannel is told the interface of node-ip" root "grep -q '\"flannel-iface\": \"host0\"' /etc/rancher/k3s/config.yaml"
    is "k3s: links as of K3s" "$(root 'for l in kubectl crictl ctr; do readlink /usr/local/bin/$l; done' | paste -sd' ')" "k3s k3s k3s"
    ok "k3s: Traefik's file is there before the first start" root 'test -s /var/lib/rancher/k3s/server/manifests/traefik-config.yaml'
    no "k3s: the token is in no unit" root "grep -r $TOKEN /etc/systemd"
    before=$(root 'find /usr/local/bin /etc/rancher /etc/systemd/system/k3s.service /var/lib/rancher -printf "%p %T@ %C@\n" | sort')
    run k3s.sh install
    is "k3s: a second install changes nothing" \
        "$RC/$(root 'find /usr/local/bin /etc/rancher /etc/systemd/system/k3s.service /var/lib/rancher -printf "%p %T@ %C@\n" | sort')" "0/$before"

    stand_in slow no
    run k3s.sh start
    is "k3s: start does not wait" "$RC/$(value state)/$(value ready)" 0/starting/no
    is "k3s: the token is in no process's arguments" "$(root "grep -l ${TOKEN/c/[c]} /proc/[0-9]*/cmdline 2>/dev/null")" ""
    stand_in quick ok
    root 'systemctl restart k3s'
    run k3s.sh check
    is "k3s: running and ready" "$(value state)/$(value ready)" running/yes
    ok "k3s: enabled for the next boot" root 'systemctl is-enabled k3s'
    stand_in quick hang
    run k3s.sh check
    is "k3s: an API that hangs is not ready, and the check ends" "$RC/$(value state)/$(value ready)" 0/running/no
    run k3s.sh install
    is "k3s: an install of what runs changes nothing" "$RC" 0
    k3s_input "" "" "other "
    is "k3s: another configuration differs" "$(k3s_state)" differs
    run k3s.sh install
    is "k3s: one that has joined nothing yet is stopped for it" "$RC/$(value state)/$(value datastore)" 0/installed/no
    run k3s.sh start
    k3s_input
    root "mkdir -p $WAL"
    run k3s.sh check
    is "k3s: a datastore is seen" "$(value state)/$(value datastore)" differs/yes
    run k3s.sh install
    is "k3s: and the configuration is not changed under a running K3s that has one" "$RC" 10
    ok "k3s: and what differs is named" grep -qF 'not changed under it: /etc/rancher/k3s/config.yaml has another content in note' <<<"$ERR"
    case_k3s_change
    k3s_input "" "" "other "
    joins_instead
    is "k3s: whom to join is settled where there is a datastore" "$(k3s_state)" running
    root "rm -rf $WAL"
    is "k3s: and only there" "$(k3s_state)" differs
    k3s_input
    run k3s.sh install
    run k3s.sh start
    k3s_input "$nothing"
    is "k3s: another pinned binary differs" "$(k3s_state)" differs
    k3s_input
    root 'sed -i s/5s/6s/ /etc/systemd/system/k3s.service'
    is "k3s: an edited unit differs" "$(k3s_state)" differs
    root 'sed -i s/6s/5s/ /etc/systemd/system/k3s.service'
    stand_in crash no
    root 'mkdir -p /run/systemd/system/k3s.service.d; printf "[Service]\nRestartSec=50ms\n" >/run/systemd/system/k3s.service.d/quick.conf
          systemctl daemon-reload; systemctl restart --no-block k3s'
    ok "k3s: one that crashes again and again has failed" within 30 becomes failed
    run k3s.sh check
    is "k3s: and says its last words" "$(value why)" 'level=fatal msg="stand-in was told to crash"'
    stand_in quick ok
    run k3s.sh start
    ok "k3s: it is started again" within 20 becomes running
    case_etcd
    case_kubeconfig
    case_token
    ok "k3s: uninstall ends well" root '/usr/local/bin/k3s-uninstall.sh'
    is "k3s: absent again" "$(k3s_state)" absent
    is "k3s: nothing is left" "$(leftovers; root 'ls -d /var/lib/rancher/k3s /etc/rancher/k3s 2>/dev/null')" ""
    spec A
    run harden.sh check
    is "k3s: its kill script took nothing of the firewall" "$RC/$(value state)" 0/as-specified
}

# What K3s reads anew at each start is changed by one restart. Called with a datastore, and another `note` in place.
case_k3s_change() {
    local before
    with_snapshots() {
        local sha
        sha=$(sha256sum "$ROOT/opt/relight/k3s-stand-in" | cut -d' ' -f1)
        input VERSION v1.34.6+k3s1 SHA256 "$sha" URL file:///opt/relight/k3s-stand-in ROLE first SPEC s \
            CONFIG_JSON "{\"cluster-init\":true,\"token\":\"$TOKEN\",\"node-ip\":\"$IP\",\"note\":\"${2:-other }it's\",\"etcd-s3-secret-key\":\"$1\",\"etcd-snapshot-retention\":7}" \
            TRAEFIK "$(printf 'kind: HelmChartConfig\nspec: {valuesContent: "a"}')"
    }
    started() { root 'systemctl show -p ExecMainPID --value k3s'; }
    before=$(started)
    with_snapshots canary-of-the-key
    run k3s.sh check
    is "k3s: other snapshots differ, by name and not by value" "$(value state)/$(value why)" \
        "differs//etc/rancher/k3s/config.yaml has another content in etcd-s3-secret-key, etcd-snapshot-retention"
    run k3s.sh install
    is "k3s: an install says that they take a restart" "$RC" 12
    no "k3s: and no value of a secret" grep canary-of-the-key <<<"$ERR"
    is "k3s: and restarts nothing" "$(started)" "$before"
    run k3s.sh change
    is "k3s: a change is made" "$RC" 0
    ok "k3s: and K3s runs again" within 20 becomes running
    no "k3s: by one restart" test "$(started)" = "$before"
    ok "k3s: with the new configuration" root 'grep -q canary-of-the-key /etc/rancher/k3s/config.yaml'
    before=$(started)
    run k3s.sh change
    is "k3s: a second change changes nothing" "$RC/$(started)" "0/$before"
    with_snapshots canary-of-the-key "another "
    run k3s.sh change
    is "k3s: what a restart cannot change is refused" "$RC/$(started)" "10/$before"
    # As it was, for what comes next.
    k3s_input "" "" "other "
    run k3s.sh change
    ok "k3s: and taken back" within 20 becomes running
}

# The gateway as etcd serves it: TLS, and only to a client with K3s' certificate.
case_etcd() {
    run etcd.sh check
    is "etcd: nobody yet" "$RC/$(value voters)/$(value datastore)" 0/0/no
    cat >"$ROOT/opt/relight/gateway.py" <<'PY'
import http.server, json, ssl
class Gateway(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v3/cluster/member/list" and asked == {"linearizable": True}
        body = json.dumps({"header": {}, "members": [{"ID": "1", "name": "node-1-0a1b2c3d"}, {"ID": "2", "name": "node-2-11223344"},
                           {"ID": "3", "name": "node-3-55667788", "isLearner": True}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
t = "/var/lib/rancher/k3s/server/tls/etcd/"
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_verify_locations(t + "server-ca.crt")
context.verify_mode = ssl.CERT_REQUIRED
context.load_cert_chain(t + "server.crt", t + "server.key")
server = http.server.HTTPServer(("127.0.0.1", 2382), Gateway)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
PY
    root 'set -e; mkdir -p /var/lib/rancher/k3s/server/tls/etcd; cd /var/lib/rancher/k3s/server/tls/etcd
        new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=$1 2>/dev/null; }
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out server-ca.crt -subj /CN=ca -days 2 2>/dev/null
        for c in client server; do new $c
            openssl x509 -req -in $c.csr -CA server-ca.crt -CAkey ca.key -CAcreateserial -days 2 -out $c.crt \
                -extfile <(echo subjectAltName=IP:127.0.0.1) 2>/dev/null; done
        systemd-run --quiet --unit=gateway python3 /opt/relight/gateway.py'
    etcd_voters() { run etcd.sh check && [ "$(value voters)" = "$1" ]; }
    ok "etcd: two voters" within 10 etcd_voters 2
    is "etcd: and a learner" "$(value learners) $(value members)" \
        "1 node-1-0a1b2c3d:voter,node-2-11223344:voter,node-3-55667788:learner"
    root 'systemctl kill --signal=STOP gateway'
    run etcd.sh check
    is "etcd: one that hangs has no voters, and the check ends" "$RC/$(value voters)" 0/0
    root 'systemctl kill --signal=KILL gateway'
}

case_kubeconfig() {
    run kubeconfig.sh check
    is "kubeconfig: not yet" "$RC" 11
    root 'printf "apiVersion: v1\nkind: Config\n" >/etc/rancher/k3s/k3s.yaml'
    run kubeconfig.sh check
    is "kubeconfig: as K3s wrote it" "$RC/$OUT" $'0/apiVersion: v1\nkind: Config'
}

case_token() {
    run token.sh check
    is "token: not yet" "$RC" 11
    root 'mkdir -p /var/lib/rancher/k3s/server && echo K10ab::server:secret >/var/lib/rancher/k3s/server/token'
    run token.sh check
    is "token: as K3s wrote it" "$RC/$OUT" 0/K10ab::server:secret
}
