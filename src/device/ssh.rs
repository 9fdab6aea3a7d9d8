//! SSH with one device: connection, host key, login, channels. This file and those below it are the only ones
//! that name russh.
//!
//! The host key is judged before any credential is sent. One method of login is chosen from what the
//! device advertises and tried once. Every way out closes the TCP connection: a session that stays
//! open holds one of a device's few VTY lines.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use russh::{ChannelOpenFailure, Disconnect, MethodKind, MethodSet};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Error, Refusal};

mod algorithms;
mod channel;
mod peer;
mod terms;

use algorithms::{no_common_algorithm, preferred};
pub use channel::{Channel, Ending};
use peer::{Line, Notes, Peer, shortened};
pub use terms::{HostPin, HostTrust, Negotiated, SshLimits, SshLogin, SshTarget};

/// How wide and high a terminal is asked for, so that paging and wrapping have the least to do.
pub(super) const COLUMNS: u16 = 511;
pub(super) const ROWS: u16 = 1000;

const CONNECT: &str = "connect over SSH";
const LOGIN: &str = "log in over SSH";

/// How long a farewell may take before the connection is cut.
const FAREWELL: Duration = Duration::from_secs(2);

/// A connection, logged in. [`close`](Ssh::close) says farewell; dropping it does so in the background.
pub struct Ssh {
    handle: Option<Handle<Peer>>,
    /// Cuts the TCP connection when dropped, whatever state the protocol is in.
    cut: Option<oneshot::Sender<()>>,
    negotiated: Negotiated,
    address: String,
    limits: SshLimits,
}

impl std::fmt::Debug for Ssh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ssh").field("address", &self.address).field("negotiated", &self.negotiated).finish()
    }
}

impl Ssh {
    /// Connects, judges the host key, logs in.
    pub async fn connect(target: &SshTarget) -> Result<Ssh, Error> {
        let address = target.authority.clone();
        let key = target.login.private_key.as_deref().map(private_key).transpose()?;
        let unreachable = |step, cause: String| Error::Unreachable { step, address: target.authority.clone(), cause };
        let socket = timeout(target.limits.connect, TcpStream::connect(&target.authority))
            .await
            .map_err(|_| unreachable(CONNECT, nothing_for(target.limits.connect)))?
            .map_err(|error| unreachable(CONNECT, error.to_string()))?;
        socket.set_nodelay(true).map_err(|error| unreachable(CONNECT, error.to_string()))?;
        let notes = Notes::default();
        let (line, cut) = Line::new(socket, notes.clone());
        let peer = Peer { trust: target.trust.clone(), notes: notes.clone() };
        let entering = async {
            let handle = client::connect_stream(Arc::new(configuration(target)), line, peer)
                .await
                .map_err(|error| handshake_failed(target, &notes, error))?;
            let Some(negotiated) = notes.lock().negotiated.clone() else {
                return Err(Error::Ours { step: CONNECT, cause: "nothing was negotiated".to_owned() });
            };
            let mut ssh = Ssh { handle: Some(handle), cut: Some(cut), negotiated, address, limits: target.limits };
            match ssh.log_in(&target.login, key, &notes).await {
                Ok(()) => Ok(ssh),
                Err(error) => {
                    // No farewell: in the middle of a login russh would wait for the next answer.
                    drop((ssh.handle.take(), ssh.cut.take()));
                    Err(error)
                }
            }
        };
        // What is dropped at the time limit takes `cut` with it, and so the connection.
        match timeout(target.limits.login, entering).await {
            Ok(outcome) => outcome,
            Err(_) if asked_for_another(&notes) => Err(expired("password")),
            Err(_) => Err(unreachable(LOGIN, format!("not logged in within {:?}", target.limits.login))),
        }
    }

    /// What the two sides agreed upon.
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// `host:port`, for errors.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A login shell on a terminal.
    pub async fn shell(&self) -> Result<Channel, Error> {
        self.open("open a shell", "a shell", async |mut channel: Channel| {
            channel.half().request_pty(true, "vt100", COLUMNS.into(), ROWS.into(), 0, 0, &[]).await.map_err(to_io)?;
            channel.granted("a terminal").await?;
            channel.half().request_shell(true).await.map_err(to_io)?;
            channel.granted("a shell").await?;
            Ok(channel)
        })
        .await
    }

