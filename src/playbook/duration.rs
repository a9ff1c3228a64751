//! Durations as people write them: `500ms`, `30s`, `1m30s`, `2h`.

use std::time::Duration;

/// Reads numbers with units, biggest first or in any order, without spaces. `None` where it is anything else.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut whole = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().ok()?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        whole = whole.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = tail;
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
    }

    #[test]
    fn anything_else_is_no_duration() {
        for text in
            ["", "30", "s", "-1s", "1.5s", "1 m", "5 minutes", "1d", "99999999999999999999s", "18446744073709551615h"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
