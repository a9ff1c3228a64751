//! The commands that look at files alone: `plan`, `schema`, `completions`, `status`.

use super::args::Global;
use super::begin::locked_directory;
use super::drawing::{columns, fitted};
use super::drive::title;
use super::exit::Stop;
use super::prepare::{self, Prepared};
use super::retold::retold;
use super::say::{out, say};
use super::worlds::Environment;
use super::{history, proofs, runs, spares, usage};
use crate::actions::{Mode, RunId};
use crate::config::{self, Settings};
use crate::engine::{step_records, StepRecord};
use crate::playbook::{Gate, Step};
use crate::report::{self, PlanLine};
use crate::world::{Amount, PriceList, World, WorldKind};
use dialoguer::console::Term;
use serde_json::json;

/// Which worlds a command looks at.
pub fn kinds(global: &Global) -> Vec<WorldKind> {
    if global.sandbox {
        vec![WorldKind::Sandbox]
    } else {
        vec![WorldKind::Real, WorldKind::Sandbox]
    }
}

/// A plan as people see it, on a terminal of so many columns.
pub fn plan_shown(header: &str, prepared: &Prepared, records: &[StepRecord], columns: Option<usize>) -> String {
    let path = prepared.plan.critical_path();
    let lines: Vec<PlanLine<'_>> = records
        .iter()
        .zip(&prepared.plan.steps)
        .enumerate()
        .map(|(i, (record, step))| PlanLine {
            record,
            deadline_seconds: step.deadline.as_secs_f64(),
            gate: match step.gate {
                Gate::None => "",
                Gate::Confirm => "confirm",
                Gate::Typed => "typed",
            },
            critical: path.contains(&i),
            late_seconds: prepared.outlook.usual.get(&record.id).map(|usual| usual.p90),
        })
        .collect();
    report::plan_text(header, &lines, &history::forecast(prepared), columns)
}

/// What the nodes will cost with their addresses, by the API's prices of the first choice.
pub async fn cost(world: &World, settings: &Settings) -> String {
    let wanted = &settings.cloud;
    let types = world.cloud.server_types(&wanted.server_types).await.unwrap_or_default();
    let prices = world.cloud.prices().await.unwrap_or_default();
    let first = wanted.server_types.iter().find_map(|name| types.iter().find(|t| t.name == *name));
    let place = first.and_then(|t| wanted.locations.iter().find_map(|l| t.locations.iter().find(|p| p.location == *l)));
    let (Some(kind), Some(place)) = (first, place) else { return "cost: the prices cannot be read now".to_owned() };
    let nodes = settings.nodes.len();
    let count = f64::from(u32::try_from(nodes).unwrap_or(u32::MAX));
    let all =
        |price: fn(&PriceList, &str, &str, bool) -> Option<Amount>| price(&prices, &kind.name, &place.location, true);
    let (hour, month, addresses) = match (all(PriceList::hourly), all(PriceList::monthly)) {
        (Some(hour), Some(month)) => (hour.net, month.net, "addresses included"),
        _ => (place.hourly, place.monthly, "without their addresses"),
    };
    format!(
        "cost: {nodes} x {} in {}: EUR {:.4} an hour, at most EUR {:.2} a month, net, {addresses}",
        kind.name,
        place.location,
        hour * count,
        month * count,
    )
}

/// What a rehearsal costs at most: its first hour in the dearest place that the configuration allows, euro, net.
pub async fn rehearsal_price(world: &World, settings: &Settings) -> Option<f64> {
    let (prices, cloud) = (world.cloud.prices().await.ok()?, &settings.cloud);
    let nodes = f64::from(u32::try_from(settings.nodes.len()).ok()?);
    prices.dearest_hour(&cloud.server_types, &cloud.locations).map(|hour| hour * nodes)
}

/// `relight plan`, offline.
pub fn plan(global: &Global, playbook: &str) -> Result<(), Stop> {
    let kind = if global.sandbox { WorldKind::Sandbox } else { WorldKind::Real };
    let (prepared, mode) = prepare::as_it_would_run(global, playbook)?;
    let prepared = history::informed(global, prepared, kind, mode)?;
    let run = RunId { id: "<run>".to_owned(), mode };
    let records = step_records(&prepared.plan, &prepared.settings, &run, &prepared.scripts);
    let steps = &prepared.plan.steps;
    let path: Vec<String> =
        prepared.plan.critical_path().iter().filter_map(|i| steps.get(*i)).map(|s| s.id.clone()).collect();
    if global.json {
        let step = |(record, step): (&StepRecord, &Step)| {
            let mut line = serde_json::to_value(record).unwrap_or_default();
            if let Some(line) = line.as_object_mut() {
                line.insert("deadline_seconds".to_owned(), step.deadline.as_secs_f64().into());
                line.insert("gate".to_owned(), format!("{:?}", step.gate).to_lowercase().into());
            }
            line
        };
        let steps: Vec<_> = records.iter().zip(steps).map(step).collect();
        let all = json!({
            "v": 1, "playbook": prepared.plan.name, "cluster": prepared.settings.cluster, "steps": steps,
            "critical_path": path, "forecast_seconds": prepared.plan.forecast().as_secs_f64(),
            "late_forecast_seconds": prepared.outlook.late.map(|late| late.as_secs_f64()),
            "history": prepared.outlook.usual,
        });
        say!("{all}");
    } else {
        let settings = &prepared.settings;
        let header = format!("offline · cluster {} · zone {}", settings.cluster, settings.dns.zone);
        out(&plan_shown(&header, &prepared, &records, columns(&Term::stdout())));
    }
    Ok(())
}

