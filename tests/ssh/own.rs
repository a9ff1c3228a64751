//! Logging in as the operator: with their keys, and with nothing else of theirs.

use crate::node::{key, provider_of, script, Node, USER_KEY};
use relight::providers::Operator;
use relight::world::{Class, Host, Identity, Shell};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn own(node: &Node, accepted: &[u8]) -> Host {
    Host { identity: Identity::Own, ..node.host(accepted) }
}

fn put(directory: &Path, name: &str, text: &[u8]) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn put_key(directory: &Path, seed: u8) -> PathBuf {
    put(directory, "id_ed25519", key(seed).private_openssh.expose())
}

#[tokio::test]
async fn a_sandbox_is_entered_with_the_key_in_its_directory_and_with_no_other() {
    let (node, home) = (Node::boot(10).await, tempfile::tempdir().unwrap());
    put_key(home.path(), USER_KEY);
    let ssh = provider_of(Operator::Sandbox { directory: home.path().to_owned() });
    ssh.look(&own(&node, &[10]), &script("echo.sh", "check", &[])).await.unwrap();
    // A connection that was made as one is never used by the other.
    let run = Host { identity: Identity::Key(key(99).private_openssh), ..own(&node, &[10]) };
    assert!(ssh.look(&run, &script("echo.sh", "check", &[])).await.unwrap_err().is("permission_denied"));
    let error = ssh.look(&own(&node, &[11]), &script("echo.sh", "check", &[])).await.unwrap_err();
    assert!(error.class == Class::Fatal && error.is("host_key"), "host keys stay pinned: {error:?}");
    put_key(home.path(), 99);
    ssh.reconnect(&run).await.unwrap();
    let error = ssh.look(&own(&node, &[10]), &script("echo.sh", "check", &[])).await.unwrap_err();
    assert!(error.class == Class::Fatal && error.remedy.contains("ssh-add"), "nothing that passes: {error:?}");
}

#[tokio::test]
async fn a_persons_configuration_says_which_key_and_nothing_else() {
    let (node, home) = (Node::boot(10).await, tempfile::tempdir().unwrap());
    let key_file = put_key(home.path(), USER_KEY);
    let hosts = put(home.path(), "hosts", format!("* {}\n", key(11).public).as_bytes());
    let marker = home.path().join("marker");
    let config = format!(
        "Host {}\n  IdentityFile {}\n  IdentitiesOnly yes\nHost *\n  HostName 127.0.0.1\n  Port 1\n  User nobody\n  \
         HostKeyAlias other\n  UserKnownHostsFile {hosts}\n  StrictHostKeyChecking no\n  KnownHostsCommand /bin/echo * {}\n  \
         NoHostAuthenticationForLocalhost yes\n  ProxyCommand touch {marker}\n  LocalForward 1 localhost:1\n  \
         PubkeyAuthentication no\n  PreferredAuthentications password\n  BatchMode no\n  RemoteCommand touch {marker}\n  \
         RequestTTY force\n  PermitLocalCommand yes\n  LocalCommand touch {marker}\n  LogLevel DEBUG3\n",
        node.address,
        key_file.display(),
        key(11).public,
        hosts = hosts.display(),
        marker = marker.display(),
    );
    let ssh_config = Some(put(home.path(), "config", config.as_bytes()));
    let ssh = provider_of(Operator::Person { ssh_config: ssh_config.clone() });
    let ended = ssh.look(&own(&node, &[10]), &script("echo.sh", "check", &[("OUT", "in")])).await.unwrap();
    assert_eq!(ended.stdout, "in");
    ssh.reconnect(&own(&node, &[10])).await.unwrap();
    // Their known hosts would take the key 11, and ask nobody.
    *node.backend.host_key.lock().unwrap() = Some(key(11).private_openssh);
    let error = ssh.look(&own(&node, &[10]), &script("echo.sh", "check", &[])).await.unwrap_err();
    assert!(error.class == Class::Fatal && error.is("host_key"), "{error:?}");
    assert!(!marker.exists(), "a command of theirs was run");
    let known = ssh.known_host_keys(node.address).await.unwrap();
    assert_eq!(known.here, [key(11).public], "for comparison alone");
}

#[tokio::test]
async fn a_broken_configuration_of_the_persons_is_told_as_theirs() {
    let (node, home) = (Node::boot(10).await, tempfile::tempdir().unwrap());
    let ssh_config = Some(put(home.path(), "config", b"Host *\n  Nonsense yes\n"));
    let ssh = provider_of(Operator::Person { ssh_config });
    let error = ssh.look(&own(&node, &[10]), &script("echo.sh", "check", &[])).await.unwrap_err();
    assert!(error.class == Class::Fatal && error.what.contains("your own SSH configuration"), "{error:?}");
}

/// The agent of a person, with one key in it.
struct Agent {
    child: std::process::Child,
    socket: PathBuf,
}

impl Agent {
    /// None where this machine has no agent's program.
    fn with(home: &Path, seed: u8) -> Option<Self> {
        let socket = home.join("agent");
        let mut program = std::process::Command::new("ssh-agent");
        let child = program.arg("-D").arg("-a").arg(&socket).stdout(std::process::Stdio::null()).spawn().ok()?;
        let agent = Self { child, socket };
        while std::os::unix::net::UnixStream::connect(&agent.socket).is_err() {
            std::thread::yield_now();
        }
        let key = put(home, "loaded", key(seed).private_openssh.expose());
        let mut add = std::process::Command::new("ssh-add");
        assert!(add.arg("-q").arg(&key).env("SSH_AUTH_SOCK", &agent.socket).status().unwrap().success());
        fs::remove_file(key).unwrap();
        Some(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_key_that_is_in_the_persons_agent_alone_opens_the_node_and_a_runs_key_is_never_the_agents() {
    let (node, home) = (Node::boot(10).await, tempfile::tempdir().unwrap());
    let Some(agent) = Agent::with(home.path(), USER_KEY) else { return println!("skipped: no ssh-agent") };
    let config = format!("IdentityAgent {}\nIdentityFile {}/none\n", agent.socket.display(), home.path().display());
    let ssh_config = Some(put(home.path(), "config", config.as_bytes()));
    let ssh = provider_of(Operator::Person { ssh_config });
    ssh.look(&own(&node, &[10]), &script("echo.sh", "check", &[])).await.unwrap();
    let run = Host { identity: Identity::Key(key(99).private_openssh), ..own(&node, &[10]) };
    assert!(ssh.look(&run, &script("echo.sh", "check", &[])).await.unwrap_err().is("permission_denied"));
}
