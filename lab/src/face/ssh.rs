//! SSH as the device's server speaks it. The lab's one file that knows russh's server.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg};
use russh::server::{Auth, ChannelOpenHandle, Handle, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet, Preferred, SshId, cipher, kex, mac};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::face::shell::{self, Ended};
use crate::face::station::Station;
use crate::face::subsystem::{self, Line};
use crate::face::{Way, scp};
use crate::fault::Fault;
use crate::fault::wire::{Tamper, Wire};
use crate::spec::{Algorithms, HostKey, Spec, Ssh};

/// Bytes on their way between socket and protocol.
const PIPE: usize = 64 * 1024;

/// Serves one SSH port of a device until the task is aborted; its connections end with it.
pub async fn serve(station: Arc<Station>, way: Way) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = station.accept(way) => match accepted {
                Ok(socket) => {
                    connections.spawn(connection(Arc::clone(&station), way, socket));
                }
                // Out of descriptors, most likely: others must close some first.
                Err(_) => sleep(station.spec.ssh.idle / 1000).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(station: Arc<Station>, way: Way, socket: TcpStream) {
    let mut hang_up = station.hang_up.subscribe();
    station.meter.connection();
    let lines = if way == Way::Ssh { &station.meter.vtys } else { &station.meter.open };
    let line = lines.enter();
    if way == Way::Ssh && line.now > station.spec.ssh.vtys {
        return;
    }
    tokio::select! {
        // A connection that fails is the peer's news, not ours: the counters tell.
        _ = spoken(&station, way, socket) => {}
        _ = hang_up.changed() => {}
    }
}

/// One connection. The socket is kept on this side of a pipe, so that it can be cut at any byte and at any time.
async fn spoken(station: &Arc<Station>, way: Way, mut socket: TcpStream) -> io::Result<()> {
    let fault = station.faults.at_accept(way);
    match fault {
        Some(Fault::ResetOnAccept) => return socket.set_zero_linger(),
        // Until the other side gives up.
        Some(Fault::HangHandshake) => {
            return tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.map(drop);
        }
        _ => {}
    }
    socket.set_nodelay(true)?;
    let spec = &station.spec;
    let tamper = Tamper::default();
    let wire = Wire::new(socket, tamper.clone(), Arc::clone(&station.meter), spec.ssh.idle);
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let greeted = Arc::new(AtomicBool::new(false));
    let guest =
        Guest { station: Arc::clone(station), way, tamper, greeted: Arc::clone(&greeted), channels: HashMap::new() };
    let config = Arc::new(config(station, fault.as_ref()));
    let (mut from_wire, mut to_wire) = tokio::io::split(wire);
    let (mut from_ssh, mut to_ssh) = tokio::io::split(ours);
    let inward = async {
        let _ = tokio::io::copy(&mut from_wire, &mut to_ssh).await;
        let _ = to_ssh.shutdown().await;
        // What is still to be sent may be sent.
        std::future::pending::<()>().await;
    };
    let outward = async {
        tokio::io::copy(&mut from_ssh, &mut to_wire).await?;
        to_wire.flush().await
    };
    let speaking = async {
        if let Ok(session) = russh::server::run_stream(config, theirs, guest).await {
            let _ = session.await;
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = outward => ended,
        () = inward => Ok(()),
        () = speaking => Ok(()),
    };
    if !greeted.load(Ordering::SeqCst) {
        station.meter.handshake_failed();
    }
    ended
}

fn config(station: &Station, fault: Option<&Fault>) -> russh::server::Config {
    let spec: &Spec = &station.spec;
    let algorithms = if fault == Some(&Fault::LegacyAlgorithms) { Algorithms::Legacy } else { spec.ssh.algorithms };
    let kind = if algorithms == Algorithms::Cisco { spec.ssh.host_key } else { HostKey::Rsa };
    russh::server::Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Cisco-1.25")),
        methods: methods(&spec.ssh),
        auth_rejection_time: Duration::ZERO,
        // The question which methods there are counts as one.
        max_auth_attempts: spec.ssh.tries + 1,
        keys: vec![station.host_keys.of(spec, kind, fault == Some(&Fault::ChangedHostKey))],
        preferred: preferred(algorithms),
        inactivity_timeout: None,
        ..russh::server::Config::default()
    }
}

fn methods(ssh: &Ssh) -> MethodSet {
    let mut methods = MethodSet::empty();
    for (method, served) in [
        (MethodKind::PublicKey, ssh.public_key.is_some()),
        (MethodKind::KeyboardInteractive, ssh.keyboard_interactive),
        (MethodKind::Password, ssh.password),
    ] {
        if served {
            methods.push(method);
        }
    }
    methods
}

fn preferred(algorithms: Algorithms) -> Preferred {
    let rsa = |hash| Algorithm::Rsa { hash };
    let old: Option<(&[kex::Name], &[cipher::Name])> = match algorithms {
        Algorithms::Cisco => None,
        Algorithms::Legacy => Some((&[kex::DH_G14_SHA1], &[cipher::AES_128_CBC, cipher::AES_256_CBC])),
        Algorithms::Ancient => Some((&[kex::DH_G1_SHA1], &[cipher::TRIPLE_DES_CBC])),
    };
    if let Some((kex, ciphers)) = old {
        return Preferred {
            kex: Cow::Borrowed(kex),
            key: Cow::Owned(vec![rsa(None)]),
            cipher: Cow::Borrowed(ciphers),
            mac: Cow::Borrowed(&[mac::HMAC_SHA1]),
            ..Preferred::DEFAULT
        };
    }
    Preferred {
        kex: Cow::Borrowed(&[
            kex::ECDH_SHA2_NISTP256,
            kex::ECDH_SHA2_NISTP384,
            kex::ECDH_SHA2_NISTP521,
            kex::DH_G14_SHA256,
            kex::DH_G16_SHA512,
            kex::DH_G14_SHA1,
        ]),
        key: Cow::Owned(vec![Algorithm::Ed25519, rsa(Some(HashAlg::Sha512)), rsa(Some(HashAlg::Sha256)), rsa(None)]),
        cipher: Cow::Borrowed(&[cipher::AES_128_CTR, cipher::AES_192_CTR, cipher::AES_256_CTR, cipher::AES_128_CBC]),
        mac: Cow::Borrowed(&[mac::HMAC_SHA256, mac::HMAC_SHA512, mac::HMAC_SHA1]),
        ..Preferred::DEFAULT
    }
}

/// Whoever is at the other end.
struct Guest {
    station: Arc<Station>,
    way: Way,
    tamper: Tamper,
    /// The handshake came to an end.
    greeted: Arc<AtomicBool>,
    /// Channels of which nobody has said what they are for.
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Guest {
    fn admit(&self, user: &str, right: bool) -> Auth {
        let refused = self.station.faults.at_login(self.way);
        if right && user == self.station.spec.user && !refused {
            return Auth::Accept;
        }
        self.station.meter.login_refused();
        Auth::reject()
    }

    fn has_password(&self, user: &str, password: &str) -> Auth {
        self.station.meter.password_tried();
        self.admit(user, password == self.station.spec.password)
    }

    fn line(&self, channel: Channel<Msg>) -> Line {
        let stream = Box::new(channel.into_stream());
        Line { station: Arc::clone(&self.station), way: self.way, tamper: self.tamper.clone(), stream }
    }

    fn knows(&self, key: &russh::keys::PublicKey) -> bool {
        let known = self.station.spec.ssh.public_key.as_deref().map(same_key);
        known.is_some() && key.to_openssh().ok().as_deref().map(same_key) == known
    }
}

/// Type and key of a line of `authorized_keys`, without its comment.
fn same_key(line: &str) -> (Option<&str>, Option<&str>) {
    let mut words = line.split_whitespace();
    (words.next(), words.next())
}

impl russh::server::Handler for Guest {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        self.greeted.store(true, Ordering::SeqCst);
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        self.greeted.store(true, Ordering::SeqCst);
        if !self.station.spec.ssh.password {
            return Ok(Auth::UnsupportedMethod);
        }
        Ok(self.has_password(user, password))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        self.greeted.store(true, Ordering::SeqCst);
        if !self.station.spec.ssh.keyboard_interactive {
            return Ok(Auth::UnsupportedMethod);
        }
        let Some(mut answers) = response else {
            let prompts = Cow::Borrowed(&[(Cow::Borrowed("Password: "), false)][..]);
            return Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts });
        };
        let password = answers.next().unwrap_or_default();
        Ok(self.has_password(user, &String::from_utf8_lossy(&password)))
    }

    async fn auth_publickey_offered(&mut self, _: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        self.greeted.store(true, Ordering::SeqCst);
        Ok(if self.knows(offer.public_key) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        self.station.meter.key_tried();
        Ok(self.admit(user, self.knows(key.public_key)))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        let channel = self.channels.remove(&id).filter(|_| self.way == Way::Ssh);
        let Some(channel) = channel else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let line = self.line(channel);
        let handle = session.handle();
        tokio::spawn(async move { finished(&handle, id, shell::interactive(line).await).await });
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, data: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        let command = String::from_utf8_lossy(data).into_owned();
        let copies = command == "scp" || command.starts_with("scp ");
        let may = self.way == Way::Ssh && (copies || self.station.spec.ssh.exec);
        let Some(channel) = self.channels.remove(&id).filter(|_| may) else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let line = self.line(channel);
        let handle = session.handle();
        tokio::spawn(async move {
            let ended = if copies { scp::speak(line, &command).await } else { shell::single(line, &command).await };
            finished(&handle, id, ended).await;
        });
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let words = format!("subsystem {name}");
        self.station.meter.request("SSH", &words);
        let fault = self.station.faults.at_command(self.way, &words);
        let known = subsystem::find(name, &self.station.spec.faces, self.way)
            .filter(|_| !matches!(fault, Some(Fault::Forbidden | Fault::NoCommand)));
        let (Some(subsystem), Some(channel)) = (known, self.channels.remove(&id)) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        self.tamper.begin(fault.clone());
        let line = self.line(channel);
        match fault {
            Some(Fault::DropChannel) => drop(line),
            Some(Fault::Hang) => drop(tokio::spawn(shell::silent(line))),
            _ => drop(tokio::spawn((subsystem.speak)(line))),
        }
        Ok(())
    }
}

/// Ends a channel as its program ended. A connection that is gone hears nothing of it.
async fn finished(handle: &Handle, id: ChannelId, ended: Ended) {
    if let Ended::With(status) = ended {
        let _ = handle.exit_status_request(id, status).await;
        let _ = handle.eof(id).await;
    }
    let _ = handle.close(id).await;
}
