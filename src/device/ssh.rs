//! SSH with one device: connection, host key, login, channels. The only file that names russh.
//!
//! The host key is judged before any credential is sent. One method of login is chosen from what the
//! device advertises and tried once. Every way out closes the TCP connection: a session that stays
//! open holds one of a device's few VTY lines.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use russh::client::{self, AuthResult, ChannelOpenHandle, DisconnectReason, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{
    AlgorithmKind, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Disconnect, MethodKind, MethodSet, Names, Preferred,
    cipher, compression, kex, mac,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Error, Refusal};
use crate::domain::digest::Sha256;

mod terms;

pub use terms::{HostPin, HostTrust, Negotiated, SshLimits, SshLogin, SshTarget};

const CONNECT: &str = "connect over SSH";
const LOGIN: &str = "log in over SSH";

/// How long a farewell may take before the connection is cut.
const FAREWELL: Duration = Duration::from_secs(2);

/// The most that is kept of what a command prints to its error stream, in bytes.
const MOST_COMPLAINT: usize = 4096;

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
        let (line, cut) = Line::new(socket);
        let notes = Notes::default();
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
                    ssh.close().await;
                    Err(error)
                }
            }
        };
        // What is dropped at the time limit takes `cut` with it, and so the connection.
        match timeout(target.limits.login, entering).await {
            Ok(outcome) => outcome,
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

    /// A login shell on a terminal so wide and high that paging and wrapping have the least to do.
    pub async fn shell(&self) -> Result<Channel, Error> {
        self.open("open a shell", "a shell", async |mut channel: Channel| {
            channel.half.request_pty(true, "vt100", 511, 1000, 0, 0, &[]).await.map_err(to_io)?;
            channel.granted("a terminal").await?;
            channel.half.request_shell(true).await.map_err(to_io)?;
            channel.granted("a shell").await?;
            Ok(channel)
        })
        .await
    }

    /// One command, without a terminal.
    pub async fn exec(&self, command: &str) -> Result<Channel, Error> {
        self.open("run a command over SSH", &format!("a channel for {command:?}"), async |mut channel: Channel| {
            channel.half.exec(true, command).await.map_err(to_io)?;
            channel.granted("the command").await?;
            Ok(channel)
        })
        .await
    }

    /// A subsystem, such as `sftp` or `netconf`.
    pub async fn subsystem(&self, name: &str) -> Result<Channel, Error> {
        self.open("open a subsystem", &format!("the subsystem {name}"), async |mut channel: Channel| {
            channel.half.request_subsystem(true, name).await.map_err(to_io)?;
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
            // Some devices answer a wrong password by asking for it again.
            [prompt] if !prompt.echo && answered => return Err(refused("keyboard-interactive", &MethodSet::empty())),
            [prompt] if !prompt.echo => {
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

/// Foreign text, short enough for one line of a log.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn nothing_for(limit: Duration) -> String {
    format!("nothing came for {limit:?}")
}

fn to_io(error: russh::Error) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error.to_string())
}

// ---------------------------------------------------------------------------------------------
// Algorithms

const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
];
const OLD_KEX: &[kex::Name] = &[kex::DH_G14_SHA1, kex::DH_GEX_SHA1];
const LEGACY_KEX: &[kex::Name] = &[kex::DH_G1_SHA1];
const KEX_SIGNALS: &[kex::Name] = &[kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];

const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
const OLD_CIPHERS: &[cipher::Name] = &[cipher::AES_256_CBC, cipher::AES_192_CBC, cipher::AES_128_CBC];
const LEGACY_CIPHERS: &[cipher::Name] = &[cipher::TRIPLE_DES_CBC];

const MACS: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM, mac::HMAC_SHA512, mac::HMAC_SHA256];
const OLD_MACS: &[mac::Name] = &[mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

const HOST_KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    Algorithm::Rsa { hash: None },
];

