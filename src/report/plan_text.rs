//! A plan before it runs, as a table.

use super::words::{count, plain, table, time};
use crate::engine::StepRecord;

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
/// path marked by `*`, and the forecast in clock seconds.
pub fn plan_text(header: &str, lines: &[PlanLine<'_>], forecast_seconds: f64) -> String {
    let cells = |cells: [&str; 7]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![cells(["", "step", "expected", "deadline", "gate", "does", "needs"])];
    for line in lines {
        let gate = if line.gate == "none" { "" } else { line.gate };
        rows.push(vec![
            if line.critical { "*" } else { "" }.to_owned(),
            plain(&line.record.id),
            time(line.record.expected_seconds),
            time(line.deadline_seconds),
            plain(gate),
            plain(&line.record.text),
            plain(&together(&line.record.needs)),
        ]);
    }
    let path: Vec<String> = lines.iter().filter(|l| l.critical).map(|l| plain(&l.record.id)).collect();
    let all: f64 = lines.iter().map(|l| l.record.expected_seconds).sum();
    let header: String = header.lines().map(|l| plain(l) + "\n").collect();
    format!(
        "{header}{}\n{}; about {} along the critical path (*), {} one after the other\ncritical path: {}\n",
        table(&rows),
        count(lines.len(), "step"),
        time(forecast_seconds),
        time(all),
        path.join(" > ")
    )
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
        insta::assert_snapshot!(plan_text(HEADER, &lines, 65.0), @r#"
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
    }
}
