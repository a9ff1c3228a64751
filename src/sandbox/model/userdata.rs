//! What cloud-init does with user data, as far as relight sends it.

use serde_json::Value;
use std::collections::BTreeMap;

/// The parts of a `#cloud-config` document that the model carries out. Source: cloud-init's module reference (`users`,
/// `ssh_authorized_keys`, `ssh_keys`, `runcmd`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudConfig {
    /// Public keys by user; `root` for the image's default user.
    pub users: BTreeMap<String, Vec<String>>,
    /// Private host key in OpenSSH's form, where given.
    pub host_private: Option<String>,
    /// Public host key, where given.
    pub host_public: Option<String>,
    /// Commands, in words.
    pub runs: Vec<String>,
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let many = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    many.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl CloudConfig {
    /// Reads user data. Empty user data is a configuration that says nothing; an error is what `cloud-init status` would tell.
    pub fn parse(user_data: &str) -> Result<Self, String> {
        if user_data.trim().is_empty() {
            return Ok(Self::default());
        }
        if user_data.lines().next().map(str::trim_end) != Some("#cloud-config") {
            return Err("the first line of user data is not #cloud-config".to_owned());
        }
        let document: Value = serde_saphyr::from_str(user_data).map_err(|e| format!("user data is no YAML: {e}"))?;
        let mut users = BTreeMap::new();
        for user in document.get("users").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() {
            if let Some(name) = user.get("name").and_then(Value::as_str) {
                users.insert(name.to_owned(), texts(user.get("ssh_authorized_keys")));
            }
        }
        let default_keys = texts(document.get("ssh_authorized_keys"));
        if !default_keys.is_empty() {
            users.entry("root".to_owned()).or_default().extend(default_keys);
        }
        let host = |key: &str| Some(document.get("ssh_keys")?.get(key)?.as_str()?.trim().to_owned());
        let words = |run: &Value| match run {
            Value::String(text) => text.clone(),
            other => texts(Some(other)).join(" "),
        };
        let runs = document.get("runcmd").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            users,
            host_private: host("ed25519_private"),
            host_public: host("ed25519_public"),
            runs: runs.iter().map(words).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_config_in_json_gives_users_and_host_key() {
        let text =
            "#cloud-config\n{\"users\":[{\"name\":\"deploy\",\"ssh_authorized_keys\":[\"ssh-ed25519 AAAA x\"]}],\
                    \"ssh_keys\":{\"ed25519_private\":\"P\\n\",\"ed25519_public\":\"ssh-ed25519 BBBB\"},\
                    \"runcmd\":[[\"echo\",\"a\"],\"b\"]}";
        let read = CloudConfig::parse(text).unwrap();
        assert_eq!(read.users.get("deploy").unwrap(), &vec!["ssh-ed25519 AAAA x".to_owned()]);
        assert_eq!(read.host_private.as_deref(), Some("P"));
        assert_eq!(read.host_public.as_deref(), Some("ssh-ed25519 BBBB"));
        assert_eq!(read.runs, ["echo a", "b"]);
        assert!(CloudConfig::parse("echo no").is_err());
        assert_eq!(CloudConfig::parse("").unwrap(), CloudConfig::default());
    }
}
