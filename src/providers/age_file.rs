//! age: reading what was encrypted to the operator, and encrypting what is kept with the cluster's state.

use crate::world::{Error, Result, Secret};
use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{Decryptor, Encryptor, IdentityFile, Recipient};
use std::io::{Read, Write};
use std::path::Path;
use std::str::FromStr;

/// Encrypts a secret to these recipients (`age1...`) as an ASCII-armoured age file. Errors are `Fatal`: no recipient, or one
/// that is none.
pub fn encrypt(recipients: &[String], secret: &Secret) -> Result<Vec<u8>> {
    let keys = recipients
        .iter()
        .map(|text| {
            age::x25519::Recipient::from_str(text.trim()).map_err(|e| {
                Error::fatal(format!("`{text}` is no age recipient: {e}"))
                    .remedy("give the public key that `age-keygen -y` prints: age1...")
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let failed = |e: &dyn std::fmt::Display| Error::fatal(format!("age: {e}")).remedy("correct `recipients`");
    let encryptor = Encryptor::with_recipients(keys.iter().map(|key| key as &dyn Recipient)).map_err(|e| failed(&e))?;
    let mut sealed = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut sealed, Format::AsciiArmor).map_err(|e| failed(&e))?;
    let mut writer = encryptor.wrap_output(armor).map_err(|e| failed(&e))?;
    writer.write_all(secret.expose()).map_err(|e| failed(&e))?;
    writer.finish().and_then(ArmoredWriter::finish).map_err(|e| failed(&e))?;
    Ok(sealed)
}

/// Decrypts an age file, armoured or not, with the identities of a file. Blocks. Errors are `Fatal` and name the files alone.
pub(super) fn decrypt(file: &Path, identity: &Path) -> Result<Secret> {
    let unreadable = |path: &Path, e: &dyn std::fmt::Display| {
        Error::fatal(format!("{}: {e}", path.display())).remedy("check that the file exists and that you may read it")
    };
    let sealed = std::fs::read(file).map_err(|e| unreadable(file, &e))?;
    // Parsed from what was read here: the crate's own errors could quote a line of the identity file.
    let text = std::fs::read(identity).map_err(|e| unreadable(identity, &e))?;
    let no_identity = || {
        Error::fatal(format!("{} holds no age identity that can be used", identity.display()))
            .remedy("name a file with an AGE-SECRET-KEY-1... line; passphrases, plugins and SSH keys are not supported")
    };
    let identities = IdentityFile::from_buffer(text.as_slice())
        .map_err(|_| no_identity())?
        .into_identities()
        .map_err(|_| no_identity())?;
    let wrong = |e: &dyn std::fmt::Display| {
        Error::fatal(format!("{}: {e}", file.display()))
            .remedy(format!("encrypt it to the recipient of {}", identity.display()))
    };
    let decryptor = Decryptor::new(ArmoredReader::new(sealed.as_slice())).map_err(|e| wrong(&e))?;
    let keys = identities.iter().map(|identity| identity.as_ref() as &dyn age::Identity);
    let mut plain = Vec::new();
    decryptor.decrypt(keys).map_err(|e| wrong(&e))?.read_to_end(&mut plain).map_err(|e| wrong(&e))?;
    Ok(Secret::new(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;

    #[test]
    fn what_is_encrypted_to_a_recipient_is_read_by_its_identity_and_no_other() {
        let place = tempfile::tempdir().unwrap();
        let (mine, theirs) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
        let sealed = encrypt(&[mine.to_public().to_string()], &Secret::new("canary-value")).unwrap();
        assert!(sealed.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----"));
        let file = place.path().join("token.age");
        std::fs::write(&file, &sealed).unwrap();
        let (key, other) = (place.path().join("key"), place.path().join("other"));
        std::fs::write(&key, mine.to_string().expose_secret()).unwrap();
        std::fs::write(&other, theirs.to_string().expose_secret()).unwrap();
        assert_eq!(decrypt(&file, &key).unwrap().expose_str(), Some("canary-value"));
        let error = decrypt(&file, &other).unwrap_err();
        assert!(error.what.contains("token.age") && !error.remedy.is_empty());
    }

    #[test]
    fn a_broken_identity_file_is_named_and_never_quoted() {
        let place = tempfile::tempdir().unwrap();
        let (file, key) = (place.path().join("f"), place.path().join("k"));
        std::fs::write(&file, "x").unwrap();
        std::fs::write(&key, "AGE-SECRET-KEY-1CANARY").unwrap();
        let error = decrypt(&file, &key).unwrap_err();
        assert!(!format!("{error:?}").contains("CANARY"), "{error:?}");
    }

    #[test]
    fn a_recipient_that_is_none_is_refused() {
        assert!(encrypt(&["age1nonsense".into()], &Secret::new("x")).is_err());
        assert!(encrypt(&[], &Secret::new("x")).is_err());
    }
}
