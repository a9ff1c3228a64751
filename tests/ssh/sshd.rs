//! The same provider against a real sshd, where there is one: it needs root for its own sake, and is skipped without.

use crate::node::{free_address, key, provider, USER_KEY};
use relight::world::{Class, Host, Identity, Script, Shell};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

struct Sshd {
    dir: tempfile::TempDir,
    address: IpAddr,
    child: Child,
}

impl Sshd {
    /// `None`, and one line that says why, where there is no sshd that could run.
    fn start() -> Option<Self> {
        let places = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"];
        let Some(sshd) = places.map(PathBuf::from).into_iter().find(|path| path.exists()) else {
            println!("skipped: there is no sshd on this machine");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        if std::os::unix::fs::MetadataExt::uid(&dir.path().metadata().unwrap()) != 0 || !Path::new("/run/sshd").exists()
        {
            println!("skipped: sshd needs root and /run/sshd");
            return None;
        }
        let address = free_address();
        let put = |name: &str, text: &[u8], mode: u32| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        };
        put("bin/systemd-run", include_bytes!("systemd-run.sh"), 0o755);
        put("bin/systemctl", include_bytes!("systemctl.sh"), 0o755);
        put("host_key", key(10).private_openssh.expose(), 0o600);
        put("authorized", format!("{}\n", key(USER_KEY).public).as_bytes(), 0o600);
        let at = dir.path().display();
        let config = format!(
            "Port 10022\nListenAddress {address}\nHostKey {at}/host_key\nAuthorizedKeysFile {at}/authorized\n\
             StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\nPidFile none\n\
             SetEnv RELIGHT_BASE={at}/run FAKE={at} PATH={at}/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        );
        put("config", config.as_bytes(), 0o600);
        let child = Command::new(sshd)
            .args(["-D", "-e", "-f"])
            .arg(dir.path().join("config"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::net::TcpStream::connect((address, 10022)).is_err() {
            std::thread::yield_now();
        }
        Some(Self { dir, address, child })
    }

    fn host(&self, accepted: u8) -> Host {
        Host {
            address: self.address,
            user: "root".into(),
            host_keys: vec![key(accepted).public],
            identity: Identity::Key(key(USER_KEY).private_openssh),
        }
    }

    /// Breaks every open connection: ends the processes that this sshd made for them.
    fn cut(&self) -> usize {
        let children =
            Command::new("ps").args(["-o", "pid=", "--ppid", &self.child.id().to_string()]).output().unwrap();
        let text = String::from_utf8(children.stdout).unwrap();
        text.split_whitespace().filter(|pid| Command::new("kill").args(["-9", pid]).status().unwrap().success()).count()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.cut();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn script(body: &str) -> Script {
    let input = [("WORD".to_owned(), relight::world::Secret::new("it's"))].into();
    let body = format!("#!/usr/bin/env bash\nset -euo pipefail\n. \"$RELIGHT_INPUT\"\n{body}\n").into();
    Script { name: "try.sh".into(), body, verb: "check".into(), input }
}

#[tokio::test]
async fn a_real_sshd_and_a_real_bash_answer_as_the_sandbox_does() {
    let Some(sshd) = Sshd::start() else { return };
    let (ssh, host) = (Arc::new(provider()), sshd.host(10));
    let body = "printf '%s %s' \"$WORD\" \"$1\"; echo said >&2; exit 10";
    let looks: Vec<_> = (0..20)
        .map(|_| {
            let (ssh, host) = (ssh.clone(), host.clone());
            tokio::spawn(async move { ssh.look(&host, &script(body)).await })
        })
        .collect();
    for look in looks {
        let ended = look.await.unwrap().unwrap();
        assert_eq!((ended.exit, ended.stdout.as_str()), (10, "it's check"));
        // This machine's own shell start-up files may have said something before.
        assert!(ended.stderr.ends_with("said\n"), "{}", ended.stderr);
    }
    assert_eq!(ssh.seen_host_key(sshd.address).await.unwrap(), Some(key(10).public));
    let error = ssh.look(&sshd.host(11), &script("exit 0")).await.unwrap_err();
    assert!(error.class == Class::Fatal && error.is("host_key"), "{error:?}");
    let mut stranger = sshd.host(10);
    stranger.identity = Identity::Key(key(99).private_openssh);
    let error = ssh.look(&stranger, &script("exit 0")).await.unwrap_err();
    assert!(error.class == Class::Transient && error.is("permission_denied"), "{error:?}");
}

#[tokio::test]
async fn on_a_real_sshd_a_run_outlives_its_connections() {
    let Some(sshd) = Sshd::start() else { return };
    let (ssh, host) = (Arc::new(provider()), sshd.host(10));
    let [begun, go] = ["begun", "go"].map(|name| sshd.path(name));
    let body = format!(
        "echo begun >>'{}'; until [ -e '{}' ]; do sleep 0.02; done; echo \"word=$WORD\"; exit 3",
        begun.display(),
        go.display()
    );
    let run = tokio::spawn({
        let (ssh, host, body) = (ssh.clone(), host.clone(), body.clone());
        async move { ssh.run_for_step("k3s[node-1]", &host, &script(&body)).await }
    });
    while !begun.exists() {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        assert!(sshd.cut() > 0);
        ssh.look(&host, &script("exit 0")).await.unwrap();
    }
    std::fs::write(&go, "").unwrap();
    let ended = run.await.unwrap().unwrap();
    assert_eq!((ended.exit, ended.value("word")), (3, Some("it's")));
    assert_eq!(std::fs::read_to_string(begun).unwrap(), "begun\n");
}

#[tokio::test]
async fn on_a_real_sshd_a_tunnel_carries_bytes() {
    let Some(sshd) = Sshd::start() else { return };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = axum::Router::new().route("/", axum::routing::get(|| async { "ok" }));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let ssh = provider();
    let at = ssh.tunnel(&sshd.host(10), port).await.unwrap();
    for _ in 0..2 {
        assert_eq!(crate::tunnels::fetch_again(at, "/").await, "ok");
        assert!(sshd.cut() > 0);
    }
}
