//! Power and disk of servers: on, off, reset, rebuild.

use super::actions::{Begin, Effect};
use super::cloud::{Note, Op};
use super::{Answer, ApiError, Caller, CloudAction, Model};
use crate::world::ServerStatus;
use std::time::Duration;

/// What is done to a server's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Cut the power.
    Off,
    /// Power on.
    On,
    /// Power cycle.
    Reset,
    /// ACPI reboot.
    Reboot,
    /// ACPI shutdown.
    Shutdown,
}

impl Power {
    /// The API's command and the model's operation, what it brings about.
    fn words(self) -> (&'static str, &'static str, Effect) {
        match self {
            Self::Off => ("stop_server", "cloud.server.poweroff", Effect::PowerOff),
            Self::On => ("start_server", "cloud.server.poweron", Effect::PowerOn),
            Self::Reset => ("reset_server", "cloud.server.reset", Effect::Reboot),
            Self::Reboot => ("reboot_server", "cloud.server.reboot", Effect::Reboot),
            Self::Shutdown => ("shutdown_server", "cloud.server.shutdown", Effect::PowerOff),
        }
    }
}

impl Model {
    /// Power on, off, reset. 423 while another action runs on the server.
    pub fn power(&mut self, now: Duration, caller: &Caller, id: i64, power: Power) -> Answer<CloudAction> {
        let (command, op, effect) = power.words();
        let target = self.server_words(id);
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            let server = model.find_server(project, id)?;
            (note.id, note.labels) = (Some(id), server.labels.clone());
            model.check_not_busy(project, id)?;
            let (status, lasts) = match effect {
                Effect::PowerOff => (ServerStatus::Stopping, model.latency.stop),
                Effect::PowerOn => (ServerStatus::Starting, model.latency.start),
                _ => (ServerStatus::Running, model.latency.stop),
            };
            let before = model.find_server(project, id)?.status;
            // Powering on what is on, or off what is off, ends well and changes nothing. Inferred from the official clients,
            // which call both without looking.
            let idle = matches!(
                (effect, before),
                (Effect::PowerOn, ServerStatus::Running) | (Effect::PowerOff, ServerStatus::Off)
            );
            let effect = if idle { Effect::Nothing } else { effect };
            if !idle {
                model.set_status(project, id, status);
            }
            let resources = vec![("server".to_owned(), id)];
            model.begin(project, Begin { command, op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }
    /// Overwrites a server's disk with an image and new user data; address, name and price stay.
    pub fn rebuild_server(
        &mut self,
        now: Duration,
        caller: &Caller,
        id: i64,
        image: &str,
        user_data: Option<&str>,
    ) -> Answer<CloudAction> {
        let target = self.server_words(id);
        let op = "cloud.server.rebuild";
        let act = |model: &mut Self, project: usize, note: &mut Note| {
            let server = model.find_server(project, id)?;
            (note.id, note.labels) = (Some(id), server.labels.clone());
            if server.rebuild_protected {
                return Err(ApiError::protected("server"));
            }
            model.check_not_busy(project, id)?;
            let architecture = model.find_server(project, id)?.server_type.architecture.clone();
            let image = model.offer.image(image, &architecture).cloned();
            let image = image.ok_or_else(|| ApiError::invalid("image", "image not found"))?;
            let server = model.find_server_mut(project, id)?;
            server.image = image;
            server.status = ServerStatus::Other;
            if let Some(user_data) = user_data {
                user_data.clone_into(&mut server.user_data);
            }
            let resources = vec![("server".to_owned(), id)];
            let (lasts, effect) = (model.latency.create, Effect::Rebuild);
            model.begin(project, Begin { command: "rebuild_server", op, target: &target, resources, lasts, effect })
        };
        self.cloud(now, caller, &Op::write(op, &target), act)
    }
}
