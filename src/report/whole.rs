//! The one bar for the whole, as text.

use super::words::{cut, time};
use std::time::Instant;

/// Characters of the bar.
const WIDTH: u32 = 20;
/// A shorter one shows nothing.
const NARROWEST: u32 = 5;

/// The whole at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    pub(super) since: Instant,
    pub(super) elapsed: f64,
    pub(super) left: f64,
    pub(super) done: usize,
    pub(super) steps: usize,
    pub(super) waiting: usize,
    pub(super) hidden: usize,
}

/// The bar's line, this many clock seconds after its last event, in at most this many columns: the bar gives way first.
pub(super) fn whole_text(whole: &Whole, later: f64, columns: usize) -> String {
    let elapsed = whole.elapsed + later;
    let all = (whole.elapsed + whole.left).max(elapsed);
    let part = if all > 0.0 { elapsed / all } else { 0.0 };
    // What is not done is never shown as done, however late it is.
    let part = if whole.done < whole.steps { part.min(0.99) } else { 1.0 };
    let hidden = if whole.hidden > 0 { format!(", {} more under way", whole.hidden) } else { String::new() };
    let late = whole.elapsed + whole.left < elapsed;
    let of = if late { "and later than forecast".to_owned() } else { format!("of about {}", time(all)) };
    let (done, steps, waiting) = (whole.done, whole.steps, whole.waiting);
    let text = format!("{done}/{steps} done, {waiting} waiting{hidden}, {} {of}", time(elapsed));
    let room = u32::try_from(columns.saturating_sub(text.chars().count() + 3)).unwrap_or(u32::MAX).min(WIDTH);
    if room < NARROWEST {
        return cut(&text, columns);
    }
    let cell = |i: u32| if f64::from(i) + 1.0 <= part * f64::from(room) { '#' } else { '-' };
    let cells: String = (0..room).map(cell).collect();
    format!("[{cells}] {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_measures_the_whole_against_the_forecast_and_is_full_at_the_end_alone() {
        let since = Instant::now();
        let mut whole = Whole { since, elapsed: 30.0, left: 60.0, done: 1, steps: 3, waiting: 1, hidden: 0 };
        insta::assert_snapshot!(whole_text(&whole, 0.0, 100), @"[######--------------] 1/3 done, 1 waiting, 30.0s of about 1m 30s");
        whole.hidden = 2;
        insta::assert_snapshot!(whole_text(&whole, 70.0, 100), @"[###################-] 1/3 done, 1 waiting, 2 more under way, 1m 40s and later than forecast");
        for columns in 10..120 {
            let text = whole_text(&whole, 70.0, columns);
            assert!(text.chars().count() <= columns, "{columns}: {text}");
        }
        assert!(whole_text(&whole, 70.0, 80).starts_with("[#"), "at 80 columns there is a bar");
        whole.done = 3;
        insta::assert_snapshot!(whole_text(&whole, 0.0, 100), @"[####################] 3/3 done, 1 waiting, 2 more under way, 30.0s of about 1m 30s");
    }
}
