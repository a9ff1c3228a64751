//! The host key that a server shows, and what speaks for it: a label, or the operator's own known hosts.

use super::found::reached;
use crate::world::{fingerprint, fingerprint_label, KnownHostKeys, Result, Server, World, HOST_KEY};

/// How a key is told that nothing speaks for.
pub(super) const UNKNOWN: &str = "NOT in your known hosts";

/// A host key that nothing speaks against.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// `ssh-ed25519 AAAA...`.
    pub public: String,
    /// What speaks for it, in words.
    pub known: String,
}

/// Looks at a server's host key. The inner error is why it must not be taken.
pub(super) async fn look(world: &World, server: &Server) -> Result<std::result::Result<Shown, String>> {
    let (name, id) = (&server.name, server.id);
    let Some(address) = reached(server) else {
        return Ok(Err(format!("server {name} (id {id}) has no public address")));
    };
    let Some(public) = world.shell.seen_host_key(address).await? else {
        return Ok(Err(format!(
            "server {name} (id {id}) shows no ed25519 host key at {address}: see that sshd runs and that its firewalls let this \
             machine in at port 22"
        )));
    };
    let known = world.shell.known_host_keys(address).await?;
    let label = server.labels.get(HOST_KEY).map(String::as_str);
    Ok(judged(&public, label, &known)?
        .map(|known| Shown { public, known })
        .map_err(|why| format!("server {name} (id {id}) at {address}: {why}")))
}

fn kind(key: &str) -> &str {
    key.split_whitespace().next().unwrap_or_default()
}

/// What speaks for a key, or against it.
fn judged(shown: &str, label: Option<&str>, known: &KnownHostKeys) -> Result<std::result::Result<String, String>> {
    let print = fingerprint(shown)?;
    if known.revoked.iter().any(|key| key == shown) {
        return Ok(Err(format!(
            "its host key {print} is revoked in your known hosts: whoever answers there is not to be trusted"
        )));
    }
    let same_kind: Vec<&String> = known.here.iter().filter(|key| kind(key) == kind(shown)).collect();
    if let Some(other) = same_kind.first().filter(|_| !same_kind.iter().any(|key| *key == shown)) {
        let theirs = fingerprint(other)?;
        return Ok(Err(format!(
            "it shows the host key {print}, and your known hosts have {theirs}: compare it on the server's console \
             (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`); where it was set up anew, take the old one out \
             (`ssh-keygen -R`), else somebody else answers there"
        )));
    }
    let labelled = fingerprint_label(shown)?;
    match label {
        Some(label) if label != labelled => {
            return Ok(Err(format!(
                "it shows the host key {print}, and its label {HOST_KEY} is of another one: compare it on its console; where it \
                 was set up anew, take the label off"
            )))
        }
        _ => {}
    }
    Ok(Ok(match (same_kind.is_empty(), label) {
        (false, _) => "the same as in your known hosts".to_owned(),
        (true, Some(_)) => "as its label says".to_owned(),
        (true, None) if known.elsewhere.iter().any(|key| key == shown) => {
            "in your known hosts under another name".to_owned()
        }
        (true, None) if !known.here.is_empty() => {
            format!("{UNKNOWN}, which know this server by keys of another kind alone")
        }
        (true, None) => UNKNOWN.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::RunKeys;

    fn key(n: u8) -> String {
        RunKeys::ed25519([n; 32], "").unwrap().public
    }

    #[test]
    fn a_key_is_the_same_another_or_unknown_and_a_revoked_one_is_never_taken() {
        let (shown, other) = (key(1), key(2));
        let known = |here: &[&String], elsewhere: &[&String], revoked: &[&String]| {
            let all = |keys: &[&String]| keys.iter().map(|key| (*key).clone()).collect();
            KnownHostKeys { here: all(here), elsewhere: all(elsewhere), revoked: all(revoked) }
        };
        let label = fingerprint_label(&shown).unwrap();
        let ecdsa = "ecdsa-sha2-nistp256 AAAA".to_owned();
        let cases = [
            (known(&[&other, &shown], &[], &[]), None, Ok("the same as")),
            (known(&[], &[&shown], &[]), None, Ok("under another name")),
            (known(&[&ecdsa], &[], &[]), None, Ok("of another kind alone")),
            (known(&[], &[&other], &[]), None, Ok(UNKNOWN)),
            (known(&[], &[], &[]), Some(label.as_str()), Ok("as its label says")),
            (known(&[&other], &[&shown], &[]), None, Err("somebody else answers")),
            (known(&[&other], &[], &[]), Some(label.as_str()), Err("somebody else answers")),
            (known(&[&shown], &[], &[&shown]), None, Err("revoked")),
            (known(&[&shown], &[], &[]), Some("0123"), Err("its label")),
        ];
        for (known, label, wanted) in cases {
            match (judged(&shown, label, &known).unwrap(), wanted) {
                (Ok(text), Ok(part)) | (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
                (found, wanted) => panic!("{found:?} instead of {wanted:?}"),
            }
        }
    }
}