    /// One command, without a terminal.
    pub async fn exec(&self, command: &str) -> Result<Channel, Error> {
        self.open("run a command over SSH", &format!("a channel for {command:?}"), async |mut channel: Channel| {
            channel.half().exec(true, command).await.map_err(to_io)?;
            channel.granted("the command").await?;
            Ok(channel)
        })
        .await
    }

    /// A subsystem, such as `sftp` or `netconf`.
    pub async fn subsystem(&self, name: &str) -> Result<Channel, Error> {
        self.open("open a subsystem", &format!("the subsystem {name}"), async |mut channel: Channel| {
            channel.half().request_subsystem(true, name).await.map_err(to_io)?;
            channel.granted("the subsystem").await?;
            Ok(channel)
        })
        .await
    }

    /// Says farewell and waits until the connection is gone.
    pub async fn close(mut self) {
        if let (Some(handle), Some(cut)) = (self.handle.take(), self.cut.take()) {
            farewell(handle, cut).await;
        }
    }

    async fn open(
        &self,
        step: &'static str,
        what: &str,
        request: impl AsyncFnOnce(Channel) -> io::Result<Channel>,
    ) -> Result<Channel, Error> {
        let unreachable = |cause| Error::Unreachable { step, address: self.address.clone(), cause };
        let Some(handle) = &self.handle else { return Err(unreachable("the connection is closed".to_owned())) };
        let opening = async {
            let channel = match handle.channel_open_session().await {
                Ok(channel) => Channel::new(channel),
                // All its lines are taken; that passes.
                Err(russh::Error::ChannelOpenFailure(reason @ ChannelOpenFailure::ResourceShortage)) => {
                    return Err(unreachable(format!("it opens no channel: {reason:?}")));
                }
                Err(russh::Error::ChannelOpenFailure(reason)) => {
                    return Err(Error::NotOffered { step, what: what.to_owned(), cause: format!("{reason:?}") });
                }
                Err(error) => return Err(unreachable(error.to_string())),
            };
            request(channel).await.map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    Error::NotOffered { step, what: what.to_owned(), cause: error.to_string() }
                }
                _ => unreachable(error.to_string()),
            })
        };
        match timeout(self.limits.open, opening).await {
            Ok(outcome) => outcome,
            Err(_) => Err(unreachable(nothing_for(self.limits.open))),
        }
    }

    /// Exactly one method, chosen from what is advertised.
    async fn log_in(&mut self, login: &SshLogin, key: Option<PrivateKey>, notes: &Notes) -> Result<(), Error> {
        let Some(handle) = &mut self.handle else { return Ok(()) };
        let lost = |notes: &Notes| Error::Unreachable {
            step: LOGIN,
            address: self.address.clone(),
            cause: notes.lock().ended.clone().map_or("the connection is gone".to_owned(), |ended| ended.cause),
        };
        let offered = match handle.authenticate_none(&login.username).await {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure { remaining_methods, .. }) if !remaining_methods.is_empty() => remaining_methods,
            Ok(AuthResult::Failure { .. }) if !handle.is_closed() => MethodSet::empty(),
            Ok(AuthResult::Failure { .. }) | Err(_) => return Err(lost(notes)),
        };
        let no_login = |cause: String| Err(Error::NoLogin { step: LOGIN, cause });
        let offers = |kind: MethodKind| offered.contains(&kind);
        let (method, result) = match (key, &login.password) {
            (Some(key), _) if offers(MethodKind::PublicKey) => {
                let hash = rsa_hash(handle, &key, &self.negotiated).await;
                let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
                ("public key", handle.authenticate_publickey(&login.username, key).await)
            }
            (None, Some(password)) if offers(MethodKind::Password) => {
                notes.lock().since_password = Some(0);
                ("password", handle.authenticate_password(&login.username, password).await)
            }
            (None, Some(password)) if offers(MethodKind::KeyboardInteractive) => {
                ("keyboard-interactive", answer_prompts(handle, &login.username, password).await?)
            }
            (None, None) => return no_login("neither password nor private key is configured".to_owned()),
            (Some(_), _) => return no_login(format!("it takes {}, not a public key", names(&offered))),
            (None, Some(_)) => return no_login(format!("it takes {}, not a password", names(&offered))),
        };
        match result {
            Ok(AuthResult::Success) => Ok(()),
            Ok(AuthResult::Failure { partial_success: true, remaining_methods }) => {
                no_login(format!("after the {method} it asks for {} too", names(&remaining_methods)))
            }
            Ok(AuthResult::Failure { remaining_methods, .. }) if !remaining_methods.is_empty() => {
                Err(refused(method, &remaining_methods))
            }
            // Devices also refuse by hanging up. Only a connection that broke says nothing of the secret.
            Ok(AuthResult::Failure { .. }) | Err(_) => {
                let by_will = !handle.is_closed() || notes.lock().ended.as_ref().is_none_or(|ended| ended.by_will);
                if by_will { Err(refused(method, &MethodSet::empty())) } else { Err(lost(notes)) }
            }
        }
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        if let (Some(handle), Some(cut)) = (self.handle.take(), self.cut.take())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(farewell(handle, cut));
        }
    }
}

