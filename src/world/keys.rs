//! SSH key pairs, made from the run's random bytes so that virtual time makes the same ones again.

use super::{Error, Result, Secret};
use russh::keys::ssh_key::{private::Ed25519Keypair, private::KeypairData, HashAlg, LineEnding, PrivateKey, PublicKey};
use sha2::{Digest, Sha256};

/// An ed25519 key pair in OpenSSH's forms.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// `-----BEGIN OPENSSH PRIVATE KEY-----` and so on, not encrypted.
    pub private_openssh: Secret,
    /// `ssh-ed25519 AAAA...`, without comment: the form in which keys are compared.
    pub public: String,
}

/// The keys that relight makes: one for each run, and a host key for each node.
#[derive(Debug, Clone, Copy)]
pub struct RunKeys;

impl RunKeys {
    /// The key pair of these 32 random bytes: the same bytes and comment give the same texts. The comment goes into the
    /// private key alone. Errors: `Fatal`, when the key cannot be written down (never seen).
    pub fn ed25519(seed: [u8; 32], comment: &str) -> Result<KeyPair> {
        let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
        let key = PrivateKey::new(pair, comment).map_err(|e| unusable(&e))?;
        let private = key.to_openssh(LineEnding::LF).map_err(|e| unusable(&e))?;
        let public = PublicKey::new(key.public_key().key_data().clone(), "").to_openssh().map_err(|e| unusable(&e))?;
        Ok(KeyPair { private_openssh: Secret::new(private.as_bytes()), public: public.trim_end().to_owned() })
    }
}

/// `SHA256:...` of a public key, as `ssh-keygen -l` prints it. Errors: `Fatal`, where the text is no public key.
pub fn fingerprint(public: &str) -> Result<String> {
    PublicKey::from_openssh(public).map(|key| key.fingerprint(HashAlg::Sha256).to_string()).map_err(|_| {
        Error::fatal(format!("no SSH public key: {}", public.chars().take(40).collect::<String>()))
            .remedy("give it in OpenSSH's form: ssh-ed25519 AAAA...")
    })
}

/// The fingerprint in a form that labels can hold: 32 hexadecimal characters of its SHA-256, which is what the label
/// [`super::HOST_KEY`] holds. Errors: as [`fingerprint`].
pub fn fingerprint_label(public: &str) -> Result<String> {
    let key = PublicKey::from_openssh(public);
    match key {
        Ok(key) => Ok(super::label_digest(&hex::encode(key.fingerprint(HashAlg::Sha256).as_bytes()))),
        Err(_) => fingerprint(public),
    }
}

/// The public key (`ssh-ed25519 AAAA...`, without comment) of a private key in OpenSSH's format. Errors: `Fatal`, where the
/// text is no private key.
pub fn public_key(private: &Secret) -> Result<String> {
    let damaged = || {
        Error::fatal("a private key of the run cannot be read").remedy("the run's secrets are damaged; start a new run")
    };
    let key = PrivateKey::from_openssh(private.expose()).map_err(|_| damaged())?;
    let public = PublicKey::new(key.public_key().key_data().clone(), "").to_openssh().map_err(|_| damaged())?;
    Ok(public.trim_end().to_owned())
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn unusable(error: &russh::keys::ssh_key::Error) -> Error {
    Error::fatal(format!("an ed25519 key could not be made: {error}")).remedy("this is a bug in relight")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_give_the_same_key_and_other_bytes_another() {
        let one = RunKeys::ed25519([7; 32], "relight").unwrap();
        let same = RunKeys::ed25519([7; 32], "relight").unwrap();
        let other = RunKeys::ed25519([8; 32], "relight").unwrap();
        assert_eq!(one.public, same.public);
        assert_eq!(one.private_openssh.expose(), same.private_openssh.expose());
        assert_ne!(one.public, other.public);
        assert!(one.public.starts_with("ssh-ed25519 AAAA") && one.public.split(' ').count() == 2);
        let back = PrivateKey::from_openssh(one.private_openssh.expose()).unwrap();
        assert_eq!(back.public_key().to_openssh().unwrap(), format!("{} relight", one.public));
    }

    #[test]
    fn the_public_key_is_the_one_that_rfc_8032_computes() {
        // RFC 8032, section 7.1, TEST 1.
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public = hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        let pair = RunKeys::ed25519(seed.try_into().unwrap(), "").unwrap();
        let blob = data_encoding::BASE64.decode(pair.public.split(' ').nth(1).unwrap().as_bytes()).unwrap();
        assert!(blob.ends_with(&public));
    }

    #[test]
    fn fingerprints_are_openssh_s_and_labels_hold_their_other_form() {
        let pair = RunKeys::ed25519([7; 32], "").unwrap();
        let text = fingerprint(&pair.public).unwrap();
        assert!(text.starts_with("SHA256:") && text.len() == 50, "{text}");
        let label = fingerprint_label(&pair.public).unwrap();
        assert_eq!(label.len(), 32);
        assert_eq!(super::super::label_value(&label), label);
        assert!(fingerprint("nonsense").is_err() && fingerprint_label("nonsense").is_err());
    }
}
