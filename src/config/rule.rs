//! The rules that names, addresses and times in a configuration obey.

use std::net::IpAddr;
use std::time::Duration;

/// A host name's label: 1 to 63 lower-case letters, digits and hyphens, alphanumeric at both ends.
/// Source: RFC 1123, 2.1; Kubernetes, "Object Names and IDs".
pub(super) fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Labels joined by dots, at most 253 characters.
pub(super) fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A Kubernetes label's value, or the part of its key behind the slash.
/// Source: Kubernetes, "Labels and Selectors".
pub(super) fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63 && text.chars().all(inner) && edge(text.chars().next()) && edge(text.chars().last())
}

/// A Kubernetes label's key: `name` or `prefix.example/name`.
pub(super) fn is_label_key(text: &str) -> bool {
    let name = |n: &str| !n.is_empty() && is_label_value(n);
    text.split_once('/').map_or_else(|| name(text), |(prefix, n)| is_domain(prefix) && name(n))
}

/// The key of a Secret's entry.
/// Source: Kubernetes, "Secrets", restrictions on names and data.
pub(super) fn is_secret_key(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=253).contains(&text.len()) && text.chars().all(inner)
}

/// An environment variable's name.
pub(super) fn is_variable(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
}

/// A release of K3s: `v1.34.6+k3s1`.
pub(super) fn is_k3s_version(text: &str) -> bool {
    let number = |n: &str| !n.is_empty() && n.len() <= 4 && n.chars().all(|c| c.is_ascii_digit());
    let Some((release, build)) = text.strip_prefix('v').and_then(|t| t.split_once("+k3s")) else { return false };
    number(build) && release.split('.').count() == 3 && release.split('.').all(number)
}

/// A user name as useradd takes it.
pub(super) fn is_user(text: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    text.len() <= 32 && text.starts_with(first) && text.chars().all(inner)
}

/// Five fields of cron, of digits and `* , - /`.
pub(super) fn is_cron(text: &str) -> bool {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let inner = |c: char| c.is_ascii_digit() || matches!(c, '*' | ',' | '-' | '/');
    fields.len() == 5
        && fields.iter().all(|f| f.chars().all(inner) && f.contains(|c: char| c.is_ascii_digit() || c == '*'))
}

/// A time: `20s`, `5m`, `4h`, `1h30m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut seconds) = (text, 0u64);
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(at)?;
        let mut letters = tail.chars();
        let unit = match letters.next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = letters.as_str();
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    start: IpAddr,
    bits: u8,
}

impl Range {
    /// Reads `10.0.0.0/16`, whether or not bits below the prefix are set.
    pub fn read(text: &str) -> Option<Self> {
        let (start, bits) = text.split_once('/')?;
        let (start, bits): (IpAddr, u8) = (start.parse().ok()?, bits.parse().ok()?);
        (u32::from(bits) <= if start.is_ipv4() { 32 } else { 128 }).then_some(Self { start, bits })
    }
    /// The same range with no bit set below its prefix.
    pub fn aligned(self) -> Self {
        let keep = |width: u32| u128::MAX.checked_shl(width - u32::from(self.bits)).unwrap_or(0);
        let start = match self.start {
            IpAddr::V4(ip) => {
                let low = u128::from(ip.to_bits()) & keep(32) & u128::from(u32::MAX);
                IpAddr::V4(u32::try_from(low).unwrap_or_default().into())
            }
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & keep(128)).into()),
        };
        Self { start, ..self }
    }
    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        let bits = self.bits.min(other.bits);
        self.start.is_ipv4() == other.start.is_ipv4()
            && Self { bits, ..self }.aligned().start == Self { bits, ..other }.aligned().start
    }
    /// Whether it lies in RFC 1918's ranges and has at least 256 addresses, as the cloud wants a private network to.
    /// Source: Hetzner Cloud API, `POST /networks`, `ip_range`.
    pub fn is_private_network(self) -> bool {
        let homes = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
        let home = homes.iter().filter_map(|h| Self::read(h)).find(|h| h.overlaps(self));
        home.is_some_and(|h| self.bits >= h.bits) && self.bits <= 24
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.start, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units_and_nothing_else() {
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("20s"), Some(Duration::from_secs(20)));
        for bad in ["", "20", "s", "20 s", "1d", "-1s", "99999999999999999999h"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn ranges_know_what_they_share() {
        let range = |t| Range::read(t).unwrap();
        assert!(range("10.0.0.0/8").overlaps(range("10.42.0.0/16")));
        assert!(!range("10.42.0.0/16").overlaps(range("10.43.0.0/16")));
        assert!(range("0.0.0.0/0").overlaps(range("203.0.113.7/32")));
        assert_eq!(range("10.1.2.3/16").aligned().to_string(), "10.1.0.0/16");
        assert_eq!(range("2001:db8::1/32").aligned().to_string(), "2001:db8::/32");
        assert_eq!(range("0.0.0.0/0").aligned(), range("0.0.0.0/0"));
        assert!(range("10.0.0.0/16").is_private_network());
        assert!(!range("203.0.113.0/24").is_private_network() && !range("10.0.0.0/28").is_private_network());
        assert!(Range::read("10.0.0.0").is_none() && Range::read("10.0.0.0/33").is_none());
    }

    #[test]
    fn releases_of_k3s_are_told_from_those_of_kubernetes() {
        assert!(is_k3s_version("v1.34.6+k3s1"));
        for bad in ["1.34.6+k3s1", "v1.34.6", "v1.34+k3s1", "v1.34.6-k3s1", "v1.34.6+k3s"] {
            assert!(!is_k3s_version(bad), "{bad}");
        }
    }
}
