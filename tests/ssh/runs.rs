//! Runs: transient units that outlive the connection.

use crate::node::{provider, script, Node};
use relight::providers::OpenSsh;
use relight::sandbox::doors::ssh::UnitState;
use relight::world::{Class, Ended, Error, Host};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use tokio::task::JoinHandle;

fn start(ssh: &Arc<OpenSsh>, host: &Host, step: &'static str) -> JoinHandle<Result<Ended, Error>> {
    let (ssh, host) = (ssh.clone(), host.clone());
    tokio::spawn(async move { ssh.run_for_step(step, &host, &script("slow.sh", "apply", &[("A", "b")])).await })
}

async fn node_and_provider() -> (Node, Arc<OpenSsh>, Host) {
    let node = Node::boot(10).await;
    let host = node.host(&[10]);
    (node, Arc::new(provider()), host)
}

#[tokio::test]
async fn the_same_step_and_digest_is_one_unit_while_it_runs_and_a_new_one_after_its_end() {
    let (node, ssh, host) = node_and_provider().await;
    let (one, two) = (start(&ssh, &host, "harden[node-1]"), start(&ssh, &host, "harden[node-1]"));
    node.backend.until(|asked| asked.starts.len() == 1 && asked.joined("relight-harden") == 2).await;
    let (unit, work) = {
        let asked = node.backend.asked.lock().unwrap();
        (asked.starts[0].0.clone(), asked.starts[0].1.clone())
    };
    assert!(unit.starts_with("relight-harden.node-1-"), "{unit}");
    assert_eq!((work.verb.as_str(), work.input["A"].expose_str()), ("apply", Some("b")));
    node.backend.finish("relight-harden", 0, "state=as-specified\n");
    for run in [one, two] {
        assert_eq!(run.await.unwrap().unwrap().value("state"), Some("as-specified"));
    }
    assert_eq!(node.backend.starts(), 1);
    // Whoever calls again has looked, and found that the earlier end is no longer so.
    let again = start(&ssh, &host, "harden[node-1]");
    node.backend.until(|asked| asked.starts.len() == 2).await;
    node.backend.finish("relight-harden", 0, "state=armed\n");
    assert_eq!(again.await.unwrap().unwrap().value("state"), Some("armed"));

    let other_step = start(&ssh, &host, "harden[node-2]");
    node.backend.until(|asked| asked.starts.len() == 3).await;
    node.backend.finish("relight-harden.node-2", 0, "");
    other_step.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_run_that_failed_is_started_anew() {
    let (node, ssh, host) = node_and_provider().await;
    for (count, exit) in [(1, 11), (2, 0)] {
        let run = start(&ssh, &host, "late[node-1]");
        node.backend.until(|asked| asked.starts.len() == count).await;
        node.backend.finish("relight-late", exit, "");
        assert_eq!(run.await.unwrap().unwrap().exit, exit);
    }
}

#[tokio::test]
async fn a_dropped_connection_loses_nothing() {
    let (node, ssh, host) = node_and_provider().await;
    let run = start(&ssh, &host, "k3s[node-1]");
    node.backend.until(|asked| asked.starts.len() == 1).await;
    for _ in 0..3 {
        node.backend.cut_connections();
        // A look proves that a new connection stands before the next cut.
        relight::world::Shell::look(ssh.as_ref(), &host, &script("echo.sh", "check", &[])).await.unwrap();
    }
    assert!(!run.is_finished());
    assert!(node.backend.connections.load(Ordering::SeqCst) >= 4, "the connection was really cut three times");
    node.backend.finish("relight-k3s", 0, "state=running\n");
    let ended = run.await.unwrap().unwrap();
    assert_eq!((ended.exit, ended.value("state")), (0, Some("running")));
    assert_eq!(node.backend.starts(), 1);
}

#[tokio::test]
async fn a_node_that_is_away_while_the_script_runs_is_waited_for() {
    let (mut node, ssh, host) = node_and_provider().await;
    let run = start(&ssh, &host, "k3s[node-1]");
    node.backend.until(|asked| asked.starts.len() == 1).await;
    let at = node.door.take().unwrap().address();
    while tokio::net::TcpStream::connect(at).await.is_ok() {}
    // Gone: what the script's end is cannot be told before the door opens again.
    node.backend.finish("relight-k3s", 3, "");
    node.reopen(at).await;
    assert_eq!(run.await.unwrap().unwrap().exit, 3);
    assert_eq!(node.backend.starts(), 1);
}

#[tokio::test]
async fn a_start_whose_reply_was_lost_is_asked_for_and_not_repeated() {
    let (node, ssh, host) = node_and_provider().await;
    for (starts, exit) in [(1, 7), (2, 0)] {
        *node.backend.break_start.lock().unwrap() = Some(true);
        let run = start(&ssh, &host, "peers[node-1]");
        // Over before the connection is made again: the end is still this call's.
        node.backend.until(|asked| asked.starts.len() == starts).await;
        node.backend.finish("relight-peers", exit, "");
        assert_eq!(run.await.unwrap().unwrap().exit, exit);
        assert_eq!(node.backend.starts(), starts);
        assert!(node.backend.break_start.lock().unwrap().is_none(), "the fault fired");
    }
}

#[tokio::test]
async fn a_start_that_may_never_have_arrived_is_unknown_even_beside_an_older_end() {
    let (node, ssh, host) = node_and_provider().await;
    *node.backend.break_start.lock().unwrap() = Some(false);
    let error = start(&ssh, &host, "peers[node-1]").await.unwrap().unwrap_err();
    assert_eq!(error.class, Class::Unknown, "{error:?}");

    for (starts, exit) in [(1, 7), (2, 0)] {
        let run = start(&ssh, &host, "peers[node-1]");
        node.backend.until(|asked| asked.starts.len() == starts).await;
        node.backend.finish("relight-peers", exit, "");
        run.await.unwrap().unwrap();
        *node.backend.break_start.lock().unwrap() = Some(false);
        let error = start(&ssh, &host, "peers[node-1]").await.unwrap().unwrap_err();
        assert_eq!(error.class, Class::Unknown, "{error:?}");
        assert_eq!(node.backend.starts(), starts);
    }
}

#[tokio::test]
async fn a_unit_that_the_node_lost_is_unknown_and_the_next_start_is_a_new_one() {
    let (node, ssh, host) = node_and_provider().await;
    for state in [UnitState::Lost, UnitState::Absent] {
        let before = node.backend.starts();
        let run = start(&ssh, &host, "k3s[node-1]");
        node.backend.until(|asked| asked.starts.len() == before + 1).await;
        let unit = node.backend.asked.lock().unwrap().starts[before].0.clone();
        node.backend.set(&unit, state);
        let error = run.await.unwrap().unwrap_err();
        assert_eq!(error.class, Class::Unknown, "{error:?}");
    }
}
