//! SSH against a server that counts: how often a secret is sent, and that every way out closes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Response, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use slp_collector::device::shell::{Command, IOS_XE, Opening, Setup, Shell, ShellLimits};
use slp_collector::device::ssh::{HostPin, HostTrust, Ssh, SshLimits, SshLogin, SshTarget};
use slp_collector::device::{Error, Refusal};
use slp_collector::domain::digest::Sha256;
use slp_collector::domain::event::Blame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use crate::support::bare_ssh;

const LIMIT: Duration = Duration::from_secs(20);

/// What happened at the server, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Password(String),
    Asked,
    Answered(Vec<String>),
    Shell,
    ChannelClosed,
    ConnectionGone,
}

/// How the server behaves.
#[derive(Clone, Default)]
struct Manners {
    methods: Vec<MethodKind>,
    /// The prompts of keyboard-interactive and whether the answer is echoed, round by round.
    prompts: Vec<Vec<(&'static str, bool)>>,
    hangs_up: bool,
}

struct Impostor {
    authority: String,
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl Impostor {
    async fn start(manners: Manners) -> Impostor {
        let (sender, seen) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let config = Arc::new(server::Config {
            keys: vec![PrivateKey::random(&mut rand(), Algorithm::Ed25519).unwrap()],
            methods: MethodSet::from(manners.methods.as_slice()),
            auth_rejection_time: Duration::ZERO,
            inactivity_timeout: None,
            ..server::Config::default()
        });
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let handler = Handler { manners: manners.clone(), seen: sender.clone(), round: 0 };
                let (config, seen) = (config.clone(), sender.clone());
                tokio::spawn(async move {
                    if let Ok(session) = server::run_stream(config, socket, handler).await {
                        drop(session.await);
                    }
                    drop(seen.send(Seen::ConnectionGone));
                });
            }
        });
        Impostor { authority, seen }
    }

    fn target(&self, password: &str) -> SshTarget {
        SshTarget {
            authority: self.authority.clone(),
            trust: HostTrust::Learn,
            login: SshLogin { username: "admin".to_owned(), password: Some(password.to_owned()), private_key: None },
            limits: SshLimits::default(),
            legacy: false,
        }
    }

    /// Everything up to the end of one connection.
    async fn connection(&mut self) -> Vec<Seen> {
        let mut all = Vec::new();
        loop {
            let seen = tokio::time::timeout(LIMIT, self.seen.recv()).await;
            match seen.unwrap_or_else(|_| panic!("the connection stays open: {all:?}")).unwrap() {
                Seen::ConnectionGone => return all,
                seen => all.push(seen),
            }
        }
    }
}

fn rand() -> impl russh::keys::ssh_key::rand_core::CryptoRng {
    russh::keys::key::safe_rng()
}

struct Handler {
    manners: Manners,
    seen: mpsc::UnboundedSender<Seen>,
    round: usize,
}

impl Handler {
    fn saw(&self, seen: Seen) {
        drop(self.seen.send(seen));
    }

    fn no(&self) -> Result<Auth, russh::Error> {
        if self.manners.hangs_up { Err(russh::Error::Disconnect) } else { Ok(Auth::reject()) }
    }
}

impl server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<Auth, russh::Error> {
        self.saw(Seen::Nothing);
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        self.saw(Seen::Password(password.to_owned()));
        if password == "right" { Ok(Auth::Accept) } else { self.no() }
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        match response {
            None => self.saw(Seen::Asked),
            Some(response) => {
                let answers: Vec<String> =
                    response.map(|answer| String::from_utf8_lossy(&answer).into_owned()).collect();
                let right = answers == ["right"];
                self.saw(Seen::Answered(answers));
                if right {
                    return Ok(Auth::Accept);
                }
            }
        }
        let Some(prompts) = self.manners.prompts.get(self.round) else { return self.no() };
        self.round += 1;
        let prompts: Vec<(Cow<'static, str>, bool)> =
            prompts.iter().map(|(text, echo)| (Cow::Borrowed(*text), *echo)).collect();
        Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts: prompts.into() })
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        self.saw(Seen::Shell);
        session.channel_success(channel)?;
        session.data(channel, "r1#")
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

    /// Echo and prompt, except for what never ends.
    async fn data(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        let echo = String::from_utf8_lossy(data).replace('\n', "\r\n");
        let prompt = if echo.contains("never") { "" } else { "r1#" };
        session.data(channel, format!("{echo}{prompt}"))
    }

    async fn channel_close(&mut self, _: ChannelId, _: &mut Session) -> Result<(), russh::Error> {
        self.saw(Seen::ChannelClosed);
        Ok(())
    }
}

