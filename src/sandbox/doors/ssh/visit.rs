//! One SSH connection to one node: who comes in, what is run, what is forwarded.

use super::{
    door::{Dropped, LoginRefused, ScriptLookup, SshBackend, SshLogin, UnitState},
    program::{exit_line, parse, Program},
};
use crate::world::Ended;
use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handle, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

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
    /// Told when the connection shall break.
    broken: Arc<Notify>,
    login: Option<(String, Arc<dyn SshLogin>)>,
    programs: HashMap<ChannelId, Vec<u8>>,
    /// Forwarded streams, and the look-out for the end. They end with the connection; programs do not.
    beside: JoinSet<()>,
}

impl Visit {
    pub(super) fn new(backend: Arc<dyn SshBackend>, scripts: ScriptLookup, broken: Arc<Notify>) -> Self {
        Self { backend, scripts, broken, login: None, programs: HashMap::new(), beside: JoinSet::new() }
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

    // Offered keys are not judged: the client has but one, and a login that fails for a planned fault must fail once.
    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let bare = PublicKey::new(key.public_key.key_data().clone(), "");
        let text = bare.to_openssh()?;
        match self.backend.login(user, text.trim_end()) {
            Ok(login) => {
                let (broken, watched) = (self.broken.clone(), login.clone());
                self.beside.spawn(async move {
                    watched.dropped().await;
                    broken.notify_one();
                });
                self.login = Some((user.to_owned(), login));
                Ok(Auth::Accept)
            }
            Err(LoginRefused::Key) => Ok(Auth::reject()),
            Err(LoginRefused::Dropped) => Err(russh::Error::Disconnect),
        }
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
        let root = self.login.as_ref().is_some_and(|(user, _)| user == "root");
        let ours: &[u8] = if root { b"bash -s" } else { b"sudo -n bash -s" };
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
        if let (Some(program), Some((_, login))) = (self.programs.remove(&id), self.login.clone()) {
            let (scripts, broken, handle) = (self.scripts.clone(), self.broken.clone(), session.handle());
            // Like a real node's: what was begun goes on when the connection breaks.
            tokio::spawn(async move {
                let Ok((stdout, stderr, exit)) = answer(&program, login.as_ref(), &scripts).await else {
                    return broken.notify_one();
                };
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
        while self.beside.try_join_next().is_some() {}
        self.beside.spawn(async move {
            let Some(there) = there else { return reply.reject(ChannelOpenFailure::ConnectFailed).await };
            let Ok(mut stream) = TcpStream::connect(there).await else {
                return reply.reject(ChannelOpenFailure::ConnectFailed).await;
            };
            reply.accept().await;
            if let Err(error) = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut stream).await {
                tracing::debug!(%error, "a forwarded connection ended");
            }
        });
        Ok(())
    }
}

type Said = (String, String, u32);

/// What a program prints and how it ends.
async fn answer(program: &[u8], login: &dyn SshLogin, scripts: &ScriptLookup) -> Result<Said, Dropped> {
    match parse(program, scripts) {
        Ok(Program::Look(work)) => Ok(told(login.look(&work).await?)),
        Ok(Program::Start { unit, call, work }) => {
            login.start(&unit, &call, &work)?;
            wait(login, &unit, &call).await
        }
        Ok(Program::Wait { unit, call }) => wait(login, &unit, &call).await,
        Err(why) => Ok((String::new(), format!("relight: {why}\n\nrelight: end=trouble\n"), 100)),
    }
}

async fn wait(login: &dyn SshLogin, unit: &str, call: &str) -> Result<Said, Dropped> {
    // Whether it settled or the time was up, the state says.
    let _ = tokio::time::timeout(WAIT, login.settled(unit)).await;
    let end = |word: &str| (String::new(), format!("\nrelight: end={word}\n"), 0);
    Ok(match login.unit(unit, call)? {
        UnitState::Absent => end("absent"),
        UnitState::Running => end("running"),
        UnitState::Lost => end("lost"),
        UnitState::Ended(ended) => told(ended),
    })
}

fn told(ended: Ended) -> Said {
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
