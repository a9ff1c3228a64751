//! Promise: what relight does to nodes by SSH is exact, loses nothing when a connection breaks, and trusts no stranger.
//!
//! The real OpenSSH client speaks to the sandbox's SSH door on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy lets tests do this, but not the functions that they share"
)]

mod keys;
mod modelled;
mod node;
mod own;
mod runs;
mod secrets;
mod sshd;
mod tunnels;

use node::{provider, script, Node};
use relight::world::{Class, Identity, Shell};
use std::sync::atomic::Ordering;
use std::sync::Arc;

#[tokio::test]
async fn outputs_inputs_and_exit_codes_arrive_exactly() {
    let node = Node::boot(10).await;
    let (ssh, host) = (provider(), node.host(&[10]));
    let odd = "it's \"two\nlines\" $HOME `x` \\ äöü ";
    for (out, err, exit) in [("", "", 0), ("a=b", "x", 1), ("a=b\n\n", "x\n", 100), (odd, odd, 37)] {
        let asked = script("echo.sh", "check", &[("OUT", out), ("ERR", err), ("EXIT", &exit.to_string())]);
        let ended = ssh.look(&host, &asked).await.unwrap();
        assert_eq!((ended.exit, ended.stdout.as_str(), ended.stderr.as_str()), (exit, out, err));
    }
    let asked = node.backend.asked.lock().unwrap();
    let last = asked.looks.last().unwrap();
    assert_eq!((last.script.as_str(), last.verb.as_str()), ("echo.sh", "check"));
    assert_eq!(last.input["OUT"].expose_str(), Some(odd));
}

#[tokio::test]
async fn a_big_output_and_a_big_input_arrive_whole_and_of_standard_error_the_end() {
    let node = Node::boot(10).await;
    let (ssh, host) = (provider(), node.host(&[10]));
    let big = (0..120_000).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    let ended = ssh.look(&host, &script("echo.sh", "check", &[("OUT", &big), ("ERR", &big)])).await.unwrap();
    assert_eq!(ended.stdout, big);
    assert_eq!(ended.stderr.len(), 64 * 1024);
    assert!(big.ends_with(&ended.stderr));
}

#[tokio::test]
async fn twenty_looks_at_once_are_all_answered_on_one_connection_of_at_most_eight() {
    let node = Node::boot(10).await;
    let (ssh, host) = (Arc::new(provider()), node.host(&[10]));
    node.backend.hold_looks.store(true, Ordering::SeqCst);
    let looks: Vec<_> = (0..20)
        .map(|n| {
            let (ssh, host) = (ssh.clone(), host.clone());
            tokio::spawn(async move { ssh.look(&host, &script("echo.sh", "check", &[("OUT", &n.to_string())])).await })
        })
        .collect();
    node.backend.until(|asked| asked.looks.len() == 8).await;
    node.backend.hold_looks.store(false, Ordering::SeqCst);
    node.backend.change();
    for (n, look) in looks.into_iter().enumerate() {
        assert_eq!(look.await.unwrap().unwrap().stdout, n.to_string());
    }
    assert_eq!(node.backend.most_looking.load(Ordering::SeqCst), 8);
    assert_eq!(node.backend.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_look_after_the_connection_broke_makes_a_new_one() {
    let node = Node::boot(10).await;
    let (ssh, host) = (provider(), node.host(&[10]));
    ssh.look(&host, &script("echo.sh", "check", &[])).await.unwrap();
    for n in 0..5 {
        node.backend.cut_connections();
        let ended = ssh.look(&host, &script("echo.sh", "check", &[("OUT", &n.to_string())])).await.unwrap();
        assert_eq!(ended.stdout, n.to_string());
    }
    assert_eq!(node.backend.connections.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_node_that_is_off_or_lets_nobody_in_is_tried_again_by_the_engine() {
    let mut node = Node::boot(10).await;
    let (ssh, host) = (provider(), node.host(&[10]));
    let mut stranger = host.clone();
    stranger.identity = Identity::Key(node::key(99).private_openssh);
    let error = ssh.look(&stranger, &script("echo.sh", "check", &[])).await.unwrap_err();
    assert!(error.class == Class::Transient && error.is("permission_denied"), "{error:?}");
    assert!(error.remedy.contains("cloud-init"), "{error:?}");

    *node.backend.host_key.lock().unwrap() = None;
    let error = ssh.look(&host, &script("echo.sh", "check", &[])).await.unwrap_err();
    assert_eq!(error.class, Class::Transient, "{error:?}");

    node.door = None;
    let error = ssh.look(&host, &script("echo.sh", "check", &[])).await.unwrap_err();
    assert!(error.class == Class::Transient && error.what.contains("Connection refused"), "{error:?}");
    assert!(node.backend.asked.lock().unwrap().looks.is_empty());
}

#[tokio::test]
async fn a_script_that_the_sandbox_does_not_know_is_not_pretended_to_have_run() {
    let node = Node::boot(10).await;
    let (ssh, host) = (provider(), node.host(&[10]));
    let mut other = script("echo.sh", "check", &[]);
    other.body = "#!/usr/bin/env bash\nrm -rf /\n".into();
    let error = ssh.look(&host, &other).await.unwrap_err();
    assert!(error.what.contains("not the one that the sandbox knows"), "{error:?}");
    assert!(node.backend.asked.lock().unwrap().looks.is_empty());
}
