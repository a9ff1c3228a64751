//! Trouble that begins with a step.

use crate::life::Life;
use relight::engine::{Event, Listener, Told};
use relight::sandbox::model::{lock, Fault, FaultId, FaultKind, Matcher, Model, Shared};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// How a step notices its trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notices {
    /// By an error: a `StepRetry` tells it.
    Retry,
    /// It only looks, and takes a failed look for "not yet": progress tells it.
    Wait,
}

/// A fault that is planned when its step starts, so that no other step meets it first, and withdrawn when the step has
/// noticed it (or never).
pub struct Armed {
    pub on: Matcher,
    kind: FaultKind,
    until: Option<Notices>,
    id: Option<FaultId>,
    noticed: bool,
}

impl Armed {
    pub fn new(on: Matcher, kind: FaultKind, until: Option<Notices>) -> Self {
        Self { on, kind, until, id: None, noticed: false }
    }
}

pub struct Saboteur {
    model: Shared,
    armed: Mutex<BTreeMap<String, Armed>>,
}

impl Saboteur {
    pub fn in_life(life: &mut Life, armed: impl IntoIterator<Item = (String, Armed)>) -> Arc<Self> {
        let armed = Mutex::new(armed.into_iter().collect());
        let it = Arc::new(Self { model: life.sandbox.model.clone(), armed });
        life.listener = it.clone();
        it
    }
    pub fn arm(&self, step: &str, armed: Armed) {
        self.armed.lock().unwrap().insert(step.to_owned(), armed);
    }
    /// Withdraws everything and says how often each fired, and whether its step noticed.
    pub fn disarm(&self) -> Vec<(String, u32, bool)> {
        let mut model = lock(&self.model);
        let all = std::mem::take(&mut *self.armed.lock().unwrap());
        let end = |(step, armed): (&String, &Armed)| {
            armed.id.iter().for_each(|id| model.faults.withdraw(*id));
            (step.clone(), fired(&model, &all, &armed.on), armed.noticed)
        };
        all.iter().map(end).collect()
    }
    fn notice(&self, step: &str, how: Notices) {
        let mut all = self.armed.lock().unwrap();
        let mut model = lock(&self.model);
        let has_fired = all.get(step).is_some_and(|armed| fired(&model, &all, &armed.on) > 0);
        let Some(armed) = all.get_mut(step) else { return };
        if let Some(id) = armed.id.filter(|_| armed.until == Some(how) && has_fired) {
            model.faults.withdraw(id);
            armed.noticed = true;
        }
    }
}

/// How often the faults on these calls fired: two steps at once may meet each other's.
fn fired(model: &Model, all: &BTreeMap<String, Armed>, on: &Matcher) -> u32 {
    all.values().filter(|armed| armed.on == *on).filter_map(|armed| armed.id).map(|id| model.faults.fired(id)).sum()
}

impl Listener for Saboteur {
    fn told(&self, told: &Told) {
        match told {
            Told::Durable { event: Event::StepStarted { step }, .. } => {
                if let Some(armed) = self.armed.lock().unwrap().get_mut(step) {
                    let fault = Fault::always(armed.on.clone(), armed.kind.clone());
                    armed.id = Some(lock(&self.model).faults.plan(fault));
                }
            }
            Told::Durable { event: Event::StepRetry { step, .. }, .. } => self.notice(step, Notices::Retry),
            Told::Progress { step, .. } => self.notice(step, Notices::Wait),
            Told::Durable { .. } => {}
        }
    }
}

/// The outside does not answer any more from the start of a step on, until somebody has noticed it, or for ever.
pub struct Outage {
    model: Shared,
    step: String,
    ends: bool,
    fault: Mutex<Option<FaultId>>,
}

impl Outage {
    pub fn in_life(life: &mut Life, step: &str, ends: bool) -> Arc<Self> {
        let (model, step) = (life.sandbox.model.clone(), step.to_owned());
        let outage = Arc::new(Self { model, step, ends, fault: Mutex::new(None) });
        life.listener = outage.clone();
        outage
    }
    pub fn fired(&self) -> u32 {
        self.fault.lock().unwrap().map_or(0, |id| lock(&self.model).faults.fired(id))
    }
    pub fn over(&self) {
        if let Some(id) = *self.fault.lock().unwrap() {
            lock(&self.model).faults.withdraw(id);
        }
    }
}

impl Listener for Outage {
    fn told(&self, told: &Told) {
        match told {
            Told::Durable { event: Event::StepStarted { step }, .. } if *step == self.step => {
                let mut fault = self.fault.lock().unwrap();
                if fault.is_none() {
                    let down = Fault::always(Matcher::op("*"), FaultKind::Down);
                    *fault = Some(lock(&self.model).faults.plan(down));
                }
            }
            Told::Durable { event: Event::StepRetry { .. } | Event::StepFinished { .. }, .. }
            | Told::Progress { .. } => {
                if self.ends && self.fired() > 0 {
                    self.over();
                }
            }
            Told::Durable { .. } => {}
        }
    }
}

/// Something happens to the outside as a step starts for the first time.
pub struct AtStep<F> {
    model: Shared,
    step: String,
    happens: F,
    happened: AtomicBool,
}

impl<F: Fn(&Shared) + Send + Sync + 'static> AtStep<F> {
    pub fn in_life(life: &mut Life, step: &str, happens: F) -> Arc<Self> {
        let (model, step) = (life.sandbox.model.clone(), step.to_owned());
        let it = Arc::new(Self { model, step, happens, happened: AtomicBool::new(false) });
        life.listener = it.clone();
        it
    }
    pub fn happened(&self) -> bool {
        self.happened.load(Ordering::SeqCst)
    }
}

impl<F: Fn(&Shared) + Send + Sync + 'static> Listener for AtStep<F> {
    fn told(&self, told: &Told) {
        let starts = matches!(told, Told::Durable { event: Event::StepStarted { step }, .. } if *step == self.step);
        if starts && !self.happened.swap(true, Ordering::SeqCst) {
            (self.happens)(&self.model);
        }
    }
}