fn refusal(error: &Error) -> &Refusal {
    match error {
        Error::LoginRefused { refusal, .. } => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_method_is_chosen_and_a_wrong_password_goes_out_once() {
    use MethodKind::{KeyboardInteractive, Password, PublicKey};
    let once = vec![vec![("Password: ", false)]];
    let again = vec![vec![("Password: ", false)], vec![("Password: ", false)]];
    let answered = |password: &str| vec![Seen::Nothing, Seen::Asked, Seen::Answered(vec![password.to_owned()])];
    let sent = |password: &str| vec![Seen::Nothing, Seen::Password(password.to_owned())];
    for (methods, prompts, hangs_up, expected) in [
        (vec![PublicKey, KeyboardInteractive, Password], once.clone(), false, sent("wrong")),
        (vec![Password], vec![], true, sent("wrong")),
        (vec![PublicKey, KeyboardInteractive], once.clone(), false, answered("wrong")),
        (vec![KeyboardInteractive], again, false, answered("wrong")),
        (vec![KeyboardInteractive], once.clone(), true, answered("wrong")),
    ] {
        let case = format!("{methods:?} {prompts:?} {hangs_up}");
        let mut impostor = Impostor::start(Manners { methods: methods.clone(), prompts, hangs_up }).await;
        let error = Ssh::connect(&impostor.target("wrong")).await.unwrap_err();
        assert!(matches!(refusal(&error), Refusal::Ssh { .. }), "{case}: {error:?}");
        assert!(!error.is_transient() && !format!("{error} {error:?}").contains("wrong"), "{error:?}");
        assert_eq!(impostor.connection().await, expected, "{case}");
        let ssh = Ssh::connect(&impostor.target("right")).await.unwrap();
        ssh.close().await;
        let right = if methods.contains(&Password) { sent("right") } else { answered("right") };
        assert_eq!(impostor.connection().await, right, "{case}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_more_gets_nothing() {
    use MethodKind::{KeyboardInteractive, PublicKey};
    for (prompts, rounds) in [
        (vec![vec![("Password: ", false), ("Token: ", false)]], vec![Seen::Asked]),
        (vec![vec![("User name: ", true)]], vec![Seen::Asked]),
        (vec![vec![("Verification code: ", false)]], vec![Seen::Asked]),
        (vec![vec![("New password: ", false)]], vec![Seen::Asked]),
        (vec![vec![], vec![("Code: ", true)]], vec![Seen::Asked, Seen::Answered(vec![])]),
        (vec![vec![]; 50], [vec![Seen::Asked], vec![Seen::Answered(vec![]); 5]].concat()),
    ] {
        let manners = Manners { methods: vec![KeyboardInteractive], prompts, hangs_up: false };
        let mut impostor = Impostor::start(manners).await;
        let error = Ssh::connect(&impostor.target("right")).await.unwrap_err();
        assert!(matches!(error, Error::NoLogin { .. }), "{error:?}");
        assert_eq!(impostor.connection().await, [vec![Seen::Nothing], rounds].concat());
    }
    let mut impostor = Impostor::start(Manners { methods: vec![PublicKey], ..Manners::default() }).await;
    let error = Ssh::connect(&impostor.target("right")).await.unwrap_err();
    assert!(matches!(&error, Error::NoLogin { cause, .. } if cause.contains("publickey")), "{error:?}");
    assert_eq!(impostor.connection().await, [Seen::Nothing]);
}

/// A person must set a new one: as little as a refused password is it tried again.
#[tokio::test]
async fn a_password_that_has_expired_is_refused() {
    let limits = SshLimits { login: Duration::from_secs(3), ..SshLimits::default() };
    let login = |password: &str| SshLogin {
        username: "admin".to_owned(),
        password: Some(password.to_owned()),
        private_key: None,
    };
    for (answer, expired) in [(bare_ssh::change_request(), true), (Vec::new(), false)] {
        let (authority, mut passwords) = bare_ssh::start(answer).await;
        let target = SshTarget { authority, trust: HostTrust::Learn, login: login("old"), limits, legacy: false };
        let error = Ssh::connect(&target).await.unwrap_err();
        match expired {
            true => {
                assert_eq!(refusal(&error), &Refusal::Expired { method: "password" });
                assert_eq!((error.blame(), error.is_transient()), (Blame::Refused, false));
            }
            // Whoever says nothing at all may be down.
            false => assert!(matches!(error, Error::Unreachable { .. }), "{error:?}"),
        }
        assert_eq!(passwords.recv().await.as_deref(), Some("old"));
        assert!(passwords.try_recv().is_err(), "sent once");
    }

    let again = vec![("New password: ", false), ("Retype new password: ", false)];
    for new in [vec![again[0]], again] {
        let prompts = vec![vec![("Password: ", false)], new];
        let manners = Manners { methods: vec![MethodKind::KeyboardInteractive], prompts, hangs_up: false };
        let mut impostor = Impostor::start(manners).await;
        let error = Ssh::connect(&impostor.target("old")).await.unwrap_err();
        assert_eq!(refusal(&error), &Refusal::Expired { method: "keyboard-interactive" });
        let answered = Seen::Answered(vec!["old".to_owned()]);
        assert_eq!(impostor.connection().await, [Seen::Nothing, Seen::Asked, answered]);
    }
}

#[tokio::test]
async fn another_host_key_stops_before_anything_is_told() {
    let manners = Manners { methods: vec![MethodKind::Password], ..Manners::default() };
    let mut impostor = Impostor::start(manners).await;
    for key_type in [None, Some("ssh-rsa".to_owned()), Some("ssh-ed25519".to_owned())] {
        let pin = HostPin { fingerprint: Sha256::of(b"the real one"), key_type };
        let target = SshTarget { trust: HostTrust::Pinned(pin), ..impostor.target("right") };
        let error = Ssh::connect(&target).await.unwrap_err();
        assert!(matches!(error, Error::ChangedHostKey { .. }), "{error:?}");
        assert_eq!(impostor.connection().await, []);
    }
}

fn limits() -> ShellLimits {
    ShellLimits { settle: Duration::from_millis(5), doubt: Duration::from_millis(50), ..ShellLimits::default() }
}

#[tokio::test]
async fn every_way_out_closes_channel_and_connection() {
    let manners = Manners { methods: vec![MethodKind::Password], ..Manners::default() };
    let mut impostor = Impostor::start(manners).await;
    for way in ["closed", "channel dropped", "all dropped", "cancelled"] {
        let ssh = Ssh::connect(&impostor.target("right")).await.unwrap();
        let opening = Opening { address: ssh.address(), setup: Setup::default(), enable: None, limits: limits() };
        let mut shell = Shell::open(ssh.shell().await.unwrap(), &IOS_XE, opening).await.unwrap();
        let never = Command::new("show never").within(Duration::from_millis(50));
        let mut seen = vec![Seen::Nothing, Seen::Password("right".to_owned()), Seen::Shell, Seen::ChannelClosed];
        match way {
            "closed" => {
                assert!(matches!(shell.run(never).await, Err(Error::Unreachable { .. })));
                shell.close().await;
                ssh.close().await;
            }
            "channel dropped" => {
                drop(shell);
                // The connection lives on, and its next channel comes after the close.
                drop(ssh.shell().await.unwrap());
                seen.extend([Seen::Shell, Seen::ChannelClosed]);
                let channel = ssh.shell().await.unwrap();
                seen.extend([Seen::Shell, Seen::ChannelClosed]);
                channel.close().await;
                ssh.close().await;
            }
            "all dropped" => {
                drop(shell);
                drop(ssh);
            }
            _ => {
                let running = shell.run("show never");
                drop(tokio::time::timeout(Duration::from_millis(20), running).await);
                drop((shell, ssh));
            }
        }
        let came = impostor.connection().await;
        match way {
            // The connection may go before the channel's own close.
            "all dropped" | "cancelled" => assert_eq!(came[..3], seen[..3], "{way}"),
            _ => {
                assert_eq!(came.iter().filter(|saw| **saw == Seen::ChannelClosed).count(), seen.len() / 2 - 1, "{way}")
            }
        }
    }
}

/// A peer that says a line and nothing more; how its connection ends.
async fn mute(greeting: &'static str) -> (String, tokio::task::JoinHandle<std::io::Result<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let ended = tokio::spawn(async move {
        let (mut socket, _): (TcpStream, _) = listener.accept().await?;
        socket.write_all(greeting.as_bytes()).await?;
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).await
    });
    (authority, ended)
}

#[tokio::test]
async fn a_peer_that_stalls_is_left_in_time_and_for_good() {
    for greeting in ["", "SSH-2.0-Cisco-1.25\r\n"] {
        let (authority, ended) = mute(greeting).await;
        let limits = SshLimits { login: Duration::from_millis(100), ..SshLimits::default() };
        let login = SshLogin { username: "a".to_owned(), password: Some("right".to_owned()), private_key: None };
        let target = SshTarget { authority, trust: HostTrust::Learn, login, limits, legacy: false };
        let error = Ssh::connect(&target).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient(), "{error:?}");
        // The key exchange was under way in a task of its own; the connection ends all the same.
        tokio::time::timeout(LIMIT, ended).await.expect("the connection is closed").unwrap().unwrap();
    }
    let (authority, _ended) = mute("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let login = SshLogin { username: "a".to_owned(), password: Some("right".to_owned()), private_key: None };
    let limits = SshLimits { login: Duration::from_millis(500), ..SshLimits::default() };
    let target = SshTarget { authority, trust: HostTrust::Learn, login, limits, legacy: false };
    let error = Ssh::connect(&target).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. } | Error::Misbehaved { .. }), "{error:?}");
}