async fn farewell(handle: Handle<Peer>, cut: oneshot::Sender<()>) {
    let leaving = async {
        drop(handle.disconnect(Disconnect::ByApplication, "", "").await);
        drop(handle.await);
    };
    drop(timeout(FAREWELL, leaving).await);
    drop(cut);
}

fn refused(method: &'static str, offered: &MethodSet) -> Error {
    let offered = offered.iter().map(String::from).collect();
    Error::LoginRefused { step: LOGIN, refusal: Refusal::Ssh { method, offered } }
}

fn expired(method: &'static str) -> Error {
    Error::LoginRefused { step: LOGIN, refusal: Refusal::Expired { method } }
}

/// Did something come for the password that is no decision on it?
fn asked_for_another(notes: &Notes) -> bool {
    notes.lock().since_password.is_some_and(|bytes| bytes > 0)
}

fn names(methods: &MethodSet) -> String {
    let names: Vec<&str> = methods.iter().map(<&str>::from).collect();
    if names.is_empty() { "no method that is known here".to_owned() } else { names.join(", ") }
}

fn private_key(text: &str) -> Result<PrivateKey, Error> {
    // Not a word of the parser's own message: it may quote what it read.
    let unreadable = |cause: &str| Error::Ours { step: LOGIN, cause: format!("the private key {cause}") };
    match russh::keys::decode_secret_key(text, None) {
        Ok(key) if key.is_encrypted() => Err(unreadable("needs a passphrase, which a daemon has not")),
        Ok(key) => Ok(key),
        Err(russh::keys::Error::KeyIsEncrypted) => Err(unreadable("needs a passphrase, which a daemon has not")),
        Err(_) => Err(unreadable("cannot be read: expected OpenSSH, PKCS#8 or PKCS#1 text")),
    }
}

/// The hash to sign with: what the device announces (RFC 8308), else what its own host key signs with.
async fn rsa_hash(handle: &Handle<Peer>, key: &PrivateKey, negotiated: &Negotiated) -> Option<HashAlg> {
    if !matches!(key.algorithm(), Algorithm::Rsa { .. }) {
        return None;
    }
    match handle.best_supported_rsa_hash().await {
        Ok(Some(hash)) => hash,
        Ok(None) | Err(_) => match negotiated.host_key_algorithm.as_str() {
            "ssh-rsa" => None,
            "rsa-sha2-512" => Some(HashAlg::Sha512),
            _ => Some(HashAlg::Sha256),
        },
    }
}

/// As against one that wants a token's code or a new password.
fn is_for_the_password(prompt: &str) -> bool {
    let prompt = prompt.to_lowercase();
    prompt.trim().is_empty() || prompt.contains("passw") && !prompt.contains("new")
}