/// Modern first, the old set last, group1 and 3DES only where they are asked for.
fn preferred(legacy: bool, trust: &HostTrust) -> Preferred {
    let legacy_kex = if legacy { LEGACY_KEX } else { &[] };
    let legacy_ciphers = if legacy { LEGACY_CIPHERS } else { &[] };
    let mut host_keys = HOST_KEYS.to_vec();
    if let HostTrust::Pinned(HostPin { key_type: Some(pinned), .. }) = trust {
        // Stable, so the order within a type stays.
        host_keys.sort_by_key(|algorithm| key_type(algorithm) != *pinned);
    }
    Preferred {
        kex: Cow::Owned([KEX, OLD_KEX, legacy_kex, KEX_SIGNALS].concat()),
        key: Cow::Owned(host_keys),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Owned([CIPHERS, OLD_CIPHERS, legacy_ciphers].concat()),
        mac: Cow::Owned([MACS, OLD_MACS].concat()),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// The name that stands in the key blob: an RSA key is one key, however it signs.
fn key_type(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa".to_owned(),
        other => other.to_string(),
    }
}

fn configuration(target: &SshTarget) -> client::Config {
    client::Config {
        client_id: russh::SshId::Standard(Cow::Borrowed("SSH-2.0-slp_collector")),
        preferred: preferred(target.legacy, &target.trust),
        // Small, so that many sessions fit into little memory.
        window_size: 256 << 10,
        maximum_packet_size: 32 << 10,
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

fn no_common_algorithm(legacy: bool, kind: &AlgorithmKind, ours: &[String], theirs: &[String]) -> Error {
    let list = |names: &[String]| names.iter().take(32).map(|name| shortened(name)).collect::<Vec<_>>().join(",");
    let has = |name: &str| !legacy && theirs.iter().any(|their| their == name);
    let (kind, remedy) = match kind {
        AlgorithmKind::Kex if has("diffie-hellman-group1-sha1") => (
            "key exchange",
            "set `legacy = true` for this device, or give it a larger DH group (IOS: `ip ssh dh min size 2048`)",
        ),
        AlgorithmKind::Kex => ("key exchange", "mend it on the device (IOS: `ip ssh server algorithm kex`)"),
        AlgorithmKind::Key => (
            "host key algorithm",
            "give the device an RSA key of at least 2048 bits (IOS: `crypto key generate rsa modulus 3072`)",
        ),
        AlgorithmKind::Cipher if has("3des-cbc") => (
            "cipher",
            "set `legacy = true` for this device, or allow AES on it (IOS: `ip ssh server algorithm encryption`)",
        ),
        AlgorithmKind::Cipher => ("cipher", "mend it on the device (IOS: `ip ssh server algorithm encryption`)"),
        AlgorithmKind::Mac => ("MAC", "mend it on the device (IOS: `ip ssh server algorithm mac`)"),
        AlgorithmKind::Compression => ("compression", "the device must allow none"),
    };
    Error::NoCommonAlgorithm { step: CONNECT, kind, ours: list(ours), theirs: list(theirs), remedy }
}

// ---------------------------------------------------------------------------------------------
// What russh calls back

/// What came to light while connecting.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    /// Type and fingerprint of the host key; its signature may still be wrong.
    shown: Option<(String, Sha256)>,
    negotiated: Option<Negotiated>,
    ended: Option<Ended>,
}

#[derive(Clone)]
struct Ended {
    /// The device hung up, as opposed to a connection that broke.
    by_will: bool,
    cause: String,
}

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

struct Peer {
    trust: HostTrust,
    notes: Notes,
}

type Offered = russh::Channel<client::Msg>;

impl client::Handler for Peer {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let key = key.public_key();
        let shown = Sha256::of(&key.to_bytes()?);
        self.notes.lock().shown = Some((key_type(&key.algorithm()), shown));
        Ok(match &self.trust {
            HostTrust::Learn => true,
            HostTrust::Pinned(pin) => pin.fingerprint == shown,
        })
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        let mut notes = self.notes.lock();
        let Some((host_key_type, fingerprint)) = notes.shown.clone() else { return Ok(()) };
        let mac = |name: &mac::Name| if *name == mac::NONE { String::new() } else { name.as_ref().to_owned() };
        notes.negotiated = Some(Negotiated {
            server: shortened(&String::from_utf8_lossy(session.remote_sshid())),
            kex: names.kex.as_ref().to_owned(),
            host_key_algorithm: names.key.to_string(),
            host_key_type,
            fingerprint,
            cipher: names.cipher.as_ref().to_owned(),
            mac_out: mac(&names.client_mac),
            mac_in: mac(&names.server_mac),
        });
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        let ended = match &reason {
            DisconnectReason::ReceivedDisconnect(told) => {
                Ended { by_will: true, cause: format!("the device hung up: {:?}", shortened(&told.message)) }
            }
            DisconnectReason::Error(russh::Error::IO(error)) => {
                Ended { by_will: error.kind() == io::ErrorKind::UnexpectedEof, cause: error.to_string() }
            }
            DisconnectReason::Error(error @ (russh::Error::Disconnect | russh::Error::HUP)) => {
                Ended { by_will: true, cause: error.to_string() }
            }
            DisconnectReason::Error(error) => Ended { by_will: false, cause: error.to_string() },
        };
        self.notes.lock().ended = Some(ended);
        Ok(())
    }

    // A server has no business to open channels to us. Dropping the reply refuses it.

    async fn server_channel_open_session(
        &mut self,
        _: Offered,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Offered,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Offered,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Offered,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Offered,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Offered,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Offered,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        Ok(())
    }
}

/// The TCP connection, which ends when its other half is dropped: russh's own task holds the socket,
/// and would wait in it for a peer that stalls in the middle of a key exchange.
struct Line {
    socket: TcpStream,
    cut: Option<oneshot::Receiver<()>>,
}

impl Line {
    fn new(socket: TcpStream) -> (Line, oneshot::Sender<()>) {
        let (sender, receiver) = oneshot::channel();
        (Line { socket, cut: Some(receiver) }, sender)
    }

    fn whole(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(cut) = &mut self.cut
            && Pin::new(cut).poll(cx).is_ready()
        {
            self.cut = None;
        }
        match self.cut {
            Some(_) => Ok(()),
            None => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed from this side")),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.whole(cx)?;
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.whole(cx)?;
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

// ---------------------------------------------------------------------------------------------
// Channels

/// One channel: a stream of bytes both ways. Closed on every path, also by being dropped.
pub struct Channel {
    reading: Reading,
    /// A message that was only read in part, and how far.
    rest: Option<(ChannelMsg, usize)>,
    writing: Pin<Box<dyn AsyncWrite + Send>>,
    half: Arc<ChannelWriteHalf<client::Msg>>,
    ended: bool,
    complaint: Vec<u8>,
    exit: Option<u32>,
}

type Waiting = Pin<Box<dyn Future<Output = (ChannelReadHalf, Option<ChannelMsg>)> + Send>>;

struct Reading(Waiting);

impl Reading {
    fn next(mut half: ChannelReadHalf) -> Waiting {
        Box::pin(async move {
            let message = half.wait().await;
            (half, message)
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChannelMsg>> {
        let (half, message) = ready!(self.0.as_mut().poll(cx));
        self.0 = Reading::next(half);
        Poll::Ready(message)
    }
}

/// How the far end of a channel ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The exit status, where one was told.
    pub exit: Option<u32>,
    /// What came on the error stream, the first 4 KiB.
    pub complaint: String,
}

impl Channel {
    fn new(channel: russh::Channel<client::Msg>) -> Channel {
        let (read, write) = channel.split();
        Channel {
            reading: Reading(Reading::next(read)),
            rest: None,
            writing: Box::pin(write.make_writer()),
            half: Arc::new(write),
            ended: false,
            complaint: Vec::new(),
            exit: None,
        }
    }

    /// Waits for the answer to a request. `PermissionDenied` means the device said no.
    async fn granted(&mut self, what: &str) -> io::Result<()> {
        loop {
            match std::future::poll_fn(|cx| self.reading.poll(cx)).await {
                Some(ChannelMsg::Success) => return Ok(()),
                Some(ChannelMsg::Failure) => {
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{what} was refused")));
                }
                // A device may speak before it says yes.
                Some(message @ ChannelMsg::Data { .. }) if self.rest.is_none() => self.rest = Some((message, 0)),
                Some(ChannelMsg::Close) | None => {
                    self.ended = true;
                    let cause = format!("the channel closed when {what} was asked for");
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, cause));
                }
                Some(message) => self.note(&message),
            }
        }
    }

    fn note(&mut self, message: &ChannelMsg) {
        match message {
            ChannelMsg::ExtendedData { data, .. } => {
                let room = MOST_COMPLAINT.saturating_sub(self.complaint.len());
                self.complaint.extend(data.iter().take(room));
            }
            ChannelMsg::ExitStatus { exit_status } => self.exit = Some(*exit_status),
            _ => {}
        }
    }

    /// Closes it and waits, for a short time, until the device has closed it too. Many devices have
    /// one channel a connection, or few, so the next one must not overtake this.
    pub async fn close(mut self) -> Ending {
        let leaving = async {
            drop(self.half.close().await);
            while !self.ended {
                match std::future::poll_fn(|cx| self.reading.poll(cx)).await {
                    Some(ChannelMsg::Close) | None => self.ended = true,
                    Some(message) => self.note(&message),
                }
            }
        };
        drop(timeout(FAREWELL, leaving).await);
        self.ended = true;
        self.ending()
    }

    /// How the far end ended, as far as it is known.
    pub fn ending(&self) -> Ending {
        Ending { exit: self.exit, complaint: String::from_utf8_lossy(&self.complaint).into_owned() }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // russh sends no CLOSE by itself, and a channel left open holds a line of the device.
        if !self.ended
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let half = self.half.clone();
            runtime.spawn(async move { drop(timeout(FAREWELL, half.close()).await) });
        }
    }
}

impl AsyncRead for Channel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if let Some((ChannelMsg::Data { data }, at)) = &mut this.rest {
                let left = data.get(*at..).unwrap_or_default();
                let now = left.get(..buf.remaining().min(left.len())).unwrap_or_default();
                buf.put_slice(now);
                *at += now.len();
                if *at >= data.len() {
                    this.rest = None;
                }
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(this.reading.poll(cx)) {
                Some(ChannelMsg::Data { data }) if data.is_empty() => {}
                Some(message @ ChannelMsg::Data { .. }) => this.rest = Some((message, 0)),
                // The exit status comes between the end of the data and the close.
                Some(ChannelMsg::Close) | None => this.ended = true,
                Some(message) => this.note(&message),
            }
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.writing.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        self.writing.as_mut().poll_shutdown(cx)
    }
}
