//! A rebuild under virtual time: processes that come and go on one outside and one disk.

use relight::actions::{action, Mode, RunId, Scripts};
use relight::config::Settings;
use relight::engine::{
    read_journal, step_records, Broken, Event, Journal, Listener, Record, Run, RunFinished, RunStarted, RunState, Told,
    FORMAT, JOURNAL,
};
use relight::playbook::{Binding, Plan, Source};
use relight::sandbox::doors::direct::{
    DirectFiles, GeneratedSecrets, Keep, Outside, Sandbox, ScriptedPerson, Tripwire,
};
use relight::sandbox::model::{lock, Caller, LedgerOutcome, Loss, Model, RecordChange, Start, ThingState};
use relight::world::{millis, Clock, Labels, Person, SecretSource, World, CLUSTER, MANAGED_BY};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// The id of the run of a life.
pub const RUN_ID: &str = "abcdefghijkl";

/// After this much time without relight everything that was under way has ended.
const AT_REST: Duration = Duration::from_secs(900);

/// The example cluster's configuration.
pub fn settings() -> Settings {
    relight::config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("relight.yaml")).expect("the example is valid")
}

/// The playbook, expanded for the settings.
pub fn plan(settings: &Settings, name: &str) -> Plan {
    let file = Source::embedded().playbook(name).unwrap().unwrap();
    plan_of(settings, &file.text, &file.file)
}

