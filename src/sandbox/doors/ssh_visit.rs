//! One SSH connection to one node: who comes in, what is run, what is forwarded.

use super::{
    ssh::{ScriptLookup, SshBackend, UnitState},
    ssh_program::{exit_line, parse, Program},
};
use crate::world::Ended;
use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a wait waits at most. Wall time, as the runner's own.
const WAIT: Duration = Duration::from_secs(20);

/// More than any program of relight has.
const PROGRAM_LIMIT: usize = 16 * 1024 * 1024;

/// What a person sees who comes to look around.
const POLITE: &str =
    "This is a node of relight's sandbox. It has no shell: it knows what relight's own scripts do, and \
                      forwards ports.\nLook around with `relight kubectl -- get nodes` and `relight status`.\n";

pub(super) struct Visit {
    backend: Arc<dyn SshBackend>,
    scripts: ScriptLookup,
    user: String,
    programs: HashMap<ChannelId, Vec<u8>>,
}

impl Visit {
    pub(super) fn new(backend: Arc<dyn SshBackend>, scripts: ScriptLookup) -> Self {
        Self { backend, scripts, user: String::new(), programs: HashMap::new() }
    }

    fn judge(&self, user: &str, key: &PublicKey) -> Auth {
        let bare = PublicKey::new(key.key_data().clone(), "");
        match bare.to_openssh() {
            Ok(text) if self.backend.authorised(user, text.trim_end()) => Auth::Accept,
            _ => Auth::reject(),
        }
    }

    fn be_polite(channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        session.extended_data(channel, 1, POLITE)?;
        session.exit_status_request(channel, 1)?;
        session.eof(channel)?;
        session.close(channel)
    }
}

impl Handler for Visit {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        Ok(self.judge(user, offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        user.clone_into(&mut self.user);
        Ok(self.judge(user, key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        Self::be_polite(channel, session)
    }

    async fn exec_request(&mut self, id: ChannelId, line: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let ours: &[u8] = if self.user == "root" { b"bash -s" } else { b"sudo -n bash -s" };
        if line != ours {
            return Self::be_polite(id, session);
        }
        self.programs.insert(id, Vec::new());
        session.channel_success(id)
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), Self::Error> {
        if let Some(program) = self.programs.get_mut(&id) {
            if program.len() + data.len() > PROGRAM_LIMIT {
                return Err(russh::Error::Disconnect);
            }
            program.extend_from_slice(data);
        }
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        if let Some(program) = self.programs.remove(&id) {
            let (backend, scripts, handle) = (self.backend.clone(), self.scripts.clone(), session.handle());
            // Like a real node's: what was begun goes on when the connection breaks.
            tokio::spawn(async move {
                let (stdout, stderr, exit) = answer(&program, backend.as_ref(), &scripts).await;
                if send(&handle, id, stdout, stderr, exit).await.is_err() {
                    tracing::debug!("nobody waited for the end of a program");
                }
            });
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.programs.remove(&id);
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let own = matches!(host, "127.0.0.1" | "localhost" | "::1");
        let there = u16::try_from(port).ok().filter(|_| own).and_then(|port| self.backend.forward(port));
        let backend = self.backend.clone();
        tokio::spawn(async move {
            let Some(there) = there else { return reply.reject(ChannelOpenFailure::ConnectFailed).await };
            let Ok(mut stream) = TcpStream::connect(there).await else {
                return reply.reject(ChannelOpenFailure::ConnectFailed).await;
            };
            reply.accept().await;
            let mut channel = channel.into_stream();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut channel, &mut stream) => {}
                () = backend.dropped() => {}
            }
        });
        Ok(())
    }
}

/// What a program prints and how it ends.
async fn answer(program: &[u8], backend: &dyn SshBackend, scripts: &ScriptLookup) -> (String, String, u32) {
    match parse(program, scripts) {
        Ok(Program::Look(work)) => told(backend.look(&work).await),
        Ok(Program::Start { unit, call, work }) => {
            backend.start(&unit, &call, &work);
            wait(backend, &unit, None).await
        }
        Ok(Program::Wait { unit, call }) => wait(backend, &unit, call.as_deref()).await,
        Err(why) => (String::new(), format!("relight: {why}\n\nrelight: end=trouble\n"), 100),
    }
}

async fn wait(backend: &dyn SshBackend, unit: &str, call: Option<&str>) -> (String, String, u32) {
    // Whether it settled or the time was up, the state says.
    let _ = tokio::time::timeout(WAIT, backend.settled(unit)).await;
    let end = |word: &str| (String::new(), format!("\nrelight: end={word}\n"), 0);
    match backend.unit(unit) {
        UnitState::Absent => end("absent"),
        UnitState::Running => end("running"),
        UnitState::Lost => end("lost"),
        UnitState::Ended { call: by, ended } if ended.exit != 0 && call.is_some_and(|call| call != by) => end("absent"),
        UnitState::Ended { ended, .. } => told(ended),
    }
}

fn told(ended: Ended) -> (String, String, u32) {
    let line = exit_line(&ended);
    (ended.stdout, ended.stderr + &line, 0)
}

async fn send(handle: &Handle, id: ChannelId, stdout: String, stderr: String, exit: u32) -> Result<(), ()> {
    if !stdout.is_empty() {
        handle.data(id, stdout).await.map_err(drop)?;
    }
    handle.extended_data(id, 1, stderr).await.map_err(drop)?;
    handle.exit_status_request(id, exit).await?;
    handle.eof(id).await?;
    handle.close(id).await
}
