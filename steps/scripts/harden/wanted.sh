# shellcheck shell=bash
# What harden.sh wants of a node, as lines; and its input. A part of harden.sh, which holds the names in capitals.

read_input() {
    [ -r "${RELIGHT_INPUT:-}" ] || refuse "RELIGHT_INPUT names no readable file"
    # shellcheck source=/dev/null
    . "$RELIGHT_INPUT"
    [[ ${DEPLOY_USER:-} =~ ^[a-z_][a-z0-9_-]{0,31}$ && $DEPLOY_USER != root ]] ||
        refuse "DEPLOY_USER '${DEPLOY_USER:-}' is not a plain user name: correct cloud.user"
    [[ ${AUTHORIZED_KEYS:-} == *[![:space:]]* ]] || refuse "AUTHORIZED_KEYS is empty: nobody could log in"
    local line cidr
    while read -r line; do
        [ -z "$line" ] || ssh-keygen -l -f - <<<"$line" >/dev/null 2>&1 ||
            refuse "'$line' is no public key: correct cloud.ssh_authorized_keys"
    done <<<"$AUTHORIZED_KEYS"
    REVERT_AFTER=${REVERT_AFTER:-120} # seconds
    [[ $REVERT_AFTER =~ ^[1-9][0-9]{0,3}$ ]] || refuse "REVERT_AFTER '$REVERT_AFTER' is not a number of seconds"
    command -v ufw >/dev/null || refuse "ufw is not on this image: use one that has it (Ubuntu does), or install it first"
    locate_keys
    pods=$(network "${POD_CIDR:?}")
    services=$(network "${SERVICE_CIDR:?}")
    api=()
    for cidr in ${API_ACCESS:-}; do
        cidr=$(network "$cidr")
        api+=("$cidr")
    done
}

# A user not yet made gets useradd's default.
locate_keys() {
    local home
    home=$(getent passwd "$DEPLOY_USER" | cut -d: -f6) || true # getent's status for nobody
    # shellcheck disable=SC2034 # read in the other parts
    KEYS=${home:-/home/$DEPLOY_USER}/.ssh/authorized_keys
}

# A CIDR as ufw writes it: host bits cleared, no /32 or /128, `any` for everything. (ufw itself needs python3.)
network() {
    python3 -c 'import ipaddress, sys
n = ipaddress.ip_network(sys.argv[1], strict=False)
print("any" if n.prefixlen == 0 else n.network_address if n.num_addresses == 1 else n)' "$1" 2>/dev/null ||
        refuse "'$1' is no CIDR: correct it in relight.yaml"
}

sshd_text() {
    cat <<TEXT
# by relight: keys alone, nobody as root
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthenticationMethods publickey
PermitEmptyPasswords no
X11Forwarding no
AllowAgentForwarding no
AllowTcpForwarding local
LoginGraceTime 30
TEXT
}

sudoers_text() { printf '# by relight\n%s ALL=(ALL:ALL) NOPASSWD: ALL\n' "$DEPLOY_USER"; }

# Many pods watch many files; the kernel's defaults (128 instances) make kubelet fail with "too many open files".
sysctl_text() {
    cat <<TEXT
# by relight
fs.inotify.max_user_instances = 1024
fs.inotify.max_user_watches = 524288
net.ipv4.ip_forward = 1
TEXT
}

journald_text() { printf '# by relight\n[Journal]\nSystemMaxUse=1G\nMaxRetentionSec=1month\n'; }

apt_text() {
    cat <<'TEXT'
// by relight: nobody is there to answer
DPkg::Lock::Timeout "120";
Dpkg::Options { "--force-confdef"; "--force-confold"; };
TEXT
}

# shellcheck disable=SC2016 # Perl's variable, not the shell's
needrestart_text() { printf '# by relight: list, ask nothing, restart nothing\n$nrconf{restart} = "l";\n'; }

# Table mangle, because K3s' own chains accept pods' packets in table filter before ufw's are asked, and because neither a
# `ufw reload` nor K3s touches it. Processes of the node itself (cloud-init) keep their way.
metadata_text() {
    cat <<TEXT
# by relight: pods must not read the cloud's metadata service (it holds the user_data)
[Unit]
Description=Metadata service closed to pods
Before=network-online.target k3s.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'iptables -w 10 -t mangle -C ${CLOSED[*]} 2>/dev/null || iptables -w 10 -t mangle -I ${CLOSED[*]}'

[Install]
WantedBy=multi-user.target
TEXT
}

# path, mode, and the function that prints the text
files() {
    cat <<LIST
/etc/sudoers.d/95-relight 440 sudoers_text
/etc/sysctl.d/90-relight.conf 644 sysctl_text
/etc/systemd/journald.conf.d/90-relight.conf 644 journald_text
/etc/apt/apt.conf.d/90relight 644 apt_text
/etc/needrestart/conf.d/90-relight.conf 644 needrestart_text
/etc/systemd/system/$METADATA 644 metadata_text
LIST
}

# As `ufw show added` prints them.
ufw_rules() {
    local cidr
    printf 'ufw allow %s/tcp\n' 22 80 443
    printf 'ufw allow from %s\n' "$pods" "$services"
    for cidr in "$pods" "$services"; do
        printf 'ufw route allow from %s\nufw route allow to %s\n' "$cidr" "$cidr"
    done
    for cidr in ${api[@]+"${api[@]}"}; do
        if [ "$cidr" = any ]; then echo 'ufw allow 6443/tcp'; else echo "ufw allow from $cidr to any port 6443 proto tcp"; fi
    done
}

wanted() {
    local path mode text
    while read -r path mode text; do
        printf 'file %s %s 0:0 %s\n' "$path" "$mode" "$("$text" | digest)"
    done < <(files)
    printf 'user %s present\n' "$DEPLOY_USER"
    sysctl_text | grep -v '^#' | sed 's/^/sysctl /'
    printf '%s\n' 'swap off' 'time on' 'metadata closed' "spec ${SPEC:-}" 'apply finished'
    printf 'access keys 600 %s %s\n' "$DEPLOY_USER" "$(printf '%s\n' "$AUTHORIZED_KEYS" | digest)"
    printf 'access file %s 644 0:0 %s\n' "$SSHD" "$(sshd_text | digest)"
    sshd_text | grep -v '^#' | awk -v u="$DEPLOY_USER" \
        '{ v = tolower($1); $1 = ""; print "access sshd root " v $0; print "access sshd " u " " v $0 }'
    printf 'access ufw %s\n' 'enabled yes' 'ipv6 yes' 'input DROP' 'output ACCEPT' 'forward DROP' 'kernel as-in-files'
    ufw_rules | sort -u | sed 's/^ufw/access ufw rule/'
}