/// Passes everything on until it is told to freeze; then it holds both ends open and still.
async fn freezer(authority: String) -> (String, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ours, freeze) = (listener.local_addr().unwrap().to_string(), Arc::new(Notify::new()));
    let told = freeze.clone();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(authority).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            () = told.notified() => std::future::pending().await,
        }
    });
    (ours, freeze)
}

#[tokio::test]
async fn a_quiet_device_is_waited_for_and_a_dead_one_is_not() {
    let manners = Manners { methods: vec![MethodKind::Password], ..Manners::default() };
    let impostor = Impostor::start(manners).await;
    let (authority, freeze) = freezer(impostor.authority.clone()).await;
    let limits = SshLimits { silence: Duration::from_millis(300), ..SshLimits::default() };
    let target = SshTarget { authority, limits, ..impostor.target("right") };
    let ssh = Ssh::connect(&target).await.unwrap();
    let opening = Opening { address: ssh.address(), setup: Setup::default(), enable: None, limits: self::limits() };
    let mut shell = Shell::open(ssh.shell().await.unwrap(), &IOS_XE, opening).await.unwrap();
    // The answers to keepalives are signs of life: three times the silence goes by.
    let never = Command::new("show never").within(Duration::from_millis(900));
    let error = shell.run(never).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { cause, .. } if cause.contains("time for it is over")), "{error:?}");
    shell.close().await;
    let opening = Opening { address: ssh.address(), setup: Setup::default(), enable: None, limits: self::limits() };
    let mut shell = Shell::open(ssh.shell().await.unwrap(), &IOS_XE, opening).await.unwrap();
    freeze.notify_one();
    let never = Command::new("show never").within(LIMIT);
    let error = shell.run(never).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { cause, .. } if cause.contains("closed the channel")), "{error:?}");
}

#[test]
fn secrets_are_not_printed() {
    let login = SshLogin {
        username: "admin".to_owned(),
        password: Some("hunter2".to_owned()),
        private_key: Some("hunter3".to_owned()),
    };
    let shown = format!(
        "{login:?} {:?}",
        Opening { address: "a", setup: Setup::default(), enable: Some("hunter4"), limits: limits() }
    );
    assert!(shown.contains("admin") && shown.contains("<secret>") && !shown.contains("hunter"), "{shown}");
}