/// `relight schema`.
pub fn schema() {
    say!("{:#}", config::schema());
}

/// `relight completions`.
pub fn completions(shell: clap_complete::Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut usage::command(), "relight", &mut script);
    out(&String::from_utf8_lossy(&script));
}

/// `relight status`: the last run, or the named one, and what is proven of the cluster.
pub async fn status(global: &Global, environment: &Environment, named: Option<&str>) -> Result<(), Stop> {
    let settings = prepare::settings(global)?;
    let mut all = runs::glimpses(&global.state, &kinds(global), &settings.cluster)?;
    proofs::leftovers(&all).await?;
    let standings = proofs::standings(global, &settings, &all)?;
    let mut proven: String = standings.iter().map(|s| report::proven_text(s, &settings.cluster)).collect();
    let expired = spares::expired(global, environment, &settings).await;
    proven.push_str(&spares::text(&expired));
    let run = match named {
        Some(id) => all.into_iter().find(|run| run.id == id),
        None => all.pop(),
    };
    let run = run.as_ref().map(runs::Glimpse::read).transpose()?.flatten();
    if let (None, Some(id)) = (&run, named) {
        return Err(Stop::usage(format!("there is no run {id}"), "`relight status` shows the last one"));
    }
    if let Some(broken) = run.as_ref().and_then(|run| run.broken.clone()) {
        return Err(broken.into());
    }
    let Some(run) = run else {
        if global.json {
            say!(
                "{}",
                json!({ "v": 1, "cluster": settings.cluster, "run": null, "proofs": standings, "expired": spares::json(&expired) })
            );
        } else {
            say!("no run of cluster {} in {} yet", settings.cluster, global.state.display());
            out(&fitted(&retold(&proven), &Term::stdout()));
        }
        return Ok(());
    };
    let events = || run.events.iter().map(|r| (r.at, &r.event));
    let mode = run.state.started.as_ref().and_then(|s| Mode::from_word(&s.mode)).unwrap_or(Mode::Live);
    let id = RunId { id: run.id.clone(), mode };
    let directory = runs::cluster_directory(&global.state, run.world, &settings.cluster);
    let held = crate::providers::Lock::is_held(&locked_directory(&directory, &id));
    if global.json {
        let lines: Vec<_> = run.events.iter().map(|r| json!({ "seq": r.seq, "at": r.at, "event": r.event })).collect();
        let (id, world) = (&run.id, run.world.word());
        let expired = spares::json(&expired);
        let all = json!({
            "v": 1, "run": id, "world": world, "alive": held, "proofs": standings, "expired": expired, "events": lines,
        });
        say!("{all}");
    } else {
        let header = format!("{} · cluster {} · run {}", title(run.world, mode), settings.cluster, run.id);
        let text = report::status(&header, events(), held) + "\n" + &proven;
        out(&fitted(&retold(&text), &Term::stdout()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::doors::direct::{GeneratedSecrets, Outside, Sandbox, ScriptedPerson, Tripwire};
    use crate::sandbox::model::{Model, Start};
    use std::path::Path;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn the_cost_of_an_hour_and_of_a_month_includes_the_addresses() {
        let settings = config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("relight.yaml")).unwrap();
        let (start, wire) = (Start::default(), Tripwire::new());
        let sandbox = Sandbox::direct(Model::empty_world(&settings, &start), &start);
        let clock = sandbox.clock(&wire);
        let (cluster, person) = (sandbox.cluster(&wire, &clock), Arc::new(ScriptedPerson::willing()));
        let secrets = Arc::new(GeneratedSecrets { seed: 1 });
        let world = sandbox.world(&wire, &clock, Outside { cluster, secrets, person });
        let told = cost(&world, &settings).await;
        let wanted = "EUR 0.0336 an hour, at most EUR 20.97 a month, net, addresses included";
        assert_eq!(told, format!("cost: 3 x cx33 in nbg1: {wanted}"));
    }
}
