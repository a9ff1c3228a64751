//! Filters of record lists: `name=`, `name.exact=`, `content.contains=`, `match=any`, ...
//!
//! Source: Cloudflare API docs, "List DNS Records". The plain form of a filter means the exact one.

use super::call::Call;
use crate::sandbox::model::DnsRecord;

/// Whether the query selects this record.
pub(super) fn selects(call: &Call, record: &DnsRecord) -> bool {
    let any = call.value("match") == "any";
    let mut verdicts = call.query.iter().filter_map(|(key, wanted)| verdict(key, wanted, record)).peekable();
    if verdicts.peek().is_none() {
        return true;
    }
    if any {
        verdicts.any(|yes| yes)
    } else {
        verdicts.all(|yes| yes)
    }
}

/// `None` where this key is no filter.
fn verdict(key: &str, wanted: &str, record: &DnsRecord) -> Option<bool> {
    let (field, how) = key.split_once('.').unwrap_or((key, "exact"));
    let proxied = record.proxied.to_string();
    let (text, wanted) = match field {
        "name" => (record.name.as_str(), wanted.to_ascii_lowercase()),
        "content" => (record.content.as_str(), wanted.to_owned()),
        "type" => (record.kind.as_str(), wanted.to_owned()),
        "proxied" => (proxied.as_str(), wanted.to_owned()),
        "comment" => (record.comment.as_deref().unwrap_or_default(), wanted.to_owned()),
        _ => return None,
    };
    Some(match how {
        "exact" => text == wanted,
        "contains" => text.contains(&wanted),
        "startswith" => text.starts_with(&wanted),
        "endswith" => text.ends_with(&wanted),
        "present" => !text.is_empty(),
        "absent" => text.is_empty(),
        _ => return None,
    })
}