/// Keyboard-interactive: one hidden prompt is answered, once. Anything else needs a person.
async fn answer_prompts(
    handle: &mut Handle<Peer>,
    username: &str,
    password: &str,
) -> Result<Result<AuthResult, russh::Error>, Error> {
    const MOST_ROUNDS: usize = 5;
    let mut answered = false;
    let mut said = handle.authenticate_keyboard_interactive_start(username, None).await;
    for _ in 0..MOST_ROUNDS {
        let prompts = match said {
            Ok(KeyboardInteractiveAuthResponse::Success) => return Ok(Ok(AuthResult::Success)),
            Ok(KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success }) => {
                return Ok(Ok(AuthResult::Failure { remaining_methods, partial_success }));
            }
            Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => prompts,
            Err(error) => return Ok(Err(error)),
        };
        let answers = match prompts.as_slice() {
            [] => Vec::new(),
            // It took the password, and wants another in its place.
            prompts if answered && prompts.iter().any(|prompt| prompt.prompt.to_lowercase().contains("new")) => {
                return Err(expired("keyboard-interactive"));
            }
            // Some devices answer a wrong password by asking for it again.
            [prompt] if !prompt.echo && answered => return Err(refused("keyboard-interactive", &MethodSet::empty())),
            [prompt] if !prompt.echo && is_for_the_password(&prompt.prompt) => {
                answered = true;
                vec![password.to_owned()]
            }
            prompts => {
                let asked: Vec<String> = prompts.iter().take(4).map(|prompt| shortened(&prompt.prompt)).collect();
                let cause = format!("it asks {asked:?}, not for a password alone");
                return Err(Error::NoLogin { step: LOGIN, cause });
            }
        };
        said = handle.authenticate_keyboard_interactive_respond(answers).await;
    }
    Err(Error::NoLogin { step: LOGIN, cause: "it asks and asks".to_owned() })
}

fn nothing_for(limit: Duration) -> String {
    format!("nothing came for {limit:?}")
}

fn to_io(error: russh::Error) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error.to_string())
}

fn configuration(target: &SshTarget) -> client::Config {
    client::Config {
        client_id: russh::SshId::Standard(Cow::Borrowed("SSH-2.0-slp_collector")),
        preferred: preferred(target.legacy, &target.trust),
        // Small, so that many sessions fit into little memory.
        window_size: 256 << 10,
        maximum_packet_size: 32 << 10,
        channel_buffer_size: 16,
        inactivity_timeout: Some(target.limits.silence),
        keepalive_interval: Some(target.limits.silence / 3),
        keepalive_max: 2,
        nodelay: true,
        gex: client::GexParams::new(2048, 4096, 8192).unwrap_or_default(),
        ..client::Config::default()
    }
}

fn handshake_failed(target: &SshTarget, notes: &Notes, error: russh::Error) -> Error {
    let misbehaved = |got: String| Error::Misbehaved { step: CONNECT, expected: "an SSH handshake", got };
    match error {
        russh::Error::UnknownKey => match (&target.trust, &notes.lock().shown) {
            (HostTrust::Pinned(pin), Some((algorithm, shown))) => Error::ChangedHostKey {
                step: CONNECT,
                algorithm: algorithm.clone(),
                pinned: pin.fingerprint,
                shown: *shown,
            },
            (HostTrust::Pinned(_) | HostTrust::Learn, _) => misbehaved("a host key that cannot be read".to_owned()),
        },
        russh::Error::NoCommonAlgo { kind, ours, theirs } => no_common_algorithm(target.legacy, &kind, &ours, &theirs),
        russh::Error::IO(error) if error.kind() != io::ErrorKind::InvalidData => {
            Error::Unreachable { step: CONNECT, address: target.authority.clone(), cause: error.to_string() }
        }
        russh::Error::Disconnect | russh::Error::HUP => Error::Unreachable {
            step: CONNECT,
            address: target.authority.clone(),
            cause: "the device closed the connection before the login".to_owned(),
        },
        error => misbehaved(error.to_string()),
    }
}
