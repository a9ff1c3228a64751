//! A plan before it runs, as a table.

use super::words::{count, cut, fit, plain, table, time, to_the_second, together};
use crate::engine::StepRecord;
use std::fmt::Write;

/// The column that says what a step does.
const DOES: usize = 5;

/// One step of the plan and what the table shows beside its record.
#[derive(Debug, Clone)]
pub struct PlanLine<'a> {
    /// Its id, text, needs and expected time.
    pub record: &'a StepRecord,
    /// Clock seconds.
    pub deadline_seconds: f64,
    /// `none`, `confirm`, `typed`; empty is none.
    pub gate: &'a str,
    /// Whether it is part of the critical path.
    pub critical: bool,
    /// What nine of ten earlier runs took at most, where the expected time is from history too.
    pub late_seconds: Option<f64>,
}

/// How long a plan is expected to take.
#[derive(Debug, Clone, Default)]
pub struct Forecast {
    /// Clock seconds.
    pub seconds: f64,
    /// Should every step take as long as nine of ten did; none without history.
    pub late_seconds: Option<f64>,
    /// How many earlier runs that is from.
    pub runs: usize,
    /// When it will have ended, beginning now, and when at the latest by history: wall time, milliseconds since the epoch.
    pub finish: Option<(u64, Option<u64>)>,
}

/// The expanded plan: header (world, project, zone), every step with its needs, expected time, deadline and gate, the critical
/// path marked by `*`, and the forecast; what history knows stands in brackets. On a terminal of `width` columns what does not fit is left out: needs
/// first, then deadlines, then the ends of what steps do, and gates last.
pub fn plan_text(header: &str, lines: &[PlanLine<'_>], forecast: &Forecast, width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX);
    let path: Vec<String> = lines.iter().filter(|l| l.critical).map(|l| plain(&l.record.id)).collect();
    let all: f64 = lines.iter().map(|l| l.record.expected_seconds).sum();
    let header: String = header.lines().map(|l| fit(&plain(l), width) + "\n").collect();
    let end = format!(
        "{}; about {} along the critical path (*), {} one after the other\n{}critical path: {}\n",
        count(lines.len(), "step"),
        with_late(forecast.seconds, forecast.late_seconds),
        time(all),
        known(forecast),
        path.join(" > ")
    );
    format!("{header}{}\n{}", fitting(&rows(lines), width), fit(&end, width))
}

/// `30.0s`, `30.0s (45.0s)`.
fn with_late(seconds: f64, late: Option<f64>) -> String {
    late.map_or_else(|| time(seconds), |late| format!("{} ({})", time(seconds), time(late)))
}

/// Where the times are from, and when all will be done.
fn known(forecast: &Forecast) -> String {
    let mut text = String::new();
    if forecast.late_seconds.is_some() {
        let runs = count(forecast.runs, "earlier run");
        text = format!(
            "from {runs}: half took at most so long, nine of ten what stands in brackets; else the playbook's\n"
        );
    }
    if let Some((usual, late)) = forecast.finish {
        let late = late.map(|late| format!(" ({})", to_the_second(late))).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "begun now it ends at about {}{late}", to_the_second(usual));
    }
    text
}

