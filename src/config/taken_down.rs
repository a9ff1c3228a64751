//! The cluster as a run sees it that takes down what earlier runs made: the same settings, and what that is. It stands in the
//! run's first record, so that a resume, and the guard, know it without looking.

use super::settings::{Settings, SpareSettings};
use serde_json::{json, Value};
use std::time::Duration;

/// What a run takes down that it did not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenDown {
    /// Everything that these rehearsals made.
    Rehearsals(Vec<String>),
    /// What these rehearsals made, as far as its time is over.
    Expired(Vec<String>),
    /// The living cluster.
    Living,
}

impl TakenDown {
    /// The rehearsals whose things go.
    pub fn rehearsals(&self) -> &[String] {
        match self {
            Self::Rehearsals(runs) | Self::Expired(runs) => runs,
            Self::Living => &[],
        }
    }
    /// Whether only that goes whose time is over.
    pub fn only_expired(&self) -> bool {
        matches!(self, Self::Expired(_))
    }
    /// In words, as the end of a sentence.
    pub fn words(&self, cluster: &str) -> String {
        match self {
            Self::Living => format!("cluster {cluster}"),
            Self::Rehearsals(runs) if runs.is_empty() => "rehearsals".to_owned(),
            Self::Expired(runs) if runs.is_empty() => "expired rehearsals".to_owned(),
            Self::Rehearsals(runs) => format!("rehearsal {}", runs.join(", ")),
            Self::Expired(runs) => format!("expired rehearsal {}", runs.join(", ")),
        }
    }
    pub(super) fn record(&self) -> Value {
        match self {
            Self::Rehearsals(runs) => json!({ "rehearsals": runs }),
            Self::Expired(runs) => json!({ "expired": runs }),
            Self::Living => "living".into(),
        }
    }
    /// From the settings that a run's record holds.
    pub fn of_record(settings: &Value) -> Option<Self> {
        let what = settings.get("taken_down")?;
        let runs = |key: &str| -> Option<Vec<String>> {
            let runs = what.get(key)?.as_array()?;
            Some(runs.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        match what.as_str() {
            Some("living") => Some(Self::Living),
            _ => runs("rehearsals").map(Self::Rehearsals).or_else(|| runs("expired").map(Self::Expired)),
        }
    }
}

impl Settings {
    /// The settings of a run that takes this down. What rehearsals made is taken down where they are: in their project, without
    /// a way to DNS, and whether or not the configuration would allow another one.
    #[must_use]
    pub fn taking_down(&self, what: TakenDown) -> Settings {
        let mut settings = Settings { taken_down: Some(what), ..self.clone() };
        if settings.taken_down != Some(TakenDown::Living) {
            settings.dns.hosts = Vec::new();
            settings.spare = Some(SpareSettings {
                expires_after: Duration::ZERO,
                closed_ports: Vec::new(),
                budget: None,
                apart_from: None,
                differs: Vec::new(),
            });
            let runs = settings.taken_down.as_ref().map(|what| what.rehearsals().to_vec()).unwrap_or_default();
            let names = runs.iter().flat_map(|run| self.test_names(run)).map(|(_, name)| name).collect();
            settings.name_in_test_zone(names);
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_a_run_takes_down_is_read_again_from_its_record() {
        let live = crate::config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("relight.yaml")).unwrap();
        let runs = || vec!["aaa".to_owned(), "bbb".to_owned()];
        for what in [TakenDown::Living, TakenDown::Rehearsals(runs()), TakenDown::Expired(runs())] {
            let settings = live.taking_down(what.clone());
            assert_eq!(TakenDown::of_record(&settings.record()), Some(what.clone()));
            let living = what == TakenDown::Living;
            assert_eq!((settings.spare.is_none(), settings.dns.hosts == live.dns.hosts), (living, living));
        }
        assert_eq!(TakenDown::of_record(&live.record()), None);
    }
}
