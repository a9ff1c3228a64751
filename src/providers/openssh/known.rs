//! What the operator's own SSH client knows of a node: read by OpenSSH's own programs, which know its files and hashed names.

use super::operator::Operator;
use crate::world::{Error, KnownHostKeys, Result};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// How a line of known hosts is marked whose key must not be accepted. Source: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
const REVOKED: &str = "@revoked";

/// What is known of the node that answers at this address and port.
pub(super) async fn host_keys(operator: &Operator, address: IpAddr, port: u16) -> Result<KnownHostKeys> {
    let (files, alias) = match operator.known_hosts() {
        Some(file) => (vec![file], None),
        None => asked(operator, address, port).await?,
    };
    // Source: ssh(1) writes other ports than 22 so, and an alias as it is.
    let plain = if port == 22 { address.to_string() } else { format!("[{address}]:{port}") };
    let name = alias.unwrap_or(plain);
    let mut known = KnownHostKeys::default();
    for file in files {
        let text = match tokio::fs::read_to_string(&file).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&file, &error.to_string())),
        };
        let here = found(&file, &name).await?;
        for line in text.lines().filter_map(Line::read) {
            match (line.revoked, here.contains(&line.key)) {
                (true, _) => known.revoked.push(line.key),
                (false, true) => known.here.push(line.key),
                (false, false) => known.elsewhere.push(line.key),
            }
        }
    }
    Ok(known)
}

/// A line that tells a key.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    revoked: bool,
    key: String,
}

impl Line {
    /// `None` for comments, certificate authorities and what cannot be read.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().peekable();
        let mark = words.next_if(|word| word.starts_with('@'));
        let name = words.next()?;
        let (kind, blob) = (words.next()?, words.next()?);
        let read = !name.starts_with('#') && mark.is_none_or(|mark| mark == REVOKED);
        read.then(|| Self { revoked: mark.is_some(), key: format!("{kind} {blob}") })
    }
}

/// The keys that a file has under this name.
async fn found(file: &Path, name: &str) -> Result<Vec<String>> {
    let mut program = Command::new("ssh-keygen");
    // It ends with 1 where there is none.
    let text = output(program.arg("-F").arg(name).arg("-f").arg(file)).await?;
    Ok(text.lines().filter_map(Line::read).filter(|line| !line.revoked).map(|line| line.key).collect())
}

/// The files that the operator's client would read for this address, and the name under which it would look there, where it has
/// another one.
async fn asked(operator: &Operator, address: IpAddr, port: u16) -> Result<(Vec<PathBuf>, Option<String>)> {
    let mut program = Command::new("ssh");
    program.arg("-G");
    if let Operator::Person { ssh_config: Some(config) } = operator {
        program.arg("-F").arg(config);
    }
    let text = output(program.arg("-p").arg(port.to_string()).arg(address.to_string())).await?;
    let listed = |line: &str| {
        let (word, files) = line.split_once(' ')?;
        let is = word == "userknownhostsfile" || word == "globalknownhostsfile";
        is.then(|| files.split_whitespace().map(PathBuf::from).collect::<Vec<_>>())
    };
    let alias = text.lines().find_map(|line| line.strip_prefix("hostkeyalias ")).map(|name| name.trim().to_owned());
    Ok((text.lines().filter_map(listed).flatten().filter(|file| file.is_absolute()).collect(), alias))
}

async fn output(program: &mut Command) -> Result<String> {
    let name = program.as_std().get_program().to_string_lossy().into_owned();
    let ended = program.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(|error| {
        Error::fatal(format!("{name} cannot be run: {error}")).remedy("install the OpenSSH client, then run this again")
    })?;
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

fn unreadable(file: &Path, why: &str) -> Error {
    Error::fatal(format!("your known hosts {} cannot be read: {why}", file.display())).remedy("make it readable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn plain_hashed_marked_and_other_lines_are_told_apart() {
        let home = tempfile::tempdir().unwrap();
        let key = |n: u8| crate::world::RunKeys::ed25519([n; 32], "").unwrap().public;
        let (plain, hashed, other, revoked, authority) = (key(1), key(2), key(3), key(4), key(5));
        let file = home.path().join("known_hosts");
        std::fs::write(&file, format!("[192.0.2.7]:30022 {hashed}\n")).unwrap();
        let hash = std::process::Command::new("ssh-keygen").arg("-H").arg("-f").arg(&file).output().unwrap();
        assert!(hash.status.success());
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("192.0.2.7"), "it is hashed: {text}");
        let text = format!(
            "# [192.0.2.7]:30022 {other}\n{text}[192.0.2.7]:30022,example {plain} me@here\nexample {other}\n@revoked * {revoked}\n\
             @cert-authority * {authority}\n"
        );
        std::fs::write(&file, text).unwrap();
        let operator = Operator::Sandbox { directory: home.path().to_owned() };
        let mut known = host_keys(&operator, "192.0.2.7".parse().unwrap(), 30_022).await.unwrap();
        known.here.sort_by_key(|key| *key == plain);
        let wanted = KnownHostKeys { here: vec![hashed, plain], elsewhere: vec![other], revoked: vec![revoked] };
        assert_eq!(known, wanted);
        let nobody = Operator::Sandbox { directory: home.path().join("nowhere") };
        assert_eq!(host_keys(&nobody, "192.0.2.7".parse().unwrap(), 22).await.unwrap(), KnownHostKeys::default());
    }

    #[tokio::test]
    async fn the_files_are_those_that_the_persons_configuration_names() {
        let home = tempfile::tempdir().unwrap();
        let (config, hosts) = (home.path().join("config"), home.path().join("hosts"));
        let key = crate::world::RunKeys::ed25519([1; 32], "").unwrap().public;
        std::fs::write(&config, format!("UserKnownHostsFile {}\n", hosts.display())).unwrap();
        std::fs::write(&hosts, format!("192.0.2.7 {key}\n")).unwrap();
        let person = Operator::Person { ssh_config: Some(config.clone()) };
        let known = || host_keys(&person, "192.0.2.7".parse().unwrap(), 22);
        assert_eq!(known().await.unwrap().here, std::slice::from_ref(&key));
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{text}HostKeyAlias mine\n")).unwrap();
        assert_eq!(known().await.unwrap(), KnownHostKeys { elsewhere: vec![key.clone()], ..KnownHostKeys::default() });
        std::fs::write(&hosts, format!("mine {key}\n")).unwrap();
        assert_eq!(known().await.unwrap().here, [key]);
    }
}
