//! Runs that begin where an earlier one ended, and the world that each playbook of relight's says it is for.

use crate::life::{plan, scripts, settings, Life};
use relight::actions::{Mode, RunId, WANTED};
use relight::config::{Settings, TakenDown};
use relight::playbook::Source;
use relight::sandbox::doors::direct::{DirectFiles, Disk, Tripwire};
use relight::sandbox::model::{lock, Caller, Filter, Loss, Model, Start};
use relight::world::{Files, ThingKind};
use std::time::Duration;

/// After this a rehearsal's time is over, whenever it began.
const EXPIRED: Duration = Duration::from_secs(24 * 3600);
/// Nodes register in it.
const REST: Duration = Duration::from_secs(900);
/// Ends of runs that the tests begin with.
const MADE: &str = "abcdefghijkl";

impl Life {
    /// An adoption of the living cluster, which was made by hand.
    pub fn hand_made() -> Self {
        Self::hand_made_with(settings())
    }

    /// The same with other settings.
    pub fn hand_made_with(settings: Settings) -> Self {
        let mut model = Model::empty_world(&settings, &Start::default());
        model.place_hand_made(&settings);
        let (now, caller, all) = (model.now(), Caller::token(Start::default().cloud_token), Filter::labels(""));
        let servers = model.servers(now, &caller, &all).result.unwrap().into_iter().map(|s| s.id);
        let addresses = model.primary_ips(now, &caller, &all).result.unwrap().into_iter().map(|ip| ip.id);
        let firewalls = model.things(now, &caller, ThingKind::Firewall, &all).result.unwrap().into_iter().map(|t| t.id);
        let by_hand = servers.chain(addresses).chain(firewalls).collect();
        let mut life = Self::around(model, settings);
        life.foreign.retain(|thing| !thing.contains("\"firewall-1\""));
        life.pass(REST);
        Self { plan: plan(&life.settings, "adopt"), by_hand, ..life }
    }
}

/// A run of its own, with another disk, on the same outside.
pub fn after(life: &Life, id: &str, playbook: &str, mode: Mode, settings: Settings) -> Life {
    let mut sandbox = life.sandbox.clone();
    sandbox.disk = Disk::default();
    let since = lock(&sandbox.model).ledger.entries.len();
    Life {
        plan: plan(&settings, playbook),
        scripts: scripts(),
        sandbox,
        id: RunId { id: id.to_owned(), mode },
        secrets: life.secrets.clone(),
        listener: life.listener.clone(),
        often: 1,
        between: life.between.clone(),
        foreign: life.foreign.clone(),
        by_hand: life.by_hand.clone(),
        since,
        lost: life.lost.clone(),
        settings,
    }
}

/// A run that takes this down.
pub fn taking_down(life: &Life, id: &str, what: TakenDown) -> Life {
    let (playbook, mode) = match what {
        TakenDown::Rehearsals(_) => ("teardown", Mode::Rehearsal),
        TakenDown::Expired(_) => ("sweep", Mode::Rehearsal),
        TakenDown::Living => ("teardown-live", Mode::Live),
    };
    after(life, id, playbook, mode, settings().taking_down(what))
}

/// The run that puts the records back that an earlier one kept.
pub fn undoing(life: &Life, id: &str) -> Life {
    let kept = life.sandbox.disk.read("dns-before.json").expect("the earlier run kept them");
    let undo = after(life, id, "dns-undo", Mode::Live, settings());
    let files = DirectFiles::new(&undo.sandbox.disk, &Tripwire::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(files.write(WANTED, &kept)).unwrap();
    undo
}

fn ended(life: Life) -> Life {
    let end = life.process(&Tripwire::new());
    assert_eq!(end.outcome(), "succeeded", "{end:?} {:#?}", life.events());
    life
}

/// A run by this playbook, at the beginning of the world that it is for.
pub fn beginning(playbook: &str) -> Life {
    let file = Source::embedded().playbook(playbook).unwrap().unwrap();
    let mends = crate::life::plan_of(&settings(), &file.text, &file.file).mends;
    match (mends.as_str(), playbook) {
        ("total-loss", _) => Life { plan: plan(&settings(), playbook), ..Life::lost(Loss::Off) },
        ("rehearsal", _) => Life::rehearsal(playbook),
        ("hand-made", _) => Life { plan: plan(&settings(), playbook), ..Life::hand_made() },
        ("healthy", "dns-undo") => undoing(&ended(Life::lost(Loss::Off)), "undoundoundo"),
        ("healthy", "teardown-live") => taking_down(&ended(Life::lost(Loss::Off)), "teardownaaaa", TakenDown::Living),
        ("healthy", _) => after(&ended(Life::lost(Loss::Off)), "laterlaterla", playbook, Mode::Live, settings()),
        ("kept-rehearsal", _) => {
            let life = ended(Life::rehearsal("rehearse-keep"));
            life.pass(EXPIRED);
            let what = vec![MADE.to_owned()];
            let what = if playbook == "sweep" { TakenDown::Expired(what) } else { TakenDown::Rehearsals(what) };
            let settings = settings().taking_down(what);
            after(&life, "teardownaaaa", playbook, Mode::Rehearsal, settings)
        }
        (world, _) => panic!("{playbook} is for {world}: say here how that world begins"),
    }
}
