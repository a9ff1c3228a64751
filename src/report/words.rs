//! Times and texts as people read them.

/// The text on one line, with nothing in it that a terminal would obey: line breaks and tabs become spaces, other control
/// characters and those that turn the direction of text are written out.
///
/// For everything that came from outside: errors, names, scripts' output.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' | '\t' => out.push(' '),
            '\r' => {}
            c if c.is_control() || is_turning(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Unicode's bidirectional controls, and the line and paragraph separators.
fn is_turning(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `0.4s`, `12.0s`, `1m 03s`, `2h 05m`.
pub(super) fn time(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    let whole = std::time::Duration::from_secs_f64(seconds.min(1e9).round()).as_secs();
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 {
        format!("{hours}h {minutes:02}m")
    } else {
        format!("{minutes}m {seconds:02}s")
    }
}

/// Seconds from one moment to another, both in milliseconds since the epoch.
pub(super) fn seconds_between(from: u64, to: u64) -> f64 {
    std::time::Duration::from_millis(to.saturating_sub(from)).as_secs_f64()
}

/// Milliseconds since the epoch as RFC 3339 in UTC.
pub(super) fn rfc3339(millis: u64) -> String {
    let moment = i64::try_from(millis).ok().and_then(|m| jiff::Timestamp::from_millisecond(m).ok());
    moment.map_or_else(|| format!("{millis}ms"), |t| format!("{t:.3}"))
}

/// The same to the second: what is only expected is not known to the millisecond.
pub(super) fn to_the_second(millis: u64) -> String {
    let moment = i64::try_from(millis).ok().and_then(|m| jiff::Timestamp::from_millisecond(m).ok());
    moment.map_or_else(|| format!("{millis}ms"), |t| format!("{t:.0}"))
}

/// `1 step`, `2 steps`.
pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// Cut to this many characters, the last of them `…` where something was cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// `server[node-1], server[node-2]` as `server[node-1,node-2]`.
pub(super) fn together(steps: &[String]) -> String {
    let mut named: Vec<(&str, Vec<&str>)> = Vec::new();
    for id in steps {
        let (step, node) = match id.strip_suffix(']').and_then(|n| n.split_once('[')) {
            Some((step, node)) => (step, Some(node)),
            None => (id.as_str(), None),
        };
        match named.iter_mut().find(|(s, _)| *s == step) {
            Some((_, nodes)) => nodes.extend(node),
            None => named.push((step, node.into_iter().collect())),
        }
    }
    let shown = |(step, nodes): (&str, Vec<&str>)| match nodes.as_slice() {
        [] => step.to_owned(),
        nodes => format!("{step}[{}]", nodes.join(",")),
    };
    named.into_iter().map(shown).collect::<Vec<_>>().join(" ")
}

/// Rows of cells as columns, two spaces apart and indented by two; no spaces at the ends of lines.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str("  ");
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// The text with lines no wider than this, broken at spaces. What goes on hangs under the line's last column (after the last two
/// spaces in a row), or by two under its first word. A word that is wider than a line stays whole, to be copied whole; what stands between
/// backticks is one word.
pub fn fit(text: &str, width: usize) -> String {
    let mut out: Vec<String> = Vec::new();
    for line in text.split('\n') {
        let room = width.max(20);
        let (mut now, mut fresh) = (String::new(), true);
        let hang = hang(line, room);
        for (i, word) in words(line).into_iter().enumerate() {
            let wide = word.chars().count();
            // A word that the next line has no room for either is no better off there.
            let broken = now.chars().count() + 1 + wide > room && hang + wide <= room;
            if broken && !fresh && !word.is_empty() {
                out.push(std::mem::replace(&mut now, " ".repeat(hang)).trim_end().to_owned());
            } else if i > 0 {
                now.push(' ');
            }
            fresh = fresh && word.is_empty();
            now.push_str(word);
        }
        out.push(now);
    }
    out.join("\n")
}

/// The line's words; a command between backticks is one, spaces and all.
fn words(line: &str) -> Vec<&str> {
    let (mut words, mut begin, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in line.char_indices() {
        match c {
            '`' => quoted = !quoted && line.get(at + 1..).is_some_and(|rest| rest.contains('`')),
            ' ' if !quoted => {
                words.extend(line.get(begin..at));
                begin = at + 1;
            }
            _ => {}
        }
    }
    words.extend(line.get(begin..));
    words
}

/// Where what goes on after a line's break begins.
fn hang(line: &str, width: usize) -> usize {
    let column = line.rfind("  ").map_or(0, |at| line.get(..at + 2).unwrap_or_default().chars().count());
    let first = line.chars().take_while(|c| *c == ' ').count() + 2;
    if (1..=width / 3 * 2).contains(&column) && column >= first {
        column
    } else {
        first.min(width / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let evil = "bad\x1b[2J\x07 gate\r\nnext\u{9b}31m \u{202e}txt.exe";
        let shown = plain(evil);
        assert_eq!(shown, "bad\\u{1b}[2J\\u{7} gate next\\u{9b}31m \\u{202e}txt.exe");
        assert!(!shown.chars().any(char::is_control));
    }

    #[test]
    fn other_letters_stay_as_they_are() {
        assert_eq!(plain("naïve 日本語 … 'quoted'\n"), "naïve 日本語 … 'quoted'");
    }

    #[test]
    fn times_are_short() {
        let shown: Vec<String> = [-1.0, 0.04, 12.34, 59.96, 60.0, 63.0, 3599.6, 7500.0].into_iter().map(time).collect();
        assert_eq!(shown, ["0.0s", "0.0s", "12.3s", "1m 00s", "1m 00s", "1m 03s", "1h 00m", "2h 05m"]);
    }

    #[test]
    fn moments_are_rfc_3339() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(u64::MAX), "18446744073709551615ms");
    }

    #[test]
    fn a_long_text_is_cut_at_characters() {
        assert_eq!(cut("日本語", 3), "日本語");
        assert_eq!(cut("日本語語", 3), "日本…");
    }

    #[test]
    fn long_lines_are_broken_at_spaces_and_hang_under_their_last_column() {
        let text = "  fenced        demo-old is off, still costs, and its disk is full of secrets\nshort\n\na sentence that is \
                    longer than forty characters is wide\n  journal  state/sandbox/demo/abcdefghijkl/journal.jsonl and more";
        insta::assert_snapshot!(fit(text, 40), @r#"
          fenced        demo-old is off, still
                        costs, and its disk is
                        full of secrets
        short

        a sentence that is longer than forty
          characters is wide
          journal  state/sandbox/demo/abcdefghijkl/journal.jsonl
                   and more
        "#);
    }

    #[test]
    fn a_command_that_is_quoted_stays_whole_to_be_copied() {
        let text = "  kubeconfig    works through SSH: `relight kubectl -- get nodes`, and `not closed is text";
        insta::assert_snapshot!(fit(text, 50), @r#"
          kubeconfig    works through SSH:
                        `relight kubectl -- get nodes`,
                        and `not closed is text
        "#);
        let long = fit("next: `relight resume --state /somewhere/far/away` goes on", 40);
        assert!(long.contains("`relight resume --state /somewhere/far/away`"), "{long}");
    }
}
