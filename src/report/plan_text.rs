//! A plan before it runs, as a table.

use super::words::{count, cut, fit, plain, table, time};
use crate::engine::StepRecord;

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
}

/// The expanded plan: header (world, project, zone), every step with its needs, expected time, deadline and gate, the critical
/// path marked by `*`, and the forecast in clock seconds. On a terminal of `width` columns what does not fit is left out: needs
/// first, then deadlines, then the ends of what steps do, and gates last.
pub fn plan_text(header: &str, lines: &[PlanLine<'_>], forecast_seconds: f64, width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX);
    let path: Vec<String> = lines.iter().filter(|l| l.critical).map(|l| plain(&l.record.id)).collect();
    let all: f64 = lines.iter().map(|l| l.record.expected_seconds).sum();
    let header: String = header.lines().map(|l| fit(&plain(l), width) + "\n").collect();
    let end = format!(
        "{}; about {} along the critical path (*), {} one after the other\ncritical path: {}\n",
        count(lines.len(), "step"),
        time(forecast_seconds),
        time(all),
        path.join(" > ")
    );
    format!("{header}{}\n{}", fitting(&rows(lines), width), fit(&end, width))
}

fn rows(lines: &[PlanLine<'_>]) -> Vec<[String; 7]> {
    let mut rows = vec![["", "step", "expected", "deadline", "gate", "does", "needs"].map(str::to_owned)];
    for line in lines {
        let gate = if line.gate == "none" { "" } else { line.gate };
        rows.push([
            if line.critical { "*" } else { "" }.to_owned(),
            plain(&line.record.id),
            time(line.record.expected_seconds),
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

/// `server[node-1], server[node-2]` as `server[node-1,node-2]`.
fn together(needs: &[String]) -> String {
    let mut named: Vec<(&str, Vec<&str>)> = Vec::new();
    for need in needs {
        let (step, node) = match need.strip_suffix(']').and_then(|n| n.split_once('[')) {
            Some((step, node)) => (step, Some(node)),
            None => (need.as_str(), None),
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
            })
            .collect();
        insta::assert_snapshot!(plan_text(HEADER, &lines, 65.0, None), @r#"
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
            let text = plan_text(HEADER, &lines, 65.0, Some(width));
            assert!(text.lines().all(|l| l.chars().count() <= width), "{width}:\n{text}");
            assert!(text.contains("*  server[node-1]  30.0s"), "{width}:\n{text}");
            assert_eq!(
                (text.contains("needs"), text.contains("deadline")),
                (width == 100, width > 60),
                "{width}:\n{text}"
            );
        }
        let narrow = plan_text(HEADER, &lines, 65.0, Some(44));
        assert!(narrow.contains("do what late…") || narrow.contains("do what la"), "{narrow}");
    }
}
