//! DNS as one transaction, and the edge.

use crate::outside::*;
use relight::sandbox::model::*;

#[test]
fn dns_changes_are_one_transaction() {
    let mut out = Outside::lost(Loss::Gone);
    let zone = out.model.dns_zones(out.now, &out.dns, "demo.example").unwrap().remove(0);
    let records = |out: &mut Outside| out.model.dns_records(out.now, &out.dns, &zone.id).unwrap();
    let change = |out: &mut Outside, batch: &DnsBatch| out.model.dns_change(out.now, &out.dns, &zone.id, batch);
    let old = records(&mut out);
    assert_eq!(old.len(), 3);
    let server = out.create(&order("demo-a")).result.unwrap().server;
    let mine = ip(&server).to_string();
    let post = RecordChange::address("api.demo.example", &mine, true, Some("relight"));
    let fails = DnsBatch {
        deletes: vec![old[0].id.clone()],
        posts: vec![post.clone(), RecordChange { content: Some("no address".into()), ..post.clone() }],
        ..DnsBatch::default()
    };
    let error = change(&mut out, &fails).unwrap_err();
    assert!(matches!(&error, Failure::Api(e) if e.code == "1004"), "{error:?}");
    assert_eq!(records(&mut out), old, "nothing of it happened");
    let twice = DnsBatch { posts: vec![post.clone(), post.clone()], ..DnsBatch::default() };
    assert!(matches!(change(&mut out, &twice), Err(Failure::Api(e)) if e.code == "81058"));
    let cname = RecordChange { kind: Some("CNAME".into()), content: Some("x.example".into()), ..post.clone() };
    let batch = DnsBatch { posts: vec![cname], ..DnsBatch::default() };
    assert!(matches!(change(&mut out, &batch), Err(Failure::Api(e)) if e.code == "81053"));
    let gone = DnsBatch { deletes: vec!["0".repeat(32)], ..DnsBatch::default() };
    assert!(matches!(change(&mut out, &gone), Err(Failure::Api(e)) if (e.status, e.code.as_str()) == (404, "81044")));
    let many = DnsBatch { posts: vec![post.clone(); 201], ..DnsBatch::default() };
    assert!(change(&mut out, &many).is_err());
    let patch = RecordChange { content: Some(mine.clone()), ..RecordChange::default() };
    let right = DnsBatch {
        deletes: old.iter().skip(1).map(|r| r.id.clone()).collect(),
        patches: vec![(old[0].id.clone(), patch)],
        ..DnsBatch::default()
    };
    change(&mut out, &right).unwrap();
    let now = records(&mut out);
    assert_eq!((now.len(), now[0].content.clone(), now[0].proxied), (1, mine, true), "what was not named stayed");
    assert!(out.model.ledger.strangers.is_empty() && out.model.naming_strangers().is_empty());
    let strange = RecordChange { content: Some("203.0.113.9".into()), ..RecordChange::default() };
    let batch = DnsBatch { patches: vec![(old[0].id.clone(), strange)], ..DnsBatch::default() };
    change(&mut out, &batch).unwrap();
    assert_eq!(out.model.ledger.strangers.len(), 1);
    assert_eq!(out.model.ledger.foreign_touched("demo", &["api.demo.example".into()]).len(), 0);
    assert!(!out.model.ledger.foreign_touched("demo", &[]).is_empty());
}

#[test]
fn the_edge_says_in_its_own_words_what_is_wrong() {
    let mut out = Outside::lost(Loss::Off);
    let status = |visit: Visit| match visit {
        Visit::Reply { status, .. } => status,
        other => panic!("{other:?}"),
    };
    let host = "api.demo.example";
    assert_eq!(status(out.model.edge_get(out.now, host, "/", true)), 522, "old nodes are off");
    assert_eq!(out.model.edge_get(out.now, "nope.demo.example", "/", true), Visit::NoSuchName);
    out.model.set_ssl("demo.example", "strict");
    assert_eq!(status(out.model.edge_get(out.now, host, "/", true)), 526);
}
