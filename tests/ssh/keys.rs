//! Host keys: pinned, rotated, and looked at.

use crate::node::{key, provider, script, Node};
use relight::world::{Class, Shell};

#[tokio::test]
async fn an_unknown_or_changed_host_key_is_refused_for_good_with_a_remedy() {
    let node = Node::boot(10).await;
    let ssh = provider();
    for accepted in [&[11][..], &[]] {
        let error = ssh.look(&node.host(accepted), &script("echo.sh", "check", &[])).await.unwrap_err();
        assert!(error.class == Class::Fatal && error.is("host_key") && !error.remedy.is_empty(), "{error:?}");
    }
    let error = ssh.tunnel(&node.host(&[11]), 6443).await.unwrap_err();
    assert_eq!(error.class, Class::Fatal);

    ssh.look(&node.host(&[10]), &script("echo.sh", "check", &[])).await.unwrap();
    *node.backend.host_key.lock().unwrap() = Some(key(12).private_openssh);
    ssh.reconnect(&node.host(&[10])).await.unwrap();
    let error = ssh.look(&node.host(&[10]), &script("echo.sh", "check", &[])).await.unwrap_err();
    assert!(error.class == Class::Fatal && error.is("host_key"), "{error:?}");
    assert_eq!(node.backend.asked.lock().unwrap().looks.len(), 1);
}

#[tokio::test]
async fn while_a_key_is_rotated_both_are_accepted_and_afterwards_only_the_new_one() {
    let node = Node::boot(10).await;
    let ssh = provider();
    ssh.look(&node.host(&[10]), &script("echo.sh", "check", &[])).await.unwrap();
    let both = node.host(&[10, 11]);
    ssh.look(&both, &script("echo.sh", "check", &[])).await.unwrap();
    *node.backend.host_key.lock().unwrap() = Some(key(11).private_openssh);
    ssh.reconnect(&both).await.unwrap();
    ssh.look(&both, &script("echo.sh", "check", &[])).await.unwrap();
    ssh.look(&node.host(&[11]), &script("echo.sh", "check", &[])).await.unwrap();
    let error = ssh.look(&node.host(&[10]), &script("echo.sh", "check", &[])).await.unwrap_err();
    assert_eq!(error.class, Class::Fatal);
}

#[tokio::test]
async fn an_open_connection_does_not_serve_a_call_that_no_longer_accepts_its_key() {
    let node = Node::boot(10).await;
    let ssh = provider();
    ssh.look(&node.host(&[10]), &script("echo.sh", "check", &[])).await.unwrap();
    let error = ssh.look(&node.host(&[11]), &script("echo.sh", "check", &[])).await.unwrap_err();
    assert!(error.class == Class::Fatal && error.is("host_key"), "{error:?}");
}

#[tokio::test]
async fn the_key_that_the_network_shows_is_evidence_and_nobody_s_is_none() {
    let mut node = Node::boot(10).await;
    let ssh = provider();
    assert_eq!(ssh.seen_host_key(node.address).await.unwrap(), Some(key(10).public));
    node.door = None;
    assert_eq!(ssh.seen_host_key(node.address).await.unwrap(), None);
}