/// The same from another text. Spare servers' settings make it a rehearsal's.
pub fn plan_of(settings: &Settings, text: &str, file: &str) -> Plan {
    let source = Source::embedded();
    let (nodes, default_deadline) = (&settings.nodes, settings.timeouts.step);
    let mode = mode_of(settings);
    let binding = Binding { nodes, default_deadline, mode, actions: &|n, p| action(n, p), source: &source };
    relight::playbook::load(text, file, &binding).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Another cluster of relight's, somebody's things without a label, and records that are not the cluster's.
fn others_live_here_too(model: &mut Model, start: &Start, zone: &str) {
    let theirs: Labels = [(MANAGED_BY, "relight"), (CLUSTER, "theirs")].map(|(k, v)| (k.into(), v.into())).into();
    for (project, token) in
        [("live", start.cloud_token.clone()), ("rehearsal", format!("{}-rehearsal", start.cloud_token))]
    {
        let (caller, now) = (Caller::token(token), model.now());
        model.place_foreign(project, "theirs-node-1", theirs.clone()).unwrap();
        model.place_foreign(project, "somebodys", Labels::new()).unwrap();
        let wall = ThingState::Firewall { rules: Vec::new() };
        assert!(model.create_thing(now, &caller, &format!("theirs-{project}"), &wall, &theirs).result.is_ok());
        assert!(model
            .create_thing(now, &caller, &format!("somebodys-{project}"), &ThingState::PlacementGroup, &Labels::new())
            .result
            .is_ok());
    }
    for (kind, name, content) in [("CNAME", "www", "example.net"), ("TXT", "mail", "\"v=spf1 -all\"")] {
        let text = |text: &str| Some(text.to_owned());
        let name = Some(format!("{name}.{zone}"));
        model.place_record(
            zone,
            &RecordChange { kind: text(kind), name, content: text(content), ..RecordChange::default() },
        );
    }
}

fn mode_of(settings: &Settings) -> Mode {
    match settings.spare {
        Some(_) => Mode::Rehearsal,
        None => Mode::Live,
    }
}

/// All scripts.
pub fn scripts() -> Scripts {
    let source = Source::embedded();
    source.scripts().into_iter().filter_map(|name| Some((name.clone(), source.script(&name).ok()??))).collect()
}

/// Hears nothing.
pub struct Deaf;
impl Listener for Deaf {
    fn told(&self, _told: &Told) {}
}

/// One outside, one disk, and a run on them.
pub struct Life {
    pub settings: Settings,
    pub plan: Plan,
    pub scripts: Scripts,
    pub sandbox: Sandbox,
    pub id: RunId,
    pub secrets: Arc<dyn SecretSource>,
    /// Who is told what the run does.
    pub listener: Arc<dyn Listener>,
    /// How many times as often as relight itself this one looks at what is under way.
    pub often: u32,
    /// What stands between the run and the outside.
    pub between: Between,
    /// What was not the cluster's before, in full.
    pub foreign: BTreeSet<String>,
    /// How many entries of the ledger are of earlier runs, which other disks remember.
    pub since: usize,
    /// The intents of journals that were lost.
    pub lost: Arc<Mutex<Vec<Intents>>>,
}

/// Intents by their record's number: when, and of which step.
pub type Intents = BTreeMap<u64, (u64, String)>;

/// Something that changes what a process sees of the outside.
pub type Between = Arc<dyn Fn(World) -> World + Send + Sync>;

/// A clock whose rests are shorter.
struct Hasty(Arc<dyn Clock>, u32);

#[async_trait::async_trait]
impl Clock for Hasty {
    fn now(&self) -> Duration {
        self.0.now()
    }
    async fn sleep(&self, time: Duration) {
        self.0.sleep(time / self.1).await;
    }
    async fn deadline(&self, time: Duration) {
        self.0.deadline(time).await;
    }
}

/// How one process ended.
#[derive(Debug)]
pub enum End {
    /// The run ended in it.
    Finished(RunFinished),
    /// Its tripwire killed it.
    Killed,
    /// Its journal broke.
    Broken(Broken),
}

impl End {
    pub fn outcome(&self) -> &str {
        match self {
            Self::Finished(end) => &end.outcome,
            Self::Killed => "killed",
            Self::Broken(_) => "broken",
        }
    }
}

impl Life {
    /// Every node is lost, in this way.
    pub fn lost(loss: Loss) -> Self {
        Self::lost_with(loss, settings())
    }

    /// The same with other settings.
    pub fn lost_with(loss: Loss, settings: Settings) -> Self {
        let model = Model::total_loss(&settings, &Start::default(), loss);
        Self::around(model, settings)
    }

    /// A rehearsal by this playbook, beside the living cluster.
    pub fn rehearsal(playbook: &str) -> Self {
        let live = settings();
        let model = Model::healthy(&live, &Start::default());
        Self::rehearsal_beside(model, playbook)
    }

    /// The same with names in a zone of its own.
    pub fn rehearsal_with_names(playbook: &str) -> Self {
        let (start, mut live) = (Start::default(), settings());
        live.rehearsal.zone = Some("example.org".to_owned());
        let spare = live.rehearsed_as(RUN_ID).expect("the example says what a rehearsal has");
        let life = Self::around(Model::healthy(&live, &start), spare);
        let tokens = (format!("{}-rehearsal", start.cloud_token), start.dns_token_rehearsal());
        Self { plan: plan(&life.settings, playbook), sandbox: life.sandbox.with_tokens(&tokens.0, &tokens.1), ..life }
    }

    /// The same on any outside.
    pub fn rehearsal_beside(model: Model, playbook: &str) -> Self {
        let (start, spare) = (Start::default(), settings().rehearsed().expect("the example says what a rehearsal has"));
        let life = Self::around(model, spare);
        Self {
            plan: plan(&life.settings, playbook),
            sandbox: life.sandbox.with_tokens(&format!("{}-rehearsal", start.cloud_token), &start.dns_token),
            ..life
        }
    }

    /// A run on this outside.
    pub fn around(mut model: Model, settings: Settings) -> Self {
        let start = Start::default();
        others_live_here_too(&mut model, &start, &crate::life::settings().dns.zone);
        let foreign = model.foreign(&settings.cluster, &crate::life::settings().dns.hosts);
        Self {
            plan: plan(&settings, "rebuild"),
            scripts: scripts(),
            sandbox: Sandbox::direct(model, &start),
            id: RunId { id: RUN_ID.to_owned(), mode: mode_of(&settings) },
            secrets: Arc::new(GeneratedSecrets { seed: 1 }),
            listener: Arc::new(Deaf),
            often: 1,
            between: Arc::new(|world| world),
            foreign,
            since: 0,
            settings,
            lost: Arc::default(),
        }
    }

    /// One process, with a person who says yes.
    pub fn process(&self, wire: &Tripwire) -> End {
        self.process_with(wire, Arc::new(ScriptedPerson::willing()))
    }

    /// One process of relight, from its start to its end or its death.
    pub fn process_with(&self, wire: &Tripwire, person: Arc<dyn Person>) -> End {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = wire.died() => End::Killed,
                end = self.run(wire, person) => end,
            }
        })
    }

    async fn run(&self, wire: &Tripwire, person: Arc<dyn Person>) -> End {
        let clock = self.sandbox.clock(wire);
        let cluster = self.sandbox.cluster(wire, &clock);
        let world = self.sandbox.world(wire, &clock, Outside { cluster, secrets: Arc::clone(&self.secrets), person });
        let world = (self.between)(World { clock: Arc::new(Hasty(world.clock.clone(), self.often)), ..world });
        let opened =
            Journal::open(&self.id.id, world.files.clone(), world.clock.clone(), Arc::clone(&self.listener)).await;
        let (journal, reading) = match opened {
            Ok(opened) => opened,
            Err(broken) => return End::Broken(broken),
        };
        let mut memory = RunState::of(&reading.records);
        let first = if memory.started.is_some() {
            Event::RunResumed {
                version: "test".to_owned(),
                finished: memory.finished.len(),
                unknown: Vec::new(),
                digests: BTreeMap::new(),
            }
        } else {
            memory.started_at = millis(world.clock.now());
            Event::RunStarted(Box::new(self.first_record(&world.uid)))
        };
        if let Err(broken) = journal.append(first).await {
            return End::Broken(broken);
        }
        // Kept alive: a sender that is gone would look like a stop that never comes.
        let (_stop, stopped) = watch::channel(false);
        let (plan, settings, id, scripts) = (&self.plan, &self.settings, &self.id, &self.scripts);
        let run = Run { world: &world, settings, plan, id, scripts, journal: &journal, memory, stop: stopped };
        match run.execute().await {
            Ok(end) => {
                if end.outcome == "succeeded" {
                    relight::providers::seal(&*world.files, &settings.recipients).await.expect("the disk has room");
                }
                End::Finished(end)
            }
            Err(broken) => End::Broken(broken),
        }
    }

    /// Encrypts what a kill left of a finished run's plain secrets, as the next command does.
    pub fn seal(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let files = DirectFiles::new(&self.sandbox.disk, &Tripwire::new());
        runtime.block_on(relight::providers::seal(&files, &self.settings.recipients)).expect("the disk has room");
    }

    pub fn first_record(&self, uid: &str) -> RunStarted {
        RunStarted {
            format: FORMAT,
            version: "test".to_owned(),
            run: self.id.id.clone(),
            world: "sandbox".to_owned(),
            world_uid: uid.to_owned(),
            mode: self.id.mode.word().to_owned(),
            cluster: self.settings.cluster.clone(),
            playbook: self.plan.name.clone(),
            playbook_digest: self.plan.digest.clone(),
            plan: step_records(&self.plan, &self.settings, &self.id, &self.scripts),
            settings: self.settings.record(),
            forecast_seconds: 0.0,
            wall_at: 0,
            digests: BTreeMap::new(),
            left_out: Vec::new(),
            reconstructed: None,
        }
    }

    /// The operator's state directory is gone.
    pub fn lose_state(&self) {
        self.lost.lock().unwrap().push(self.intents());
        self.sandbox.disk.lose();
    }

    /// The intents on disk.
    fn intents(&self) -> Intents {
        let bytes = self.sandbox.disk.read(JOURNAL).unwrap_or_default();
        let reading = read_journal(&bytes, "disk").expect("the journal is whole");
        let intent = |r: Record| match r.event {
            Event::Intent { step, .. } => Some((r.seq, (r.at, step))),
            _ => None,
        };
        reading.records.into_iter().filter_map(intent).collect()
    }

    /// What the disk keeps of the journal.
    pub fn events(&self) -> Vec<(u64, Event)> {
        let bytes = self.sandbox.disk.read(JOURNAL).unwrap_or_default();
        let reading = read_journal(&bytes, "disk").expect("the journal is whole");
        reading.records.into_iter().map(|r| (r.at, r.event)).collect()
    }

    /// Time without a process of relight.
    pub fn pass(&self, time: Duration) {
        let mut model = lock(&self.sandbox.model);
        let later = model.now() + time;
        model.advance(later);
    }

    /// The machine loses what was not synced.
    pub fn crash(&self, keep: Keep) {
        self.sandbox.disk.crash(keep);
    }

    /// The end of the world in lines that do not depend on ids, times or addresses: what a kill must not change.
    pub fn world_in_words(&self) -> Vec<String> {
        self.sandbox.in_words(AT_REST)
    }

    /// Every promise that the ledger can judge; empty when all were kept.
    pub fn broken_promises(&self) -> Vec<String> {
        let model = lock(&self.sandbox.model);
        let mut broken = model.ledger.made_twice();
        let names = [crate::life::settings().dns.hosts, self.settings.dns.hosts.clone()].concat();
        let now = model.foreign(&self.settings.cluster, &names);
        broken.extend(self.foreign.difference(&now).map(|thing| format!("not as it was: {thing}")));
        let foreign = model.ledger.foreign_touched(&self.settings.cluster, &self.settings.dns.hosts);
        broken.extend(foreign.iter().map(|e| format!("foreign: {} {}", e.op, e.target)));
        broken
            .extend(model.ledger.strangers.iter().map(|s| format!("stranger: {} {} {}", s.op, s.named_by, s.address)));
        broken.extend(model.ledger.broken.clone());
        broken.extend(model.naming_strangers().into_iter().map(|(by, address)| format!("{by} names {address}")));
        // The last journal first: what a node was still at when its journal was lost is an effect of that one.
        let mut journals = vec![self.intents()];
        journals.extend(self.lost.lock().unwrap().iter().rev().cloned());
        let mut used = BTreeSet::new();
        let own = model.ledger.entries.iter().skip(self.since);
        for entry in own.filter(|e| e.outcome == LedgerOutcome::Applied && !e.who.step.is_empty()) {
            let what = format!("{} {} by {}", entry.op, entry.target, entry.who.step);
            let earlier = |(at, step): &(u64, String)| *at <= millis(entry.at) && *step == entry.who.step;
            let of = journals.iter().position(|intents| intents.get(&entry.who.intent).is_some_and(earlier));
            if of.is_none() {
                broken.push(format!("no earlier intent on disk: {what}"));
            }
            // One intent may cover several objects, or several calls that belong together, but none of them twice.
            if !used.insert((of, entry.who.intent, entry.op.clone(), entry.target.clone())) {
                broken.push(format!("one intent for two effects: {what}"));
            }
        }
        broken
    }
}
