//! What OpenSSH says when it fails, and what is to be done about it.

use crate::world::{Error, Host, Identity, Result};
use openssh::Error as Ssh;

/// Why no connection was made.
pub(super) fn no_connection(host: &Host, error: &Ssh) -> Error {
    let said = words(error);
    let to = host.address;
    if is_host_key_trouble(&said) {
        return Error::fatal(format!("{to} shows a host key that is not accepted: {said}")).code("host_key").remedy(
            "another machine may have this address now; look at the server in the cloud's console, and delete what is \
             not yours or wait until its own machine answers, then resume",
        );
    }
    if matches!(error, Ssh::Connect(io) if io.kind() == std::io::ErrorKind::NotFound) {
        if let Err(lacks) = equipped() {
            return lacks;
        }
    }
    if let Identity::Own = host.identity {
        if let Some(error) = own_trouble(host, &said) {
            return error;
        }
    }
    if said.contains("Bad configuration option") || said.contains("keyword") && said.contains("line") {
        return Error::fatal(format!("this machine's ssh does not take relight's configuration: {said}"))
            .remedy("install OpenSSH 8.5 or later");
    }
    if said.contains("invalid format") || said.contains("error in libcrypto") {
        return Error::fatal(format!("the run's SSH key cannot be read: {said}"))
            .remedy("the key under the run's secrets is damaged; start a new run");
    }
    if said.contains("Permission denied") {
        // cloud-init makes the user and its key after sshd already answers.
        return Error::transient(format!("{to} does not let {} in with the run's key: {said}", host.user))
            .code("permission_denied")
            .remedy(format!(
                "while the node is being set up this passes; if it stays, look at `cloud-init status` and at the keys of {}",
                host.user
            ));
    }
    Error::transient(format!("no SSH connection to {to}: {said}"))
        .remedy("see that the server runs and that port 22 is open to this machine")
}

/// Why the operator does not get in with keys of their own: nothing that passes by itself.
fn own_trouble(host: &Host, said: &str) -> Option<Error> {
    let (user, to) = (&host.user, host.address);
    if ["Bad configuration option", "Bad owner or permissions", "keyword", "terminating,"]
        .iter()
        .any(|w| said.contains(w))
    {
        let error = Error::fatal(format!("your own SSH configuration cannot be used: {said}"));
        return Some(error.remedy(format!("mend it: `ssh {user}@{to}` tells the same")));
    }
    let many = said.contains("Too many authentication failures");
    if !many && !said.contains("Permission denied") {
        return None;
    }
    let remedy = match many {
        true => format!("name the one that {to} takes in your ~/.ssh/config: `Host {to}`, IdentityFile, IdentitiesOnly yes"),
        false => format!(
            "see that `ssh {user}@{to}` gets in without a question: load the key into your SSH agent (`ssh-add`), or name it \
             in ~/.ssh/config under `Host {to}`; another user is `cloud.user` in relight.yaml"
        ),
    };
    let error = Error::fatal(format!("{to} does not let {user} in with any of your own SSH keys: {said}"));
    Some(error.code("permission_denied").remedy(remedy))
}

/// Why a command broke off on a connection that stood.
pub(super) fn broken(host: &Host, error: &Ssh) -> Error {
    match error {
        // Exit 127: neither bash nor sudo of that name.
        Ssh::Remote(_) => Error::fatal(format!("{} has no bash or no sudo", host.address))
            .remedy("use an image that has both; Ubuntu and Debian do"),
        other => Error::transient(format!("the SSH connection to {} broke: {}", host.address, words(other))),
    }
}

/// Why a program ended without saying how.
pub(super) fn silent(host: &Host, said: &str) -> Error {
    let said = if said.is_empty() { "it said nothing" } else { said };
    if said.contains("sudo:") {
        return Error::transient(format!("{} may not use sudo on {} yet: {said}", host.user, host.address))
            .code("sudo")
            .remedy(format!(
                "while the node is being set up this passes; if it stays, look at sudo's rules of {}",
                host.user
            ));
    }
    Error::transient(format!("the program on {} did not get to its end: {said}", host.address))
}

/// An error of this machine's own files.
pub(super) fn local(what: &str, error: &std::io::Error) -> Error {
    Error::fatal(format!("{what}: {error}")).remedy("make room in the temporary directory, then resume")
}

fn is_host_key_trouble(said: &str) -> bool {
    [
        "HOST IDENTIFICATION HAS CHANGED",
        "Host key verification failed",
        "host key is known for",
        "no matching host key type",
    ]
    .iter()
    .any(|sign| said.contains(sign))
}

/// Whether the programs of the OpenSSH client are there.
pub(super) fn equipped() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &&str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    match ["ssh", "ssh-keyscan"].into_iter().find(|program| !there(program)) {
        None => Ok(()),
        Some(program) => Err(Error::fatal(format!("there is no {program} program on this machine"))
            .remedy("install the OpenSSH client, then run this again")),
    }
}

/// OpenSSH's own words in one line, without the frame of @ that it draws round a changed host key.
fn words(error: &Ssh) -> String {
    let said = match error {
        Ssh::Connect(io) | Ssh::Master(io) | Ssh::Remote(io) | Ssh::ChildIo(io) | Ssh::Cleanup(io) => io.to_string(),
        Ssh::SshMux(mux) => mux.to_string(),
        other => other.to_string(),
    };
    let lines: Vec<&str> =
        said.lines().map(|line| line.trim().trim_matches('@').trim()).filter(|line| !line.is_empty()).collect();
    let text = lines.join("; ");
    if text.is_empty() {
        error.to_string()
    } else {
        text.chars().take(600).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Class, Secret};
    use std::io;

    fn class_of(said: &str) -> (Class, String) {
        class_as(Identity::Key(Secret::new("k")), said)
    }

    fn class_as(identity: Identity, said: &str) -> (Class, String) {
        let host = Host { address: [127, 0, 0, 1].into(), user: "deploy".into(), host_keys: Vec::new(), identity };
        let error = no_connection(&host, &Ssh::Connect(io::Error::new(io::ErrorKind::ConnectionAborted, said)));
        (error.class, error.remedy)
    }

    #[test]
    fn what_passes_is_transient_and_a_strange_key_is_not() {
        for said in [
            "connect to host 10.0.0.1 port 22: Connection refused",
            "Connection timed out during banner exchange",
            "kex_exchange_identification: read: Connection reset by peer",
            "deploy@10.0.0.1: Permission denied (publickey).",
        ] {
            assert_eq!(class_of(said).0, Class::Transient, "{said}");
        }
        for said in [
            "@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@",
            "No ED25519 host key is known for 10.0.0.1 and you have requested strict checking.",
            "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa",
            "/x/config: line 3: Bad configuration option: nonsense",
        ] {
            let (class, remedy) = class_of(said);
            assert!(class == Class::Fatal && !remedy.is_empty(), "{said}");
        }
    }

    #[test]
    fn an_operator_who_does_not_get_in_is_told_at_once_what_to_do() {
        for (said, wanted) in [
            ("deploy@10.0.0.1: Permission denied (publickey).", "ssh-add"),
            ("Received disconnect: Too many authentication failures", "IdentitiesOnly"),
            ("Bad owner or permissions on /home/a/.ssh/config", "mend it"),
        ] {
            let (class, remedy) = class_as(Identity::Own, said);
            assert!(class == Class::Fatal && remedy.contains(wanted), "{said}: {remedy}");
        }
        assert_eq!(class_as(Identity::Own, "connect to host 10.0.0.1 port 22: Connection refused").0, Class::Transient);
    }
}
