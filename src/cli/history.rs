//! What earlier runs took, in a plan's forecast.

use super::args::Global;
use super::exit::Stop;
use super::prepare::Prepared;
use super::{card, runs, serve};
use crate::actions::Mode;
use crate::report::{Alike, Forecast, History, Usual};
use crate::world::WorldKind;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is usual for a plan's steps. Empty where there is no history.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// By step.
    pub usual: BTreeMap<String, Usual>,
    /// Clock seconds of the longest chain when every step takes as long as nine of ten did.
    pub late: Option<Duration>,
    /// Clock seconds in a wall second; 0 is as the wall's.
    pub factor: f64,
}

/// The plan with its steps' expected times from history, where there is enough of it. The playbook's own stay elsewhere.
pub fn informed(global: &Global, prepared: Prepared, kind: WorldKind, mode: Mode) -> Result<Prepared, Stop> {
    let cluster = &prepared.settings.cluster;
    let card = match kind {
        WorldKind::Sandbox => card::read(&global.state, cluster)?,
        _ => None,
    };
    let factor = match (&card, kind) {
        (Some(card), _) => card.factor,
        (None, WorldKind::Sandbox) => serve::factor(global.profile),
        (None, _) => 1.0,
    };
    let kept = runs::all(&global.state, &[kind], cluster)?;
    let alike = Alike {
        world: kind.word().to_owned(),
        // Without a running sandbox there is none whose history would count.
        world_uid: (kind == WorldKind::Sandbox).then(|| card.map_or_else(|| "none".to_owned(), |card| card.uid)),
        playbook: prepared.plan.name.clone(),
        rehearsal: mode == Mode::Rehearsal,
    };
    let history = History::of(kept.iter().map(|run| run.events.iter().map(|r| (r.at, &r.event))), &alike);
    Ok(with(prepared, &history, factor))
}

fn with(mut prepared: Prepared, history: &History, factor: f64) -> Prepared {
    let ids = prepared.plan.steps.iter().map(|step| step.id.clone());
    let usual: BTreeMap<String, Usual> = ids.filter_map(|id| history.usual(&id).map(|usual| (id, usual))).collect();
    let mut late = prepared.plan.clone();
    for (plan, seconds) in [(&mut late, (|u| u.p90) as fn(&Usual) -> f64), (&mut prepared.plan, |u| u.p50)] {
        for step in &mut plan.steps {
            let known = usual.get(&step.id).and_then(|u| Duration::try_from_secs_f64(seconds(u)).ok());
            step.expected = known.unwrap_or(step.expected);
        }
    }
    let late = (!usual.is_empty()).then(|| late.forecast());
    Prepared { outlook: Outlook { usual, late, factor }, ..prepared }
}

/// The forecast of a plan that begins now.
pub fn forecast(prepared: &Prepared) -> Forecast {
    let outlook = &prepared.outlook;
    let factor = if outlook.factor > 0.0 { outlook.factor } else { 1.0 };
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = |left: Duration| crate::world::millis(wall.saturating_add(left.div_f64(factor)));
    let usual = prepared.plan.forecast();
    Forecast {
        seconds: usual.as_secs_f64(),
        late_seconds: outlook.late.map(|late| late.as_secs_f64()),
        runs: outlook.usual.values().map(|usual| usual.runs).max().unwrap_or_default(),
        finish: Some((at(usual), outlook.late.map(at))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Event, Outcome, RunFinished, RunStarted, FORMAT};

    /// A run in which this step took so many seconds.
    fn took(step: &str, seconds: u64) -> Vec<(u64, Event)> {
        let first = RunStarted {
            format: FORMAT,
            version: String::new(),
            run: String::new(),
            world: "real".to_owned(),
            world_uid: String::new(),
            mode: "live".to_owned(),
            cluster: String::new(),
            playbook: "rebuild".to_owned(),
            playbook_digest: String::new(),
            plan: Vec::new(),
            settings: serde_json::Value::Null,
            forecast_seconds: 0.0,
            wall_at: 0,
            digests: BTreeMap::new(),
            left_out: Vec::new(),
            reconstructed: None,
        };
        let end: RunFinished = serde_json::from_value(serde_json::json!({
            "outcome": "failed", "steps": 1, "done": 1, "warnings": 0, "journal": "",
            "first_answer_seconds": null, "recovery_seconds": null,
        }))
        .unwrap();
        let (step, facts) = (step.to_owned(), BTreeMap::new());
        let finished = Event::StepFinished { step: step.clone(), outcome: Outcome::Done, facts, text: String::new() };
        vec![
            (0, Event::RunStarted(Box::new(first))),
            (0, Event::StepStarted { step }),
            (seconds * 1000, finished),
            (seconds * 1000, Event::RunFinished(end)),
        ]
    }

    #[test]
    fn a_step_with_history_is_expected_to_take_as_long_as_it_did_and_the_others_as_the_playbook_says() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let settings = crate::config::load(&root.join("relight.yaml")).unwrap();
        let source = crate::playbook::Source::embedded();
        let plan = crate::cli::prepare::plan(&source, "rebuild", &settings, Mode::Live).unwrap();
        let (before, others) = (plan.forecast(), plan.steps.iter().find(|s| s.id == "dead").unwrap().expected);
        let prepared = Prepared { settings, plan, scripts: BTreeMap::new(), outlook: Outlook::default() };
        let alike =
            Alike { world: "real".to_owned(), world_uid: None, playbook: "rebuild".to_owned(), rehearsal: false };
        let runs = [100, 50, 200].map(|seconds| took("preflight", seconds));
        let history = History::of(runs.iter().map(|run| run.iter().map(|(at, event)| (*at, event))), &alike);
        let informed = with(prepared, &history, 30.0);
        let expected = |id: &str| informed.plan.steps.iter().find(|s| s.id == id).unwrap().expected;
        assert_eq!((expected("preflight"), expected("dead")), (Duration::from_secs(100), others));
        assert!(informed.plan.forecast() > before);
        let forecast = forecast(&informed);
        assert!((forecast.late_seconds.unwrap() - forecast.seconds - 100.0).abs() < 0.001, "{forecast:?}");
        let (usual, late) = forecast.finish.unwrap();
        assert!((3_300..3_400).contains(&(late.unwrap() - usual)), "thirty times as fast as the wall: {forecast:?}");
        assert_eq!(forecast.runs, 3);
    }
}