fn rows(lines: &[PlanLine<'_>]) -> Vec<[String; 7]> {
    let mut rows = vec![["", "step", "expected", "deadline", "gate", "does", "needs"].map(str::to_owned)];
    for line in lines {
        let gate = if line.gate == "none" { "" } else { line.gate };
        rows.push([
            if line.critical { "*" } else { "" }.to_owned(),
            plain(&line.record.id),
            with_late(line.record.expected_seconds, line.late_seconds),
            time(line.deadline_seconds),
            plain(gate),
            plain(&line.record.text),
            plain(&together(&line.record.needs)),
        ]);
    }
    rows
}

/// So much of what a step does is shown on the narrowest terminal.
const SHORTEST: usize = 12;

/// The table, with as many of its columns as have room.
fn fitting(rows: &[[String; 7]], width: usize) -> String {
    let wide = |text: &str| text.lines().map(|l| l.chars().count()).max().unwrap_or_default() > width;
    let of = |columns: &[usize], most: usize| {
        let cell =
            |row: &[String; 7], c: usize| row.get(c).map(|text| if c == DOES { cut(text, most) } else { text.clone() });
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| columns.iter().filter_map(|c| cell(row, *c)).collect()).collect();
        table(&rows)
    };
    for columns in [&[0, 1, 2, 3, 4, DOES, 6][..], &[0, 1, 2, 3, 4, DOES], &[0, 1, 2, 4, DOES]] {
        let text = of(columns, usize::MAX);
        if !wide(&text) {
            return text;
        }
    }
    let longest = rows.iter().map(|row| row[DOES].chars().count()).max().unwrap_or_default();
    for columns in [&[0, 1, 2, 4, DOES][..], &[0, 1, 2, DOES]] {
        let mut shortened = (SHORTEST..=longest).rev().map(|most| of(columns, most));
        if let Some(text) = shortened.find(|text| !wide(text)) {
            return text;
        }
    }
    of(&[0, 1, 2, DOES], SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{plan, HEADER};

    #[test]
    fn a_plan_is_a_table_with_its_critical_path_marked() {
        let records = plan();
        let lines: Vec<PlanLine<'_>> = records
            .iter()
            .map(|record| PlanLine {
                record,
                deadline_seconds: 600.0,
                gate: if record.id == "dns" { "confirm" } else { "none" },
                critical: record.id != "server[node-2]",
                late_seconds: None,
            })
            .collect();
        let forecast = Forecast { seconds: 65.0, ..Forecast::default() };
        insta::assert_snapshot!(plan_text(HEADER, &lines, &forecast, None), @r#"
        sandbox · project demo (0 servers) · zone example.org
             step            expected  deadline  gate     does                         needs
          *  preflight       5.0s      10m 00s            do what preflight does
          *  server[node-1]  30.0s     10m 00s            do what server[node-1] does  preflight
             server[node-2]  30.0s     10m 00s            do what server[node-2] does  preflight
          *  dns             10.0s     10m 00s   confirm  do what dns does             server[node-1,node-2]
          *  late            20.0s     10m 00s            do what late does            dns

        5 steps; about 1m 05s along the critical path (*), 1m 35s one after the other
        critical path: preflight > server[node-1] > dns > late
        "#);
        for width in [100, 80, 60, 44] {
            let text = plan_text(HEADER, &lines, &forecast, Some(width));
            assert!(text.lines().all(|l| l.chars().count() <= width), "{width}:\n{text}");
            assert!(text.contains("*  server[node-1]  30.0s"), "{width}:\n{text}");
            assert_eq!(
                (text.contains("needs"), text.contains("deadline")),
                (width == 100, width > 60),
                "{width}:\n{text}"
            );
        }
        let narrow = plan_text(HEADER, &lines, &forecast, Some(44));
        assert!(narrow.contains("do what late…") || narrow.contains("do what la"), "{narrow}");
    }

    #[test]
    fn what_history_knows_stands_in_brackets_with_the_forecast_finish() {
        let records = plan();
        let line =
            |record| PlanLine { record, deadline_seconds: 600.0, gate: "", critical: true, late_seconds: Some(45.0) };
        let lines: Vec<PlanLine<'_>> = records.iter().take(1).map(line).collect();
        let finish = Some((1_700_000_065_000, Some(1_700_000_090_000)));
        let forecast = Forecast { seconds: 65.0, late_seconds: Some(90.0), runs: 4, finish };
        insta::assert_snapshot!(plan_text("", &lines, &forecast, None), @r#"
             step       expected      deadline  gate  does                    needs
          *  preflight  5.0s (45.0s)  10m 00s         do what preflight does

        1 step; about 1m 05s (1m 30s) along the critical path (*), 5.0s one after the other
        from 4 earlier runs: half took at most so long, nine of ten what stands in brackets; else the playbook's
        begun now it ends at about 2023-11-14T22:14:25Z (2023-11-14T22:14:50Z)
        critical path: preflight
        "#);
    }
}
