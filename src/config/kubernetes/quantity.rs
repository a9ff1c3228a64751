//! Quantities: `100m`, `2Gi`, `1e3`, `0.5`.

use serde_json::Value;

/// The suffixes and what they multiply by, in billionths: a quantity is never finer.
/// Source: Kubernetes API reference v1.34, "Quantity"; `apimachinery/pkg/api/resource/suffix.go`.
const SUFFIXES: [(&str, i128); 16] = [
    ("", 1_000_000_000),
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("k", 1_000_000_000_000),
    ("M", 1_000_000_000_000_000),
    ("G", 1_000_000_000_000_000_000),
    ("T", 1_000_000_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000_000_000_000),
    ("Ki", 1_000_000_000 << 10),
    ("Mi", 1_000_000_000 << 20),
    ("Gi", 1_000_000_000 << 30),
    ("Ti", 1_000_000_000 << 40),
    ("Pi", 1_000_000_000 << 50),
    ("Ei", 1_000_000_000 << 60),
];

/// A quantity in billionths, rounded up; `None` where it is none. One too large to count is the largest.
pub(super) fn quantity(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => read(text),
        Value::Number(number) => read(&number.to_string()),
        _ => None,
    }
}

fn read(text: &str) -> Option<i128> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let (unit, exponent) = scale(suffix)?;
    let digits = format!("{whole}{fraction}").trim_start_matches('0').to_owned();
    if digits.is_empty() {
        return Some(0);
    }
    let exponent = exponent - i64::try_from(fraction.len()).ok()?;
    Some(sign * scaled(&digits, unit, exponent).unwrap_or(i128::MAX))
}

/// What the suffix multiplies by: a unit and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i64)> {
    if let Some((_, unit)) = SUFFIXES.iter().find(|(known, _)| *known == suffix) {
        return Some((*unit, 0));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let plain = !digits.is_empty() && digits.len() <= 9 && digits.chars().all(|c| c.is_ascii_digit());
    plain.then(|| exponent.trim_start_matches('+').parse().ok()).flatten().map(|power| (1_000_000_000, power))
}

/// `None` where it is too large.
fn scaled(digits: &str, unit: i128, exponent: i64) -> Option<i128> {
    let all = digits.parse::<i128>().ok()?.checked_mul(unit)?;
    let power = |n: u64| u32::try_from(n).ok().and_then(|n| 10_i128.checked_pow(n));
    if exponent >= 0 {
        return all.checked_mul(power(exponent.unsigned_abs())?);
    }
    // Finer than a billionth is rounded up.
    let Some(by) = power(exponent.unsigned_abs()) else { return Some(1) };
    Some(all / by + i128::from(all % by != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_told_from_other_texts_and_compared() {
        let of = |value| quantity(&value);
        assert_eq!(of(json!("100m")), of(json!("0.1")));
        assert_eq!(of(json!("700m")), of(json!(0.7)));
        assert_eq!(of(json!("1Gi")), of(json!("1024Mi")));
        assert_eq!(of(json!("2e3")), of(json!("2k")));
        assert_eq!(of(json!(2)), of(json!("2000m")));
        assert_eq!((of(json!("-1")), of(json!("0"))), (Some(-1_000_000_000), Some(0)));
        assert!(of(json!("1Gi")) > of(json!("1G")) && of(json!("1e99")) > of(json!("1Ei")));
        for bad in ["100x", "two", "", "Gi", "1gi", "1 Gi", "1.2.3", ".", "1e", "--1", "1GiB", "1K"] {
            assert_eq!(of(json!(bad)), None, "{bad}");
        }
        assert_eq!(of(json!(true)), None);
    }
}
