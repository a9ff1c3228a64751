//! What cloud-init does with user data, as far as relight sends it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The parts of a `#cloud-config` document that the model carries out. Source: cloud-init's module reference (`users`,
/// `ssh_authorized_keys`, `ssh_keys`, `write_files`, `runcmd`).
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
    /// When a timer that the commands enable powers the machine off, in clock time.
    pub powers_off: Option<Duration>,
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let many = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    many.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Where units of the machine's own lie. Source: systemd.unit(5), "Unit File Load Path".
const UNITS: &str = "/etc/systemd/system/";

/// A moment as `OnCalendar=` has it: `2026-12-01 12:00:00 UTC`. One that repeats is no moment.
fn moment(text: &str) -> Option<Duration> {
    let civil: jiff::civil::DateTime = text.trim().strip_suffix("UTC")?.trim().parse().ok()?;
    let seconds = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// When the written timer that the commands enable starts a service that powers off.
fn powers_off(document: &Value, runs: &[String]) -> Option<Duration> {
    let files = document.get("write_files")?.as_array()?;
    let unit = |file: &Value| {
        let name = file.get("path")?.as_str()?.strip_prefix(UNITS)?.to_owned();
        Some((name, file.get("content")?.as_str()?.to_owned()))
    };
    let units: BTreeMap<String, String> = files.iter().filter_map(unit).collect();
    units.iter().find_map(|(name, timer)| {
        let service = units.get(&format!("{}.service", name.strip_suffix(".timer")?))?;
        let powers = service.lines().any(|l| l.starts_with("ExecStart=") && l.ends_with("systemctl poweroff"));
        let enabled = runs.iter().any(|run| *run == format!("systemctl enable --now {name}"));
        let at = timer.lines().find_map(|l| moment(l.strip_prefix("OnCalendar=")?))?;
        let persistent = timer.lines().any(|l| l == "Persistent=true");
        (powers && enabled && persistent).then_some(at)
    })
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
        let runs: Vec<String> = runs.iter().map(words).collect();
        Ok(Self {
            users,
            host_private: host("ed25519_private"),
            host_public: host("ed25519_public"),
            powers_off: powers_off(&document, &runs),
            runs,
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

    #[test]
    fn a_moment_is_read_as_relight_writes_it_and_nothing_else_is_one() {
        assert_eq!(moment(&crate::world::calendar(1_796_126_400)), Some(Duration::from_secs(1_796_126_400)));
        for text in ["daily", "*-*-* 12:00:00 UTC", "2026-12-01 12:00:00", ""] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
