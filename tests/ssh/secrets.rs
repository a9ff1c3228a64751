//! What nobody may see, what a person sees, and what is left behind.

use crate::node::{key, provider, script, Node, USER_KEY};
use relight::world::Shell;
use std::sync::atomic::Ordering;
use std::sync::Arc;

const CANARY: &str = "canary-5f2c9e";

/// Argument lists and environments of every process that this user may read, but for this test's own environment.
fn processes() -> Vec<(u32, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.map(|pid| {
        let mut all = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        all.extend(std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default());
        (pid, all)
    })
    .collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn no_secret_is_in_an_argument_an_environment_or_an_error() {
    let node = Node::boot(10).await;
    let (ssh, host) = (Arc::new(provider()), node.host(&[10]));
    node.backend.hold_looks.store(true, Ordering::SeqCst);
    let secret = script("echo.sh", "check", &[("TOKEN", CANARY), ("OUT", "x")]);
    let look = tokio::spawn({
        let (ssh, host, secret) = (ssh.clone(), host.clone(), secret.clone());
        async move { ssh.look(&host, &secret).await }
    });
    let mut seen = false;
    while !seen || node.backend.asked.lock().unwrap().looks.is_empty() {
        for (pid, bytes) in processes() {
            seen |= holds(&bytes, &node.address.to_string());
            assert!(!holds(&bytes, CANARY), "process {pid}");
            assert!(!holds(&bytes, "OPENSSH PRIVATE KEY"), "process {pid}");
        }
        tokio::task::yield_now().await;
    }
    node.backend.cut_connections();
    let broken = look.await.unwrap().unwrap_err();
    let stranger = node.host(&[77]);
    let mut odd = secret.clone();
    odd.input.insert("ZERO".into(), relight::world::Secret::new(format!("{CANARY}\0")));
    let unasked = [ssh.look(&stranger, &secret).await.unwrap_err(), ssh.look(&host, &odd).await.unwrap_err()];
    let errors = unasked.into_iter().chain([broken]);
    for error in errors {
        let text = format!("{error:?} {error}");
        assert!(!text.contains(CANARY) && !text.contains("PRIVATE KEY"), "{text}");
    }
}

#[tokio::test]
async fn no_master_and_no_key_file_outlive_the_provider() {
    let node = Node::boot(10).await;
    let (ssh, host) = (provider(), node.host(&[10]));
    ssh.look(&host, &script("echo.sh", "check", &[])).await.unwrap();
    ssh.tunnel(&host, 6443).await.unwrap();
    let address = node.address.to_string();
    let masters = || -> Vec<Vec<u8>> {
        processes().into_iter().map(|(_, bytes)| bytes).filter(|bytes| holds(bytes, &address)).collect()
    };
    let found = masters();
    assert_eq!(found.len(), 1, "the test looks in the wrong place");
    let words: Vec<_> = found[0].split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let config =
        words.iter().position(|word| word == "-F").map(|at| std::path::PathBuf::from(&*words[at + 1])).unwrap();
    assert!(!config.parent().unwrap().exists(), "the directory of the key");
    assert!(config.parent().unwrap().parent().unwrap().exists(), "the directory of the socket");
    drop(ssh);
    while !masters().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_person_who_comes_by_is_told_politely_what_this_is() {
    let node = Node::boot(10).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, key(USER_KEY).private_openssh.expose()).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for what in [&["uptime"][..], &[]] {
        let said = tokio::process::Command::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-p", "10022", "-i"])
            .arg(&path)
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", dir.path().join("known").display()))
            .arg(format!("deploy@{}", node.address))
            .args(what)
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .unwrap();
        assert_eq!(said.status.code(), Some(1));
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(text.contains("relight's sandbox") && text.contains("kubectl"), "{text}");
    }
}
