//! SSH keys and digests: pure functions of their input.

use super::{Error, Result, Secret};
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use sha2::{Digest, Sha256};

/// An ed25519 key pair.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// OpenSSH's private key format.
    pub private_openssh: Secret,
    /// `ssh-ed25519 AAAA...`, without comment.
    pub public: String,
}

/// The key pair that follows from 32 random bytes: the same bytes give the same text.
pub fn ed25519(seed: [u8; 32], comment: &str) -> KeyPair {
    let pair = Ed25519Keypair::from_seed(&seed);
    let key = PrivateKey::new(KeypairData::Ed25519(pair), comment);
    let private = key.as_ref().ok().and_then(|k| k.to_openssh(LineEnding::LF).ok());
    let public = key.ok().and_then(|k| bare(k.public_key()).ok());
    KeyPair {
        private_openssh: Secret::new(private.map(|p| p.to_string()).unwrap_or_default()),
        public: public.unwrap_or_default(),
    }
}

fn bare(key: &PublicKey) -> Result<String> {
    let mut key = key.clone();
    key.set_comment("");
    let text = key.to_openssh().map_err(|e| Error::fatal(format!("a public key cannot be written: {e}")))?;
    Ok(text.trim().to_owned())
}

/// The public key (`ssh-ed25519 AAAA...`, without comment) of a private key in OpenSSH's format.
pub fn public_key(private: &Secret) -> Result<String> {
    let key = PrivateKey::from_openssh(private.expose()).map_err(|_| {
        Error::fatal("a private key of the run cannot be read").remedy("the run's secrets are damaged; start a new run")
    })?;
    bare(key.public_key())
}

/// `SHA256:...` of a public key, as `ssh-keygen -l` prints it.
pub fn fingerprint(public: &str) -> Result<String> {
    let key = PublicKey::from_openssh(public).map_err(|e| Error::fatal(format!("{public} is no public key: {e}")))?;
    Ok(key.fingerprint(HashAlg::Sha256).to_string())
}

/// A public key's fingerprint as a label value (hexadecimal, because base64 has characters that labels must not have).
pub fn label_fingerprint(public: &str) -> String {
    super::label_digest(&sha256_hex(public.split_whitespace().take(2).collect::<Vec<_>>().join(" ").as_bytes()))
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_key_and_its_public_half_can_be_derived() {
        let one = ed25519([7; 32], "relight");
        let two = ed25519([7; 32], "relight");
        assert_eq!(one.private_openssh.expose(), two.private_openssh.expose());
        assert_eq!(public_key(&one.private_openssh).unwrap(), one.public);
        assert!(one.public.starts_with("ssh-ed25519 ") && fingerprint(&one.public).unwrap().starts_with("SHA256:"));
        assert_ne!(ed25519([8; 32], "").public, one.public);
    }
}
